"""The street scenes that come with the package: void, train and val splits, made by ``sample_data/make.py``."""

from dataclasses import replace

from segablate.datasets import folder
from segablate.datasets.dataset import Dataset
from segablate.sample_files import sample_data


def open_split(split: str | None = None) -> Dataset:
    """Open the sample data at "val" (the default) or "train"."""
    return replace(folder.open_split(sample_data(), split), spec="sample", layout="sample")
