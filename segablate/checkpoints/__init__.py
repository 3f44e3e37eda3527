"""Checkpoints, by where they come from: ``open_checkpoint("card.yaml")``.

===============================================  ======================================================================
specification                                    what it is
===============================================  ======================================================================
``FILE.safetensors``                             the project's own files, which say what they are
``python:PACKAGE.MODULE:FACTORY(...)@WEIGHTS``   anybody's network with a state dict
``python:PATH/FILE.py:FACTORY(...)@WEIGHTS``     the same, from a file
``CARD.yaml``                                    a checkpoint card: one of the others, with all that it needs said
``sample:NAME``                                  the checkpoints that come with the package (ce, weighted)
===============================================  ======================================================================

Each source is one file here, with ``open_source(rest, loading)``.
"""

from importlib import import_module
from pathlib import Path
from pkgutil import iter_modules

from segablate.checkpoints.segmenter import Loading, Segmenter, Source
from segablate.errors import CheckpointError, did_you_mean

__all__ = ["Loading", "Segmenter", "Source", "checkpoint_sources", "open_checkpoint"]

_PARTS = {"inference", "network", "preprocessing", "segmenter"}
_BY_SUFFIX = {".yaml": "card", ".yml": "card", ".safetensors": "native"}


def checkpoint_sources() -> list[str]:
    """Names of the sources that can be opened, sorted."""
    return sorted(module.name for module in iter_modules(__path__) if module.name not in _PARTS)


def open_checkpoint(spec: str, loading: Loading | None = None) -> Segmenter:
    """Load a checkpoint onto its device. Raises CheckpointError or DeviceError in one line that says what to do."""
    source, _, rest = spec.partition(":")
    loading = loading or Loading()
    if source in checkpoint_sources() and rest:
        return import_module(f"segablate.checkpoints.{source}").open_source(rest, loading)
    path = Path(spec).expanduser()
    if path.suffix in _BY_SUFFIX:
        return import_module(f"segablate.checkpoints.{_BY_SUFFIX[path.suffix]}").open_source(str(path), loading)
    if path.is_dir():
        raise CheckpointError(f"{spec} is a folder; if it holds predicted label maps, write predictions:{spec}")
    if path.is_file():
        raise CheckpointError(
            f"{spec} holds weights, but not the network; name it, as in "
            f"python:package.module:factory(num_classes=11)@{spec}"
        )
    if ":" in spec:
        near = did_you_mean(source, checkpoint_sources())
        raise CheckpointError(f"no checkpoint source is called {source!r}{near}")
    raise CheckpointError(f"{spec}: there is no such file; give a checkpoint file, a card or SOURCE:...")
