"""What an exported file states about itself: class names, mean and std, and how its images are brought to size.

Read are the keys that exporters and tools write into an ONNX file's ``metadata_props``: Ultralytics (names, imgsz,
stride, task), Deepness for QGIS (class_names, standardization_mean), and the plain ones (labels, mean, std). Values are
JSON, a Python literal, or comma-separated.
"""

import ast
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from segablate.checkpoints.channels import channels_for
from segablate.checkpoints.preprocessing import Preprocessing
from segablate.checkpoints.segmenter import Loading
from segablate.errors import CheckpointError, counted, shorten

MOST_TEXT = 1 << 18
"""Characters of a value that is read."""

MOST_NAMES = 4096

NAMES = ("names", "class_names", "classes", "labels", "categories", "id2label")
MEANS = ("mean", "standardization_mean", "pixel_mean", "image_mean")
STDS = ("std", "standardization_std", "pixel_std", "image_std")

CONSTANTS = frozenset({"scale", "mean", "std", "divisor", "normalise"})
"""The steps that belong together: whoever states one of them states all."""

_BOXES = {"detect", "segment", "pose", "obb", "classify", "depth"}
"""Tasks of Ultralytics whose networks give no class for each pixel."""


@dataclass(frozen=True)
class Stated:
    """The statements of a file.

    - `classes`: names of the outputs, or None; `preprocessing`: its steps by their names in a card.
    - `facts`: where these come from, for the head of a table; `notes`: what was not taken.
    """

    classes: tuple[str, ...] | None = None
    preprocessing: Mapping[str, Any] = field(default_factory=dict)
    facts: Mapping[str, str] = field(default_factory=dict)
    notes: tuple[str, ...] = ()

    def start(self, loading: Loading) -> Preprocessing | None:
        """Return the steps that the file states, without its constants where `loading` has some; None without any."""
        left = CONSTANTS if CONSTANTS & loading.preprocessing.keys() else frozenset[str]()
        steps = {name: value for name, value in self.preprocessing.items() if name not in left}
        if not steps:
            return None
        count = len(steps.get("mean", ()))
        channels = channels_for(count) if count > 1 else "rgb"
        try:
            return Preprocessing.parse({"channels": channels, **steps})
        except CheckpointError as error:
            raise CheckpointError(f"its metadata state no usable preprocessing: {error}") from None


def read_statements(metadata: Mapping[str, str], what: str = "metadata_props") -> Stated:
    """Read text by key. Raises CheckpointError for a network of Ultralytics without a class for each pixel."""
    values = {key.lower(): value for key, value in metadata.items() if len(value) <= MOST_TEXT}
    task = values.get("task", "")
    ultralytics = "imgsz" in values and "stride" in values
    if ultralytics and task in _BOXES:
        raise CheckpointError(
            f"is a network of Ultralytics for task {task!r}, which returns no class for each pixel; export one of task "
            f"'semantic'"
        )
    names = next((found for key in NAMES if (found := _names(values.get(key, "")))), None)
    steps: dict[str, Any] = dict(_constants(values))
    facts = {"classes": f"{len(names)}, from the file's {what}"} if names else {}
    if ultralytics and not steps:
        steps = {"scale": "1/255", "mean": [0.0] * 3, "std": [1.0] * 3, **_letterbox(values["imgsz"])}
        facts["mean and std"] = f"those of Ultralytics {values.get('version', '')}".strip()[:60]
    elif steps:
        facts["mean and std"] = f"from the file's {what}"
    return Stated(names, steps, facts)


def for_outputs(stated: Stated, outputs: int | None) -> Stated:
    """Return the statements without class names where the network has another number of outputs, with a note."""
    names = stated.classes
    if names is None or outputs is None or outputs in (1, len(names)):
        return stated
    facts = {key: value for key, value in stated.facts.items() if key != "classes"}
    note = (
        f"the file names {counted(len(names), 'class', 'classes')} ({shorten(names, 3)}), but the network has "
        f"{counted(outputs, 'output')}; the names were left out"
    )
    return Stated(None, stated.preprocessing, facts, (*stated.notes, note))


def shown_facts(stated: Stated, loading: Loading, constants: bool = True) -> dict[str, str]:
    """Return the facts on what is taken from the file: not what `loading` overrides, nor unused constants."""
    left = {"classes"} if loading.classes else set()
    if not constants or CONSTANTS & loading.preprocessing.keys():
        left |= {"mean and std"}
    return {name: fact for name, fact in stated.facts.items() if name not in left}


def value_of(text: str) -> Any:
    """Return the value of JSON, or else of a Python literal; None where the text is neither."""
    for read in (json.loads, ast.literal_eval):
        try:
            return read(text)
        except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError):
            continue
    return None


def names_in(value: Any) -> tuple[str, ...] | None:
    """Return the names of a list, or of a mapping from places 0, 1, ... to names; None for anything else."""
    if isinstance(value, Mapping):
        places = {str(key): name for key, name in value.items()}
        value = [places.get(str(place)) for place in range(len(places))]
    if not isinstance(value, list | tuple) or not 1 <= len(value) <= MOST_NAMES:
        return None
    names = tuple(name.strip() if isinstance(name, str) else "" for name in value)
    return names if all(names) and len(set(names)) == len(names) else None


def _names(text: str) -> tuple[str, ...] | None:
    value = value_of(text)
    if value is None and text.strip():
        parts = text.splitlines() if "\n" in text.strip() else text.split(",")
        value = [part.strip() for part in parts if part.strip()]
        return names_in(value) if len(value) > 1 else None
    return names_in(value)


def _constants(values: Mapping[str, str]) -> Mapping[str, Any]:
    """Return mean and std, and the scale that fits them: constants above 1 are of pixels of 0..255."""
    mean = next((row for key in MEANS if (row := _numbers(values.get(key, "")))), None)
    std = next((row for key in STDS if (row := _numbers(values.get(key, "")))), None)
    if mean is None or std is None or not all(value > 0 for value in std):
        return {}
    count = max(len(mean), len(std))
    rows = [row * count if len(row) == 1 else row for row in (mean, std)]
    whole = max(map(abs, (*mean, *std))) > 1.001 and set(std) != {1.0}
    whole = whole or max(map(abs, mean)) > 1.001
    return {"scale": "1" if whole else "1/255", "mean": rows[0], "std": rows[1]}


def _letterbox(imgsz: str) -> dict[str, Any]:
    """Return the size of Ultralytics' letterbox, of which an input of fixed size has its own."""
    sides = value_of(imgsz)
    sides = [sides, sides] if isinstance(sides, int) else sides
    good = isinstance(sides, list) and len(sides) == 2 and all(isinstance(side, int) and side > 0 for side in sides)
    return {"letterbox": True, **({"resize": sides} if good else {})}


def _numbers(text: str) -> list[float] | None:
    """Return one to four finite numbers."""
    value = value_of(text.strip().strip("()[]").join("[]") if text.strip() else "")
    if not isinstance(value, list) or not 1 <= len(value) <= 4:
        return None
    good = all(isinstance(v, int | float) and not isinstance(v, bool) and abs(v) < 1e6 for v in value)
    return [float(v) for v in value] if good else None
