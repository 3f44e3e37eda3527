"""Scores of a set as plain dataclasses, from its counts."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import nan

import numpy as np

from segablate.api.totals import Totals
from segablate.metrics.bands import STATISTIC as BANDS
from segablate.metrics.boundary import BoundarySums, boundary_f
from segablate.metrics.calibration import CLASS_GAPS, PROPER, RELIABILITY, confidence_gaps, expected_error
from segablate.metrics.confusion import (
    ClassCounts,
    f1,
    frequency_weighted_iou,
    iou,
    mean_iou,
    mean_recall,
    nanmean,
    pixel_accuracy,
    precision,
    recall,
)
from segablate.metrics.tolerance import Tolerance


@dataclass(frozen=True)
class ClassScores:
    """The scores of one class over the set, shares in 0..1; nan where undefined, never 0 or 1.

    - `name`: the class; `iou`, `recall`, `precision`, `f1`: of pixels.
    - `pixels`: number of pixels labelled as the class; `images`: number of images that label it.
    - `boundary_f`: boundary F-score by tolerance, as written (``"3"``, ``"0.0075d"``): Csurka et al., BMVC 2013.
    - `ece`: class-wise expected calibration error (Kull et al., NeurIPS 2019), where calibration was counted.
    """

    name: str
    iou: float
    recall: float
    precision: float
    f1: float
    boundary_f: Mapping[str, float]
    ece: float
    pixels: int
    images: int


@dataclass(frozen=True)
class OverallScores:
    """The scores of the set, shares in 0..1; nan where undefined or not counted.

    - `miou`: over the classes labelled or predicted; `mean_recall` (also "mean accuracy"): over the labelled ones;
      `mean_precision`, `mean_f1`: over the classes where they are defined (Long et al., CVPR 2015).
    - `pixel_accuracy`: right over labelled pixels; `frequency_weighted_iou`: by the labelled pixels of each class.
    - `boundary_f`: mean over classes by tolerance.
    - `ece`: expected calibration error in 15 bins (Guo et al., ICML 2017); `brier` in 0..2, for sigmoids in 0..outputs,
      and `nll` in nats: means over labelled pixels.
    - `images`, `pixels`: the number of images, and of labelled pixels.
    """

    miou: float
    mean_recall: float
    mean_precision: float
    mean_f1: float
    pixel_accuracy: float
    frequency_weighted_iou: float
    boundary_f: Mapping[str, float]
    ece: float
    brier: float
    nll: float
    images: int
    pixels: int


@dataclass(frozen=True)
class Summary:
    """What :meth:`segablate.Scores.compute` returns: scores of the set and of each class.

    - `overall`: :class:`OverallScores`; `classes`: one :class:`ClassScores` each, in the order of class indices.

    Examples:
        >>> from segablate import Scores
        >>> scores = Scores(["road", "car"])
        >>> scores.update([[0, 1, 1]], [[0, 1, 0]])
        >>> summary = scores.compute()
        >>> summary.overall.miou, summary.classes[1].iou
        (0.5, 0.5)
        >>> summary.as_dict()["iou/car"]
        0.5
    """

    overall: OverallScores
    classes: tuple[ClassScores, ...]

    def as_dict(self) -> dict[str, float]:
        """Return the defined numbers by name, flat, for a logger: ``miou``, ``boundary_f_3``, ``iou/road`` and so on.

        Numbers that are nan are left out.
        """
        numbers = dict(flat(self.overall))
        for each in self.classes:
            named = flat(each)
            numbers |= {f"{key}/{each.name}": value for key, value in named.items() if key not in ("pixels", "images")}
        return {name: value for name, value in numbers.items() if value == value}


def flat(scores: "ClassScores | OverallScores") -> dict[str, float]:
    """Return the numbers of a dataclass of scores by name; boundary scores as ``boundary_f_3``."""
    numbers: dict[str, float] = {}
    for name in scores.__dataclass_fields__:
        value = getattr(scores, name)
        if isinstance(value, Mapping):
            numbers |= {f"{name}_{key.replace('.', '_')}": each for key, each in value.items()}
        elif not isinstance(value, str):
            numbers[name] = value
    return numbers


def summarise(totals: Totals, names: Sequence[str], tolerances: Sequence[Tolerance]) -> Summary:
    """Compute the scores of a set of C classes called `names` from its counts."""
    table = totals.confusion
    counts = ClassCounts(table.diagonal()[:-1], table[:-1].sum(axis=1), table[:-1, :-1].sum(axis=0))
    boundaries = {
        str(tolerance): boundary_f(BoundarySums(*sums))
        for tolerance, sums in zip(tolerances, totals.boundary, strict=True)
    }
    calibration = _calibration(totals.statistics)
    class_errors = _class_errors(totals.statistics, len(names))
    columns = {"iou": iou(counts), "recall": recall(counts), "precision": precision(counts), "f1": f1(counts)}
    overall = OverallScores(
        miou=_number(mean_iou(counts)),
        mean_recall=_number(mean_recall(counts)),
        mean_precision=_number(nanmean(columns["precision"])),
        mean_f1=_number(nanmean(columns["f1"])),
        pixel_accuracy=_number(pixel_accuracy(counts)),
        frequency_weighted_iou=_number(frequency_weighted_iou(counts)),
        boundary_f={key: _number(nanmean(values)) for key, values in boundaries.items()},
        images=totals.images,
        pixels=int(counts.labelled.sum()),
        **calibration,
    )
    classes = tuple(
        ClassScores(
            name=name,
            **{key: _number(values[place]) for key, values in columns.items()},
            boundary_f={key: _number(values[place]) for key, values in boundaries.items()},
            ece=_number(class_errors[place]),
            pixels=int(counts.labelled[place]),
            images=int(totals.labelled_in[place]),
        )
        for place, name in enumerate(names)
    )
    return Summary(overall, classes)


def _calibration(statistics: Mapping[str, np.ndarray]) -> dict[str, float]:
    """Return ECE, Brier score and NLL over all labelled pixels; nan for what was not counted."""
    found = {"ece": nan, "brier": nan, "nll": nan}
    if RELIABILITY not in statistics:
        return found
    reliability = np.asarray(statistics[RELIABILITY], np.float64).sum(axis=0)  # bins 3
    pixels = reliability[:, 0].sum()
    found["ece"] = _number(expected_error(confidence_gaps(reliability), pixels))
    if PROPER in statistics and pixels:
        brier, nll = np.asarray(statistics[PROPER], np.float64).sum(axis=0) / pixels
        found |= {"brier": _number(brier), "nll": _number(nll)}
    return found


def _class_errors(statistics: Mapping[str, np.ndarray], classes: int) -> np.ndarray:
    if CLASS_GAPS not in statistics:
        return np.full(classes, nan)
    return expected_error(statistics[CLASS_GAPS], statistics[BANDS][..., 0].sum())


def _number(value: object) -> float:
    """Return a float; every nan is the same object, so that equal summaries compare equal."""
    number = float(value)  # type: ignore[arg-type]
    return nan if number != number else number
