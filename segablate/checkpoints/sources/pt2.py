"""A program saved by ``torch.export.save``, for which its author is trusted: ``pt2:FILE``.

``torch.export.load`` is no safe reader: it falls back to unpickling, evaluates the text of symbolic sizes, and calls
whatever functions of torch a graph names. So such a file is refused without ``--trust-pickle``.
"""

import logging
import zipfile
from pathlib import Path

import torch
from torch import Tensor
from torch.export import ExportedProgram
from torch.export.passes import move_to_device_pass

from segablate.checkpoints.exported import ImageInput, open_exported
from segablate.checkpoints.segmenter import Loading, Segmenter, Source
from segablate.errors import CheckpointError, at, shorten
from segablate.runtime import resolve_device

SUFFIXES = (".pt2",)


def open_source(place: str, loading: Loading) -> Segmenter:
    """Load a program onto its device. CheckpointError without trust, or when it is damaged or takes no single image."""
    path = loading.located(place)
    with at(path):
        if not path.is_file():
            raise CheckpointError("there is no such file")
        if not loading.trust_pickle:
            raise CheckpointError(
                "loading a .pt2 file can run whatever code it holds; pass --trust-pickle if you made it or trust who "
                "did, or export the network to ONNX"
            )
        program = _load(path)
        image = _image_input(program)
        module = move_to_device_pass(program, str(resolve_device(loading.device))).module()
        note = f"{path.name} was loaded with --trust-pickle: code in it may have run"
        return open_exported(module, image, Source(f"pt2:{place}", (path,), {}, (note,)), loading, kind=_kind(program))


def _load(path: Path) -> ExportedProgram:
    """Read the archive; the library logs a traceback for what is then raised, which is left out."""
    if not zipfile.is_zipfile(path):
        raise CheckpointError("is no .pt2 archive, or is cut short; copy it, or save it with torch.export.save, again")
    log = logging.getLogger("torch.export")
    level = log.level
    log.setLevel(logging.CRITICAL)
    try:
        return torch.export.load(path)
    except Exception as error:  # whatever it stumbles over
        reason = " ".join(str(error).split())[:120] or type(error).__name__
        raise CheckpointError(
            f"holds no program that torch {torch.__version__} reads ({reason}); save it again with torch.export.save"
        ) from None
    finally:
        log.setLevel(level)


def _image_input(program: ExportedProgram) -> ImageInput:
    """Read off the placeholder of the one input, whose sides are integers where they are fixed."""
    names = program.graph_signature.user_inputs
    nodes = [node for node in program.graph.nodes if node.op == "placeholder" and node.name in names]
    found = [node.meta.get("val") for node in nodes]
    if len(found) != 1 or not isinstance(found[0], Tensor):
        raise CheckpointError(
            f"takes {len(names)} inputs ({shorten(names, 6)}), but an image alone is given; export it with one"
        )
    return ImageInput.of(found[0].shape, found[0].dtype)


def _kind(program: ExportedProgram) -> str:
    """Label maps where the only output is of integers."""
    (results,) = next(node for node in program.graph.nodes if node.op == "output").args
    values = [node.meta.get("val") for node in results if hasattr(node, "meta")]
    integers = len(values) == 1 and isinstance(values[0], Tensor) and not values[0].is_floating_point()
    return "labels" if integers else "softmax"
