"""``segablate.compare``: runs, checkpoints or scores on the same images, paired."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Unpack

from segablate import comparison as paired
from segablate.api import frames, options
from segablate.api.differences import ClassDifference, Difference
from segablate.api.evaluating import evaluate
from segablate.api.evaluation import Evaluation
from segablate.api.given import name_of
from segablate.api.scores import Scores
from segablate.comparison.differences import PairedDifferences
from segablate.comparison.scores import Method, shared_tolerances
from segablate.errors import UsageError, counted
from segablate.evaluation import results
from segablate.evaluation.runs import is_run
from segablate.render import render
from segablate.render.html import to_html
from segablate.render.saving import save_comparison
from segablate.statistics.paired import Difference as Paired
from segablate.tables import Report
from segablate.tables.comparison import comparison_report, verdict
from segablate.tables.differences import LETTERS, SIGNIFICANT

MOST = len(LETTERS)


@dataclass(frozen=True, eq=False)
class Comparison:
    """Two or more runs on the same images: what :func:`segablate.compare` returns.

    Displayed in a notebook as the tables that ``segablate compare`` prints. Differences are of each later run and the
    first one.

    - `runs`: the evaluations by name, on the images that are compared; `result`: all statistics, as arrays.

    Examples:
        >>> import segablate
        >>> comparison = segablate.compare("sample:ce", "sample:weighted", limit=6)
        >>> comparison.names
        ('sample:ce', 'sample:weighted')
        >>> comparison.differences[0].measure
        'miou'
    """

    runs: Mapping[str, Evaluation]
    result: paired.Comparison

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the runs, in order."""
        return self.result.names

    @property
    def verdict(self) -> str:
        """The conclusion on mIoU in a sentence; runs are called A, B and so on."""
        return verdict(self.result)

    @cached_property
    def differences(self) -> tuple[Difference, ...]:
        """The differences of every measure that all runs have, of each later run and the first."""
        return tuple(
            self._difference(pair, measure.key, pair.measures[measure.key])
            for pair in self._against_first
            for measure in self.result.measures
        )

    @cached_property
    def classes(self) -> tuple[ClassDifference, ...]:
        """The differences of the IoU of every class, of each later run and the first."""
        return tuple(
            self._class_difference(pair, place, name)
            for pair in self._against_first
            for place, name in enumerate(self.result.classes)
        )

    @cached_property
    def report(self) -> Report:
        """The tables of ``segablate compare``, as data."""
        return comparison_report(self.result, {name: each.run for name, each in self.runs.items()})

    def to_pandas(self, table: str = "differences") -> Any:
        """Return ``"differences"``, ``"classes"`` or a table of `report` by its name as a ``pandas.DataFrame``.

        Raises:
            MissingExtra: without pandas.
            UsageError: for another table.
        """
        return frames.to_pandas(self._rows(table))

    def to_polars(self, table: str = "differences") -> Any:
        """Return a table as a ``polars.DataFrame``; see :meth:`to_pandas`."""
        return frames.to_polars(self._rows(table))

    def save(self, path: str | Path) -> Path:
        """Save to a new folder, as ``segablate compare --save`` does, and return its path.

        Raises:
            RunError: where the folder exists or cannot be written.
        """
        save_comparison(self.report, {name: each.run for name, each in self.runs.items()}, Path(path))
        return Path(path)

    def __repr__(self) -> str:
        return f"Comparison({' and '.join(self.names)}: {self.verdict})"

    def __str__(self) -> str:
        return render(self.report, "rich")

    def _repr_html_(self) -> str:
        return to_html(self.report)

    @property
    def _against_first(self) -> list[PairedDifferences]:
        return [pair for pair in self.result.pairs if pair.a == 0]

    def _difference(self, pair: PairedDifferences, key: str, found: Paired) -> Difference:
        interval = found.change.percentile
        return Difference(
            key,
            self.names[pair.a],
            self.names[pair.b],
            float(found.a),
            float(found.b),
            float(found.change.value),
            float(interval.low),
            float(interval.high),
            float(found.p),
            bool(found.p < SIGNIFICANT),
            float(pair.detectable[key]),
        )

    def _class_difference(self, pair: PairedDifferences, place: int, name: str) -> ClassDifference:
        change, p = pair.iou.change, float(pair.iou_holm[place])
        return ClassDifference(
            name,
            self.names[pair.a],
            self.names[pair.b],
            float(self.result.iou[pair.a, place]),
            float(self.result.iou[pair.b, place]),
            float(change.value[place]),
            float(change.percentile.low[place]),
            float(change.percentile.high[place]),
            p,
            p < SIGNIFICANT,
        )

    def _rows(self, table: str) -> frames.Rows:
        if table in ("differences", "classes"):
            return [vars(each) for each in getattr(self, table)]
        return frames.rows_of(self.report, table)


