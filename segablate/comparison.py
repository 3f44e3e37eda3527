"""Two checkpoints on the same images: differences of exact dataset scores, and where they come from.

Everything rests on the paired bootstrap of :mod:`segablate.statistics`: the same draws of images for both. Scores are
compared as B − A.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from segablate.errors import RunError, UsageError, shorten
from segablate.metrics.boundary import BoundaryCounts, boundary_sums
from segablate.metrics.confusion import class_counts, mean_iou
from segablate.metrics.tolerance import Tolerance
from segablate.results import Evaluation
from segablate.statistics.bootstrap import Distribution, Plan, Statistic, by_cluster, by_image, resample
from segablate.statistics.multiplicity import benjamini_hochberg, holm
from segablate.statistics.paired import Difference, SignedRank, detectable, images_to_settle, signed_rank
from segablate.statistics.paired import compare as compare_scores
from segablate.statistics.scores import boundary_scores, means, region_scores

SCORES = {"miou": "mIoU", "mean_recall": "mean recall", "pixel_accuracy": "pixel accuracy"}
MOST_CHANGES = 8


@dataclass(frozen=True)
class How:
    """How runs are compared.

    - `tolerances`: at which boundary F is compared; `void_as_error`: the void convention.
    - `group_by`: a regular expression on image names; images whose match (its first group, where there is one) is the
      same are drawn together, for frames of one video are not independent.
    """

    tolerances: tuple[Tolerance, ...] = ()
    void_as_error: bool = False
    group_by: str | None = None
    replicates: int = 10_000
    seed: int = 0


@dataclass(frozen=True)
class Measured:
    """One score of every run under the same draws. `lower` says that less is better: it is a loss."""

    title: str
    distributions: tuple[Distribution, ...]
    lower: bool = False

    @property
    def best(self) -> int:
        """The run that this score would choose."""
        values = [float(distribution.value) for distribution in self.distributions]
        return int(np.nanargmin(values) if self.lower else np.nanargmax(values))

    @property
    def wins(self) -> np.ndarray:
        """(R,) share of draws in which each run is the best one; draws where a score is undefined are left out."""
        draws = np.stack([distribution.replicates for distribution in self.distributions])
        draws = draws[:, ~np.isnan(draws).any(axis=0)]
        first = draws.argmin(axis=0) if self.lower else draws.argmax(axis=0)
        return np.bincount(first, minlength=len(draws)) / max(first.size, 1)


@dataclass(frozen=True)
class PairedScore:
    """The difference of one score between two runs, what this set could have shown, and how many images would do."""

    title: str
    difference: Difference
    detectable: float
    images_needed: float
    is_loss: bool = False


@dataclass(frozen=True)
class ConfusionChange:
    """Pixels of one label predicted as one class (None: outside the label set), in A and in B."""

    label: str
    predicted: str | None
    a: int
    b: int


@dataclass(frozen=True)
class ImageChange:
    """One image's mIoU, over the classes it holds or is predicted to hold, in A and in B."""

    name: str
    a: float
    b: float


@dataclass(frozen=True)
class Pair:
    """B against A. `classes` is the difference of the IoU of each class, with p corrected for their number."""

    a: Evaluation
    b: Evaluation
    scores: tuple[PairedScore, ...]
    classes: Difference
    holm: np.ndarray
    false_discovery: np.ndarray
    image_test: SignedRank
    confusions: tuple[ConfusionChange, ...]
    images: tuple[ImageChange, ...]


@dataclass(frozen=True)
class Comparison:
    """Runs over the same images: every score of every run, and each later run against the first."""

    runs: tuple[Evaluation, ...]
    how: How
    clusters: int
    measured: tuple[Measured, ...]
    pairs: tuple[Pair, ...]


