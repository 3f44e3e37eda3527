"""Processor time and memory of whole commands, relative to a peer that does the least that can be done.

::

    python benchmarks/commands.py [--only NAME] [--turns 5] [--json FILE]

Each row runs a command of this program and its peer in turns, each in a process of its own, from the start of Python to
its end. Processor seconds are user and system time of the process and of all that it started; memory is the peak of the
largest of them. The ratio is of the minima, as other load only adds time. ``--only`` may be given several times. A peer
that is a script is a function of this file: ``python benchmarks/commands.py --peer NAME FOLDER``. This process imports
nothing large, as a process starts with the peak memory of the one that started it.
"""

import argparse
import ctypes
import json
import os
import platform
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from statistics import median

CLASSES = 19
PACKAGES = ("numpy", "torch", "opencv-python-headless")
SUBREAPER = 36  # of prctl: processes whose parent has ended become children of this one
SEGABLATE = (sys.executable, "-m", "segablate")


@dataclass(frozen=True)
class Row:
    """A command, its peer and how many times the peer's processor time it may take.

    - `ours`, `peer`: command lines, for the folder that holds what `prepare` wrote.
    - `prepare`: the name in PREPARATIONS of what both read; rows of one name share a folder.
    - `cached`: whether a turn finds the cached results of the turn before.
    """

    name: str
    ours: Callable[[Path], Sequence[str]]
    peer: Callable[[Path], Sequence[str]]
    target: float
    prepare: str = "nothing"
    cached: bool = False


@dataclass(frozen=True)
class Use:
    """Processor seconds and peak memory, in MiB, of a process and all that it started."""

    seconds: float
    memory: float


def two_pairs(folder: Path) -> None:
    """Write 2 pairs of label maps of 1024x2048."""
    from throughput import write

    write(folder, 2, 2)


def sixty_pairs(folder: Path) -> None:
    """Write 60 pairs of label maps of 1024x2048, 12 of them distinct."""
    from throughput import write

    write(folder, 60, 12)


def predictions(*options: str) -> Callable[[Path], Sequence[str]]:
    """Return the command that evaluates the predictions of a folder."""
    command = (*SEGABLATE, "evaluate")
    return lambda folder: (*command, f"predictions:{folder / 'predictions'}", f"folder:{folder}", *options)


def program(*arguments: str) -> Callable[[Path], Sequence[str]]:
    """Return a command of this program that reads nothing of the folder."""
    return lambda folder: (*SEGABLATE, *arguments)


def script(name: str) -> Callable[[Path], Sequence[str]]:
    """Return the command that runs a function of PEERS."""
    return lambda folder: (sys.executable, __file__, "--peer", name, str(folder))


def pairs(folder: Path) -> list[tuple[str, str]]:
    return [(str(path), str(folder / "predictions" / path.name)) for path in sorted((folder / "labels").iterdir())]


def decode(folder: Path) -> None:
    """Decode both label maps of each pair."""
    import cv2

    for pair in pairs(folder):
        for path in pair:
            assert cv2.imread(path, cv2.IMREAD_UNCHANGED) is not None


def count(folder: Path) -> None:
    """Decode each pair, and print the mean IoU of a confusion table counted by ``bincount``, without void."""
    import cv2
    import numpy as np

    total = np.zeros((CLASSES, CLASSES), np.int64)
    for paths in pairs(folder):
        labels, predicted = (cv2.imread(path, cv2.IMREAD_UNCHANGED) for path in paths)
        known = labels != 255
        codes = CLASSES * labels[known].astype(np.int64) + predicted[known]
        total += np.bincount(codes, minlength=CLASSES**2).reshape(CLASSES, CLASSES)
    hits = np.diag(total)
    print(np.nanmean(hits / (total.sum(axis=0) + total.sum(axis=1) - hits)))


PEERS: dict[str, Callable[[Path], None]] = {"decode": decode, "count": count}
PREPARATIONS: dict[str, Callable[[Path], None]] = {
    "nothing": lambda folder: None,
    "2 pairs": two_pairs,
    "60 pairs": sixty_pairs,
}

ROWS = (
    Row("evaluate, cached", program("evaluate", "sample:ce"), program("--help"), 6, cached=True),
    Row("evaluate, 2 pairs", predictions(), program("--help"), 5, "2 pairs"),
    Row(
        "evaluate, 60 pairs, counts",
        predictions("--tolerance", "none", "--workers", "0"),
        script("count"),
        1.3,
        "60 pairs",
    ),
    Row("evaluate, 60 pairs, defaults", predictions(), script("decode"), 3, "60 pairs"),
)


