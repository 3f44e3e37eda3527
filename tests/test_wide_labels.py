"""Label sets of more than 255 classes, and what is written, padded and trained with them."""

import pickle
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from wide_sets import VOID, write_wide

from segablate.checkpoints.label_maps import decode
from segablate.cli import run
from segablate.datasets import open_dataset
from segablate.datasets.drafting import draft
from segablate.datasets.merging import merged
from segablate.datasets.scribbles import scribble
from segablate.edges import Training
from segablate.edges.training import _crops, edge_labels, train_edge_network
from segablate.errors import LabelError
from segablate.evaluation.alignment import align
from segablate.labels import MOST_CLASSES, LabelSet, ignore_index, ignored_in, index_type
from segablate.training.augmentation import augment
from segablate.training.recipe import Recipe
from segablate.training.weights import count_pixels


def numbered(classes: int, first: int = 0, **further: object) -> LabelSet:
    names, codes = tuple(f"class {k}" for k in range(classes)), tuple((k + first,) for k in range(classes))
    return LabelSet("many", names, codes, **further)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("classes", "void", "kind"),
    [(1, 255, np.uint8), (255, 255, np.uint8), (256, VOID, np.uint16), (847, VOID, np.uint16)],
)
def test_void_is_that_of_the_number_of_classes(classes: int, void: int, kind: type) -> None:
    labels = numbered(classes)
    assert (ignore_index(classes), labels.ignore, labels.void) == (void, void, (void,))
    assert index_type(classes) is kind
    decoded = labels.decode(np.array([[0, classes - 1, void]], np.uint16))
    assert (decoded.dtype, decoded.tolist(), ignored_in(decoded)) == (kind, [[0, classes - 1, void]], void)
    assert labels.encode(decoded).tolist() == [[0, classes - 1, void]]
    assert [labels.class_of(code) for code in (classes - 1, void, classes)] == [classes - 1, None, None]
    assert pickle.loads(pickle.dumps(labels)) == labels
    assert replace(labels, name="other").void == (void,)
    with pytest.raises(LabelError, match=f"code {classes + 1} at 1 pixel is not in label set 'many'"):
        labels.decode(np.array([[0, classes + 1]], np.uint16))


def test_most_classes() -> None:
    assert len(numbered(MOST_CLASSES)) == MOST_CLASSES
    with pytest.raises(LabelError, match="has 5 001 classes, but must have 1 to 5 000"):
        numbered(MOST_CLASSES + 1)


@pytest.mark.parametrize("first", [0, 1])
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.int32, np.int64])
def test_files_of_any_integer_decode_alike(dtype: type, first: int) -> None:
    labels = numbered(300, first, void=(VOID,) if not first else (0,))
    decoded = labels.decode(np.array([[255, 254 + first - 1]], dtype))
    assert (decoded.dtype, decoded.tolist()) == (np.uint16, [[255 - first, 253]])


def test_an_index_between_the_last_class_and_void_is_refused_unless_all_the_rest_is_void() -> None:
    raw = np.array([[299, 300, 65534, VOID]], np.uint16)
    with pytest.raises(LabelError, match=r"code 300 at 1 pixel \(and 1 other code\) is not in label set"):
        numbered(300).decode(raw)
    assert numbered(300, void=None).decode(raw).tolist() == [[299, VOID, VOID, VOID]]
    assert numbered(300, void=None).decode(np.array([[-1, 70000, 255]], np.int32)).tolist() == [[VOID, VOID, 255]]


def test_many_classes_merged_to_few_and_to_many() -> None:
    many = numbered(300)
    few = merged(many, {"one": ["class 255"], "two": ["class 299", "class 0"]})
    raw = np.array([[255, 299, 0, 7, VOID]], np.uint16)
    assert few.decode(raw).tolist() == [[0, 1, 1, 255, 255]]
    assert few.decode(raw).dtype == np.uint8
    rest = merged(many, {"one": ["class 255"]}, rest="other")
    assert rest.decode(raw).tolist() == [[0, 1, 1, 1, 255]]
    alignment = align(300, None, few)
    assert [alignment.outputs[k] for k in (255, 299, 0, 7)] == [0, 1, 1, None]


