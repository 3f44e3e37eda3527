"""``compare``, ``show`` and ``runs`` from the command line, on predictions that are quickly made."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
from conftest import scene, write_dataset

from segablate.cli import run
from segablate.evaluation.results import load_run, save_run
from segablate.evaluation.runs import read_description
from segablate.metrics.confusion import count_confusion

Command = Callable[..., str]


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A dataset of eight images, three folders of predictions of falling quality, and two saved runs."""
    monkeypatch.chdir(tmp_path)
    write_dataset(tmp_path / "toy", 8)
    for name, share in (("good", 0.1), ("fair", 0.3), ("poor", 0.5)):
        (tmp_path / name).mkdir()
        rng = np.random.default_rng(len(name) + int(10 * share))
        for index in range(8):
            labels = scene(index)[1] % 4
            wrong = rng.random(labels.shape) < share
            cv2.imwrite(f"{name}/s{index}.png", np.where(wrong, (labels + 1) % 4, labels))
    return tmp_path


@pytest.fixture
def command(place: Path, capsys: pytest.CaptureFixture[str]) -> Command:
    """Run the program and give what it prints; it must succeed unless told otherwise."""

    def call(*arguments: str, code: int = 0) -> str:
        quiet = [] if arguments[0] in ("show", "runs") else ["--workers", "0", "--device", "cpu"]
        found = run([*arguments, *quiet])
        printed = capsys.readouterr()
        assert found == code, printed.err
        assert len(printed.err.splitlines()) == (code > 0)
        return printed.err if code else printed.out

    return call


def saved(command: Command, *names: str, options: tuple[str, ...] = ()) -> list[str]:
    for name in names:
        command("evaluate", f"predictions:{name}", "folder:toy", "--save", f"runs/{name}", *options)
    return [f"runs/{name}" for name in names]


def compared(command: Command, *arguments: str) -> dict:
    return json.loads(command("compare", *arguments, "--replicates", "300", "--format", "json"))


ON = ("predictions:good", "predictions:fair", "--on", "folder:toy")


def test_predictions_are_compared(command: Command) -> None:
    found = compared(command, *ON)
    tables = found["tables"]
    assert found["title"] == "predictions:fair against predictions:good"
    assert found["facts"]["verdict"].startswith("A is better than B in mIoU: B − A = −")
    assert list(tables) == ["scores", "classes", "confusions", "bands", "images", "choices", "facts"]
    table = sum(count_confusion(scene(i)[1], cv2.imread(f"fair/s{i}.png", cv2.IMREAD_GRAYSCALE), 4) for i in range(8))
    hits, union = np.diag(table)[:4], table[:4].sum(1) + table[:4].sum(0)[:4]
    iou = hits / (union - hits)
    assert tables["scores"][0]["b"] == pytest.approx(iou.mean())
    assert {row["class"]: row["iou_b"] for row in tables["classes"]} == pytest.approx(
        dict(zip(("road", "car", "tree", "sky"), iou, strict=True))
    )
    assert [row["shown_b"] for row in tables["classes"]] == ["A better"] * 4
    assert {row["choice"] for row in tables["choices"]} == {"A"}


def test_saved_runs_and_checkpoints_may_be_mixed(command: Command) -> None:
    fresh = compared(command, *ON)
    good, fair = saved(command, "good", "fair")
    mixed = compared(command, good, "predictions:fair", "--on", "folder:toy")
    both = compared(command, good, fair)
    assert fresh["tables"]["scores"] == mixed["tables"]["scores"] == both["tables"]["scores"]
    assert both["facts"]["A"] == "runs/good (predictions:good)"


@pytest.mark.parametrize("format", ["rich", "markdown", "csv", "json", "latex"])
def test_a_saved_comparison_is_shown_as_it_was_printed(command: Command, format: str) -> None:
    printed = command("compare", *ON, "--save", "cmp", "--replicates", "300", "--format", format)
    assert command("show", "cmp", "--format", format) == printed


