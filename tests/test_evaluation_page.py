"""The page of ``segablate evaluate``: scores are those of the counts, and what must be known stands under them."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from evaluations import LABELS, evaluation, noisy, truth

from segablate.cli import run
from segablate.evaluation.results import Evaluation, Skipped
from segablate.metrics.confusion import class_counts, iou, mean_iou, mean_recall, pixel_accuracy
from segablate.metrics.tolerance import Tolerance
from segablate.tables.evaluation import View, evaluation_report

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


@pytest.mark.parametrize("predicted", ["constant", "shuffled"])
def test_a_score_near_chance_says_what_is_usually_wrong(predicted: str) -> None:
    rng = np.random.default_rng(0)
    blind = [np.zeros_like(m) if predicted == "constant" else rng.integers(0, 3, m.shape, np.uint8) for m in MAPS]
    _, notes = page(evaluation(MAPS, blind))
    assert "mIoU is near chance for 3 classes" in notes
    assert "channel order, scale, mean and std" in notes


def test_skipped_images_are_counted_and_named() -> None:
    found = replace(evaluation(MAPS, MAPS), skipped=(Skipped("a", "a.png: cut off"), Skipped("b", "b.png: empty")))
    _, notes = page(found)
    assert "2 images skipped (a, b); first: a.png: cut off" in notes


def test_few_images_get_no_interval() -> None:
    tables, _ = page(evaluation(MAPS[:3], MAPS[:3]))
    assert np.isnan(tables["overall"][0]["interval"]).all()


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
