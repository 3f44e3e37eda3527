"""Networks written here: one file each, holding a function of the file's name that builds the ``nn.Module``.

A checkpoint names its network and the arguments it was built with; :func:`get_network` finds the function. A bare
state dict does not name them, but the names and shapes of its tensors tell some: each file has a ``read_arguments``
for them, found by :func:`read_arguments`, and the ``PREPROCESSING`` of its authors. A file, and torch, is imported when
its network is asked for. Modules that several networks share are in ``parts/``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from importlib import import_module
from pkgutil import iter_modules
from typing import TYPE_CHECKING, Any

from segablate.errors import CheckpointError, did_you_mean

if TYPE_CHECKING:
    from torch import nn


IMAGENET = {"scale": "1/255", "mean": [0.485, 0.456, 0.406], "std": [0.229, 0.224, 0.225]}
"""The preprocessing of most: colours in 0..1, less the mean of ImageNet's, over their standard deviation."""


def network_names() -> tuple[str, ...]:
    """Return the names of all networks, in alphabetical order."""
    return tuple(sorted(module.name for module in iter_modules(__path__) if not module.ispkg))


def get_network(name: str) -> Callable[..., nn.Module]:
    """Return the function that builds the network called ``name``.

    Raises :class:`CheckpointError` when there is none of that name.
    """
    _check(name)
    return getattr(import_module(f"{__name__}.{name}"), name)


def preprocessing_of(name: str) -> Mapping[str, Any]:
    """Return the preprocessing of a network's authors, by the names of a checkpoint card's ``preprocessing``.

    Raises :class:`CheckpointError` when there is none of that name.
    """
    _check(name)
    return import_module(f"{__name__}.{name}").PREPROCESSING


def read_arguments(name: str, shapes: Mapping[str, tuple[int, ...]]) -> dict[str, Any]:
    """Read the arguments of a network from the names and shapes of the tensors in its state dict.

    Raises :class:`CheckpointError` when it is no state dict of that network.
    """
    _check(name)
    try:
        return dict(import_module(f"{__name__}.{name}").read_arguments(shapes))
    except KeyError as error:
        fitting = [f"builtin:{other}" for other in fitting_networks(shapes)]
        remedy = f"it fits {' and '.join(fitting)}" if fitting else "name the network that was saved, or --strip-prefix"
        raise CheckpointError(f"there is no {error.args[0]!r} in it, which every {name} has; {remedy}") from None


def fitting_networks(shapes: Mapping[str, tuple[int, ...]]) -> list[str]:
    """Return the names of the networks whose state dict has such tensors."""
    return [name for name in network_names() if _is_of(name, shapes)]


def _is_of(name: str, shapes: Mapping[str, tuple[int, ...]]) -> bool:
    try:
        return bool(import_module(f"{__name__}.{name}").read_arguments(shapes))
    except (KeyError, CheckpointError):
        return False


def _check(name: str) -> None:
    known = network_names()
    if name not in known:
        raise CheckpointError(f"no network is called {name!r}{did_you_mean(name, known)}")
