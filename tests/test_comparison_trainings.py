"""A grid of evaluations compared over trainings and images: what is computed of them, and what the tables say."""

import json
from collections.abc import Sequence
from dataclasses import astuple, replace
from pathlib import Path

import numpy as np
import pytest
from evaluations import TOLERANCES, evaluation, noisy, truth

from segablate.comparison.seeds import left_out, paired, repeated, unpaired
from segablate.comparison.trainings import Grid, TrainingsComparison, compare_trainings
from segablate.errors import RunError, UsageError
from segablate.evaluation.results import Evaluation, select
from segablate.metrics.boundary import boundary_f, boundary_sums
from segablate.metrics.confusion import class_counts, iou, mean_iou, mean_recall
from segablate.statistics.separate_seeds import over_separate_seeds
from segablate.statistics.shared_seeds import over_shared_seeds
from segablate.statistics.trainings import Trainings, TrainingsResult
from segablate.tables import Table
from segablate.tables.training_groups import groups_report, headline
from segablate.tables.trainings import trainings_notes, trainings_tables

IMAGES = 12
MAPS = truth(IMAGES)
SHARES = {"ce": 0.30, "rmi": 0.18, "lovasz": 0.36}


def training(share: float, seed: int) -> Evaluation:
    losses = np.random.default_rng(seed).random(IMAGES) + share
    return evaluation(MAPS, noisy(MAPS, share, seed), f"net{seed}", {"ce": losses.tolist()})


GRID = {
    name: [training(share, 10 * row + j + 10) for j in range(3)] for row, (name, share) in enumerate(SHARES.items())
}


def score(run: Evaluation, key: str) -> float:
    """The score of the set, from its counts, without the program's statistics."""
    total = class_counts(run.confusion).total()
    if key.startswith("boundary"):
        assert run.boundary is not None
        return float(np.nanmean(boundary_f(boundary_sums(run.boundary, TOLERANCES[int(key[-1]) - 1]).total())))
    if key.startswith("iou"):
        return float(iou(total)[int(key[-1])])
    if key == "loss_ce":
        return float(run.values["ce"].mean())
    return float({"miou": mean_iou, "mean_recall": mean_recall}[key](total))


def plainly(grid: dict[str, list[Evaluation]], key: str, clusters: Sequence[Sequence[int]] | None = None) -> Trainings:
    """Every score with the whole set, and with each image (or cluster) left out by choosing the others."""
    clusters = clusters or [[image] for image in range(IMAGES)]
    kept = [[image for image in range(IMAGES) if image not in cluster] for cluster in clusters]
    without = np.array([[[score(select(run, k), key) for k in kept] for run in row] for row in grid.values()])
    whole = np.array([[score(run, key) for run in row] for row in grid.values()])
    return Trainings(whole, without.mean(axis=2, keepdims=True) - without, np.full(whole.shape, len(clusters)))


def assert_same(found: TrainingsResult, expected: TrainingsResult, fields: int = 10) -> None:
    for one, other in zip(found.settings, expected.settings, strict=True):
        assert astuple(one)[:fields] == pytest.approx(astuple(other)[:fields], nan_ok=True, rel=1e-9)
        assert one.basis == other.basis


@pytest.mark.parametrize("key", ["miou", "mean_recall", "boundary_f_1", "boundary_f_2", "loss_ce"])
@pytest.mark.parametrize("shared", [True, False])
def test_each_measure_is_of_the_counts_and_of_the_counts_without_each_image(key: str, shared: bool) -> None:
    measures = ("miou", "mean_recall", "boundary_f", "loss_ce")
    found = compare_trainings(GRID, measures=measures, tolerances=TOLERANCES, shared_seeds=shared)
    plain = plainly(GRID, key)
    assert found.scores[key] == pytest.approx(plain.score)
    assert_same(found.results[key], (over_shared_seeds if shared else over_separate_seeds)(plain))
    assert list(found.results) == ["miou", "mean_recall", "boundary_f_1", "boundary_f_2", "loss_ce"]
    assert (found.settings, found.seeds, found.images, found.clusters) == (tuple(GRID), 3, IMAGES, IMAGES)


def test_images_of_a_group_are_left_out_together() -> None:
    found = compare_trainings(GRID, measures=("miou",), group_by="i([0-9])")  # i1, i10 and i11 are together
    groups = [[0], [1, 10, 11], *([image] for image in range(2, 10))]
    assert (found.clusters, found.images) == (10, IMAGES)
    assert_same(found.results["miou"], over_shared_seeds(plainly(GRID, "miou", groups)))


