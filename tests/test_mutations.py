"""The mutation run finds changes a test could notice, and tells those that a test notices from those that none does."""

import json
import shutil
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
SOURCE = '''\
"""One 1 < 2."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    LIMIT = 3

__all__ = ["one"[:1]]


def larger(a: "tuple[int, 4]", b: float = 0.5) -> bool:
    """Return a > b."""
    if a is None:
        raise ValueError(f"{a + 1} is none")
    b += 1
    return not max(a[1:], key=larger) < b and note(a, b) or "ä" + str(1e-8)
'''


@pytest.fixture(scope="module")
def mutating():
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(ROOT / "benchmarks"))
        import mutating.changes
        import mutating.parts

        yield mutating


def test_changes_are_those_a_test_could_notice(mutating):
    found = mutating.changes.changes("one.py", SOURCE.encode())
    assert [(change.number, change.words) for change in found] == [
        (11, "0.5 -> 0.75"),
        (13, "is -> is not"),
        (14, 'raise ValueError(f"{a + 1} is none") -> pass'),
        (15, "b += 1 -> pass"),
        (15, "+ -> -"),
        (15, "1 -> 2"),
        (16, "not max(a[1:], key=larger) < b -> max(a[1:], key=larger) < b"),
        (16, "max -> min"),
        (16, "1 -> (nothing)"),
        (16, "1 -> 2"),
        (16, "< -> <="),
        (16, "and -> or"),
        (16, "a, b -> b, a"),
        (16, "or -> and"),
        (16, "1e-8 -> 1e-2"),
    ]
    assert {change.scope for change in found} == {"larger"}


def test_a_change_replaces_its_segment_alone(mutating):
    source = SOURCE.encode()
    last = mutating.changes.changes("one.py", source)[-1].applied(source).decode()
    assert last == SOURCE.replace("1e-8", "1e-2")


def test_methods_and_inner_functions_are_named_as_python_names_them(mutating):
    source = b"class A:\n    x = 1\n    def f(self):\n        def g():\n            return 2\n        return g\n"
    assert [change.scope for change in mutating.changes.changes("one.py", source)] == ["", "A.f.<locals>.g"]


def test_equal_changes_of_a_line_are_told_apart_and_survive_edits_elsewhere(mutating):
    source = b"def f(a, b):\n    return a < b < 3\n"
    found = mutating.changes.changes("one.py", source)
    assert [change.words for change in found] == ["< -> <=", "< -> <= (2)", "3 -> 4"]
    moved = mutating.changes.changes("one.py", b"import os\n\n" + source)
    assert [change.key for change in moved] == [change.key for change in found]


def test_the_sample_is_even_over_the_parts_and_never_twice_in_a_line(mutating):
    found = mutating.parts.sample(36, 1)
    assert [part for part, _ in found] == [*mutating.parts.PARTS] * 3
    assert len({(change.file, change.number) for _, change in found}) == 36
    assert found[:12] == mutating.parts.sample(12, 1)
    assert found != mutating.parts.sample(36, 2)
    alone = mutating.parts.sample(6, 1, {"api": mutating.parts.APART["api"]})
    assert {(part, change.file.split("/")[1]) for part, change in alone} == {("api", "api")}


def test_every_part_has_sources_and_tests(mutating):
    for part in (mutating.parts.PARTS | mutating.parts.APART).values():
        assert part.files
        assert part.tests
        assert all((ROOT / file).is_file() for file in (*part.files, *part.tests))


def test_equivalent_changes_are_changes_of_this_program(mutating):
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(ROOT / "benchmarks"))
        import mutations
    reasons = mutations.reasons()
    files = {file for file, _, _ in reasons}
    known = {c.place for file in files for c in mutating.changes.changes(file, (ROOT / file).read_bytes())}
    assert reasons.keys() <= known
    assert all(len(reason) > 10 for reason in reasons.values())


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """A repository of one source, with tests that see two of its three constants, and one change that is equivalent."""
    root = tmp_path / "repository"
    for folder in ("segablate/kernels", "tests"):
        (root / folder).mkdir(parents=True)
    (root / "pyproject.toml").write_text("[tool.pytest.ini_options]\n")
    (root / "segablate" / "__init__.py").touch()
    (root / "segablate" / "kernels" / "__init__.py").touch()
    (root / "segablate" / "kernels" / "one.py").write_text(
        textwrap.dedent("""\
        def seen():
            return 3

        def unseen():
            return 5

        def either(n=0):
            while n < 7:
                n += 8
            return n
        """)
    )
    (root / "tests" / "test_distance.py").write_text(
        textwrap.dedent("""\
        from segablate.kernels.one import either, seen, unseen

        def test_both():
            assert seen() == 3 and unseen()

        def test_either():
            assert either(1) == 9
        """)
    )
    shutil.copytree(ROOT / "benchmarks" / "mutating", root / "benchmarks" / "mutating")
    shutil.copy(ROOT / "benchmarks" / "mutations.py", root / "benchmarks")
    (root / "benchmarks" / "equivalent_mutations.toml").write_text(
        '[[mutation]]\nfile = "segablate/kernels/one.py"\n'
        'line = "while n < 7:"\nchange = "< -> <="\nreason = "n is odd"\n'
    )
    subprocess.run(["git", "init", "-q", str(root)], check=True)
    return root


def test_survivors_are_told_from_killed_and_equivalent_changes(repository: Path, tmp_path: Path):
    program = [
        sys.executable,
        str(repository / "benchmarks" / "mutations.py"),
        str(tmp_path / "run"),
        "--seed",
        "3",
        "--patience",
        "6",
    ]
    done = subprocess.run(program, capture_output=True, text=True, check=True).stdout
    results = [json.loads(line) for line in (tmp_path / "run" / "results.jsonl").read_text().splitlines()]
    outcomes = {entry["line"]: (entry["change"], entry["outcome"], entry["by"]) for entry in results}
    assert outcomes == {
        "return 3": ("3 -> 4", "killed", "tests/test_distance.py::test_both"),
        "return 5": ("5 -> 6", "survived", 0),
        "def either(n=0):": ("0 -> 1", "survived", 0),
        "n += 8": ("n += 8 -> pass", "killed", "time limit"),
    }
    assert "| kernels | 5 | 2 | 2 | 1 |" in done
    assert "`< -> <=` in `while n < 7:`: n is odd" in done
    again = subprocess.run([*program, "--table"], capture_output=True, text=True, check=True).stdout
    assert again == done[done.index("| part") :]
