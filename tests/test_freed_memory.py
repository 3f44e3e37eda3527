"""The C library keeps freed memory while label maps are measured, and returns it before tables are made of them."""

from pathlib import Path

import pytest
from conftest import write_predictions

from segablate import freed_memory
from segablate.checkpoints import open_checkpoint
from segablate.checkpoints.segmenter import Loading
from segablate.datasets import open_dataset
from segablate.errors import SegablateError
from segablate.evaluation.loop import evaluate
from segablate.evaluation.measures import Measures


@pytest.fixture
def stated(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What malloc is told."""
    told: list[str] = []
    options = {freed_memory._KEEPING: "keep", freed_memory._RETURNING: "return"}
    monkeypatch.setattr(freed_memory, "_set_malloc", lambda chosen: told.append(options[chosen]))
    return told


def test_it_is_kept_for_each_evaluation_of_label_maps_and_returned_after(
    toy: Path, tmp_path: Path, stated: list[str]
) -> None:
    folder = write_predictions(tmp_path / "predicted", 6, (24, 32))
    data, segmenter = open_dataset(f"folder:{toy}"), open_checkpoint(f"predictions:{folder}", Loading())
    seen: list[str] = []
    evaluate(segmenter, data, Measures(), progress=lambda _: seen.extend(stated[-1:]))
    assert seen == ["keep"] * 6
    assert stated == ["keep", "return"]
    (folder / "s3.png").write_bytes(b"no image")
    with pytest.raises(SegablateError):
        evaluate(segmenter, data, Measures())
    assert stated == ["keep", "return"] * 2
