"""Lists of values as people write them where commas are expected: ``1-3``, ``1..3``, ``1:7:2``, ``[1, 2]``, ``1;2``.

A value that itself has a comma, such as the name of a file, is quoted: ``"a,b.yaml",published``.
"""

import re
from collections.abc import Callable, Sequence
from contextlib import suppress
from itertools import combinations

from segablate.errors import KnobError

_BETWEEN_COMMAS = re.compile(r"""(?:^|,)\s*('[^']*'|"[^"]*"|[^,]*?)\s*(?=,|$)""")

_RANGE = re.compile(r"(\d+)\s*(?:-|–|\.\.\.?|:|\bto\b)\s*(\d+)(?:\s*(?::|\bstep\b)\s*(\d+))?")
_MOST = 50


def with_commas(text: str, odd: bool = False) -> str:
    """Return a list, or a range of numbers with both its ends, as comma-separated values; empty for any other text.

    :param odd: whether only odd numbers of a range are meant.
    """
    found = _RANGE.fullmatch(text.strip())
    if found:
        first, last, step = int(found[1]), int(found[2]), int(found[3] or 1)
        numbers = range(first, last + 1, step) if step else ()
        kept = [str(number) for number in numbers if not odd or number % 2][: _MOST + 1]
        return ",".join(kept) if 1 < len(kept) <= _MOST else ""
    parts = [part for part in re.split(r"[\s,;|]+", text.strip().strip("[](){}")) if part]
    return ",".join(parts) if len(parts) > 1 else ""


def between_commas(text: str) -> list[str]:
    """Return the values of a comma-separated list, those in quotes whole and without their quotes."""
    return [value[1:-1] if re.fullmatch("'.*'|\".*\"", value) else value for value in _BETWEEN_COMMAS.findall(text)]


def torn(values: Sequence[str], read: Callable[[str], object]) -> str:
    """Return the values, joined again, that can be read as one, such as the name of a file; empty for none."""
    for first, last in combinations(range(len(values) + 1), 2):
        whole = ",".join(values[first:last])
        if last - first > 1:
            with suppress(KnobError):
                read(whole)
                return whole
    return ""
