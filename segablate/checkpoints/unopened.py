"""Checkpoints that hold or name code, described without running any of it."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from segablate.checkpoints import Loading, code_files, source_of
from segablate.checkpoints.inference import Inference
from segablate.checkpoints.preprocessing import Preprocessing
from segablate.checkpoints.segmenter import Source
from segablate.checkpoints.sources import card
from segablate.checkpoints.specification import split_weights
from segablate.checkpoints.trust import is_trusted
from segablate.errors import thousands


@dataclass(frozen=True)
class Unopened:
    """A checkpoint that was only read about: the parts of a segmenter that its files and options state."""

    source: Source
    classes: tuple[str, ...] | None
    class_map: Mapping[str, str | None] | None


def describe_unopened(spec: str, loading: Loading) -> Unopened | None:
    """Describe a checkpoint that runs code when it is opened, without running it; None for every other.

    Raises CheckpointError for malformed cards, options and weights.
    """
    found = source_of(spec, loading)
    named, joined = spec, loading
    if found is not None and found.name == "card":
        described = card.describe(found.rest, loading)
        named, joined = described.spec, described.loading
    code = code_files(named, joined)
    if code is None:
        return None
    files, facts, notes = _weights(named, joined)
    facts = {**({"card of": named} if joined.card else {}), **_stated(joined), **facts, "code": _trust(joined)}
    cards = (joined.card.path,) if joined.card else ()
    files = tuple(dict.fromkeys((*cards, *files, *code)))
    return Unopened(Source(spec, files, facts, notes), joined.classes, joined.class_map)


def _stated(loading: Loading) -> dict[str, str]:
    """Return the settings that card and options state; those of the network itself are not known."""
    inference = Inference.parse({"window": loading.window, "stride": loading.stride, "flip": loading.flip})
    kind = loading.output or "softmax"
    return {
        "preprocessing": str(Preprocessing.parse(loading.preprocessing)),
        "output": f"{kind} of head {loading.head}" if loading.head is not None else kind,
        "inference": inference.describe(kind),
    }


def _weights(spec: str, loading: Loading) -> tuple[tuple[Path, ...], dict[str, str], tuple[str, ...]]:
    """Read the weights that a specification names, if any: their file, their number and notes on them."""
    from segablate.weights import read_weights, state_dict

    place = split_weights(spec)[1] if spec.startswith("python:") else None
    if place is None:
        return (), {}, ()
    path = loading.located(place)
    weights = read_weights(path, key=loading.key)
    tensors = state_dict(weights, strip_prefix=loading.strip_prefix)
    values = sum(tensor.numel() for tensor in tensors.values())
    return (path,), {"weights": f"{thousands(len(tensors))} tensors, {thousands(values)} values"}, weights.notes


def _trust(loading: Loading) -> str:
    """Say that no code ran, and whether it may."""
    if loading.card is None:
        return "not run: pass --trust-code to open the network"
    state = "trusted" if is_trusted(loading.card) else "not trusted"
    return f"not run, {state}: pass --trust-code to open the network"