def test_predictions_decode_to_the_type_of_the_set() -> None:
    values = np.array([[0, 255, 300, 7, -1, 65535]], np.int32)
    assert decode(values, tuple((k,) for k in range(301))).tolist() == [[0, 255, 300, 7, VOID, VOID]]
    assert decode(values.clip(0, 255).astype(np.uint8), tuple((k,) for k in range(301))).tolist()[0][1] == 255
    few = decode(values, tuple((k,) for k in range(255)))
    assert (few.dtype, few.tolist()) == (np.uint8, [[0, 255, 255, 7, 255, 255]])


def test_padding_and_scribbles_are_void() -> None:
    image, labels = np.zeros((20, 30, 3), np.uint8), np.full((20, 30), 255, np.uint16)
    view = augment(image, labels, Recipe(crop=(32, 32), crop_share=0.5), np.random.default_rng(0))
    assert view.labels.dtype == np.uint16
    assert set(np.unique(view.labels)) == {255, VOID}
    drawn = scribble(labels, 0)
    assert set(np.unique(drawn)) == {255, VOID}
    assert (drawn == 255).sum() < 100


def test_pixels_and_edges_of_a_wide_set(tmp_path: Path) -> None:
    wide = write_wide(tmp_path / "wide", 300)
    data = open_dataset(wide.spec)
    whole = np.stack(wide.maps)
    expected = [int((whole == k).sum()) for k in range(300)]
    assert count_pixels(data).pixels.tolist() == expected
    maps = torch.from_numpy(whole[:1].astype(np.int64))
    edges, few = edge_labels(maps, VOID), maps.where(maps != VOID, -1)
    assert torch.equal(edges == 255, maps == VOID)
    assert torch.equal(edges, edge_labels(few, -1))
    crops = _crops(data, 0, Training(side=64, masks=6), np.random.default_rng(0))  # larger than the maps
    assert (crops[:, 44:] == VOID).all()
    assert (crops[:, :, 60:] == VOID).all()
    network = train_edge_network(data, Training(steps=1, masks=6, batch=1, side=32))
    assert network.layers[0][0].shape[1] == 300
    assert 0 < network.facts["cross_entropy"] < 5


def test_a_wide_folder_is_drafted_and_checked(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """All codes of 0 to 299 and void occur: a first description has them as classes, and 65535 as void."""
    for folder in ("images", "labels"):
        (tmp_path / folder).mkdir()
    codes = np.r_[np.arange(300), VOID, VOID].reshape(2, 151).repeat(3, 0).astype(np.uint16)
    for index in range(2):
        cv2.imwrite(str(tmp_path / f"images/s{index}.png"), np.full((*codes.shape, 3), 50 * index + 9, np.uint8))
        cv2.imwrite(str(tmp_path / f"labels/s{index}.png"), codes)
    draft(tmp_path)
    data = open_dataset(f"folder:{tmp_path}")
    assert (len(data.labels), data.labels.void) == (300, (VOID,))
    np.testing.assert_array_equal(data.read(0).labels, codes)
    assert run(["datasets", "check", f"folder:{tmp_path}"]) == 0
    assert "300 classes" in capsys.readouterr().out
    cv2.imwrite(str(tmp_path / "labels/s0.png"), np.where(codes == 7, 5000, codes))
    assert run(["datasets", "check", f"folder:{tmp_path}"]) == 1
    printed = " ".join(capsys.readouterr().out.split())
    assert "code 5000 is not in label set" in printed
    assert "all codes are one" not in printed
    cv2.imwrite(str(tmp_path / "labels/s0.png"), np.where(codes == VOID, 0, codes + 1).astype(np.uint16))
    cv2.imwrite(str(tmp_path / "labels/s1.png"), np.where(codes == VOID, 0, codes + 1).astype(np.uint16))
    assert run(["datasets", "check", f"folder:{tmp_path}"]) == 1
    assert "all codes are one too high: subtract 1, and all fit" in " ".join(capsys.readouterr().out.split())
