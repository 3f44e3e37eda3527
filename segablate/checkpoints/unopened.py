"""Checkpoints that hold or name code, described without running any of it."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from segablate.checkpoints import Loading, code_files, source_of
from segablate.checkpoints.assumptions import settle
from segablate.checkpoints.inference import Inference
from segablate.checkpoints.preprocessing import Preprocessing
from segablate.checkpoints.segmenter import Source, described_output
from segablate.checkpoints.sources import card
from segablate.checkpoints.specification import split_weights
from segablate.checkpoints.trust import is_trusted
from segablate.errors import at, counted
from segablate.weights.classes import Colour, class_colours, class_names
from segablate.weights.recognition import refuse_other

if TYPE_CHECKING:
    from segablate.weights import Weights


@dataclass(frozen=True)
class Unopened:
    """A checkpoint that was only read about: the parts of a segmenter that its files and options state."""

    source: Source
    classes: tuple[str, ...] | None
    colours: tuple[Colour, ...] | None
    class_map: Mapping[str, str | None] | None


def describe_unopened(spec: str, loading: Loading) -> Unopened | None:
    """Describe a checkpoint that runs code when it is opened, without running it, trusted or not; None for every other.

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
    if (source := source_of(named, joined)) is not None and source.name != "python":
        with at(code[0]):
            refuse_other(code[0], source.name)
    weights = _weights(named, joined)
    classes, colours, facts = joined.classes, None, _described(weights, joined)
    if weights is not None and classes is None and (classes := class_names(weights.extras)):
        colours = class_colours(weights.extras)
        facts["classes"] = f"{len(classes)}, from the file's meta"
    facts = {**({"card of": named} if joined.card else {}), **_stated(joined), **facts, "code": _trust(joined)}
    cards = (joined.card.path,) if joined.card else ()
    read = weights.files if weights else ()
    files = tuple(dict.fromkeys((*cards, *read, *code)))
    note = settle(Preprocessing(), joined.preprocessing).note
    said = [f"{note}; the network's own code may state them" if named.startswith("python:") else note] if note else []
    source = Source(spec, files, facts, (*(weights.notes if weights else ()), *said))
    return Unopened(source, classes, colours, joined.class_map)


def _stated(loading: Loading) -> dict[str, str]:
    """Return the settings that card and options state; those of the network itself are not known."""
    inference = Inference.parse(loading.passes())
    kind = loading.output or "softmax"
    return {
        "preprocessing": str(settle(Preprocessing(), loading.preprocessing).preprocessing),
        "output": described_output(kind, loading),
        "inference": inference.describe(kind),
    }


def _weights(spec: str, loading: Loading) -> "Weights | None":
    """Read the weights that a specification names, if any."""
    from segablate.weights import read_weights

    place = split_weights(spec)[1] if spec.startswith("python:") else None
    return None if place is None else read_weights(loading.located(place), key=loading.key)


def _described(weights: "Weights | None", loading: Loading) -> dict[str, str]:
    """Return the number of the weights."""
    from segablate.weights import state_dict

    if weights is None:
        return {}
    tensors = state_dict(weights, strip_prefix=loading.strip_prefix)
    values = sum(tensor.numel() for tensor in tensors.values())
    return {"weights": f"{counted(len(tensors), 'tensor')}, {counted(values, 'value')}"}


def _trust(loading: Loading) -> str:
    """Say that no code ran, and whether that of a card may."""
    if loading.card is None:
        return "not run: checkpoints show runs none"
    return f"not run: checkpoints show runs none; the card is {'' if is_trusted(loading.card) else 'not '}trusted"