def test_the_runs_of_a_saved_comparison_can_be_used_again(command: Command) -> None:
    first = compared(command, *ON, "--save", "cmp")
    again = compared(command, "cmp/a", "cmp/b")
    assert again["tables"]["scores"] == first["tables"]["scores"]
    assert read_description(Path("cmp"))["kind"] == "comparison"
    counts = Path("cmp/b/counts.npz")
    counts.write_bytes(counts.read_bytes()[:-1])
    assert "cmp is damaged: b/counts.npz was changed" in command("show", "cmp", code=1)


def test_three_are_ranked(command: Command) -> None:
    found = compared(command, *ON[:2], "predictions:poor", *ON[2:])
    assert found["title"] == "3 runs compared"
    assert found["facts"]["verdict"].endswith("it is significantly better than B and C (p < 0.05, Holm over all pairs)")
    assert list(found["tables"]) == ["runs", "pairs", "trade_offs", "choices", "classes", "facts"]
    assert [row["dominated_by"] for row in found["tables"]["trade_offs"]] == ["", "A", "A, B"]
    assert [row["shown"] for row in found["tables"]["pairs"]] == ["A better", "A better", "B better"]
    assert found["tables"]["choices"][0]["first_a"] == 1.0


def test_equal_predictions_are_called_equal(command: Command) -> None:
    found = compared(command, "predictions:good", "predictions:good?encoding=index", "--on", "folder:toy")
    assert found["facts"]["verdict"] == "A and B have the same confusion counts on every image"


def test_few_images_are_called_few(command: Command) -> None:
    verdict = compared(command, *ON, "--limit", "4")["facts"]["verdict"]
    assert "4 images are too few for a confidence interval (at least 5)" in verdict


def test_groups_are_named(command: Command) -> None:
    notes = compared(command, *ON, "--group-by", "[0-9]")["notes"]
    assert any("images in 8 groups (--group-by [0-9])" in note for note in notes)


def test_intersect_is_the_way_out_for_different_images(command: Command) -> None:
    good, fair = (*saved(command, "good"), *saved(command, "fair", options=("--limit", "6")))
    refused = command("compare", good, fair, code=1)
    assert "runs/good and runs/fair cover different images (8 and 6; first missing: s3)" in refused
    assert "or pass --intersect" in refused
    found = compared(command, good, fair, "--intersect")
    assert "6 images in all runs" in found["facts"]["dataset"]
    assert "A: --intersect: 6 of 8 images, those that all runs have" in found["notes"]
    assert any(note.startswith("B: --limit: 6 of 8 images") for note in found["notes"])


def test_tolerances_are_those_of_the_runs_unless_stated(command: Command) -> None:
    good, fair = saved(command, "good", "fair", options=("--tolerance", "1,2"))

    def shown(*options: str) -> list[str]:
        rows = compared(command, good, fair, *options)["tables"]["scores"]
        return [row["measure"] for row in rows if row["measure"].startswith("boundary")]

    assert shown() == ["boundary F @1px", "boundary F @2px"]
    assert shown("--tolerance", "1.5") == ["boundary F @1.5px"]
    assert shown("--tolerance", "none") == []
    assert "runs/good: tolerance 3 " in command("compare", good, fair, "--tolerance", "3", code=1)


def test_the_forest_plot_is_drawn(command: Command) -> None:
    for suffix, start in (("png", b"\x89PNG"), ("svg", b"<?xml")):
        compared(command, *ON, "--plot", f"plot.{suffix}")
        assert Path(f"plot.{suffix}").read_bytes().startswith(start)
    svg = Path("plot.svg")
    compared(command, *ON[:2], "predictions:poor", *ON[2:], "--plot", str(svg))
    assert svg.stat().st_size > 1000


