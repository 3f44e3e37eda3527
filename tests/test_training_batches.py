"""Batches: every number from (seed, epoch, index), whoever reads and however many processes share."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from trainings import request, write_splits

from segablate.datasets import open_dataset
from segablate.datasets.dataset import Dataset
from segablate.errors import RecipeError, SegablateError
from segablate.training import batches
from segablate.training.batches import Batches, TrainingBatch
from segablate.training.recipe import Recipe

MOVING = Recipe(scale=(0.5, 2.0), crop=(16, 20), batch=2, brightness=0.2, photometric=True)


@pytest.fixture
def data(tmp_path: Path) -> Dataset:
    """Seven images."""
    return open_dataset(f"folder:{write_splits(tmp_path / 'toy', train=7)}", "train")


def equal(first: TrainingBatch, second: TrainingBatch) -> bool:
    return np.array_equal(first.images, second.images) and np.array_equal(first.labels, second.labels)


def test_an_epoch_is_every_image_once_but_for_the_last_incomplete_batch(data: Dataset) -> None:
    found = Batches(data, MOVING, seed=1)
    epochs = [[found.indices(epoch * 3 + place) for place in range(3)] for epoch in range(4)]
    for number, epoch in enumerate(epochs):
        assert {each for each, _ in epoch} == {number}
        images = np.concatenate([chosen for _, chosen in epoch]).tolist()
        assert len(images) == len(set(images)) == 6
    orders = {tuple(np.concatenate([chosen for _, chosen in epoch])) for epoch in epochs}
    assert len(orders) == 4


def test_the_order_comes_from_the_seed(data: Dataset) -> None:
    first, again, other = (Batches(data, MOVING, seed).indices(4)[1].tolist() for seed in (1, 1, 2))
    assert first == again
    assert [Batches(data, MOVING, 2).indices(step)[1].tolist() for step in range(9)] != [
        Batches(data, MOVING, 1).indices(step)[1].tolist() for step in range(9)
    ]
    assert len(other) == 2


def test_a_view_does_not_depend_on_where_its_image_is_in_the_batch(data: Dataset) -> None:
    small, large = Batches(data, MOVING, 5), Batches(data, replace(MOVING, batch=6), 5)
    whole = large.read(0)
    for step in range(3):
        part = small.read(step)
        assert np.array_equal(part.images, whole.images[2 * step : 2 * step + 2])


def test_an_image_is_seen_otherwise_in_another_epoch_and_under_another_seed(data: Dataset) -> None:
    recipe = replace(MOVING, batch=7)
    views = {}
    for seed, step in ((0, 0), (0, 1), (1, 0)):
        found = Batches(data, recipe, seed)
        place = found.indices(step)[1].tolist().index(3)
        views[seed, step] = found.read(step).images[place].tobytes()
    assert len(set(views.values())) == 3


@pytest.mark.parametrize("workers", [1, 3])
def test_the_number_of_workers_changes_nothing(data: Dataset, workers: int) -> None:
    alone = [Batches(data, MOVING, 1).read(step) for step in range(8)]
    with Batches(data, MOVING, 1).ahead(range(8), workers) as found:
        assert all(equal(one, other) for one, other in zip(alone, found, strict=True))


def test_a_training_that_goes_on_sees_what_it_would_have_seen(data: Dataset) -> None:
    with Batches(data, MOVING, 1).ahead(range(10), 2) as found:
        whole = list(found)
    with Batches(data, MOVING, 1).ahead(range(7, 10), 0) as rest:
        assert all(equal(one, other) for one, other in zip(whole[7:], rest, strict=True))


def test_processes_share_a_batch(data: Dataset) -> None:
    recipe = replace(MOVING, batch=6)
    whole = Batches(data, recipe, 1).read(0)
    for rank in range(3):
        assert np.array_equal(Batches(data, recipe, 1, rank, 3).read(0).images, whole.images[rank::3])


def test_images_are_decoded_once_while_they_fit(data: Dataset, monkeypatch: pytest.MonkeyPatch) -> None:
    read: list[int] = []
    decode = Dataset.read
    monkeypatch.setattr(Dataset, "read", lambda self, index, **more: read.append(index) or decode(self, index, **more))
    found = Batches(data, MOVING, 1)
    first = [found.read(step) for step in range(6)]
    assert len(read) == len(set(read)) <= 7
    monkeypatch.setattr(batches, "_KEPT_BYTES", 0)
    none_kept = Batches(data, MOVING, 1)
    assert all(equal(none_kept.read(step), batch) for step, batch in enumerate(first))
    assert len(read) > 14


def test_images_are_resized_before_augmentation(data: Dataset) -> None:
    recipe = Recipe(scale=(1, 1), flip=0, batch=2, resize=(12, 16))
    assert Batches(data, recipe, 0).read(0).images.shape == (2, 12, 16, 3)


def test_padding_of_some_images_alone(data: Dataset) -> None:
    found = [Batches(data, replace(MOVING, batch=6), seed).read(0) for seed in range(4)]
    assert any(batch.inside is not None for batch in found)
    for batch in found:
        if batch.inside is not None:
            assert batch.inside.shape == batch.labels.shape
            assert (batch.labels[~batch.inside] == 255).all()
    still = Batches(data, Recipe(scale=(1, 1), batch=2), 0).read(0)
    assert still.inside is None


@pytest.mark.parametrize(
    ("fields", "processes", "message"),
    [
        ({"batch": 8}, 1, "the split 'train' has 7 images to train on, fewer than a batch of 8; use a smaller --batch"),
        ({"batch": 3}, 2, "a batch of 3 cannot be shared by 2 processes; use a multiple of 2, as in --batch 4"),
        ({"pad_label": 4}, 1, "pad_label is 4, but 'toy' has the classes 0 to 3; use one of them, or none for void"),
    ],
)
def test_what_does_not_fit_the_data(data: Dataset, fields: dict[str, Any], processes: int, message: str) -> None:
    with pytest.raises(RecipeError, match=message):
        Batches(data, Recipe(**{"batch": 2, **fields}), 0, 0, processes)


def test_images_of_several_sizes_need_a_crop(tmp_path: Path) -> None:
    root = write_splits(tmp_path / "toy", train=4)
    other = cv2.imread(str(root / "images/train/train0.png"))[:20]
    cv2.imwrite(str(root / "images/train/train0.png"), other)
    cv2.imwrite(str(root / "labels/train/train0.png"), np.zeros((20, 32), np.uint8))
    dataset = request(root).dataset
    with pytest.raises(RecipeError, match=r"images of several sizes do not make a batch; state a --crop, as in --crop"):
        Batches(dataset, Recipe(batch=4), 0).read(0)
    assert Batches(dataset, Recipe(batch=4, crop=(24, 24)), 0).read(0).images.shape == (4, 24, 24, 3)


@pytest.mark.parametrize("workers", [0, 2])
def test_a_broken_file_is_named(tmp_path: Path, workers: int) -> None:
    root = write_splits(tmp_path / "toy", train=4)
    (root / "labels/train/train2.png").write_bytes(b"")
    found = Batches(request(root).dataset, Recipe(batch=2), 0)
    with pytest.raises(SegablateError, match=r"train2\.png: "), found.ahead(range(4), workers) as read:
        list(read)
