"""Draw outlines and runs as pycocotools does; the checks that every shape passes first."""

import warnings
from typing import Any

import numpy as np

from segablate.datasets.conversion.shapes import Flaw
from segablate.extras import require

_FAR = 16
"""Points may be this many image sizes away: what draws them takes time and memory in proportion to their distance."""


def checked_points(values: Any, height: int, width: int, least: int = 3) -> np.ndarray:
    """Return the points of a shape, N, 2 float64 x and y; `values` are pairs, or a flat list of x, y, x, y, ...

    Raises Flaw for fewer than `least` points, for what is no number, and for shapes outside the image.
    """
    try:
        points = np.asarray(values, np.float64)
        points = points.reshape(-1, 2) if points.ndim < 3 else points.reshape(0, 3)
    except (ValueError, TypeError, OverflowError):
        raise Flaw("whose points are no pairs of numbers") from None
    if points.shape[-1] != 2 or not np.isfinite(points).all():
        raise Flaw("whose points are no pairs of numbers")
    if len(points) < least:
        raise Flaw(f"of fewer than {least} points")
    low, high = points.min(axis=0), points.max(axis=0)
    if (high < 0).any() or (low > (width, height)).any():
        raise Flaw("outside the image")
    if max(-low.min(), high.max()) > _FAR * (height + width):
        raise Flaw("far beyond the image")
    return points


def outline(polygon: Any, height: int, width: int) -> np.ndarray:
    """Return the inside of a polygon, H, W bool, as ``pycocotools.mask`` draws it."""
    points = checked_points(polygon, height, width).reshape(-1).tolist()
    masks = require("pycocotools.mask", "coco", "drawing the polygons of COCO and CVAT")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # of NumPy 2, inside pycocotools
        return masks.decode(masks.frPyObjects([points], height, width)[0]).astype(bool)


def box(corners: Any, height: int, width: int) -> np.ndarray:
    """Return every pixel that a box touches, H, W bool; `corners`: two opposite ones, or all points inside.

    Raises Flaw as :func:`checked_points`.
    """
    points = checked_points(corners, height, width, 2)
    left, top = np.floor(points.min(axis=0)).clip(0).astype(int)
    right, bottom = np.ceil(points.max(axis=0)).clip(0).astype(int)
    mask = np.zeros((height, width), bool)
    mask[top:bottom, left:right] = True
    return mask


def runs(stored: Any, height: int, width: int) -> np.ndarray:
    """Return the mask of run lengths, ``{"size": [H, W], "counts": ...}``, H, W bool; counts as numbers or as text.

    Raises Flaw for runs of another size than the image, and for those that do not fill it. They are read here and not
    by pycocotools, which takes text of any length as if it filled the image.
    """
    size, counts = stored.get("size"), stored.get("counts")
    if not isinstance(size, list) or [height, width] != size:
        raise Flaw("whose runs are of another size than the image")
    try:
        lengths = np.asarray(_lengths(counts) if isinstance(counts, str) else counts, np.int64)
    except (ValueError, TypeError, OverflowError):
        raise Flaw("whose runs are no numbers") from None
    if lengths.ndim != 1 or (lengths < 0).any() or sum(lengths.tolist()) != height * width:
        raise Flaw("whose runs do not fill the image")
    return filled(lengths, height * width).reshape(width, height).T


def _lengths(text: str) -> list[int]:
    """Return the run lengths in COCO's text: signed differences to the run before the last, in groups of five bits.

    Each character is 48 more than five bits, the lowest group first, and 32 where another group follows.
    """
    lengths: list[int] = []
    value = shift = 0
    for byte in text.encode("ascii"):
        bits = byte - 48
        value |= (bits & 31) << shift
        shift += 5
        if not bits & 32:
            value -= (1 << shift) if bits & 16 else 0
            lengths.append(value + lengths[-2] if len(lengths) > 2 else value)
            value = shift = 0
    return lengths


def filled(lengths: np.ndarray, count: int) -> np.ndarray:
    """Return `count` pixels, bool, of run lengths that begin with a run of False and sum to no more."""
    values = np.repeat(np.arange(len(lengths)) % 2 == 1, lengths)
    return np.pad(values, (0, count - len(values)))
