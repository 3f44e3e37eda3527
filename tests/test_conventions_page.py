"""Pages of conventions, and the further pages of an evaluation, from the command line and from saved runs."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from evaluations import evaluation, noisy, truth

from segablate.cli import run
from segablate.errors import RunError
from segablate.evaluation.joining import joined
from segablate.evaluation.results import load_run, select
from segablate.metrics.boundary import boundary_f, boundary_sums
from segablate.metrics.confusion import Confusion
from segablate.metrics.conventions import (
    BOUNDARIES,
    OURS,
    REGIONS,
    VOIDS,
    Convention,
    Scores,
    convention_named,
    scores_under,
)
from segablate.metrics.tolerance import Tolerance
from segablate.tables import conventions
from segablate.tables.conventions import convention_report, conventions_report, regions_table
from segablate.tables.evaluation import View, evaluation_report

MAPS = truth(6)
FOUND = evaluation(MAPS, noisy(MAPS, 0.3, 1), tolerances=(Tolerance(4),))
IN_RANGE = evaluation(MAPS, [m % 3 for m in noisy(MAPS, 0.3, 1)])
FIXED = ["--limit", "6", "--workers", "0", "--device", "cpu", "--losses", "none", "--format", "json"]
NAMED = "davis,gscnn,monai-nsd,boundary-iou-api"


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A saved run that holds what may be counted."""
    folder = tmp_path_factory.mktemp("runs") / "counted"
    counting = ["--boundary-as", NAMED, "--trimap", "8,1,2", "--tolerance", "2,6"]
    assert run(["evaluate", "--save", str(folder), *counting, *FIXED]) == 0
    return folder


@pytest.fixture
def shown(capsys: pytest.CaptureFixture[str]):
    """Tables and notes that a command prints as JSON."""
    capsys.readouterr()

    def tables(*words: str) -> tuple[dict, str]:
        assert run([*words, "--format", "json"]) == 0, capsys.readouterr().err
        page = json.loads(capsys.readouterr().out)
        return page["tables"], " | ".join(page["notes"])

    return tables


def test_every_convention_has_a_row_and_ours_comes_first() -> None:
    rows = regions_table(FOUND).rows
    assert rows[0]["convention"] == "segablate"
    assert [row["convention"] for row in rows[1:3]] == ["void-as-error", "void-as-class"]
    assert {row["convention"] for row in rows[3:]} == {convention.name for convention in REGIONS}
    ordered = [row["miou"] for row in rows[3:] if row["miou"] == row["miou"]]
    assert ordered == sorted(ordered, reverse=True)
    assert all(row["miou"] != row["miou"] for row in rows[3 + len(ordered) :])


def test_rows_hold_the_scores_and_their_difference_to_ours() -> None:
    rows = {row["convention"]: row for row in regions_table(FOUND).rows}
    for convention in REGIONS:
        scores = scores_under(convention, FOUND.confusion)
        row = rows[convention.name]
        np.testing.assert_equal(row["miou"], scores.miou)
        np.testing.assert_equal(row["difference"], scores.miou - rows["segablate"]["miou"])
        assert row["differs"] == (scores.refusal or convention.differs)
    assert "predicted outside the classes" in str(rows["torchmetrics"]["differs"])


def test_all_conventions_with_a_number_make_two_sections() -> None:
    clean = [m % 3 for m in MAPS]
    assert regions_table(evaluation(clean, clean)).sections == (3,)


def test_boundary_conventions_without_counts_say_how_to_get_them() -> None:
    _, boundaries = conventions_report(FOUND).tables
    assert [row["convention"] for row in boundaries.rows] == [convention.name for convention in BOUNDARIES]
    for row in boundaries.rows:
        assert "mean" not in row
        assert f"evaluate again with --boundary-as {row['convention']}" in str(row["differs"])
    with pytest.raises(
        RunError, match=r"davis has boundaries of its own, which were not counted; .* --boundary-as davis"
    ):
        convention_report(FOUND, convention_named("davis"))


def test_one_convention_shows_its_classes_beside_ours() -> None:
    report = convention_report(IN_RANGE, convention_named("csail"))
    overall, classes = report.tables
    assert [row["measure"] for row in overall.rows] == ["mIoU", "mean recall", "pixel accuracy"]
    assert [row["class"] for row in classes.rows] == ["road", "car", "tree"]
    assert classes.rows[0]["value"] == classes.rows[0]["ours"]
    assert any("a class in neither map counts as 0" in note for note in report.notes)


