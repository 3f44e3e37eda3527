"""Running a case in a process of its own, forked from this one, under limits of memory and time."""

import contextlib
import io
import math
import os
import resource
import shutil
import signal
import sys
import tempfile
import time
import traceback
import warnings
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from .cases import Case
from .program import Program

MEGABYTE = 1 << 20


@dataclass(frozen=True)
class Limits:
    """What a case may take beyond what the program takes when it has started.

    `memory` in bytes that are really used, processor `seconds`, and seconds by the clock.
    """

    memory: int = 1 << 30
    seconds: int = 15
    clock: int = 240


FEW = Limits()


@dataclass(frozen=True)
class Ending:
    """How a process ended: its exit code, or the signal that ended it; what it printed; what it took."""

    case: Case
    code: int | None
    signal: int | None
    raised: str
    printed: str
    errors: str
    memory: int
    seconds: float
    place: Path


RAISED = 97
"""The exit code of a process in which an exception left the program."""

BROKEN = 98
"""The exit code of a process in which the damage failed."""


def run_all(
    cases: Iterator[Case], sites: "Sites", program: Program, count: int = 1, limits: Limits = FEW
) -> Iterator[Ending]:
    """How each case ended, in the order of their ends, with `count` processes at a time."""
    running: dict[int, tuple[Case, Path, int]] = {}
    for case in cases:
        if len(running) == count:
            yield _next_ending(running)
        place = sites.copy(case)
        resident = _pages()[1]
        running[_fork(case, place, program, limits)] = case, place, resident
    while running:
        yield _next_ending(running)


class Sites:
    """The valid inputs of readers, written once, and copies of them to be damaged."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def copy(self, case: Case) -> Path:
        """A new copy of the site of a case."""
        self.folder.mkdir(exist_ok=True)
        place = Path(tempfile.mkdtemp(dir=self.folder, prefix=f"case-{case.number}-"))
        shutil.copytree(self._whole(case), place / "site")
        return place

    def _whole(self, case: Case) -> Path:
        write = case.reader.write
        whole = self.folder / f"{getattr(write, 'func', write).__name__} {getattr(write, 'keywords', '')}"
        if not whole.is_dir():
            whole.mkdir(parents=True)
            write(whole)
        return whole


def _fork(case: Case, place: Path, program: Program, limits: Limits) -> int:
    sys.stdout.flush()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # of forking where there are threads; these hold no lock
        child = os.fork()
    if child:
        return child
    code = RAISED
    try:
        os.setsid()
        code = _attempt(case, place, program, limits)
    except BaseException:
        (place / "raised").write_text(traceback.format_exc(), errors="backslashreplace")
    finally:
        with contextlib.suppress(OSError):
            sys.stderr.flush()
        os._exit(code)


def _attempt(case: Case, place: Path, program: Program, limits: Limits) -> int:
    """Damage the site and run the command in it."""
    _prepare(case, place / "site")
    os.chdir(place / "site")
    _redirect(case, place)
    restrict(limits, _pages()[0])
    try:
        code = program(list(case.arguments))
        sys.stdout.flush()
    except SystemExit as ending:
        code = ending.code if isinstance(ending.code, int) else 0
    return code


def _prepare(case: Case, site: Path) -> None:
    """What a case does first, and the damage. An exception here is a fault of the fuzzer."""
    os.environ["SEGABLATE_CACHE"] = str(site / "cache")
    try:
        if case.reader.before:
            case.reader.before(site)
        case.change(site)
    except BaseException:
        traceback.print_exc()
        os._exit(BROKEN)


def _redirect(case: Case, place: Path) -> None:
    """Standard input is empty; output and errors go to files, output as the case says."""
    output = case.output if case.output.startswith("/") else str(place / "stdout")
    for number, path in enumerate((os.devnull, output, str(place / "stderr"))):
        os.dup2(os.open(path, os.O_WRONLY | os.O_CREAT if number else os.O_RDONLY), number)
    encoding = "utf-8" if case.output in ("file", "/dev/full") else case.output
    sys.stdout = io.TextIOWrapper(io.BufferedWriter(io.FileIO(1, "w")), encoding)
    sys.stderr = io.TextIOWrapper(io.BufferedWriter(io.FileIO(2, "w")), "utf-8", "backslashreplace", write_through=True)


def restrict(limits: Limits, space: int) -> None:
    """Limit this process; address space generously, for not all that is reserved is used."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    used_so_far = math.ceil(time.process_time())
    resource.setrlimit(resource.RLIMIT_CPU, (used_so_far + limits.seconds, used_so_far + limits.seconds + 5))
    resource.setrlimit(resource.RLIMIT_AS, (space + 4 * limits.memory,) * 2)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 30, 1 << 30))
    for number in (signal.SIGALRM, signal.SIGXCPU, signal.SIGTERM):
        signal.signal(number, signal.SIG_DFL)
    signal.alarm(limits.clock)


def _pages() -> tuple[int, int]:
    """Bytes of address space of this process, and those that are in memory."""
    whole, resident = map(int, Path("/proc/self/statm").read_text().split()[:2])
    return whole * resource.getpagesize(), resident * resource.getpagesize()


def _next_ending(running: dict[int, tuple[Case, Path, int]]) -> Ending:
    child, status, used = _wait_for_one(running)
    case, place, resident = running.pop(child)
    with contextlib.suppress(OSError):
        os.killpg(child, signal.SIGKILL)  # processes of its own
    code, ended_by = (os.waitstatus_to_exitcode(status), None) if os.WIFEXITED(status) else (None, os.WTERMSIG(status))
    texts = (_text(place / name) for name in ("raised", "stdout", "stderr"))
    seconds = used.ru_utime + used.ru_stime
    return Ending(case, code, ended_by, *texts, max(0, used.ru_maxrss * 1024 - resident), seconds, place)


def _wait_for_one(children: Iterable[int]) -> tuple[int, int, resource.struct_rusage]:
    """Wait for the first of these processes to end, and for no other that a test may have left to this one."""
    while True:
        for child in children:
            if (ended := os.wait4(child, os.WNOHANG))[0]:
                return ended
        time.sleep(0.005)


def _text(path: Path) -> str:
    return path.read_text(errors="replace") if path.is_file() else ""
