"""An evaluation that breaks off goes on from its pieces, and ends as if it had not broken off."""

import hashlib
import json
import time
from itertools import pairwise
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from conftest import write_predictions

from segablate.checkpoints import open_checkpoint
from segablate.checkpoints.segmenter import Loading
from segablate.datasets import Dataset, open_dataset
from segablate.errors import DatasetError, RunError
from segablate.evaluation import loop as evaluation
from segablate.evaluation.identity import identity_of, stamps_of
from segablate.evaluation.loop import LoopOptions, PreparedEvaluation, carry_out, prepare
from segablate.evaluation.measures import Measures
from segablate.evaluation.pieces import Pieces, open_pieces, refuse_partial
from segablate.evaluation.results import Evaluation, save_run
from segablate.evaluation.runs import npz
from segablate.losses import get_loss
from segablate.metrics.tolerance import Tolerance

ROOT = Path(__file__).parents[1]


@pytest.fixture
def predicted(toy: Path, tmp_path: Path) -> str:
    return f"predictions:{write_predictions(tmp_path / 'predicted', 6, (24, 32))}"


def work_of(spec: str, data: Dataset, on_error: Any = "stop", **measures: Any) -> PreparedEvaluation:
    asked = Measures(**{"tolerances": (Tolerance(2),), **measures})
    return prepare(open_checkpoint(spec, Loading(device="cpu")), data, asked, on_error)


def opened(work: PreparedEvaluation, run: Path) -> Pieces:
    return open_pieces(
        run, identity_of(work, Loading(device="cpu")), work.dataset.labels, stamps_of(work.dataset, images=True)
    )


def carried_out(work: PreparedEvaluation, pieces: Pieces | None, **how: Any) -> Evaluation:
    return carry_out(work, LoopOptions(pieces=pieces, stamps=stamps_of(work.dataset, images=True), **how))


def broken_off(work: PreparedEvaluation, path: Path, after: int) -> Pieces:
    """Pieces of a run that is interrupted when so many images are done."""
    seen = 0

    def progress(images: int) -> None:
        nonlocal seen
        seen += images
        if seen > after:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        carried_out(work, opened(work, path), progress=progress)
    return opened(work, path)


def counts(run: Evaluation, path: Path) -> bytes:
    save_run(run, path, "")
    return (path / "counts.npz").read_bytes()


@pytest.mark.usefixtures("every_image")
@pytest.mark.parametrize("after", [1, 3, 5])
def test_only_what_is_missing_is_measured_and_the_counts_are_the_same(
    after: int, toy: Path, network_spec: str, tmp_path: Path
) -> None:
    work = work_of(network_spec, open_dataset(f"folder:{toy}"))
    pieces = broken_off(work, tmp_path / "run", after)
    kept = [name for part in pieces.kept for name in part.names]
    assert 0 < len(kept) <= after
    assert pieces.attempt == 2
    done: list[int] = []
    resumed = carried_out(work, pieces, progress=done.append)
    assert done[0] == len(kept)
    assert sum(done[1:]) == 6 - len(kept)
    whole = carried_out(work, None)
    assert counts(resumed, tmp_path / "a") == counts(whole, tmp_path / "b")
    assert resumed.notes == whole.notes
    assert {**resumed.facts, "timing": None} == {**whole.facts, "timing": None}


@pytest.mark.usefixtures("every_image")
def test_when_everything_is_there_nothing_is_measured(toy: Path, predicted: str, tmp_path: Path) -> None:
    work = work_of(predicted, open_dataset(f"folder:{toy}"))
    first = carried_out(work, opened(work, tmp_path / "run"))
    for file in (toy / "labels/val").iterdir():
        assert file.stat().st_size
    again = opened(work, tmp_path / "run")
    assert len(again.kept) == 6
    done: list[int] = []
    assert carried_out(work, again, progress=done.append).notes == first.notes
    assert done == [6]


@pytest.mark.usefixtures("every_image")
def test_a_skipped_image_is_tried_again(toy: Path, predicted: str, tmp_path: Path) -> None:
    broken = toy / "labels/val/s1.png"
    whole = broken.read_bytes()
    broken.write_bytes(whole[:40])
    work = work_of(predicted, open_dataset(f"folder:{toy}"), "skip")
    assert [each.name for each in carried_out(work, opened(work, tmp_path / "run")).skipped] == ["s1"]
    assert [each.name for each in carried_out(work, opened(work, tmp_path / "run")).skipped] == ["s1"]
    broken.write_bytes(whole)
    resumed = carried_out(work, opened(work, tmp_path / "run"))
    assert (resumed.names, resumed.skipped) == (work.dataset.names, ())


