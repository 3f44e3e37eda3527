"""Merge or rename the classes of a dataset by a YAML file.

::

    # categories.yaml
    vehicle: [car, truck, bus, train, motorcycle, bicycle]   # a new class from several
    person: [person, rider]
    street: road                                             # renamed
    rest: other                                              # optional: the class of all others, by default void
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from segablate.datasets.dataset import Dataset
from segablate.errors import DatasetError, LabelError, at, counted, shorten
from segablate.labels import LabelSet
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
    note = f"--classes {path.name}: {counted(len(dataset.labels), 'class', 'classes')} replaced by {len(labels)}{void}"
    return replace(dataset, labels=labels, notes=(*dataset.notes, note))


def merged(labels: LabelSet, classes: Mapping[str, Sequence[str]], rest: str | None = None) -> LabelSet:
    """Return a label set of new classes, each merged from classes of `labels`; codes in files stay as they are.

    Classes in no new class become void, or the last class, called `rest`. A new class has the colour of its first part.
    Raises LabelError for a class that `labels` does not have, and for one in two new classes.
    """
    parts = {name: [labels.index(old) for old in olds] for name, olds in classes.items()}
    named = [index for indices in parts.values() for index in indices]
    twice = sorted({labels.names[index] for index in named if named.count(index) > 1})
    if twice:
        raise LabelError(f"several new classes contain {shorten(twice)} of {labels.name!r}; name each class once")
    empty = [name for name, indices in parts.items() if not indices]
    if empty:
        raise LabelError(f"class {empty[0]!r} has no classes to merge; name classes of {labels.name!r}")
    left = [index for index in range(len(labels)) if index not in named]
    if rest is not None and left:
        parts[rest] = [*parts.get(rest, []), *left]
    spare = [code for index in left for code in labels.codes[index]] if rest is None else []
    return LabelSet(
        labels.name,
        tuple(parts),
        tuple(tuple(code for index in indices for code in labels.codes[index]) for indices in parts.values()),
        None if labels.void is None else (*labels.void, *spare),
        tuple(labels.colours[indices[0]] for indices in parts.values()) if labels.colours else (),
        labels.encoding,
        merged_from=labels,
    )


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
