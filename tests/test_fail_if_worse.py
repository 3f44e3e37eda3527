"""``compare --fail-if-worse``, ``--brief`` and the headline, on predictions that are quickly made."""

import json
from pathlib import Path

import cv2
import numpy as np
import pytest
from conftest import scene, write_dataset

from segablate.cli import run

ON = ["--on", "folder:toy", "--workers", "0", "--device", "cpu", "--replicates", "200"]


@pytest.fixture(autouse=True)
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A dataset of eight images, and predictions of which 10, 30 and 30 % of the pixels are wrong."""
    monkeypatch.chdir(tmp_path)
    write_dataset(tmp_path / "toy", 8)
    for name, share in (("good", 0.1), ("fair", 0.3), ("same", 0.3)):
        (tmp_path / name).mkdir()
        rng = np.random.default_rng(len(name))
        for index in range(8):
            labels = scene(index)[1] % 4
            wrong = rng.random(labels.shape) < share
            cv2.imwrite(f"{name}/s{index}.png", np.where(wrong, (labels + 1) % 4, labels))


def compared(*words: str) -> int:
    return run(["compare", *words, *ON])


def test_a_run_that_is_worse_ends_with_3(capsys: pytest.CaptureFixture[str]) -> None:
    assert compared("predictions:good", "predictions:fair", "--fail-if-worse", "0.5") == 3
    last = capsys.readouterr().out.splitlines()[-1]
    assert last.startswith("--fail-if-worse 0.5: failed, worse by more than 0.5 points of mIoU: B − A = −")
    assert compared("predictions:fair", "predictions:good", "--fail-if-worse", "0.5") == 0
    assert "--fail-if-worse 0.5: passed, B − A = +" in capsys.readouterr().out.splitlines()[-1]


def test_the_whole_interval_must_lie_below_the_limit(capsys: pytest.CaptureFixture[str]) -> None:
    assert compared("predictions:good", "predictions:fair", "--format", "json") == 0
    high = -100 * json.loads(capsys.readouterr().out)["headline"]["high"]
    low = -100 * json.loads(output(capsys, "--format", "json"))["headline"]["low"]
    assert 0 < high < low
    for limit, code in ((high - 0.01, 3), (high + 0.01, 0), (low, 0)):
        assert compared("predictions:good", "predictions:fair", "--fail-if-worse", f"{limit}") == code


def output(capsys: pytest.CaptureFixture[str], *options: str) -> str:
    capsys.readouterr()
    assert compared("predictions:good", "predictions:fair", *options) == 0
    return capsys.readouterr().out


def test_any_later_run_may_fail(capsys: pytest.CaptureFixture[str]) -> None:
    names = ["predictions:fair", "predictions:same", "predictions:good"]
    assert compared(*names, "--fail-if-worse", "5") == 0
    assert compared(names[2], *names[:2], "--fail-if-worse", "5") == 3
    last = capsys.readouterr().out.splitlines()[-1]
    assert "B − A = −" in last
    assert "C − A = −" in last


def test_what_programs_read_stays_whole(capsys: pytest.CaptureFixture[str]) -> None:
    assert compared("predictions:good", "predictions:fair", "--fail-if-worse", "0.5", "--format", "json") == 3
    printed = capsys.readouterr()
    assert json.loads(printed.out)["headline"]["value"] < 0
    assert printed.err.startswith("--fail-if-worse 0.5: failed")


def test_what_cannot_be_tested_does_not_pass(capsys: pytest.CaptureFixture[str]) -> None:
    assert compared("predictions:good", "predictions:fair", "--fail-if-worse", "0.5", "--limit", "3") == 1
    assert "B − A has no 95 % CI in mIoU, so it cannot be tested" in capsys.readouterr().err


@pytest.mark.parametrize("limit", ["-1", "nan", "101"])
def test_a_limit_that_is_none(limit: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert compared("predictions:good", "predictions:fair", "--fail-if-worse", limit) == 2
    assert "must be between 0 and 100 points of mIoU" in capsys.readouterr().err


def test_trainings_are_tested_too(capsys: pytest.CaptureFixture[str]) -> None:
    for name, source in (("a-1", "good"), ("a-2", "good"), ("b-1", "fair"), ("b-2", "same")):
        assert run(["evaluate", f"predictions:{source}", "folder:toy", "--workers", "0", "--save", name]) == 0
    groups = ["compare", "--trainings", "a-*", "b-*"]
    assert run([*groups, "--fail-if-worse", "0.5"]) == 3
    assert "b-* − a-* = −" in capsys.readouterr().out.splitlines()[-1]
    assert run([*groups[:2], "b-*", "a-*", "--fail-if-worse", "0.5"]) == 0
    capsys.readouterr()
    assert run([*groups, "--brief"]) == 0
    lines = capsys.readouterr().out.strip().split("\n\n")
    assert lines[0] == lines[-1]
    assert lines[0].startswith("b-* is worse than a-* in mIoU")


def test_the_headline_stands_first_and_last(capsys: pytest.CaptureFixture[str]) -> None:
    text = output(capsys)
    parts = text.strip().split("\n\n")
    assert parts[0] == parts[-1]
    assert parts[0].startswith("A is better than B in mIoU")
    assert text.count("A is better than B in mIoU") == 2  # and is no fact besides
    page = json.loads(output(capsys, "--format", "json"))
    assert page["facts"]["verdict"] == page["headline"]["text"] == parts[0].replace("\n", " ")
    assert page["headline"]["of"] == "predictions:fair − predictions:good"
    row = page["tables"]["scores"][0]
    assert [page["headline"][key] for key in ("value", "low", "high")] == [row["change"], *row["interval"]]


def test_brief_is_headline_classes_and_notes(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["evaluate", "predictions:good", "folder:toy", "--workers", "0", "--brief", "--format", "json"]) == 0
    page = json.loads(capsys.readouterr().out)
    assert list(page["tables"]) == ["classes"]
    assert any("void" in note for note in page["notes"])
    assert page["headline"]["measure"] == "mIoU"
    assert page["facts"] == {}
    assert page["headline"]["text"].startswith(f"mIoU {100 * page['headline']['value']:.2f} % (95 % CI ")
    classes = [row["iou"] for row in page["tables"]["classes"]]
    assert page["headline"]["value"] == pytest.approx(np.mean(classes))
