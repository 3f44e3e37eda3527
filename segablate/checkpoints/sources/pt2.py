"""A program saved by ``torch.export.save``, whose author is trusted: ``pt2:FILE``.

``torch.export.load`` is no safe reader: it falls back to unpickling, evaluates the text of symbolic sizes, and calls
any function of torch that a graph names. Such a file is refused without ``--trust-code``.
"""

import logging
import zipfile
from pathlib import Path
from typing import BinaryIO

import torch
from torch import Tensor
from torch.export import ExportedProgram
from torch.export.passes import move_to_device_pass

from segablate.checkpoints.exported import ImageInput, open_exported, stated_channels
from segablate.checkpoints.segmenter import Loading, Segmenter, Source
from segablate.checkpoints.trust import open_archive
from segablate.errors import CheckpointError, at, shorten
from segablate.files import native_path
from segablate.runtime import resolve_device
from segablate.weights.recognition import refuse_other

SUFFIXES = (".pt2",)

REFUSAL = (
    "loading a .pt2 file can run any code in it; pass --trust-code if you made it or trust its author, or export the "
    "network to ONNX"
)


def open_source(place: str, loading: Loading) -> Segmenter:
    """Load a program onto its device. Raises CheckpointError without trust, for damage, and for several inputs."""
    (path,) = code_files(place, loading)
    with at(path):
        refuse_other(path, "pt2")
    archive = open_archive(path, loading.card, loading.trust_code, REFUSAL)
    with at(path):
        program = _load(archive)
        image = _image_input(program, stated_channels(loading))
        module = move_to_device_pass(program, str(resolve_device(loading.device))).module()
        note = f"{path.name} was loaded: code in it may have run"
        return open_exported(module, image, Source(f"pt2:{place}", (path,), {}, (note,)), loading, kind=_kind(program))


def code_files(place: str, loading: Loading) -> tuple[Path, ...]:
    """Return the archive. Raises CheckpointError where it is missing."""
    return (loading.existing(place),)


def _load(archive: Path | BinaryIO) -> ExportedProgram:
    """Read the archive, without the traceback that the library logs for an error that it then raises."""
    if not zipfile.is_zipfile(archive):
        raise CheckpointError(
            "is no .pt2 archive, or is cut short; copy it again, or save it again with torch.export.save"
        )
    found = native_path(archive, "torch.export.load") if isinstance(archive, Path) else archive
    log = logging.getLogger("torch.export")
    level = log.level
    log.setLevel(logging.CRITICAL)
    try:
        return torch.export.load(found)
    except Exception as error:  # the library raises any kind
        reason = " ".join(str(error).split())[:120] or type(error).__name__
        raise CheckpointError(
            f"torch {torch.__version__} cannot read it ({reason}); save it again with torch.export.save"
        ) from None
    finally:
        log.setLevel(level)


def _image_input(program: ExportedProgram, channels: int | None) -> ImageInput:
    """Read the input off its placeholder, whose sides are integers where they are fixed."""
    names = program.graph_signature.user_inputs
    nodes = [node for node in program.graph.nodes if node.op == "placeholder" and node.name in names]
    found = [node.meta.get("val") for node in nodes]
    if len(found) != 1 or not isinstance(found[0], Tensor):
        raise CheckpointError(
            f"the network takes {len(names)} inputs ({shorten(names, 6)}); export it with one, the image"
        )
    return ImageInput.of(found[0].shape, found[0].dtype, channels)


def _kind(program: ExportedProgram) -> str:
    """Return "labels" where the only output has an integer dtype, else "softmax"."""
    (results,) = next(node for node in program.graph.nodes if node.op == "output").args
    values = [node.meta.get("val") for node in results if hasattr(node, "meta")]
    integers = len(values) == 1 and isinstance(values[0], Tensor) and not values[0].is_floating_point()
    return "labels" if integers else "softmax"
