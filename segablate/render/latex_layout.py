"""Layout of the columns of a LaTeX table in the text width of ``article`` at 10 pt.

There is no LaTeX here to measure with, so widths are estimated from the widths of Computer Modern's characters. A
table that is too wide gets headers of several lines and a smaller font; then columns that the terminal shows only with
``--wide`` are left out, from the right; then texts are wrapped; and finally the table is split into several under each
other, which repeat the columns naming the rows.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace

from segablate.render.layout import filled
from segablate.tables import Column

TEXT_WIDTH = 345.0
"""Width of the text of ``article`` at 10 pt, in points."""

_MARGIN = 0.98  # of the text width: widths are estimates
_LEAST = {"text": 55.0, "prose": 90.0}
_HEADER = 37.0  # a line of a header may always be as wide as "95 % CI"
_BOLD = 1.15

_WIDTHS = {
    2.8: "!',.:;[]`il", 3.4: " -fj", 3.95: "I()trs", 4.5: "cez", 5.0: "<>?\"$*/0123456789^ago",
    5.6: "kqvxySbdhnpuJ{}~_",
    6.3: "ZL", 6.8: "FEP", 7.4: "BCTwR", 7.8: "AHNUVXYD&+=@KOQG", 8.4: "#%m", 9.2: "M|\\", 10.3: "W",
}  # fmt: skip
_WIDTH_OF = {character: width for width, characters in _WIDTHS.items() for character in characters}
_OTHER = 7.8  # mathematical signs and letters of other alphabets
_POWER = 12.0  # of "e-9" printed as a power of ten, beyond its characters

BREAK = "\u2063"
"""Where a long word may be broken; LaTeX's ``\\allowbreak``."""

LONG_WORD = 18


@dataclass(frozen=True)
class Size:
    """A font size: its command, the width of its characters and the space beside columns, in points."""

    command: str
    factor: float
    gap: float


NORMAL, SMALL, FOOTNOTE = Size("", 1.0, 6.0), Size(r"\small", 0.93, 4.0), Size(r"\footnotesize", 0.86, 3.0)


@dataclass(frozen=True)
class Strip:
    """A column as text, not escaped; `column` is None for the marker of the baseline.

    - `header`: lines of the header.
    - `bold`: rows in bold type.
    - `width`: of a column whose texts are wrapped, in points.
    """

    column: Column | None
    header: tuple[str, ...]
    cells: tuple[str, ...]
    bold: frozenset[int] = frozenset()
    width: float | None = None

    @property
    def flexible(self) -> bool:
        return self.column is not None and self.column.kind in _LEAST

    def natural(self, size: Size) -> float:
        """Return the width in points at which nothing is wrapped, or that to which the column is set."""
        if self.width is not None:
            return self.width
        cells = [width_of(text) * (_BOLD if i in self.bold else 1) for i, text in enumerate(self.cells)]
        return size.factor * max([*cells, *map(width_of, self.header)], default=0)

    def least(self, size: Size) -> float:
        """Return the smallest width: of a text its longest word, but not less than is legible."""
        if not self.flexible or self.column is None:
            return self.natural(size)
        words = [word for text in (*self.header, *self.cells) for word in re.split(f"[ {BREAK}]", breakable(text))]
        longest = size.factor * max(map(width_of, words), default=0)
        return min(self.natural(size), max(_LEAST[self.column.kind], longest))

    def stacked(self) -> "Strip":
        """Break the header at its spaces into lines that are not wider than the cells."""
        room = max([_HEADER, *map(width_of, self.cells)])
        lines: list[str] = []
        for word in " ".join(self.header).split():
            if lines and width_of(f"{lines[-1]} {word}") <= room:
                lines[-1] = f"{lines[-1]} {word}"
            else:
                lines.append(word)
        return replace(self, header=tuple(lines or [""]))


@dataclass(frozen=True)
class Layout:
    """Blocks of columns, one under the other, in a font size; `left_out` are the titles of columns without a place."""

    blocks: tuple[tuple[Strip, ...], ...]
    size: Size = NORMAL
    left_out: tuple[str, ...] = ()


def width_of(text: str) -> float:
    """Return the estimated width of a text in Computer Modern Roman at 10 pt, in points."""
    plain = sum(0 if character == BREAK else _WIDTH_OF.get(character, _OTHER) for character in text)
    return plain + _POWER * bool(re.search(r"\de-?\d", text))


def breakable(text: str) -> str:
    """Mark where long words, such as paths, may be broken: after punctuation, else after some characters."""
    return " ".join(_broken(word) if len(word) > LONG_WORD else word for word in text.split(" "))


def _broken(word: str) -> str:
    pieces = re.split(r"(?<=[/_:=,;+-])(?![/_:=,;+-])|(?<=\.)(?!\d)", word)
    return BREAK.join(p[i : i + LONG_WORD] for p in pieces for i in range(0, len(p), LONG_WORD))


def lay_out(strips: Sequence[Strip]) -> Layout:
    """Return the layout in which the columns fit the text width; see above."""
    if _fits(strips, NORMAL):
        return Layout((tuple(strips),))
    kept = [strip.stacked() for strip in strips]
    left_out: list[str] = []
    while True:
        for size in (NORMAL, SMALL):
            if _fits(kept, size):
                return Layout((tuple(kept),), size, tuple(reversed(left_out)))
        dispensable = [strip for strip in kept if strip.column is not None and strip.column.wide]
        if not dispensable:
            break
        kept.remove(dispensable[-1])
        left_out.append(" ".join(dispensable[-1].header))
    return Layout(_blocks(kept), FOOTNOTE, tuple(reversed(left_out)))


def _fits(strips: Sequence[Strip], size: Size) -> bool:
    return _total([strip.natural(size) for strip in strips], size) <= _MARGIN * TEXT_WIDTH


def _total(widths: Sequence[float], size: Size) -> float:
    return sum(widths) + 2 * size.gap * len(widths)


def _blocks(strips: Sequence[Strip]) -> tuple[tuple[Strip, ...], ...]:
    """Fill blocks from the left, each beginning with the columns that name the rows, and wrap what is too wide."""
    if _fits(strips, FOOTNOTE):
        return (tuple(strips),)
    blocks = filled(strips, 1 + (strips[0].column is None), _can_fit)
    return tuple(tuple(_wrapped(block)) for block in blocks)


def _can_fit(strips: Sequence[Strip]) -> bool:
    """Tell whether strips fit the text width once their texts are wrapped."""
    return _total([strip.least(FOOTNOTE) for strip in strips], FOOTNOTE) <= _MARGIN * TEXT_WIDTH


def _wrapped(block: Sequence[Strip]) -> list[Strip]:
    """Set the widths of texts that have to be wrapped, in proportion to what each lacks."""
    least, natural = ([getattr(strip, of)(FOOTNOTE) for strip in block] for of in ("least", "natural"))
    spare = max(_MARGIN * TEXT_WIDTH - _total(least, FOOTNOTE), 0.0)
    lacking = sum(natural) - sum(least)
    if lacking <= spare:
        return list(block)
    widths = [low + spare * (high - low) / lacking for low, high in zip(least, natural, strict=True)]
    return [
        replace(strip, width=round(width, 1)) if high > low else strip
        for strip, width, low, high in zip(block, widths, least, natural, strict=True)
    ]
