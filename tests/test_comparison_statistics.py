"""Calibration, distance bands and costs of compared runs are those of the pooled counts, under every draw of images."""

from dataclasses import replace

import numpy as np
import pytest
from evaluations import evaluation, noisy, truth

from segablate.checkpoints.segmenter import Capabilities
from segablate.comparison import Method, compare
from segablate.comparison.scores import measures_of, statistics_of
from segablate.comparison.trade_offs import trade_offs
from segablate.evaluation.clock import milliseconds_in_turns
from segablate.evaluation.results import Evaluation
from segablate.metrics.bands import band_map, nested_bands
from segablate.samples import Batch, Output
from segablate.tables.comparison import comparison_report

IMAGES = 12
MAPS = truth(IMAGES)
METHOD = Method(replicates=400)


def plain_bands(predicted: list[np.ndarray]) -> np.ndarray:
    """(N, bands, 2)."""
    found = np.zeros((IMAGES, 3, 2), int)
    for image, (labels, guess) in enumerate(zip(MAPS, predicted, strict=True)):
        for band, label, other in zip(band_map(nested_bands(labels)).flat, labels.flat, guess.flat, strict=True):
            if band < 3:
                found[image, band] += (1, label == other)
    return found


def evaluation_of(share: float, seed: int, **facts: object) -> Evaluation:
    """Predictions that are wrong on a share of the pixels, by a network whose confidence is random."""
    rng = np.random.default_rng(seed)
    predicted = noisy(MAPS, share, seed)
    bands = plain_bands(predicted)
    right = bands[..., 1]
    reliability = np.zeros((IMAGES, 3, 15, 3))
    reliability[:, :, 14] = np.stack([bands[..., 0], right, rng.uniform(0.94, 1, right.shape) * bands[..., 0]], axis=-1)
    moved = right // 2
    reliability[:, :, 10] = np.stack([moved, moved, 0.7 * moved], axis=-1)
    reliability[:, :, 14] -= np.stack([moved, moved, 0.95 * moved], axis=-1)
    statistics = {
        "bands": bands,
        "reliability": reliability,
        "class_gaps": np.zeros((IMAGES, 3, 15), np.float32),
        "proper": rng.random((IMAGES, 3, 2)) * bands[..., :1],
    }
    run = evaluation(MAPS, predicted, f"net{seed}")
    return replace(run, statistics=statistics, facts={**run.facts, **facts})


def plain_ece(run: Evaluation, weights: np.ndarray) -> float:
    sums = (run.statistics["reliability"].sum(1) * weights[:, None, None]).sum(0)
    return sum(abs(c - r) for _, r, c in sums) / sums[:, 0].sum()


RUNS = {"a": evaluation_of(0.2, 1), "b": evaluation_of(0.4, 2)}


def test_ece_and_bands_are_those_of_the_weighted_counts() -> None:
    measures = measures_of(RUNS, ())
    assert [(m.key, m.less_is_better) for m in measures][-1] == ("ece", True)
    weights = np.random.default_rng(0).multinomial(IMAGES, [1 / IMAGES] * IMAGES, 5).astype(float)
    for run, statistic in zip(RUNS.values(), statistics_of(RUNS, measures, void_as_error=False), strict=True):
        found = statistic(weights)
        assert found["ece"] == pytest.approx([plain_ece(run, row) for row in weights])
        for row, accuracy in zip(weights, found["band_accuracy"], strict=True):
            sums = (run.statistics["bands"] * row[:, None, None]).sum(0)
            expected = [right / pixels if pixels else np.nan for pixels, right in sums]
            assert accuracy == pytest.approx(expected, nan_ok=True)


def test_the_difference_of_ece_is_paired_and_less_is_better() -> None:
    found = compare(RUNS, METHOD)
    values = [plain_ece(run, np.ones(IMAGES)) for run in RUNS.values()]
    assert found.values["ece"] == pytest.approx(values)
    assert float(found.pairs[0].measures["ece"].change.value) == pytest.approx(values[1] - values[0])
    (ranking,) = [ranking for ranking in found.rankings if ranking.measure.key == "ece"]
    assert ranking.chosen == int(np.argmin(values))
    same = compare({"a": RUNS["a"], "again": RUNS["a"]}, METHOD)
    assert float(same.pairs[0].measures["ece"].change.standard_error) == 0
    scores = next(table for table in comparison_report(found, RUNS).tables if table.name == "scores")
    assert scores.rows[-1]["measure"] == "ECE (lower is better)"
    assert scores.rows[-1]["shown"] == "A better"


