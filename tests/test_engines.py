"""Engines run the same cells to the same numbers, also where a process is killed on the way."""

import os
import signal
import subprocess
import sys
import time
from concurrent.futures import Future, ProcessPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from trainings import request, write_splits

from segablate.datasets import open_dataset
from segablate.evaluation.results import load_run
from segablate.metrics.tolerance import Tolerance
from segablate.render import summary_of
from segablate.training.ablation import SweepExecution, run_sweep
from segablate.training.cells import cell_folder, result_of
from segablate.training.engines import EngineOptions, engine_names, local
from segablate.training.sweep import Sweep, SweepSetting

DEADLY = '''\
import os
import signal
from pathlib import Path

from torch.nn.functional import cross_entropy

HERE = Path(__file__).parent


def deadly(logits, labels):
    """Cross entropy that kills its process once, after three steps."""
    with open(HERE / "steps", "a") as steps:
        steps.write("x")
        taken = steps.tell()
    if taken >= 3 and os.getpid() != int((HERE / "keep").read_text()):
        try:
            (HERE / "killed").touch(exist_ok=False)
        except FileExistsError:
            pass
        else:
            os.kill(os.getpid(), signal.SIGKILL)
    return cross_entropy(logits, labels.long(), ignore_index=255)
'''


@pytest.fixture
def sweep(tmp_path: Path) -> Sweep:
    """Two settings under two seeds, of which one kills the process that trains it."""
    data = write_splits(tmp_path / "data")
    (tmp_path / "deadly.py").write_text(DEADLY)
    (tmp_path / "keep").write_text(str(os.getpid()))
    settings = SweepSetting("baseline", "ce"), SweepSetting("deadly", f"python:{tmp_path}/deadly.py:deadly")
    reported = open_dataset(f"folder:{data}", "val")
    tolerances = (Tolerance.parse("2"),)
    return Sweep(settings, (0, 1), request(data, seed=0), reported, tolerances, 1, summary_of)


def found(folder: Path, sweep: Sweep) -> list[Any]:
    """The weights and the counts of every cell."""
    results = [result_of(folder, cell) for cell in sweep.cells]
    counts = [load_run(result.run).confusion.pixels.tolist() for result in results if result and result.run]
    weights = [(cell_folder(folder, cell) / "checkpoint.safetensors").read_bytes() for cell in sweep.cells]
    return [*weights, *counts]


@pytest.mark.parametrize("engine", engine_names())
def test_an_engine_imports_from_the_working_directory_only_what_is_named(
    engine: str, sweep: Sweep, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if engine == "ray":
        pytest.importorskip("ray", reason="needs the extra ray")
    place = tmp_path / "place"
    place.mkdir()
    (place / "cv2.py").write_text(f"open({str(tmp_path / 'canary')!r}, 'w')\nraise ImportError('mine')\n")
    (place / "mine.py").write_text("def loss(logits, labels):\n    return logits.square().mean()\n")
    monkeypatch.chdir(place)
    settings = (SweepSetting("mine", "python:mine:loss"),)
    swept = replace(sweep, settings=settings, seeds=(0, 1))
    assert run_sweep(swept, SweepExecution(Path("here"), engine=engine, options=EngineOptions(processes=2))) == 0
    assert all(result_of(place / "here", cell) for cell in swept.cells)
    assert Path.cwd() == place
    assert not (tmp_path / "canary").exists()


@pytest.mark.parametrize("engine", engine_names())
def test_an_engine_gives_the_numbers_of_one_process_and_begins_again_what_was_killed(
    engine: str, sweep: Sweep, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    if engine == "ray":
        pytest.importorskip("ray", reason="needs the extra ray")
    assert run_sweep(sweep, SweepExecution(tmp_path / "here", options=EngineOptions(processes=1))) == 0
    (tmp_path / "steps").unlink()
    capfd.readouterr()
    assert run_sweep(sweep, SweepExecution(tmp_path / "there", engine=engine, options=EngineOptions(processes=2))) == 0
    assert (tmp_path / "killed").exists(), "no process was killed"
    assert len((tmp_path / "steps").read_text()) > 12, "the killed training was not begun again"
    assert found(tmp_path / "there", sweep) == found(tmp_path / "here", sweep)
    assert capfd.readouterr().out == "", "the output is of the report alone"


PARENT = """
import multiprocessing
import os
import signal
import sys
from concurrent.futures import ProcessPoolExecutor

from segablate.training.engines.local import _begin

if __name__ == "__main__":
    context = multiprocessing.get_context("spawn")
    devices = context.Queue()
    devices.put("cpu")
    with ProcessPoolExecutor(1, context, _begin, (devices,)) as pool:
        print(pool.submit(os.getpid).result(), flush=True)
        os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.mark.skipif(os.name != "posix", reason="kills a process by a signal")
def test_a_process_of_the_pool_ends_with_its_parent(tmp_path: Path) -> None:
    (tmp_path / "parent.py").write_text(PARENT)
    with subprocess.Popen([sys.executable, str(tmp_path / "parent.py")], stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        worker = int(parent.stdout.readline())
        parent.wait()
    deadline = time.monotonic() + 20
    while (running := runs(worker)) and time.monotonic() < deadline:
        time.sleep(0.05)
    if running:
        os.kill(worker, signal.SIGKILL)
    assert not running


@pytest.mark.skipif(not hasattr(signal, "pthread_sigmask"), reason="this system has no masks of signals")
def test_processes_of_the_pool_begin_without_ctrl_c(
    sweep: Sweep, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    masks: list[bool] = []

    def submit(pool: ProcessPoolExecutor, *given: object) -> Future[None]:
        masks.append(held_back())
        done = Future[None]()
        done.set_result(None)
        return done

    monkeypatch.setattr(ProcessPoolExecutor, "submit", submit)
    assert len(local._in_pool(tmp_path, sweep, sweep.cells, lambda result: None, ["cpu"], 2)) == 4
    assert masks == [True] * 4, "a process that starts inherits what is held back"
    assert not held_back()


def held_back() -> bool:
    """Whether Ctrl-C waits."""
    return signal.SIGINT in signal.pthread_sigmask(signal.SIG_BLOCK, [])


def runs(process: int) -> bool:
    """Whether a process runs: a zombie, which nobody waits for, does not."""
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    stat = Path(f"/proc/{process}/stat")
    return not (stat.exists() and stat.read_text().rpartition(")")[2].split()[0] == "Z")
