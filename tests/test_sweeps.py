"""Sweeps of trainings: cells, claims, engines, shares, and the table at the end."""

import csv
import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import time
from dataclasses import replace
from io import StringIO
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from conftest import write_dataset
from safetensors.numpy import load_file

from segablate.ablation.sweep import plan_settings
from segablate.cli import run
from segablate.comparison.predictions import agreement
from segablate.datasets import open_dataset
from segablate.errors import KnobError, ObjectiveError, RunError, UsageError
from segablate.evaluation.results import load_run
from segablate.losses import get_loss
from segablate.metrics.tolerance import Tolerance
from segablate.objective.weighted_sum import parse_objective
from segablate.render import summary_of
from segablate.training.ablation import SweepExecution, run_sweep
from segablate.training.cells import STALE, cell_folder, claimed, result_of
from segablate.training.engines import EngineOptions
from segablate.training.planning import plan_rows, split_objectives
from segablate.training.recipe import Recipe
from segablate.training.request import TrainingRequest
from segablate.training.sweep import Cell, Sweep, SweepSetting, open_sweep, read_plan, share_of

SETTINGS = (SweepSetting("baseline", "ce"), SweepSetting("gamma=5", "focal(gamma=5)"))


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A dataset of two splits, whose classes the images show."""
    root = write_dataset(tmp_path_factory.mktemp("data"), count=14)
    lists = {"train": range(8), "val": range(8, 14)}
    for split, indices in lists.items():
        (root / f"{split}.txt").write_text("".join(f"s{index}\n" for index in indices))
    described = yaml.safe_load((root / "dataset.yaml").read_text())
    folders = described["splits"]["val"]
    described["splits"] = {split: {**folders, "list": f"{split}.txt"} for split in lists}
    (root / "dataset.yaml").write_text(yaml.safe_dump(described))
    return root


@pytest.fixture
def sweep(data: Path) -> Sweep:
    """Two settings under two seeds, four steps each."""
    recipe = Recipe(steps=4, batch=2, rate=1e-2, crop=(16, 24))
    request = TrainingRequest("small", open_dataset(f"folder:{data}", "train"), recipe)
    reported = open_dataset(f"folder:{data}", "val")
    return Sweep(SETTINGS, (0, 1), request, reported, (Tolerance.parse("2"),), 1, summary_of)


HERE = EngineOptions(processes=1)


def digests(folder: Path, sweep: Sweep) -> list[Any]:
    """What the cells found, without times."""
    found = []
    for cell in sweep.cells:
        result = result_of(folder, cell)
        assert result is not None
        assert result.run is not None
        weights = load_file(cell_folder(folder, cell) / "checkpoint.safetensors")
        digest = hashlib.sha256(b"".join(weights[name].tobytes() for name in sorted(weights))).hexdigest()
        found.append((cell.folder_name, digest, load_run(result.run).confusion.pixels.tolist()))
    return found


def test_cells_go_seed_by_seed(sweep: Sweep) -> None:
    assert [(cell.setting.name, cell.seed) for cell in sweep.cells] == [
        ("baseline", 0),
        ("gamma=5", 0),
        ("baseline", 1),
        ("gamma=5", 1),
    ]


def test_a_sweep_runs_once_and_goes_on(sweep: Sweep, tmp_path: Path) -> None:
    folder, ended = tmp_path / "s", []
    assert run_sweep(sweep, SweepExecution(folder, options=HERE, ended=lambda count, result: ended.append(count))) == 0
    assert ended == [1, 2, 3, 4]
    before = digests(folder, sweep)
    cell = sweep.cells[1]
    shutil.rmtree(cell_folder(folder, cell))
    ended.clear()
    assert run_sweep(sweep, SweepExecution(folder, options=HERE, ended=lambda count, result: ended.append(count))) == 0
    assert ended == [4], "only the cell that is missing is trained"
    assert digests(folder, sweep) == before


def test_seeds_and_settings_differ_and_the_start_of_a_seed_is_shared(sweep: Sweep, tmp_path: Path) -> None:
    run_sweep(sweep, SweepExecution(tmp_path / "s", options=HERE))
    first, second, third, _ = (weights for _, weights, _ in digests(tmp_path / "s", sweep))
    assert first != second
    assert first != third


def test_further_seeds_are_trained_beside_those_that_have_ended(sweep: Sweep, tmp_path: Path) -> None:
    run_sweep(sweep, SweepExecution(tmp_path / "s", options=HERE))
    before, more, ended = digests(tmp_path / "s", sweep), replace(sweep, seeds=(0, 1, 2)), []
    execution = SweepExecution(tmp_path / "s", options=HERE, ended=lambda count, result: ended.append(count))
    assert run_sweep(more, execution) == 0
    assert ended == [5, 6], "only the third seed is trained"
    assert read_plan(tmp_path / "s")["seeds"] == [0, 1, 2]
    run_sweep(more, SweepExecution(tmp_path / "whole", options=HERE))
    assert digests(tmp_path / "s", more) == digests(tmp_path / "whole", more)
    assert digests(tmp_path / "s", more)[:4] == before


def test_shares_in_any_order_give_the_whole(sweep: Sweep, tmp_path: Path) -> None:
    run_sweep(sweep, SweepExecution(tmp_path / "whole", options=HERE))
    assert run_sweep(sweep, SweepExecution(tmp_path / "parts", cells="2/2", options=HERE)) == 2
    assert run_sweep(sweep, SweepExecution(tmp_path / "parts", cells="1/2", options=HERE)) == 0
    assert digests(tmp_path / "parts", sweep) == digests(tmp_path / "whole", sweep)


def test_a_pool_of_processes_gives_the_same(sweep: Sweep, tmp_path: Path) -> None:
    run_sweep(sweep, SweepExecution(tmp_path / "here", options=HERE))
    run_sweep(sweep, SweepExecution(tmp_path / "pool", options=EngineOptions(processes=2)))
    assert digests(tmp_path / "pool", sweep) == digests(tmp_path / "here", sweep)


@pytest.mark.parametrize("text", ["0/2", "3/2", "1", "a/b", "1/0", "-1/2"])
def test_a_share_is_checked(sweep: Sweep, text: str) -> None:
    with pytest.raises(UsageError, match="must be a share such as 3/8"):
        share_of(sweep.cells, text)


def test_another_plan_is_refused_with_what_changed(sweep: Sweep, tmp_path: Path) -> None:
    open_sweep(tmp_path / "s", sweep)
    longer = replace(sweep, request=replace(sweep.request, recipe=replace(sweep.request.recipe, steps=5)))
    with pytest.raises(RunError, match="recipe steps: 4 is now 5; choose another --save"):
        open_sweep(tmp_path / "s", longer)
    for seeds in ((0,), (1, 0, 2)):
        with pytest.raises(RunError, match=rf"seeds: \[0, 1\] is now {re.escape(str(list(seeds)))};"):
            open_sweep(tmp_path / "s", replace(sweep, seeds=seeds))
    with pytest.raises(RunError, match=r"seeds: \[0, 1\] is now \[0, 1, 2\]; recipe steps: 4 is now 5"):
        open_sweep(tmp_path / "s", replace(longer, seeds=(0, 1, 2)))
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "file").touch()
    with pytest.raises(UsageError, match="holds no sweep"):
        open_sweep(tmp_path / "other", sweep)
    (tmp_path / "s" / "plan.json").write_text("{")
    with pytest.raises(RunError, match="is damaged"):
        open_sweep(tmp_path / "s", sweep)


def test_a_training_that_diverges_is_a_row(sweep: Sweep, tmp_path: Path) -> None:
    wild = replace(sweep.request.recipe, rate=100.0, optimiser="sgd", momentum=0.99, steps=60)
    settings = (SweepSetting("baseline", "ce"), SweepSetting("wild", "1e30*ce"))
    broken = replace(sweep, settings=settings, request=replace(sweep.request, recipe=wild), seeds=(0,))
    assert run_sweep(broken, SweepExecution(tmp_path / "s", options=HERE)) == 0
    result = result_of(tmp_path / "s", broken.cells[1])
    assert result is not None
    assert result.run is None
    assert result.diverged.startswith("diverged at step ")
    again = result_of(tmp_path / "s", broken.cells[1])
    assert again == result


def test_what_cannot_be_trained_is_refused_before_anything_is(sweep: Sweep, tmp_path: Path) -> None:
    settings = (*SETTINGS, SweepSetting("nonsense", "ce + nonsense"))
    with pytest.raises(ObjectiveError, match="no loss is called 'nonsense'"):
        run_sweep(replace(sweep, settings=settings), SweepExecution(tmp_path / "s", options=HERE))
    assert not (tmp_path / "s" / "cells").exists()


def test_one_runner_has_a_cell_until_it_shows_no_life(sweep: Sweep, tmp_path: Path) -> None:
    cell = sweep.cells[0]
    with claimed(tmp_path, cell) as mine:
        assert mine
        with claimed(tmp_path, cell) as other:
            assert not other
        old = time.time() - 2 * STALE
        os.utime(cell_folder(tmp_path, cell) / "claim", (old, old))
        with claimed(tmp_path, cell) as heir:
            assert heir
    with claimed(tmp_path, cell) as after:
        assert after


def test_the_claim_of_a_process_that_ended_is_void_at_once(sweep: Sweep, tmp_path: Path) -> None:
    cell = sweep.cells[0]
    claim = cell_folder(tmp_path, cell) / "claim"
    with claimed(tmp_path, cell):
        mine = claim.read_text()
    process = subprocess.run([sys.executable, "-c", "import os; print(os.getpid())"], capture_output=True, check=True)
    ended = f"{mine.rpartition(' ')[0]} {int(process.stdout)}"
    for text, free in ((ended, True), (f"elsewhere {ended}", False), (mine, False), ("", False)):
        claim.write_text(text)
        with claimed(tmp_path, cell) as taken:
            assert taken == free, text
        claim.unlink(missing_ok=True)


def test_a_damaged_cell_is_named(sweep: Sweep, tmp_path: Path) -> None:
    cell = sweep.cells[0]
    place = cell_folder(tmp_path, cell)
    place.mkdir(parents=True)
    (place / "cell.json").write_text("[]")
    with pytest.raises(RunError, match=r"remove .* to train that cell again"):
        result_of(tmp_path, cell)


def test_names_of_cells_are_names_of_folders() -> None:
    assert Cell(3, SweepSetting("radius=5, weight=0.3/x", "ce"), 1).folder_name == "003-radius_5_weight_0.3_x-seed1"


# rows


def rows(text: str, weights: tuple[float, ...] = (), against: tuple[str, ...] = (), **given: Any) -> list[Any]:
    loss = get_loss("rmi")
    settings = plan_settings(loss, given, training=True)
    return list(plan_rows(loss, settings, parse_objective(text), weights, against))


def test_rows_are_settings_weights_and_objectives() -> None:
    found = rows("0.5*bce(extra=1) + 0.5*rmi", (), ("ce", "focal(gamma=1)"), radius=(1, 3, 5))
    assert [row.name for row in found] == ["baseline", "radius=1", "radius=5", "ce", "focal(gamma=1)"]
    assert str(found[1].objective) == "0.5*bce(extra=1) + 0.5*rmi(radius=1)"
    assert found[3].values is None
    found = rows("ce + 0.5*rmi", (0.1, 0.5), radius=(5,))
    assert [row.name for row in found] == [
        "baseline",
        "weight=0.1",
        "weight=0.1, radius=5",
        "weight=0.5, radius=5",
    ]
    assert str(found[2].objective) == "ce + 0.1*rmi(radius=5)"
    with pytest.raises(ObjectiveError, match="has no term rmi"):
        rows("ce", radius=(1,))
    with pytest.raises(UsageError, match="asked for twice"):
        rows("ce + rmi", (), ("ce", "ce"), radius=(1,))


def test_a_hyperparameter_of_training_at_its_default_has_a_fixed_column() -> None:
    recall = get_loss("recall")
    settings = plan_settings(recall, {"prior_hits": (0, 100), "momentum": (0, 0.9)}, training=True)
    found = plan_rows(recall, settings, parse_objective("recall"), (), ())
    assert {row.name: row.trained_only for row in found} == {
        "baseline": False,
        "prior_hits=0, momentum=0.9": True,
        "prior_hits=100, momentum=0": False,
        "prior_hits=100, momentum=0.9": True,
    }


def test_objectives_are_split_outside_brackets() -> None:
    assert split_objectives("ce, 0.5*bce(extra=1, classes=mean)+rmi,focal") == [
        "ce",
        "0.5*bce(extra=1, classes=mean)+rmi",
        "focal",
    ]


def test_objectives_are_split_outside_quotes() -> None:
    assert split_objectives("asl(theta='a(b,c.yaml'), 'ce', focal") == ["asl(theta='a(b,c.yaml')", "ce", "focal"]


def test_a_hyperparameter_of_training_needs_training() -> None:
    recall = get_loss("recall")
    with pytest.raises(KnobError, match="has an effect in training alone; add --train"):
        plan_settings(recall, {"momentum": (0.9,)})
    assert plan_settings(recall, {"momentum": (0.9,)}, training=True)[1].text == "momentum=0.9"
    assert all("momentum" not in setting.values for setting in plan_settings(recall, {}))


# prediction against proof


def test_agreement_counts_pairs_and_from_five_ranks() -> None:
    found = agreement([1, 2, 3], [10, 30, 20])
    assert (found.settings, found.same, found.pairs) == (3, 2, 3)
    assert np.isnan(found.rho)
    found = agreement([1, 2, 3, 4, 5, np.nan], [1, 2, 3, 4, 5, 0])
    assert found.rho == pytest.approx(1)
    assert found.p == pytest.approx(2 / 120), "the order itself and its reverse, of 120"
    assert agreement([1, 1, 2], [1, 2, 3]).pairs == 2, "a tie says nothing"


def test_rank_correlation_is_spearmans() -> None:
    from scipy.stats import spearmanr

    rng = np.random.default_rng(1)
    for count in (6, 9):
        a, b = rng.integers(0, 5, count), rng.normal(size=count)
        assert agreement(a.tolist(), b.tolist()).rho == pytest.approx(spearmanr(a, b).statistic)


# the command


def command(data: Path, *more: str) -> int:
    options = ["--processes", "1", "--set", "batch=2", "--boundary-tolerance", "2"]
    return run(["ablate", "focal", "small", f"folder:{data}", "--train", "full", *options, *more])


def test_the_command_prints_trainings_and_their_cost(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["--gamma", "0,5", "--steps", "3", "--seeds", "2", "--against", "ce", "--save", str(tmp_path / "s")]
    assert command(data, *words, "--cells", "1/2", "--format", "json") == 0
    assert "4 of 8 cells" in capsys.readouterr().out
    assert command(data, *words, "--format", "json") == 0
    found = json.loads(capsys.readouterr().out)
    names = [row["setting"] for row in found["tables"]["miou"]]
    assert names == ["baseline", "gamma=0", "gamma=5", "ce"]
    grid = {
        name: [
            load_run(path / "run") for path in sorted((tmp_path / "s" / "cells").iterdir()) if f"-{key}-" in path.name
        ]
        for name, key in zip(names, ["baseline", "gamma_0", "gamma_5", "ce"], strict=True)
    }
    from segablate.metrics.confusion import class_counts, mean_iou

    for row in found["tables"]["miou"]:
        scores = [float(mean_iou(class_counts(run.confusion).total())) for run in grid[row["setting"]]]
        assert row["mean"] == pytest.approx(np.mean(scores))
        assert row["spread"] == pytest.approx(np.std(scores, ddof=1))
    assert [row["ended"] for row in found["tables"]["cells"]] == [2, 2, 2, 2]
    assert "Varied by the seeds: first weights, order of the images, augmentation." in found["notes"]
    assert not any("pretrained" in note for note in found["notes"])
    assert run(["show", str(tmp_path / "s"), "--format", "csv"]) == 0
    assert {line["run"] for line in csv.DictReader(StringIO(capsys.readouterr().out))} == {"small"}


def test_an_interrupted_training_of_a_sweep_goes_on_with_the_same_command(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def interrupted(*given: object) -> None:
        raise KeyboardInterrupt

    words = ["--gamma", "5", "--steps", "1", "--seeds", "1", "--save", str(tmp_path / "s")]
    with monkeypatch.context() as patch:
        patch.setattr("segablate.training.session.fit", interrupted)
        assert command(data, *words) == 130
    (line,) = capsys.readouterr().err.strip().splitlines()
    assert line == f"error: interrupted; {tmp_path / 's'} holds what was trained; the same command goes on"
    assert command(data, *words) == 0


def test_what_the_fixed_checkpoint_had_said_is_numbers(
    data: Path, tmp_path: Path, network_spec: str, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["ablate", "rmi", network_spec, f"folder:{data}", "--train", "head", "--radius", "2,3,4", "--steps", "1"]
    words += ["--against", "ce", "--seeds", "1", "--processes", "1", "--set", "batch=2", "--trust-code"]
    words += ["--objective", "rmi", "--save", str(tmp_path / "s")]
    assert run([*words, "--format", "json"]) == 0
    tables = json.loads(capsys.readouterr().out)["tables"]
    rows, trained = tables["fixed"], {row["setting"]: row["mean"] for row in tables["miou"]}
    assert [row["setting"] for row in rows] == ["baseline", "radius=2", "radius=4", "ce"]
    assert [row["miou"] for row in rows] == list(trained.values())
    assert [rows[3][key] for key in ("merit", "rho", "near")] == [None, None, None]
    asked = ["ablate", "rmi", network_spec, f"folder:{data}", "--radius", "2,3,4", "--objective", "rmi", "--no-cost"]
    assert run([*asked, "--trust-code", "--format", "json"]) == 0
    told = json.loads(capsys.readouterr().out)["tables"]
    for key, table, its_key in (
        ("merit", "gain", "merit"),
        ("rho", "agreement", "iou"),
        ("near", "gradients", "within_3"),
    ):
        by_setting = {row["setting"]: row[its_key] for row in told[table]}
        assert [row[key] for row in rows[:3]] == pytest.approx([by_setting[row["setting"]] for row in rows[:3]])
    for key, found in zip(("merit", "rho", "near"), tables["fixed_agreement"], strict=True):
        pairs = [(a[key] - b[key]) * (a["miou"] - b["miou"]) for a, b in combinations(rows[:3], 2)]
        assert (found["same"], found["pairs"]) == (sum(s > 0 for s in pairs), sum(s != 0 for s in pairs))
    assert [row["compared"] for row in tables["fixed_agreement"]] == ["gain", "ρ mIoU", "gradient ≤ 3px"]
    assert run(["show", str(tmp_path / "s"), "--format", "csv"]) == 0
    lines = [line for line in csv.DictReader(StringIO(capsys.readouterr().out)) if line["table"] == "fixed"]
    assert [line["value"] for line in lines if line["column"] == "near"][:3] == [repr(row["near"]) for row in rows[:3]]
    assert not any(line["text"] for line in lines)


def test_gradients_of_the_fixed_checkpoint_may_be_on_some_images(
    data: Path, tmp_path: Path, network_spec: str, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["ablate", "focal", network_spec, f"folder:{data}", "--train", "head", "--gamma", "5", "--steps", "1"]
    words += ["--seeds", "1", "--processes", "1", "--set", "batch=2", "--trust-code", "--save", str(tmp_path / "s")]
    columns = {}
    for images in ("2", "all"):
        assert run([*words, "--gradient-images", images, "--format", "markdown"]) == 0
        out = capsys.readouterr().out
        assert ("gradients: 2 of 6 images, evenly spaced" in out) is (images == "2")
        columns[images] = re.findall(r"mIoU trained.*gradient ≤ 3px.*", out)
    assert columns["2"] == columns["all"] != []


@pytest.mark.parametrize(
    ("more", "code", "message"),
    [
        (["--steps", "0"], 2, "--steps"),
        (["--seeds", "0"], 2, "--seeds is 0"),
        (["--seeds", "1,1"], 2, "name every seed once"),
        (["--weight", "a"], 2, "--weight is 'a'"),
        (["--budget", "soon"], 2, "--budget is 'soon', but must be a time such as 90s"),
        (["--set", "raet=1"], 2, "write FIELD=VALUE; did you mean 'rate'"),
        (["--objective", "ce"], 1, "has no term focal"),
        (
            ["--train", "head", "--against", "focal + feature_consistency"],
            2,
            "--train head: 'focal + feature_consistency' trains the classifier as 'baseline' does, because feature_con",
        ),
        (
            ["--train", "head", "--against", "ce + feature_consistency,ce"],
            2,
            "'ce' trains the classifier as 'ce + feature_consistency' does",
        ),
        (["--train", "head", "--against", "feature_consistency"], 2, "trains nothing, because feature_consistency"),
        (["--train-split", "val"], 2, "is trained on and reported on"),
        (["--train-split", "nowhere"], 1, "nowhere"),
        (["--recipe", "sample-cee"], 1, "did you mean 'sample-ce'"),
        (["--cells", "3/2"], 2, "--cells is '3/2'"),
    ],
)
def test_a_slip_is_one_line(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], more: list[str], code: int, message: str
) -> None:
    assert command(data, "--gamma", "5", "--save", str(tmp_path / "s"), *more) == code
    error = capsys.readouterr().err
    assert message in error
    assert len(error.strip().splitlines()) == 1