def test_pixels_gained_by_band() -> None:
    report = comparison_report(compare(RUNS, METHOD), RUNS)
    (table,) = [table for table in report.tables if table.name == "bands"]
    a, b = (run.statistics["bands"].sum(0) for run in RUNS.values())
    assert [row["pixels"] for row in table.rows] == a[:, 0].tolist()
    assert [row["gained"] for row in table.rows] == (b - a)[:, 1].tolist()
    assert [row["a"] for row in table.rows][:2] == pytest.approx((a[:2, 1] / a[:2, 0]).tolist())
    low, high = table.rows[0]["interval"]  # type: ignore[misc]
    assert low < table.rows[0]["change"] < high < 0  # type: ignore[operator]


def costing(miou: float, milliseconds: float | None, parameters: str | None, device: str = "cpu") -> Evaluation:
    """A run whose mIoU stands where the test looks for it."""
    checkpoint = {"name": str(miou), "device": device, **({"parameters": parameters} if parameters else {})}
    timing = {"timing": {"milliseconds per image": milliseconds, "batch size": 4}} if milliseconds else {}
    return replace(RUNS["a"], facts={"checkpoint": checkpoint, **timing})


CASES = {
    "all else equal": ([(0.7, 10, "1 000"), (0.6, 10, "1 000")], [(), (0,)]),
    "equal in all": ([(0.7, 10, "1 000"), (0.7, 10, "1 000")], [(), ()]),
    "within the clock": ([(0.7, 10, "1 000"), (0.6, 9.5, "1 000")], [(), (0,)]),
    "faster": ([(0.7, 10, "1 000"), (0.6, 8, "1 000")], [(), ()]),
    "smaller": ([(0.7, 10, "2 000"), (0.6, 10, "900")], [(), ()]),
    "a chain": ([(0.5, 30, "3"), (0.6, 20, "2"), (0.7, 10, "1")], [(1, 2), (2,), ()]),
    "time not known of all": ([(0.7, 10, "1 000"), (0.6, None, "1 000")], [(), (0,)]),
    "parameters not known of all": ([(0.7, 10, None), (0.6, 20, "1")], [(), (0,)]),
}


@pytest.mark.parametrize("case", CASES)
def test_dominated_runs(case: str) -> None:
    given, expected = CASES[case]
    runs = {str(place): costing(*values) for place, values in enumerate(given)}
    times = {str(place): ms for place, (_, ms, _) in enumerate(given) if ms is not None}
    found = trade_offs(runs, (), {"miou": np.array([miou for miou, *_ in given])}, times)
    assert [one.dominated_by for one in found] == expected
    assert [one.parameters for one in found] == [None if p is None else int(p.replace(" ", "")) for *_, p in given]


@pytest.mark.parametrize("times", [None, {"a": 30.0}])
def test_times_of_the_runs_themselves_take_no_part(times: dict[str, float] | None) -> None:
    """The second run was measured in a busier hour: its time neither saves nor condemns it."""
    runs = {"a": costing(0.7, 10, "1 000"), "b": costing(0.7, 30, "1 000"), "c": costing(0.6, 1, "1 000")}
    found = trade_offs(runs, (), {"miou": np.array([0.7, 0.7, 0.6])}, times)
    assert [one.milliseconds for one in found] == [10, 30, 1]
    assert not any(one.in_turns for one in found)
    assert [one.dominated_by for one in found] == [(), (), (0, 1)]


def test_times_in_turns_take_part() -> None:
    runs = {"a": costing(0.7, 10, "1 000"), "b": costing(0.7, 30, "1 000"), "c": costing(0.6, 1, "1 000")}
    found = trade_offs(runs, (), {"miou": np.array([0.7, 0.7, 0.6])}, {"a": 20.0, "b": 10.0, "c": 5.0})
    assert [one.milliseconds for one in found] == [20, 10, 5]
    assert [one.dominated_by for one in found] == [(1,), (), ()]


def test_segmenters_are_timed_in_turns() -> None:
    called = []

    def segmenter(name: str):
        def run(batch: Batch) -> Output:
            called.append(name)
            return Output("labels")

        run.capabilities = Capabilities()  # type: ignore[attr-defined]
        return run

    found = milliseconds_in_turns([segmenter("a"), segmenter("b")], Batch((None, None)), turns=3)  # type: ignore[arg-type]
    assert called == ["a", "b"] * 4
    assert len(found) == 2
    assert min(found) > 0
    called.clear()
    milliseconds_in_turns([segmenter("a")], Batch((None,)))  # type: ignore[arg-type]
    assert called == ["a"] * (9 + 1)
