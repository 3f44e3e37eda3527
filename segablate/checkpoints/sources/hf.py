"""Segmentation networks of Hugging Face transformers, saved by ``save_pretrained``: ``hf:DIR``.

The folder holds ``config.json`` (network, class names), ``model.safetensors`` or ``pytorch_model.bin``, also in parts,
and ``preprocessor_config.json``. ``hf:OWNER/NAME`` takes a model of the hub from the library's cache, and downloads it
there with ``--allow-download``. Code in a folder is never run.
"""

import importlib.util
import re
from collections.abc import Mapping
from pathlib import Path
from types import ModuleType

from segablate.checkpoints.assumptions import OF_TRANSFORMERS
from segablate.checkpoints.hf_files import hub_folder, read_tensors
from segablate.checkpoints.image_processor import processor_file, read_image_processor
from segablate.checkpoints.segmenter import Loading, Segmenter, Source
from segablate.errors import CheckpointError, at
from segablate.extras import require
from segablate.weights.recognition import refuse_other

QUERIES_NOTE = (
    "scores are means over mask queries and do not sum to 1 over the classes; losses normalise them by their sum"
)


def open_source(place: str, loading: Loading) -> Segmenter:
    """Load a folder strictly, with the constants of its image processor.

    Raises CheckpointError where the folder is incomplete, damaged or of another kind of network, and MissingExtra
    without transformers.
    """
    transformers = _library(f"hf:{place}")
    from segablate.checkpoints.hf_network import build, gives_queries, input_size, joined, read_config
    from segablate.checkpoints.network import prepared

    folder = _folder(place, loading)
    config = read_config(folder)
    tensors, files, notes = read_tensors(folder, loading)
    module = build(config, tensors, folder)
    facts = {"network": f"{type(module).__name__} of transformers {transformers.__version__}"}
    processor = read_image_processor(folder, config.model_type, input_size(config))
    if window := processor.window:
        loading = loading.over(Loading(window=(window, window), stride=(window, window), folder=loading.folder))
    kind = "softmax"
    if gives_queries(config):
        module, kind = joined(module, config, folder), "probabilities"
        notes = (*notes, QUERIES_NOTE)
    described = tuple(path for path in (folder / "config.json", processor_file(folder)) if path)
    source = Source(f"hf:{place}", (*described, *files), facts, (*notes, *processor.notes))
    names, assume = class_names(config.id2label), None if processor.stated else OF_TRANSFORMERS
    return prepared(module, source, loading, processor.preprocessing, kind, names, assume=assume)


def open_new(place: str, loading: Loading, classes: int) -> Segmenter:
    """Build the network that a folder's ``config.json`` describes, with random weights, for this many classes.

    Raises CheckpointError for networks of mask queries, which are trained otherwise.
    """
    _library(f"hf:{place}")
    from segablate.checkpoints.hf_network import build_new, gives_queries, input_size, read_config
    from segablate.checkpoints.network import prepared

    folder = _folder(place, loading)
    config = read_config(folder)
    if gives_queries(config):
        raise CheckpointError(f"{folder} describes a network of mask queries, which cannot be trained here")
    module = build_new(config, classes)
    processor = read_image_processor(folder, config.model_type, input_size(config))
    source = Source(f"hf:{place}", (folder / "config.json",), {"network": type(module).__name__}, processor.notes)
    return prepared(
        module, source, loading, processor.preprocessing, assume=None if processor.stated else OF_TRANSFORMERS
    )


def class_names(id2label: Mapping[int, str]) -> tuple[str, ...] | None:
    """Return the names of the outputs in order, or None where they are the library's LABEL_0, LABEL_1, ..."""
    names = tuple(str(id2label[index]).strip() for index in sorted(id2label))
    return None if all(re.fullmatch(r"LABEL_\d+", name) for name in names) else names


def _library(purpose: str) -> ModuleType:
    """Import transformers, and torchvision first where installed: transformers fails with a broken one."""
    transformers = require("transformers", "hf", purpose)
    if importlib.util.find_spec("torchvision"):
        require("torchvision", "torchvision", purpose)
    return transformers


def _folder(place: str, loading: Loading) -> Path:
    path = loading.located(place)
    with at(path):
        refuse_other(path)
    if path.is_dir():
        return path
    if path.is_file():
        raise CheckpointError(f"{path} is a file; give the folder written by save_pretrained")
    if re.fullmatch(r"\w[\w.-]*/[\w.-]+", place):
        return hub_folder(place, loading.allow_download)
    raise CheckpointError(f"{path}: no such folder; give one written by save_pretrained")
