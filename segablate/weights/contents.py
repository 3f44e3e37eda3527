"""Finding the state dict and the plain values in the value of a checkpoint."""

import shlex
from collections.abc import Collection, Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

from segablate.errors import CheckpointError, did_you_mean, shorten, thousands
from segablate.weights.numpy_arrays import PickledArray
from segablate.weights.unpickling import Content, Foreign, ForeignType

if TYPE_CHECKING:
    from torch import Tensor

UNNAMED_REMEDY = "copy them into the network with ema.copy_to(network.parameters()) and save its state_dict()"
"""What to do about the averaged parameters of torch_ema and diffusers, which are a list in the network's order."""

USUAL_KEYS = (
    *("state_dict", "model_state_dict", "model_state", "model", "net", "network", "module", "weights", "params"),
    *("ema", "model_ema", "ema_model", "ema_state_dict", "state_dict_ema", "model_ema_state_dict", "params_ema"),
)
"""Keys under which trainers save the state dict. Averaged weights are other weights, so the user must choose."""

SEARCHED = 12
"""Levels of mappings in one another in which weights are looked for; each mapping is visited once."""

DEPTH = 4
PLAIN_VALUES = 10_000
PLAIN_LENGTH = 1_000
"""Bounds on the values read beside the tensors: containers may contain themselves, or one another many times."""

_DROPPED = object()


def locate(content: Content, key: str | None) -> tuple[str, Mapping[Any, Any]]:
    """Return the dotted key of the only state dict (empty for the top), and the mapping itself.

    Raises :class:`CheckpointError` for none and for several of them.
    """
    value = _numbered(content.value)
    start = value if key is None else _under(value, key)
    if start is None:
        raise CheckpointError(f"it has no key {key!r} (--key){did_you_mean(key or '', _everywhere(value))}")
    usual = _usual(start) or (_everywhere(start) if isinstance(content.value, list | tuple) else {})
    sets = {_join(key or "", name): found for name, found in usual.items()}
    if len(sets) > 1:
        hint = _averaged_hint(start, sets)
        raise CheckpointError(f"this holds {len(sets)} sets of weights ({_listed(sets)}); {_choice(sets)}{hint}")
    if not sets:
        raise CheckpointError(_no_weights(start))
    return next(iter(sets.items()))


def other_sets_note(content: Content, where: str, found: Mapping[Any, Any]) -> list[str]:
    """Return at most one note on sets of weights with the keys of the one ``found`` at ``where``, and unnamed ones."""
    value = _numbered(content.value)
    names = {name for name in found if isinstance(name, str)}
    others = {
        key: mapping
        for key, mapping in _everywhere(value).items()
        if mapping is not found and len(names & mapping.keys()) > len(names) / 2
    }
    more = f"other weights for the same network were not loaded: {_listed(others)}; for them, pass {_options(others)}"
    notes = [more] if others else []
    if shadow := _unnamed(value):
        notes.append(f"averaged parameters in {shadow!r} have no names and were not loaded; {UNNAMED_REMEDY}")
    return notes


def named_tensors(mapping: Mapping[Any, Any], where: str) -> tuple[dict[str, "Tensor"], list[str]]:
    """Return the tensors in a state dict, and a note on its other entries unless it is the top of the file."""
    tensors = {
        name: value.tensor() if isinstance(value, PickledArray) else value
        for name, value in mapping.items()
        if _is_named_tensor(name, value)
    }
    others = [_readable(name) for name in mapping if name not in tensors]
    if not where or not others:
        return tensors, []
    return tensors, [f"entries that are no tensors were not loaded: {thousands(len(others))} ({shorten(others)})"]


def foreign_note(foreign: Mapping[str, int]) -> list[str]:
    """Return at most one note, with the number of foreign objects and their types."""
    if not foreign:
        return []
    objects = sum(max(count, 1) for count in foreign.values())
    types = shorten(map(_readable, sorted(foreign, key=lambda name: -foreign[name])))
    return [f"objects that are neither tensors nor plain values were not loaded: {thousands(objects)} ({types})"]


def plain_values(value: object, where: str) -> dict[str, Any]:
    """Return the plain values at the top of a checkpoint beside the state dict at ``where``: epoch, classes, ..."""
    if not isinstance(value, dict):
        return {}
    beside = {name: item for name, item in value.items() if isinstance(name, str) and name != where.split(".")[0]}
    plain = {name: _plain(item, DEPTH, iter(range(PLAIN_VALUES))) for name, item in beside.items()}
    return {name: item for name, item in plain.items() if item is not _DROPPED and item not in ({}, [], ())}


def _plain(value: object, depth: int, budget: Iterator[int]) -> Any:
    """Copy a value without tensors, foreign objects, and containers that are too deep or too long."""
    if next(budget, None) is None:
        return _DROPPED
    if value is None or isinstance(value, str | int | float):
        return value
    if not isinstance(value, dict | list | tuple) or depth == 0 or len(value) > PLAIN_LENGTH:
        return _DROPPED
    if isinstance(value, dict):
        pairs = ((name, _plain(item, depth - 1, budget)) for name, item in value.items() if isinstance(name, str | int))
        return {name: item for name, item in pairs if item is not _DROPPED}
    items = (_plain(item, depth - 1, budget) for item in value)
    return type(value)(item for item in items if item is not _DROPPED)


