"""Label maps as the kernels for the host take them: of one byte, or of two where there are more than 255 classes.

Void has all bits set in either type, so that it is the largest value; its index is that of
:func:`segablate.labels.ignored_in`.
"""

import numpy as np
from numpy.typing import NDArray

Map = NDArray[np.unsignedinteger]
"""Class indices, (H, W), uint8 or uint16."""


def full_where(mask: NDArray[np.bool_], like: Map) -> Map:
    """Return all bits where the mask is set and 0 elsewhere, in the type of another map."""
    return np.negative(mask.view(np.uint8) if like.dtype == np.uint8 else mask.astype(np.uint16))


def all_bits(marks: NDArray, like: Map) -> Map:
    """Return marks of OpenCV, 255 or 0, as all bits or 0 in the type of another map."""
    return marks if like.dtype == np.uint8 else np.multiply(marks, 257, dtype=np.uint16)
