"""Read label maps from .npy and .mat files, whose sizes are judged before anything is allocated."""

import zlib
from collections.abc import Iterator
from io import BytesIO
from math import prod
from typing import Any

import numpy as np

from segablate.archives import HEADER_BYTES, DamagedArchive, read_header
from segablate.errors import SegablateError, counted
from segablate.files import Unreadable
from segablate.images.header import line
from segablate.images.mat_elements import byte_order, check_elements
from segablate.limits import PIXEL_BYTES, STRUCTURE_FACTOR, STRUCTURE_START, TooLarge, check_pixels

_COMPRESSED = 15  # data type of a compressed element in a .mat file


def whole_numbers(values: np.ndarray) -> np.ndarray:
    """Return codes as integers; floats only if all are whole. Raises Unreadable for fractions and what is no number."""
    if values.dtype.kind in "iub":
        return values
    if values.dtype.kind != "f":
        raise Unreadable(f"holds {values.dtype}; expected integers")
    whole = are_whole(values)
    if not whole.all():
        first = values[~whole][0]
        raise Unreadable(
            f"holds {values.dtype}, {counted(int((~whole).sum()), 'value')} of which not whole (first: {first:g}); "
            f"save class codes as integers"
        )
    return values.astype(np.int64)


def are_whole(values: np.ndarray) -> np.ndarray:
    """Return for each number whether it is whole, and exact as a double."""
    if values.dtype.kind != "f":
        return np.ones(values.shape, bool)
    wide = values.astype(np.float64)
    return np.isfinite(wide) & (wide == np.floor(wide)) & (np.abs(wide) < 2**53)


def read_npy(data: np.ndarray) -> np.ndarray:
    """Return the H, W integers of a .npy file (uint8 bytes).

    Raises Unreadable for other files, and TooLarge beyond the limit.
    """
    try:
        shape, fortran, dtype, start = read_header(data[: HEADER_BYTES + 12].tobytes())
    except DamagedArchive as error:
        raise Unreadable(str(error)) from None
    if len(shape) != 2 or dtype.kind not in "iubf" or not prod(shape):
        described = "x".join(map(str, shape)) or "()"
        scores = "; scores, K x H x W, are read from .npz" if len(shape) == 3 and dtype.kind == "f" else ""
        raise Unreadable(f"holds {dtype} of shape {described}; expected H x W integers{scores}")
    check_pixels(shape[0], shape[1], 1, dtype.itemsize)
    if start + prod(shape) * dtype.itemsize > len(data):
        raise Unreadable(f"is cut off at byte {len(data)}; save it with numpy.save")
    values = np.frombuffer(data, dtype, prod(shape), start).reshape(shape, order="F" if fortran else "C")
    return whole_numbers(np.ascontiguousarray(values, dtype.newbyteorder("=")))


def read_mat(data: np.ndarray) -> np.ndarray:
    """Return the single matrix of whole numbers in a MATLAB file (uint8 bytes), also inside structures.

    MATLAB stores doubles. Raises Unreadable for other files, and TooLarge beyond the limits.
    """
    from scipy.io import loadmat, whosmat

    stored = data.tobytes()
    try:
        structured = any(kind in ("cell", "struct", "object") for _, _, kind in whosmat(BytesIO(stored)))
        _check_inflated(stored, structured)
        if order := byte_order(stored):
            check_elements(stored, order)
        found = list(_matrices(loadmat(BytesIO(stored), mat_dtype=False), ""))
    except NotImplementedError:
        raise Unreadable("MATLAB 7.3 is another format; save it with -v7") from None
    except SegablateError:
        raise
    except Exception as error:  # the reader raises anything on damaged files
        raise Unreadable(f"not a readable MATLAB file ({line(error)}); replace it") from None
    whole = [(name, values) for name, values in found if are_whole(values).all()] if len(found) > 1 else found
    if len(whole) != 1:
        names = f"{len(whole)} ({', '.join(name for name, _ in whole[:5])})" if whole else "none"
        raise Unreadable(f"must hold one H x W matrix of whole numbers, but holds {names}; save it alone")
    return whole_numbers(whole[0][1])


def _check_inflated(stored: bytes, structured: bool) -> None:
    """Raise TooLarge for variables that take more memory than allowed: as pixels, or with structures, as structures."""
    size = sum(_element_sizes(stored))
    most = STRUCTURE_FACTOR * len(stored) + STRUCTURE_START if structured else PIXEL_BYTES
    if size > most:
        raise TooLarge(f"its variables take {size / 2**20:.0f} MiB when read; at most {most / 2**20:.0f} MiB are read")


def _element_sizes(stored: bytes) -> Iterator[int]:
    """Yield the size of each element of a MATLAB 5 file as it is when inflated; none for other versions."""
    order, place = byte_order(stored), 128
    while order and place + 8 <= len(stored):
        kind, size = (int.from_bytes(stored[place + shift : place + shift + 4], order) for shift in (0, 4))
        start = place + 8
        if kind == _COMPRESSED:
            inner = zlib.decompressobj().decompress(stored[start : start + 1024], 8)
            yield int.from_bytes(inner[4:8], order)
        else:
            yield size
        place = start + size


def _matrices(node: Any, name: str) -> Iterator[tuple[str, np.ndarray]]:
    """Yield matrices of numbers and their names, but not the rows, columns and single numbers."""
    if isinstance(node, dict):
        for key, value in node.items():
            if not key.startswith("__"):
                yield from _matrices(value, key)
    elif isinstance(node, np.ndarray) and node.dtype.names and node.size == 1:
        for field in node.dtype.names:
            yield from _matrices(node[field].item(), f"{name}.{field}")
    elif isinstance(node, np.ndarray) and node.ndim == 2 and min(node.shape) > 1 and node.dtype.kind in "iubf":
        yield name, node
