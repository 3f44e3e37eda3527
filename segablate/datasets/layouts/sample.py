"""The street scenes that come with the package: void, train and val splits, made by ``sample_data/make.py``.

Written as ``sample``, without a directory.
"""

from dataclasses import replace
from pathlib import Path

from segablate.datasets.dataset import Dataset
from segablate.datasets.layout import Layout
from segablate.datasets.layouts import folder
from segablate.datasets.sample_files import sample_data

LAYOUT = Layout((), "nothing: it comes with the package")


def splits(root: Path) -> list[str]:
    """The splits of the sample data; `root` is where it lies."""
    return folder.splits(root)


def open_split(split: str | None = None) -> Dataset:
    """Open the sample data at "val" (the default) or "train"."""
    return replace(folder.open_split(sample_data(), split), spec="sample", layout="sample")
