"""Networks written here: one file each, holding a function of the file's name that builds the ``nn.Module``.

A checkpoint names its network and the arguments it was built with; :func:`get_network` finds the function. A bare
state dict does not name them, but the names and shapes of its tensors tell some: each file has a ``read_arguments``
for them, found by :func:`read_arguments`. Nothing is imported, torch included, before a network is asked for. Files
whose names begin with ``_`` are not networks, but parts of several.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from importlib import import_module
from pkgutil import iter_modules
from typing import TYPE_CHECKING, Any

from segablate.errors import CheckpointError, did_you_mean, shorten

if TYPE_CHECKING:
    from torch import nn


def network_names() -> tuple[str, ...]:
    """The networks there are, in alphabetical order."""
    return tuple(sorted(module.name for module in iter_modules(__path__) if not module.name.startswith("_")))


def get_network(name: str) -> Callable[..., nn.Module]:
    """The function that builds the network called ``name``.

    Raises :class:`CheckpointError` when there is none of that name.
    """
    _check(name)
    return getattr(import_module(f"{__name__}.{name}"), name)


def read_arguments(name: str, shapes: Mapping[str, tuple[int, ...]]) -> dict[str, Any]:
    """What a state dict, given by the names and shapes of its tensors, tells of the arguments of a network.

    Raises :class:`CheckpointError` when it is no state dict of that network.
    """
    _check(name)
    try:
        return dict(import_module(f"{__name__}.{name}").read_arguments(shapes))
    except KeyError as error:
        raise CheckpointError(
            f"there is no {error.args[0]!r} in it, which every {name} has, but {shorten(shapes)}; name the network "
            f"that was saved, or state --strip-prefix"
        ) from None


def _check(name: str) -> None:
    known = network_names()
    if name not in known:
        raise CheckpointError(f"no network is called {name!r}{did_you_mean(name, known)}")
