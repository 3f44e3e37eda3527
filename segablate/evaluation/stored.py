"""Check what a saved run, a piece or an entry of the cache holds, as anybody may have edited it.

The shapes are those of :mod:`segablate.plain_values`. Errors state the fact; the caller adds the path.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np

from segablate.errors import LabelError, RunError
from segablate.labels import LabelSet
from segablate.metrics import asl_edges, bands, boundary_iou, calibration, error_kinds, roc, trimap
from segablate.metrics.boundary import BoundaryCounts
from segablate.metrics.conventions.boundaries import BOUNDARIES
from segablate.metrics.probability_bins import BINS
from segablate.plain_values import check

_FILES = {str: str}
_DATASET = {"name": str, "images": int}
_REPORTED = {"checkpoint": {"name": str}, "dataset": _DATASET}
_MEASURED = {
    "checkpoint": {"name": str, "files?": _FILES, "device?": str, "inference?": object},
    "dataset": {**_DATASET, "split": str},
    "measures": {"losses": {str: str}, "tolerances": [str], "boundary_iou?": str, "error_kinds?": str},
    "versions": {str: str},
    "timing?": {"milliseconds per image?": (float, None), "evaluated on?": str},
    "command?": str,
    "origin?": object,
}
_RUN = {"kind": str, "written": str, "facts": _REPORTED, "files": _FILES}
_EVALUATION = {**_RUN, "facts": _MEASURED, "labels": object, "notes": [str], "skipped": [{"name": str, "reason": str}]}

_LABELS = {
    "name": str,
    "names": [str],
    "codes": [[int]],
    "void": (None, [int]),
    "colours": [[int]],
    "encoding": str,
    "merged_from?": object,
}


def check_run(described: Any) -> dict[str, Any]:
    """Return the description of a run. Raises MalformedText for one that no program of this project writes."""
    kind = check(described, {"kind": str}, "run.json")["kind"]
    return check(described, _EVALUATION if kind == "evaluation" else _RUN, "run.json")


def label_set(plain: Any, depth: int = 2) -> LabelSet:
    """Return a label set from its plain values. Raises MalformedText, LabelError and RunError."""
    check(plain, _LABELS, "its label set")
    if plain["encoding"] not in ("codes", "colours") or any(len(colour) != 3 for colour in plain["colours"]):
        raise RunError("its label set has an encoding or a colour that is none; evaluate again")
    if not all(0 <= part <= 255 for colour in plain["colours"] for part in colour):
        raise RunError("its label set has a colour that is none; evaluate again")
    before = plain.get("merged_from")
    labels = LabelSet(
        plain["name"],
        tuple(plain["names"]),
        tuple(map(tuple, plain["codes"])),
        None if plain["void"] is None else tuple(plain["void"]),
        tuple(map(tuple, plain["colours"])),
        plain["encoding"],
        label_set(before, depth - 1) if before is not None and depth else None,
    )
    if not all(-(1 << 63) <= code < 1 << 63 for code in labels.void or ()) or not all(labels.codes):
        raise LabelError("its label set has a class without codes, or a void code that is none; evaluate again")
    return labels


def check_counts(arrays: Mapping[str, np.ndarray], labels: LabelSet) -> None:
    """Raise RunError for arrays of ``counts.npz`` that do not fit each other or the label set."""
    names = arrays.get("names", np.zeros(0))
    images, classes = names.size, len(labels)
    _require(arrays, "names", "U", (images,))
    _require(arrays, "label_hashes", "U", (images,))
    _require(arrays, "sizes", "iu", (images, 2), range(1 << 31))
    _require(arrays, "classes", "iu", (), range(classes, classes + 1))
    _check_texts(arrays)
    for prefix in ("", *(["alternative_"] if "alternative_image" in arrays else [])):
        _check_confusion(arrays, prefix, images, classes)
    for name in arrays:
        if name.startswith("value_"):
            _require(arrays, name, "fiu", (images,))
        elif name.startswith("tally_"):
            _require(arrays, name, "fiub", (images, *arrays[name].shape[1:]))
    _check_statistics(arrays, images, classes)


def check_boundary(counts: BoundaryCounts, images: int, classes: int) -> None:
    """Raise RunError for boundary counts of other images or classes, or with negative entries."""
    columns = (*counts.rows.values(), counts.reach, counts.sizes)
    if len(counts.sizes) != images or counts.classes != classes or any((column < 0).any() for column in columns):
        raise RunError("boundary counts do not fit its images and classes; evaluate again")


def _check_confusion(arrays: Mapping[str, np.ndarray], prefix: str, images: int, classes: int) -> None:
    rows = max(
        (arrays[f"{prefix}{name}"].size for name in ("image", "pixels") if f"{prefix}{name}" in arrays), default=0
    )
    limits = {"image": images, "label": classes + 1, "predicted": classes + 1, "pixels": 1 << 62}
    for name, limit in limits.items():
        _require(arrays, f"{prefix}{name}", "iu", (rows,), range(limit))


def _check_statistics(arrays: Mapping[str, np.ndarray], images: int, classes: int) -> None:
    """Check the shapes of the statistics that are there; those of calibration only occur together."""
    named = {name.removeprefix("tally_") for name in arrays if name.startswith("tally_")}
    together = {calibration.RELIABILITY, calibration.CLASS_GAPS, calibration.PROPER, bands.STATISTIC}
    if calibration.RELIABILITY in named and not together <= named:
        raise RunError("lacks a part of the counts of calibration; evaluate again")
    if (trimap.COUNTS in named) != (trimap.WIDTHS in named):
        raise RunError("lacks a part of the counts in trimaps; evaluate again")
    for name, shape in _shapes(arrays, classes).items():
        if name in named:
            _require(arrays, f"tally_{name}", "fiu", (images, *shape))


def _shapes(arrays: Mapping[str, np.ndarray], classes: int) -> dict[str, tuple[int, ...]]:
    """Return the shape of each statistic for one image."""
    widths = arrays.get(f"tally_{trimap.WIDTHS}", np.zeros((0, 0))).shape[-1]
    return {
        calibration.RELIABILITY: (len(bands.BANDS), BINS, 3),
        calibration.CLASS_GAPS: (classes, BINS),
        calibration.PROPER: (len(bands.BANDS), 2),
        bands.STATISTIC: (len(bands.BANDS), 2),
        boundary_iou.STATISTIC: (3, classes),
        error_kinds.STATISTIC: (len(error_kinds.SIDES), len(error_kinds.KINDS), classes),
        roc.STATISTIC: (2, roc.BINS),
        trimap.COUNTS: (widths, 3, classes),
        trimap.WIDTHS: (widths,),
        asl_edges.NEAR: (3, classes),
        asl_edges.EDGES: (4, classes),
        **{each.statistic: (*_first(arrays, each.statistic), classes) for each in BOUNDARIES},
    }


def _first(arrays: Mapping[str, np.ndarray], name: str) -> tuple[int, ...]:
    """Return the distances and the sums of a boundary convention, which are as many as were asked for."""
    return arrays.get(f"tally_{name}", np.zeros((0, 0, 0, 0))).shape[1:3]


def _require(
    arrays: Mapping[str, np.ndarray], name: str, kinds: str, shape: tuple[int, ...], within: range | None = None
) -> None:
    """Raise RunError for an array that is missing, of another shape or type, or with values outside its range."""
    found = arrays.get(name)
    if found is None:
        raise RunError(f"has no array {name[:60]!r}; evaluate again")
    if found.dtype.kind not in kinds or found.shape != shape:
        expected = "x".join(map(str, shape)) or "one value"
        shown = "x".join(map(str, found.shape)) or "one value"
        raise RunError(
            f"holds {name[:60]} as {found.dtype} of shape {shown}, but it must be {expected}; evaluate again"
        )
    if found.size and within is not None and not (int(found.min()) in within and int(found.max()) in within):
        raise RunError(f"holds {name[:60]} outside its range; evaluate again")


def _check_texts(arrays: Mapping[str, np.ndarray]) -> None:
    """Raise RunError for texts with characters that do not exist, and for names that repeat."""
    try:
        names = arrays["names"].tolist()
        arrays["label_hashes"].tolist()
    except ValueError:
        raise RunError("holds names that are no text; evaluate again") from None
    if len(set(names)) < len(names):
        raise RunError("holds an image twice; evaluate again")