def compare(
    *runs: Any,
    on: Any = None,
    names: Sequence[str] | None = None,
    intersect: bool = False,
    group_by: str | None = None,
    replicates: int = 10_000,
    seed: int = 0,
    tolerance: options.Tolerances | None = None,
    void_as_error: bool = False,
    split: str | None = None,
    limit: int | None = None,
    images: str | Path | Iterable[str] | None = None,
    label_size: Any = None,
    classes: Any = None,
    losses: str | Iterable[str] | None = None,
    calibration: bool | None = None,
    batch_size: int = 4,
    workers: int = 0,
    cache: bool = True,
    save: str | Path | None = None,
    progress: Any = False,
    **loading: Unpack[options.LoadingOptions],
) -> Comparison:
    """Compare two or more runs on the same images, with paired statistics, as ``segablate compare`` does.

    Args:
        runs: each an :class:`Evaluation`, a folder of a saved run, :class:`Scores` with ``per_image=True`` and named
            images, or a checkpoint as :func:`evaluate` takes it, which is evaluated.
        on: the dataset on which checkpoints are evaluated; by default the sample data for sample checkpoints. Pairs
            must be a sequence, as each checkpoint reads them.
        names: what the runs are called; by default what was given.
        intersect: compare on the images that all runs have, where these differ.
        group_by: a regular expression on image names; images with the same match are resampled together.
        replicates, seed: number and seed of the bootstrap replicates.
        tolerance: tolerances of the boundary F-score; by default those of saved runs, and 3 pixels.
        void_as_error: count predictions on void pixels as false positives.
        split, limit, images, label_size, classes, losses, calibration: as in :func:`evaluate`, for what is evaluated.
        batch_size, workers, cache, progress, loading: likewise.
        save: a new folder for the comparison and its runs.

    Returns:
        The :class:`segablate.Comparison`.

    Raises:
        UsageError: for fewer than two runs or more than 26.
        RunError: for runs of different classes, images or labels.
        SegablateError: for what cannot be evaluated.

    Examples:
        >>> import segablate
        >>> ce = segablate.evaluate("sample:ce", limit=6)
        >>> comparison = segablate.compare(ce, "sample:weighted", on="sample", limit=6)
        >>> difference = comparison.differences[0]
        >>> round(difference.value_b - difference.value_a - difference.difference, 12)
        0.0
    """
    if not 2 <= len(runs) <= MOST:
        raise UsageError(f"compare takes 2 to {MOST} runs or checkpoints, but {len(runs)} given")
    if names is not None and len(names) != len(runs):
        raise UsageError(f"names has {counted(len(names), 'name')} for {counted(len(runs), 'run')}; give one each")
    evaluating = {
        "split": split,
        "limit": limit,
        "images": images,
        "label_size": label_size,
        "classes": classes,
        "losses": losses,
        "tolerance": 3 if tolerance is None else tolerance,
        "calibration": calibration,
        "batch_size": batch_size,
        "workers": workers,
        "cache": cache,
        "progress": progress,
        **loading,
    }
    found = [_evaluated(run, on, evaluating) for run in runs]
    called = _called(names or [_name(run, each) for run, each in zip(runs, found, strict=True)])
    whole: dict[str, results.Evaluation] = {name: each.run for name, each in zip(called, found, strict=True)}
    whole = paired.intersect(whole) if intersect else whole
    tolerances = shared_tolerances(whole) if tolerance is None else options.as_tolerances(tolerance)
    result = paired.compare(whole, Method(void_as_error, tolerances, replicates, seed, group_by))
    comparison = Comparison({name: Evaluation(run) for name, run in whole.items()}, result)
    if save is not None:
        comparison.save(save)
    return comparison


def _evaluated(run: Any, on: Any, evaluating: Mapping[str, Any]) -> Evaluation:
    """Return the evaluation of a run, or evaluate a checkpoint."""
    from segablate.evaluation.results import load_run

    if isinstance(run, Evaluation):
        return run
    if isinstance(run, results.Evaluation):
        return Evaluation(run)
    if isinstance(run, Scores):
        return run.evaluation()
    if isinstance(run, str | Path) and is_run(Path(run)):
        return Evaluation(load_run(Path(run)))
    return evaluate(run, on, **evaluating)


def _name(run: Any, evaluation: Evaluation) -> str:
    return name_of(run) if isinstance(run, str | Path) else evaluation.name


def _called(names: Sequence[str]) -> list[str]:
    """Return names that differ: of equal ones the later have a number."""
    found: list[str] = []
    for name in names:
        count = sum(each == name or each.startswith(f"{name} (") for each in found)
        found.append(f"{name} ({count + 1})" if name in found else name)
    return found
