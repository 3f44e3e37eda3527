"""What :class:`segablate.Scores` keeps on the host: sums over images or, on demand, the counts of each image."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from segablate.api.counting import Counted, Counting
from segablate.api.totals import Totals
from segablate.errors import LabelError, RunError, UsageError, counted
from segablate.evaluation.joining import joined
from segablate.evaluation.results import Evaluation, collect, from_arrays, select, to_arrays
from segablate.labels import LabelSet
from segablate.metrics.calibration import RELIABILITY
from segablate.metrics.confusion import Confusion
from segablate.metrics.tolerance import Tolerance

_PARTS = 64
"""Batches that are kept apart before they are joined."""


@dataclass
class Kept:
    """Counts of the images of one process.

    - `sums`: of all images where `per_image` is false; else `parts` are evaluations of a few images each, in order.
    - `names`: those given by the user; images without one are called by number when a run is made of them.
    """

    labels: LabelSet
    tolerances: tuple[Tolerance, ...]
    per_image: bool
    sums: Totals = field(init=False)
    parts: list[Evaluation] = field(default_factory=list)
    names: set[str] = field(default_factory=set)
    images: int = 0

    def __post_init__(self) -> None:
        self.sums = Totals.none(len(self.labels), len(self.tolerances))

    def empty(self) -> "Kept":
        """Return the counts of no image."""
        return Kept(self.labels, self.tolerances, self.per_image)

    def checked_names(self, names: Sequence[str] | None, images: int) -> list[str]:
        """Return a name for each image of a batch, "" without one; remember them.

        Raises ValueError for names that do not fit, RunError for one that was counted before.
        """
        if names is None:
            return [""] * images
        given = [names] if isinstance(names, str) else list(names)
        if not self.per_image:
            raise ValueError("names are kept with the counts of each image; pass per_image=True to Scores, or no names")
        if len(given) != images or not all(isinstance(name, str) and name for name in given):
            raise ValueError(f"names must be {counted(images, 'text')}, one for each image of the batch")
        twice = [name for name in given if name in self.names or given.count(name) > 1]
        if twice:
            raise RunError(f"image {twice[0]!r} was counted before; call reset() between epochs, and name images once")
        self.names.update(given)
        return given

    def add(self, counts: Counted) -> None:
        """Add a batch; waits until it is on the host. Raises what :meth:`Counted.records` does."""
        try:
            records = counts.records(self.images)
        except Exception:
            self.names.difference_update(counts.names)
            raise
        part = collect(records, self.labels, facts={})
        self.images += part.images
        if not self.per_image:
            self.sums += Totals.of(part, self.tolerances)
            return
        self.parts.append(part)
        if len(self.parts) > _PARTS:
            self.parts = [joined(self.parts)]

    def totals(self) -> Totals:
        """Return the counts summed over images."""
        found = self.sums
        for part in self.parts:
            found += Totals.of(part, self.tolerances)
        return found

    def confusion(self) -> Confusion:
        """Return confusion counts per image, or of the whole set as if it were one image."""
        if not self.per_image:
            return Confusion.from_dense([self.sums.confusion], len(self.labels))
        return joined(self.parts).confusion if self.parts else Confusion.from_dense([], len(self.labels))

    def as_run(self, name: str, dataset: str, how: Counting) -> Evaluation:
        """Return the counts as an evaluation. UsageError where they are not per image, RunError without any."""
        from segablate.evaluation.loop import versions

        if not self.per_image:
            raise UsageError("only counts of each image make a run; pass per_image=True to Scores")
        if not self.parts:
            raise RunError("nothing was counted yet; call update() before")
        whole = joined(self.parts)
        names = tuple(given or f"{place:06d}" for place, given in enumerate(whole.names))
        if len(set(names)) < len(names):
            raise RunError("some images have a name that is the number of another one; name all of them, or none")
        notes = (
            ["images are called by their order; name them in update() to compare runs"] if not all(whole.names) else []
        )
        statistics = dict(whole.statistics)
        if how.calibration == "ece":
            del statistics[RELIABILITY]
            notes.append("calibration='ece' is not kept per image; a run holds it with calibration=True")
        facts = {
            "checkpoint": {"name": name, "output": how.output},
            "dataset": {"name": dataset, "split": "all", "images": len(names), "label set": self.labels.name},
            "measures": {"losses": {}, "tolerances": [str(each) for each in self.tolerances]},
            "versions": versions(),
        }
        return replace(whole, names=names, statistics=statistics, facts=facts, notes=(*whole.notes, *notes))

    def state(self) -> dict[str, Any]:
        """Return the counts as tensors and plain values."""
        arrays = to_arrays(joined(self.parts)) if self.parts else {}
        return {
            "images": self.images,
            "sums": _as_tensors(
                {
                    "confusion": self.sums.confusion,
                    "labelled_in": self.sums.labelled_in,
                    "boundary": self.sums.boundary,
                    **{f"statistic {name}": array for name, array in self.sums.statistics.items()},
                }
            ),
            "parts": _as_tensors(arrays),
        }

    def with_state(self, state: Mapping[str, Any]) -> "Kept":
        """Return the counts of :meth:`state`."""
        kept, sums = self.empty(), _as_arrays(state["sums"])
        kept.images = int(state["images"])
        statistics = {name.removeprefix("statistic "): sums[name] for name in sums if name.startswith("statistic ")}
        images = 0 if self.per_image else kept.images
        kept.sums = Totals(images, sums["confusion"], sums["labelled_in"], sums["boundary"], statistics)
        if state["parts"]:
            arrays = _as_arrays(state["parts"])
            unnamed = arrays["names"] == ""
            arrays["names"] = np.where(unnamed, [f"\0{place}" for place in range(len(unnamed))], arrays["names"])
            part = from_arrays(arrays, self.labels, facts={})
            names = tuple("" if none else name for none, name in zip(unnamed.tolist(), part.names, strict=True))
            kept.parts, kept.names = [replace(part, names=names)], {name for name in names if name}
        return kept


def merged_kept(kept: Sequence[Kept]) -> Kept:
    """Return the counts of several processes; a named image that several saw with equal counts is there once.

    Raises RunError for a named image with different counts.
    """
    whole = kept[0].empty()
    for each in kept:
        whole.sums += each.sums
        for part in each.parts:
            twice = [name for name in part.names if name in whole.names]
            for name in twice:
                _require_equal(whole.parts, part, name)
            new = [place for place, name in enumerate(part.names) if name not in whole.names]
            whole.parts += [select(part, new)] if new else []
            whole.names.update(name for name in part.names if name)
    whole.images = whole.sums.images + sum(part.images for part in whole.parts)
    return whole


def as_label_set(classes: "int | Sequence[str] | LabelSet") -> LabelSet:
    """Return a label set of so many classes, or of these names. Raises LabelError for none, and for too many."""
    if isinstance(classes, LabelSet):
        return classes
    if isinstance(classes, bool) or not isinstance(classes, int | Sequence):
        raise TypeError(f"classes must be a number, names or a LabelSet, not {type(classes).__name__}")
    if isinstance(classes, str):
        raise LabelError(f"classes is {classes!r}; give a list of names, or their number")
    names = tuple(f"class {index}" for index in range(classes)) if isinstance(classes, int) else tuple(classes)
    return LabelSet("classes", names, tuple((index,) for index in range(len(names))))


def _require_equal(parts: Sequence[Evaluation], part: Evaluation, name: str) -> None:
    before = next(each for each in parts if name in each.names)
    one, other = (select(run, [run.names.index(name)]) for run in (before, part))
    first, second = to_arrays(one), to_arrays(other)
    if not all(
        np.array_equal(first[key], second[key], equal_nan=array.dtype.kind == "f") for key, array in first.items()
    ):
        raise RunError(f"image {name!r} was counted twice, with different results; call reset() between epochs")


def _as_tensors(arrays: Mapping[str, np.ndarray]) -> dict[str, Any]:
    import torch

    return {
        name: array.tolist() if array.dtype.kind == "U" else torch.from_numpy(np.array(array))
        for name, array in arrays.items()
    }


def _as_arrays(plain: Mapping[str, Any]) -> dict[str, np.ndarray]:
    return {
        name: np.array(value, dtype=str) if isinstance(value, list) else value.cpu().numpy()
        for name, value in plain.items()
    }
