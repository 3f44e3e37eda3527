"""Intervals stay where the true score can be, against plain formulas, from each statistic to the printed tables."""

import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from evaluations import evaluation
from made_up_trainings import made_up
from scipy import stats

from segablate.comparison.differences import compare
from segablate.comparison.scores import Method
from segablate.comparison.trainings import compare_trainings
from segablate.evaluation.results import Evaluation
from segablate.metrics.boundary import boundary_sums
from segablate.metrics.calibration import PROPER, RELIABILITY
from segablate.metrics.confusion import ClassCounts, class_counts
from segablate.metrics.tolerance import Tolerance
from segablate.objective.catalogue import get_loss, own_bounds
from segablate.statistics.bootstrap import Distribution, Statistic, by_image, resample
from segablate.statistics.bounds import CORRELATION, NOT_NEGATIVE, SHARE, UNBOUNDED, Bounds
from segablate.statistics.correlation import spearman
from segablate.statistics.intervals import estimate
from segablate.statistics.loss_bounds import bounds_of_objective
from segablate.statistics.paired import compare as paired
from segablate.statistics.paired import subtract
from segablate.statistics.scores import (
    band_scores,
    boundary_iou_scores,
    boundary_scores,
    calibration_scores,
    class_means,
    edge_scores,
    means,
    near_edge_scores,
    of_set,
    ranking_scores,
    region_scores,
    reliability_scores,
)
from segablate.statistics.separate_seeds import over_separate_seeds
from segablate.statistics.shared_seeds import over_shared_seeds
from segablate.statistics.trainings import Trainings
from segablate.tables import Report
from segablate.tables.comparison import comparison_report
from segablate.tables.evaluation import View, evaluation_report

IMAGES = 6
RANDOM = np.random.default_rng(11)


def one_inverted(images: int = IMAGES) -> tuple[list[np.ndarray], list[np.ndarray], list[np.ndarray]]:
    """Labels of two classes in halves, a prediction right but for image 0, all of which is wrong, and its reverse."""
    labels = [np.repeat([[0] * 5 + [1] * 5], 10, axis=0).astype(np.uint8) for _ in range(images)]
    right = [1 - labels[0], *labels[1:]]
    return labels, right, [1 - each for each in right]


def plain(distribution: Distribution, bounds: tuple[float, float], level: float = 0.95) -> tuple[float, float]:
    """The widened percentile interval and value ± t SE of few images, together, without what lies beyond the bounds."""
    n = len(distribution.jackknife)
    u = np.mean(distribution.jackknife) - distribution.jackknife
    freedom = min(3 * np.sum(u**2) ** 2 / np.sum(u**4), n - 1)
    t = stats.t.ppf((1 + level) / 2, freedom)
    half = t * np.sqrt((n - 1) / n * np.sum(u**2))
    low, high = np.quantile(distribution.replicates, [stats.norm.cdf(-t), stats.norm.cdf(t)])
    value = float(distribution.value)
    return max(min(low, value - half), bounds[0]), min(max(high, value + half), bounds[1])


def of_regions(predicted: list[np.ndarray]) -> Statistic:
    labels, *_ = one_inverted(len(predicted))
    return region_scores(class_counts(evaluation(labels, predicted, tolerances=()).confusion))


@pytest.mark.parametrize("score", ["miou", "mean_recall", "pixel_accuracy", "frequency_weighted_iou"])
def test_a_score_of_few_images_has_an_interval_within_0_and_1(score: str) -> None:
    found = resample([of_set(of_regions(one_inverted()[1]))], by_image(IMAGES, 500))[0][score]
    uncut = plain(found, (-np.inf, np.inf))
    assert uncut[0] < 0 or uncut[1] > 1, "Student's interval leaves the range"
    interval = estimate(found).percentile
    assert (float(interval.low), float(interval.high)) == pytest.approx(plain(found, (0, 1)))


def test_a_difference_of_scores_has_an_interval_within_minus_1_and_1() -> None:
    _, right, wrong = one_inverted()
    a, b = (found["miou"] for found in resample([of_set(of_regions(p)) for p in (right, wrong)], by_image(IMAGES, 500)))
    change = subtract(a, b)
    assert change.bounds == CORRELATION
    assert plain(change, (-np.inf, np.inf))[0] < -1
    found = paired(a, b).change
    assert (float(found.percentile.low), float(found.percentile.high)) == pytest.approx(plain(change, (-1, 1)))
    assert float(found.bca.low) >= -1


def test_only_what_lies_beyond_the_bounds_is_cut() -> None:
    """Intervals within the bounds are those without any, and so are p, value and standard error in all cases."""
    values = np.random.default_rng(0).normal(0.5, 0.05, (9, 3))
    bounded, free = (
        estimate(resample([means(values, bounds=b)], by_image(9, 300))[0]["mean"]) for b in (SHARE, UNBOUNDED)
    )
    np.testing.assert_equal(vars(bounded.percentile), vars(free.percentile))
    np.testing.assert_equal(vars(bounded.bca), vars(free.bca))
    tight = estimate(resample([means(values, bounds=Bounds(0.5, 0.52))], by_image(9, 300))[0]["mean"])
    np.testing.assert_equal(tight.standard_error, free.standard_error)


