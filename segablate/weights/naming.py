"""Matching the keys of a state dict to those of a network: prefixes, wrappers inside names, and flattened names."""

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from segablate.errors import CheckpointError, did_you_mean

if TYPE_CHECKING:
    from torch import Tensor

PREFIXES = ("module.", "model.", "net.", "_orig_mod.")
"""Prefixes that data parallelism, trainers and ``torch.compile`` add to a network's keys."""

WRAPPERS = ("_orig_mod", "_fsdp_wrapped_module", "_checkpoint_wrapped_module")
"""Parts of keys that ``torch.compile``, FSDP and activation checkpointing add, wherever in the network they wrap."""

COUNTER = "num_batches_tracked"
"""Buffer of batch norm that torch before 0.4.1 did not have; evaluation does not use it."""

FLATTENED: tuple[Callable[[str], str], ...] = (
    lambda name: name.replace(".", "_"),  # the EMA hook of mmcv 1.x: ema_backbone_conv1_weight
    lambda name: name.replace(".", ""),  # LitEma of latent diffusion: model_ema.backboneconv1weight
)
"""How averaged weights are named where a buffer's name must have no dots."""


@dataclass(frozen=True)
class Named:
    """Tensors under the keys of a network, the prefix that was removed, and the prefixes of other sets that fit it."""

    tensors: dict[str, "Tensor"]
    prefix: str = ""
    others: tuple[str, ...] = ()


def without_prefix(tensors: Mapping[str, "Tensor"], prefix: str) -> dict[str, "Tensor"]:
    """Return only the tensors under ``prefix``, with the prefix and the dot behind it removed from their keys.

    Raises :class:`CheckpointError` when there are none.
    """
    if any(key.startswith(f"{prefix}.") for key in tensors):
        prefix = f"{prefix}."
    stripped = {key.removeprefix(prefix): value for key, value in tensors.items() if key.startswith(prefix)}
    if not stripped:
        known = dict.fromkeys(key[: key.find(".") + 1] for key in tensors if "." in key)
        raise CheckpointError(f"no key begins with {prefix!r} (--strip-prefix){did_you_mean(prefix, known)}")
    return stripped


def named_as(tensors: Mapping[str, "Tensor"], names: Iterable[str]) -> Named:
    """Return ``tensors`` under the keys ``names`` of a network, as far as prefixes and wrappers explain the difference.

    The only prefix under which all names are found is removed, whatever it is. Names without a prefix take precedence.
    Raises :class:`CheckpointError` where several prefixes fit, which are several sets of weights.
    """
    names = frozenset(names)
    tensors = without_inner(tensors, names)
    fitting = complete_prefixes(tensors, names)
    if not fitting:
        tensors = unflattened(tensors, names)
        fitting = complete_prefixes(tensors, names)
    if not fitting:
        return Named(without_wrappers(tensors, names))
    if fitting[0] and len(fitting) > 1:
        sets, options = (" and ".join(map(form, fitting)) for form in (repr, "--strip-prefix {}".format))
        raise CheckpointError(
            f"this holds {len(fitting)} sets of weights that fit the network, under {sets}; choose one, with "
            f"{options.replace(' and ', ' or ')}"
        )
    prefix = fitting[0]
    found = {key.removeprefix(prefix): value for key, value in tensors.items() if key.startswith(prefix)}
    beside = {key: value for key, value in tensors.items() if not key.startswith(prefix) and key not in found}
    return Named({**found, **beside}, prefix, tuple(fitting[1:]))


def complete_prefixes(tensors: Collection[str], names: Collection[str]) -> list[str]:
    """Return the prefixes under which all ``names`` are keys, the empty one first; counters of batch norm may lack.

    Averaged weights with flattened names count, too: ``ema_`` where ``ema_head_weight`` stands for ``head.weight``.
    """
    wanted = {name for name in names if not name.endswith(COUNTER)}
    if not wanted:
        return []
    found = [prefix for prefix, count in _counted(tensors, wanted).items() if count == len(wanted)]
    for flattened in FLATTENED:
        flat = {flattened(name) for name in wanted}
        if len(flat) == len(wanted):
            found += [prefix for prefix in _flat_prefixes(tensors, flat) if prefix not in found]
    return sorted(found, key=bool)


