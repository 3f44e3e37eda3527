"""What several settings of a loss have in common, worked out once for one batch.

::

    with sharing():
        for settings in sweep:
            term(logits, labels, **settings)

A loss says which of its steps can be shared by ``@shared``; outside the block such a step is an ordinary function.
"""

import functools
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, TypeVar

import torch
from torch import Tensor

Result = TypeVar("Result")

_kept: ContextVar[dict[Any, tuple[Any, Any]] | None] = ContextVar("kept", default=None)


@contextmanager
def sharing() -> Iterator[None]:
    """Inside the block, shared steps are remembered; the tensors must not be written to meanwhile."""
    token = _kept.set({})
    try:
        yield
    finally:
        _kept.reset(token)


def shared(function: Callable[..., Result]) -> Callable[..., Result]:
    """A step whose result, inside :func:`sharing`, is kept for the same tensors and equal other arguments.

    Arguments are tensors and hashable values; the caller must not write to the result. Steps that autograd records are
    worked out anew: the graph of one setting is gone when the next one needs it.
    """

    @functools.wraps(function)
    def remembered(*arguments: Any) -> Result:
        kept = _kept.get()
        if kept is None or (torch.is_grad_enabled() and any(map(_recorded, arguments))):
            return function(*arguments)
        key = function, *(id(each) if isinstance(each, Tensor) else each for each in arguments)
        if key not in kept:
            kept[key] = function(*arguments), arguments  # the tensors are held: the id of a freed one comes again
        return kept[key][0]

    return remembered


def _recorded(argument: Any) -> bool:
    return isinstance(argument, Tensor) and argument.requires_grad
