"""A mutation run: a folder with copies of the repository, what each test calls, and the results so far."""

import hashlib
import json
import shutil
import subprocess
import time
from collections import Counter
from functools import partial
from pathlib import Path
from typing import Any

from mutating.changes import Change
from mutating.parts import APART, PARTS, ROOT
from mutating.reach import Recorder, Selection
from mutating.trials import Trial, fork, run_pytest, wait

Numbered = tuple[int, str, Change]
"""A change with its number in the sample and the name of its part."""


class Run:
    """A folder in which changes are tried; what is recorded there is not done again."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder.resolve()
        self.folder.mkdir(parents=True, exist_ok=True)
        self.reached = self.folder / "reach.jsonl"
        self.results = self.folder / "results.jsonl"
        self.tests: dict[str, dict[str, Any]] = {}

    def copy(self, number: int) -> Path:
        """Bring a copy of the working tree up to date and return its folder."""
        copy = self.folder / f"copy-{number}"
        listing = ["git", "ls-files", "-co", "--exclude-standard"]
        listed = subprocess.run(listing, cwd=ROOT, capture_output=True, text=True, check=True).stdout
        for name in listed.splitlines():
            old, new = ROOT / name, copy / name
            if old.is_file() and not (new.is_file() and new.stat().st_mtime == old.stat().st_mtime):
                new.parent.mkdir(parents=True, exist_ok=True)
                shutil.copy2(old, new)
        return copy

    def known(self) -> dict[str, dict[str, Any]]:
        """Return the recorded results by the key of their change, the latest of each."""
        return {found["key"]: found for found in read_lines(self.results)}

    def reach(self, files: list[str]) -> None:
        """Record what the tests in these files call, where they have changed since it was recorded."""
        kept = {found["file"]: found for found in read_lines(self.reached)}
        copy = self.copy(0)
        for file in files:
            mark = hashlib.sha256((ROOT / file).read_bytes()).hexdigest()[:16]
            if kept.get(file, {}).get("mark") != mark:
                found = wait(fork(partial(_recorded, copy, file), copy, 600))
                kept[file] = {"file": file, "mark": mark, "tests": found["tests"]}
                append(self.reached, kept[file])
                print(f"{file}: {len(found['tests'])} tests, {found['left']} failed or skipped", flush=True)
        self.tests = {name: each for file in files for name, each in kept[file]["tests"].items()}

    def stages(self, part: str, change: Change) -> list[list[str]]:
        """Return the tests of a part to try in turn: those that call the changed function, then others of its file.

        Of each, one case of every test comes first, the quick ones before the others. Where no test calls anything in
        the file, and for what is outside functions, all tests of the part follow.
        """
        files = set((PARTS | APART)[part].tests)
        calls = {name: found["calls"] for name, found in self.tests.items() if name.split("::")[0] in files}
        first = {name for name in calls if f"{change.file}:{change.scope}" in calls[name]}
        near = {name for name in calls if any(call.startswith(f"{change.file}:") for call in calls[name])}
        stages = [first, near - first, set() if near and change.scope else calls.keys() - near]
        return [self.in_turn(names) for names in stages if names]

    def in_turn(self, names: set[str]) -> list[str]:
        """Sort tests by the rank of the case among those of its test, then by time."""
        rank, seen = {}, Counter[str]()
        for name in sorted(names, key=lambda name: self.tests[name]["seconds"]):
            rank[name] = seen[test := name.partition("[")[0]]
            seen[test] += 1
        return sorted(rank, key=rank.__getitem__)

    def try_all(self, wanted: list[Numbered], processes: int, patience: float) -> None:
        """Try changes, several at a time, each for `patience` seconds beyond its tests' own; record the results."""
        queue = [(each, self.stages(each[1], each[2])) for each in reversed(wanted)]
        free, busy = list(range(processes)), {}
        for slot in free:
            self.copy(slot)
        while queue or busy:
            while queue and free:
                slot, (each, stages) = free.pop(), queue.pop()
                busy[slot] = (each, stages, self.start(each[2], stages[0], slot, patience))
            for slot, (each, stages, trial) in list(busy.items()):
                if (found := trial.result()) is not None:
                    del busy[slot]
                    free.append(slot)
                    self.put_back(each[2], slot)
                    if found["code"] == 0 and stages[1:]:
                        queue.append((each, stages[1:]))
                    else:
                        self.record(each, found, time.monotonic() - trial.started)
            time.sleep(0.02)

    def start(self, change: Change, names: list[str], slot: int, patience: float) -> Trial:
        """Start the trial of one change in a copy, on the tests of these names."""
        copy = self.folder / f"copy-{slot}"
        file = copy / change.file
        _forget_compiled(file)
        file.write_bytes(change.applied(file.read_bytes()))
        expected = sum(self.tests[name]["seconds"] for name in names)
        return fork(partial(_tried, names), copy, patience + 3 * expected)

    def put_back(self, change: Change, slot: int) -> None:
        """Restore the file of a change in a copy."""
        file = self.folder / f"copy-{slot}" / change.file
        shutil.copy2(ROOT / change.file, file)
        _forget_compiled(file)

    def record(self, each: Numbered, found: dict[str, Any], seconds: float) -> None:
        """Write and print one result."""
        number, part, change = each
        outcome = "survived" if found["code"] in (0, 5) else "killed"  # 5: no tests
        by = found.get("by") or found["code"]
        place = f"{change.file}:{change.number}"
        entry = {"key": change.key, "number": number, "part": part, "place": place, "line": change.line}
        append(
            self.results, entry | {"change": change.words, "outcome": outcome, "by": by, "seconds": round(seconds, 1)}
        )
        print(f"{number:4} {outcome:8} {seconds:6.1f} s  {place}  {change.words}  {by}", flush=True)


def _forget_compiled(file: Path) -> None:
    """Remove the compiled form of a file: that of another text of the same length would be taken for it."""
    for compiled in (file.parent / "__pycache__").glob(f"{file.stem}.*.pyc"):
        compiled.unlink()


def _recorded(copy: Path, file: str) -> dict[str, Any]:
    recorder = Recorder(copy)
    if (code := run_pytest(recorder, [file], stop=False)) not in (0, 1, 5):
        raise SystemExit(f"{file}: pytest ends with {code} before anything is changed")
    return {"tests": recorder.passed, "left": len(recorder.left)}


def _tried(names: list[str]) -> dict[str, Any]:
    selection = Selection(names)
    return {
        "code": run_pytest(selection, list(dict.fromkeys(name.split("::")[0] for name in names))),
        "by": selection.failed,
    }


def read_lines(file: Path) -> list[dict[str, Any]]:
    """Return the entries of a JSON lines file, none where there is no file."""
    return [json.loads(line) for line in file.read_text("utf-8").splitlines()] if file.is_file() else []


def append(file: Path, entry: dict[str, Any]) -> None:
    """Add one entry to a JSON lines file."""
    with file.open("a", encoding="utf-8") as out:
        out.write(json.dumps(entry, ensure_ascii=False) + "\n")
