"""Join the parts of an evaluation without holding all of it twice, or its sparse tables unpacked."""

import pickle
import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import chain
from typing import Any

import numpy as np

from segablate.errors import RunError
from segablate.evaluation.results import Evaluation
from segablate.metrics.rows import PackedRows, joined_rows, packed

_TABLES = ("confusion", "boundary", "alternative")
_BY_NAME = ("values", "statistics", "probed")


@dataclass(frozen=True)
class PackedPart:
    """A part of an evaluation that waits for the others, compressed.

    - `shapes`: those of its arrays by name; `images`: their number.
    - `rows`: the rows of its sparse tables by name; `rest`: all else.
    """

    shapes: Mapping[str, tuple[int, ...]]
    images: int
    rows: Mapping[str, PackedRows]
    rest: bytes

    @classmethod
    def of(cls, part: Evaluation) -> "PackedPart":
        """Pack a part."""
        tables = _tables(part)
        rows = {name: packed(table.rows, part.images) for name, table in tables.items()}
        bare = replace(part, **{name: replace(table, rows={}) for name, table in tables.items()})
        rest = zlib.compress(pickle.dumps(bare, pickle.HIGHEST_PROTOCOL), level=1)
        return cls({name: array.shape for name, array in _arrays(part)}, part.images, rows, rest)

    def held(self) -> tuple[set[str], frozenset[tuple[str, tuple[int, ...]]]]:
        """Return what all parts of a run have in common: tables, and shapes per image, of what was measured."""
        return self.rows.keys() - {"alternative"}, frozenset((name, shape[1:]) for name, shape in self.shapes.items())

    def bare(self) -> Evaluation:
        """Return the part with its sparse tables empty."""
        return pickle.loads(zlib.decompress(self.rest))  # of this program alone


def joined(parts: Sequence[Evaluation]) -> Evaluation:
    """Join one or more parts of a run, their images in order; facts are those of the first part."""
    return join_packed([PackedPart.of(part) for part in parts])


def join_packed(parts: Sequence[PackedPart]) -> Evaluation:
    """Do as :func:`joined`; the tables stay packed.

    Raises RunError where one part holds what another lacks.
    """
    first, held = parts[0].bare(), parts[0].held()
    if any(part.held() != held for part in parts):
        raise RunError("the parts of an interrupted run hold different measures; remove its folder, and start again")
    if not all("alternative" in part.rows for part in parts):
        first = replace(first, alternative=None)
    texts, arrays = _filled(first, parts)
    names, hashes, notes, skipped = (tuple(chain.from_iterable(columns)) for columns in zip(*texts, strict=True))
    rows = {name: joined_rows([(part.rows[name], part.images) for part in parts]) for name in _tables(first)}
    of_boundary = {name: arrays[f"boundary {name}"] for name in ("sizes", "reach") if first.boundary}
    return replace(
        first,
        names=names,
        sizes=arrays["sizes"],
        label_hashes=hashes,
        confusion=replace(first.confusion, images=len(names), rows=rows["confusion"]),
        boundary=first.boundary and replace(first.boundary, **of_boundary, rows=rows["boundary"]),
        notes=tuple(dict.fromkeys(notes)),
        skipped=skipped,
        alternative=first.alternative and replace(first.alternative, images=len(names), rows=rows["alternative"]),
        **{field: {name: arrays[f"{field} {name}"] for name in getattr(first, field)} for field in _BY_NAME},
    )


def _filled(first: Evaluation, parts: Sequence[PackedPart]) -> tuple[list[tuple[Any, ...]], dict[str, np.ndarray]]:
    """Return the texts of all parts, and their arrays concatenated."""
    images = sum(part.images for part in parts)
    whole = {name: np.empty((images, *array.shape[1:]), array.dtype) for name, array in _arrays(first)}
    texts: list[tuple[Any, ...]] = []
    start = 0
    for part in (waiting.bare() for waiting in parts):
        texts.append((part.names, part.label_hashes, part.notes, part.skipped))
        for name, array in _arrays(part):
            whole[name][start : start + part.images] = array
        start += part.images
    return texts, whole


def _arrays(part: Evaluation) -> Iterator[tuple[str, np.ndarray]]:
    """Yield the arrays of a part with one row an image, by name."""
    yield "sizes", part.sizes
    for field in _BY_NAME:
        mapping: Mapping[str, np.ndarray] = getattr(part, field)
        yield from ((f"{field} {name}", array) for name, array in mapping.items())
    if part.boundary is not None:
        yield from (("boundary sizes", part.boundary.sizes), ("boundary reach", part.boundary.reach))


def _tables(part: Evaluation) -> dict[str, Any]:
    """Return the sparse tables of a part by name."""
    return {name: table for name in _TABLES if (table := getattr(part, name)) is not None}
