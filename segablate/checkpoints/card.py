"""A checkpoint card: a YAML file that says all that is needed to run a checkpoint as it was trained.

::

    source: python:espnet.py:espnet(num_classes=12)   # or any other source; paths are relative to the card
    weights: espnet.pth
    preprocessing: {channels: bgr, scale: 1, mean: [110.3, 108.4, 105.0], std: [72.1, 72.7, 69.9], divisor: 255}
    output: softmax                                   # softmax, sigmoid or probabilities
    classes: [sky, building, ..., void]               # names of the outputs, in order
    class_map: {void: null}                           # optional: checkpoint class -> dataset class, or null
    key: model_state_dict                             # optional: where the weights are in the file
    strip_prefix: module.                             # optional
"""

from dataclasses import replace
from pathlib import Path
from typing import Any

from segablate.checkpoints import python
from segablate.checkpoints.preprocessing import Preprocessing
from segablate.checkpoints.segmenter import Loading, Segmenter
from segablate.errors import CheckpointError, at, did_you_mean
from segablate.files import write_atomically

KEYS = ("source", "weights", "preprocessing", "output", "classes", "class_map", "key", "strip_prefix")


def open_source(place: str, loading: Loading) -> Segmenter:
    """Load what a card describes; the command line's `loading` overrides the card."""
    path = Path(place)
    card = read_card(path)
    with at(path):
        preprocessing = Preprocessing.parse(card.get("preprocessing") or {})
        spec = _located(card, path.parent)
    merged = replace(
        loading,
        key=loading.key or card.get("key"),
        strip_prefix=loading.strip_prefix or card.get("strip_prefix"),
    )
    classes = tuple(map(str, card["classes"])) if card.get("classes") else None
    network = python.open_python(
        spec,
        merged,
        preprocessing,
        str(card.get("output", "softmax")),
        classes=classes,
        class_map=card.get("class_map"),
    )
    source = replace(
        network.source,
        spec=place,
        files=(path, *network.source.files),
        facts={"card of": str(spec), **network.source.facts},
    )
    return replace(network, source=source)  # type: ignore[type-var]


def read_card(path: Path) -> dict[str, Any]:
    """The mapping of a card; CheckpointError when it is missing, malformed, or has unknown or wrong entries."""
    import yaml

    if not path.is_file():
        raise CheckpointError(f"{path}: there is no such card; `segablate checkpoints init SPEC` writes a first one")
    with at(path):
        try:
            card = yaml.safe_load(path.read_text(encoding="utf-8"))
        except (yaml.YAMLError, UnicodeDecodeError) as error:
            raise CheckpointError(f"is not valid YAML: {' '.join(str(error).split())}") from None
        if not isinstance(card, dict) or not isinstance(card.get("source"), str):
            raise CheckpointError(
                "is not a checkpoint card: it must name its source, as in source: python:net.py:make()"
            )
        _check(card)
    return card


def write_card(path: Path, spec: str, outputs: int | None = None) -> None:
    """Write a first card for a ``python:`` specification, to be corrected by the person who knows."""
    parts = python.parse_spec(spec.removeprefix("python:"))
    if path.exists():
        raise CheckpointError(f"{path} is there already; choose another --out, or remove it")
    names = "".join(f"  - class{index}\n" for index in range(outputs or 0)) or "  []\n"
    write_atomically(path, _FIRST.format(source=parts, weights=parts.weights or "weights.pth", names=names))


_FIRST = """\
# A checkpoint card. Paths are relative to this file. What is wrong here shows as a score near chance.
source: {source}
weights: {weights}

# x = ((pixels 0..255 in this channel order * scale) - mean) / std / divisor; these are ImageNet's constants.
preprocessing:
  channels: rgb            # rgb (Pillow, torchvision) or bgr (OpenCV)
  scale: 1/255             # 1 where mean and std are given for 0..255
  mean: [0.485, 0.456, 0.406]
  std: [0.229, 0.224, 0.225]
  divisor: 1
  resize: null             # [height, width] where the network was trained at a fixed size
  pad_to_multiple: null    # 32 where the sides must divide by 32

output: softmax            # what the network gives: softmax or sigmoid logits, or probabilities

# Names of the outputs, in order; where the dataset has them in another order, they are matched by name.
classes:
{names}
class_map: null            # where the names differ: {{checkpoint class: dataset class, other: null}}
"""


def _located(card: dict[str, Any], folder: Path) -> python.PythonSpec:
    """The specification with paths seen from the working directory."""
    source = card["source"]
    if not source.startswith("python:"):
        raise CheckpointError(f"source is {source!r}; expected python:package.module:factory(...)")
    spec = python.parse_spec(source.removeprefix("python:"))
    module = str(folder / Path(spec.module).expanduser()) if spec.module.endswith(".py") else spec.module
    weights = card.get("weights") or spec.weights
    return replace(spec, module=module, weights=str(folder / Path(weights).expanduser()) if weights else None)


def _check(card: dict[str, Any]) -> None:
    for key in card:
        if key not in KEYS:
            raise CheckpointError(f"has an unknown entry {key!r}{did_you_mean(str(key), KEYS)}")
    if not isinstance(card.get("preprocessing") or {}, dict):
        raise CheckpointError("preprocessing must be a mapping, as in {channels: bgr, scale: 1}")
    if not isinstance(card.get("classes") or [], list):
        raise CheckpointError("classes must be a list of names")
    if not isinstance(card.get("class_map") or {}, dict):
        raise CheckpointError("class_map must map checkpoint classes to dataset classes, as in {void: null}")
