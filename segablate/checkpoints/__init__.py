"""Open checkpoints of every source: ``open_checkpoint("card.yaml")``.

Each source is one file in ``sources/``; ``segablate checkpoints list`` lists them.
"""

import ast
import re
from functools import cache
from importlib import import_module
from pathlib import Path
from pkgutil import iter_modules
from typing import NamedTuple

import numpy as np

from segablate.checkpoints import sources
from segablate.checkpoints.segmenter import Capabilities, Loading, Segmenter, Source
from segablate.checkpoints.specification import split_weights
from segablate.errors import CheckpointError, SegablateError, at, did_you_mean
from segablate.files import is_file, is_folder, user_path
from segablate.samples import Batch, Sample
from segablate.user_code import own_output
from segablate.weights.recognition import refuse_other
from segablate.weights.shards import holds_weights

__all__ = [
    "Capabilities",
    "Loading",
    "Segmenter",
    "Source",
    "SourceDescription",
    "checkpoint_sources",
    "code_files",
    "count_outputs",
    "described_sources",
    "is_new_network",
    "names_code",
    "new_network_sources",
    "open_checkpoint",
    "open_new_network",
]


def checkpoint_sources() -> list[str]:
    """Return the names of all sources, sorted."""
    return sorted(module.name for module in iter_modules(sources.__path__))


class SourceDescription(NamedTuple):
    """The form of a source's specification, and what the source is."""

    form: str
    what: str


def described_sources() -> dict[str, SourceDescription]:
    """Return the description of every source by name, read from its docstring without importing it."""
    found = {}
    for name, tree in _texts().items():
        line = (ast.get_docstring(tree) or "").partition("\n")[0]
        what, form = re.fullmatch(r"(.+?): (``.+)\.", line).groups()  # type: ignore[union-attr]
        found[name] = SourceDescription(form.replace("``", ""), what.replace("``", ""))
    return found


@cache
def by_suffix() -> dict[str, str]:
    """Map file suffixes to the sources that open such files without being named; no source is imported."""
    stated = {name: _stated(tree, "SUFFIXES") for name, tree in _texts().items()}
    return {suffix: name for name, suffixes in stated.items() for suffix in suffixes}


@cache
def _texts() -> dict[str, ast.Module]:
    files = {name: Path(sources.__path__[0], f"{name}.py") for name in checkpoint_sources()}
    return {name: ast.parse(file.read_text(encoding="utf-8")) for name, file in files.items()}


def _stated(tree: ast.Module, name: str) -> tuple[str, ...]:
    """Return the literal that a module assigns to a name, or an empty tuple."""
    for node in tree.body:
        if isinstance(node, ast.Assign) and any(isinstance(t, ast.Name) and t.id == name for t in node.targets):
            return ast.literal_eval(node.value)
    return ()


def open_checkpoint(spec: str, loading: Loading | None = None) -> Segmenter:
    """Load a checkpoint onto its device. What its code prints goes to standard error.

    Raises CheckpointError for a checkpoint that cannot be opened, and DeviceError for a device that is not available.
    """
    loading = loading or Loading()
    if found := source_of(spec, loading):
        with own_output():
            return import_module(f"segablate.checkpoints.sources.{found.name}").open_source(found.rest, loading)
    source, path = spec.partition(":")[0], loading.located(spec)
    with at(spec):
        refuse_other(path)
    if is_file(path / "config.json"):
        raise CheckpointError(
            f"{spec} is a folder of save_pretrained; write hf:{spec} for transformers, or smp:{spec} for "
            f"segmentation_models_pytorch"
        )
    if is_file(path) or holds_weights(path):
        raise CheckpointError(_without_network(spec, path, loading))
    if is_folder(path):
        raise CheckpointError(f"{spec} is a folder; if it holds predicted label maps, write predictions:{spec}")
    if ":" in spec:
        near = did_you_mean(source, checkpoint_sources())
        raise CheckpointError(f"no checkpoint source is called {source!r}{near}")
    raise CheckpointError(f"{spec}: no such file; give a checkpoint file, a card or SOURCE:...")


