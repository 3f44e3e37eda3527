"""The page of ``segablate evaluate``: scores are those of the counts, and what must be known stands under them."""

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from evaluations import LABELS, evaluation, noisy, truth

from segablate.cli import run
from segablate.evaluation.results import Evaluation, Skipped
from segablate.labels import LabelSet
from segablate.metrics.confusion import class_counts, iou, mean_iou, mean_recall, pixel_accuracy
from segablate.metrics.tolerance import Tolerance
from segablate.tables.evaluation import View, evaluation_report
from segablate.tables.sampling import sampling_note

MAPS = truth(12)
VIEW = View(tolerances=(Tolerance(2),))


def page(found: Evaluation, view: View = VIEW) -> tuple[dict[str, list], str]:
    report = evaluation_report(found, view)
    return {table.name: list(table.rows) for table in report.tables}, " | ".join(report.notes)


def test_scores_are_those_of_the_counts() -> None:
    found = evaluation(MAPS, noisy(MAPS, 0.3, 1), values={"ce": [float(i) for i in range(11)] + [float("nan")]})
    tables, notes = page(found)
    counts = class_counts(found.confusion).total()
    overall = {row["measure"]: row["value"] for row in tables["overall"]}
    assert overall["mIoU"] == pytest.approx(float(mean_iou(counts)))
    assert overall["mean recall"] == pytest.approx(float(mean_recall(counts)))
    assert overall["pixel accuracy"] == pytest.approx(float(pixel_accuracy(counts)))
    for row in tables["overall"]:
        assert row["interval"][0] <= row["value"] <= row["interval"][1]
    assert [row["iou"] for row in tables["classes"]] == pytest.approx(iou(counts))
    assert [row["images"] for row in tables["classes"]] == (class_counts(found.confusion).labelled > 0).sum(0).tolist()
    assert tables["losses"] == [{"loss": "ce", "mean": 5.0, "interval": tables["losses"][0]["interval"], "images": 11}]
    assert "predicted outside the label set: misses" in notes
    assert "of all pixels are void: ignored" in notes
    assert "near chance" not in notes


def test_the_other_void_convention_is_read_off_the_same_counts() -> None:
    found = evaluation(MAPS, noisy(MAPS, 0.3, 1))
    plain, _ = page(found)
    strict, notes = page(found, replace(VIEW, void_as_error=True))
    assert strict["overall"][0]["value"] < plain["overall"][0]["value"]
    assert [row["recall"] for row in strict["classes"]] == [row["recall"] for row in plain["classes"]]
    assert "predictions there count as false positives" in notes


def test_an_absent_class_is_undefined_and_named() -> None:
    maps = [np.where(labels == 2, 0, labels).astype(np.uint8) for labels in MAPS]
    found = evaluation(maps, [m % 3 for m in maps])
    tables, notes = page(found)
    tree = tables["classes"][2]
    assert np.isnan(tree["recall"])
    assert "1 of 3 classes is never labelled here (tree): recall is undefined for it" in notes
    assert tables["overall"][1]["over"] == "2 classes labelled"


ELEVEN = LabelSet("eleven", tuple("abcdefghijk"), tuple((code,) for code in range(11)))
SIX = LabelSet("six", tuple("abcdef"), tuple((code,) for code in range(6)))
ONE = LabelSet("one", ("a",), ((0,),))


def drawn(shares: Sequence[float], seed: int) -> list[np.ndarray]:
    """Label maps of independent pixels with these shares of the classes."""
    rng = np.random.default_rng(seed)
    return [rng.choice(len(shares), (20, 30), p=shares).astype(np.uint8) for _ in range(12)]


def partly_right(maps: Sequence[np.ndarray], share: float, classes: int) -> list[np.ndarray]:
    """The labels on this share of the pixels, any class on the others."""
    rng = np.random.default_rng(9)
    return [np.where(rng.random(m.shape) < share, m, rng.integers(0, classes, m.shape)).astype(np.uint8) for m in maps]


SKEWED = (0.35, 0.25, 0.2, *(0.025,) * 8)


