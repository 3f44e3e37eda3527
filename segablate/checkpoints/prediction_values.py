"""The values of predicted label maps: what they mean, changes of them, and the change under which they would fit.

A prediction may be written as 0 and 255 for classes 0 and 1, counted from 1, or be a grey map of probabilities. Such
files are read as they are, and the change under which all their values would be classes is measured beside them.
"""

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from segablate.datasets.heaps import Values, count_codes, find_heaps, threshold_of
from segablate.errors import CheckpointError
from segablate.labels import ignore_index, ignored_in, index_type, look_up

Meanings = tuple[tuple[int, ...], ...]
"""The values of each class."""

_FOREIGN = 8
"""Values of an image that are no classes and are counted."""

_LARGEST = np.iinfo(np.int64).max

_PAIR = re.compile(r"(-?\d+):(-?\d+)")


@dataclass(frozen=True)
class Change:
    """A change of the values in files before they are read.

    - `shift`: added to every value; `replaced`: values and what they become; `threshold`: values below it become 0,
      others 1.
    """

    shift: int = 0
    replaced: tuple[tuple[int, int], ...] = ()
    threshold: int | None = None

    def __str__(self) -> str:
        """Return the option that states it."""
        if self.threshold is not None:
            return f"threshold={self.threshold}"
        return f"shift={self.shift}" if self.shift else f"map={','.join(f'{old}:{new}' for old, new in self.replaced)}"

    def __bool__(self) -> bool:
        """Tell whether it changes anything."""
        return self != Change()

    def __call__(self, values: np.ndarray) -> np.ndarray:
        """Return the changed values, H, W integers."""
        if not self:
            return values
        if self.threshold is not None:
            return (values >= self.threshold).astype(np.uint8)
        changed = values.astype(np.int64) + self.shift
        changed[values > _LARGEST] = _LARGEST  # of uint64; they would become negative
        for old, new in self.replaced:
            changed[values == old] = new
        return changed


def read_change(options: dict[str, str]) -> Change:
    """Return the change that options state. Raises CheckpointError for a malformed one, and for several."""
    stated = [name for name in CHANGES if name in options]
    if len(stated) > 1:
        raise CheckpointError(f"{' and '.join(stated)} are stated; state one of them")
    if not stated:
        return Change()
    (name,) = stated
    text = options[name]
    if name == "map":
        pairs = [_PAIR.fullmatch(part.strip()) for part in text.split(",")]
        if not all(pairs):
            raise CheckpointError(f"map is {text!r}, but must be values and what they mean, as in map=255:1")
        return Change(replaced=tuple((int(pair[1]), int(pair[2])) for pair in pairs if pair))
    if not re.fullmatch(r"[+-]?\d{1,9}", text):
        raise CheckpointError(f"{name} is {text!r}, but must be an integer, as in {CHANGES[name]}")
    return Change(shift=int(text)) if name == "shift" else Change(threshold=int(text))


CHANGES = {"map": "map=255:1", "shift": "shift=-1", "threshold": "threshold=128"}
"""Options that change values, with an example of each."""


def fitting_change(found: Callable[[], Iterable[np.ndarray]], meanings: Meanings, void: Sequence[int]) -> Change | None:
    """Return the change under which the values in predicted label maps are classes, or void; None where none is plain.

    `found` returns the maps, H, W integers, and is called again where more than the values in them is needed.
    `meanings`: the values of each class. Values that are classes as they are need none.
    """
    known = {value for values in meanings for value in values}
    present, first = {value for values in found() for value in count_codes(values)}, [values[0] for values in meanings]
    if present <= known or not present:
        return None
    for shift in (-1, 1):
        if {value + shift for value in present - set(void)} <= known and not present <= {*known, *void}:
            return Change(shift=shift)
    if len(present - known) >= len(present) - 1 and 1 < len(present) == len(first):
        pairs = zip(sorted(present), sorted(first), strict=True)
        return Change(replaced=tuple((old, new) for old, new in pairs if old != new))
    if len(first) == 2 and (divided := _dividing(found())) is not None:
        return Change(threshold=divided)
    return None


def _dividing(found: Iterable[np.ndarray]) -> int | None:
    """Return the value that divides two heaps; half the range of 8 bits for many values that fill it."""
    counted = Values()
    for values in found:
        counted.add(values)
    heaps = find_heaps(counted, lossy=True)
    if len(heaps) == 2:
        return threshold_of(heaps)[0]
    codes = counted.codes
    return 128 if len(codes) > 16 and codes[0] >= 0 and 128 < codes[-1] < 256 else None


def foreign_values(values: np.ndarray, predicted: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Return the commonest values that are no classes and their labelled pixels, (8, 3) int64, filled up with zeros.

    A value is in two parts, its upper and lower 32 bits, as not all of uint64 fit int64.
    `values`: H, W integers; `predicted`, `labels`: H, W class indices of them, and of the ground truth.
    """
    rows = np.zeros((_FOREIGN, 3), np.int64)
    unknown = predicted == ignored_in(predicted)
    if not unknown.any():  # as in most files
        return rows
    outside = values[unknown & (labels != ignored_in(labels))]
    if outside.size:
        found, pixels = np.unique(outside, return_counts=True)
        chosen = np.argsort(-pixels, kind="stable")[:_FOREIGN]
        parts = [(value >> 32, value & 0xFFFFFFFF) for value in found[chosen].tolist()]
        rows[: len(chosen)] = np.column_stack([parts, pixels[chosen]])
    return rows


def decode(values: np.ndarray, meanings: Meanings) -> np.ndarray:
    """Convert integer values to class indices, void for no class; `meanings` lists the values of each class."""
    table, beyond = _table(meanings)
    if values.dtype == np.uint8:
        return look_up(table[:256], values)
    indices = table.take(values.astype(np.int64).clip(-1, len(table) - 1))
    for value, index in beyond:
        indices[values == value] = index
    return indices


@lru_cache(maxsize=8)
def _table(meanings: Meanings) -> tuple[np.ndarray, tuple[tuple[int, int], ...]]:
    """Return the table of class indices by value, and the values beyond it with their index.

    The last entry of the table, also that of -1, is for every value beyond.
    """
    pairs = [(value, index) for index, values in enumerate(meanings) for value in values]
    inside = [(value, index) for value, index in pairs if 0 <= value < 1 << 24]
    highest = max((value for value, _ in inside), default=0)
    table = np.full(max(highest + 1, 256) + 1, ignore_index(len(meanings)), index_type(len(meanings)))
    for value, index in inside:
        table[value] = index
    return table, tuple(pair for pair in pairs if not 0 <= pair[0] < 1 << 24)
