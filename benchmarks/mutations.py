"""Change one thing in a source, run the tests of its part, and list the changes that no test notices.

::

    python benchmarks/mutations.py FOLDER                # 200 changes, spread evenly over the parts
    python benchmarks/mutations.py FOLDER --only 17      # one of them, with its diff
    python benchmarks/mutations.py FOLDER --again        # those that survived, after adding tests
    python benchmarks/mutations.py FOLDER --part api     # 200 changes of one part
    python benchmarks/mutations.py FOLDER --table        # the table of what is recorded

Everything happens in a copy of the repository in FOLDER, which also keeps the results, so that an interrupted run goes
on where it stopped. Each trial is a forked process that has imported the libraries, but not segablate, and runs the
tests which call the changed function, the quick ones first; which tests these are is recorded before the first trial.
A change is killed where a test fails, or where the tests take far longer than they should. Changes that compute the
same as the program are listed in ``equivalent_mutations.toml``, each with the reason, and are not tried.
"""

import argparse
import difflib
import os
import sys
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path

os.environ["OMP_NUM_THREADS"] = "1"
sys.path.insert(0, str(Path(__file__).parent))

from mutating.changes import Change
from mutating.parts import APART, PARTS, ROOT, Part, sample
from mutating.run import Numbered, Run
from mutating.trials import warm_up

EQUIVALENT = Path(__file__).with_name("equivalent_mutations.toml")


def reasons() -> dict[tuple[str, str, str], str]:
    """Return the reasons of the changes that compute the same, by file, text of the line and change."""
    entries = tomllib.loads(EQUIVALENT.read_text(encoding="utf-8"))["mutation"]
    return {(entry["file"], entry["line"], entry["change"]): entry["reason"] for entry in entries}


def report(run: Run, wanted: list[Numbered], parts: Mapping[str, Part] = PARTS) -> Iterator[str]:
    """Yield the table of a run of some parts, its survivors and the equivalent changes, as Markdown."""
    known, given = run.known(), reasons()
    done = [each for each in wanted if each[2].key in known or each[2].place in given]
    killed = {key for key, found in known.items() if found["outcome"] == "killed"}
    alike = {c.key: given[c.place] for _, _, c in done if c.place in given}
    yield "| part | mutations | killed | survived | equivalent |\n|---|---|---|---|---|"
    for name in [*parts, "all"]:
        keys = {change.key for _, part, change in done if name in (part, "all")}
        counts = (len(keys), len(keys & killed), len(keys - killed - alike.keys()), len((keys - killed) & alike.keys()))
        yield f"| {name} | {' | '.join(map(str, counts))} |"
    left = [each for each in done if each[2].key not in killed]
    yield from ("\nSurvived:\n", *(_line(*each) for each in left if each[2].key not in alike))
    same = [f"{_line(*each)}: {alike[each[2].key]}" for each in left if each[2].key in alike]
    yield from ("\nEquivalent:\n", *same)
    if wrong := [number for number, _, change in done if change.key in killed and change.key in alike]:
        yield f"\nKilled, but listed as equivalent: {wrong}"


def _line(number: int, part: str, change: Change) -> str:
    return f"- {number} {change.file}:{change.number} ({part}): `{change.words}` in `{change.line}`"


def difference(change: Change) -> str:
    """Return a change as a diff."""
    whole = (ROOT / change.file).read_bytes()
    before, after = (text.decode().splitlines(keepends=True) for text in (whole, change.applied(whole)))
    return "".join(difflib.unified_diff(before, after, change.file, change.file, n=2))


def chosen(run: Run, numbered: list[Numbered], given: argparse.Namespace) -> list[Numbered]:
    """Return the changes to try: those asked for, or of those that are not equivalent the survivors or the new ones."""
    if given.only or given.table:
        return [each for each in numbered if each[0] in (given.only or ())]
    known, alike = run.known(), reasons()
    outcomes = [(each, known.get(each[2].key, {}).get("outcome")) for each in numbered if each[2].place not in alike]
    return [each for each, outcome in outcomes if outcome == ("survived" if given.again else None)]


def main(words: list[str] | None = None) -> None:
    """Run the command line."""
    given = arguments(words)
    run = Run(given.folder)
    parts = PARTS if given.part is None else {given.part: (PARTS | APART)[given.part]}
    numbered = [(number, *each) for number, each in enumerate(sample(given.count, given.seed, parts), start=1)]
    if wanted := chosen(run, numbered, given):
        print(*(difference(change) for _, _, change in wanted if given.only), sep="\n")
        warm_up()
        run.reach(sorted({file for _, part, _ in wanted for file in parts[part].tests}))
        run.try_all(wanted, given.processes, given.patience)
    if not given.only:
        print(*report(run, numbered, parts), sep="\n")


def arguments(words: list[str] | None) -> argparse.Namespace:
    """Parse the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="for copies and results; a run in it is continued")
    parser.add_argument("--count", type=int, default=200, help="number of changes")
    parser.add_argument("--part", choices=[*PARTS, *APART], help="changes of one part alone")
    parser.add_argument("--seed", type=int, default=12, help="random seed of the sample")
    parser.add_argument("--processes", type=int, default=1, help="trials at a time")
    parser.add_argument(
        "--patience", type=float, default=30, help="processor seconds beyond what the tests should take"
    )
    parser.add_argument("--only", type=int, nargs="+", metavar="NUMBER", help="try these alone and print their diffs")
    parser.add_argument("--again", action="store_true", help="try the survivors again")
    parser.add_argument("--table", action="store_true", help="print the table of what is recorded, and try nothing")
    return parser.parse_args(words)


if __name__ == "__main__":
    main()
