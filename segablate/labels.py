"""Label sets: the classes of a dataset, and their codes in label files.

A label file holds *codes* (grey values, palette indices, or packed colours). A :class:`LabelSet` turns them into class
indices ``0..C-1`` and an index for void: in uint8 with 255 up to 255 classes, else in uint16 with 65535. A code that is
neither a class nor void is an error: a label map that is read with the wrong label set must not look like a bad
network.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import chain
from typing import Literal

import numpy as np

from segablate.errors import LabelError, counted, did_you_mean, shorten, thousands

IGNORE, WIDE_IGNORE = 255, 65535
"""The class index of pixels without a label: of up to 255 classes, and of more; see :func:`ignore_index`."""

MOST_CLASSES = 5000
"""Counts by label and prediction are added in one table of int64, here of 200 MB."""

_MANY = 4
"""Unknown codes that may be those of a soft or compressed mask."""

Encoding = Literal["codes", "colours"]
Colour = tuple[int, int, int]

_USUAL: tuple[int, ...] = (-1,)
"""In place of void codes that are not stated."""


def pack_colour(colour: Sequence[int]) -> int:
    """Return the integer of an RGB colour: ``r·65536 + g·256 + b``."""
    red, green, blue = colour
    return red << 16 | green << 8 | blue


def ignore_index(classes: int) -> int:
    """Return the class index of void for this many classes: 255 up to 255, else 65535."""
    return IGNORE if classes <= IGNORE else WIDE_IGNORE


def index_type(classes: int) -> type[np.uint8] | type[np.uint16]:
    """Return the type of label maps of this many classes: the narrower one that holds :func:`ignore_index`."""
    return np.uint8 if classes <= IGNORE else np.uint16


def ignored_in(label_map: np.ndarray) -> int:
    """Return the class index of void in a label map, by its type: 255 for uint8, else 65535."""
    return IGNORE if label_map.dtype == np.uint8 else WIDE_IGNORE


@dataclass(frozen=True)
class LabelSet:
    """The ordered classes of a dataset and the codes its label files use for them.

    - `names`: class names, in the order of their class indices.
    - `codes`: for each class its codes in a file (the first is the one written); packed colours
      (:func:`pack_colour`) where `encoding` is "colours".
    - `void`: codes of pixels without a label, or None when every code that is not a class is void. By default
      :func:`ignore_index` of the number of classes.
    - `colours`: RGB colours for display, one for each class.
    - `merged_from`: the label set before its classes were merged, if any.

    Raises:
        LabelError: for names or codes that repeat, and for numbers of codes or colours that do not fit the names.

    Examples:
        >>> import numpy as np
        >>> from segablate import LabelSet
        >>> labels = LabelSet("tiles", ("tissue", "cell"), ((0,), (1, 7)), void=(255,))
        >>> labels.decode(np.array([[0, 7, 255]], np.uint8)).tolist()  # H W codes to class indices
        [[0, 1, 255]]
    """

    name: str
    names: tuple[str, ...]
    codes: tuple[tuple[int, ...], ...]
    void: tuple[int, ...] | None = _USUAL
    colours: tuple[Colour, ...] = ()
    encoding: Encoding = "codes"
    merged_from: "LabelSet | None" = field(default=None, compare=False, repr=False)

    def __post_init__(self) -> None:
        if self.void is _USUAL:
            object.__setattr__(self, "void", (self.ignore,))
        _check_names(self)
        _check_codes(self)

    def __len__(self) -> int:
        return len(self.names)

    @cached_property
    def ignore(self) -> int:
        """Return the class index of void, see :func:`ignore_index`."""
        return ignore_index(len(self))

    def index(self, name: str) -> int:
        """Return the class index of `name`. Raises LabelError with the nearest name for an unknown one."""
        if name not in self.names:
            raise LabelError(f"label set {self.name!r} has no class {name!r}{did_you_mean(name, self.names)}")
        return self.names.index(name)

    def decode(self, raw: np.ndarray) -> np.ndarray:
        """Convert codes (H, W integer; H, W, 3 uint8 RGB for colours) to class indices, (H, W) of :func:`index_type`.

        Raises LabelError for an array of another encoding, and for a code that is not in the set.
        """
        return self.decode_codes(self.as_codes(raw))

    def decode_codes(self, codes: np.ndarray) -> np.ndarray:
        """Convert codes as :meth:`as_codes` returns them to class indices, as :meth:`decode`."""
        if self._plain is not None and codes.dtype == self._plain and not self._between(codes):
            return codes
        if codes.size and (codes.min() < 0 or codes.max() >= len(self._table)):
            return self._decode_beyond(codes)
        if not self._complete:
            unknown = look_up(self._unknown, codes)
            if unknown.any():
                self._refuse(codes, unknown.astype(bool))
        return look_up(self._table, codes)

    def _decode_beyond(self, codes: np.ndarray) -> np.ndarray:
        """Decode codes some of which are beyond the table: the few of these that are in the set are compared."""
        outside = (codes < 0) | (codes >= len(self._table))
        inside = np.where(outside, 0, codes)
        if self.void is not None:
            unknown = np.where(
                outside, ~np.isin(codes, list(self._beyond)), look_up(self._unknown, inside).astype(bool)
            )
            if unknown.any():
                self._refuse(codes, unknown)
        indices = np.where(outside, self._table.dtype.type(self.ignore), self._table.take(inside))
        for code, index in self._beyond.items():
            indices[codes == code] = index
        return indices

    def encode(self, indices: np.ndarray) -> np.ndarray:
        """Convert class indices (H, W) to the codes of files (uint8, uint16, or H, W, 3 uint8 for colours).

        Raises LabelError for a class whose code does not fit 16 bits. Void whose codes do not is written as another
        code, of no class.
        """
        void = self.stored_void
        if self.encoding == "codes" and any(not 0 <= codes[0] < 1 << 16 for codes in self.codes):
            written = zip((codes[0] for codes in self.codes), self.names, strict=True)
            code, name = next(pair for pair in written if not 0 <= pair[0] < 1 << 16)
            raise LabelError(
                f"code {code} of class {name!r} cannot be written to a 16-bit PNG; state one in 0..65535 before it, as "
                f"in code: [{len(self)}, {code}]"
            )
        table = np.full(self.ignore + 1, void, np.int64)
        table[: len(self)] = [codes[0] for codes in self.codes]
        if self.encoding == "colours":
            codes = table[indices]
            return np.stack([codes >> 16, codes >> 8 & 255, codes & 255], axis=-1).astype(np.uint8)
        return look_up(table.astype(np.uint8 if table.max() < 256 else np.uint16), indices)

    def class_of(self, code: int) -> int | None:
        """Return the class index of a code; None for void and for codes outside the set."""
        index = int(self._table[code]) if 0 <= code < len(self._table) else self._beyond.get(code, self.ignore)
        return None if index == self.ignore else index

    def as_codes(self, raw: np.ndarray) -> np.ndarray:
        """Convert values of a file to H, W codes, colours to packed ones. Raises LabelError for another encoding."""
        if self.encoding == "codes":
            raw = single_channel(raw)
            if raw.ndim != 2:
                raise LabelError(
                    f"has {counted(raw.shape[-1], 'channel')}, but label set {self.name!r} expects one channel of "
                    f"codes; save the class codes as a grey or palette image, or state encoding: colours"
                )
            return raw.astype(np.uint8) if raw.dtype == bool else raw
        if raw.ndim != 3 or raw.shape[-1] != 3:
            raise LabelError(f"has one channel, but label set {self.name!r} expects RGB colours; state encoding: codes")
        if raw.dtype != np.uint8:
            raise LabelError(f"has colours of {raw.dtype}, but expected 8 bits per channel; save it as 8-bit RGB")
        red, green, blue = (raw[..., channel].astype(np.int32) for channel in range(3))
        return red << 16 | green << 8 | blue

    def _refuse(self, codes: np.ndarray, unknown: np.ndarray) -> None:
        values, pixels = np.unique(codes[unknown], return_counts=True)
        worst = int(pixels.argmax())
        others = f" (and {counted(len(values) - 1, 'other code')})" if len(values) > 1 else ""
        soft = ", or state a range such as code: 128..255 if masks are soft or compressed"
        raise LabelError(
            f"code {self.show_code(int(values[worst]))} at {counted(int(pixels[worst]), 'pixel')}{others} is not in "
            f"label set {self.name!r}; map it to a class or to void in the dataset file"
            f"{soft if len(values) >= _MANY and self.encoding == 'codes' else ''}"
        )

    def show_code(self, code: int) -> str:
        """Format a code: a number, or (red, green, blue)."""
        return f"({code >> 16}, {code >> 8 & 255}, {code & 255})" if self.encoding == "colours" else str(code)

    @cached_property
    def _table(self) -> np.ndarray:
        """Class index of every code, in the narrowest of 8, 16 and 24 bits that holds the label set."""
        known = (*(code for codes in self.codes for code in codes), *(self.void or ()))
        highest = max((code for code in known if 0 <= code < 1 << 24), default=0)
        bits = next(bits for bits in (8, 16, 24) if highest < 1 << bits) if self.encoding == "codes" else 24
        table = np.full(1 << bits, self.ignore, index_type(len(self)))
        for index, codes in enumerate(self.codes):
            table[[code for code in codes if code not in self._beyond]] = index
        return table

    @cached_property
    def _beyond(self) -> dict[int, int]:
        """Class index, or void, of the codes that no table holds: negative ones, and those of more than 24 bits."""
        classes = {code: index for index, codes in enumerate(self.codes) for code in codes}
        known = {**dict.fromkeys(self.void or (), self.ignore), **classes}
        return {code: index for code, index in known.items() if not 0 <= code < 1 << 24}

    @property
    def stored_void(self) -> int:
        """Return the code that stands for void in a PNG: the first void code that fits, else one of no class."""
        void = [code for code in self.void or () if 0 <= code < 1 << (24 if self.encoding == "colours" else 16)]
        taken = {code for codes in self.codes for code in codes}
        usual = chain((self.ignore,), range(1 << 16))
        free = (code for code in usual if self.encoding == "colours" or code not in taken)
        return void[0] if void else next(free, self.ignore)

    @cached_property
    def _unknown(self) -> np.ndarray:
        """1 for every code that is neither a class nor void, else 0; uint8."""
        unknown = np.full(len(self._table), self.void is not None, np.uint8)
        known = (*(code for codes in self.codes for code in codes), *(self.void or ()))
        unknown[[code for code in known if code not in self._beyond]] = 0
        return unknown

    @cached_property
    def _plain(self) -> np.dtype | None:
        """The type of files whose codes are class indices already, also that of void; None where they are not."""
        plain = self.void == (self.ignore,) and self.codes == tuple((index,) for index in range(len(self)))
        return np.dtype(index_type(len(self))) if plain else None

    def _between(self, codes: np.ndarray) -> bool:
        """Tell whether a code is between the last class and void: the least one, once classes wrap to the end."""
        ignore = self.ignore
        shifted = codes + codes.dtype.type((ignore + 1 - len(self)) % (ignore + 1))
        return bool(codes.size) and int(shifted.min()) < ignore - len(self)

    @cached_property
    def _complete(self) -> bool:
        return not self._unknown.any()

    def __getstate__(self) -> dict[str, object]:
        """Return the fields alone: worker processes build their own tables."""
        return {field: self.__dict__[field] for field in self.__dataclass_fields__}


def single_channel(raw: np.ndarray) -> np.ndarray:
    """Return values of three equal channels, H, W, 3, as H, W: grey that was saved as RGB; others unchanged."""
    if raw.ndim != 3 or (raw != raw[..., :1]).any():
        return raw
    return np.ascontiguousarray(raw[..., 0])


def look_up(table: np.ndarray, codes: np.ndarray) -> np.ndarray:
    """Return ``table[codes]``; from bytes to bytes, as most label maps are, by OpenCV, which is faster."""
    if codes.dtype != np.uint8 or table.dtype != np.uint8 or len(table) != 256 or not codes.size:
        return table.take(codes)
    import cv2

    return cv2.LUT(codes, table)


def _check_names(labels: LabelSet) -> None:
    if not 1 <= len(labels.names) <= MOST_CLASSES:
        raise LabelError(
            f"label set {labels.name!r} has {counted(len(labels.names), 'class', 'classes')}, but must have 1 to "
            f"{thousands(MOST_CLASSES)}"
        )
    twice = sorted(name for name, times in Counter(labels.names).items() if times > 1)
    if twice:
        raise LabelError(f"label set {labels.name!r} has {shorten(twice)} twice; class names must differ")
    for what, values in (("code", labels.codes), ("colour", labels.colours or labels.names)):
        if len(values) != len(labels.names):
            raise LabelError(
                f"label set {labels.name!r} has {counted(len(labels.names), 'class', 'classes')} but "
                f"{counted(len(values), what)}"
            )


def _check_codes(labels: LabelSet) -> None:
    seen: dict[int, str] = dict.fromkeys(labels.void or (), "void")
    for name, codes in zip(labels.names, labels.codes, strict=True):
        for code in codes:
            if not -(1 << 63) <= code < 1 << 63:
                raise LabelError(f"label set {labels.name!r}: code {code} of {name!r} does not fit 64 bits")
            if code in seen:
                raise LabelError(
                    f"label set {labels.name!r}: {seen[code]!r} and {name!r} both have code {labels.show_code(code)}; "
                    f"give each its own"
                )
            seen[code] = name
