"""The installation is described, what is broken is named, and the self-test fails where a number is wrong."""

import json
import os
from pathlib import Path

import numpy as np
import pytest

from segablate.cli import run
from segablate.diagnosis import Check, machine, packages, self_test

Tables = dict[str, dict[str, dict[str, str]]]


def pages(capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, Tables, list[str]]:
    """Exit code, rows by name by table, and notes."""
    code = run(["doctor", *words, "--format", "json"])
    page = json.loads(capsys.readouterr().out)
    return code, {name: {row["name"]: row for row in rows} for name, rows in page["tables"].items()}, page["notes"]


@pytest.fixture
def sound(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two extras, one of them installed, whatever this machine has."""
    monkeypatch.setattr(packages, "extras", lambda: {"plot": ("numpy",), "wandb": ("surely-not-there",)})


@pytest.mark.usefixtures("sound")
def test_a_sound_installation(capsys: pytest.CaptureFixture[str]) -> None:
    code, tables, notes = pages(capsys, "--device", "cpu")
    assert code == 0
    assert tables["versions"]["numpy"]["detail"] == np.__version__
    assert tables["devices"]["cpu"]["state"] == "ok"
    assert tables["extras"]["plot"] == {"name": "plot", "state": "ok", "detail": f"numpy {np.__version__}"}
    assert "pip install 'segablate[wandb]'" in tables["extras"]["wandb"]["detail"]
    assert {row["state"] for row in tables["self_test"].values()} == {"ok"}
    assert tables["self_test"]["sample:ce on cpu"]["detail"] == "mIoU 64.46 %, as it must be"
    assert notes[0].startswith("no fault found")


@pytest.mark.usefixtures("sound")
def test_a_fault_is_named_and_fails(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(self_test, "SAMPLE_MIOU", 0.7)
    code, tables, notes = pages(capsys, "--device", "cpu")
    assert code == 1
    assert tables["self_test"]["sample:ce on cpu"]["detail"] == "mIoU is 64.46 %, but must be 70.00 %"
    assert notes[0].startswith("1 fault: sample:ce on cpu")


@pytest.mark.usefixtures("sound")
def test_the_test_can_be_left_out(capsys: pytest.CaptureFixture[str]) -> None:
    code, tables, _ = pages(capsys, "--no-test")
    assert code == 0
    assert "self_test" not in tables


def test_wrong_kernels_are_found(monkeypatch: pytest.MonkeyPatch) -> None:
    from segablate.kernels import boundary, confusion

    monkeypatch.setattr(confusion, "count_confusion", lambda labels, predicted, classes: np.eye(classes + 1, dtype=int))
    plain = boundary.boundary_distances
    monkeypatch.setattr(boundary, "boundary_distances", lambda p, y, classes, reach: plain(y, p, classes, reach))
    found = {check.name: check for check in self_test.self_test("cpu")}
    assert found["confusion counts"].state == "fault"
    assert found["boundary distances"].state == "fault"


def test_a_loss_without_a_finite_value_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    import segablate.losses

    get = segablate.losses.get_loss
    wrong = get("ce")

    def broken(name: str):
        if name != "ce":
            return get(name)
        from dataclasses import replace

        return replace(wrong, function=lambda logits, labels: logits.mean() * float("nan"))

    monkeypatch.setattr(segablate.losses, "get_loss", broken)
    found = next(check for check in self_test.self_test("cpu") if check.name.startswith("losses"))
    assert found.state == "fault"
    assert "ce: value or gradient is not finite" in found.detail


def test_extras_are_those_of_the_package() -> None:
    found = packages.extras()
    assert found["onnx"] == ("onnxruntime",)
    assert found["hf"] == ("datasets", "transformers") or found["hf"] == ("transformers", "datasets")
    assert not {"all", "test", "docs", "dev"} & set(found)


def test_imports_that_fail_or_end_the_process_are_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "raises_here.py").write_text("raise RuntimeError('built for another torch')")
    (tmp_path / "dies_here.py").write_text("import os\nos._exit(7)")
    (tmp_path / "hangs_here.py").write_text("import time\ntime.sleep(600)")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path), prepend=os.pathsep)
    found = packages.import_each(["json", "raises_here", "dies_here", "colorsys"], 20)
    assert found == {
        "json": "",
        "raises_here": "built for another torch",
        "dies_here": "the import ends the process (exit code 7)",
        "colorsys": "",
    }
    for seconds in (1, 5, 30):  # within which Python starts, on a machine that is busy too
        if found := packages.import_each(["hangs_here"], seconds):
            break
    assert found == {"hangs_here": f"the import takes more than {seconds} s"}


def test_a_package_that_cannot_be_imported_is_a_fault(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(packages, "extras", lambda: {"smp": ("numpy",)})
    monkeypatch.setattr(packages, "import_each", lambda modules: dict.fromkeys(modules, "no such operator"))
    (check,) = packages.check_packages()
    assert check.state == "fault"
    assert "cannot be imported (no such operator)" in check.detail
    assert "pip install --force-reinstall 'segablate[smp]'" in check.detail


def test_a_folder_that_cannot_be_written_is_a_fault(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("SEGABLATE_CACHE", str(tmp_path / "file" / "cache"))
    cache, _ = machine.check_folders()
    assert cache == Check(
        "cache", "fault", f"{tmp_path}/file/cache cannot be written; set SEGABLATE_CACHE to another folder"
    )


def test_the_cache_is_measured(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a").write_bytes(bytes(3 << 20))
    monkeypatch.setenv("SEGABLATE_CACHE", str(tmp_path))
    cache, _ = machine.check_folders()
    assert cache.detail == f"{tmp_path}: 1 file, 3.0 MiB"
