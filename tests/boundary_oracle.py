"""Boundary scores by the definition, pixel by pixel and pair by pair, and the maps they are tried on."""

from itertools import product
from math import hypot, nan

import numpy as np
import pytest
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from segablate.metrics.boundary import boundary_sums, count_boundaries

VOID = 255


def slow_boundary(values, labels, c):
    """Pixels of class ``c`` with a 4-neighbour of another class, no void among the two."""
    height, width = values.shape
    edge = []
    for y, x in product(range(height), range(width)):
        if values[y, x] != c or labels[y, x] == VOID:
            continue
        around = [(y - 1, x), (y + 1, x), (y, x - 1), (y, x + 1)]
        inside = [(v, u) for v, u in around if 0 <= v < height and 0 <= u < width and labels[v, u] != VOID]
        if any(values[place] != c for place in inside):
            edge.append((y, x))
    return edge


def slow_matches(sources, targets, tolerance):
    """How many sources have a target within ``tolerance``."""
    return sum(any(hypot(y - v, x - u) <= tolerance + 1e-9 for v, u in targets) for y, x in sources)


def slow_sums(labels, predicted, classes, tolerance):
    """(4, C): matched predicted, predicted, matched labelled, labelled."""
    sums = []
    for c in range(classes):
        found, wanted = slow_boundary(predicted, labels, c), slow_boundary(labels, labels, c)
        matches = slow_matches(found, wanted, tolerance), slow_matches(wanted, found, tolerance)
        sums.append((matches[0], len(found), matches[1], len(wanted)))
    return np.array(sums).T


def slow_f(matched_predicted, predicted, matched_labelled, labelled):
    if predicted + labelled == 0:
        return nan
    if 0 in (matched_predicted, matched_labelled):
        return 0.0
    precision, recall = matched_predicted / predicted, matched_labelled / labelled
    return 2 * precision * recall / (precision + recall)


@st.composite
def map_pairs(draw):
    """Noise or blocks of 1..5 classes, void in the labels, values outside the label set in the predictions."""
    classes = draw(st.integers(1, 5))
    shape = draw(st.tuples(st.integers(1, 12), st.integers(1, 12)))
    block = draw(st.integers(1, 5))
    coarse = tuple(-(-side // block) for side in shape)
    grow = np.ones((block, block), np.uint8)
    maps = []
    for other in ([VOID], [classes, 254, VOID]):
        values = st.sampled_from([*range(classes), *range(classes), *other])
        maps.append(np.kron(draw(arrays(np.uint8, coarse, elements=values)), grow)[: shape[0], : shape[1]])
    return *maps, classes


def noise(shape, classes, seed):
    return np.random.default_rng(seed).integers(0, classes, shape).astype(np.uint8)


def disk(centre, radius, shape=(48, 64)):
    rows, columns = np.ogrid[: shape[0], : shape[1]]
    return ((rows - centre[0]) ** 2 + (columns - centre[1]) ** 2 <= radius**2).astype(np.uint8)


def degenerate_pairs():
    one, flat = np.zeros((1, 1), np.uint8), np.zeros((7, 9), np.uint8)
    dot = flat.copy()
    dot[3, 4] = 1
    outside = flat.copy()
    outside[:, 5:] = 77
    islands = np.full((9, 9), VOID, np.uint8)
    islands[::2, ::2] = noise((5, 5), 3, 0)
    many = np.arange(254, dtype=np.uint8).repeat(3).reshape(-1, 6)
    return {
        "one pixel": (one, one, 1),
        "one pixel, void": (one + VOID, one, 1),
        "one pixel, outside": (one, one + VOID, 1),
        "one class fills the frame": (flat, flat, 1),
        "another class fills the frame": (flat, flat + 1, 2),
        "all void": (flat + VOID, noise((7, 9), 3, 1), 3),
        "a single pixel lost": (dot, flat, 2),
        "a single pixel invented": (flat, dot, 2),
        "absent classes": (dot, dot, 6),
        "half outside the label set": (flat, outside, 3),
        "all outside the label set": (dot, flat + 9, 2),
        "no labelled neighbours": (islands, noise((9, 9), 3, 2), 3),
        "one row": (noise((1, 31), 3, 3), noise((1, 31), 3, 4), 3),
        "one column": (noise((31, 1), 3, 5), noise((31, 1), 3, 6), 3),
        "254 classes": (many, np.roll(many, 2, axis=1), 254),
        "255 classes": (many, np.full_like(many, VOID), 255),
        "odd sizes": (noise((13, 17), 4, 7), noise((13, 17), 4, 8), 4),
    }


degenerate = pytest.mark.parametrize(
    ("labels", "predicted", "classes"), degenerate_pairs().values(), ids=degenerate_pairs().keys()
)


def sums_of(labels, predicted, classes, tolerance):
    return boundary_sums(count_boundaries(labels, predicted, classes, [tolerance]), tolerance)
