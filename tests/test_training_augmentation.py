"""Views: labels stay on their pixels; chance has the range that the recipe states, and comes from the generator."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from segablate.training.augmentation import View, augment, resized
from segablate.training.recipe import Recipe
from segablate.training.recolouring import recolour

STILL: dict[str, Any] = {"scale": (1.0, 1.0), "flip": 0.0}


def black_and_white(size: tuple[int, int] = (64, 80)) -> tuple[np.ndarray, np.ndarray]:
    """A label map of two classes in blocks, and the image whose white is class 1."""
    rows, columns = np.indices(size) // 8
    labels = ((rows * 7 + columns * 3) % 5 < 2).astype(np.uint8)
    return np.repeat(labels[..., None] * np.uint8(255), 3, axis=2), labels


def places(size: tuple[int, int] = (40, 50)) -> tuple[np.ndarray, np.ndarray]:
    """An image whose red is the row and whose green is the column; one class."""
    rows, columns = np.indices(size).astype(np.uint8)
    return np.stack([rows, columns, np.zeros_like(rows)], axis=2), np.zeros(size, np.uint8)


def views(image: np.ndarray, labels: np.ndarray, count: int = 300, **fields: Any) -> list[View]:
    recipe = Recipe(**{**STILL, **fields})
    return [augment(image, labels, recipe, np.random.default_rng([3, index])) for index in range(count)]


@pytest.mark.parametrize(
    "fields",
    [
        {"scale": (0.4, 2.5)},
        {"scale": (0.4, 2.5), "crop": (48, 56), "flip": 0.5},
        {"scale": (0.5, 2.0), "crop": (80, 96), "fill": True, "flip": 0.5},
        {"shorter": 50, "crop": (70, 30), "flip": 1.0},
    ],
)
def test_labels_stay_on_their_pixels(fields: dict[str, Any]) -> None:
    wrong = []
    for view in views(*black_and_white(), 40, **fields):
        assert view.image.shape == (*view.labels.shape, 3)
        assert set(np.unique(view.labels)) <= {0, 1, 255}
        known = view.labels != 255
        wrong.append(np.mean((view.image[..., 0] > 127)[known] != (view.labels == 1)[known]))
    assert np.mean(wrong) < 0.02  # INTER_NEAREST, whose pixels are off by up to a half, gives 0.04 to 0.09


def test_resizing_keeps_labels_on_their_pixels() -> None:
    for size in ((32, 40), (100, 90), (64, 80)):
        image, labels = resized(*black_and_white(), size)
        assert labels.shape == size
        assert np.mean((image[..., 0] > 127) != (labels == 1)) < 0.02


def test_a_view_has_the_size_of_the_crop_or_of_the_image() -> None:
    image, labels = places()
    assert {view.labels.shape for view in views(image, labels, 20, scale=(0.3, 3.0))} == {labels.shape}
    assert {view.labels.shape for view in views(image, labels, 20, scale=(0.3, 3.0), crop=(64, 16))} == {(64, 16)}


def test_rescaling_has_the_range_of_the_recipe() -> None:
    heights = [view.inside[:, 0].sum() for view in views(*places(), scale=(0.2, 0.9)) if view.inside is not None]
    assert len(heights) == 300
    assert min(heights) >= 8
    assert max(heights) <= 36
    assert np.mean(heights) == pytest.approx(40 * 0.55, abs=1.5)
    assert len(set(heights)) > 20


def test_rescaling_in_steps() -> None:
    heights = [view.inside[:, 0].sum() for view in views(*places(), scale=(0.25, 0.75), scale_step=0.25)]  # type: ignore[index]
    assert set(heights) == {10, 20, 30}
    assert min(heights.count(height) for height in (10, 20, 30)) > 70


def test_scale_refers_to_the_shorter_side() -> None:
    (view,) = views(*places((40, 80)), 1, shorter=20)
    assert view.inside is not None
    assert (view.inside[:, 0].sum(), view.inside[0].sum()) == (20, 40)


def test_crops_are_anywhere() -> None:
    corners = [tuple(view.image[0, 0, :2]) for view in views(*places(), 600, crop=(32, 30))]
    rows, columns = np.array(corners).T
    assert set(rows) == set(range(9))
    assert set(columns) == set(range(21))
    assert rows.mean() == pytest.approx(4, abs=0.5)
    assert columns.mean() == pytest.approx(10, abs=1)


def test_mirroring_has_the_chance_of_the_recipe() -> None:
    for chance in (0.0, 0.25, 1.0):
        mirrored = [view.image[0, 0, 1] == 49 for view in views(*places(), 400, flip=chance)]
        assert np.mean(mirrored) == pytest.approx(chance, abs=0.07 * (0 < chance < 1))


def test_padding_is_void_and_outside() -> None:
    (view,) = views(*places(), 1, scale=(0.5, 0.5), pad_colour=(1, 2, 3))
    assert view.inside is not None
    assert (view.image[~view.inside] == (1, 2, 3)).all()
    assert (view.labels[~view.inside] == 255).all()
    assert (view.labels[view.inside] == 0).all()
    assert view.inside.sum() == 20 * 25
    assert view.inside[:20, :25].all()


def test_padding_may_be_a_class_and_then_takes_part() -> None:
    (view,) = views(*places(), 1, scale=(0.5, 0.5), pad_label=3)
    assert view.inside is None
    assert (view.labels == 3).sum() == 40 * 50 - 20 * 25


def test_padding_is_mirrored_and_cut_with_the_image() -> None:
    (view,) = views(*places(), 1, scale=(0.5, 0.5), flip=1.0, pad_colour=(0, 0, 9))
    assert view.inside is not None
    assert (view.inside == (view.image[..., 2] != 9)).all()
    assert (view.inside == (view.labels != 255)).all()
    assert not view.inside[0, 0]


def test_an_image_may_be_enlarged_to_the_crop_instead() -> None:
    for view in views(*places(), 10, scale=(0.1, 3.0), crop=(60, 60), fill=True):
        assert view.inside is None
        assert not (view.labels == 255).any()


def test_no_class_fills_a_crop_where_another_can_be_found() -> None:
    labels = np.zeros((64, 64), np.uint8)
    labels[:, 40:] = 1
    image = np.zeros((64, 64, 3), np.uint8)

    def shares(limit: float) -> list[float]:
        found = views(image, labels, 100, crop=(16, 16), crop_share=limit)
        return [max(np.mean(view.labels == 0), np.mean(view.labels == 1)) for view in found]

    assert np.mean(np.array(shares(0.75)) < 0.75) > 0.8
    assert np.mean(np.array(shares(1.0)) < 0.75) < 0.3


def test_the_same_state_gives_the_same_view() -> None:
    image, labels = black_and_white()
    recipe = Recipe(scale=(0.5, 2.0), crop=(48, 48), photometric=True, brightness=0.2, tint=0.1, blur=0.5)
    first, again, other = (augment(image, labels, recipe, np.random.default_rng(seed)) for seed in (1, 1, 2))
    assert np.array_equal(first.image, again.image)
    assert np.array_equal(first.labels, again.labels)
    assert not np.array_equal(first.image, other.image)


def test_colours_are_changed_by_the_formulas() -> None:
    """One affine map, rounded once, against each factor in turn in float64."""
    image = np.random.default_rng(0).integers(0, 256, (16, 16, 3), dtype=np.uint8)
    recipe = Recipe(brightness=0.25, tint=0.07, contrast=0.2, saturation=0.4)
    for seed in range(20):
        rng = np.random.default_rng(seed)
        light, tint = rng.uniform(0.75, 1.25, 1), rng.uniform(0.93, 1.07, 3)
        contrast, saturation = rng.uniform(0.8, 1.2, 1), rng.uniform(0.6, 1.4, 1)
        expected = 127.5 + contrast * (image * light * tint - 127.5)
        grey = expected.mean(axis=2, keepdims=True)
        expected = (grey + saturation * (expected - grey)).clip(0, 255)
        found = recolour(image, recipe, np.random.default_rng(seed))
        assert np.abs(found - expected).max() <= 1.01


def each_alone() -> list[tuple[str, Callable[[np.ndarray], np.ndarray]]]:
    """What a factor keeps, by its field: ratios of channels, the mean of channels, mid-grey."""
    return [
        ("brightness", lambda image: image[..., 0] / image[..., 1]),
        ("saturation", lambda image: image.mean(axis=-1)),
    ]


@pytest.mark.parametrize(("field", "kept"), each_alone())
def test_a_factor_changes_what_it_is_named_after_alone(field: str, kept: Callable[[np.ndarray], np.ndarray]) -> None:
    image = np.full((4, 4, 3), (80, 100, 120), np.uint8)
    found = [recolour(image, Recipe(**{field: 0.3}), np.random.default_rng(seed)) for seed in range(30)]
    assert len({view.tobytes() for view in found}) > 10
    for view in found:
        assert kept(view.astype(float)) == pytest.approx(kept(image.astype(float)), rel=0.02)


def test_contrast_is_around_mid_grey() -> None:
    image = np.stack([np.full((4, 4), value, np.uint8) for value in (28, 127, 228)], axis=2)
    found = np.array([recolour(image, Recipe(contrast=0.5), np.random.default_rng(seed))[0, 0] for seed in range(100)])
    assert found[:, 1].min() >= 127
    assert found[:, 1].max() <= 128
    assert found[:, 0].min() <= 10
    assert found[:, 0].max() >= 70


def test_photometric_distortion_has_the_bounds_of_mmsegmentation() -> None:
    grey = np.full((4, 4, 3), 100, np.uint8)  # which saturation and hue leave alone
    found = np.array([recolour(grey, Recipe(photometric=True), np.random.default_rng(s))[0, 0, 0] for s in range(800)])
    assert found.min() >= 34
    assert found.max() <= 198
    assert found.min() <= 40
    assert found.max() >= 185
    assert np.mean(found == 100) == pytest.approx(0.25, abs=0.05)


def test_photometric_distortion_changes_saturation_half_the_time() -> None:
    """Where neither contrast nor saturation changes, with a probability of 1/4, largest minus smallest stays.

    It also does where they change by less than the rounding: in 5 % more, or thereabouts.
    """
    dim = np.full((4, 4, 3), (80, 40, 40), np.uint8)  # which no distortion cuts at 0 or 255
    found = [recolour(dim, Recipe(photometric=True), np.random.default_rng(s))[0, 0].astype(int) for s in range(1600)]
    assert np.mean([abs(np.ptp(colour) - 40) <= 1 for colour in found]) == pytest.approx(0.3, abs=0.05)


def test_photometric_distortion_turns_hue_by_a_tenth_of_the_circle_at_most() -> None:
    red = np.full((4, 4, 3), (200, 40, 40), np.uint8)
    found = [recolour(red, Recipe(photometric=True), np.random.default_rng(s))[0, 0].astype(int) for s in range(300)]
    assert all(colour[0] == colour.max() for colour in found)  # 36 degrees from red are still reddest
    assert any(colour[1] > colour[2] + 20 for colour in found)
    assert any(colour[2] > colour[1] + 20 for colour in found)
    assert np.mean([colour[1] == colour[2] for colour in found]) == pytest.approx(
        0.51, abs=0.08
    )  # half of all, 1 in 37


def test_blur_has_the_chance_of_the_recipe_and_keeps_a_plain_colour() -> None:
    image, _ = black_and_white()
    blurred = [
        not np.array_equal(recolour(image, Recipe(blur=0.5), np.random.default_rng(s)), image) for s in range(200)
    ]
    assert 0.2 < np.mean(blurred) < 0.55  # a tiny sigma changes nothing
    plain = np.full((8, 8, 3), 77, np.uint8)
    assert (recolour(plain, Recipe(blur=1.0), np.random.default_rng(0)) == 77).all()


def test_colours_stay_where_the_recipe_changes_none() -> None:
    image, _ = black_and_white()
    assert recolour(image, Recipe(), np.random.default_rng(0)) is image
