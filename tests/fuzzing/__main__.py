"""``python -m tests.fuzzing COUNT``: run cases, print what is found, and exit with 1 where anything is."""

import argparse
import importlib
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))  # where the tests' own modules are

from .cases import ALL, Case, case, valid
from .findings import Finding, grouped, judge, keep
from .processes import FEW, Ending, Limits, Sites, run_all
from .program import loaded_program, script

KEPT = Path(tempfile.gettempdir(), "segablate-fuzz")


def main() -> int:
    """Run what the command line asks for."""
    asked, started = _arguments(), time.monotonic()
    program = script if asked.script else loaded_program()
    limits = Limits(seconds=60) if asked.script else FEW
    with tempfile.TemporaryDirectory(prefix="segablate-fuzz-") as folder:
        cases = list(_cases(asked))
        endings = run_all(iter(cases), Sites(Path(folder)), program, asked.processes, limits)
        findings = [found for ending in endings if (found := _judged(ending, limits, asked))]
    _tell(findings, len(cases), time.monotonic() - started, asked.keep)
    return 1 if findings else 0


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.fuzzing", description=__doc__)
    parser.add_argument("count", type=int, nargs="?", default=600, help="number of cases")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--start", type=int, default=0, help="number of the first case")
    parser.add_argument("--only", type=int, help="run the case of this number alone, and print all it prints")
    parser.add_argument("--reader", default="", help="only cases of readers whose name contains this")
    parser.add_argument("--processes", type=int, default=1)
    parser.add_argument("--script", action="store_true", help="through the console script")
    parser.add_argument("--valid", action="store_true", help="every command of every reader on undamaged input")
    parser.add_argument("--keep", type=Path, default=KEPT, help="folder for findings")
    return parser.parse_args()


def _cases(asked: argparse.Namespace) -> Iterator[Case]:
    """What is asked for, of readers whose packages are there."""
    readers = [each for each in ALL if asked.reader in each.name and all(map(_is_there, each.needs))]
    if asked.valid:
        sites = {
            (repr(reader.write), reader.before, command): reader for reader in readers for command in reader.commands
        }
        yield from (valid(reader, command) for (_, _, command), reader in sites.items())  # each command on a site once
        return
    numbers = [asked.only] if asked.only is not None else range(asked.start, asked.start + asked.count)
    yield from (each for number in numbers if (each := case(asked.seed, number)).reader in readers)


def _is_there(package: str) -> bool:
    try:
        importlib.import_module(package)
    except Exception:  # a package built for another torch raises whatever it likes
        return False
    return True


def _judged(ending: Ending, limits: Limits, asked: argparse.Namespace) -> Finding | None:
    """What is wrong with an ending, printed and kept."""
    if asked.only is not None:
        print(f"{ending.case.command}\n{ending.case.what}\n{ending.printed}\n{ending.errors}\n{ending.raised}")
        print(f"exit code {ending.code}, signal {ending.signal}, {ending.memory >> 20} MB, {ending.seconds:.2f} s")
    found = judge(ending, limits)
    if found:
        print(f"{found.kind}: {found.cause}\n  {found.replay}\n  kept in {keep(found, asked.keep)}", flush=True)
    else:
        shutil.rmtree(ending.place, ignore_errors=True)
    return found


def _tell(findings: list[Finding], count: int, seconds: float, kept: Path) -> None:
    for (kind, cause), group in grouped(findings).items():
        print(f"{len(group):5d}  {kind}: {cause}\n       {group[0].replay}")
    print(f"{count} inputs in {seconds:.0f} s: {len(findings)} findings" + (f", kept in {kept}" if findings else ""))


if __name__ == "__main__":
    sys.exit(main())
