"""Classes merged or renamed by a file.

::

    # categories.yaml
    vehicle: [car, truck, bus, train, motorcycle, bicycle]   # a new class of several old ones
    person: [person, rider]
    street: road                                             # renamed
    rest: other                                              # optional: a class for all others; without it, void
"""

from dataclasses import replace
from pathlib import Path

from segablate.datasets.dataset import Dataset
from segablate.errors import DatasetError, at
from segablate.labels import merged

_REST = "rest"


def merge_classes(dataset: Dataset, path: Path) -> Dataset:
    """The dataset under the classes that a YAML file makes of its own, with a note of it.

    Raises DatasetError for a file that cannot be read, and LabelError for classes that the dataset does not have.
    """
    with at(path):
        classes, rest = _read(path)
        labels = merged(dataset.labels, classes, rest)
    left = len(dataset.labels) - sum(map(len, classes.values()))
    void = f"; {left} classes became void" if rest is None and left else ""
    note = f"--classes {path.name}: {len(labels)} classes were made of {len(dataset.labels)}{void}"
    return replace(dataset, labels=labels, notes=(*dataset.notes, note))


def _read(path: Path) -> tuple[dict[str, list[str]], str | None]:
    """The old names of each new class, and the name for the rest."""
    import yaml

    try:
        mapping = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise DatasetError(f"cannot be read: {' '.join(str(error).split())}") from None
    if not isinstance(mapping, dict) or not mapping:
        raise DatasetError("must map new classes to old ones, as in vehicle: [car, truck]")
    rest = mapping.pop(_REST, None)
    if rest is not None and not isinstance(rest, str):
        raise DatasetError(f"rest is {rest!r}, but must be the name of a class for all others")
    return {str(name): _old_names(name, old) for name, old in mapping.items()}, rest


def _old_names(name: object, old: object) -> list[str]:
    names = old if isinstance(old, list) else [old]
    if not all(isinstance(value, str) for value in names):
        raise DatasetError(f"class {name!r} is made of {old!r}, but must be made of names, as in [car, truck]")
    return [str(value) for value in names]
