"""A whole module saved by ``torch.save(module)``, whose author is trusted: ``module:FILE``.

Such a file is a pickle: loading it runs any code that its author put there. The classes of the network must be
importable, also from the working directory. It is refused without ``--trust-code``.
"""

from pathlib import Path
from pickle import UnpicklingError
from typing import TYPE_CHECKING, BinaryIO

from segablate.checkpoints.assumptions import ASSUMED
from segablate.checkpoints.segmenter import Loading, Segmenter, Source
from segablate.checkpoints.trust import check_for, open_archive
from segablate.errors import CheckpointError, SegablateError, at
from segablate.user_modules import Check, UserImports
from segablate.weights.recognition import refuse_other

if TYPE_CHECKING:
    from torch import nn

REFUSAL = (
    "loading a whole pickled module runs any code in the file; pass --trust-code if you made it or trust its author, "
    "or save its state_dict and use python:package.module:factory()@FILE"
)


def open_source(place: str, loading: Loading) -> Segmenter:
    """Unpickle a module. Raises CheckpointError without trust, or when the file is damaged or no module."""
    from segablate.checkpoints.network import prepared

    (path,) = code_files(place, loading)
    with at(path):
        refuse_other(path)
    archive = open_archive(path, loading.card, loading.trust_code, REFUSAL)
    with at(path):
        module = _unpickle(path.name, archive, check_for(loading.card, loading.trust_code))
    note = f"{path.name} was unpickled: code in it has run"
    return prepared(
        module, Source(f"module:{place}", (path,), {"module": type(module).__name__}, (note,)), loading, assume=ASSUMED
    )


def code_files(place: str, loading: Loading) -> tuple[Path, ...]:
    """Return the file. Raises CheckpointError where it is missing."""
    return (loading.existing(place),)


def _unpickle(name: str, archive: Path | BinaryIO, check: Check | None) -> "nn.Module":
    import torch
    from torch import nn

    from segablate.weights import DAMAGE

    try:
        with UserImports([Path.cwd()], check).active():
            module = torch.load(archive, map_location="cpu", weights_only=False)
    except SegablateError:
        raise
    except (ImportError, AttributeError) as error:
        raise CheckpointError(
            f"its classes cannot be imported ({error}); run it where they can, or save the state_dict"
        ) from None
    except (*DAMAGE, UnpicklingError) as error:
        reason = " ".join(str(error).split())[:100] or type(error).__name__
        raise CheckpointError(f"this is damaged or cut short ({reason}); download or copy it again") from None
    if not isinstance(module, nn.Module):
        raise CheckpointError(
            f"holds {type(module).__name__}, not a whole module; for a state dict, name the network too, as in "
            f"python:package.module:factory()@{name}"
        )
    return module
