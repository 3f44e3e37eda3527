"""Class weights: from the train split by hand, from a file, and what does not fit."""

from pathlib import Path

import cv2
import numpy as np
import pytest
from trainings import request, trained, write_splits

from segablate.datasets.dataset import Dataset
from segablate.errors import RecipeError, SegablateError
from segablate.objective.weighted_sum import parse_objective
from segablate.training.weights import class_weights, count_pixels

LABELS = (
    [[0, 0, 0, 0], [0, 0, 1, 1], [255, 255, 255, 255]],
    [[0, 0, 0, 0], [0, 0, 0, 2], [2, 2, 2, 255]],
)
"""Class 0: 13 pixels in both images; 1: 2 in the first of 8 labelled; 2: 4 in the second of 11; 3: none."""


@pytest.fixture
def data(tmp_path: Path) -> Dataset:
    root = write_splits(tmp_path / "toy", train=2)
    for index, labels in enumerate(LABELS):
        cv2.imwrite(str(root / f"labels/train/train{index}.png"), np.array(labels, np.uint8))
        cv2.imwrite(str(root / f"images/train/train{index}.png"), np.zeros((3, 4, 3), np.uint8))
    return request(root).dataset


def weights(objective: str, how: str, dataset: Dataset) -> tuple[float, ...]:
    return class_weights(parse_objective(objective), how, dataset).terms[0].settings["weights"]


def test_pixels_are_counted(data: Dataset) -> None:
    pixels, around = count_pixels(data)
    assert pixels.tolist() == [13, 2, 4, 0]
    assert around.tolist() == [19, 8, 11, 0]


@pytest.mark.parametrize(
    ("how", "expected"),
    [
        ("inverse", np.array([1 / 13, 1 / 2, 1 / 4]) / np.mean([1 / 13, 1 / 2, 1 / 4])),
        ("sqrt-inverse", np.array([13, 2, 4]) ** -0.5 / np.mean(np.array([13, 2, 4]) ** -0.5)),
        ("median", (4 / 11) / np.array([13 / 19, 2 / 8, 4 / 11])),
    ],
)
def test_rules_are_the_formulas(data: Dataset, how: str, expected: np.ndarray) -> None:
    assert weights("ce", how, data) == pytest.approx((*expected, 0), rel=1e-8)


def test_a_file_has_one_number_a_class(data: Dataset, tmp_path: Path) -> None:
    (tmp_path / "w.txt").write_text("1, 2.5\n0 4e-1\n")
    assert weights("ce", str(tmp_path / "w.txt"), data) == (1, 2.5, 0, 0.4)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("1 2 3", r"w\.txt: has 3 numbers; write 4, one a class"),
        ("1 2 3 -4", r"w\.txt: has a number below 0, or one that is not finite"),
        ("1 2 3 nan", r"w\.txt: has a number below 0, or one that is not finite"),
        ("1 2 3 x", r"w\.txt: is no list of numbers; write 4, one a class, apart by spaces or lines"),
    ],
)
def test_a_file_that_does_not_fit(data: Dataset, tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "w.txt").write_text(text)
    with pytest.raises(SegablateError, match=message):
        weights("ce", str(tmp_path / "w.txt"), data)


def test_a_rule_that_does_not_exist(data: Dataset) -> None:
    with pytest.raises(
        RecipeError, match="--class-weights is 'sqrt', but must be none, sqrt-inverse, inverse, median or"
    ):
        weights("ce", "sqrt", data)


def test_an_objective_without_ce_takes_none(data: Dataset) -> None:
    with pytest.raises(RecipeError, match="class weights 'median' are for ce, which objective 'focal' lacks"):
        class_weights(parse_objective("focal"), "median", data)
    assert class_weights(parse_objective("focal"), "none", data) == parse_objective("focal")


def test_weights_that_are_stated_stay(data: Dataset) -> None:
    found = class_weights(parse_objective("ce(weights=1:2:3:4) + 2*ce"), "inverse", data)
    assert found.terms[0].settings["weights"] == (1, 2, 3, 4)
    assert found.terms[1].settings["weights"][3] == 0


def test_a_split_without_a_label(data: Dataset, tmp_path: Path) -> None:
    for index in range(2):
        cv2.imwrite(str(data.items[index].labels), np.full((3, 4), 255, np.uint8))
    with pytest.raises(RecipeError, match=r"split 'train' of folder:.* has no labelled pixel to weigh classes by"):
        weights("ce", "median", data)


def test_weights_are_in_the_objective_that_was_trained(tmp_path: Path) -> None:
    root = write_splits(tmp_path / "toy")
    found = trained(root, tmp_path / "run", class_weights="inverse", steps=1)
    assert found.facts["objective"].startswith("ce(weights=")
    stated = found.facts["objective"]
    again = trained(root, tmp_path / "again", objective=stated, steps=1)
    first, second = (Path(each.checkpoint).read_bytes() for each in (found, again))
    assert first == second
