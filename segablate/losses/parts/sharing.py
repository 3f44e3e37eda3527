"""Steps that several settings of a loss have in common, computed once for one batch.

::

    with sharing():
        for settings in sweep:
            loss(logits, labels, **settings)

A loss marks the steps that can be shared by ``@shared``; outside the block such a step is an ordinary function.
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
    """Remember the results of shared steps inside the block; the tensors must not be written to in it."""
    token = _kept.set({})
    try:
        yield
    finally:
        _kept.reset(token)


def is_sharing() -> bool:
    """Say whether results of shared steps are remembered."""
    return _kept.get() is not None


@contextmanager
def alone() -> Iterator[None]:
    """Remember nothing inside the block: its steps are those of parts of a batch, which no other setting has."""
    token = _kept.set(None)
    try:
        yield
    finally:
        _kept.reset(token)


def shared(function: Callable[..., Result]) -> Callable[..., Result]:
    """Decorate a step: inside :func:`sharing` its result is kept for the same tensors and equal other arguments.

    Arguments are tensors and hashable values; the caller must not write to the result. Steps that autograd records are
    computed every time: the graph of one setting is freed before the next one needs it.
    """

    @functools.wraps(function)
    def remembered(*arguments: Any) -> Result:
        kept = _kept.get()
        if kept is None or (torch.is_grad_enabled() and any(map(_recorded, arguments))):
            return function(*arguments)
        key = function, *(id(each) if isinstance(each, Tensor) else each for each in arguments)
        if key not in kept:
            kept[key] = function(*arguments), arguments  # the tensors are held: the id of a freed one may be reused
        return kept[key][0]

    return remembered


def _recorded(argument: Any) -> bool:
    return isinstance(argument, Tensor) and argument.requires_grad