def test_as_many_of_the_cut_intervals_cover_as_of_the_uncut() -> None:
    """Of a share that is nearly 1, where most of the uncut ones end above it."""
    truth, rng = 0.98, np.random.default_rng(5)
    beyond, covers = 0, []
    for _ in range(100):
        values = rng.binomial(50, truth, 8) / 50
        found, free = (
            estimate(resample([means(values, bounds=b)], by_image(8, 200))[0]["mean"]).percentile
            for b in (SHARE, UNBOUNDED)
        )
        beyond += float(free.high) > 1
        covers.append([bool(each.low <= truth <= each.high) for each in (found, free)])
    assert beyond > 10
    assert np.array_equal(*np.array(covers).T)


def everything() -> Iterator[tuple[str, Statistic, dict[str, Bounds]]]:
    """Every statistic on random counts, with the bounds that its scores are known to have."""
    labelled = RANDOM.integers(0, 40, (IMAGES, 3))
    hits = RANDOM.integers(0, labelled + 1)
    counts = ClassCounts(hits, labelled, hits + RANDOM.integers(0, 30, hits.shape))
    regions = ("miou", "mean_recall", "pixel_accuracy", "frequency_weighted_iou", "iou", "recall")
    yield "regions", region_scores(counts), dict.fromkeys(regions, SHARE)
    labels, right, _ = one_inverted()
    run = evaluation(labels, right)
    assert run.boundary is not None
    boundaries = boundary_scores(boundary_sums(run.boundary, Tolerance(1)))
    yield "boundaries", boundaries, dict.fromkeys(("mean_boundary_f", "boundary_f"), SHARE)
    of_bins = RANDOM.integers(0, 9, (IMAGES, 2, 20))
    yield "ranking", ranking_scores(of_bins), dict.fromkeys(("auc", "average_precision"), SHARE)
    pixels = RANDOM.integers(1, 50, (IMAGES, 4, 1))
    right_pixels = RANDOM.integers(0, pixels + 1)
    yield "bands", band_scores(np.concatenate([pixels, right_pixels], -1)), {"band_accuracy": SHARE}
    bins = RANDOM.integers(1, 50, (IMAGES, 3, 15, 1))
    sums = np.concatenate([bins, RANDOM.integers(0, bins + 1), bins * RANDOM.random(bins.shape)], -1)
    yield "reliability", reliability_scores(sums), {"accuracy": SHARE}
    proper = np.stack(
        [
            19 * bins.sum((2, 3)) * 0.9,  # of 19 sigmoids
            bins.sum((2, 3)) * 7.0,
        ],
        -1,
    )
    known = {"ece": SHARE, "brier": NOT_NEGATIVE, "nll": NOT_NEGATIVE}
    yield "calibration", calibration_scores({RELIABILITY: sums, PROPER: proper}), known
    three = np.stack([hits, labelled, counts.predicted], 1)
    yield "boundary IoU", boundary_iou_scores(three), dict.fromkeys(("mean_boundary_iou", "boundary_iou"), SHARE)
    yield "near edges", near_edge_scores(three), {"iou_near_edges": SHARE}
    four = np.stack([counts.predicted, hits, labelled, hits], 1)
    yield "edges", edge_scores(four), {"edge_f": SHARE}
    yield "class means", class_means(RANDOM.random((IMAGES, 3))), {"mean": SHARE}
    yield "ranks", spearman(RANDOM.random((IMAGES, 2)), RANDOM.random(IMAGES)), {"rho": CORRELATION}


@pytest.mark.parametrize(("statistic", "bounds"), [each[1:] for each in everything()], ids=[e[0] for e in everything()])
def test_statistics_declare_the_bounds_of_their_scores(statistic: Statistic, bounds: dict[str, Bounds]) -> None:
    assert dict(statistic.bounds) == bounds
    for name, found in resample([statistic], by_image(IMAGES, 50))[0].items():
        assert found.bounds == bounds[name]
        for values in (found.value, found.replicates, found.jackknife):
            known = values[~np.isnan(values)]
            assert np.all((known >= bounds[name].low) & (known <= bounds[name].high)), name


def test_the_bounds_of_a_difference_are_those_of_its_ends() -> None:
    assert SHARE - SHARE == CORRELATION
    assert Bounds(0, 2) - Bounds(0, 1) == Bounds(-1, 2)
    assert NOT_NEGATIVE - NOT_NEGATIVE == UNBOUNDED


@pytest.mark.parametrize("rule", [over_shared_seeds, over_separate_seeds])
def test_differences_over_trainings_stay_within_minus_1_and_1(rule) -> None:
    free = made_up([[0.02, 0.05, 0.4], [0.99, 0.6, 0.95]], noise=0.1)
    uncut = rule(free).settings[1]
    assert uncut.high > 1
    cut = rule(Trainings(free.score, free.influence, free.support, SHARE)).settings[1]
    assert (cut.low, cut.high, cut.p, cut.difference) == (uncut.low, 1, uncut.p, uncut.difference)