def compare(runs: Sequence[Evaluation], how: How) -> Comparison:
    """Compare runs over the same images. Raises RunError when they are not comparable, see `require_comparable`."""
    require_comparable(runs)
    plan = _plan(runs[0].names, how)
    drawn = resample([statistic for run in runs for statistic in _statistics(run, runs, how).values()], plan)
    kinds = list(_statistics(runs[0], runs, how))
    table = [dict(zip(kinds, drawn[i * len(kinds) :], strict=False)) for i in range(len(runs))]
    measured = _measured(table, how)
    pairs = tuple(_pair(runs, table, measured, other, how) for other in range(1, len(runs)))
    return Comparison(tuple(runs), how, plan.clusters, measured, pairs)


def require_comparable(runs: Sequence[Evaluation]) -> None:
    """Raise RunError where a run differs from the first in classes, images or label files, saying in what."""
    first = runs[0]
    for other in runs[1:]:
        pair = f"{first.title} and {other.title}"
        if first.labels.names != other.labels.names:
            differ = sorted(set(first.labels.names) ^ set(other.labels.names)) or ["their order"]
            raise RunError(
                f"{pair} have different classes ({len(first.labels)} and {len(other.labels)}; differing: "
                f"{shorten(differ)}); evaluate both on the same dataset, or pass --class-map when evaluating"
            )
        if first.names != other.names:
            missing = [name for name in first.names if name not in set(other.names)]
            missing = missing or [name for name in other.names if name not in set(first.names)] or list(other.names)
            raise RunError(
                f"{pair} cover different images ({first.images} and {other.images}; first missing: {missing[0]}); "
                f"evaluate both on the same split, or pass --intersect"
            )
        changed = [n for n, x, y in zip(first.names, first.label_hashes, other.label_hashes, strict=True) if x != y]
        if changed:
            raise RunError(
                f"{pair} were evaluated against different label files ({len(changed)} of {first.images} differ; "
                f"first: {changed[0]}); evaluate both on the same dataset"
            )


def intersect(runs: Sequence[Evaluation]) -> list[Evaluation]:
    """The runs over the images that all have, in the order of the first. RunError when there is none."""
    common = set(runs[0].names).intersection(*(run.names for run in runs[1:]))
    if not common:
        raise RunError(f"{shorten([run.title for run in runs])} have no image in common; are the names alike?")
    kept = [name for name in runs[0].names if name in common]
    return [subset(run, kept) for run in runs]


def subset(run: Evaluation, names: Sequence[str]) -> Evaluation:
    """A run over some of its images, in the order given."""
    if tuple(names) == run.names:
        return run
    place = {name: index for index, name in enumerate(run.names)}
    chosen = np.array([place[name] for name in names])
    return replace(
        run,
        names=tuple(names),
        sizes=run.sizes[chosen],
        label_hashes=tuple(run.label_hashes[index] for index in chosen),
        confusion=run.confusion.subset(chosen.tolist()),
        values={loss: values[chosen] for loss, values in run.values.items()},
        boundary=None if run.boundary is None else _boundary_subset(run.boundary, chosen),
        notes=(*run.notes, f"--intersect: {len(names)} of {run.images} images"),
    )


def _boundary_subset(counts: BoundaryCounts, chosen: np.ndarray) -> BoundaryCounts:
    place = np.full(len(counts.sizes), -1, np.int32)
    place[chosen] = np.arange(len(chosen))
    rows = place[counts.image] >= 0
    columns = {name: getattr(counts, name)[rows] for name in ("side", "class_index", "squared", "pixels")}
    return BoundaryCounts(
        sizes=counts.sizes[chosen],
        reach=counts.reach[chosen],
        classes=counts.classes,
        image=place[counts.image[rows]],
        **columns,
    )


def _plan(names: Sequence[str], how: How) -> Plan:
    if how.group_by is None:
        return by_image(len(names), how.replicates, how.seed)
    try:
        pattern = re.compile(how.group_by)
    except re.error as error:
        raise UsageError(f"--group-by {how.group_by!r} is no regular expression: {error}") from None
    found = [pattern.search(name) for name in names]
    unmatched = [name for name, match in zip(names, found, strict=True) if match is None]
    if unmatched:
        raise UsageError(f"--group-by {how.group_by!r} does not match {len(unmatched)} names, such as {unmatched[0]}")
    groups = [match.group(1 if match.re.groups else 0) for match in found if match]
    return by_cluster(groups, how.replicates, how.seed)


