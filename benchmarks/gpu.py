"""First run on a GPU: is it correct, does the host wait, how fast is it? One table, and a file of numbers.

::

    python benchmarks/gpu.py [--minutes 8] [--json FILE] [--only PART] [--dry-run]

Parts run one after the other, each in a process of its own with a time limit, so that one that fails, hangs or loses
the GPU leaves the others; what it found before is kept. Times are medians between events of the GPU after calls that
are not timed. ``--dry-run`` runs all of it at small sizes on the CPU, by the operations that a GPU would run, and
prints "–" for what only a GPU can tell.

Nothing of this has been measured on a GPU yet. So there is no kernel in Triton: one pays only where a form in torch
stays below half of the bandwidth, which the rows "share of that bandwidth" tell.
"""

import argparse
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path

ROOT = Path(__file__).parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "benchmarks")]

from on_gpu.rows import Row, Setting  # noqa: E402
from rich.console import Console  # noqa: E402
from rich.table import Table  # noqa: E402


@dataclass(frozen=True)
class Part:
    """A part of the run: a function in a module of ``on_gpu``, and the most seconds it may take."""

    name: str
    module: str
    seconds: int


PARTS = (
    Part("equality", "checks", 75),
    Part("waits", "waiting", 45),
    Part("validation_loop", "waiting", 75),
    Part("logits_to_counts", "speed", 45),
    Part("measures_beside_network", "speed", 75),
    Part("training_step", "checks", 45),
    Part("losses", "speed", 120),
    Part("command", "checks", 60),
    Part("tests", "checks", 150),
)
"""In the order in which they run: what says most in the least time comes first."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the parts, print the table and return 0 where every target that can be known was reached."""
    options = parse(arguments)
    if options.child:
        return write_rows(next(part for part in PARTS if part.name == options.child), options)
    head = machine(options.dry_run)
    if not (options.dry_run or head["device"]):
        raise SystemExit("torch finds no GPU; --dry-run runs all of it at small sizes on the CPU")
    began, rows = time.monotonic(), dict[str, list[Row]]()
    for part in PARTS:
        if options.only and part.name not in options.only:
            continue
        left = 60 * options.minutes - (time.monotonic() - began)
        rows[part.name] = run_part(part, min(part.seconds, left), options.dry_run)
    Console(width=None if sys.stdout.isatty() else 160).print(table(head, rows))
    if options.json:
        found = [{"part": name, **asdict(row)} for name, part in rows.items() for row in part]
        options.json.write_text(json.dumps({**head, "seconds": time.monotonic() - began, "rows": found}, indent=1))
    return int(any(row.reached is False for part in rows.values() for row in part))


def parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--minutes", type=float, default=8, help="deadline of the whole run")
    parser.add_argument("--json", type=Path, metavar="FILE", help="file for the rows and the machine")
    parser.add_argument("--only", action="append", choices=[part.name for part in PARTS], help="a part to run")
    parser.add_argument("--dry-run", action="store_true", help="small sizes, on the CPU")
    parser.add_argument("--child", help=argparse.SUPPRESS)
    parser.add_argument("--rows", type=Path, help=argparse.SUPPRESS)
    return parser.parse_args(arguments)


def run_part(part: Part, seconds: float, dry: bool, least: float = 5) -> list[Row]:
    """Run a part in a process of its own; return its rows, and one that says so where it did not end well."""
    if seconds < least:
        return [Row(part.name, "left out: no time left", "", False)]
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, "rows")
        line = [sys.executable, __file__, "--child", part.name, "--rows", str(file), *(["--dry-run"] * dry)]
        began = time.monotonic()
        path = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")]))
        own = {"env": {**os.environ, "PYTHONPATH": path}, "cwd": ROOT, "start_new_session": True}
        with subprocess.Popen(line, stderr=subprocess.PIPE, text=True, **own) as process:
            try:
                said = process.communicate(timeout=seconds)[1]
                problem = _last(said) if process.returncode else ""
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)  # with what the part has started
                problem = f"stopped after {seconds:.0f} s"
        print(f"{part.name}: {time.monotonic() - began:.0f} s", file=sys.stderr, flush=True)
        written = file.read_text("utf-8").splitlines() if file.exists() else []
    rows = [Row(**json.loads(each)) for each in written]
    return [*rows, Row(part.name, problem, "", False)] if problem else rows


def _last(text: str) -> str:
    """Return the last line of an error, shortened."""
    lines = text.strip().splitlines() or ["failed without a message"]
    return lines[-1][:200]


def write_rows(part: Part, options: argparse.Namespace) -> int:
    """Run a part in this process, and write each of its rows as it comes."""
    from importlib import import_module

    import_module("scenes")  # before losses.py puts the module of that name among the tests first
    run = getattr(import_module(f"on_gpu.{part.module}"), part.name)
    with options.rows.open("a", encoding="utf-8") as file:
        for row in run(Setting(options.dry_run)):
            print(json.dumps(asdict(row)), file=file, flush=True)
    return 0


def machine(dry: bool) -> dict[str, str]:
    """Return the device, its driver, and the versions."""
    import torch

    name = torch.cuda.get_device_name() if torch.cuda.is_available() and not dry else ""
    query = ["nvidia-smi", "--query-gpu=driver_version", "--format=csv,noheader"]
    try:
        driver = subprocess.run(query, capture_output=True, text=True, check=True, timeout=20).stdout.split()[0]
    except (OSError, subprocess.SubprocessError, IndexError):
        driver = "none"
    return {
        "device": "cpu, dry run" if dry else name,
        "driver": driver,
        "torch": version("torch"),
        "cuda": str(torch.version.cuda),
    }


def table(head: dict[str, str], parts: dict[str, list[Row]]) -> Table:
    """Return the table of all rows."""
    found = Table("what", "value", "target", "reached", title=", ".join(f"{key} {text}" for key, text in head.items()))
    for rows in parts.values():
        for cells in _cells(rows):
            found.add_row(*cells)
        found.add_section()
    return found


def _cells(rows: Iterable[Row]) -> list[tuple[str, str, str, str]]:
    said = {True: "yes", False: "NO", None: "–"}
    return [(row.what, row.value, row.target, said[row.reached]) for row in rows]


if __name__ == "__main__":
    raise SystemExit(main())
