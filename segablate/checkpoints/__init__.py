"""Checkpoints, by where they come from: ``open_checkpoint("card.yaml")``.

Each source is one file here, with ``open_source(rest, loading)``. The first line of its docstring says what it is and,
after a colon, how a specification is written; ``segablate checkpoints list`` shows it.
"""

import ast
import re
import zipfile
from importlib import import_module
from pathlib import Path
from pkgutil import iter_modules
from typing import NamedTuple

import numpy as np

from segablate.checkpoints.segmenter import Loading, Segmenter, Source
from segablate.errors import CheckpointError, SegablateError, did_you_mean
from segablate.samples import Batch, Sample

__all__ = [
    "Described",
    "Loading",
    "Segmenter",
    "Source",
    "checkpoint_sources",
    "count_outputs",
    "described_sources",
    "open_checkpoint",
]

_PARTS = {
    "encoder_constants",
    "exported",
    "hf_files",
    "hf_network",
    "image_processor",
    "inference",
    "mask_queries",
    "network",
    "outputs",
    "prediction_files",
    "preprocessing",
    "score_files",
    "segmenter",
    "specification",
}
_BY_SUFFIX = {
    ".yaml": "card",
    ".yml": "card",
    ".safetensors": "native",
    ".onnx": "onnx",
    ".pt2": "pt2",
    ".tflite": "tflite",
}


def checkpoint_sources() -> list[str]:
    """Names of the sources that can be opened, sorted."""
    return sorted(module.name for module in iter_modules(__path__) if module.name not in _PARTS)


class Described(NamedTuple):
    """A source in words: how a specification is written, and what it is."""

    form: str
    what: str


def described_sources() -> dict[str, Described]:
    """Every source by name, read off the first line of its docstring without importing it."""
    found = {}
    for name in checkpoint_sources():
        tree = ast.parse(Path(__path__[0], f"{name}.py").read_text(encoding="utf-8"))
        line = (ast.get_docstring(tree) or "").partition("\n")[0]
        what, form = re.fullmatch(r"(.+?): (``.+)\.", line).groups()  # type: ignore[union-attr]
        found[name] = Described(form.replace("``", ""), what.replace("``", ""))
    return found


def open_checkpoint(spec: str, loading: Loading | None = None) -> Segmenter:
    """Load a checkpoint onto its device. Raises CheckpointError or DeviceError in one line that says what to do."""
    source, _, rest = spec.partition(":")
    loading = loading or Loading()
    if source in checkpoint_sources():
        if not rest:
            raise CheckpointError(f"{spec!r} names nothing; write {described_sources()[source].form}")
        return import_module(f"segablate.checkpoints.{source}").open_source(rest, loading)
    path = loading.located(spec)
    if path.suffix in _BY_SUFFIX:
        return import_module(f"segablate.checkpoints.{_BY_SUFFIX[path.suffix]}").open_source(spec, loading)
    if (path / "config.json").is_file():
        raise CheckpointError(
            f"{spec} is a folder of save_pretrained; write hf:{spec} for transformers, or smp:{spec} for "
            f"segmentation_models_pytorch"
        )
    if path.is_dir():
        raise CheckpointError(f"{spec} is a folder; if it holds predicted label maps, write predictions:{spec}")
    if path.is_file():
        raise CheckpointError(_without_network(spec, path))
    if ":" in spec:
        near = did_you_mean(source, checkpoint_sources())
        raise CheckpointError(f"no checkpoint source is called {source!r}{near}")
    raise CheckpointError(f"{spec}: there is no such file; give a checkpoint file, a card or SOURCE:...")


def _without_network(spec: str, path: Path) -> str:
    """What to write for a file whose name does not say what it is."""
    if zipfile.is_zipfile(path) and any(name.endswith("/constants.pkl") for name in zipfile.ZipFile(path).namelist()):
        return f"{spec} is a TorchScript archive; write torchscript:{spec}"
    return (
        f"{spec} holds weights, but not the network; name it, as in "
        f"python:package.module:factory(num_classes=11)@{spec}, or write module:{spec} for a whole module"
    )


def count_outputs(segmenter: Segmenter) -> int | None:
    """How many outputs a network has, by a run on a grey image of 256x256; None where that does not tell."""
    if segmenter.on_host:
        return None
    grey = np.full((256, 256, 3), 128, np.uint8)
    try:
        scores = segmenter(Batch((Sample(0, "grey", grey, grey[..., 0], ""),))).scores
    except SegablateError:
        return None
    return None if scores is None else scores.shape[1]