def _statistics(run: Evaluation, runs: Sequence[Evaluation], how: How) -> dict[str, Statistic]:
    """What is resampled, by kind: regions, boundaries at each tolerance, and every loss that all runs have."""
    counts = class_counts(run.confusion, void_as_error=how.void_as_error)
    statistics = {"regions": region_scores(counts)}
    if all(other.boundary is not None for other in runs):
        assert run.boundary is not None
        for tolerance in how.tolerances:
            statistics[f"boundary {tolerance}"] = boundary_scores(boundary_sums(run.boundary, tolerance))
    for loss in run.values:
        if all(loss in other.values for other in runs):
            undefined = np.any([np.isnan(other.values[loss]) for other in runs], axis=0)
            statistics[f"loss {loss}"] = means(np.where(undefined, np.nan, run.values[loss]))
    return statistics


def _measured(table: Sequence[Mapping[str, dict[str, Distribution]]], how: How) -> tuple[Measured, ...]:
    found = [Measured(title, tuple(scores["regions"][key] for scores in table)) for key, title in SCORES.items()]
    for kind in table[0]:
        name, _, rest = kind.partition(" ")
        if name == "boundary":
            title = f"boundary F @{rest}" + ("" if rest.endswith("d") else "px")
            found.append(Measured(title, tuple(scores[kind]["mean_boundary_f"] for scores in table)))
        elif name == "loss":
            found.append(Measured(rest, tuple(scores[kind]["mean"] for scores in table), lower=True))
    return tuple(found)


def _pair(
    runs: Sequence[Evaluation],
    table: Sequence[Mapping[str, dict[str, Distribution]]],
    measured: Sequence[Measured],
    other: int,
    how: How,
) -> Pair:
    a, b = runs[0], runs[other]
    classes = compare_scores(table[0]["regions"]["iou"], table[other]["regions"]["iou"])
    per_image = [mean_iou(class_counts(run.confusion, void_as_error=how.void_as_error)) for run in (a, b)]
    return Pair(
        a,
        b,
        tuple(_paired(score, other, a.images) for score in measured),
        classes,
        holm(classes.p),
        benjamini_hochberg(classes.p),
        signed_rank(*per_image),
        _confusion_changes(a, b),
        _image_changes(a.names, *per_image),
    )


def _paired(score: Measured, other: int, images: int) -> PairedScore:
    difference = compare_scores(score.distributions[0], score.distributions[other])
    return PairedScore(
        score.title,
        difference,
        float(detectable(difference.change)),
        float(images_to_settle(difference.change, images)),
        score.lower,
    )


def _confusion_changes(a: Evaluation, b: Evaluation) -> tuple[ConfusionChange, ...]:
    """The confusions, off the diagonal, whose pixels changed most."""
    before, after = (run.confusion.total()[:-1] for run in (a, b))
    change = np.abs(after - before)
    np.fill_diagonal(change, 0)
    names: tuple[str | None, ...] = (*a.labels.names, None)
    places = np.argsort(-change, axis=None, kind="stable")[:MOST_CHANGES]
    found = []
    for label, predicted in (divmod(place, change.shape[1]) for place in places.tolist()):
        if change[label, predicted]:
            counts = int(before[label, predicted]), int(after[label, predicted])
            found.append(ConfusionChange(a.labels.names[int(label)], names[int(predicted)], *counts))
    return tuple(found)


def _image_changes(names: Sequence[str], a: np.ndarray, b: np.ndarray) -> tuple[ImageChange, ...]:
    change = np.nan_to_num(np.abs(b - a))
    places = np.argsort(-change, kind="stable")[:MOST_CHANGES]
    return tuple(ImageChange(names[int(i)], float(a[i]), float(b[i])) for i in places if change[i])