def unflattened(tensors: Mapping[str, "Tensor"], names: Collection[str]) -> dict[str, "Tensor"]:
    """Return flattened keys with the dots of ``names``, where that makes all of these fit."""
    wanted = {name for name in names if not name.endswith(COUNTER)}
    for flattened in FLATTENED:
        dotted = {flattened(name): name for name in names}
        flat = {flattened(name) for name in wanted}
        if wanted and flat <= tensors.keys() and not wanted <= tensors.keys():
            return {dotted.get(key, key): value for key, value in tensors.items()}
    return dict(tensors)


def without_inner(tensors: Mapping[str, "Tensor"], names: Collection[str]) -> dict[str, "Tensor"]:
    """Remove the :data:`WRAPPERS` from anywhere in the keys, and ``module`` where that makes all ``names`` fit."""
    own = {part for name in names for part in name.split(".")}
    tensors = _without_parts(dict(tensors), [part for part in WRAPPERS if part not in own])
    if "module" in own or complete_prefixes(tensors, names):
        return tensors
    parallel = _without_parts(tensors, ["module"])
    return parallel if complete_prefixes(parallel, names) else tensors


def without_wrappers(tensors: Mapping[str, "Tensor"], names: Iterable[str]) -> dict[str, "Tensor"]:
    """Remove the :data:`PREFIXES` from the keys of ``tensors``, also repeated and stacked ones.

    With the network's ``names``, as few prefixes are removed as match the most names. Without, every prefix is removed
    that all keys have.
    """
    names = frozenset(names)
    stages = list(_stages(dict(tensors), partly=bool(names)))
    return max(stages, key=lambda stage: len(names & stage.keys())) if names else stages[-1]


def _counted(keys: Iterable[str], names: Collection[str]) -> Counter[str]:
    """Count the names that are keys under each prefix, which is empty or ends in a dot."""
    counts = Counter[str]()
    for key in keys:
        rest = key
        while rest:
            if rest in names:
                counts[key.removesuffix(rest)] += 1
            rest = rest.partition(".")[2]
    return counts


def _flat_prefixes(keys: Collection[str], flat: Collection[str]) -> list[str]:
    """Return the prefixes under which all flattened names are keys; never the empty one."""
    first = min(flat, key=len)
    prefixes = (key.removesuffix(first) for key in keys if key.endswith(first) and key != first)
    known = set(keys)
    return [prefix for prefix in prefixes if prefix[-1] in "._" and all(prefix + name in known for name in flat)]


def _without_parts(tensors: dict[str, "Tensor"], parts: Collection[str]) -> dict[str, "Tensor"]:
    """Remove parts of dotted keys, unless two keys would become one."""
    shorter = {".".join(part for part in key.split(".") if part not in parts): value for key, value in tensors.items()}
    return shorter if len(shorter) == len(tensors) and "" not in shorter else tensors


def _stages(tensors: dict[str, "Tensor"], partly: bool) -> Iterator[dict[str, "Tensor"]]:
    """Yield ``tensors``, then with one prefix less, and so on. ``partly``: also where only some keys have it."""
    while True:
        yield tensors
        counts = {prefix: sum(key.startswith(prefix) for key in tensors) for prefix in PREFIXES}
        prefix = max(PREFIXES, key=lambda prefix: counts[prefix])
        stripped = {key.removeprefix(prefix): value for key, value in tensors.items()}
        enough = counts[prefix] > 0 if partly else 0 < counts[prefix] == len(tensors)
        if not enough or len(stripped) < len(tensors) or "" in stripped:
            return
        tensors = stripped
