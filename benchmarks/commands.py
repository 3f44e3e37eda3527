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
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median
from typing import Any, Literal

from command_peers import PEERS, PREPARATIONS, call
from machine import described, setting

SUBREAPER = 36  # of prctl: processes whose parent has ended become children of this one
SEGABLATE = (sys.executable, "-m", "segablate")


Command = Callable[[Path], Sequence[str]]
"""A command line, for the folder that holds what was prepared."""


@dataclass(frozen=True)
class Row:
    """A command, its peer, and how many times the peer's processor time, or memory, it may take.

    - `ours`, `peer`: command lines; `less`: the same for less work, of which the difference is taken, per `units`.
    - `quantity`: what the target is a limit of; `absolute`: in MiB, or KiB per unit, not relative to the peer.
    - `prepare`: what both read, see PREPARATIONS; rows of one name share a folder.
    - `cached`: whether a turn finds the cached results of the turn before.
    """

    name: str
    ours: Command
    peer: Command
    target: float
    prepare: str = "nothing"
    cached: bool = False
    quantity: Literal["seconds", "memory"] = "seconds"
    absolute: bool = False
    less: tuple[Command, Command] | None = None
    units: int = 1


@dataclass(frozen=True)
class Use:
    """Processor seconds and peak memory, in MiB, of a process and all that it started."""

    seconds: float
    memory: float

    def over(self, less: "Use", units: int) -> "Use":
        """Return what was used beyond that of less work, per unit."""
        return Use((self.seconds - less.seconds) / units, (self.memory - less.memory) / units)


def predictions(*options: str) -> Callable[[Path], Sequence[str]]:
    """Return the command that evaluates the predictions of a folder."""
    command = (*SEGABLATE, "evaluate")
    return lambda folder: (*command, f"predictions:{folder / 'predictions'}", f"folder:{folder}", *options)


def program(*arguments: str) -> Callable[[Path], Sequence[str]]:
    """Return a command of this program that reads nothing of the folder."""
    return lambda folder: (*SEGABLATE, *arguments)


def script(name: str) -> Callable[[Path], Sequence[str]]:
    """Return the command that runs a function of PEERS with its arguments, as in ``losses:ssl:4``."""
    return lambda folder: (sys.executable, __file__, "--peer", name, str(folder))


def camvid(*arguments: str) -> Command:
    """Return a command on ESPNet and CamVid; the arguments before the first option come before these."""
    place = next((at for at, argument in enumerate(arguments) if argument.startswith("-")), len(arguments))
    data = f"camvid:{Path(os.environ.get('SEGABLATE_DATA', '')).resolve() / 'camvid'}"
    more = (data, "--trust-code", *arguments[place:])
    return lambda folder: (*SEGABLATE, *arguments[:place], str(folder / "card.yaml"), *more)


def large(*options: str) -> Command:
    """Return the command that evaluates the network of a folder on its large image."""
    return lambda folder: (
        *SEGABLATE,
        "evaluate",
        f"python:{folder / 'net.py'}:net@{folder / 'weights.pth'}",
        f"folder:{folder}",
        *options,
    )


def small(count: int) -> Command:
    """Return the command that evaluates so many small pairs."""
    inner = predictions("--workers", "0", "--limit", str(count))
    return lambda folder: inner(folder)


def loss_row(name: str, target: float) -> Row:
    """Return the row of a loss against cross entropy, forward and backward."""
    less = script(f"losses:{name}:1"), script("losses:cross_entropy:1")
    title = f"{name}, forward and backward, per call"
    return Row(title, script(f"losses:{name}:4"), script("losses:cross_entropy:4"), target, less=less, units=3)


MEMORY: dict[str, Any] = {"quantity": "memory"}
RADII, RIDGES = ("--radius", "1,2,3,4,5"), ("--alpha", "1e-5,1e-4,1e-3,1e-2")

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
    Row(
        "ESPNet on CamVid, per image",
        camvid("evaluate", "--limit", "44"),
        script("espnet:44"),
        1.1,
        "camvid",
        less=(camvid("evaluate", "--limit", "4"), script("espnet:4")),
        units=40,
    ),
    Row("4000x4000, 21 classes", large(), script("forward"), 2, "large image"),
    Row("4000x4000, 21 classes, memory", large(), script("forward"), 1.1, "large image", **MEMORY),
    Row("4000x4000, --window 512", large("--window", "512"), script("tiled"), 2, "large image"),
    Row(
        "4000x4000, --window 512, memory",
        large("--window", "512"),
        script("tiled"),
        1144,
        "large image",
        absolute=True,
        **MEMORY,
    ),
    Row(
        "64x64 pairs, memory per image",
        small(12000),
        script("decode"),
        2,
        "small pairs:12000",
        absolute=True,
        less=(small(2000), script("decode")),
        units=10000,
        **MEMORY,
    ),
    loss_row("ssl", 10),
    loss_row("cpg", 3),
    loss_row("rmi", 2.5),
    Row(
        "20 settings with gradients",
        camvid("ablate", "rmi", *RADII, *RIDGES),
        camvid("evaluate", "--losses", "rmi"),
        4,
        "camvid",
    ),
)


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
    with tempfile.TemporaryDirectory() as place:
        results = [measured(row, prepared(row, Path(place)), options.turns) for row in rows]
    if options.json:
        found = {"setting": setting(), "rows": [result.plain() for result in results]}
        options.json.write_text(json.dumps(found, indent=1))
    show(results)


if __name__ == "__main__":
    main()
