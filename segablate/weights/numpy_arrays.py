"""NumPy arrays in pickles, rebuilt without numpy's own functions.

Numpy pickles an array as ``_reconstruct(ndarray, (0,), b"b")`` with the state ``(1, shape, dtype, order, bytes)``, or
under protocol 5 as ``_frombuffer(bytes, dtype, shape, order)``; a dtype as ``dtype("f4", False, True)`` with a state
whose second entry is the byte order. See ``numpy/_core/src/multiarray/methods.c`` (``array_reduce``) and
``descriptor.c`` (``arraydescr_reduce``).
"""

import math
import re
from typing import TYPE_CHECKING, Any

import numpy as np

from segablate.errors import CheckpointError
from segablate.weights.unpickling import Built, Known

if TYPE_CHECKING:
    from torch import Tensor

_PLAIN = re.compile(r"[|<>=]?[biuf][1248]|\?|[|<>=]?b1")
"""Descriptions of dtypes that tensors may have, without objects and fields."""


class ArrayType(Built):
    """A pickled ``numpy.dtype``."""

    def __init__(self, description: object = "", *_: object) -> None:
        self.description = description
        self.order = "="

    def build(self, state: Any) -> None:
        if isinstance(state, tuple) and len(state) > 1 and state[1] in ("<", ">", "|", "="):
            self.order = state[1]

    def dtype(self) -> np.dtype:
        if not isinstance(self.description, str) or not _PLAIN.fullmatch(self.description):
            raise CheckpointError(f"it holds an array of {str(self.description)[:40]}, which is not read; save numbers")
        return np.dtype(self.description).newbyteorder(self.order)  # type: ignore[arg-type]


class PickledArray(Built):
    """A pickled ``numpy.ndarray``: known by its bytes, and a tensor when asked for."""

    def __init__(self, data: Any = b"", kind: Any = None, shape: Any = (0,), fortran: bool = False) -> None:
        self.data, self.kind, self.shape, self.fortran = data, kind, shape, fortran

    def build(self, state: Any) -> None:
        _, self.shape, self.kind, self.fortran, self.data = state

    def tensor(self) -> "Tensor":
        """Return the array as a tensor. Raises CheckpointError for objects and structures, ValueError for damage."""
        import torch

        data = self.data.encode("latin-1") if isinstance(self.data, str) else self.data
        if not isinstance(self.kind, ArrayType) or not isinstance(data, bytes | bytearray):
            raise CheckpointError("it holds an array of objects, which is not read; save numbers")
        shape = self.shape if isinstance(self.shape, tuple) else (self.shape,)
        dtype = self.kind.dtype()
        if not all(isinstance(side, int) and side >= 0 for side in shape) or (
            math.prod(shape) * dtype.itemsize != len(data)
        ):
            raise ValueError("an array of another size than stated")
        values = np.frombuffer(data, dtype).reshape(shape, order="F" if self.fortran else "C")
        return torch.from_numpy(np.array(values, dtype.newbyteorder("="), order="C"))


def _reconstructed(*_: object) -> PickledArray:
    return PickledArray()


def _from_buffer(data: Any, kind: Any, shape: Any, order: Any = "C", *_: object) -> PickledArray:
    return PickledArray(data, kind, shape, order == "F")


KNOWN = {
    "numpy.dtype": Known(ArrayType),
    "numpy.ndarray": Known(_reconstructed),
    **{f"numpy.{core}.multiarray._reconstruct": Known(_reconstructed) for core in ("core", "_core")},
    **{f"numpy.{core}.numeric._frombuffer": Known(_from_buffer) for core in ("core", "_core")},
}
"""The functions of numpy that pickles of arrays name."""
