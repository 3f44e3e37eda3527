"""The first run on a GPU, as far as it can be tried without one: its options, its parts in processes, its table."""

import ast
import json
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest
from rich.console import Console

ROOT = Path(__file__).parents[1]


@pytest.fixture
def gpu() -> Iterator[ModuleType]:
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(ROOT / "benchmarks"))
        import gpu

        yield gpu


def stub(gpu: ModuleType, patch: pytest.MonkeyPatch, folder: Path, end: str) -> None:
    """Parts are run by a script that writes one row, and then does this."""
    script = folder / "stub.py"
    row = json.dumps({"what": "found", "value": "1", "target": "1", "reached": True})
    script.write_text(f"import sys, time\nopen(sys.argv[4], 'w').write({row!r})\n{end}\n")
    patch.setattr(gpu, "__file__", str(script))


def test_a_part_runs_dry(gpu: ModuleType, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    written = tmp_path / "gpu.json"
    assert gpu.main(["--dry-run", "--only", "logits_to_counts", "--json", str(written)]) == 0
    found = json.loads(written.read_text())
    assert found["device"] == "cpu, dry run"
    assert found["torch"]
    assert found["driver"]
    assert [row["value"] for row in found["rows"]] == ["–"] * 4
    assert {row["target"] for row in found["rows"]} == {"", "≥ 0.7"}
    assert "share of that" in capsys.readouterr().out


def test_the_forms_for_a_gpu_equal_those_of_the_host(gpu: ModuleType, tmp_path: Path) -> None:
    written = tmp_path / "gpu.json"
    assert gpu.main(["--dry-run", "--only", "equality", "--json", str(written)]) == 0
    rows = json.loads(written.read_text())["rows"]
    assert len(rows) > 11  # counts, sums, and the losses behind them
    assert [row for row in rows if row["reached"] is False] == []


def test_every_part_is_a_function_of_its_module(gpu: ModuleType) -> None:
    for part in gpu.PARTS:
        tree = ast.parse((ROOT / "benchmarks" / "on_gpu" / f"{part.module}.py").read_text(encoding="utf-8"))
        assert part.name in {node.name for node in tree.body if isinstance(node, ast.FunctionDef)}


def test_a_part_that_fails_keeps_what_it_found(
    gpu: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stub(gpu, monkeypatch, tmp_path, "raise ValueError('no such kernel')")
    found, failed = gpu.run_part(gpu.PARTS[0], 60, True)
    assert (found.what, found.reached) == ("found", True)
    assert (failed.what, failed.value, failed.reached) == ("equality", "ValueError: no such kernel", False)


def test_a_part_that_hangs_is_stopped(gpu: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stub(gpu, monkeypatch, tmp_path, "sys.stdin.close(); time.sleep(600)")
    for seconds in (1, 5, 30):  # within which Python starts, on a machine that is busy too
        *found, failed = gpu.run_part(gpu.PARTS[0], seconds, True, 0)
        assert failed.value == f"stopped after {seconds} s"
        if found:
            break
    assert [row.reached for row in found] == [True]
    (late,) = gpu.run_part(gpu.PARTS[0], 1, True)
    assert late.value == "left out: no time left"


def test_the_table_says_what_was_reached(gpu: ModuleType) -> None:
    rows = {
        "a": [gpu.Row("one", "3", "≤ 2", False), gpu.Row("two", "–", "≤ 2")],
        "b": [gpu.Row("three", "1", "1", True)],
    }
    console = Console(width=80, record=True)
    console.print(gpu.table({"device": "none", "torch": "2"}, rows))
    lines = [line.split() for line in console.export_text().splitlines()]
    assert ["│", "one", "│", "3", "│", "≤", "2", "│", "NO", "│"] in lines
    assert ["│", "two", "│", "–", "│", "≤", "2", "│", "–", "│"] in lines
    assert ["│", "three", "│", "1", "│", "1", "│", "yes", "│"] in lines


def test_options(gpu: ModuleType, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    options = gpu.parse(["--minutes", "3", "--only", "waits", "--only", "losses"])
    assert (options.minutes, options.only, options.dry_run, options.json) == (3, ["waits", "losses"], False, None)
    assert gpu.parse([]).minutes == 8
    with pytest.raises(SystemExit):
        gpu.parse(["--only", "nothing"])
    assert "invalid choice: 'nothing'" in capsys.readouterr().err
    monkeypatch.setattr(gpu, "machine", lambda dry: {"device": ""})
    with pytest.raises(SystemExit, match="torch finds no GPU; --dry-run"):
        gpu.main([])


def test_numbers_that_only_a_gpu_tells_are_judged_there(gpu: ModuleType) -> None:
    dry, wet = gpu.Setting(True), gpu.Setting(False)
    assert dry.limit("share", 9.0, "900%", 1) == gpu.Row("share", "–", "≤ 1", None)
    assert wet.limit("share", 9.0, "900%", 1) == gpu.Row("share", "900%", "≤ 1", False)
    assert wet.least("share", 0.75, "75%", 0.7) == gpu.Row("share", "75%", "≥ 0.7", True)
    assert wet.told("bandwidth", "4 GB/s") == gpu.Row("bandwidth", "4 GB/s")
