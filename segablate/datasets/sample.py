"""The street scenes that come with the package: 9 classes, void, train and val splits, made by ``sample_data/make.py``."""

from dataclasses import replace
from pathlib import Path

from segablate.datasets import folder
from segablate.datasets.dataset import Dataset
from segablate.errors import DatasetError


def sample_data() -> Path:
    """The folder of the sample data: inside an installed package, beside it in a source tree."""
    package = Path(__file__).parents[1]
    for place in (package / "sample_data", package.parent / "sample_data"):
        if (place / "dataset.yaml").is_file():
            return place
    raise DatasetError(f"the sample data is not in {package} nor beside it; reinstall segablate")


def open_split(split: str | None = None) -> Dataset:
    """Open the sample data at "val" (the default) or "train"."""
    return replace(folder.open_split(sample_data(), split), spec="sample", layout="sample")