def near_chance(maps: Sequence[np.ndarray], predicted: Sequence[np.ndarray], labels: LabelSet = LABELS) -> list[str]:
    report = evaluation_report(evaluation(maps, predicted, labels=labels), VIEW)
    return [note for note in report.notes if "near chance" in note]


@pytest.mark.parametrize(
    ("maps", "predicted", "labels", "reason"),
    [
        (MAPS, [np.zeros_like(m) for m in MAPS], LABELS, "always predicting the most frequent of 3 classes"),
        (MAPS, partly_right(MAPS, 0, 3), LABELS, "(Cohen's kappa"),
        (drawn((1 / 6,) * 6, 0), drawn((1 / 6,) * 6, 1), SIX, "(Cohen's kappa"),
        (drawn(SKEWED, 0), drawn(SKEWED, 1), ELEVEN, "(Cohen's kappa"),
        (drawn((0.98, 0.01, 0.01), 0), [m * 0 + 1 for m in drawn((1, 0, 0), 0)], LABELS, "always predicting"),
    ],
    ids=["constant", "random", "random of six", "independent of eleven", "another constant"],
)
def test_a_prediction_no_better_than_a_constant_map_or_chance_says_what_is_usually_wrong(
    maps: list[np.ndarray], predicted: list[np.ndarray], labels: LabelSet, reason: str
) -> None:
    (note,) = near_chance(maps, predicted, labels)
    assert reason in note
    assert "check channel order, scale, mean and std" in note


@pytest.mark.parametrize(
    ("encoding", "wanted", "unwanted"),
    [
        ({"encoding": "codes"}, "?encoding=, ?shift=-1 or ?map=", "colours"),
        ({"encoding": "colours"}, "the colours of the classes", "?shift"),
        ({}, "check the order of the classes", "?"),
    ],
    ids=["codes", "colours", "scores"],
)
def test_near_chance_predictions_get_advice_that_fits_files(encoding: dict, wanted: str, unwanted: str) -> None:
    found = evaluation(MAPS, [np.zeros_like(m) for m in MAPS])
    found = replace(found, facts=found.facts | {"checkpoint": {"name": "predictions:p", **encoding}})
    (note,) = [note for note in evaluation_report(found, VIEW).notes if "near chance" in note]
    assert wanted in note
    assert "of this split, neither resized nor cropped" in note
    assert not any(word in note for word in ("checkpoints probe", "weights", "channel order", unwanted))


@pytest.mark.parametrize(
    ("maps", "predicted", "labels"),
    [
        (drawn(SKEWED, 0), [np.where(m < 3, m, 0) for m in partly_right(drawn(SKEWED, 0), 0.5, 3)], ELEVEN),
        (drawn((1 / 6,) * 6, 0), partly_right(drawn((1 / 6,) * 6, 0), 0.2, 6), SIX),
        (drawn((0.9, 0.05, 0.05), 0), partly_right(drawn((0.9, 0.05, 0.05), 0), 0.7, 3), LABELS),
        (drawn((1,), 0), drawn((1,), 0), ONE),
        (drawn((1, 0, 0), 0), drawn((1, 0, 0), 0), LABELS),
    ],
    ids=["half right of eleven", "a third right of six", "better than constant", "one class", "one class labelled"],
)
def test_a_prediction_better_than_both_is_not_near_chance(
    maps: list[np.ndarray], predicted: list[np.ndarray], labels: LabelSet
) -> None:
    assert near_chance(maps, predicted, labels) == []


def of_pixels(pixels: Sequence[tuple[int, int, int]]) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """Labels and predictions of four equal images with these (label, prediction, pixels)."""
    labels, predicted = (np.repeat([row[k] for row in pixels], [row[2] for row in pixels])[None] for k in (0, 1))
    return [labels.astype(np.uint8)] * 4, [predicted.astype(np.uint8)] * 4


