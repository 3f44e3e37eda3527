"""Two processes count what one counts; the error of one of them is said once and ends both."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from conftest import write_dataset, write_predictions

from segablate import runtime
from segablate.cli import run
from segablate.datasets.reading import default_workers
from segablate.errors import DeviceError
from segablate.losses import get_loss, loss_names
from segablate.runtime import Team, _own_gpu, team

ROOT = Path(__file__).parents[1]


def together(folder: Path, *command: str, processes: int = 2) -> subprocess.CompletedProcess[str]:
    """A command by torchrun, on this machine, at a port that is free."""
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", str(processes)]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    return subprocess.run(
        [*torchrun, "-m", "segablate", *command],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )


def options(data: Path, spec: str, *more: str) -> list[str]:
    return ["evaluate", spec, f"folder:{data}", "--device", "cpu", "--workers", "0", *more]


def test_shares_are_everything_once_and_differ_by_one_at_most() -> None:
    for size in (1, 2, 3, 8):
        shares = [Team(rank, size).share(range(13)) for rank in range(size)]
        assert sorted(index for share in shares for index in share) == list(range(13))
        assert max(map(len, shares)) - min(map(len, shares)) <= 1


def test_alone_there_is_nobody_to_wait_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WORLD_SIZE", "1")
    assert team() == Team()
    assert Team().leads
    assert Team().first_to_fail()
    assert Team().gather({"a": 1}) == [{"a": 1}]
    Team().leave()


def test_what_torchrun_says_is_believed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WORLD_SIZE", "4")
    monkeypatch.setenv("RANK", "3")
    assert team() == Team(3, 4)
    assert not team().leads
    alone = default_workers()
    monkeypatch.setenv("LOCAL_WORLD_SIZE", str(alone))
    assert default_workers() == 1


def test_each_process_has_a_gpu_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WORLD_SIZE", "3")
    monkeypatch.setenv("RANK", "2")
    monkeypatch.setenv("LOCAL_RANK", "2")
    assert _own_gpu("cuda", 4) == "cuda:2"
    assert _own_gpu("cuda", 2) == "cuda:0"
    with pytest.raises(DeviceError, match="--device cuda:1 is one GPU for 3 processes; use --device cuda"):
        _own_gpu("cuda:1", 4)


def test_torch_is_not_imported_to_be_alone(toy: Path, tmp_path: Path) -> None:
    spec = f"predictions:{write_predictions(tmp_path / 'predicted', 6, (24, 32))}"
    arguments = options(toy, spec, "--save", str(tmp_path / "run"))
    code = f"import sys; from segablate.cli import run; sys.exit(run({arguments!r}) or 'torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, check=False).returncode == 0


def test_two_processes_equal_one(tmp_path: Path, network_spec: str, capsys: pytest.CaptureFixture[str]) -> None:
    data = write_dataset(tmp_path / "mixed", 7, ((24, 32), (17, 19)))
    maps = tmp_path / "maps"
    command = options(data, network_spec, "--no-cache", "--losses", "ce,dice", "--format", "csv")
    done = together(tmp_path, *command, "--save", "two", "--write-predictions", str(maps))
    assert done.returncode == 0, done.stderr
    assert run([*command, "--save", str(tmp_path / "one")]) == 0
    assert done.stdout == capsys.readouterr().out
    assert (tmp_path / "one/counts.npz").read_bytes() == (tmp_path / "two/counts.npz").read_bytes()
    assert sorted(path.stem for path in maps.iterdir()) == [f"s{index}" for index in range(7)]
    left = {path.name for path in tmp_path.iterdir()} - {"__pycache__"}
    assert left == {"maps", "mixed", "net.pth", "net.py", "one", "two"}


OVER_IMAGES = [name for name in loss_names() if get_loss(name).over_images is not None]


@pytest.mark.parametrize("name", OVER_IMAGES)
def test_two_processes_ablate_as_one_does(
    name: str, toy: Path, tmp_path: Path, network_spec: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """The value over the set is of all images too, under every setting."""
    command = ["ablate", name, network_spec, f"folder:{toy}", "--device", "cpu", "--workers", "0", "--no-cost", "--all"]
    command += ["--gradient-images", "4"]
    done = together(tmp_path, *command, "--format", "csv", "--save", "two")
    assert done.returncode == 0, done.stderr
    assert run([*command, "--format", "csv", "--save", str(tmp_path / "one")]) == 0
    assert done.stdout == capsys.readouterr().out
    assert "over_images" in done.stdout
    assert (tmp_path / "one/values.npz").read_bytes() == (tmp_path / "two/values.npz").read_bytes()
    with np.load(tmp_path / "two/values.npz") as arrays:
        assert arrays["with_gradient"].tolist() == [True, True, False, True, True, False]
        assert np.isfinite(arrays["norm"]).all(axis=1).tolist() == arrays["with_gradient"].tolist()


def test_two_processes_compare_as_one_does(
    toy: Path, tmp_path: Path, network_spec: str, capsys: pytest.CaptureFixture[str]
) -> None:
    maps = write_predictions(tmp_path / "maps", 6, (24, 32))
    command = ["compare", network_spec, f"predictions:{maps}", "--on", f"folder:{toy}", "--device", "cpu"]
    command += ["--workers", "0", "--no-cache", "--format", "json"]
    done = together(tmp_path, *command, "--save", "two")
    assert done.returncode == 0, done.stderr
    assert run([*command, "--save", str(tmp_path / "one")]) == 0
    both, alone = (json.loads(text)["tables"] for text in (done.stdout, capsys.readouterr().out))
    for table in ("scores", "classes"):
        assert both[table] == alone[table]
    for name in ("a", "b"):
        one, two = (tmp_path / place / name / "counts.npz" for place in ("one", "two"))
        assert one.read_bytes() == two.read_bytes()


@pytest.mark.gpu(real=True)
def test_two_processes_on_gpus_equal_one(toy: Path, tmp_path: Path, network_spec: str) -> None:
    command = ["evaluate", network_spec, f"folder:{toy}", "--device", "cuda", "--batch-size", "1", "--no-cache"]
    done = together(tmp_path, *command, "--save", "two")
    assert done.returncode == 0, done.stderr
    assert run([*command, "--save", str(tmp_path / "one")]) == 0
    assert (tmp_path / "one/counts.npz").read_bytes() == (tmp_path / "two/counts.npz").read_bytes()


def test_two_processes_without_torch_resume_what_one_began_and_keep_it(
    toy: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], every_image: None
) -> None:
    from segablate.evaluation.pieces import Pieces

    command = options(toy, f"predictions:{write_predictions(tmp_path / 'predicted', 6, (24, 32))}", "--save")
    write = Pieces.write

    def interrupted(pieces: Pieces, part: Any, stamps: Any, number: int) -> None:
        if number == 2:
            raise KeyboardInterrupt
        write(pieces, part, stamps, number)

    with monkeypatch.context() as patch:
        patch.setattr(Pieces, "write", interrupted)
        assert run([*command, str(tmp_path / "two")]) == 130
    done = together(tmp_path, *command, "two", "--resume")
    assert done.returncode == 0, done.stderr
    assert not (tmp_path / "two.partial").exists()
    capsys.readouterr()
    assert run([*command, str(tmp_path / "one")]) == 0
    assert "taken from the cache" in capsys.readouterr().out
    assert (tmp_path / "one/counts.npz").read_bytes() == (tmp_path / "two/counts.npz").read_bytes()


def test_an_error_of_one_ends_all_and_is_said_once(toy: Path, tmp_path: Path, network_spec: str) -> None:
    (toy / "labels/val/s3.png").write_bytes(b"")  # of the second process's share
    done = together(tmp_path, *options(toy, network_spec, "--save", "run"))
    assert done.returncode == 1
    assert done.stdout == ""
    (line,) = [line for line in done.stderr.splitlines() if "error: " in line]
    assert line.startswith(f"error: {toy}/labels/val/s3.png: the file is empty; replace it, or pass --on-error skip")
    assert "segablate/" not in done.stderr  # no traceback of this program


def test_what_fails_in_all_is_said_by_the_first(monkeypatch: pytest.MonkeyPatch) -> None:
    store = torch.distributed.HashStore()
    module = sys.modules["torch.distributed.rendezvous"]
    monkeypatch.setattr(module, "rendezvous", lambda place: iter([(store, 0, 2)]))
    meetings = [runtime._Rendezvous(), runtime._Rendezvous()]
    assert [meeting.first("failed") for meeting in meetings] == [True, False]


def test_processes_that_do_not_find_each_other(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("MASTER_ADDR", "MASTER_PORT"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("WORLD_SIZE", "2")
    monkeypatch.setenv("RANK", "1")
    runtime._rendezvous.cache_clear()
    with pytest.raises(DeviceError, match=r"cannot connect \(.*MASTER_ADDR.*\); start them with torchrun"):
        team().gather(1)
    assert team().first_to_fail()
