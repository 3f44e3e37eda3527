"""No traceback, whatever the bytes: seeded cases through the command line, see :mod:`tests.fuzzing`.

``pytest tests/test_fuzz.py --fuzz 20000`` runs more of them; ``python -m tests.fuzzing`` runs them without pytest.
"""

import os
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
from fuzzing import bombs
from fuzzing.cases import ALL, Case, case, valid
from fuzzing.findings import Finding, cause, grouped, judge, keep
from fuzzing.processes import Ending, Limits, Sites, run_all
from fuzzing.readers import Reader

from segablate.cli import run

ROOT = Path(__file__).parents[1]
CORES = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else 1

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="processes are limited as on Linux")


def fuzz(*arguments: str) -> None:
    """Run the fuzzer in a process of its own, which has no threads when it forks."""
    command = [sys.executable, "-m", "tests.fuzzing", *arguments, "--processes", str(CORES)]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": f"{ROOT}:{os.environ.get('PYTHONPATH', '')}"}
    found = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    assert found.returncode == 0, found.stdout[-8000:] + found.stderr[-4000:]


@pytest.mark.timeout(0)  # each case has limits of its own
def test_no_input_ends_in_a_traceback_a_hang_or_without_memory(request: pytest.FixtureRequest) -> None:
    fuzz(str(request.config.getoption("--fuzz")))


@pytest.mark.timeout(0)
def test_nor_through_the_console_script() -> None:
    fuzz("100", "--seed", "1", "--script")


@pytest.mark.timeout(0)
def test_every_reader_reads_its_undamaged_input() -> None:
    fuzz("--valid")


# the fuzzer itself


def test_a_case_is_the_same_each_time() -> None:
    for number in range(60):
        first, second = case(7, number), case(7, number)
        assert (first.arguments, first.what, first.output) == (second.arguments, second.what, second.output)
    assert len({case(7, number).command for number in range(60)}) > 40


def test_damage_is_the_same_each_time(tmp_path: Path) -> None:
    damaged = [number for number in range(600) if "damaged_png of " in case(7, number).what][:10]
    assert damaged
    for number in damaged:
        contents = []
        for copy in ("a", "b"):
            site = Sites(tmp_path / copy).copy(case(7, number)) / "site"
            case(7, number).change(site)
            contents.append({str(path.relative_to(site)): path.read_bytes() for path in site.rglob("*.png")})
        assert contents[0] == contents[1]


def test_two_thousand_cases_reach_every_reader_and_every_kind_of_damage() -> None:
    cases = [case(0, number) for number in range(2000)]
    assert {each.reader.name for each in cases} == {reader.name for reader in ALL}
    kinds = {each.what.split()[0] for each in cases}
    assert {
        "bomb",
        "folder",
        "broken_link",
        "failing",
        "endless",
        "damaged_zip",
        "damaged_yaml",
        "edit_counts",
    } <= kinds
    assert {"/dev/full", "ascii", "file"} <= {each.output for each in cases}
    assert any(each.must_succeed for each in cases)


@pytest.mark.parametrize("kind", ["YAML", "JSON", "IMAGES", "ARRAYS", "MATS", "ZIPS"])
def test_bombs_are_small(kind: str) -> None:
    assert all(0 < len(bombs.built(bomb)) < 5_000_000 for bomb in getattr(bombs, kind))


def _nothing(root: Path) -> None:
    (root / "nothing").write_text("")


def ended(program: Callable[[Sequence[str]], int], tmp_path: Path, **limits: int) -> Ending:
    """How a process ends in which the program is this function."""
    reader = Reader("nothing", _nothing, (), ("losses list",))
    (found,) = run_all(iter([valid(reader, "losses list")]), Sites(tmp_path), program, 1, Limits(**limits))
    return found


def judged(program: Callable[[Sequence[str]], int], tmp_path: Path, **limits: int) -> Finding:
    found = judge(ended(program, tmp_path, **limits), Limits(**limits))
    assert found is not None
    return found


def test_what_goes_well_is_no_finding(tmp_path: Path) -> None:
    ending = ended(run, tmp_path)
    assert judge(ending) is None
    assert ending.code == 0
    assert "rmi" in ending.printed


def test_an_exception_is_a_finding(tmp_path: Path) -> None:
    def fail(_: Sequence[str]) -> int:
        raise ValueError("a bug")

    found = judged(fail, tmp_path)
    assert found.kind == "traceback"
    assert "a bug" in found.ending.raised


def test_a_hang_is_a_finding(tmp_path: Path) -> None:
    def spin(_: Sequence[str]) -> int:
        while True:
            pass

    assert judged(spin, tmp_path, seconds=1).kind == "hang"
    assert judged(lambda _: time.sleep(60) or 0, tmp_path, clock=1).kind == "hang"


def test_memory_beyond_the_limit_is_a_finding(tmp_path: Path) -> None:
    def fill(_: Sequence[str]) -> int:
        return len(b"x" * (4 << 30)) * 0  # far beyond the address space too: a large parent has some to spare

    assert judged(fill, tmp_path, memory=50 << 20).kind == "memory"
    assert judged(lambda _: len(bytes(8 << 30)) * 0, tmp_path).kind == "memory"


def test_a_crash_is_a_finding(tmp_path: Path) -> None:
    assert judged(lambda _: os.abort(), tmp_path).kind == "crash"


def test_a_traceback_that_is_only_printed_is_a_finding(tmp_path: Path) -> None:
    def tell(_: Sequence[str]) -> int:
        sys.stderr.write("Traceback (most recent call last):\nOSError: x\n")
        return 1

    assert judged(tell, tmp_path).kind == "traceback"


def test_an_error_without_a_word_is_a_finding(tmp_path: Path) -> None:
    assert judged(lambda _: 1, tmp_path).kind == "silence"
    assert judged(lambda _: 3, tmp_path).kind == "exit code"


def test_a_run_that_is_to_skip_errors_may_not_stop(tmp_path: Path) -> None:
    def refuse(_: Sequence[str]) -> int:
        sys.stderr.write("error: broken\n")
        return 1

    assert judged(refuse, tmp_path).kind == "stopped"


def test_a_finding_is_kept_with_what_runs_it_again(tmp_path: Path) -> None:
    found = judged(lambda _: 1, tmp_path)
    kept = keep(found, tmp_path / "kept")
    assert (kept / "site/nothing").is_file()
    assert f"python -m tests.fuzzing --seed 0 --only {found.ending.case.number}" in (kept / "README").read_text()


def test_findings_are_grouped_by_the_innermost_function_of_the_program(tmp_path: Path) -> None:
    text = 'File "/x/segablate/files.py", line 3, in read\nFile "/y/numpy/a.py", line 4, in load\nValueError: {}\n'
    causes = [cause(text.format(number)) for number in (1, 2)]
    assert causes[0] == "ValueError in files.py, read (1)"
    ending = Ending(Case(0, 1, ALL[0], (), "", _nothing), 1, None, "", "", "", 0, 0.0, tmp_path)
    (group,) = grouped(Finding("traceback", each, ending) for each in causes).values()
    assert len(group) == 2
