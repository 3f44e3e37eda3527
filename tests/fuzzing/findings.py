"""What is wrong with how a case ended, which of them are one, and where they are kept."""

import re
import shutil
import signal
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from .processes import BROKEN, FEW, RAISED, Ending, Limits

_FRAME = re.compile(r'File "(?P<path>[^"]+)", line (?P<line>\d+), in (?P<function>\S+)')


@dataclass(frozen=True)
class Finding:
    """An ending that is a fault of the program: its `kind`, its `cause` by which it is grouped, and what was seen."""

    kind: str
    cause: str
    ending: Ending

    @property
    def replay(self) -> str:
        """The command that runs the case again."""
        case = self.ending.case
        return f"python -m tests.fuzzing --seed {case.seed} --only {case.number}"


def judge(ending: Ending, limits: Limits = FEW) -> Finding | None:
    """What is wrong with an ending, if anything."""
    case = ending.case
    if ending.code == BROKEN:
        raise RuntimeError(f"the fuzzer itself fails on case {case.number}: {case.what}")
    if ending.signal in (signal.SIGXCPU, signal.SIGALRM, signal.SIGKILL):
        return Finding("hang", f"{case.reader.name}: {case.what}", ending)
    if ending.signal is not None:
        return Finding("crash", f"{case.reader.name}: signal {ending.signal}", ending)
    if ending.code == RAISED:
        kind = "memory" if "MemoryError" in ending.raised.splitlines()[-1] else "traceback"
        return Finding(kind, cause(ending.raised), ending)
    if "Traceback (most recent call last)" in ending.errors or "Exception ignored" in ending.errors:
        return Finding("traceback", cause(ending.errors), ending)
    if ending.memory > limits.memory:
        return Finding("memory", f"{case.reader.name}: {ending.memory >> 20} MB in {case.what}", ending)
    if ending.code not in (0, 1, 2):
        return Finding("exit code", f"{ending.code}", ending)
    told = [line for line in ending.errors.splitlines() if line.startswith("error: ")]
    if ending.code and not told and not ending.printed and not case.output.startswith("/"):
        return Finding("silence", f"exit code {ending.code} without a word", ending)
    warned = [line for line in ending.errors.splitlines() if "Warning: " in line and "resource_tracker" not in line]
    if warned:
        return Finding("warning", warned[0][:150], ending)
    if ending.code and case.must_succeed:
        return Finding("stopped", f"{case.reader.name}: {ending.errors[-150:]}", ending)
    return None


def cause(text: str) -> str:
    """The type of the exception, and the innermost function of the program that it went through."""
    frames = list(_FRAME.finditer(text))
    own = [frame for frame in frames if "/segablate/" in frame["path"]] or frames
    error = next((line for line in reversed(text.splitlines()) if re.match(r"[\w.]+(:|$)", line)), "?")
    if not own:
        return error[:100]
    path = own[-1]["path"].rpartition("/segablate/")[2]
    return f"{error.partition(':')[0]} in {path}, {own[-1]['function']} ({error.partition(': ')[2][:80]})"


def keep(finding: Finding, folder: Path) -> Path:
    """Keep the damaged site, what was printed and how to run it again."""
    case = finding.ending.case
    kept = folder / f"{case.seed}-{case.number}"
    shutil.rmtree(kept, ignore_errors=True)
    folder.mkdir(parents=True, exist_ok=True)
    shutil.move(finding.ending.place, kept)
    told = (finding.kind, finding.cause, f"damage: {case.what}", f"in site/: {case.command}", finding.replay)
    (kept / "README").write_text("\n".join(told) + "\n", errors="backslashreplace")
    return kept


def grouped(findings: Iterable[Finding]) -> dict[tuple[str, str], list[Finding]]:
    """By kind and cause, the commonest first."""
    groups: dict[tuple[str, str], list[Finding]] = {}
    for finding in findings:
        groups.setdefault((finding.kind, re.sub(r"\(.*\)$|\d+ MB", "", finding.cause).strip()), []).append(finding)
    return dict(sorted(groups.items(), key=lambda group: -len(group[1])))
