"""Label sets: what the classes are, and how a label file encodes them.

A label file holds *codes* (grey values, palette indices, or packed colours). A :class:`LabelSet` turns them into class
indices ``0..C-1`` in uint8, with :data:`IGNORE` for void. A code that is neither a class nor void is an error: a mask
that is read with the wrong label set must not look like a bad network.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import numpy as np

from segablate.errors import LabelError, did_you_mean, shorten, thousands

IGNORE = 255
"""The class index of pixels without a label."""

MOST_CLASSES = 255
"""Class indices are uint8 and 255 is void."""

Encoding = Literal["codes", "colours"]
Colour = tuple[int, int, int]


def pack_colour(colour: Sequence[int]) -> int:
    """One integer for an RGB colour: ``r·65536 + g·256 + b``."""
    red, green, blue = colour
    return red << 16 | green << 8 | blue


@dataclass(frozen=True)
class LabelSet:
    """The ordered classes of a dataset and the codes its label files use for them.

    - `names`: class names; their order gives the class index.
    - `codes`: for each class the codes that mean it in a file (the first is the one written); packed colours
      (:func:`pack_colour`) where `encoding` is "colours".
    - `void`: codes of pixels without a label, or None when every code that is not a class is void.
    - `colours`: RGB for showing, one for each class.
    """

    name: str
    names: tuple[str, ...]
    codes: tuple[tuple[int, ...], ...]
    void: tuple[int, ...] | None = (IGNORE,)
    colours: tuple[Colour, ...] = ()
    encoding: Encoding = "codes"

    def __post_init__(self) -> None:
        _check_names(self)
        _check_codes(self)

    def __len__(self) -> int:
        return len(self.names)

    def index(self, name: str) -> int:
        """Class index of `name`; LabelError with the nearest name when there is none."""
        if name not in self.names:
            raise LabelError(f"label set {self.name!r} has no class {name!r}{did_you_mean(name, self.names)}")
        return self.names.index(name)

    def decode(self, raw: np.ndarray) -> np.ndarray:
        """Codes (H, W integer; H, W, 3 uint8 RGB for colours) to class indices (H, W uint8, 255 void).

        Raises LabelError when the array is not of the encoding's form, or holds a code that is not in the set.
        """
        codes = self._as_codes(raw)
        if codes.size and (codes.min() < 0 or codes.max() >= len(self._table)):
            self._refuse(codes, (codes < 0) | (codes >= len(self._table)))
        indices = self._table.take(codes)
        if not self._complete:
            unknown = self._unknown.take(codes)
            if unknown.any():
                self._refuse(codes, unknown)
        return indices

    def encode(self, indices: np.ndarray) -> np.ndarray:
        """Class indices (H, W uint8) to the codes written in files (uint8, uint16, or H, W, 3 for colours)."""
        void = self.void[0] if self.void else IGNORE
        table = np.full(256, void, np.int64)
        table[: len(self)] = [codes[0] for codes in self.codes]
        codes = table[indices]
        if self.encoding == "colours":
            return np.stack([codes >> 16, codes >> 8 & 255, codes & 255], axis=-1).astype(np.uint8)
        return codes.astype(np.uint8 if table.max() < 256 else np.uint16)

    def _as_codes(self, raw: np.ndarray) -> np.ndarray:
        if self.encoding == "codes":
            if raw.ndim != 2:
                raise LabelError(
                    f"has {raw.shape[-1]} channels, but label set {self.name!r} expects one channel of codes; "
                    f"save the class codes as a grey or palette image, or state encoding: colours"
                )
            return raw.astype(np.uint8) if raw.dtype == bool else raw
        if raw.ndim != 3 or raw.shape[-1] != 3:
            raise LabelError(f"has one channel, but label set {self.name!r} expects RGB colours; state encoding: codes")
        red, green, blue = (raw[..., channel].astype(np.int32) for channel in range(3))
        return red << 16 | green << 8 | blue

    def _refuse(self, codes: np.ndarray, unknown: np.ndarray) -> None:
        values, pixels = np.unique(codes[unknown], return_counts=True)
        worst = int(pixels.argmax())
        others = f" (and {len(values) - 1} other codes)" if len(values) > 1 else ""
        raise LabelError(
            f"code {self._show_code(int(values[worst]))} at {thousands(int(pixels[worst]))} pixels{others} is not in "
            f"label set {self.name!r}; map it to a class or to void in the dataset file"
        )

    def _show_code(self, code: int) -> str:
        return f"({code >> 16}, {code >> 8 & 255}, {code & 255})" if self.encoding == "colours" else str(code)

    @cached_property
    def _table(self) -> np.ndarray:
        """Class index of every code that fits the narrowest of 8, 16 and 24 bits."""
        highest = max(max((code for codes in self.codes for code in codes), default=0), max(self.void or (0,)))
        bits = next(bits for bits in (8, 16, 24) if highest < 1 << bits) if self.encoding == "codes" else 24
        table = np.full(1 << bits, IGNORE, np.uint8)
        for index, codes in enumerate(self.codes):
            table[list(codes)] = index
        return table

    @cached_property
    def _unknown(self) -> np.ndarray:
        """Whether a code is neither a class nor void."""
        unknown = np.full(len(self._table), self.void is not None)
        unknown[[code for codes in self.codes for code in codes]] = False
        unknown[list(self.void or ())] = False
        return unknown

    @cached_property
    def _complete(self) -> bool:
        return not self._unknown.any()

    def __getstate__(self) -> dict[str, object]:
        """Only the fields travel to worker processes; they build their own tables."""
        return {field: self.__dict__[field] for field in self.__dataclass_fields__}


def _check_names(labels: LabelSet) -> None:
    if not 1 <= len(labels.names) <= MOST_CLASSES:
        raise LabelError(f"label set {labels.name!r} has {len(labels.names)} classes; 1 to {MOST_CLASSES} are possible")
    twice = sorted({name for name in labels.names if labels.names.count(name) > 1})
    if twice:
        raise LabelError(f"label set {labels.name!r} names {shorten(twice)} twice; class names must differ")
    for field, values in (("codes", labels.codes), ("colours", labels.colours or labels.names)):
        if len(values) != len(labels.names):
            raise LabelError(f"label set {labels.name!r} has {len(labels.names)} classes but {len(values)} {field}")


def _check_codes(labels: LabelSet) -> None:
    seen: dict[int, str] = dict.fromkeys(labels.void or (), "void")
    for name, codes in zip(labels.names, labels.codes, strict=True):
        for code in codes:
            if not 0 <= code < 1 << 24:
                raise LabelError(f"label set {labels.name!r}: code {code} of {name!r} is not in 0..16777215")
            if code in seen:
                raise LabelError(f"label set {labels.name!r}: code {code} means both {seen[code]!r} and {name!r}")
            seen[code] = name


@dataclass(frozen=True)
class Alignment:
    """Which class of a dataset each output of a checkpoint means; None lies outside the label set.

    - `outputs`: for each of the K outputs a class index, or None.
    - `classes`: the number C of classes of the dataset.
    - `note`: how the alignment was found, when that is not plain.
    """

    outputs: tuple[int | None, ...]
    classes: int
    note: str = ""

    @cached_property
    def table(self) -> np.ndarray:
        """(K,) uint8: output index to class index; outputs outside the label set become 255."""
        table = np.full(len(self.outputs), IGNORE, np.uint8)
        for output, index in enumerate(self.outputs):
            table[output] = IGNORE if index is None else index
        return table

    @property
    def plain(self) -> bool:
        """Output k is class k, without remainder."""
        return self.outputs == tuple(range(self.classes))

    @property
    def leading(self) -> bool:
        """Output k is class k for every class; further outputs may follow, outside the label set."""
        classes = tuple(range(self.classes))
        return self.outputs[: self.classes] == classes and not any(
            index is not None for index in self.outputs[self.classes :]
        )


def align(
    outputs: int, names: Sequence[str] | None, labels: LabelSet, class_map: Mapping[str, str | None] | None = None
) -> Alignment:
    """Match the `outputs` of a checkpoint with the classes of a dataset: by `class_map`, else by name, else by place.

    By name only where the checkpoint names its outputs and every class of the dataset is among them. Raises LabelError
    when classes of the dataset have no output.
    """
    if names is not None and len(names) != outputs:
        raise LabelError(
            f"gives {outputs} classes but {len(names)} class names are stated; correct the list of classes"
        )
    if class_map:
        return _aligned_by_map(outputs, names, labels, class_map)
    if names is not None and set(labels.names) <= set(names):
        return _aligned_by_name(names, labels)
    if names is not None and len(names) >= len(labels) and not set(labels.names) & set(names):
        raise LabelError(
            f"names its classes {shorten(names)}, none of which is in {labels.name!r} ({shorten(labels.names)}); "
            f"choose the dataset it was trained on, or pass --class-map"
        )
    if names is not None:
        missing = [name for name in labels.names if name not in names]
        raise LabelError(
            f"has no class named {shorten(missing)}, which {labels.name!r} has; "
            f"choose the dataset it was trained on, or pass --class-map"
        )
    return _aligned_by_place(outputs, labels)


def _aligned_by_place(outputs: int, labels: LabelSet) -> Alignment:
    if outputs < len(labels):
        raise LabelError(
            f"gives {outputs} classes but {labels.name!r} has {len(labels)}; "
            f"choose the dataset it was trained on, or pass --class-map"
        )
    surplus = outputs - len(labels)
    note = (
        f"the checkpoint gives {outputs} outputs for {len(labels)} classes: "
        f"the last {surplus} lie outside the label set, and predicting them is a miss"
        if surplus
        else ""
    )
    return Alignment((*range(len(labels)), *[None] * surplus), len(labels), note)


def _aligned_by_name(names: Sequence[str], labels: LabelSet) -> Alignment:
    found = tuple(labels.names.index(name) if name in labels.names else None for name in names)
    surplus = [name for name in names if name not in labels.names]
    notes = []
    if found[: len(labels)] != tuple(range(len(labels))):
        notes.append("outputs were matched with the classes of the dataset by name (their order differs)")
    if surplus:
        lie = "lies" if len(surplus) == 1 else "lie"
        notes.append(f"output {shorten(surplus)} {lie} outside the label set: predicting it is a miss")
    return Alignment(found, len(labels), "; ".join(notes))


def _aligned_by_map(
    outputs: int, names: Sequence[str] | None, labels: LabelSet, class_map: Mapping[str, str | None]
) -> Alignment:
    """A class map names checkpoint classes (or output numbers) and the dataset's class for each; null is outside."""
    known = list(names) if names is not None else [str(output) for output in range(outputs)]
    for name in class_map:
        if str(name) not in known:
            raise LabelError(f"the class map names {name!r}, not a class of it{did_you_mean(str(name), known)}")
    targets = {str(name): target for name, target in class_map.items()}
    found = []
    for name in known:
        target = targets.get(name, name if name in labels.names else None)
        found.append(None if target is None else labels.index(target))
    missing = [name for index, name in enumerate(labels.names) if index not in found]
    if missing:
        raise LabelError(f"the class map gives no output for {shorten(missing)} of {labels.name!r}; map one to each")
    outside = [name for name, index in zip(known, found, strict=True) if index is None]
    note = f"class map: {len(class_map)} entries" + (f"; outside the label set: {shorten(outside)}" if outside else "")
    return Alignment(tuple(found), len(labels), note)
