"""Classes merged by a file: the same pixels, counted under fewer names."""

from pathlib import Path

import numpy as np
import pytest
from conftest import scene

from segablate.cli import run
from segablate.datasets import open_dataset
from segablate.datasets.merging import merge_classes, merged
from segablate.errors import SegablateError
from segablate.evaluation.alignment import align
from segablate.labels import IGNORE, LabelSet, pack_colour

STREET = LabelSet(
    "street",
    ("road", "car", "bus", "tree"),
    ((7,), (3, 4), (5,), (0,)),
    (255,),
    ((1,) * 3, (2,) * 3, (3,) * 3, (4,) * 3),
)
CODES = np.array([[7, 3, 4, 5, 0, 255]], np.uint8)


def test_merging_keeps_codes() -> None:
    few = merged(STREET, {"plant": ["tree"], "vehicle": ["bus", "car"], "ground": ["road"]})
    assert few.names == ("plant", "vehicle", "ground")
    assert few.decode(CODES).tolist() == [[2, 1, 1, 1, 0, IGNORE]]
    assert few.colours == ((4,) * 3, (3,) * 3, (1,) * 3)
    assert few.merged_from is STREET


def test_the_rest_is_void_or_a_class() -> None:
    assert merged(STREET, {"vehicle": ["car", "bus"]}).decode(CODES).tolist() == [[IGNORE, 0, 0, 0, IGNORE, IGNORE]]
    both = merged(STREET, {"vehicle": ["car", "bus"]}, rest="background")
    assert both.names == ("vehicle", "background")
    assert both.decode(CODES).tolist() == [[1, 0, 0, 0, 1, IGNORE]]
    joined = merged(STREET, {"background": ["tree"], "vehicle": ["car"]}, rest="background")
    assert joined.decode(CODES).tolist() == [[0, 1, 1, 0, 0, IGNORE]]
    assert merged(STREET, {"a": ["road", "car"], "b": ["bus", "tree"]}, rest="c").names == ("a", "b")


def test_colours_and_open_sets_can_be_merged() -> None:
    colours = LabelSet("c", ("a", "b"), ((pack_colour((9, 0, 0)),), (pack_colour((0, 9, 0)),)), None, (), "colours")
    few = merged(colours, {"ab": ["a", "b"]})
    assert few.decode(np.array([[[9, 0, 0], [0, 9, 0], [5, 5, 5]]], np.uint8)).tolist() == [[0, 0, IGNORE]]


@pytest.mark.parametrize(
    ("classes", "message"),
    [
        ({"vehicle": ["car", "buss"]}, "has no class 'buss'; did you mean 'bus'"),
        ({"vehicle": ["car"], "wheels": ["car", "bus"]}, "several new classes contain car of 'street'"),
        ({"vehicle": []}, "class 'vehicle' has no classes to merge"),
    ],
)
def test_what_cannot_be_merged(classes: dict, message: str) -> None:
    with pytest.raises(SegablateError, match=message):
        merged(STREET, classes)


def test_a_checkpoint_for_the_old_classes_is_merged_likewise() -> None:
    few = merged(STREET, {"plant": ["tree"], "vehicle": ["bus", "car"]})
    by_place = align(4, None, few)
    assert by_place.outputs == (None, 1, 1, 0)
    assert by_place.note == "the outputs were matched with the 4 classes before merging, and merged likewise"
    by_name = align(4, ("tree", "bus", "car", "road"), few)
    assert by_name.outputs == (0, 1, 1, None)
    surplus = align(5, None, few)
    assert surplus.outputs == (None, 1, 1, 0, None)
    assert "the last output has no class in the label set" in surplus.note


def test_a_checkpoint_for_the_new_classes_is_taken_as_it_is() -> None:
    few = merged(STREET, {"plant": ["tree"], "vehicle": ["bus", "car"]})
    assert align(2, None, few).plain
    assert align(2, ("vehicle", "plant"), few).outputs == (1, 0)


def write(path: Path, text: str) -> Path:
    path.write_text(text)
    return path


def test_a_file_of_classes(toy: Path, tmp_path: Path) -> None:
    data = merge_classes(open_dataset(f"folder:{toy}"), write(tmp_path / "c.yaml", "ground: road\nrest: other\n"))
    assert data.notes == ("--classes c.yaml: 4 classes replaced by 2",)
    labels = scene(0)[1]
    assert np.array_equal(data.read(0).labels, np.select([labels == IGNORE, labels == 0], [IGNORE, 0], 1))
    data = merge_classes(open_dataset(f"folder:{toy}"), write(tmp_path / "c.yaml", "things: [car, tree]\n"))
    assert data.notes == ("--classes c.yaml: 4 classes replaced by 1; 2 of them became void",)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "must be a mapping from new to old classes"),
        ("[road]", "must be a mapping from new to old classes"),
        ("a: [1, 2]", r"class 'a' is \[1, 2\], but must be class names"),
        ("rest: [a]", r"rest is \['a'\], but must be the name"),
        ("a: b: c", "is not valid YAML"),
        ("ground: rode", r"c\.yaml: label set 'toy' has no class 'rode'; did you mean 'road'"),
    ],
)
def test_files_that_do_not_fit(toy: Path, tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(SegablateError, match=message):
        merge_classes(open_dataset(f"folder:{toy}"), write(tmp_path / "c.yaml", text))


def test_evaluating_under_merged_classes(
    toy: Path, tmp_path: Path, network_spec: str, capsys: pytest.CaptureFixture
) -> None:
    path = write(tmp_path / "c.yaml", "ground: road\nrest: other\n")
    code = run(
        ["evaluate", network_spec, f"folder:{toy}", "--classes", str(path), "--format", "markdown", "--workers", "0"]
    )
    out = " ".join(capsys.readouterr().out.split())
    assert code == 0
    assert "ground" in out
    assert "other" in out
    assert "4 classes replaced by 2" in out
