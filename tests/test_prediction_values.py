"""Predictions whose values fit no class: the commonest is named, and the change under which all fit is measured."""

import pickle
from pathlib import Path

import cv2
import numpy as np
import pytest
from nearest import scene

from segablate.checkpoints import label_maps, open_checkpoint
from segablate.checkpoints.label_maps import LabelMaps
from segablate.checkpoints.prediction_values import Change, decode, fitting_change, read_change
from segablate.datasets import Dataset, open_dataset
from segablate.errors import CheckpointError, SegablateError
from segablate.evaluation.results import Evaluation
from segablate.evaluation.session import evaluate_checkpoint
from segablate.images.label_maps import read_label_map
from segablate.samples import Batch


def planted(root: Path, classes: int) -> Dataset:
    """Three label maps without images."""
    (root / "labels").mkdir(parents=True)
    for index in range(3):
        cv2.imwrite(str(root / f"labels/{index}.png"), scene(index, classes))
    names = ", ".join("abc"[:classes])
    (root / "dataset.yaml").write_text(f"classes: [{names}]\nsplits: {{val: {{labels: labels}}}}\n")
    return open_dataset(f"folder:{root}")


def write(folder: Path, values: "list[np.ndarray]") -> Path:
    folder.mkdir()
    for index, array in enumerate(values):
        cv2.imwrite(str(folder / f"{index}.png"), array)
    return folder


def miou(run: Evaluation) -> float:
    """Mean IoU by a plain count of the confusion."""
    total = run.confusion.total().astype(float)[:-1]
    classes = len(total)
    hits = np.diag(total[:, :classes])
    return float(np.mean(hits / (total.sum(1) + total[:, :classes].sum(0) - hits)))


SCENES = [scene(index, 2) for index in range(3)]
THREE = [scene(index) for index in range(3)]
GREY = [cv2.GaussianBlur(labels * np.uint8(255), (7, 7), 2) for labels in SCENES]
FOREIGN = {
    "black and white": (SCENES, [labels * np.uint8(255) for labels in SCENES], "map=255:1", 255, "void"),
    "scaled": (SCENES, [labels * np.uint8(100) for labels in SCENES], "map=100:1", 100, "no class"),
    "three greys": (THREE, [labels * np.uint8(127) for labels in THREE], "map=127:1,254:2", 127, "no class"),
    "from 1": (THREE, [labels + np.uint8(1) for labels in THREE], "shift=-1", 3, "no class"),
    "probabilities": (SCENES, GREY, "threshold=128", 255, "void"),
}


@pytest.mark.parametrize(
    ("value", "dtype"),
    [(2**64 - 1, np.uint64), (2**63, np.uint64), (2**63 - 1, np.int64), (-1, np.int8), (-(2**40), np.int64)],
)
def test_the_note_states_the_value_that_the_files_hold(value: int, dtype: type, tmp_path: Path) -> None:
    data, folder = planted(tmp_path / "data", 2), tmp_path / "p"
    folder.mkdir()
    for index, labels in enumerate(SCENES):
        wide = labels.astype(dtype)
        wide[0, :5] = np.array(value, dtype)
        np.save(folder / f"{index}.npy", wide)
    labelled = sum(int((labels[0, :5] != 255).sum()) for labels in SCENES)
    run = evaluate_checkpoint(f"predictions:{folder}", data)
    assert [note for note in run.notes if note.startswith("predictions: value")] == [
        f"predictions: value {value} at {labelled} labelled pixels of 3 images is no class; each such pixel is a miss"
    ]


def test_a_change_keeps_values_beyond_64_bits_out_of_the_classes() -> None:
    values = np.array([[0, 1, 2**64 - 1, 2**63 + 1]], np.uint64)
    assert decode(Change(shift=1)(values), ((0,), (1,))).tolist() == [[1, 255, 255, 255]]
    assert decode(Change(replaced=((-1, 1),))(values), ((0,), (1,))).tolist() == [[0, 1, 255, 255]]
    assert decode(Change(replaced=((2**64 - 1, 0),))(values), ((0,), (1,))).tolist() == [[0, 1, 0, 255]]


@pytest.mark.parametrize("case", FOREIGN)
def test_the_change_that_fits_is_measured(case: str, tmp_path: Path) -> None:
    labels, values, change, foreign, kind = FOREIGN[case]
    data = planted(tmp_path / "data", int(labels[0].max()) + 1)
    folder = write(tmp_path / "p", values)
    taken = evaluate_checkpoint(f"predictions:{folder}", data)
    pixels = sum(int((array == foreign).sum()) for array in values)
    named, measured = taken.notes[-2:]
    assert named.startswith(
        f"predictions: value {foreign} at {pixels} labelled pixels of 3 images is {kind}".replace(
            str(pixels), f"{pixels:,}".replace(",", " ")
        )
    )
    changed = evaluate_checkpoint(f"predictions:{folder}?{change}", data)
    assert miou(changed) > 0.95 > miou(taken)
    assert (miou(changed) == 1) == (case != "probabilities")
    assert measured == (
        f"with {change}, all values of the predictions are classes or void, and mIoU is "
        f"{100 * miou(changed):.2f} % in the "
        f"place of {100 * miou(taken):.2f} %; if they mean that, evaluate 'predictions:{folder}?{change}'"
    )
    assert not [note for note in changed.notes if "predictions: value" in note]
    assert changed.facts["checkpoint"]["values"] == change


