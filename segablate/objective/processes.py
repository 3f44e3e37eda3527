"""Counts that a loss divides by, summed over the processes that train together.

A loss that is declared with ``summed=True`` divides by ``summed(count)``: alone that is the count itself; where several
processes each hold a share of the batch it is the count over the whole batch, and the values of the processes add up
to the value of the batch.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor

_add: "ContextVar[Callable[[Tensor], Tensor] | None]" = ContextVar("add", default=None)


def summed(count: "Tensor") -> "Tensor":
    """Return the count, of any shape, summed over the processes that train together; alone, the count itself.

    Every process must call it equally often. The result takes no part in the gradient. A compiled function has a count
    of its own process.
    """
    import torch

    if torch.compiler.is_compiling():
        return count
    add = _add.get()
    return count if add is None else add(count.detach())


def sums() -> bool:
    """Return whether counts are summed over several processes."""
    return _add.get() is not None


@contextmanager
def summing_by(add: "Callable[[Tensor], Tensor] | None") -> Iterator[None]:
    """Sum counts by this function, which returns the sum over all processes, while the context lasts."""
    token = _add.set(add)
    try:
        yield
    finally:
        _add.reset(token)
