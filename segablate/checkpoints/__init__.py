"""Open checkpoints of every source: ``open_checkpoint("card.yaml")``.

Each source is one file in ``sources/``; ``segablate checkpoints list`` lists them.
"""

from pathlib import Path
from typing import NamedTuple

import numpy as np

from segablate.checkpoints.catalogue import (
    SourceDescription,
    by_suffix,
    checkpoint_sources,
    defines,
    defining,
    described_sources,
    form_of,
    plugin_sources,
    source_module,
)
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
    "by_suffix",
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


def open_checkpoint(spec: str, loading: Loading | None = None) -> Segmenter:
    """Load a checkpoint onto its device. What its code prints goes to standard error.

    Args:
        spec: a file, a card or ``SOURCE:...``; ``segablate checkpoints list`` names the sources.
        loading: the options, a ``segablate.checkpoints.Loading``.

    Returns:
        A segmenter, which :func:`segablate.evaluate` runs; a network is its ``module``, and ``scores(images)`` maps
        images N H W 3 uint8 to logits N K H W.

    Raises:
        CheckpointError: for a checkpoint that cannot be opened.
        DeviceError: for a device that is not available.
        UserCodeError: for code of the user, or of another package, that fails.

    Examples:
        >>> import torch, segablate
        >>> network = segablate.open_checkpoint("sample:ce")
        >>> with torch.no_grad():
        ...     logits = network.scores(torch.zeros(1, 64, 96, 3, dtype=torch.uint8))
        >>> tuple(logits.shape), network.classes[0]
        ((1, 10, 64, 96), 'sky')
    """
    loading = loading or Loading()
    if found := source_of(spec, loading):
        with own_output():
            return source_module(found.name).open_source(found.rest, loading)
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
            raise CheckpointError(f"{spec!r} is incomplete; write {form_of(source)}")
        return NamedSource(source, rest)
    name = by_suffix().get(loading.located(spec).suffix)
    return NamedSource(name, spec) if name else None


def code_files(spec: str, loading: Loading) -> tuple[Path, ...] | None:
    """Return the files whose code runs when a specification is opened; None where it names no code. Runs nothing.

    Code of installed packages has no files here. Raises CheckpointError for a file that is missing.
    """
    found = source_of(spec, loading)
    if found is None or not defines(found.name, "code_files"):
        return None
    return source_module(found.name).code_files(found.rest, loading)


def names_code(spec: str) -> bool:
    """Return whether a specification is of a source that runs code."""
    found = source_of(spec, Loading())
    return found is not None and defines(found.name, "code_files")


def open_new_network(spec: str, classes: int, loading: Loading | None = None) -> Segmenter:
    """Build a network with random weights: ``small``, or a specification without the weights, as in ``smp:Unet()``.

    `classes`: the number of outputs, unless the specification states it. The weights come from torch's generator.
    Raises CheckpointError for a source that cannot do without a file.
    """
    from segablate.networks import network_names

    spec = f"builtin:{spec}" if spec.partition("(")[0] in network_names() else spec
    source, _, rest = spec.partition(":")
    if not defines(source, "open_new"):
        named = ", ".join(f"{name}:" for name in new_network_sources())
        raise CheckpointError(f"{spec!r} names no network; write {', '.join(network_names())}, or {named}NETWORK(...)")
    with own_output():
        return source_module(source).open_new(rest, loading or Loading(), classes)


def is_new_network(spec: str) -> bool:
    """Return whether a specification names a network without weights."""
    from segablate.networks import network_names

    if spec.partition("(")[0] in network_names():
        return True
    source, _, rest = spec.partition(":")
    if not defines(source, "open_new") or split_weights(rest)[1] is not None:
        return False
    folder = user_path(rest)
    if source in plugin_sources():
        return not folder.exists()
    if source != "hf":
        return not folder.is_dir()
    weights = any(True for suffix in (".safetensors", ".bin") for _ in folder.glob(f"*{suffix}*"))
    return (folder / "config.json").is_file() and not weights


def new_network_sources() -> tuple[str, ...]:
    """Return the sources of this program that can build a network without weights; none is imported."""
    return defining("open_new")


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