def test_values_that_are_classes_bring_no_note(tmp_path: Path) -> None:
    data = planted(tmp_path / "data", 3)
    swapped = [np.array([0, 2, 1], np.uint8)[labels] for labels in THREE]
    assert evaluate_checkpoint(f"predictions:{write(tmp_path / 'p', swapped)}", data).notes[1:] == ()


def test_a_change_that_does_not_fit_every_file_is_not_said(tmp_path: Path) -> None:
    data = planted(tmp_path / "data", 3)
    values = [labels * np.uint8(127) for labels in THREE]
    values[2][0, 0] = 77
    notes = evaluate_checkpoint(f"predictions:{write(tmp_path / 'p', values)}", data).notes
    assert not [note for note in notes if note.startswith("with ")]
    assert notes[-1].startswith("predictions: value 127 at ")


def test_the_plainest_change_wins() -> None:
    def change(values: list[int], classes: int) -> Change | None:
        return fitting_change(lambda: [np.array([values])], tuple((index,) for index in range(classes)), (255,))

    assert change([0, 1], 2) is None
    assert change([1, 2], 2) == Change(shift=-1)
    assert change([-1, 0], 2) == Change(shift=1)
    assert change([1, 2, 255], 2) == Change(shift=-1), "255 stays void"
    assert change([0, 1, 9], 3) is None, "one strange value of several known ones"
    assert change([0, 1, 255], 2) is None, "void is predicted, nothing else"


@pytest.fixture
def decoded(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The names of prediction files, one for each time that one is decoded."""
    names: list[str] = []

    def read(path: Path) -> np.ndarray:
        names.append(path.name)
        return read_label_map(path)

    monkeypatch.setattr(label_maps, "read_label_map", read)
    return names


def test_a_file_that_was_inspected_is_decoded_once(tmp_path: Path, decoded: list[str]) -> None:
    data = planted(tmp_path / "data", 2)
    run = evaluate_checkpoint(f"predictions:{write(tmp_path / 'p', SCENES)}", data)
    assert sorted(decoded) == ["0.png", "1.png", "2.png"]
    assert miou(run) == 1


def test_inspected_files_are_kept_within_a_limit(
    tmp_path: Path, decoded: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(label_maps, "_HELD", 2 * SCENES[0].nbytes)
    data = planted(tmp_path / "data", 2)
    evaluate_checkpoint(f"predictions:{write(tmp_path / 'p', SCENES)}", data)
    assert sorted(decoded) == ["0.png", "1.png", "2.png", "2.png"]


def test_kept_files_stay_in_their_process_until_they_are_measured(tmp_path: Path) -> None:
    data, folder = planted(tmp_path / "data", 2), write(tmp_path / "p", SCENES)
    opened = open_checkpoint(f"predictions:{folder}")
    first = opened.for_dataset(data, "stop")
    assert isinstance(first, LabelMaps)
    assert len(first.held.maps) == 3
    assert pickle.loads(pickle.dumps(first)).held.maps == {}
    first(Batch((data.read(1, image=False),)))
    assert set(first.held.maps) == {folder / "0.png", folder / "2.png"}
    cv2.imwrite(str(folder / "0.png"), 1 - SCENES[0])
    again = first.for_dataset(data, "stop")
    assert isinstance(again, LabelMaps)
    np.testing.assert_array_equal(again.held.maps[folder / "0.png"], 1 - SCENES[0])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"map": "255"}, "map is '255', but must be values and what they mean, as in map=255:1"),
        ({"shift": "x"}, "shift is 'x', but must be an integer, as in shift=-1"),
        ({"threshold": "0.5"}, "threshold is '0.5'"),
        ({"map": "255:1", "shift": "1"}, "map and shift are stated; state one of them"),
    ],
)
def test_malformed_changes(options: dict[str, str], message: str) -> None:
    with pytest.raises(CheckpointError, match=message):
        read_change(options)


def test_changes_are_for_single_values(tmp_path: Path) -> None:
    folder = write(tmp_path / "p", SCENES)
    with pytest.raises(SegablateError, match="shift=1 is for single values, but encoding is colours"):
        evaluate_checkpoint(f"predictions:{folder}?encoding=colours&shift=1", planted(tmp_path / "data", 2))


def test_negative_and_large_values_decode() -> None:
    values = np.array([[-1, 0, 5, 1 << 40, -2]])
    assert decode(values, ((-1,), (5, 1 << 40))).tolist() == [[0, 255, 1, 1, 255]]


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("0.jpg", b"x", r"holds 1 file in a format that changes values when it compresses \(first: 0.jpg\)"),
        ("results.pkl", b"x", r"holds 1 pickle file, which segablate does not evaluate; it may run code when read"),
        ("r.json", b'[{"segmentation": {"counts": "0"}}]', r"holds 1 COCO results file.*save each prediction as a"),
        ("a.nii.gz", b"x", r"holds 1 volume, which segablate does not evaluate; save each slice"),
        ("note.md", b"x", r"holds no predictions; expected label maps"),
    ],
)
def test_folders_of_other_files(name: str, content: bytes, message: str, tmp_path: Path) -> None:
    (tmp_path / "p").mkdir()
    (tmp_path / "p" / name).write_bytes(content)
    with pytest.raises(SegablateError, match=message):
        evaluate_checkpoint(f"predictions:{tmp_path / 'p'}", planted(tmp_path / "data", 2))
