"""Processor time and memory of whole commands, relative to a peer that does the least that can be done.

::

    python benchmarks/commands.py [--only NAME] [--turns 5] [--json FILE]

Each row runs a command of this program and its peer in turns, each in a process of its own, from the start of Python to
its end, with one thread. Processor seconds are user and system time of the process and of all that it started; memory
is the peak of the largest of them. Rows "per ..." are differences between two such runs of more and less work. The
ratio is of the minima, as other load only adds time. ``--only`` may be given several times. Peers are in
``command_peers.py``. This process imports nothing large, as a process starts with the peak memory of the one that
started it. Rows on CamVid run where ``SEGABLATE_DATA`` names the real data.
"""

import argparse
import ctypes
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from statistics import median

from command_peers import PEERS, PREPARATIONS, call
from command_rows import ROWS, Command, Row
from machine import described, setting

SUBREAPER = 36  # of prctl: processes whose parent has ended become children of this one


@dataclass(frozen=True)
class Use:
    """Processor seconds and peak memory, in MiB, of a process and all that it started."""

    seconds: float
    memory: float

    def over(self, less: "Use", units: int) -> "Use":
        """Return what was used beyond that of less work, per unit."""
        return Use((self.seconds - less.seconds) / units, (self.memory - less.memory) / units)


@dataclass(frozen=True)
class Measured:
    """The uses of a command and its peer, one a turn."""

    row: Row
    ours: Sequence[Use]
    peer: Sequence[Use]

    @property
    def found(self) -> float:
        """What the target is a limit of: a ratio, or MiB (KiB per unit)."""
        ours, peer = (self._least(uses) for uses in (self.ours, self.peer))
        if not self.row.absolute:
            return ours / peer
        return 1024 * ours if self.row.less else ours

    def _least(self, uses: "Sequence[Use]") -> float:
        return min(getattr(use, self.row.quantity) for use in uses)

    def plain(self) -> dict[str, object]:
        """Return the result as JSON can hold it."""
        turns = {"ours": [asdict(use) for use in self.ours], "peer": [asdict(use) for use in self.peer]}
        limits = {"quantity": self.row.quantity, "absolute": self.row.absolute, "target": self.row.target}
        return {"name": self.row.name, "found": self.found, **limits, **turns}


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


def _used(command: Command, row: Row, folder: Path) -> Use:
    if not row.cached:
        shutil.rmtree(folder / "cache", ignore_errors=True)
    return used(command(folder), folder)


def prepared(row: Row, place: Path) -> Path:
    """Return the folder of a row, written by a process of its own unless another row has it already."""
    folder = place / row.prepare
    if not folder.exists():
        folder.mkdir()
        subprocess.run((sys.executable, __file__, "--prepare", row.prepare, str(folder)), check=True)
    return folder


def command_of(row: Row) -> str:
    """Return what rows of one command have in common: seconds and memory are of the same turns."""
    return row.name.removesuffix(", memory")


def measured(row: Row, folder: Path, turns: int) -> Measured:
    """Run a row in turns; a first turn, which fills caches, is not counted."""
    uses: tuple[list[Use], list[Use]] = ([], [])
    shutil.rmtree(folder / "cache", ignore_errors=True)
    for turn in range(turns + 1):
        for side, found in enumerate(uses):
            use = _used((row.ours, row.peer)[side], row, folder)
            if row.less is not None:
                use = use.over(_used(row.less[side], row, folder), row.units)
            found.extend([use] if turn else [])
    return Measured(row, *uses)


def show(results: Sequence[Measured]) -> None:
    """Print the results, and where they were measured."""
    from rich.console import Console
    from rich.table import Table

    heads = ("command", "ours: CPU s", "MiB", "peer: CPU s", "MiB", "found", "target", "reached")
    table = Table(*heads, title="Whole commands; CPU s and MiB: minimum / median / maximum")
    for result in results:
        row = result.row
        unit = "" if not row.absolute else " KiB" if row.less else " MiB"
        found = f"{result.found:.2f}{unit}", f"{row.target:g}{unit}", "yes" if result.found <= row.target else "no"
        table.add_row(row.name, *_cells(result.ours), *_cells(result.peer), *found)
    console = Console(width=None if sys.stdout.isatty() else 140)
    console.print(table)
    console.print(described())


def _cells(uses: Sequence[Use]) -> tuple[str, str]:
    return _spread([use.seconds for use in uses]), _spread([use.memory for use in uses])


def _spread(values: Sequence[float]) -> str:
    return " / ".join(
        f"{value:.3g}" if value < 1000 else f"{value:.0f}" for value in (min(values), median(values), max(values))
    )


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
            call(functions, called[0], Path(called[1]))
            return
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(SUBREAPER, 1, 0, 0, 0)
    rows = [row for row in ROWS if options.only is None or any(name in row.name for name in options.only)]
    if "SEGABLATE_DATA" not in os.environ:
        print("SEGABLATE_DATA is not set: rows on CamVid are left out", file=sys.stderr)
        rows = [row for row in rows if row.prepare != "camvid"]
    results: list[Measured] = []
    with tempfile.TemporaryDirectory() as place:
        for row in rows:
            same = [each for each in results if command_of(each.row) == command_of(row)]
            results.append(
                replace(same[0], row=row) if same else measured(row, prepared(row, Path(place)), options.turns)
            )
            if options.json:  # after every row, so that a run that is stopped loses one
                found = {"setting": setting(), "rows": [result.plain() for result in results]}
                options.json.write_text(json.dumps(found, indent=1))
    show(results)


if __name__ == "__main__":
    main()
