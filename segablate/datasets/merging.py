"""Merge or rename the classes of a dataset by a YAML file.

::

    # categories.yaml
    vehicle: [car, truck, bus, train, motorcycle, bicycle]   # a new class from several
    person: [person, rider]
    street: road                                             # renamed
    rest: other                                              # optional: the class of all others, by default void
"""

from dataclasses import replace
from pathlib import Path

from segablate.datasets.dataset import Dataset
from segablate.errors import DatasetError, at
from segablate.labels import merged
from segablate.yaml_files import read_yaml

_REST = "rest"


def merge_classes(dataset: Dataset, path: Path) -> Dataset:
    """Return the dataset with its classes merged as a YAML file states, and a note about it.

    Raises DatasetError for a file that cannot be read, and LabelError for classes that the dataset does not have.
    """
    with at(path):
        classes, rest = _read(path)
        labels = merged(dataset.labels, classes, rest)
    left = len(dataset.labels) - sum(map(len, classes.values()))
    void = f"; {left} of them became void" if rest is None and left else ""
    note = f"--classes {path.name}: {len(dataset.labels)} classes replaced by {len(labels)}{void}"
    return replace(dataset, labels=labels, notes=(*dataset.notes, note))


def _read(path: Path) -> tuple[dict[str, list[str]], str | None]:
    """Return the old names of each new class, and the name of the class for all others."""
    mapping = read_yaml(path)
    if not isinstance(mapping, dict) or not mapping:
        raise DatasetError("must be a mapping from new to old classes, as in vehicle: [car, truck]")
    rest = mapping.pop(_REST, None)
    if rest is not None and not isinstance(rest, str):
        raise DatasetError(f"rest is {rest!r}, but must be the name of the class for all others")
    return {str(name): _old_names(name, old) for name, old in mapping.items()}, rest


def _old_names(name: object, old: object) -> list[str]:
    names = old if isinstance(old, list) else [old]
    if not all(isinstance(value, str) for value in names):
        raise DatasetError(f"class {name!r} is {old!r}, but must be class names, as in [car, truck]")
    return [str(value) for value in names]
