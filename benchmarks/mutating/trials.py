"""Run pytest in a forked copy of this process, in which the libraries are imported and segablate is not."""

import json
import os
import resource
import signal
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

WARM = (
    "torch",
    "numpy",
    "scipy.stats",
    "scipy.ndimage",
    "cv2",
    "skimage.segmentation",
    "PIL.Image",
    "yaml",
    "rich.table",
)
WARM += ("safetensors.torch", "typer.testing", "hypothesis", "multiprocessing.pool", "torch.utils.data")
MEMORY = 12 << 30
"""Address space of a trial in bytes: a mutated size must not take the machine down."""


@dataclass
class Trial:
    """A forked process: what it prints goes to `log`, and its answer, JSON, to `answer`."""

    process: int
    started: float
    patience: float
    answer: Path

    def result(self) -> dict[str, Any] | None:
        """Return the answer once the process has ended; end it where it has run out of time."""
        done, status = os.waitpid(self.process, os.WNOHANG)
        if not done:
            if time.monotonic() - self.started < self.patience:
                return None
            end(self.process)
            os.waitpid(self.process, 0)
            return {"code": "time limit"}
        end(self.process)  # what it has left running
        if os.WIFSIGNALED(status):
            name = signal.Signals(os.WTERMSIG(status)).name
            return {"code": "time limit" if name in ("SIGXCPU", "SIGKILL") else name}
        if not self.answer.is_file():
            raise SystemExit(self.answer.with_suffix(".log").read_text(encoding="utf-8")[-3000:])
        return json.loads(self.answer.read_text(encoding="utf-8"))


def end(process: int) -> None:
    """End the process group of a trial."""
    try:
        os.killpg(process, signal.SIGKILL)
    except ProcessLookupError:
        return


def warm_up() -> None:
    """Import the libraries once; every trial is forked from this process."""
    import importlib

    for name in WARM:
        importlib.import_module(name)
    assert "segablate" not in sys.modules, "segablate must not be imported before the fork"


def fork(work: Callable[[], dict[str, Any]], copy: Path, seconds: float) -> Trial:
    """Start `work` in a forked process whose segablate is that of `copy`, for `seconds` of processor time at most."""
    answer = copy.with_suffix(".json")
    answer.unlink(missing_ok=True)
    sys.stdout.flush()
    process = os.fork()
    if process:
        return Trial(process, time.monotonic(), 60 + 20 * seconds, answer)
    code = 3
    try:
        _settle(copy, seconds)
        answer.write_text(json.dumps(work()), encoding="utf-8")
        code = 0
    except BaseException:
        import traceback

        traceback.print_exc()
    finally:
        sys.stdout.flush()
        os._exit(code)


def wait(trial: Trial) -> dict[str, Any]:
    """Return the answer of a trial."""
    while (found := trial.result()) is None:
        time.sleep(0.02)
    return found


def _settle(copy: Path, seconds: float) -> None:
    """Enter the copy of the repository, quietly and within limits."""
    os.setpgid(0, 0)  # a group to end, in the session of this one: schedulers weigh sessions
    log = os.open(copy.with_suffix(".log"), os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    os.dup2(log, 1)
    os.dup2(log, 2)
    resource.setrlimit(resource.RLIMIT_CPU, (int(seconds) + 1, int(seconds) + 5))
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    os.chdir(copy)
    os.environ.pop("SEGABLATE_DATA", None)
    os.environ["PYTHONPATH"] = str(copy)
    sys.path.insert(0, str(copy))


def run_pytest(plugin: object, files: list[str], stop: bool = True) -> int:
    """Run pytest on files, up to the first failure or to the end, and return its exit code."""
    options = [
        *(["-x"] if stop else []),
        "-q",
        "--no-header",
        "-p",
        "no:cacheprovider",
        "--hypothesis-seed=0",
        "--timeout=0",
    ]
    options += ["-W", "ignore:Module already imported:pytest.PytestAssertRewriteWarning"]
    return int(pytest.main([*options, *files], plugins=[plugin]))
