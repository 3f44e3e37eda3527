"""Loading a state dict into a network strictly, and saying what does not fit."""

from collections.abc import Collection, Iterable, Mapping
from typing import TYPE_CHECKING

from segablate.errors import CheckpointError, counted, shorten, thousands
from segablate.weights.naming import COUNTER
from segablate.weights.surplus import sort_surplus

if TYPE_CHECKING:
    from torch import Tensor, nn

Shapes = tuple[tuple[int, ...], tuple[int, ...]]
"""The shapes of a tensor in the file and in the network."""


def count_classes(tensors: Mapping[str, "Tensor"], heads: Collection[str]) -> int | None:
    """Return the number of classes of a state dict: the size of the first of the `heads`, biases of a last layer.

    Keys may have any prefix. None where no head is in the state dict.
    """
    found = (value for key, value in tensors.items() if any(f".{key}".endswith(f".{head}") for head in heads))
    return next((int(value.shape[0]) for value in found if value.ndim == 1), None)


def load_strictly(module: "nn.Module", tensors: Mapping[str, "Tensor"], where: str) -> tuple[str, ...]:
    """Load ``tensors`` into ``module`` strictly, and return notes for below the table.

    Every key of the network must be there, batch-norm counters excepted. Keys that the network does not have are left
    out, with a note, where they belong to training or to other submodules; see :mod:`segablate.weights.surplus`.
    Parameters must be finite and buffers free of NaN (a mask may contain infinities).

    Raises :class:`CheckpointError`, beginning with ``where``, that lists missing, unexpected and mis-shaped keys.
    """
    own = {key: tuple(value.shape) for key, value in module.state_dict().items() if hasattr(value, "shape")}
    shapes = {key: (tuple(tensors[key].shape), own[key]) for key in own if key in tensors}
    misshaped = {key: (saved, own) for key, (saved, own) in shapes.items() if saved != own}
    if misshaped:
        missing, unexpected = [key for key in own if key not in tensors], [key for key in tensors if key not in own]
    else:
        missing, unexpected = _load(module, tensors, where)
    missing = [key for key in missing if not key.endswith(COUNTER)]
    surplus = sort_surplus(unexpected, own, tensors)
    loaded = {key: value for key, value in tensors.items() if key not in set(unexpected)}
    _check_finite(loaded, {name for name, _ in module.named_parameters()}, where)
    if missing or surplus.inside or misshaped:
        facts = misfits(missing, unexpected, misshaped)
        raise CheckpointError(f"{where}: {facts}; {_remedy(missing, unexpected, misshaped, tensors)}")
    counters = any(key.endswith(COUNTER) and key not in tensors for key in own)
    note = (f"{where} has no batch-norm counters ({COUNTER}), which evaluation does not use",) if counters else ()
    return (*note, *surplus.notes(where))


def _check_finite(tensors: Mapping[str, "Tensor"], parameters: Collection[str], where: str) -> None:
    for key, value in tensors.items():
        if not (value.is_floating_point() or value.is_complex()):
            continue
        value = value.float() if value.dtype.itemsize == 1 else value  # 8-bit floats have no isfinite
        wrong = ~value.isfinite() if key in parameters else value.isnan()
        if count := int(wrong.sum()):
            values = f"{thousands(count)} of {counted(value.numel(), 'value')}"
            raise CheckpointError(f"{where}: {key} is NaN or infinite at {values}; use an earlier checkpoint")


def _load(module: "nn.Module", tensors: Mapping[str, "Tensor"], where: str) -> tuple[list[str], list[str]]:
    """Load with torch and return the missing and unexpected keys; a module's hooks may rename older ones."""
    try:
        missing, unexpected = module.load_state_dict(dict(tensors), strict=False)
    except RuntimeError as error:
        raise CheckpointError(f"{where} does not fit the network: {' '.join(str(error).split())}") from None
    return missing, unexpected


def misfits(missing: list[str], unexpected: list[str], misshaped: Mapping[str, Shapes]) -> str:
    """Describe the keys that are missing, not in the network, and of another shape."""
    shapes = [
        f"{key} is {_by(saved)} in the file and {_by(own)} in the network" for key, (saved, own) in misshaped.items()
    ]
    facts = (("missing from the file", missing), ("not in the network", unexpected), ("of another shape", shapes))
    return ", ".join(f"{_keys(len(keys))} {fact} ({shorten(keys)})" for fact, keys in facts if keys)


def _remedy(
    missing: list[str], unexpected: list[str], misshaped: Mapping[str, Shapes], tensors: Mapping[str, "Tensor"]
) -> str:
    classes = _class_counts(misshaped.values())
    if classes and not missing and not unexpected:
        those = counted(classes[0], "class", "classes")
        return f"the file has {those} and the network {classes[1]}: build it for {classes[0]}"
    if prefix := _prefix_that_fits(missing, tensors):
        return f"pass --strip-prefix {prefix}, with which all keys fit"
    return "build the network as it was when the file was saved"


def _class_counts(pairs: Iterable[Shapes]) -> tuple[int, int] | None:
    """Return the numbers of outputs in file and network, if shapes differ only in that (the first axis)."""
    pairs = list(pairs)
    counts = {(saved[:1], own[:1]) for saved, own in pairs}
    if len(counts) != 1 or any(saved[1:] != own[1:] for saved, own in pairs):
        return None
    ((saved, own),) = counts
    return (saved[0], own[0]) if saved and own else None


def _prefix_that_fits(missing: list[str], tensors: Mapping[str, "Tensor"]) -> str | None:
    """Return the prefix that every missing key has in the file, or None."""
    if not missing:
        return None
    prefixes = (key.removesuffix(missing[0]) for key in tensors if key.endswith("." + missing[0]))
    return next((prefix for prefix in prefixes if all(prefix + key in tensors for key in missing)), None)


def _keys(count: int) -> str:
    return f"{thousands(count)} {'key' if count == 1 else 'keys'}"


def _by(shape: tuple[int, ...]) -> str:
    """Write a shape as ``21x256x1x1``."""
    return "x".join(map(str, shape)) or "a scalar"
