"""Join the parts of an evaluation without holding all of it twice."""

import pickle
import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import chain
from typing import Any

import numpy as np

from segablate.errors import RunError
from segablate.evaluation.results import Evaluation
from segablate.metrics.boundary import BoundaryCounts
from segablate.metrics.confusion import Confusion

_CONFUSION = ("image", "label", "predicted", "pixels")
_BOUNDARY = ("sizes", "reach", "image", "side", "class_index", "squared", "pixels")
_BY_NAME = ("values", "statistics", "probed")


@dataclass(frozen=True)
class PackedPart:
    """A part of an evaluation that waits for the others, compressed: `shapes` are those of its arrays by name."""

    shapes: Mapping[str, tuple[int, ...]]
    data: bytes

    @classmethod
    def of(cls, part: Evaluation) -> "PackedPart":
        """Pack a part."""
        data = zlib.compress(pickle.dumps(part, pickle.HIGHEST_PROTOCOL), level=1)
        return cls({name: array.shape for name, array in _arrays(part)}, data)

    def held(self) -> frozenset[tuple[str, tuple[int, ...]]]:
        """Return what all parts of a run have in common: names, and shapes per image, of what was measured."""
        return frozenset((name, shape[1:]) for name, shape in self.shapes.items() if not name.startswith("alternative"))

    def part(self) -> Evaluation:
        """Return the part."""
        return pickle.loads(zlib.decompress(self.data))  # of this program alone


def joined(parts: Sequence[Evaluation]) -> Evaluation:
    """Join one or more parts of a run, their images in order; facts are those of the first part."""
    return join_packed([PackedPart.of(part) for part in parts])


def join_packed(parts: Sequence[PackedPart]) -> Evaluation:
    """Do as :func:`joined`; memory holds one part beside the whole.

    Raises RunError where one part holds what another lacks.
    """
    first = parts[0].part()
    if len({part.held() for part in parts}) > 1:
        raise RunError("the parts of an interrupted run hold different measures; remove its folder, and start again")
    if not all("alternative image" in part.shapes for part in parts):
        first = replace(first, alternative=None)
    texts, arrays = _filled(first, parts)
    names, hashes, notes, skipped = (tuple(chain.from_iterable(columns)) for columns in zip(*texts, strict=True))
    return replace(
        first,
        names=names,
        sizes=arrays["sizes"],
        label_hashes=hashes,
        confusion=_confusion(first.confusion, len(names), "confusion", arrays),
        boundary=_boundary(first, arrays),
        notes=tuple(dict.fromkeys(notes)),
        skipped=skipped,
        alternative=first.alternative and _confusion(first.alternative, len(names), "alternative", arrays),
        **{field: {name: arrays[f"{field} {name}"] for name in getattr(first, field)} for field in _BY_NAME},
    )


def _filled(first: Evaluation, parts: Sequence[PackedPart]) -> tuple[list[tuple[Any, ...]], dict[str, np.ndarray]]:
    """Return the texts of all parts, and their arrays, of the names that the first has, concatenated."""
    whole = {
        name: np.empty((sum(part.shapes[name][0] for part in parts), *array.shape[1:]), array.dtype)
        for name, array in _arrays(first)
    }
    texts: list[tuple[Any, ...]] = []
    done, images = dict.fromkeys(whole, 0), 0
    for part in (packed.part() for packed in parts):
        texts.append((part.names, part.label_hashes, part.notes, part.skipped))
        for name, array in _arrays(part):
            if name in whole:
                place = slice(done[name], done[name] + len(array))
                whole[name][place] = array + np.int32(images) if name.endswith(" image") else array
                done[name] = place.stop
        images += part.images
    return texts, whole


def _arrays(part: Evaluation) -> Iterator[tuple[str, np.ndarray]]:
    """Yield the arrays of a part with one row an image, or one row a count, by name."""
    yield "sizes", part.sizes
    for field in _BY_NAME:
        mapping: Mapping[str, np.ndarray] = getattr(part, field)
        yield from ((f"{field} {name}", array) for name, array in mapping.items())
    counts = (("confusion", part.confusion, _CONFUSION), ("boundary", part.boundary, _BOUNDARY))
    for field, columns, names in (*counts, ("alternative", part.alternative, _CONFUSION)):
        if columns is not None:
            yield from ((f"{field} {name}", getattr(columns, name)) for name in names)


def _boundary(first: Evaluation, arrays: Mapping[str, np.ndarray]) -> BoundaryCounts | None:
    if first.boundary is None:
        return None
    return BoundaryCounts(classes=first.boundary.classes, **{name: arrays[f"boundary {name}"] for name in _BOUNDARY})


def _confusion(first: Confusion, images: int, field: str, arrays: Mapping[str, np.ndarray]) -> Confusion:
    return Confusion(first.classes, images, *(arrays[f"{field} {name}"] for name in _CONFUSION))
