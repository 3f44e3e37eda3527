"""A whole module saved by ``torch.save(module)``, whose author is trusted: ``module:FILE``.

Such a file is a pickle: loading it runs any code that its author put there. The classes of the network must be
importable, also from the working directory. It is refused without ``--trust-pickle``.
"""

import sys
from pathlib import Path
from pickle import UnpicklingError
from typing import TYPE_CHECKING

from segablate.checkpoints.segmenter import Loading, Segmenter, Source
from segablate.errors import CheckpointError, at

if TYPE_CHECKING:
    from torch import nn


def open_source(place: str, loading: Loading) -> Segmenter:
    """Unpickle a module. Raises CheckpointError without trust, or when the file is damaged or no module."""
    from segablate.checkpoints.network import prepared

    path = loading.located(place)
    with at(path):
        if not path.is_file():
            raise CheckpointError("no such file; check the path")
        if not loading.trust_pickle:
            raise CheckpointError(
                "loading a whole pickled module runs any code in the file; pass --trust-pickle if you made it or trust "
                "its author, or save its state_dict and use python:package.module:factory()@FILE"
            )
        module = _unpickle(path)
    note = f"{path.name} was unpickled with --trust-pickle: code in it has run"
    return prepared(module, Source(f"module:{place}", (path,), {"module": type(module).__name__}, (note,)), loading)


def _unpickle(path: Path) -> "nn.Module":
    import torch
    from torch import nn

    from segablate.weights import DAMAGE

    sys.path.insert(0, str(Path.cwd()))
    try:
        module = torch.load(path, map_location="cpu", weights_only=False)
    except (ImportError, AttributeError) as error:
        raise CheckpointError(
            f"its classes cannot be imported ({error}); run it where they can, or save the state_dict"
        ) from None
    except (*DAMAGE, UnpicklingError) as error:
        reason = " ".join(str(error).split())[:100] or type(error).__name__
        raise CheckpointError(f"this is damaged or cut short ({reason}); download or copy it again") from None
    finally:
        sys.path.pop(0)
    if not isinstance(module, nn.Module):
        raise CheckpointError(
            f"holds {type(module).__name__}, not a whole module; for a state dict, name the network too, as in "
            f"python:package.module:factory()@{path.name}"
        )
    return module