def test_what_is_to_be_said_of_the_run_stands_on_every_page() -> None:
    limited = replace(IN_RANGE, notes=("--limit: 6 of 48 images, evenly spaced",))
    for report in (conventions_report(limited), convention_report(limited, convention_named("mmseg"))):
        assert report.notes[-1] == "--limit: 6 of 48 images, evenly spaced"


def test_a_convention_that_refuses_shows_dashes_and_why() -> None:
    report = convention_report(FOUND, convention_named("kornia"))
    assert all(np.isnan(row["value"]) for table in report.tables for row in table.rows)
    assert "kornia has no number here: it has no label to ignore" in report.notes[0]


def test_a_saved_run_is_shown_under_conventions(saved: Path, shown) -> None:
    tables, _ = shown("show", str(saved), "--conventions")
    distances = [(row["convention"], row["distance"]) for row in tables["boundary_conventions"]]
    assert distances[:2] == [("davis", "0.008d"), ("gscnn", "0.0005d")]
    assert distances[5:] == [("monai-nsd", "2 px"), ("monai-nsd", "6 px"), ("boundary-iou-api", "0.02d")]
    assert all(0 < row["mean"] < 1 for row in tables["boundary_conventions"])
    one, notes = shown("show", str(saved), "--as", "gscnn")
    assert one["overall"][0]["at_0"] == pytest.approx(tables["boundary_conventions"][1]["mean"])
    assert "Difference of gscnn from this program's definition" in notes
    mmseg, _ = shown("show", str(saved), "--as", "mmseg")
    assert [row["difference"] for row in mmseg["overall"]] == [0, 0, 0]


def test_boundary_scores_of_a_saved_run_are_those_of_its_images(saved: Path) -> None:
    loaded = load_run(saved)
    parts = [select(loaded, [0, 1, 2]), select(loaded, [3, 4, 5])]
    for convention in BOUNDARIES:
        assert loaded.statistics[convention.statistic].shape[0] == 6
        again = convention.score(joined(parts).statistics[convention.statistic])
        np.testing.assert_array_equal(again, convention.score(loaded.statistics[convention.statistic]))


def test_naming_a_boundary_convention_shows_it_at_once(shown) -> None:
    tables, _ = shown("evaluate", *FIXED[:-2], "--as", "davis")
    assert 0 < tables["overall"][0]["at_0"] < 1
    assert len(tables["classes"]) == 10