@dataclass(frozen=True)
class Measured:
    """The uses of a command and its peer, one a turn."""

    row: Row
    ours: Sequence[Use]
    peer: Sequence[Use]

    @property
    def ratio(self) -> float:
        return min(use.seconds for use in self.ours) / min(use.seconds for use in self.peer)

    def plain(self) -> dict[str, object]:
        """Return the result as JSON can hold it."""
        turns = {"ours": [asdict(use) for use in self.ours], "peer": [asdict(use) for use in self.peer]}
        return {"name": self.row.name, "ratio": self.ratio, "target": self.row.target, **turns}


def used(command: Sequence[str], folder: Path) -> Use:
    """Run a command to its end, with all that it starts, and return what they used. CalledProcessError if it fails."""
    kept = {**os.environ, "SEGABLATE_CACHE": str(folder / "cache"), "OMP_NUM_THREADS": "1"}
    kept.pop("PYTHONDONTWRITEBYTECODE", None)  # an installed program is compiled
    with tempfile.TemporaryFile() as errors:
        process = subprocess.Popen(command, env=kept, stdout=subprocess.DEVNULL, stderr=errors)
        _, status, own = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        uses = [own]
        with suppress(ChildProcessError):
            while True:
                uses.append(os.wait4(-1, 0)[2])
        errors.seek(0)
        if process.returncode:
            raise SystemExit(f"{' '.join(command)} ends with {process.returncode}: {errors.read().decode()}")
    unit = 1 if sys.platform == "darwin" else 1024
    return Use(sum(use.ru_utime + use.ru_stime for use in uses), max(use.ru_maxrss for use in uses) * unit / 2**20)


def prepared(row: Row, place: Path) -> Path:
    """Return the folder of a row, written by a process of its own unless another row has it already."""
    folder = place / row.prepare
    if not folder.exists():
        folder.mkdir()
        subprocess.run((sys.executable, __file__, "--prepare", row.prepare, str(folder)), check=True)
    return folder


def measured(row: Row, folder: Path, turns: int) -> Measured:
    """Run a row in turns; a first turn, which fills caches, is not counted."""
    commands = row.ours(folder), row.peer(folder)
    uses: tuple[list[Use], list[Use]] = ([], [])
    shutil.rmtree(folder / "cache", ignore_errors=True)
    for turn in range(turns + 1):
        for command, found in zip(commands, uses, strict=True):
            if not row.cached:
                shutil.rmtree(folder / "cache", ignore_errors=True)
            use = used(command, folder)
            found.extend([use] if turn else [])
    return Measured(row, *uses)


def show(results: Sequence[Measured]) -> None:
    """Print the results, and where they were measured."""
    from rich.console import Console
    from rich.table import Table

    heads = ("command", "ours: CPU s", "MiB", "peer: CPU s", "MiB", "ratio", "target", "reached")
    table = Table(*heads, title="Whole commands; CPU s: minimum / median / maximum")
    for result in results:
        reached = "yes" if result.ratio <= result.row.target else "no"
        ratios = f"{result.ratio:.2f}", f"{result.row.target:g}", reached
        table.add_row(result.row.name, *_cells(result.ours), *_cells(result.peer), *ratios)
    console = Console(width=None if sys.stdout.isatty() else 140)
    console.print(table)
    console.print(", ".join(f"{name} {value}" for name, value in setting().items()))


def _cells(uses: Sequence[Use]) -> tuple[str, str]:
    seconds = sorted(use.seconds for use in uses)
    return f"{seconds[0]:.2f} / {median(seconds):.2f} / {seconds[-1]:.2f}", f"{max(use.memory for use in uses):.0f}"


def setting() -> dict[str, str]:
    """Return the processor and the versions."""
    described = Path("/proc/cpuinfo")
    lines = described.read_text().splitlines() if described.is_file() else []
    models = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    processor = f"{models[0] if models else platform.processor()}, {os.cpu_count()} cores"
    versions = {name: version(name) for name in PACKAGES}
    return {"processor": processor, "segablate": version("segablate"), "python": platform.python_version(), **versions}


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--only", action="append", metavar="NAME", help="rows whose name contains this")
    parser.add_argument("--turns", type=int, default=5)
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all turns to this file")
    parser.add_argument("--peer", nargs=2, metavar=("NAME", "FOLDER"), help="run a peer, and nothing else")
    parser.add_argument("--prepare", nargs=2, metavar=("NAME", "FOLDER"), help="write what a row reads")
    options = parser.parse_args()
    for called, functions in ((options.peer, PEERS), (options.prepare, PREPARATIONS)):
        if called:
            functions[called[0]](Path(called[1]))
            return
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(SUBREAPER, 1, 0, 0, 0)
    rows = [row for row in ROWS if options.only is None or any(name in row.name for name in options.only)]
    with tempfile.TemporaryDirectory() as place:
        results = [measured(row, prepared(row, Path(place)), options.turns) for row in rows]
    if options.json:
        described = {"setting": setting(), "rows": [result.plain() for result in results]}
        options.json.write_text(json.dumps(described, indent=1))
    show(results)


if __name__ == "__main__":
    main()
