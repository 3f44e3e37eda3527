"""Two processes train to the weights of one with the same global batch."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from team_trainings import cases, run
from torch import Tensor, nn
from trainings import request, write_splits

from segablate.runtime import Team
from segablate.training import beginning
from segablate.training.beginning import begin
from segablate.training.sharing import agree, share_step

ROOT = Path(__file__).parents[1]
pytestmark = pytest.mark.timeout(900)
NET = '''\
from torch import nn


class Net(nn.Module):
    """One of its layers takes no part."""

    def __init__(self):
        super().__init__()
        self.body = nn.Sequential(nn.Conv2d(3, 6, 3, padding=1), nn.BatchNorm2d(6), nn.ReLU())
        self.idle = nn.Conv2d(3, 6, 3)
        self.head = nn.Conv2d(6, 4, 1)

    def forward(self, x):
        return self.head(self.body(x))


def net():
    return Net()
'''


def torchrun(*command: str, folder: Path) -> subprocess.CompletedProcess[str]:
    started = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", *command]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    return subprocess.run(
        started, cwd=folder, env=environment, capture_output=True, text=True, check=False, timeout=600
    )


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = write_splits(tmp_path_factory.mktemp("data") / "toy", train=9)
    (root / "net.py").write_text(NET)
    return root


@pytest.fixture(scope="module")
def together(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder into which two processes trained all cases."""
    folder = tmp_path_factory.mktemp("two")
    done = torchrun(str(ROOT / "tests/team_trainings.py"), str(data), str(folder), folder=folder)
    assert done.returncode == 0, done.stderr
    return folder


def weights(folder: Path) -> dict[str, Tensor]:
    (file,) = folder.glob("*.safetensors")
    return load_file(file)


def losses(folder: Path) -> list[float]:
    return [json.loads(line)["loss"] for line in (folder / "progress.jsonl").read_text().splitlines()]


def summary(folder: Path) -> dict[str, Any]:
    return json.loads((folder / "training.json").read_text())


@pytest.mark.parametrize("case", [case for case in cases() if not case.startswith("whole") and "train" not in case])
def test_two_processes_train_to_the_weights_of_one(data: Path, together: Path, tmp_path: Path, case: str) -> None:
    run(data, tmp_path, case)
    alone, shared = weights(tmp_path / case), weights(together / case)
    start = begin(request(data, **{**cases()[case], "network": "small(width=4)"}), tmp_path).start.network.module
    for name, tensor in alone.items():
        torch.testing.assert_close(shared[name], tensor, rtol=2e-4, atol=2e-5)
    if case != "network":
        moved = [not torch.equal(alone[name], tensor) for name, tensor in start.state_dict().items()]
        assert sum(moved) > 20
    assert losses(tmp_path / case) == pytest.approx(losses(together / case), rel=1e-4)
    notes = summary(together / case)["notes"]
    assert [note for note in notes if not note.startswith("no mean and std given")] == []


def test_losses_of_whole_batches_are_means_over_local_ones_and_a_note_says_so(together: Path) -> None:
    for norm in ("frozen", "sync"):
        notes = summary(together / f"whole-{norm}")["notes"]
        assert notes == ["lovasz, dice: means over the local batches of 2 processes"]


def test_batch_norm_of_each_process_is_told(together: Path) -> None:
    notes = summary(together / "ce-train")["notes"]
    assert notes == ["batch norm took its statistics over the local batches of 2 processes"]


def test_two_processes_that_stop_and_go_on_end_in_the_same_bytes(together: Path) -> None:
    """Also where each process has statistics of its own, whenever states were written."""
    broken, whole = (together / name / "checkpoint.safetensors" for name in ("broken", "ce-train"))
    assert broken.read_bytes() == whole.read_bytes()


def test_statistics_of_processes_are_shared(together: Path, data: Path, tmp_path: Path) -> None:
    """After one step, the mean over two processes is that over the whole batch."""
    run(data, tmp_path, "one-train")
    name = "stem.0.1.running_mean"
    alone, shared = weights(tmp_path / "one-train")[name], weights(together / "one-train")[name]
    torch.testing.assert_close(shared, alone, rtol=1e-4, atol=1e-7)
    assert alone.abs().min() > 1e-4


def test_the_command_prints_once(data: Path, tmp_path: Path) -> None:
    options = ["--steps", "4", "--batch", "4", "--validate-every", "2", "--holdout", "val", "--norm", "sync"]
    command = ["-m", "segablate", "train", "small(width=4)", f"folder:{data}", *options, "--save", "run"]
    done = torchrun(*command, "--device", "cpu", "--workers", "0", folder=tmp_path)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("trained on toy") + done.stdout.count(f"trained on folder:{data}") == 1
    assert list(summary(tmp_path / "run")["validation"]) == ["2", "4"]


class Shared(Team):
    """Two processes of which the other always has these values, or this one everywhere."""

    def __init__(self, *other: float) -> None:
        super().__init__(0, 2)
        object.__setattr__(self, "other", other)

    def add(self, tensor: Tensor) -> Tensor:
        return tensor + torch.tensor(self.other, dtype=tensor.dtype)  # type: ignore[attr-defined]


def test_gradients_and_statistics_are_means() -> None:
    parameters = [nn.Parameter(torch.zeros(2)), nn.Parameter(torch.zeros(1)), nn.Parameter(torch.zeros(1))]
    parameters[0].grad, parameters[2].grad = torch.tensor([2.0, 4.0]), torch.tensor([6.0])
    statistics = [torch.tensor([8.0])]
    assert share_step(torch.tensor(1.0), parameters, statistics, Shared(0.0))
    assert [None if p.grad is None else p.grad.tolist() for p in parameters] == [[1, 2], None, [3]]
    assert statistics[0].item() == 4


def test_a_gradient_that_one_process_lacks_counts_as_zero_there() -> None:
    parameter = nn.Parameter(torch.zeros(2))
    assert share_step(torch.tensor(1.0), [parameter], [], Shared(0, 1, 3, 5))  # finite, used, and its gradient
    assert parameter.grad is not None
    assert parameter.grad.tolist() == [1.5, 2.5]


def test_a_loss_that_is_broken_in_one_process_is_broken_in_all() -> None:
    assert not share_step(torch.tensor(float("nan")), [], [], Team())
    assert not share_step(torch.tensor(float("inf")), [], [], Shared(0.0))
    assert not share_step(torch.tensor(1.0), [], [], Shared(1.0))
    assert share_step(torch.tensor(1.0), [], [], Team())


def test_processes_agree() -> None:
    cpu = torch.device("cpu")
    assert agree(Team(), cpu, True, False) == [True, False]
    assert agree(Shared(0), cpu, True, False) == [True, False]
    assert agree(Shared(1), cpu, False, False) == [True, True]


def test_another_number_of_processes_is_another_training_where_it_counts(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def identity(processes: int, **fields: Any) -> str:
        monkeypatch.setattr("segablate.training.identity.team", lambda: Team(0, processes))
        return beginning.begin(request(data, batch=4, **fields), tmp_path).identity

    assert identity(1, norm="frozen") == identity(2, norm="frozen")
    assert identity(1, norm="train") != identity(2, norm="train")
    assert identity(1, norm="frozen", objective="ce + dice") != identity(2, norm="frozen", objective="ce + dice")