@pytest.mark.usefixtures("every_image")
def test_images_whose_files_have_changed_are_measured_again(toy: Path, predicted: str, tmp_path: Path) -> None:
    work = work_of(predicted, open_dataset(f"folder:{toy}"))
    broken_off(work, tmp_path / "run", 4)
    cv2.imwrite(str(toy / "labels/val/s2.png"), np.zeros((24, 32), np.uint8))
    pieces = opened(work, tmp_path / "run")
    assert "s2" not in {name for part in pieces.kept for name in part.names}
    assert pieces.notes == ("s2 had changed before --resume and were measured again",)
    found = carried_out(work, pieces)
    assert found.confusion.dense(2)[1:].sum() == 0
    assert not opened(work, tmp_path / "run").notes, "a newer piece has the image as it is"


DAMAGE = {
    "cut": lambda data: data[: len(data) // 2],
    "flipped": lambda data: data[:40] + bytes([data[40] ^ 1]) + data[41:],
    "emptied": lambda data: b"",
}


@pytest.mark.usefixtures("every_image")
@pytest.mark.parametrize("place", range(3))
@pytest.mark.parametrize("damage", DAMAGE)
def test_a_damaged_piece_is_named_and_measured_again(
    place: int, damage: str, toy: Path, predicted: str, tmp_path: Path
) -> None:
    work = work_of(predicted, open_dataset(f"folder:{toy}"))
    piece = broken_off(work, tmp_path / "run", 3).found()[place]
    piece.write_bytes(DAMAGE[damage](piece.read_bytes()))
    pieces = opened(work, tmp_path / "run")
    assert pieces.notes == (f"{piece.name} in run.partial is damaged; its images were measured again",)
    assert len(pieces.kept) == 2
    assert counts(carried_out(work, pieces), tmp_path / "a") == counts(carried_out(work, None), tmp_path / "b")


@pytest.mark.usefixtures("every_image")
@pytest.mark.parametrize("lost", ["tally_reliability", "value_", "boundary_"])
def test_a_piece_of_other_measures_is_refused(lost: str, toy: Path, network_spec: str, tmp_path: Path) -> None:
    work = work_of(network_spec, open_dataset(f"folder:{toy}"), losses={"ce": get_loss("ce")}, calibration=True)
    piece = broken_off(work, tmp_path / "run", 3).found()[1]
    with np.load(piece) as arrays:
        there = dict(arrays)
    left = {name: array for name, array in there.items() if not name.startswith(lost)}
    assert len(left) < len(there)
    if lost.startswith("tally"):  # those of calibration only occur together
        left = {name: array for name, array in left.items() if not name.startswith("tally_")}
    piece.unlink()
    data = npz(left.items())
    piece.with_name(f"{piece.stem.rpartition('-')[0]}-{hashlib.sha256(data).hexdigest()[:16]}.npz").write_bytes(data)
    with pytest.raises(RunError, match="hold different measures; remove its folder, and start again"):
        carried_out(work, opened(work, tmp_path / "run"))


@pytest.mark.usefixtures("every_image")
@pytest.mark.parametrize("damage", [*DAMAGE, "edited", "missing"])
def test_a_damaged_description_is_named(damage: str, toy: Path, predicted: str, tmp_path: Path) -> None:
    work = work_of(predicted, open_dataset(f"folder:{toy}"))
    broken_off(work, tmp_path / "run", 3)
    begun = tmp_path / "run.partial" / "begun.json"
    if damage == "missing":
        begun.unlink()
    elif damage == "edited":
        begun.write_text(json.dumps({**json.loads(begun.read_text()), "format": 0}))
    else:
        begun.write_bytes(DAMAGE[damage](begun.read_bytes()))
    with pytest.raises(
        RunError, match=r"run\.partial is damaged: begun\.json was changed since it was written; remove"
    ):
        opened(work, tmp_path / "run")


def test_a_folder_in_which_nothing_was_written_yet_is_begun_anew(toy: Path, predicted: str, tmp_path: Path) -> None:
    (tmp_path / "run.partial").mkdir()
    (tmp_path / "run.partial" / "begun.json").write_text("{")
    refuse_partial(tmp_path / "run", resume=False)
    pieces = opened(work_of(predicted, open_dataset(f"folder:{toy}")), tmp_path / "run")
    assert (pieces.kept, pieces.attempt, pieces.notes) == ((), 1, ())
    assert json.loads((tmp_path / "run.partial" / "begun.json").read_text())["dataset"]["images"] == 6


def test_parts_come_often_at_first_and_ever_more_rarely(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 0.0
    monkeypatch.setattr(time, "monotonic", lambda: now)
    due = evaluation._pace()
    times = []
    while now < 3600:
        now += 0.05
        if due():
            times.append(now)
    assert times[0] == pytest.approx(0.25, abs=0.06)
    assert max(b - a for a, b in pairwise(times)) < 37
    assert len(times) < 600


def test_no_image_left_is_an_error(toy: Path, predicted: str) -> None:
    for path in (toy / "labels/val").iterdir():
        path.write_bytes(b"")
    with pytest.raises(DatasetError, match=r"no image of 6 could be measured; first: .*s0\.png"):
        carried_out(work_of(predicted, open_dataset(f"folder:{toy}"), "skip"), None)
