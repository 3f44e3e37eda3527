"""The distance transform against the definition, in both forms."""

import cv2
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from segablate.kernels import distance


def plainly(marked: np.ndarray) -> np.ndarray:
    """Every pixel against every marked one."""
    pixels = np.argwhere(np.ones_like(marked))
    sources = np.argwhere(marked)
    squares = ((pixels[:, None] - sources[None]) ** 2).sum(-1)
    nearest = squares.min(1) if len(sources) else np.full(len(pixels), np.inf)
    return np.sqrt(nearest).astype(np.float32).reshape(marked.shape)


FORMS = pytest.mark.parametrize("form", [distance._by_opencv, distance._by_shifts], ids=["opencv", "shifts"])


@FORMS
@settings(deadline=None, max_examples=60)
@given(arrays(bool, st.tuples(st.integers(1, 2), st.integers(1, 19), st.integers(1, 23)), elements=st.booleans()))
def test_both_forms_equal_the_definition(form, marked):
    np.testing.assert_array_equal(form(torch.from_numpy(marked)).numpy(), [plainly(image) for image in marked])


@pytest.mark.parametrize(("height", "width", "share"), [(120, 200, 1e-3), (200, 64, 0.02), (33, 1, 0.1), (1, 40, 0.1)])
def test_both_forms_agree_on_larger_maps(height, width, share):
    marked = torch.from_numpy(np.random.default_rng(height).random((2, height, width)) < share)
    marked[:, height // 2, width // 3] = True
    assert torch.equal(distance._by_opencv(marked), distance._by_shifts(marked))


@FORMS
@pytest.mark.parametrize("threads", [1, 4])
def test_far_away_squares_stay_exact(form, threads):
    """OpenCV chooses another library where it may use only one thread."""
    before = cv2.getNumThreads(), cv2.ipp.useIPP()
    cv2.setNumThreads(threads)
    try:
        far_away_squares_are_exact(form)
    finally:
        cv2.setNumThreads(before[0])
    assert cv2.ipp.useIPP() == before[1]


def far_away_squares_are_exact(form) -> None:
    marked = torch.zeros(1, 900, 40, dtype=torch.bool)
    marked[0, 0, 0] = True
    down, right = torch.meshgrid(torch.arange(900.0), torch.arange(40.0), indexing="ij")
    assert torch.equal(form(marked)[0], (down.double() ** 2 + right.double() ** 2).sqrt().float())


@FORMS
def test_nothing_marked_is_infinitely_far(form):
    marked = torch.zeros(2, 5, 7, dtype=torch.bool)
    marked[1] = True
    found = form(marked)
    assert found[0].isinf().all()
    assert (found[1] == 0).all()


@pytest.mark.gpu
def test_on_the_gpu():
    marked = torch.rand(2, 301, 190, generator=torch.Generator().manual_seed(0)) < 1e-3
    assert torch.equal(distance.distance_transform(marked.cuda()).cpu(), distance.distance_transform(marked))
