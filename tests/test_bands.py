"""Bands of distance from the label boundary are those of an exact distance transform."""

import numpy as np
import pytest
import torch
from scipy.ndimage import distance_transform_edt

from segablate.kernels.boundary import boundary_distances, boundary_map
from segablate.kernels.disks import within
from segablate.labels import IGNORE
from segablate.metrics.bands import (
    BANDS,
    RADII,
    accuracy,
    band_map,
    count_by_distance,
    distance_sums,
    nested_bands,
)

SIZES = ((1, 1), (1, 200), (63, 64), (64, 63), (90, 65), (40, 129))


def plain_boundary(labels: np.ndarray) -> np.ndarray:
    """Pixels with a 4-neighbour of another class, where both are labelled."""
    found = np.zeros(labels.shape, bool)
    for y, x in np.ndindex(labels.shape):
        for v, u in ((y, x + 1), (y, x - 1), (y + 1, x), (y - 1, x)):
            inside = 0 <= v < labels.shape[0] and 0 <= u < labels.shape[1]
            if inside and IGNORE not in (labels[y, x], labels[v, u]) and labels[y, x] != labels[v, u]:
                found[y, x] = True
    return found


def plain_bands(labels: np.ndarray) -> np.ndarray:
    edge = plain_boundary(labels)
    distance = distance_transform_edt(~edge) if edge.any() else np.full(labels.shape, np.inf)
    band = np.digitize(np.asarray(distance), RADII, right=True)
    return np.where(labels == IGNORE, len(RADII) + 1, band)


def blocks(size: tuple[int, int], seed: int, side: int) -> np.ndarray:
    rng = np.random.default_rng(seed)
    coarse = rng.integers(0, 3, (size[0] // side + 1, size[1] // side + 1), np.uint8)
    labels = coarse.repeat(side, 0).repeat(side, 1)[: size[0], : size[1]].copy()
    labels[rng.random(size) < 0.02] = IGNORE
    return labels


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("share", [0.0, 0.001, 0.02, 1.0])
def test_within_is_the_distance_transform_cut_off(size: tuple[int, int], share: float) -> None:
    marked = np.random.default_rng(size[1]).random(size) < share
    distance = np.asarray(distance_transform_edt(~marked)) if marked.any() else np.full(size, np.inf)
    radii = (0, 1, 2, 3, 10, 23)
    for radius, found in zip(radii, within(marked, radii), strict=True):
        assert np.array_equal(found, distance <= radius), radius


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("side", [1, 7, 40])
def test_bands_and_their_counts(size: tuple[int, int], side: int) -> None:
    labels = blocks(size, 3, side)
    predicted = np.where(np.random.default_rng(4).random(size) < 0.3, IGNORE, labels).astype(np.uint8)
    nested, expected = nested_bands(labels), plain_bands(labels)
    assert np.array_equal(band_map(nested), expected)
    counts = count_by_distance(nested, labels, predicted)
    right = labels == predicted
    assert counts.tolist() == [[(expected == b).sum(), ((expected == b) & right).sum()] for b in range(3)]
    maps = (torch.from_numpy(m) for m in (labels, predicted, band_map(nested)))
    assert distance_sums(*maps).tolist() == counts.tolist()


def test_bands_end_at_3_and_10_pixels() -> None:
    labels = np.zeros((1, 16), np.uint8)
    labels[0, 0] = 1  # boundary pixels 0 and 1: the pixel at x is x - 1 from it
    assert band_map(nested_bands(labels)).tolist() == [[0] * 5 + [1] * 7 + [2] * 4]
    assert BANDS == ("up to 3 px", "3 to 10 px", "beyond 10 px")


def test_without_a_boundary_all_is_far_and_void_is_nowhere() -> None:
    far, void = np.zeros((4, 5), np.uint8), np.full((4, 5), IGNORE, np.uint8)
    assert count_by_distance(nested_bands(far), far, far).tolist() == [[0, 0], [0, 0], [20, 20]]
    assert count_by_distance(nested_bands(void), void, void).tolist() == [[0, 0]] * 3


def test_accuracy_of_an_empty_band_is_undefined() -> None:
    assert accuracy(np.array([[4, 3], [0, 0]])).tolist() == pytest.approx([0.75, np.nan], nan_ok=True)


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("side", [1, 7, 40])
def test_boundaries_that_are_known_are_not_looked_for_again(size: tuple[int, int], side: int) -> None:
    labels, predicted = blocks(size, 1, side), blocks(size, 2, side) % 3
    known = boundary_map(labels, labels)
    assert np.array_equal(known != IGNORE, plain_boundary(labels))
    assert np.array_equal(known[known != IGNORE], labels[known != IGNORE])
    for one, other in zip(nested_bands(labels), nested_bands(labels, known), strict=True):
        assert np.array_equal(one, other)
    without, with_it = (boundary_distances(labels, predicted, 3, 25, given) for given in (None, known))
    for one, other in zip(without, with_it, strict=True):
        assert np.array_equal(one, other)
    none = np.full_like(labels, IGNORE)
    assert not nested_bands(labels, none)[0].any()
