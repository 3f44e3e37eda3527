"""The results of an evaluation, as dataclasses, data frames, tables and a saved run."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import numpy as np

from segablate.api import frames
from segablate.api.conventions import ConventionScores, scores_of
from segablate.api.summary import ClassScores, OverallScores, Summary, flat, summarise
from segablate.api.totals import Totals
from segablate.errors import counted
from segablate.evaluation import results
from segablate.evaluation.results import save_run
from segablate.metrics.boundary import boundary_f, boundary_sums
from segablate.metrics.confusion import class_counts, nanmean, pixel_accuracy
from segablate.metrics.conventions import convention_named
from segablate.metrics.image_level import image_miou
from segablate.metrics.tolerance import Tolerance
from segablate.render import render, summary_of
from segablate.render.html import to_html
from segablate.tables import Report
from segablate.tables.evaluation import View, evaluation_report, overall_table


@dataclass(frozen=True)
class ImageScores:
    """The scores of one image, shares in 0..1; nan where undefined.

    - `name`; `height`, `width` in pixels; `pixels`: those labelled.
    - `miou`: over the classes labelled in the image; `pixel_accuracy`: of labelled pixels.
    - `boundary_f`: mean over classes, by tolerance as written; `losses`: the value of each loss by name.
    """

    name: str
    height: int
    width: int
    pixels: int
    miou: float
    pixel_accuracy: float
    boundary_f: Mapping[str, float]
    losses: Mapping[str, float]


@dataclass(frozen=True, eq=False)
class Evaluation:
    """The results of a checkpoint on a dataset: what :func:`segablate.evaluate` and :func:`segablate.load` return.

    Displayed in a notebook as the tables that ``segablate evaluate`` prints; as text with :func:`print`.

    - `run`: the counts of every image, see ``docs/reference/run-format.md``.

    Examples:
        >>> import segablate
        >>> evaluation = segablate.evaluate("sample:ce", limit=3)
        >>> len(evaluation.images), evaluation.classes[0].name, evaluation.overall.images
        (3, 'sky', 3)
        >>> 0 < evaluation.overall.miou < 1
        True
    """

    run: results.Evaluation

    @property
    def name(self) -> str:
        """The checkpoint, as it was given."""
        return self.run.title

    @property
    def dataset(self) -> str:
        """The dataset, as it was given."""
        return str(self.run.facts["dataset"]["name"])

    @property
    def notes(self) -> tuple[str, ...]:
        """Sentences needed to read the numbers, as printed under the tables."""
        return self.report.notes

    @property
    def facts(self) -> Mapping[str, Any]:
        """What was run, as plain values: checkpoint, dataset, measures, versions."""
        return self.run.facts

    @property
    def overall(self) -> OverallScores:
        """The scores of the set."""
        return self.summary.overall

    @property
    def classes(self) -> tuple[ClassScores, ...]:
        """The scores of each class, in the order of class indices."""
        return self.summary.classes

    @cached_property
    def summary(self) -> Summary:
        """The scores of the set and of each class."""
        return summarise(Totals.of(self.run, self._tolerances), self.run.labels.names, self._tolerances)

    @cached_property
    def images(self) -> tuple[ImageScores, ...]:
        """The scores of each image, in the dataset's order."""
        run, counts = self.run, class_counts(self.run.confusion)
        miou, accuracy, pixels = image_miou(counts), pixel_accuracy(counts), counts.labelled.sum(axis=1)
        boundaries = {
            str(each): nanmean(boundary_f(boundary_sums(run.boundary, each)))
            for each in self._tolerances
            if run.boundary is not None
        }
        return tuple(
            ImageScores(
                name,
                int(run.sizes[place, 0]),
                int(run.sizes[place, 1]),
                int(pixels[place]),
                float(miou[place]),
                float(accuracy[place]),
                {key: float(values[place]) for key, values in boundaries.items()},
                {key: float(values[place]) for key, values in run.values.items()},
            )
            for place, name in enumerate(run.names)
        )

    @cached_property
    def losses(self) -> dict[str, float]:
        """The mean of each loss by name, over the images where it is finite; nan where it is for none."""
        return {
            name: float(nanmean(np.where(np.isfinite(each), each, np.nan))) for name, each in self.run.values.items()
        }

    @cached_property
    def intervals(self) -> dict[str, tuple[float, float]]:
        """The 95 % bootstrap confidence interval of each overall score, by its name; nan for too few images.

        Names are those of :meth:`OverallScores` in :meth:`Summary.as_dict`, such as ``miou`` and ``boundary_f_3``.
        """
        titles = {f"boundary F {_at(each)}": f"boundary_f_{each}".replace(".", "_") for each in self._tolerances}
        rows = {str(row["measure"]): row["interval"] for row in overall_table(self.run, self._view).rows}
        names = {**_TITLES, **titles}
        return {names[title]: interval for title, interval in rows.items() if title in names}  # type: ignore[misc]

    @cached_property
    def report(self) -> Report:
        """The tables of ``segablate evaluate``, as data."""
        return evaluation_report(self.run, self._view)

    def under(self, convention: str) -> ConventionScores:
        """Return the scores as another tool reports them for these counts, such as ``"mmseg"``.

        Raises:
            UsageError: for an unknown convention, and for one with boundaries of its own.
        """
        return scores_of(convention_named(convention), self.run.confusion, self.run.labels.names)

    def to_pandas(self, table: Literal["classes", "images", "overall"] = "classes") -> Any:
        """Return classes, images or overall scores as a ``pandas.DataFrame``, one row each; shares in 0..1.

        Raises:
            MissingExtra: without pandas.
            UsageError: for another table.
        """
        return frames.to_pandas(self._rows(table))

    def to_polars(self, table: Literal["classes", "images", "overall"] = "classes") -> Any:
        """Return classes, images or overall scores as a ``polars.DataFrame``; see :meth:`to_pandas`."""
        return frames.to_polars(self._rows(table))

    def save(self, path: str | Path) -> Path:
        """Save to a new folder, as ``segablate evaluate --save`` does, and return its path.

        Raises:
            RunError: where the folder exists or cannot be written.
        """
        save_run(self.run, Path(path), summary_of(self.run))
        return Path(path)

    def __repr__(self) -> str:
        overall = self.overall
        return f"Evaluation({self.name} on {self.dataset}: mIoU {overall.miou:.4f}, {counted(overall.images, 'image')})"

    def __str__(self) -> str:
        return render(self.report, "rich")

    def _repr_html_(self) -> str:
        return to_html(self.report)

    @property
    def _tolerances(self) -> tuple[Tolerance, ...]:
        if self.run.boundary is None:
            return ()
        return tuple(Tolerance.parse(text) for text in self.run.facts["measures"]["tolerances"])

    @property
    def _view(self) -> View:
        return View(tolerances=self._tolerances)

    def _rows(self, table: str) -> frames.Rows:
        from segablate.api.options import one_of

        one_of("table", table, ["classes", "images", "overall"])
        if table == "overall":
            return [flat(self.overall)]
        if table == "classes":
            return [{"name": each.name, **flat(each)} for each in self.classes]
        return [_image_row(each) for each in self.images]


def _image_row(image: ImageScores) -> dict[str, Any]:
    plain = {name: getattr(image, name) for name in ("name", "height", "width", "pixels", "miou", "pixel_accuracy")}
    boundaries = {f"boundary_f_{key.replace('.', '_')}": value for key, value in image.boundary_f.items()}
    return {**plain, **boundaries, **{f"loss_{name}": value for name, value in image.losses.items()}}


def _at(tolerance: Tolerance) -> str:
    from segablate.tables.boundaries import within

    return within(tolerance)


_TITLES = {
    "mIoU": "miou",
    "mean recall": "mean_recall",
    "pixel accuracy": "pixel_accuracy",
    "frequency-weighted IoU": "frequency_weighted_iou",
    "ECE (lower is better)": "ece",
}