def _usual(value: object) -> dict[str, Mapping[Any, Any]]:
    """Return the state dicts under the usual keys by their dotted keys, without those that contain another."""
    found = {key: mapping for key, mapping in _mappings(value, USUAL_KEYS) if _has_tensors(mapping)}
    return {key: found[key] for key in found if not any(_is_below(other, key) for other in found)}


def _everywhere(value: object) -> dict[str, Mapping[Any, Any]]:
    """Return all mappings with tensors by their dotted keys."""
    return {key: mapping for key, mapping in _mappings(value, None) if _has_tensors(mapping)}


def _mappings(value: object, names: Collection[str] | None) -> Iterator[tuple[str, Mapping[Any, Any]]]:
    """Yield ``value`` and the mappings in it under ``names`` (None: any), each once, from the top down."""
    level, seen = [("", value)], set[int]()
    for _ in range(SEARCHED):
        below = []
        for key, mapping in level:
            if isinstance(mapping, dict) and id(mapping) not in seen:
                seen.add(id(mapping))
                yield key, mapping
                inner = mapping if names is None else [name for name in names if name in mapping]
                below += [(_join(key, name), mapping[name]) for name in inner if isinstance(name, str)]
        level = below


def _is_below(key: str, other: str) -> bool:
    return key != other and (not other or key.startswith(f"{other}."))


def _under(value: object, key: str) -> object:
    """Return the value under a dotted key, whose parts may contain dots themselves, or None."""
    if not isinstance(value, dict) or key in value:
        return value.get(key) if isinstance(value, dict) else None
    beginnings = [name for name in value if isinstance(name, str) and name and key.startswith(name + ".")]
    return next(
        (found for name in beginnings if (found := _under(value[name], key[len(name) + 1 :])) is not None), None
    )


def _no_weights(start: object) -> str:
    if sets := _everywhere(start):
        return f"its weights are under none of the usual keys; found: {_listed(sets)}; {_choice(sets)}"
    if shadow := _unnamed(start):
        return f"its averaged parameters in {shadow!r} have no names; {UNNAMED_REMEDY}"
    if pickled := _pickled_object(start):
        return (
            f"this holds a whole pickled {pickled}, not a state_dict, and loading that runs code from the file; "
            "save its state_dict() instead, or open it as module:FILE with --trust-code if you made the file yourself"
        )
    return "it holds no named tensors; give a file with the state_dict of a network"


def _pickled_object(value: object) -> str | None:
    """Return the type of the object in the place of weights, or None."""
    places = [value, *(value.get(name) for name in USUAL_KEYS)] if isinstance(value, dict) else [value]
    names = (place.name for place in places if isinstance(place, Foreign | ForeignType))
    return next(map(_readable, names), None)


def _has_tensors(value: Mapping[Any, Any]) -> bool:
    return any(_is_named_tensor(name, item) for name, item in value.items())


def _is_named_tensor(name: object, value: object) -> bool:
    from torch import Tensor

    return isinstance(name, str) and isinstance(value, Tensor | PickledArray)


def _numbered(value: object) -> object:
    """Return a list or tuple with dictionaries, of weights and optimiser for example, as a mapping by its places.

    Likewise a mapping by numbers, of epochs for example.
    """
    if isinstance(value, dict) and value and all(isinstance(name, int) for name in value):
        return {str(number): item for number, item in value.items()}
    if not isinstance(value, list | tuple) or not any(isinstance(item, dict) for item in value):
        return value
    return {str(place): item for place, item in enumerate(value) if isinstance(item, dict)}


def _unnamed(value: object) -> str | None:
    """Return the dotted key of a list of averaged parameters without names, or None."""
    from torch import Tensor

    for key, mapping in _mappings(value, None):
        found = mapping.get("shadow_params")
        if isinstance(found, list) and any(isinstance(item, Tensor) for item in found):
            return _join(key, "shadow_params")
    return None


def _choice(sets: Mapping[str, Mapping[Any, Any]]) -> str:
    """Say with which option one of the sets is chosen."""
    return f"choose one with {_options(sets)}"


def _options(sets: Iterable[str]) -> str:
    options = [f"--key {shlex.quote(key)}" for key in sets if key == _readable(key)]
    return " or ".join(options[:4]) or "--key"


def _averaged_hint(start: object, sets: Mapping[str, Mapping[Any, Any]]) -> str:
    """Say which set of mmengine is the averaged one: its hook swaps them when it saves."""
    meta = start.get("meta") if isinstance(start, dict) else None
    mmengine = isinstance(meta, dict) and "mmengine_version" in meta and {"state_dict", "ema_state_dict"} <= sets.keys()
    return " (mmengine saves the averaged weights as state_dict)" if mmengine else ""


def _listed(sets: Mapping[str, Mapping[Any, Any]]) -> str:
    return shorten((f"{_readable(key)!r} of {thousands(len(mapping))}" for key, mapping in sets.items()), 6)


def _join(above: str, below: str) -> str:
    return f"{above}.{below}" if above and below else above or below


def _readable(name: object) -> str:
    """Return a name from a file as printable text of at most 60 characters."""
    text = name if isinstance(name, str) else type(name).__name__
    return "".join(letter if letter.isprintable() else "?" for letter in text[:60])
