"""A YAML file with all that is needed to run a checkpoint as it was trained: ``CARD.yaml``.

Code that it names, by a ``source`` of ``python:``, ``torchscript:``, ``module:`` or ``pt2:``, runs only with
``--trust-code``, or after ``segablate checkpoints trust CARD.yaml``.

::

    source: python:espnet.py:espnet(num_classes=12)   # or any other source; paths are relative to the card
    weights: espnet.pth                               # for a source that names a network
    preprocessing: {channels: bgr, scale: 1, mean: [110.3, 108.4, 105.0], std: [72.1, 72.7, 69.9], divisor: 255}
    output: softmax                                   # softmax, sigmoid, probabilities, or labels
    head: out                                         # optional: name or place of one of several outputs
    threshold: 0.4                                    # optional: of two classes, when a pixel is of the second
    inference: {window: 512, stride: 341, flip: true} # optional: sliding windows, mirrored images
    classes: [sky, building, ..., void]               # names of the outputs, in order; or a label set, as in voc2012
    class_map: {void: null}                           # optional: checkpoint class -> dataset class, or null
    key: model_state_dict                             # optional: key path to the weights in the file
    strip_prefix: module.                             # optional: prefix to cut off the keys
"""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from segablate.checkpoints import Loading, Segmenter, code_files, open_checkpoint
from segablate.checkpoints.catalogue import takes_weights
from segablate.checkpoints.inference import Inference
from segablate.checkpoints.preprocessing import Preprocessing
from segablate.checkpoints.specification import split_weights
from segablate.checkpoints.trust import CardFile, digest_of
from segablate.errors import CheckpointError, DatasetError, at, did_you_mean
from segablate.limits import TooLarge
from segablate.text_files import MalformedText, decode_text, read_bytes
from segablate.yaml_files import YAML_BYTES, parse_yaml

SUFFIXES = (".yaml", ".yml")

KEYS = (
    "source",
    "weights",
    "preprocessing",
    "output",
    "head",
    "threshold",
    "inference",
    "classes",
    "class_map",
    "key",
    "strip_prefix",
)


def open_source(place: str, loading: Loading) -> Segmenter:
    """Open the checkpoint that a card describes; `loading` overrides the card.

    Raises CheckpointError for a malformed card.
    """
    described = describe(place, loading)
    path, spec = described.path, described.spec
    opened = open_checkpoint(spec, described.loading)
    facts = {"card of": spec, **opened.source.facts}
    source = replace(opened.source, spec=place, files=(path, *opened.source.files), facts=facts)
    return replace(opened, source=source)  # type: ignore[type-var]


@dataclass(frozen=True)
class DescribedCheckpoint:
    """The checkpoint of a card: its specification, and the options to open it with; nothing has run."""

    path: Path
    spec: str
    loading: Loading


def describe(place: str, loading: Loading) -> DescribedCheckpoint:
    """Read a card and find the code that it names, without running any. Raises CheckpointError for a malformed card."""
    path = loading.located(place)
    data, card = _read(path)
    with at(path):
        spec = _specification(card)
        stated = _loading(card, path.parent)
    file = CardFile(path, digest_of(data))
    joined = loading.over(replace(stated, card=file))
    code = code_files(spec, joined) or ()
    return DescribedCheckpoint(path, spec, replace(joined, card=replace(file, code=code)))


def read_card(path: Path) -> dict[str, Any]:
    """Read the mapping of a card. Raises CheckpointError when it is missing or malformed, and for wrong entries."""
    return _read(path)[1]


def _read(path: Path) -> tuple[bytes, dict[str, Any]]:
    """Return the bytes of a card and the mapping in them, read once: trust is in these very bytes."""
    if not path.is_file():
        raise CheckpointError(f"{path}: no such card; `segablate checkpoints init SPEC` writes a draft")
    with at(path):
        try:
            data = read_bytes(path, YAML_BYTES)
            card = parse_yaml(decode_text(data))
        except (MalformedText, TooLarge) as error:
            raise CheckpointError(str(error)) from None
        if not isinstance(card, dict) or not isinstance(card.get("source"), str):
            raise CheckpointError(
                "is not a checkpoint card; it must have an entry source, as in source: python:net.py:make()"
            )
        _check(card)
    return data, card


def _specification(card: dict[str, Any]) -> str:
    """Return the specification of a card, as written on the command line in the card's folder."""
    spec, weights = card["source"].strip(), card.get("weights")
    if spec.startswith("card:") or Path(spec).suffix in (".yaml", ".yml"):
        raise CheckpointError(f"source is {spec!r}, another card; give the checkpoint itself")
    if not weights:
        return spec
    source, _, rest = spec.partition(":")
    if not takes_weights(source) or split_weights(rest)[1]:
        raise CheckpointError(
            f"weights is {str(weights)!r}, but source {spec!r} already names its file; remove one of them"
        )
    return f"{spec}@{weights}"


def _loading(card: dict[str, Any], folder: Path) -> Loading:
    """Return the options of a card. Raises CheckpointError for values of the wrong form."""
    Preprocessing.parse(card.get("preprocessing") or {})
    inference = Inference.parse(card.get("inference") or {})
    return Loading(
        preprocessing=card.get("preprocessing") or {},
        key=card.get("key"),
        strip_prefix=card.get("strip_prefix"),
        output=card.get("output"),
        head=None if card.get("head") is None else str(card["head"]),
        classes=_classes(card.get("classes")),
        class_map=card.get("class_map"),
        window=inference.window,
        stride=inference.stride,
        flip=inference.flip,
        quarter_turns=inference.quarter_turns,
        threshold=card.get("threshold"),
        folder=folder,
    )


def _classes(stated: list[Any] | str | None) -> tuple[str, ...] | None:
    """Return the names of the outputs; text is the name of a published label set."""
    if not stated:
        return None
    if isinstance(stated, list):
        return tuple(map(str, stated))
    from segablate.datasets import label_set_named

    try:
        return label_set_named(stated).names
    except DatasetError as error:
        raise CheckpointError(f"classes must be a list of names, or the name of a label set: {error}") from None


def _check(card: dict[str, Any]) -> None:
    for key in card:
        if key not in KEYS:
            raise CheckpointError(f"has an unknown entry {key!r}{did_you_mean(str(key), KEYS)}")
    for key, example in (("preprocessing", "{channels: bgr, scale: 1}"), ("inference", "{window: 512, flip: true}")):
        if not isinstance(card.get(key) or {}, dict):
            raise CheckpointError(f"{key} must be a mapping, as in {example}")
    for key, example in (("key", "model.state_dict"), ("strip_prefix", "module."), ("output", "softmax")):
        if not isinstance(card.get(key) or "", str):
            raise CheckpointError(f"{key} is {card[key]!r}, but must be text, as in {example}; quote it")
    if not isinstance(card.get("classes") or [], list | str):
        raise CheckpointError("classes must be a list of names, or the name of a label set, as in voc2012")
    if not isinstance(card.get("class_map") or {}, dict):
        raise CheckpointError("class_map must map checkpoint classes to dataset classes, as in {void: null}")