def test_classes_are_corrected_together() -> None:
    found = compare_trainings(GRID, per_class=True)
    p, p_holm = (
        np.array([[getattr(s, x) for s in r.settings[1:]] for r in found.iou]).ravel() for x in ("p", "p_holm")
    )
    for index, result in enumerate(found.iou):
        assert_same(result, over_shared_seeds(plainly(GRID, f"iou{index}")), fields=8)
    order = np.argsort(p)
    assert p_holm[order] == pytest.approx(np.minimum(np.maximum.accumulate(p[order] * np.arange(6, 0, -1)), 1))
    assert compare_trainings(GRID).iou == ()


def test_the_order_of_images_of_a_run_changes_nothing() -> None:
    moved = {name: [select(run, np.random.default_rng(j).permutation(IMAGES).tolist()) for j, run in enumerate(row)]
             for name, row in GRID.items()}  # fmt: skip
    for key, result in compare_trainings(moved, tolerances=TOLERANCES).results.items():
        assert_same(result, compare_trainings(GRID, tolerances=TOLERANCES).results[key])


def test_void_as_error_is_heeded() -> None:
    found = compare_trainings(GRID, void_as_error=True)
    expected = [[mean_iou(class_counts(r.confusion, void_as_error=True).total()) for r in row] for row in GRID.values()]
    assert found.scores["miou"] == pytest.approx(np.array(expected))


def test_a_missing_training_is_nan() -> None:
    grid = {**GRID, "rmi": [GRID["rmi"][0], None, GRID["rmi"][2]]}
    found = compare_trainings(grid)
    assert np.isnan(found.scores["miou"]).tolist() == [[False] * 3, [False, True, False], [False] * 3]
    assert [s.shared for s in found.results["miou"].settings] == [3, 2, 3]
    assert found.results["miou"].settings[1].basis == "pair alone"


def test_what_cannot_be_compared() -> None:
    with pytest.raises(RunError, match="none of ce, rmi has a finished training"):
        compare_trainings({"ce": [None], "rmi": [None, None]})
    fewer = {**GRID, "rmi": [GRID["rmi"][0], select(GRID["rmi"][1], range(5)), GRID["rmi"][2]]}
    with pytest.raises(RunError, match=r"ce \(training 1\) and rmi \(training 2\) cover different images"):
        compare_trainings(fewer)


# runs by seed


def groups(**seeds: str) -> dict[str, dict[str, Evaluation]]:
    """Runs named runs/SETTING-SEED, the seed a letter."""
    return {name: {f"runs/{name}-{x}": training(0.3, i) for i, x in enumerate(of)} for name, of in seeds.items()}


def test_runs_are_paired_by_what_is_found_in_their_names() -> None:
    given = groups(ce="abc", rmi="cad", x="ba")
    grid = paired(given, "-(.)$")
    assert list(grid) == ["ce", "rmi", "x"]
    of = {name: list(runs.values()) for name, runs in given.items()}
    assert [list(map(id, row)) for row in grid.values()] == [
        [id(of["ce"][0]), id(of["ce"][1]), id(of["ce"][2])],
        [id(of["rmi"][1]), id(None), id(of["rmi"][0])],
        [id(of["x"][1]), id(of["x"][0]), id(None)],
    ]
    assert left_out(given, grid) == ["runs/rmi-d"]
    assert left_out(given, unpaired(given)) == []
    assert [len(row) for row in unpaired(given).values()] == [3, 3, 2]


