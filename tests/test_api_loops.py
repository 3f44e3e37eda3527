"""The examples of training loops and the notebook are run from start to end, where their libraries are installed."""

import importlib
import sys
from pathlib import Path
from typing import Any

import pytest
from conftest import optional

EXAMPLES = Path(__file__).parents[1] / "examples"


def example(name: str, monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.syspath_prepend(str(EXAMPLES))
    for each in ("bare_loop", name):
        sys.modules.pop(each, None)
    return importlib.import_module(name)


def skip_without(library: str) -> None:
    try:
        optional(library)
    except pytest.skip.Exception:
        pytest.skip(f"{library} does not load")


def test_a_bare_loop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    comparison = example("bare_loop", monkeypatch).main(2, 8, tmp_path)
    assert comparison.names == (str(tmp_path / "epoch-0"), str(tmp_path / "epoch-1"))
    assert {each.measure for each in comparison.differences} >= {"miou", "boundary_f_3", "ece"}
    assert capsys.readouterr().out.count("mIoU 0.") == 2


@pytest.mark.filterwarnings("ignore")
def test_lightning(monkeypatch: pytest.MonkeyPatch) -> None:
    skip_without("lightning")
    numbers = example("lightning_loop", monkeypatch).main(1, 8)
    assert {"val/miou", "val/boundary_f_3", "val/ece", "val/iou/road"} <= numbers.keys()
    assert 0 < numbers["val/miou"] < 1


@pytest.mark.filterwarnings("ignore")
def test_accelerate(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    skip_without("accelerate")
    summary = example("accelerate_loop", monkeypatch).main(1, 6, tmp_path)
    assert summary.overall.images == 6
    assert 0 < summary.overall.miou < 1


@pytest.mark.filterwarnings("ignore")
def test_the_notebook_runs_from_start_to_end(tmp_path: Path) -> None:
    nbformat, nbclient = pytest.importorskip("nbformat"), pytest.importorskip("nbclient")
    pytest.importorskip("ipykernel")
    pytest.importorskip("matplotlib")
    book = nbformat.read(EXAMPLES / "notebook.ipynb", as_version=4)
    assert not any(cell.get("outputs") for cell in book.cells), "outputs are not checked in"
    nbclient.NotebookClient(book, timeout=240, resources={"metadata": {"path": str(tmp_path)}}).execute()
    shown = [output.get("data", {}) for cell in book.cells for output in cell.get("outputs", [])]
    pages = [data["text/html"] for data in shown if "text/html" in data]
    assert sum('<div class="segablate">' in page for page in pages) == 3
    for title in ("Overall", "IoU of the classes", "rmi under 5 settings"):
        assert any(title in page for page in pages), title
    assert any("image/png" in data for data in shown)
    assert any("<table" in page and "precision" in page and "segablate" not in page for page in pages)
