"""Paired differences of exact dataset scores, per measure and per class."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from itertools import combinations

import numpy as np

from segablate.comparison.changes import (
    BandChanges,
    ConfusionChange,
    ImageChange,
    changed_bands,
    changed_confusions,
    changed_images,
    image_scores,
)
from segablate.comparison.pairing import Runs, clusters, intersect, require_comparable
from segablate.comparison.ranking import Ranking, ranking
from segablate.comparison.scores import Measure, Method, images_with, measures_of, statistics_of
from segablate.comparison.trade_offs import Times, TradeOff, trade_offs
from segablate.metrics.confusion import class_counts
from segablate.statistics.bootstrap import (
    Distribution,
    Floats,
    Resampling,
    by_cluster,
    by_image,
    clusters_with,
    resample,
)
from segablate.statistics.multiplicity import benjamini_hochberg, holm
from segablate.statistics.paired import (
    Difference,
    SignedRank,
    detectable,
    images_needed,
    signed_rank,
)
from segablate.statistics.paired import compare as paired_difference


@dataclass(frozen=True)
class PairedDifferences:
    """The differences b − a of two of the compared runs, which `a` and `b` index.

    - `measures`: the difference of each measure, by key; `iou`: of the IoU of each class, (C,).
    - `iou_holm`, `iou_bh` (C,): p of `iou` corrected over the classes, by Holm and by Benjamini and Hochberg.
    - `image_miou` (N,): differences of image-level mIoU, over the classes that an image labels; `signed_rank`:
      Wilcoxon's test of them.
    - `detectable`: for each measure the smallest true difference that such a set detects with 80 % power;
      `images_needed`: the number of images that detect a true difference of the observed size with that power.
    """

    a: int
    b: int
    measures: Mapping[str, Difference]
    iou: Difference
    iou_holm: Floats
    iou_bh: Floats
    image_miou: Floats
    signed_rank: SignedRank
    detectable: Mapping[str, float]
    images_needed: Mapping[str, float]


@dataclass(frozen=True)
class Changes:
    """The changes from the first of two runs to the second; `bands` is None where a run lacks that statistic."""

    confusions: tuple[ConfusionChange, ...]
    bands: BandChanges | None
    risen: tuple[ImageChange, ...]
    fallen: tuple[ImageChange, ...]


@dataclass(frozen=True)
class Comparison:
    """R runs on the same N images, C classes.

    - `names` of the runs; `classes` of the label set; number of `images` and `clusters` (equal without clusters).
    - `measures`, each with `values` (R,) by key and, for a loss, the number of images where it is `defined` in all.
    - `iou` (R, C).
    - `pairs`: every pair of runs in order, (0, 1) first; `miou_holm` (pairs,): p of mIoU corrected over the pairs.
    - `rankings`: one for each measure; `changes`: for exactly two runs; `trade_offs`: one for each run.
    - `identical`: whether all runs have the same confusion counts on every image.
    """

    names: tuple[str, ...]
    classes: tuple[str, ...]
    images: int
    clusters: int
    method: Method
    measures: tuple[Measure, ...]
    values: Mapping[str, Floats]
    defined: Mapping[str, int]
    iou: Floats
    pairs: tuple[PairedDifferences, ...]
    miou_holm: Floats
    rankings: tuple[Ranking, ...]
    trade_offs: tuple[TradeOff, ...]
    changes: Changes | None
    identical: bool


def compare(runs: Runs, method: Method | None = None, times: Times | None = None) -> Comparison:
    """Compare two or more runs, paired by image; `times` are those of the networks, measured in turns.

    Raises RunError when they are not comparable, UsageError for a `group_by` that does not divide the images, and
    KnobError for a tolerance beyond what was counted.
    """
    method = method or Method()
    require_comparable(runs)
    runs = intersect(runs)
    measures = measures_of(runs, method.tolerances)
    plan = _plan(runs, method)
    found = _resampled(runs, measures, method, plan)
    per_image = [image_scores(run, void_as_error=method.void_as_error)[0] for run in runs.values()]
    pairs = tuple(
        _pair((a, b), measures, (found[a], found[b]), (per_image[a], per_image[b]))
        for a, b in combinations(range(len(runs)), 2)
    )
    first = next(iter(runs.values()))
    values = {measure.key: np.array([scores[measure.key].value for scores in found]) for measure in measures}
    return Comparison(
        names=tuple(runs),
        classes=first.labels.names,
        images=first.images,
        clusters=plan.clusters,
        method=method,
        measures=measures,
        values=values,
        defined={m.key: int(images_with(runs, m.title).sum()) for m in measures if m.kind == "loss"},
        iou=np.stack([scores["iou"].value for scores in found]),
        pairs=pairs,
        miou_holm=holm(np.array([float(pair.measures["miou"].p) for pair in pairs])),
        rankings=tuple(ranking(measure, [scores[measure.key] for scores in found]) for measure in measures),
        trade_offs=trade_offs(runs, measures, values, times),
        changes=_changes(runs, method, found) if len(runs) == 2 else None,
        identical=_identical(runs),
    )


def _resampled(
    runs: Runs, measures: tuple[Measure, ...], method: Method, plan: Resampling
) -> list[dict[str, Distribution]]:
    """Resample all measures of all runs together; the IoU of a class rests on the clusters that label it.

    False positives elsewhere define an IoU too, but tell nothing of how the class itself is predicted.
    """
    labelled = clusters_with(class_counts(next(iter(runs.values())).confusion).labelled > 0, plan)
    found = resample(statistics_of(runs, measures, void_as_error=method.void_as_error), plan)
    return [{**scores, "iou": replace(scores["iou"], support=labelled)} for scores in found]


def _plan(runs: Runs, method: Method) -> Resampling:
    names = next(iter(runs.values())).names
    if method.group_by is None:
        return by_image(len(names), method.replicates, method.seed)
    return by_cluster(clusters(names, method.group_by), method.replicates, method.seed)


def _pair(
    places: tuple[int, int],
    measures: tuple[Measure, ...],
    found: tuple[dict[str, Distribution], dict[str, Distribution]],
    per_image: tuple[Floats, Floats],
) -> PairedDifferences:
    differences = {m.key: paired_difference(found[0][m.key], found[1][m.key]) for m in measures}
    iou = paired_difference(found[0]["iou"], found[1]["iou"])
    images = len(per_image[0])
    return PairedDifferences(
        *places,
        measures=differences,
        iou=iou,
        iou_holm=holm(iou.p),
        iou_bh=benjamini_hochberg(iou.p),
        image_miou=per_image[1] - per_image[0],
        signed_rank=signed_rank(*per_image),
        detectable={key: float(detectable(found.change)) for key, found in differences.items()},
        images_needed={key: float(images_needed(found.change, images)) for key, found in differences.items()},
    )


def _changes(runs: Runs, method: Method, found: list[dict[str, Distribution]]) -> Changes:
    a, b = runs.values()
    by_band = (found[0]["band_accuracy"], found[1]["band_accuracy"]) if "band_accuracy" in found[0] else None
    bands = changed_bands(a, b, paired_difference(by_band[0], by_band[1])) if by_band else None
    risen, fallen = changed_images(a, b, void_as_error=method.void_as_error)
    return Changes(changed_confusions(a, b, void_as_error=method.void_as_error), bands, risen, fallen)


def _identical(runs: Runs) -> bool:
    first, *others = (run.confusion for run in runs.values())
    columns = ("image", "label", "predicted", "pixels")
    return all(np.array_equal(getattr(first, name), getattr(other, name)) for other in others for name in columns)
