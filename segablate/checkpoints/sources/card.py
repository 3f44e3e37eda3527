"""A YAML file with all that is needed to run a checkpoint as it was trained: ``CARD.yaml``.

Code that it names, by a ``source`` of ``python:``, ``torchscript:``, ``module:`` or ``pt2:``, runs only with
``--trust-code``, or after ``segablate checkpoints trust CARD.yaml``.

::

    source: python:espnet.py:espnet(num_classes=12)   # or any other source; paths are relative to the card
    weights: espnet.pth                               # for a source that names a network
    preprocessing: {channels: bgr, scale: 1, mean: [110.3, 108.4, 105.0], std: [72.1, 72.7, 69.9], divisor: 255}
    output: softmax                                   # softmax, sigmoid, probabilities, or labels
    head: out                                         # optional: name or place of one of several outputs
    inference: {window: 512, stride: 341, flip: true} # optional: sliding windows, mirrored images
    classes: [sky, building, ..., void]               # names of the outputs, in order
    class_map: {void: null}                           # optional: checkpoint class -> dataset class, or null
    key: model_state_dict                             # optional: key path to the weights in the file
    strip_prefix: module.                             # optional: prefix to cut off the keys
"""

import os
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from segablate.checkpoints import Loading, Segmenter, code_files, open_checkpoint
from segablate.checkpoints.inference import Inference
from segablate.checkpoints.preprocessing import Preprocessing
from segablate.checkpoints.sources import python
from segablate.checkpoints.specification import split_weights
from segablate.checkpoints.trust import CardFile, digest_of
from segablate.errors import CheckpointError, at, did_you_mean
from segablate.files import is_utf8, user_path, write_atomically, writing
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
    "inference",
    "classes",
    "class_map",
    "key",
    "strip_prefix",
)

_WEIGHTED = ("python", "torchvision", "smp", "builtin")
"""Sources whose specification names a network and, after ``@``, its weights."""


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


def write_card(
    path: Path, spec: str, outputs: int | None = None, stated: Preprocessing | None = None, kind: str = "softmax"
) -> None:
    """Write a draft of a card for a specification, which the user corrects.

    `outputs`: number of outputs, or None; `stated` and `kind`: preprocessing and output of the source. Raises
    CheckpointError when the file exists.
    """
    import yaml

    if os.path.exists(path):
        raise CheckpointError(f"{path} exists already; choose another --out, or remove it")
    if not is_utf8(spec):
        raise CheckpointError(f"{spec}: its name is not UTF-8, in which cards are written; rename the file")
    known = stated if stated and stated != Preprocessing() else _START
    values = {name: "null" if value is None else str(value) for name, value in known.plain().items()}
    many = f" ({outputs})" if outputs else ""
    source = yaml.safe_dump(_named(spec, path.parent), sort_keys=False, allow_unicode=True, width=10_000).strip()
    with writing(path):
        write_atomically(path, _FIRST.format(source=source, outputs=many, kind=kind, **values))


_START = Preprocessing(mean=(0.485, 0.456, 0.406), std=(0.229, 0.224, 0.225))
"""The preprocessing in a draft where the source states none: ImageNet's constants."""

_FIRST = """\
# A checkpoint card. Paths are relative to this file. A mistake here makes scores fall to chance.
{source}

# x = ((pixels 0..255 in this channel order * scale) - mean) / std / divisor; ImageNet's constants are
# mean [0.485, 0.456, 0.406] and std [0.229, 0.224, 0.225].
preprocessing:
  channels: {channels:<15}# rgb (Pillow, torchvision) or bgr (OpenCV)
  scale: {scale:<18}# 1 where mean and std are given for 0..255
  mean: {mean}
  std: {std}
  divisor: {divisor}
  resize: {resize:<17}# [height, width] where the network was trained at a fixed size
  pad_to_multiple: {pad_to_multiple:<8}# 32 where the sides must divide by 32

output: {kind:<19}# output of the network: softmax or sigmoid logits (softmax, sigmoid), probabilities, or labels

inference:
  window: null             # side, or [height, width], of a sliding window
  stride: null             # two thirds of the window where null
  flip: false              # average the logits with those of the mirrored image

# Names of the outputs{outputs}, in order, as in [road, car]; null: those of the checkpoint file, or else the
# classes of the dataset, in its order.
classes: null
class_map: null            # for names that differ: {{checkpoint class: dataset class, other: null}}
"""


def _named(spec: str, folder: Path) -> dict[str, str]:
    """Return the entries source and weights for a specification, with paths relative to the card's folder."""

    def moved(place: str) -> str:
        given = user_path(place)
        return str(given) if given.is_absolute() else Path(os.path.relpath(given, folder)).as_posix()

    source, _, rest = spec.partition(":")
    network, weights = split_weights(rest)
    if source not in _WEIGHTED or (source == "smp" and not (weights or "(" in network)):
        return {"source": spec if source == "sample" else f"{source}:{moved(rest)}" if rest else moved(spec)}
    if source == "python" and (parts := python.parse_spec(network)).module.endswith(".py"):
        network = str(replace(parts, module=moved(parts.module))).removeprefix("python:")
    return {"source": f"{source}:{network}", "weights": moved(weights) if weights else "weights.pth"}


def _specification(card: dict[str, Any]) -> str:
    """Return the specification of a card, as written on the command line in the card's folder."""
    spec, weights = card["source"].strip(), card.get("weights")
    if spec.startswith("card:") or Path(spec).suffix in (".yaml", ".yml"):
        raise CheckpointError(f"source is {spec!r}, another card; give the checkpoint itself")
    if not weights:
        return spec
    source, _, rest = spec.partition(":")
    if source not in _WEIGHTED or split_weights(rest)[1]:
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
        classes=tuple(map(str, card["classes"])) if card.get("classes") else None,
        class_map=card.get("class_map"),
        window=inference.window,
        stride=inference.stride,
        flip=inference.flip,
        folder=folder,
    )


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
    if not isinstance(card.get("classes") or [], list):
        raise CheckpointError("classes must be a list of names")
    if not isinstance(card.get("class_map") or {}, dict):
        raise CheckpointError("class_map must map checkpoint classes to dataset classes, as in {void: null}")