@pytest.mark.parametrize(
    ("pattern", "message"),
    [
        ("(", r"--pair-by '\(' is not a regular expression"),
        ("ce-(.)", "matches nothing in runs/rmi-a"),
        ("runs", "matches 'runs' in runs/ce-a and in runs/ce-b, both of ce"),
        ("/.*", r"matches no seed that ce \(/ce-a, /ce-b\) shares with another group \(rmi: /rmi-a, /rmi-b\)"),
    ],
)
def test_seeds_that_are_not_found(pattern: str, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        paired(groups(ce="ab", rmi="ab"), pattern)


def test_one_training_saved_twice_is_found() -> None:
    given = groups(ce="ab", rmi="ab")
    given["ce"]["again"] = given["ce"]["runs/ce-a"]
    assert repeated(given) == [("runs/ce-a", "again")]
    assert repeated(groups(ce="ab", rmi="ab")) == []


# tables


def tables(comparison: TrainingsComparison) -> dict[str, Table]:
    return {table.name: table for table in trainings_tables(comparison)}


def test_tables_hold_the_results() -> None:
    found = compare_trainings(
        GRID, measures=("miou", "boundary_f", "loss_ce"), tolerances=TOLERANCES[:1], per_class=True
    )
    made = tables(found)
    assert list(made) == ["miou", "boundary_f_1", "loss_ce", "classes_1", "classes_2"]
    for key in ("miou", "boundary_f_1"):
        for row, setting in zip(made[key].rows, found.results[key].settings, strict=True):
            values = [row[name] for name in ("trainings", "mean", "spread", "difference", "p_holm", "chance", "p")]
            expected = [
                getattr(setting, x) for x in ("trainings", "mean", "spread", "difference", "p_holm", "higher", "p")
            ]
            assert values == pytest.approx(expected, nan_ok=True)
            assert row["interval"] == pytest.approx((setting.low, setting.high), nan_ok=True)
    assert made["loss_ce"].rows[1]["chance"] == pytest.approx(1 - found.results["loss_ce"].settings[1].higher)
    assert [row["class"] for row in made["classes_2"].rows] == ["road", "car", "tree"]
    for row, result in zip(made["classes_2"].rows, found.iou, strict=True):
        assert (row["baseline"], row["mean"]) == (result.settings[0].mean, result.settings[2].mean)
        assert row["p_holm"] == result.settings[2].p_holm


def notes_of(grid: Grid, **options: bool) -> list[str]:
    found = compare_trainings(grid, measures=("miou",), **options)
    return [*tables(found)["miou"].notes, *trainings_notes(found)]


def test_notes_say_what_the_intervals_cover() -> None:
    of_one = notes_of({name: row[:1] for name, row in GRID.items()})
    assert "One training each: what another training would give is not known." in of_one
    assert any(note.startswith("No interval: two seeds need at least 5") for note in notes_of(_first(2)))
    assert any("pooled over the settings" in note for note in notes_of(GRID))
    assert any("no seed pairs" in note for note in notes_of(GRID, shared_seeds=False))
    lacking = notes_of(
        {**GRID, "more": [training(0.3, seed) for seed in (90, 91, 92)], "rmi": [None, *GRID["rmi"][1:]]}
    )
    assert "rmi: 2 of 3 trainings; 2 seeds shared with the baseline." in lacking
    assert any(note.startswith("rmi: the interval covers other seeds and other images; the varia") for note in lacking)
    few = {name: [select(run, range(4)) for run in row] for name, row in GRID.items()}
    assert any(note.startswith("No interval: fewer than 5 images") for note in notes_of(few))


def _first(seeds: int) -> Grid:
    return {name: [*row[:seeds]] for name, row in GRID.items()}


def test_a_setting_that_leaves_the_pool_is_named() -> None:
    grid: dict[str, list[Evaluation | None]] = {
        f"s{i}": [training(0.3, 100 + 3 * i + j) for j in range(3)] for i in range(6)
    }
    grid["s4"][1] = training(0.95, 7)
    assert "s4: left the pool, because it varies over seeds unlike the others (F-test at 1 %)." in notes_of(grid)
    assert any(note.startswith("s4: the interval covers") for note in notes_of(grid))


def test_two_settings_that_leave_the_pool_are_named_in_the_plural() -> None:
    grid: dict[str, list[Evaluation | None]] = {
        f"s{i}": [training(0.3, 100 + 3 * i + j) for j in range(3)] for i in range(10)
    }
    grid["s3"][1], grid["s4"][1] = training(0.95, 8), training(0.95, 7)
    left = "s3 and s4: left the pool, because they vary over seeds unlike the others (F-test at 1 %)."
    assert left in notes_of(grid)


def test_notes_that_all_tables_share_stand_once() -> None:
    found = compare_trainings(GRID, tolerances=TOLERANCES)
    basis = [note for note in trainings_notes(found) if note.startswith("The interval covers")]
    assert len(basis) == 1
    assert all(basis[0] not in table.notes for table in trainings_tables(found))


def test_a_verdict_has_signs_for_minus() -> None:
    names = sorted(GRID, key=lambda name: SHARES[name])  # of wrong pixels
    found = compare_trainings({name: GRID[name] for name in (names[0], names[-1])})
    result = found.results["miou"].settings[1]
    expected = f"({100 * result.difference:+.2f} points, 95 % CI {100 * result.low:+.2f} to {100 * result.high:+.2f}, p"
    assert result.difference < 0
    assert expected.replace("-", "−") in headline(found).text


def test_the_page_has_a_verdict_and_names_what_was_left_out() -> None:
    given = {name: {f"{name}-{j}": run for j, run in enumerate(row)} for name, row in GRID.items()}
    given["ce"]["ce-copy"] = given["ce"]["ce-0"]
    report = groups_report(compare_trainings(GRID), given, ["ce-9"])
    facts = dict(report.facts)
    assert "rmi is better than ce in mIoU" in facts["verdict"]
    assert facts["ce"] == "4 runs: ce-0, ce-1, ce-2, ce-copy"
    assert "left out, because no other group has a run of their seed: ce-9" in report.notes
    assert any(note.startswith("ce-0 and ce-copy have the same confusion counts") for note in report.notes)
    assert "a note" in report.notes
    assert "1 image skipped (i99)" in report.notes
    alike = {"ce": GRID["ce"], "again": GRID["ce"]}
    verdict = dict(groups_report(compare_trainings(alike), given).facts)["verdict"]
    assert verdict.startswith("no significant difference in mIoU between again and ce")
    named = {"ce": GRID["ce"], "asl, found": GRID["ce"], "asl, better": GRID["rmi"]}
    verdict = dict(groups_report(compare_trainings(named), given).facts)["verdict"]
    assert verdict.startswith("no significant difference in mIoU between 'asl, found' and ce")
    assert "'asl, better' is better than ce in mIoU" in verdict


# the command line


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    from segablate.evaluation.results import save_run

    monkeypatch.chdir(tmp_path)
    for name, row in GRID.items():
        for seed, run in enumerate(row):
            save_run(run, Path(f"runs/{name}-{seed}"), "{}")
    return tmp_path


def call(capsys: pytest.CaptureFixture[str], *arguments: str, code: int = 0) -> str:
    from segablate.cli import run

    assert run(["compare", *arguments]) == code
    printed = capsys.readouterr()
    return printed.err if code else printed.out


GROUPS = ("--trainings", "runs/ce-*", "runs/rmi-*")


def test_the_command_compares_groups(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    plain = json.loads(call(capsys, *GROUPS, "--format", "json"))
    assert list(plain["tables"]) == ["miou", "mean_recall", "boundary_f_1", "boundary_f_2"]
    two = {name: GRID[name] for name in ("ce", "rmi")}
    expected = compare_trainings(two, shared_seeds=False).results["miou"].settings[1]
    row = plain["tables"]["miou"][1]
    assert (row["setting"], row["interval"]) == ("runs/rmi-*", pytest.approx([expected.low, expected.high]))
    by_seed = json.loads(call(capsys, *GROUPS, "--pair-by", r"\d+$", "--tolerance", "none", "--format", "json"))
    expected = compare_trainings(two).results["miou"].settings[1]
    assert by_seed["tables"]["miou"][1]["interval"] == pytest.approx([expected.low, expected.high])
    assert len(by_seed["tables"]) == 2


def test_the_command_is_saved_and_shown_again(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from segablate.cli import run

    printed = call(capsys, *GROUPS, "--per-class", "--save", "kept", "--format", "markdown")
    assert "IoU of the classes, runs/rmi-" in printed
    assert run(["show", "kept", "--format", "markdown"]) == 0
    assert capsys.readouterr().out == printed


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (("--trainings", "runs/ce-*"), 2, "compares two or more groups, but got 1"),
        (("--trainings",), 2, "compares two or more groups, but got 0"),
        (("--trainings", "runs/ce-*", "runs/*-1"), 2, "runs/ce-1 is in two groups"),
        (("--trainings", "runs/ce-*", "runs/ce-*"), 2, "is in two groups"),
        (("--trainings", "runs/ce-0", "runs/ce-1", "runs/rmi-0"), 2, "each pattern matches one run"),
        (("--trainings", "runs/ce-*", "runs/none-*"), 1, "'runs/none-*' matches nothing"),
        (("--trainings", "runs/ce-*", "run*"), 1, "'run*' matches runs, no saved run"),
        ((*GROUPS, "--on", "sample"), 2, "--on has no effect with --trainings"),
        ((*GROUPS, "--replicates", "500"), 2, "--replicates has no effect with --trainings"),
        ((*GROUPS, "--pair-by", "x"), 2, "--pair-by 'x' matches nothing in runs/ce-0"),
        ((*GROUPS, "--group-by", "x"), 2, "--group-by 'x' matches nothing"),
        (("runs/ce-0", "runs/ce-1", "--per-class"), 2, "--per-class is for groups of trainings"),
        (("runs/ce-0", "runs/ce-1", "--pair-by", "x"), 2, "--pair-by is for groups of trainings"),
    ],
)
def test_what_the_command_refuses(
    place: Path, capsys: pytest.CaptureFixture[str], arguments: tuple[str, ...], code: int, message: str
) -> None:
    printed = call(capsys, *arguments, code=code)
    assert message in printed
    assert len(printed.splitlines()) == 1


def test_runs_of_different_images_need_intersect(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from segablate.evaluation.results import save_run

    save_run(select(GRID["rmi"][0], range(8)), Path("runs/rmi-8"), "{}")
    assert "runs/ce-0 and runs/rmi-8 cover different images" in call(capsys, *GROUPS, code=1)
    assert "8 images in all runs" in call(capsys, *GROUPS, "--intersect")
    renamed = replace(GRID["rmi"][0], names=tuple(f"other{i}" for i in range(IMAGES)))
    save_run(renamed, Path("runs/rmi-9"), "{}")
    assert "have no image in common" in call(capsys, *GROUPS, "--intersect", code=1)