def test_comparisons_of_trainings_know_the_bounds_of_their_scores() -> None:
    labels, right, wrong = one_inverted()
    runs = {
        "low": [evaluation(labels, p, values={"ce": RANDOM.random(IMAGES).tolist()}) for p in (right, wrong)],
        "high": [evaluation(labels, p, values={"ce": RANDOM.random(IMAGES).tolist()}) for p in (wrong, right)],
    }
    found = compare_trainings(runs, measures=("miou", "loss_ce"), shared_seeds=False)
    miou, ce = (found.results[key].settings[1] for key in ("miou", "loss_ce"))
    assert (miou.low, miou.high) == (-1, 1)
    assert ce.low < -1 or ce.high > 1, "differences of a loss are free"


@pytest.mark.parametrize(
    ("objective", "low", "high"),
    [
        ("ce", 0, np.inf),
        ("dice", 0, 1),
        ("rmi(radius=3, stride=4)", -np.inf, np.inf),
        ("ce + 0.5*dice(smooth=2)", 0, np.inf),
        ("dice + 1e-05*lovasz(scope=image)", 0, 1.00001),
        ("2*dice - 0.5*lovasz", -0.5, 2),
        ("-1*ce", -np.inf, 0),
        ("0*ce + dice", 0, 1),
        ("dice(weights=0.5:3:1, smooth=2)", 0, 3),
        ("dice(weights=0.5:0.5)", 0, 1),
        ("dice + python:mine.losses:peak", -np.inf, np.inf),
        ("somebodys", -np.inf, np.inf),
        ("asl(theta='a (1).json')", -np.inf, np.inf),
        ("", -np.inf, np.inf),
    ],
)
def test_objectives_have_the_bounds_of_their_sums(objective: str, low: float, high: float) -> None:
    found = bounds_of_objective(objective)
    assert (found.low, found.high) == pytest.approx((low, high))


def test_bounds_of_losses_are_read_without_importing_them() -> None:
    assert own_bounds() == {name: get_loss(name).bounds for name in own_bounds()}
    assert own_bounds()["ce"] == (0, None)


def test_the_documentation_names_the_losses_of_each_range() -> None:
    page = Path(__file__).parents[1] / "docs" / "explanation" / "how-sure.md"
    rows = [line for line in page.read_text(encoding="utf-8").splitlines() if line.startswith("|")]
    from_0, to_1 = (
        {name for row in rows if text in row for name in re.findall(r"`(\w+)`", row)}
        for text in ("losses that are never negative", "with class weights")
    )
    assert from_0 == {name for name, bounds in own_bounds().items() if bounds == (0, None)}
    assert to_1 == {name for name, bounds in own_bounds().items() if bounds == (0, 1)}
    assert {(None, None), (0, None), (0, 1)} == set(own_bounds().values())


def intervals(report: Report) -> Iterator[tuple[str, float, float, Bounds]]:
    """Every interval of shares in the tables, or of differences of them, and the headline's."""
    for table, column in ((each, column) for each in report.tables for column in each.columns):
        if column.kind in ("interval", "signed_interval"):
            bounds = SHARE if column.kind == "interval" else CORRELATION
            for row in table.rows:
                low, high = row[column.key]  # type: ignore[misc]
                yield f"{table.name} {column.key}", low, high, bounds
    if report.headline is not None and report.headline.low is not None:
        bounds = SHARE if "difference" not in report.headline.measure else CORRELATION
        yield "headline", report.headline.low, report.headline.high, bounds  # type: ignore[misc]


def of_few_images() -> tuple[Evaluation, Evaluation]:
    labels, right, wrong = one_inverted()
    return tuple(evaluation(labels, p, n) for p, n in ((right, "a"), (wrong, "b")))  # type: ignore[return-value]


def test_no_table_has_an_interval_beyond_its_range() -> None:
    a, b = of_few_images()
    view = View(tolerances=(Tolerance(1),))
    of_one = [*intervals(evaluation_report(a, view))]
    compared = compare({"a": a, "b": b}, Method(tolerances=(Tolerance(1),), replicates=300))
    of_two = [*intervals(comparison_report(compared, {"a": a, "b": b}))]
    for found in (of_one, of_two):
        assert len(found) > 5
        assert [name for name, low, high, within in found if low < within.low or high > within.high] == []
        assert any(low == within.low or high == within.high for _, low, high, within in found), "some are cut"


def test_losses_that_are_never_negative_have_no_interval_below_0() -> None:
    labels, right, _ = one_inverted()
    values = [0.0, 0, 0, 0, 0.1, 4]
    run = evaluation(labels, right, values={"ce": values, "rmi": values})
    losses = next(table for table in evaluation_report(run, View()).tables if table.name == "losses")
    low = {row["loss"]: row["interval"][0] for row in losses.rows}  # type: ignore[index]
    assert low["ce"] == 0
    assert low["rmi"] < 0