@pytest.mark.parametrize(("right", "noted"), [(524, True), (526, False)])
def test_chance_is_a_kappa_below_a_twentieth(right: int, noted: bool) -> None:
    wrong = 1000 - right  # kappa is (right - wrong) / 1000
    pair = of_pixels([(0, 0, right), (0, 1, wrong), (1, 1, right), (1, 0, wrong)])
    notes = near_chance(*pair, LABELS)
    assert (notes != []) == noted
    assert all("Cohen's kappa 0.05" in note for note in notes)


def test_the_most_frequent_class_alone_is_as_good_as_a_constant_map() -> None:
    (note,) = near_chance(*of_pixels([(0, 0, 700), (1, 0, 200), (2, 0, 100)]), LABELS)
    assert "always predicting the most frequent of 3 classes has 23.3 %" in note


def test_little_more_than_a_constant_map_is_not_near_chance() -> None:
    pair = of_pixels([(0, 0, 900), (1, 1, 3), (1, 0, 47), (2, 0, 50)])  # mIoU 0.321, the constant 0.300; kappa 0.054
    assert near_chance(*pair, LABELS) == []


def test_skipped_images_are_counted_and_named() -> None:
    found = replace(evaluation(MAPS, MAPS), skipped=(Skipped("a", "a.png: cut off"), Skipped("b", "b.png: empty")))
    _, notes = page(found)
    assert "2 images skipped (a, b); first: a.png: cut off" in notes


def test_few_images_get_no_interval() -> None:
    tables, _ = page(evaluation(MAPS[:3], MAPS[:3]))
    assert np.isnan(tables["overall"][0]["interval"]).all()


def test_a_sample_is_called_small_below_a_thousand_images() -> None:
    assert sampling_note(999).endswith("2 000 bootstrap replicates of the 999 images, widened for the small sample.")
    assert sampling_note(1000).endswith("2 000 bootstrap replicates of the 1 000 images.")


def test_label_sets_without_colours_have_no_swatches() -> None:
    plain = replace(LABELS, colours=())
    tables, _ = page(evaluation(MAPS, MAPS, labels=plain))
    assert "colour" not in tables["classes"][0]


def test_written_predictions_evaluate_to_the_same_counts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    fixed = ["--limit", "6", "--workers", "0", "--device", "cpu", "--losses", "none", "--format", "json"]
    assert run(["evaluate", *fixed, "--no-calibration", "--write-predictions", "out"]) == 0
    checkpoint = json.loads(capsys.readouterr().out)["tables"]
    assert len(list((tmp_path / "out").iterdir())) == 6
    assert run(["evaluate", "predictions:out", "sample", *fixed]) == 0
    assert json.loads(capsys.readouterr().out)["tables"] == checkpoint
    assert run(["evaluate", *fixed, "--write-predictions", "out"]) == 1
    assert "out exists; choose another name" in capsys.readouterr().err


@pytest.mark.parametrize("form", ["rich", "markdown", "csv", "json", "latex"])
def test_every_format(form: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["evaluate", "--limit", "2", "--workers", "0", "--device", "cpu", "--format", form]) == 0
    assert "pavement" in capsys.readouterr().out


def test_boundary_iou_and_errors_by_kind_where_they_were_counted(toy: Path, tmp_path: Path, capsys) -> None:
    predictions = f"predictions:{toy / 'labels' / 'val'}"
    plain = [predictions, f"folder:{toy}", "--format", "json", "--workers", "0"]
    assert run(["evaluate", *plain, "--boundary-iou", "2", "--error-kinds", "2", "--save", str(tmp_path / "run")]) == 0
    evaluated = capsys.readouterr().out
    assert run(["show", str(tmp_path / "run"), "--format", "json"]) == 0
    assert capsys.readouterr().out == evaluated
    tables = json.loads(evaluated)["tables"]
    assert {row["measure"]: row["value"] for row in tables["overall"]}["boundary IoU @2px"] == 1
    assert {row["boundary_iou"] for row in tables["classes"]} == {1}
    assert [row["wrong"] for row in tables["errors"]] == [0] * 4
    assert run(["evaluate", *plain]) == 0
    assert '"boundary_iou":' not in capsys.readouterr().out
