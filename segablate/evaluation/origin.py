"""Where the images and predictions of a run came from, kept with it so that a report finds them again.

Paths are those of the machine that evaluated. They decide no number, and nothing that is printed contains them.
"""

import os
from collections.abc import Mapping
from dataclasses import MISSING, fields, replace
from pathlib import Path
from typing import Any

from segablate.checkpoints.segmenter import Loading
from segablate.datasets.dataset import Dataset
from segablate.errors import RunError
from segablate.evaluation.results import Evaluation
from segablate.plain_values import check
from segablate.text_files import MalformedText

ORIGIN = "origin"
"""The entry of a run's facts."""

_ELSEWHERE = ("device", "folder", "card", "classes", "trust_code", "allow_download")
"""Options that belong to a machine, a card, or a decision that nobody else should make."""

_ORIGIN = {
    "folder": str,
    "dataset": str,
    "split": str,
    "label_size?": (str, None),
    "checkpoint": str,
    "options": {
        "precision?": str,
        "preprocessing?": {str: (str, float, [float], None)},
        "key?": str,
        "strip_prefix?": str,
        "output?": str,
        "head?": str,
        "class_map?": {str: (str, None)},
        "window?": [int],
        "stride?": [int],
        "flip?": (bool, str),
        "quarter_turns?": bool,
        "threshold?": float,
    },
    "predictions?": str,
}


def with_origin(
    run: Evaluation, checkpoint: str, dataset: Dataset, loading: Loading, predictions: Path | None = None
) -> Evaluation:
    """Return the run with its origin: working folder, dataset, checkpoint and options, and the predictions written."""
    origin = {
        "folder": os.getcwd(),
        "dataset": dataset.spec,
        "split": dataset.split,
        "label_size": dataset.reading.label_size,
        "checkpoint": checkpoint,
        "options": _options(loading),
        **({"predictions": os.path.abspath(predictions)} if predictions is not None else {}),
    }
    return replace(run, facts={**run.facts, ORIGIN: origin})


def origin_of(run: Evaluation) -> Mapping[str, Any] | None:
    """Return the origin of a run; None for a run of a version that kept none. RunError for one that is malformed."""
    origin = run.facts.get(ORIGIN)
    if origin is None:
        return None
    try:
        return check(origin, _ORIGIN, "its origin")
    except MalformedText as error:
        raise RunError(f"the run is damaged: {error}; evaluate again") from None


def loading_of(origin: Mapping[str, Any], loading: Loading) -> Loading:
    """Return the options of the run's checkpoint, on the device and with the trust of `loading`."""
    known = {name: value for name, value in origin["options"].items() if name in _kept()}
    sizes = {name: tuple(known[name]) for name in ("window", "stride") if name in known}
    if any(len(size) != 2 for size in sizes.values()):
        raise RunError("the run is damaged: its window or stride has not two sides; evaluate again")
    return replace(loading, **{**known, **sizes})


def _kept() -> list[str]:
    return [field.name for field in fields(Loading) if field.name not in _ELSEWHERE]


def _options(loading: Loading) -> dict[str, Any]:
    """Return the options that differ from the default, as JSON can hold them."""
    plain: dict[str, Any] = {}
    for field in fields(Loading):
        default = field.default_factory() if field.default_factory is not MISSING else field.default
        value = getattr(loading, field.name)
        if field.name in _kept() and value != default:
            plain[field.name] = (
                dict(value) if isinstance(value, Mapping) else list(value) if isinstance(value, tuple) else value
            )
    return plain
