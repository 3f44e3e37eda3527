"""``segablate search``: rounds of proxies, their log, the file that it ends with, and its tables."""

import csv
import json
import shutil
from io import StringIO
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import yaml
from conftest import NETWORK
from trainings import write_splits

from segablate.cli import run
from segablate.errors import CheckpointError, DatasetError
from segablate.evaluation.results import load_run
from segablate.losses import get_loss
from segablate.search.rewards import check_holdout, reward_of
from segablate.training import ablation, heads
from segablate.training.request import split_holdout

OPTIONS = ["--rounds", "2", "--samples", "2", "--steps", "2", "--processes", "1", "--set", "batch=2", "--trust-code"]
AGAIN = ["--seeds", "1", "--retrain-steps", "2", "--boundary-tolerance", "2"]


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A dataset of two splits, and a network with weights for it."""
    import torch

    root = write_splits(tmp_path_factory.mktemp("data"), train=10, val=4)
    (root / "net.py").write_text(NETWORK)
    spec: dict[str, Any] = {}
    exec(NETWORK, spec)
    torch.manual_seed(0)
    torch.save(spec["small"](4).state_dict(), root / "net.pth")
    return root


def words(data: Path, folder: Path, *more: str, metric: str = "miou") -> list[str]:
    network = f"python:{data}/net.py:small(num_classes=4)@{data}/net.pth"
    return ["search", metric, network, f"folder:{data}", *OPTIONS, "--save", str(folder), "--format", "json", *more]


@pytest.fixture(scope="module")
def searched(data: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any]]:
    """A folder of a search that has ended, and what it printed."""
    from contextlib import redirect_stdout

    folder, printed = tmp_path_factory.mktemp("searches") / "s", StringIO()
    with pytest.MonkeyPatch.context() as patch, redirect_stdout(printed):
        patch.setenv("SEGABLATE_CACHE", str(folder.parent / "cache"))
        patch.setattr(heads, "_write", lambda *given: WRITTEN.append(given[2].parent) or write(*given))
        assert run(words(data, folder, *AGAIN)) == 0
    return folder, json.loads(printed.getvalue())


write, WRITTEN = heads._write, list[Path]()


def test_tables_and_file_are_those_of_the_cells(searched: tuple[Path, dict[str, Any]]) -> None:
    folder, printed = searched
    rewards = [
        [reward_of("miou", load_run(cell / "run")) for cell in sorted((folder / "rounds" / number / "cells").iterdir())]
        for number in ("01", "02")
    ]
    for row, of_round in zip(printed["tables"]["rounds"], rewards, strict=True):
        assert (row["baseline"], row["best"]) == pytest.approx((of_round[0], max(of_round)))
        assert row["mean"] == pytest.approx(np.mean(of_round))
        assert row["sample"] == int(np.argmax(of_round))
    theta = yaml.safe_load((folder / "theta.yaml").read_text())
    assert theta["reward"] == max(map(max, rewards)) == printed["tables"]["rewards"][-1]["reward"]
    assert theta["baseline_reward"] == rewards[0][0]
    number, sample = divmod(int(np.argmax(rewards)), 2)
    log = json.loads((folder / "rounds" / f"{number + 1:02d}" / "samples.json").read_text())
    assert theta["theta"] == log["theta"][sample]
    assert [row["surrogate"] for row in printed["tables"]["rewards"]] == [
        "asl, identity",
        "cross entropy",
        "asl, published",
        "asl, found",
    ]
    assert [row["setting"] for row in printed["tables"]["miou"]] == ["ce", "lovasz", "asl, published", "asl, found"]
    assert [row["trainings"] for row in printed["tables"]["miou"]] == [1] * 4


def test_rewards_are_of_the_hold_out_and_trainings_of_the_reported_split(
    searched: tuple[Path, dict[str, Any]],
) -> None:
    folder, _ = searched
    proxies = [*folder.glob("rounds/*/cells/*/run"), *folder.glob("references/cells/*/run")]
    assert len(proxies) == 2 * 2 + 2
    assert {load_run(run).names for run in proxies} == {("train8", "train9")}, "the last fifth of the train split"
    trained = [json.loads((run.parent / "training.json").read_text())["dataset"]["images"] for run in proxies]
    assert set(trained) == {8}, "without the hold-out"
    again = list(folder.glob("retrained/cells/*/run"))
    assert len(again) == 4
    assert {frozenset(load_run(run).names) for run in again} == {frozenset(f"val{index}" for index in range(4))}


def test_the_network_runs_once_for_all_proxies(searched: tuple[Path, dict[str, Any]]) -> None:
    folder, _ = searched
    assert [folder, folder] == WRITTEN, "for the proxies, and for the trainings on the whole split"
    assert not list(folder.glob("**/features-*.npy")), "they are removed at the end"


def without_times(printed: dict[str, Any]) -> dict[str, Any]:
    found = json.loads(json.dumps(printed))
    found["tables"]["cells"] = [row["setting"] for row in found["tables"]["cells"]]
    return found


@pytest.mark.parametrize("lost", ["a round", "a cell", "trainings"])
def test_a_search_that_was_killed_ends_alike(
    lost: str, searched: tuple[Path, dict[str, Any]], data: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder, printed = searched
    before = {path: path.read_bytes() for path in [folder / "theta.yaml", *folder.glob("rounds/*/samples.json")]}
    (folder / "theta.yaml").unlink()
    if lost == "a round":
        (folder / "rounds/02/samples.json").unlink()
        shutil.rmtree(next(folder.glob("rounds/02/cells/001-*")))
        (next(folder.glob("rounds/02/cells/000-*")) / "cell.json").unlink()
    elif lost == "a cell":
        shutil.rmtree(next(folder.glob("references/cells/001-*")))
    else:
        shutil.rmtree(next(folder.glob("retrained/cells/003-*")))
    assert run(words(data, folder, *AGAIN)) == 0
    assert {path: path.read_bytes() for path in before} == before
    assert without_times(json.loads(capsys.readouterr().out)) == without_times(printed)


def test_a_saved_search_is_printed_again(
    searched: tuple[Path, dict[str, Any]], capsys: pytest.CaptureFixture[str]
) -> None:
    folder, printed = searched
    assert run(["show", str(folder), "--format", "json"]) == 0
    assert without_times(json.loads(capsys.readouterr().out)) == without_times(printed)
    assert run(["show", str(folder), "--format", "csv"]) == 0
    lines = list(csv.DictReader(StringIO(capsys.readouterr().out)))
    assert {line["run"] for line in lines} == {printed["facts"]["network"]}
    assert {line["table"] for line in lines} == set(printed["tables"])
    assert run(["show", str(folder), "--tolerance", "2"]) == 2
    assert "is a saved search" in capsys.readouterr().err


def test_another_plan_is_refused_with_what_changed(
    searched: tuple[Path, dict[str, Any]], data: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder, _ = searched
    theta = (folder / "theta.yaml").read_bytes()
    assert run(words(data, folder, *AGAIN, "--steps", "3", "--samples", "4")) == 1
    error = capsys.readouterr().err
    assert "holds a search with another plan: samples: 2 is now 4; recipe steps: 2 is now 3" in error
    assert run(words(data, folder, *AGAIN, "--retrain-steps", "3")) == 1
    error = capsys.readouterr().err
    assert f"recipe steps: 2 is now 3; remove {folder / 'retrained'} to train again, the search is kept" in error
    assert (folder / "theta.yaml").read_bytes() == theta, "it names the command that wrote it last"
    log = folder / "rounds/01/samples.json"
    kept = log.read_text()
    try:
        log.write_text(kept.replace('"rewards"', '"reward"'))
        assert run(words(data, folder, *AGAIN)) == 1
        assert "samples.json is damaged (samples.json has no 'rewards')" in capsys.readouterr().err
    finally:
        log.write_text(kept)


def test_the_file_is_trained_and_ablated_with(
    searched: tuple[Path, dict[str, Any]], data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = searched[0] / "theta.yaml"
    network = f"python:{data}/net.py:small(num_classes=4)@{data}/net.pth"
    command = ["ablate", "asl", network, f"folder:{data}", "--theta", f"{file},published", "--train", "head"]
    command += ["--steps", "1", "--seeds", "1", "--against", "ce", "--processes", "1", "--set", "batch=2"]
    command += ["--trust-code", "--gradient-images", "1", "--save", str(tmp_path / "a"), "--format", "json"]
    assert run(command) == 0
    rows = json.loads(capsys.readouterr().out)["tables"]["miou"]
    assert [row["setting"] for row in rows] == ["baseline", f"theta={file}", "ce"]
    plan = json.loads((tmp_path / "a" / "plan.json").read_text())
    theta = get_loss("asl").knobs["theta"].parse(str(file))
    assert plan["settings"][f"theta={file}"] == f"asl(theta={':'.join(map(str, theta))})"
    command = ["train", network, f"folder:{data}", "--objective", f"asl(metric=macc, theta={file})", "--trust-code"]
    assert run([*command, "--steps", "1", "--save", str(tmp_path / "t")]) == 1
    assert "was made for metric=miou, but metric is macc" in capsys.readouterr().err


def test_another_metric_and_sampler(data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("optuna")
    pytest.importorskip("matplotlib")
    plot = tmp_path / "curves.svg"
    more = ["--rounds", "1", "--sampler", "tpe", "--seeds", "0", "--steps", "1", "--plot", str(plot)]
    assert run(words(data, tmp_path / "s", *more, metric="bf1")) == 0
    printed = json.loads(capsys.readouterr().out)
    assert list(printed["tables"]) == ["rounds", "rewards", "curves"]
    assert len(printed["tables"]["curves"]) == 2 * 4
    assert any("leaves out the edges of class 0 (road)" in note for note in printed["notes"])
    assert printed["facts"]["sampler"].startswith("tpe (optuna ")
    assert printed["facts"]["searched"].startswith("1 round × 2 proxies × 1 step; the authors: ")
    assert plot.read_text().startswith("<?xml")


@pytest.mark.parametrize(
    ("more", "code", "message"),
    [
        (["--holdout", "0.1"], 1, "the hold-out has 1 of the images of split 'train', but a reward needs at least 2"),
        (["--holdout", "0"], 2, "--holdout is 0, but rewards need images that are not trained on"),
        (["--holdout", "train"], 2, "--holdout is split 'train', which is trained on; pass a share"),
        (["--holdout", "0.7"], 1, "--holdout is 0.7, but must be a share of at most 0.5"),
        (["--holdout", "val"], 2, "split 'val' is held out for the rewards and reported on; pass --split or --holdout"),
        (["--train-split", "val"], 2, "is trained on and reported on"),
        (["--sampler", "cmaes"], 2, "--sampler"),
        (["--seeds", "few"], 2, "--seeds is 'few'"),
        (["--plot", "curves.txt"], 2, "must end in .png, .svg, .pdf"),
        (["--samples", "3", "--sampler", "cma"], 2, "--sampler cma needs at least 4 in a round"),
        (["--set", "raet=1"], 2, "write FIELD=VALUE; did you mean 'rate'"),
        (["--boundary-tolerance", "wide"], 1, "tolerance"),
        (["--group-by", "("], 2, "--group-by '(' is not a regular expression"),
    ],
)
def test_a_slip_is_one_line(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], more: list[str], code: int, message: str
) -> None:
    pytest.importorskip("cma")
    assert run(words(data, tmp_path / "s", *more)) == code
    error = capsys.readouterr().err
    assert message in error
    assert len(error.strip().splitlines()) == 1
    assert not (tmp_path / "s").exists()


def test_a_file_in_place_of_the_folder_is_refused(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "s").write_text("mine")
    assert run(words(data, tmp_path / "s")) == 2
    assert (
        capsys.readouterr().err
        == f"error: {tmp_path / 's'} is a file, but a search is a folder; choose another --save\n"
    )
    assert (tmp_path / "s").read_text() == "mine"


@pytest.mark.parametrize("begun", [False, True])
def test_what_cannot_be_trained_leaves_no_folder_behind(
    begun: bool, data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(raised: BaseException) -> int:
        def begin(*given: object) -> None:
            raise raised

        monkeypatch.setattr(ablation, "begin", begin)
        return run(words(data, tmp_path / "s"))

    if begun:
        assert refuse(KeyboardInterrupt()) == 130
        (line,) = capsys.readouterr().err.strip().splitlines()
        assert line == f"error: interrupted; {tmp_path / 's'} holds the plan of the search; the same command goes on"
    assert refuse(CheckpointError("no weights")) == 1
    assert capsys.readouterr().err == "error: no weights\n"
    assert (tmp_path / "s" / "search.json").exists() == (tmp_path / "s").exists() == begun


def test_an_interrupted_round_is_closed_by_one_line_and_goes_on(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(*given: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(ablation, "run_cells", interrupted)
    assert run(words(data, tmp_path / "s", "--steps", "1")) == 130
    cost, line = capsys.readouterr().err.strip().splitlines()
    assert cost.startswith("2 rounds × 2 proxies × 1 step (")
    place = tmp_path / "s" / "rounds" / "01"
    assert line == f"error: interrupted; {place} holds what was trained; the same command goes on"
    assert (place / "plan.json").exists()


def test_a_metric_that_is_none(data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(words(data, tmp_path / "s", metric="mioo")) == 2
    assert "no metric with a surrogate is called 'mioo'; did you mean 'miou'?" in capsys.readouterr().err


def test_a_class_that_the_hold_out_lacks_is_named(data: Path, tmp_path: Path) -> None:
    root = shutil.copytree(data, tmp_path / "data")
    for index in (8, 9):
        path = str(root / f"labels/train/train{index}.png")
        labels = cv2.imread(path, cv2.IMREAD_UNCHANGED)
        cv2.imwrite(path, np.where(labels == 2, 255, labels))
    _, holdout = split_holdout(f"folder:{root}", "train", "0.2")
    assert holdout is not None
    assert check_holdout("miou", holdout) == ("1 of 4 classes never labelled on the hold-out: tree",)


@pytest.mark.parametrize(("value", "message"), [(255, "no pixel of the hold-out has a label"), (0, "bf1 is undefined")])
def test_a_hold_out_without_anything_to_measure(value: int, message: str, data: Path, tmp_path: Path) -> None:
    root = shutil.copytree(data, tmp_path / "data")
    for index in (8, 9):
        cv2.imwrite(str(root / f"labels/train/train{index}.png"), np.full((24, 32), value, np.uint8))
    _, holdout = split_holdout(f"folder:{root}", "train", "0.2")
    assert holdout is not None
    with pytest.raises(DatasetError, match=message):
        check_holdout("bf1", holdout)