@pytest.mark.usefixtures("processes_at_once")
def test_reading_processes_count_the_same(saved: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    maps, again = tmp_path / "maps", tmp_path / "again"
    assert run(["evaluate", "--write-predictions", str(maps), *FIXED]) == 0
    counting = ["--boundary-as", NAMED, "--trimap", "1,2,8", "--tolerance", "2,6", "--save", str(again)]
    assert run(["evaluate", f"predictions:{maps}", "sample", *counting, *FIXED, "--workers", "2"]) == 0
    capsys.readouterr()
    before, after = load_run(saved).statistics, load_run(again).statistics
    for name in (*(convention.statistic for convention in BOUNDARIES), "trimap", "trimap_widths"):
        np.testing.assert_array_equal(before[name], after[name])


def test_details_and_curve(saved: Path, shown, tmp_path: Path) -> None:
    picture = tmp_path / "curve.png"
    tables, _ = shown("show", str(saved), "--details", "--curve", "--plot", str(picture))
    assert picture.stat().st_size > 1000
    assert [row["tolerance"] for row in tables["boundary_curve"]] == [1, 2, 3, 4, 5, 6]
    f = [row["f"] for row in tables["boundary_curve"]]
    assert f == sorted(f)
    assert np.mean([row["f"] for row in tables["boundaries_2"] if row["f"] is not None]) == pytest.approx(f[1])
    assert [row["width"] for row in tables["trimap"]] == [1, 2, 8]
    scores = [row["miou"] for row in tables["worst_images"]]
    assert scores == sorted(scores)
    plain, _ = shown("show", str(saved))
    assert not {"boundary_curve", "boundaries_2", "worst_images"} & set(plain)


def test_image_level_rows_come_from_the_counts() -> None:
    report = evaluation_report(FOUND, View(tolerances=(Tolerance(2),)))
    rows = next(table.rows for table in report.tables if table.name == "image_level")
    assert [str(row["measure"]).split(" over")[0] for row in rows] == ["mIoU", "mIoU", "boundary F @2px"]
    assert FOUND.boundary is not None
    f = boundary_f(boundary_sums(FOUND.boundary, Tolerance(2)))
    assert rows[2]["value"] == pytest.approx(np.nanmean(np.nanmean(f, axis=0)))
    assert all(row["worst_5"] <= row["worst_10"] <= row["value"] for row in rows)


def test_image_level_scores_follow_the_void_convention() -> None:
    pages = [evaluation_report(FOUND, View(void_as_error=strict)) for strict in (False, True)]
    plain, strict = (next(t.rows for t in page.tables if t.name == "image_level") for page in pages)
    assert strict[0]["value"] < plain[0]["value"]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--as", "smpp"], "no convention is called 'smpp'; did you mean 'smp'?"),
        (["--as", "smp", "--conventions"], "--as and --conventions exclude each other; leave out one"),
        (["--as", "smp", "--curve"], "--curve applies to the default report, not to that of --as smp"),
        (["--conventions", "--void-as-error"], "--void-as-error applies to the default report"),
        (["--boundary-as", "davs"], "no boundary convention is called 'davs'; did you mean 'davis'?"),
        (["--boundary-as", "monai-nsd", "--tolerance", "none"], "give one, as in --tolerance 3"),
        (["--trimap", "0,2"], "--trimap is '0,2', but must be comma-separated whole pixels from 1 to 1000"),
    ],
)
def test_bad_options_are_refused_before_the_work(words: list[str], message: str, capsys) -> None:
    assert run(["evaluate", *words]) == 2
    assert message in capsys.readouterr().err


def test_a_comparison_is_shown_as_it_was_written(saved: Path, tmp_path: Path, capsys) -> None:
    folder, other = tmp_path / "compared", tmp_path / "other"
    shutil.copytree(saved, other)
    assert run(["compare", str(saved), str(other), "--save", str(folder)]) == 0
    capsys.readouterr()
    assert run(["show", str(folder), "--conventions"]) == 2
    assert "is printed as it was saved" in capsys.readouterr().err


def test_a_run_without_boundaries_has_no_curve(tmp_path: Path, capsys) -> None:
    folder = tmp_path / "flat"
    assert run(["evaluate", "--save", str(folder), "--tolerance", "none", *FIXED]) == 0
    capsys.readouterr()
    assert run(["show", str(folder), "--plot", str(tmp_path / "curve.png")]) == 1
    assert "--plot needs boundary counts, but the run has none" in capsys.readouterr().err


def test_the_headline_is_the_first_number_of_the_convention() -> None:
    named = convention_report(IN_RANGE, convention_named("torchmetrics")).headline
    assert named is not None
    assert named.measure == "mIoU as torchmetrics"
    assert named.value == scores_under(convention_named("torchmetrics"), IN_RANGE.confusion).miou
    assert named.text.startswith(f"mIoU as torchmetrics {100 * named.value:.2f} %, ours ")
    undefined = convention_report(FOUND, convention_named("kornia")).headline
    assert undefined is not None
    assert undefined.text.startswith("mIoU as kornia undefined, ours ")
    every = conventions_report(FOUND).headline
    assert every is not None
    assert every.measure == "mIoU"
    assert every.value == scores_under(OURS, FOUND.confusion).miou
    mious = [scores_under(convention, FOUND.confusion).miou for convention in (*VOIDS, *REGIONS)]
    assert f"; {100 * np.nanmin(mious):.2f} to {100 * np.nanmax(mious):.2f} % under other conventions" in every.text


def test_a_run_is_scored_once_under_each_convention(monkeypatch: pytest.MonkeyPatch) -> None:
    scored: list[str] = []

    def counted(convention: Convention, confusion: Confusion) -> Scores:
        scored.append(convention.name)
        return scores_under(convention, confusion)

    monkeypatch.setattr(conventions, "scores_under", counted)
    conventions_report(FOUND)
    assert len(scored) == len(set(scored)) > len(REGIONS)
    scored.clear()
    convention_report(FOUND, convention_named("torchmetrics"))
    assert sorted(scored) == ["segablate", "torchmetrics"]