REFUSED = {
    "one": (
        2,
        ("predictions:good",),
        "compare takes 2 to 26 runs or checkpoints, but 1 given. Usage: segablate compare",
    ),
    "twice": (2, ("predictions:good", "predictions:good"), "predictions:good is given twice"),
    "no dataset": (
        2,
        ("predictions:good", "predictions:fair"),
        "No dataset given for predictions:good. Usage: segablate compare A B --on DATASET",
    ),
    "losses of label maps": (
        2,
        (*ON, "--losses", "ce"),
        "--losses ce needs logits, but predictions:good has label maps only",
    ),
    "nothing there": (
        1,
        ("nowhere", "predictions:fair"),
        "nowhere: no such run, checkpoint or card; check the path",
    ),
    "another kind of plot": (2, (*ON, "--plot", "plot.gif"), "--plot plot.gif must end in .png, .svg, .pdf"),
    "plot into a file": (2, (*ON, "--plot", "toy/dataset.yaml/plot.png"), "plot.png cannot be written"),
    "expression": (2, (*ON, "--group-by", "("), "--group-by '(' is not a regular expression"),
    "taken": (1, (*ON, "--save", "toy"), "toy exists; choose another name, or remove it"),
    "replicates": (2, (*ON, "--replicates", "10"), "'--replicates': Input should be greater than or equal to 100"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_cannot_be_compared_is_one_line(command: Command, case: str) -> None:
    code, arguments, message = REFUSED[case]
    assert message in command("compare", *arguments, code=code)


def test_a_dataset_that_nothing_needs_is_refused(command: Command) -> None:
    message = command("compare", *saved(command, "good", "fair"), "--on", "folder:toy", code=2)
    assert "--on folder:toy has no effect: runs/good, runs/fair are saved runs" in message


def test_without_matplotlib_the_extra_is_named(command: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "matplotlib", None)
    message = command("compare", *ON, "--plot", "plot.png", code=1)
    assert "--plot needs matplotlib, which is not installed; pip install 'segablate[plot]'" in message


def changed_label(folder: str) -> None:
    """One pixel of one label map has another class."""
    file = f"{folder}/labels/val/s3.png"
    labels = cv2.imread(file, cv2.IMREAD_GRAYSCALE)
    labels[0, 0] = (labels[0, 0] + 1) % 4
    cv2.imwrite(file, labels)


def edited_dataset(before: str, after: str) -> None:
    file = Path("toy/dataset.yaml")
    text = file.read_text(encoding="utf-8")
    assert before in text
    file.write_text(text.replace(before, after), encoding="utf-8")


def newer_format(run: str) -> None:
    file = Path(run, "run.json")
    file.write_text(json.dumps(json.loads(file.read_text()) | {"format": 2}), encoding="utf-8")


DIFFERING = {
    "class names": (
        lambda: edited_dataset("tree", "bush"),
        "runs/good and runs/fair have different classes (4 and 4; only runs/good has tree; only runs/fair has bush); "
        "evaluate both on the same dataset",
    ),
    "label files": (
        lambda: changed_label("toy"),
        "runs/good and runs/fair read different label files for 1 of 8 images (first: s3); evaluate both with the same "
        "labels",
    ),
}


@pytest.mark.parametrize("case", DIFFERING)
def test_runs_that_measured_another_thing_are_refused(command: Command, case: str) -> None:
    change, message = DIFFERING[case]
    (good,) = saved(command, "good")
    change()
    (fair,) = saved(command, "fair")
    assert message in command("compare", good, fair, code=1)
    assert message in command("compare", good, fair, "--intersect", code=1)


def test_labels_read_in_another_way_are_refused(command: Command) -> None:
    """The same files and class names, but other codes."""
    (good,) = saved(command, "good")
    edited_dataset("- code: 2\n", "- code: [2, 7]\n")
    (fair,) = saved(command, "fair")
    message = "runs/good and runs/fair decode label files differently (tree is 2 and 2, 7); evaluate both with the same"
    assert message in command("compare", good, fair, code=1)


def test_merged_classes_are_other_classes(command: Command) -> None:
    Path("merged.yaml").write_text("ground: [road, car]\n")
    good, fair = *saved(command, "good"), *saved(command, "fair", options=("--classes", "merged.yaml"))
    message = command("compare", good, fair, code=1)
    assert "runs/good and runs/fair have different classes (4 and 1; only runs/good has road, car, tree" in message
    assert load_run(Path(fair)).labels.merged_from == load_run(Path(good)).labels


def test_a_run_of_a_newer_format_is_refused(command: Command) -> None:
    good, fair = saved(command, "good", "fair")
    newer_format(fair)
    assert "runs/fair is a run of format 2, newer than this program's 1; upgrade segablate" in command(
        "compare", good, fair, code=1
    )


def test_a_run_without_the_tallies_is_compared_without_them(command: Command) -> None:
    """As runs are that were saved before the program counted them."""
    good, fair = saved(command, "good", "fair")
    kept = load_run(Path(good))
    save_run(replace(kept, statistics={}), Path("runs/old"), "{}")
    found = compared(command, "runs/old", fair)
    assert "bands" not in found["tables"]
    assert "left out, not in every run: accuracy by distance from the label boundary" in found["notes"]


def test_calibration_and_cost_of_sample_checkpoints(command: Command) -> None:
    samples = ("sample:ce", "sample:weighted")
    quick = ("--limit", "8", "--tolerance", "none", "--losses", "none")
    ece = {}
    for name in samples:
        tables = json.loads(command("evaluate", name, *quick, "--format", "json"))["tables"]
        ece[name] = tables["overall"][-1]["value"]
    (row,) = [row for row in compared(command, *samples, *quick)["tables"]["scores"] if row["measure"][:3] == "ECE"]
    assert (row["a"], row["b"]) == pytest.approx(tuple(ece.values()))
    assert row["shown"] in ("", "A better" if row["change"] > 0 else "B better")
    for name in samples:
        command("evaluate", name, *quick, "--save", f"runs/{name[7:]}")
    command("evaluate", samples[0], *quick, "--flip", "--save", "runs/flip")
    rows = compared(command, "runs/ce", "runs/weighted", "runs/flip")["tables"]["trade_offs"]
    assert all(row["seconds"] > 0 and row["parameters"] == 74818 and "boundary_f" not in row for row in rows)


# show and runs


def test_a_saved_evaluation_is_shown_again(command: Command) -> None:
    printed = command("evaluate", "predictions:good", "folder:toy", "--save", "run", "--format", "json")
    assert command("show", "run", "--format", "json") == printed == Path("run/summary.json").read_text()


def test_another_convention_is_applied_to_a_saved_run(command: Command) -> None:
    options = ("--format", "json", "--void-as-error", "--tolerance", "1")
    direct = json.loads(command("evaluate", "predictions:fair", "folder:toy", *options))
    saved(command, "fair")
    again = json.loads(command("show", "runs/fair", *options))
    assert again["tables"] == direct["tables"]


def test_what_a_run_cannot_show_is_said(command: Command) -> None:
    saved(command, "good", options=("--tolerance", "none"))
    message = "runs/good has no boundary counts; evaluate again with --tolerance 2"
    assert message in command("show", "runs/good", "--tolerance", "2", code=1)
    command("show", "runs/good")
    command("compare", *ON, "--save", "cmp", "--replicates", "300")
    assert "cmp is a saved comparison, which is printed as it was saved" in command(
        "show", "cmp", "--void-as-error", code=2
    )
    assert "toy is not a saved run: it has no run.json" in command("show", "toy", code=1)


def test_runs_are_listed_and_damaged_ones_named(command: Command) -> None:
    saved(command, "good", "fair", "poor")
    command("compare", "runs/good", "runs/fair", "--save", "runs/cmp", "--replicates", "300")
    Path("runs/poor/counts.npz").unlink()
    (Path("runs") / "notes").mkdir()
    listed = json.loads(command("runs", "runs", "--format", "json"))
    rows = {row["run"]: row for row in listed["tables"]["runs"]}
    assert list(rows) == ["cmp", "fair", "good", "poor"]
    assert rows["poor"]["kind"] == "damaged"
    assert listed["notes"] == ["runs/poor is damaged: counts.npz is missing; create the run again"]
    assert rows["good"]["miou"] > rows["fair"]["miou"]
    assert (rows["good"]["images"], rows["good"]["checkpoint"]) == (8, "predictions:good")
    assert rows["cmp"]["kind"] == "comparison"
    assert len(rows["good"]["written"]) == len("2026-01-01 00:00")


def test_a_folder_without_runs(command: Command) -> None:
    assert "no saved run in toy" in command("runs", "toy")
    assert "runs is not a folder" in command("runs", code=1)


def test_without_arguments_the_sample_checkpoints_are_compared(command: Command) -> None:
    text = command("compare", "--limit", "6", "--tolerance", "none", "--replicates", "300")
    assert "sample:weighted against sample:ce" in text
    assert "trained with" in text
    assert "6 images in all runs" in text
