"""What is where in a checkpoint's value: the state dict, and the plain values beside it."""

from collections.abc import Collection, Iterator, Mapping
from typing import TYPE_CHECKING, Any

from segablate.errors import CheckpointError, did_you_mean, shorten, thousands
from segablate.weights.unpickling import Content, Foreign, ForeignType

if TYPE_CHECKING:
    from torch import Tensor

USUAL_KEYS = (
    *("state_dict", "model_state_dict", "model_state", "model", "net", "network", "module", "weights", "params"),
    *("ema", "model_ema", "ema_model", "ema_state_dict", "state_dict_ema", "model_ema_state_dict", "params_ema"),
)
"""Where trainers put the state dict. Averaged weights are among them: they are other weights, so one must choose."""

DEPTH = 4
PLAIN_VALUES = 10_000
PLAIN_LENGTH = 1_000
"""Bounds on what is looked at beside the tensors: containers may hold themselves, or one another many times."""

_DROPPED = object()


def locate(content: Content, key: str | None) -> tuple[str, Mapping[Any, Any]]:
    """The dotted key under which the one state dict lies (empty for the top), and the mapping itself.

    Raises :class:`CheckpointError` if there is none or several of them.
    """
    start = content.value if key is None else _under(content.value, key)
    if start is None:
        raise CheckpointError(f"there is no {key!r} in it (--key){did_you_mean(key or '', _everywhere(content.value))}")
    found = {_join(key or "", name): value for name, value in _usual(start).items()}
    if len(found) > 1:
        raise CheckpointError(f"this holds {len(found)} sets of weights ({_listed(found)}); choose one with --key")
    if not found:
        raise CheckpointError(_nothing_found(start))
    return next(iter(found.items()))


def named_tensors(mapping: Mapping[Any, Any], where: str) -> tuple[dict[str, "Tensor"], list[str]]:
    """The tensors in a state dict, and a note on what else is in it, unless it is the top of the file."""
    tensors = {name: value for name, value in mapping.items() if _is_named_tensor(name, value)}
    others = [_readable(name) for name in mapping if name not in tensors]
    if not where or not others:
        return tensors, []
    return tensors, [f"{thousands(len(others))} of the entries are no tensors and were not loaded ({shorten(others)})"]


def foreign_note(foreign: Mapping[str, int]) -> list[str]:
    """At most one note, that says how many foreign objects there were and of which types."""
    if not foreign:
        return []
    objects = sum(max(count, 1) for count in foreign.values())
    types = shorten(map(_readable, sorted(foreign, key=lambda name: -foreign[name])))
    return [f"{thousands(objects)} objects of {thousands(len(foreign))} foreign types ({types}) were not loaded"]


def plain_values(value: object, where: str) -> dict[str, Any]:
    """What is plain at the top of a checkpoint, beside the state dict at ``where``: epoch, classes, arguments."""
    if not isinstance(value, dict):
        return {}
    beside = {name: item for name, item in value.items() if isinstance(name, str) and name != where.split(".")[0]}
    plain = {name: _plain(item, DEPTH, iter(range(PLAIN_VALUES))) for name, item in beside.items()}
    return {name: item for name, item in plain.items() if item is not _DROPPED and item not in ({}, [], ())}


def _plain(value: object, depth: int, budget: Iterator[int]) -> Any:
    """A copy without tensors, foreign objects and what nests deeper or is longer than bookkeeping does."""
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
    """State dicts at the usual places by their dotted keys; those that hold others are not meant."""
    found = {key: mapping for key, mapping in _mappings(value, USUAL_KEYS) if _has_tensors(mapping)}
    return {key: found[key] for key in found if not any(_is_below(other, key) for other in found)}


def _everywhere(value: object) -> dict[str, Mapping[Any, Any]]:
    """All mappings with tensors by their dotted keys."""
    return {key: mapping for key, mapping in _mappings(value, None) if _has_tensors(mapping)}


def _mappings(value: object, names: Collection[str] | None) -> Iterator[tuple[str, Mapping[Any, Any]]]:
    """``value`` and the mappings in it, under ``names`` (None: any), each once, from the top down."""
    level, seen = [("", value)], set[int]()
    for _ in range(DEPTH):
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
    """What lies under a dotted key, whose parts may have dots themselves."""
    if not isinstance(value, dict) or key in value:
        return value.get(key) if isinstance(value, dict) else None
    beginnings = [name for name in value if isinstance(name, str) and name and key.startswith(name + ".")]
    return next(
        (found for name in beginnings if (found := _under(value[name], key[len(name) + 1 :])) is not None), None
    )


def _nothing_found(start: object) -> str:
    if sets := _everywhere(start):
        return f"its weights are under none of the usual keys, but there are {_listed(sets)}; choose with --key"
    if pickled := _pickled_object(start):
        return (
            f"this holds a whole pickled {pickled}, not a state_dict, and loading that runs code from the file; "
            "save its state_dict() instead, or pass --trust-pickle if you made the file yourself"
        )
    return "there are no named tensors in it; give a file with the state_dict of a network"


def _pickled_object(value: object) -> str | None:
    """The type of the object that stands where weights should."""
    places = [value, *(value.get(name) for name in USUAL_KEYS)] if isinstance(value, dict) else [value]
    names = (place.name for place in places if isinstance(place, Foreign | ForeignType))
    return next(map(_readable, names), None)


def _has_tensors(value: Mapping[Any, Any]) -> bool:
    return any(_is_named_tensor(name, item) for name, item in value.items())


def _is_named_tensor(name: object, value: object) -> bool:
    from torch import Tensor

    return isinstance(name, str) and isinstance(value, Tensor)


def _listed(sets: Mapping[str, Mapping[Any, Any]]) -> str:
    return shorten((f"{_readable(key)!r} of {thousands(len(mapping))}" for key, mapping in sets.items()), 6)


def _join(above: str, below: str) -> str:
    return f"{above}.{below}" if above and below else above or below


def _readable(name: object) -> str:
    """A name from a file, fit for a line of text."""
    text = name if isinstance(name, str) else type(name).__name__
    return "".join(letter if letter.isprintable() else "?" for letter in text[:60])
