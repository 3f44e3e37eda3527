"""Layout of the columns of a table in a given width.

Numbers are never shortened. When a table is too wide, first the headers are broken at their spaces, then texts are
broken into two lines or shortened in the middle, and finally the table is split into blocks that repeat the columns
naming the rows.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Protocol, TypeVar

from rich.cells import cell_len

from segablate.tables import Column

GAP = 2  # spaces between columns
LEAST_TEXT = 16
LEAST_PROSE = 28


class _OfColumn(Protocol):
    @property
    def column(self) -> Column | None: ...


AnyStrip = TypeVar("AnyStrip", bound=_OfColumn)


@dataclass(frozen=True)
class Strip:
    """A column as text: its header, its cells, and its width in characters."""

    column: Column | None  # None: the marker of the baseline
    title: str
    unit: str
    cells: tuple[str, ...]
    width: int = 0

    @property
    def flexible(self) -> bool:
        return self.column is not None and self.column.kind in ("text", "prose")

    def natural(self) -> int:
        """Return the width at which nothing is broken or shortened."""
        return max(cell_len(self.title), self._below())

    def compact(self) -> int:
        """Return the width at which only the header is broken."""
        return max(max(map(cell_len, self.title.split()), default=0), self._below())

    def least(self) -> int:
        """Return the smallest width of the column."""
        if not self.flexible or self.column is None:
            return self.compact()
        return min(self.compact(), LEAST_PROSE if self.column.kind == "prose" else LEAST_TEXT)

    def _below(self) -> int:
        return max(map(cell_len, (self.unit, *self.cells)))


def total(strips: Sequence[Strip]) -> int:
    """Return the width of a row of strips."""
    return sum(strip.width for strip in strips) + GAP * (len(strips) - 1)


def fit(strips: Sequence[Strip], width: int) -> list[list[Strip]]:
    """Set the width of every strip; return several blocks if they do not fit side by side."""
    natural = [replace(strip, width=strip.natural()) for strip in strips]
    if total(natural) <= width:
        return [natural]
    least = [replace(strip, width=strip.least()) for strip in strips]
    blocks = filled(least, _names_the_rows(least), lambda block: total(block) <= width)
    return [_widen(block, width) for block in blocks]


def shorten_middle(text: str, width: int) -> str:
    """Shorten a text to both its ends with ``…`` between; paths and numbered names differ at either end."""
    if cell_len(text) <= width:
        return text
    head = _start(text, width // 2)
    return f"{head}…{_start(text[::-1], width - 1 - cell_len(head))[::-1]}"


def set_in_width(text: str, width: int) -> str:
    """Return a cell that Rich breaks at its spaces into two lines at most; what is longer is shortened.

    Nothing is cut inside words, but for a single word that is longer than the width, such as a path.
    """
    words = text.split(" ")
    if cell_len(text) <= width or max(map(cell_len, words)) > width or len(words) == 1:
        return shorten_middle(text, width)
    if _lines(words, width) <= 2:
        return text
    head, tail = words[:1], words[-1:]
    if cell_len(f"{head[0]}…{tail[0]}") > width:
        return shorten_middle(text, width)
    for word in words[1:-1]:
        if cell_len(f"{' '.join([*head, word])} … {tail[0]}") > width:
            break
        head.append(word)
    joined = f"{' '.join(head)} … {tail[0]}"
    return joined if cell_len(joined) <= width else f"{head[0]}…{tail[0]}"


def _lines(words: Sequence[str], width: int) -> int:
    """Return the number of lines of words that each fit the width."""
    lines, used = 1, 0
    for word in words:
        needed = cell_len(word) + (1 if used else 0)
        if used + needed > width:
            lines, used, needed = lines + 1, 0, cell_len(word)
        used += needed
    return lines


def _start(text: str, width: int) -> str:
    taken = ""
    for character in text:
        if cell_len(taken + character) > width:
            break
        taken += character
    return taken


def filled(strips: Sequence[AnyStrip], names: int, fits: Callable[[Sequence[AnyStrip]], bool]) -> list[list[AnyStrip]]:
    """Fill blocks from the left with strips; each begins with the first `names`, which name the rows.

    The columns of one of several pairs of runs stay together. Where they do not fit, further blocks repeat the first of
    them, whose header names the pair.
    """
    head = list(strips[:names])
    blocks = [head]
    for group in _groups(strips[names:]):
        if len(blocks[-1]) > names and not fits([*blocks[-1], *group]) and fits([*head, *group]):
            blocks.append(head)
        for place, strip in enumerate(group):
            if len(blocks[-1]) > names and not fits([*blocks[-1], strip]):
                repeated = group[:1] if place and fits([*head, group[0], strip]) else []
                blocks.append([*head, *repeated])
            blocks[-1] = [*blocks[-1], strip]
    return blocks


def _groups(strips: Sequence[AnyStrip]) -> list[list[AnyStrip]]:
    """Return the columns of each difference of runs together where there are several, and every other one alone."""
    pairs = ["" if strip.column is None or "−" not in strip.column.run else strip.column.run for strip in strips]
    if len({*pairs} - {""}) < 2:
        return [[strip] for strip in strips]
    groups: list[list[AnyStrip]] = []
    for place, (strip, pair) in enumerate(zip(strips, pairs, strict=True)):
        if pair and place and pairs[place - 1] == pair:
            groups[-1].append(strip)
        else:
            groups.append([strip])
    return groups


def _names_the_rows(strips: Sequence[Strip]) -> int:
    """Return the number of columns up to the first one that names the rows, after markers and colours."""
    for index, strip in enumerate(strips):
        if strip.column is not None and strip.column.kind != "swatch":
            return index + 1
    return len(strips)


def _widen(block: list[Strip], width: int) -> list[Strip]:
    """Distribute the remaining width, one character at a time, to the text that is shortened most."""
    spare = width - total(block)
    while spare > 0:
        wanting = [i for i, strip in enumerate(block) if strip.width < (strip.compact() if strip.flexible else 0)]
        if not wanting:
            break
        neediest = max(wanting, key=lambda i: block[i].compact() - block[i].width)
        block[neediest] = replace(block[neediest], width=block[neediest].width + 1)
        spare -= 1
    return block