class NamedSource(NamedTuple):
    """The source of a specification, and the rest of the specification."""

    name: str
    rest: str


def source_of(spec: str, loading: Loading) -> NamedSource | None:
    """Return the source that opens a specification, named in it or known by the suffix; None where there is none."""
    source, _, rest = spec.partition(":")
    if source in checkpoint_sources():
        if not rest:
            raise CheckpointError(f"{spec!r} is incomplete; write {described_sources()[source].form}")
        return NamedSource(source, rest)
    name = by_suffix().get(loading.located(spec).suffix)
    return NamedSource(name, spec) if name else None


def code_files(spec: str, loading: Loading) -> tuple[Path, ...] | None:
    """Return the files whose code runs when a specification is opened; None where it names no code. Runs nothing.

    Code of installed packages has no files here. Raises CheckpointError for a file that is missing.
    """
    found = source_of(spec, loading)
    if found is None or found.name not in sources_of_code():
        return None
    return import_module(f"segablate.checkpoints.sources.{found.name}").code_files(found.rest, loading)


def names_code(spec: str) -> bool:
    """Return whether a specification is of a source that runs code."""
    found = source_of(spec, Loading())
    return found is not None and found.name in sources_of_code()


def open_new_network(spec: str, classes: int, loading: Loading | None = None) -> Segmenter:
    """Build a network with random weights: ``small``, or a specification without the weights, as in ``smp:Unet()``.

    `classes`: the number of outputs, unless the specification states it. The weights come from torch's generator.
    Raises CheckpointError for a source that cannot do without a file.
    """
    from segablate.networks import network_names

    spec = f"builtin:{spec}" if spec.partition("(")[0] in network_names() else spec
    source, _, rest = spec.partition(":")
    if source not in new_network_sources():
        named = ", ".join(f"{name}:" for name in new_network_sources())
        raise CheckpointError(f"{spec!r} names no network; write {', '.join(network_names())}, or {named}NETWORK(...)")
    with own_output():
        return import_module(f"segablate.checkpoints.sources.{source}").open_new(rest, loading or Loading(), classes)


def is_new_network(spec: str) -> bool:
    """Return whether a specification names a network without weights."""
    from segablate.networks import network_names

    if spec.partition("(")[0] in network_names():
        return True
    source, _, rest = spec.partition(":")
    if source not in new_network_sources() or split_weights(rest)[1] is not None:
        return False
    folder = user_path(rest)
    if source != "hf":
        return not folder.is_dir()
    weights = any(True for suffix in (".safetensors", ".bin") for _ in folder.glob(f"*{suffix}*"))
    return (folder / "config.json").is_file() and not weights


def new_network_sources() -> tuple[str, ...]:
    """Return the sources that can build a network without weights; none is imported."""
    return _defining("open_new")


def sources_of_code() -> tuple[str, ...]:
    """Return the sources that run code which the user or a file names; none is imported."""
    return _defining("code_files")


@cache
def _defining(name: str) -> tuple[str, ...]:
    """Return the sources that define a function of that name."""
    return tuple(
        source
        for source, tree in _texts().items()
        if any(isinstance(node, ast.FunctionDef) and node.name == name for node in tree.body)
    )


def _without_network(spec: str, path: Path, loading: Loading) -> str:
    """Return the message for weights that need a source in front of them."""
    from segablate.checkpoints.bare_weights import without_network

    return without_network(spec, path, loading)


def count_outputs(segmenter: Segmenter) -> int | None:
    """Count the outputs of a network by running it on a grey image of 256x256; None where that fails."""
    if segmenter.capabilities.on_host:
        return None
    grey = np.full((256, 256, segmenter.capabilities.bands), 128, np.uint8)
    try:
        return segmenter(Batch((Sample(0, "grey", grey, grey[..., 0], ""),))).outputs
    except SegablateError:
        return None
