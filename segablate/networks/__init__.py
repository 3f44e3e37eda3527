"""Networks written here: one file each, holding a function of the file's name that builds the ``nn.Module``.

A checkpoint names its network and the arguments it was built with; :func:`get_network` finds the function. Nothing
is imported, torch included, before a network is asked for. Files whose names begin with ``_`` are not networks.
"""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from pkgutil import iter_modules
from typing import TYPE_CHECKING

from segablate.errors import CheckpointError, did_you_mean

if TYPE_CHECKING:
    from torch import nn


def network_names() -> tuple[str, ...]:
    """The networks there are, in alphabetical order."""
    return tuple(sorted(module.name for module in iter_modules(__path__) if not module.name.startswith("_")))


def get_network(name: str) -> Callable[..., nn.Module]:
    """The function that builds the network called ``name``.

    Raises :class:`CheckpointError` when there is none of that name.
    """
    known = network_names()
    if name not in known:
        raise CheckpointError(f"no network is called {name!r}{did_you_mean(name, known)}")
    return getattr(import_module(f"{__name__}.{name}"), name)
