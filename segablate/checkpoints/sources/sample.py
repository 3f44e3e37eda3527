"""A checkpoint that comes with the package: ``sample:ce``, ``sample:rmi``, ``sample:weighted``."""

from dataclasses import replace

from segablate.checkpoints.segmenter import Loading, Segmenter
from segablate.checkpoints.sources import native
from segablate.datasets.sample_files import sample_data
from segablate.errors import CheckpointError, did_you_mean


def sample_checkpoints() -> list[str]:
    """Return the names of the checkpoints in the sample data, sorted."""
    return sorted(path.stem for path in (sample_data() / "checkpoints").glob("*.safetensors"))


def open_source(name: str, loading: Loading) -> Segmenter:
    """Load a checkpoint of the sample data. Raises CheckpointError for an unknown name."""
    if name not in sample_checkpoints():
        raise CheckpointError(f"the sample data has no checkpoint {name!r}{did_you_mean(name, sample_checkpoints())}")
    path = sample_data() / "checkpoints" / f"{name}.safetensors"
    network = native.open_source(path.name, replace(loading, folder=path.parent))
    return replace(network, source=replace(network.source, spec=f"sample:{name}"))  # type: ignore[type-var]
