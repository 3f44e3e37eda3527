"""The C library keeps freed memory while images are measured, and returns it before a command makes its tables."""

from pathlib import Path

import pytest
from conftest import write_predictions

import segablate
from segablate import freed_memory
from segablate.cli import run
from segablate.tables import evaluation


@pytest.fixture
def stated(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What malloc is told."""
    told: list[str] = []
    options = {freed_memory._KEEPING: "keep", freed_memory._RETURNING: "return"}
    monkeypatch.setattr(freed_memory, "_set_malloc", lambda chosen: told.append(options[chosen]))
    return told


@pytest.mark.parametrize("checkpoint", ["predictions", "sample:ce"])
def test_it_is_kept_for_the_images_and_returned_for_the_tables(
    checkpoint: str, toy: Path, tmp_path: Path, stated: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    before: list[list[str]] = []
    plain = evaluation.evaluation_report
    monkeypatch.setattr(evaluation, "evaluation_report", lambda *given: before.append([*stated]) or plain(*given))
    images = "sample"
    if checkpoint == "predictions":
        checkpoint = f"predictions:{write_predictions(tmp_path / 'predicted', 6, (24, 32))}"
        images = f"folder:{toy}"
    assert run(["evaluate", checkpoint, images, "--limit", "6", "--no-cache", "--workers", "0"]) == 0
    assert before == [["keep", "return"]]


def test_compare_returns_it_too(toy: Path, tmp_path: Path, stated: list[str]) -> None:
    folders = [write_predictions(tmp_path / name, 6, (24, 32)) for name in ("a", "b")]
    assert run(["compare", *(f"predictions:{each}" for each in folders), "--on", f"folder:{toy}"]) == 0
    assert stated[-1] == "return"
    assert set(stated[:-1]) == {"keep"}


def test_a_program_of_the_users_keeps_its_own_settings(stated: list[str]) -> None:
    segablate.evaluate("sample:ce", limit=2, workers=0)
    assert stated == []
    freed_memory.keep_freed_memory()
    assert stated == ["keep"]
