"""Lists of values as people write them where commas are expected: ``1-3``, ``1..3``, ``1:7:2``, ``[1, 2]``, ``1;2``.

A value that itself has a comma, such as the name of a file, is quoted: ``"a,b.yaml",published``. So in every list: of
values, of losses, of folders.
"""

import re
from collections.abc import Callable, Iterable, Sequence
from itertools import combinations

from segablate.errors import UsageError

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
    return [unquoted(value) for value in _BETWEEN_COMMAS.findall(text)]


def unquoted(value: str) -> str:
    """Return a value without the quotes around it, and without the space around them."""
    value = value.strip()
    return value[1:-1] if _is_quoted(value) else value


def separated(text: str, option: str) -> list[str]:
    """Return the values of a list as :func:`between_commas` does; UsageError for a quote that is not closed."""
    if left_open := unclosed(text):
        raise UsageError(f"{option} is {text!r}: {left_open}")
    return between_commas(text)


def joined(values: Iterable[str]) -> str:
    """Return values as the text that :func:`between_commas` takes apart again."""
    return ",".join(_quoted(value) if "," in value else value for value in values)


def unclosed(text: str) -> str:
    """Say that a quote before a value is not closed after it; empty where all are closed."""
    for value in _BETWEEN_COMMAS.findall(text):
        if value[:1] in ("'", '"') and not _is_quoted(value):
            return f"the quote {value[0]} before {value[1:] or 'the end'} is not closed; close it after the value"
    return ""


def _quoted(value: str) -> str:
    return f'"{value}"' if "'" in value else f"'{value}'"


def _is_quoted(value: str) -> bool:
    return re.fullmatch("'[^']*'|\"[^\"]*\"", value) is not None


def torn(values: Sequence[str], is_one: Callable[[str], bool]) -> str:
    """Return the values, joined again, that are one, such as the name of a file; empty for none."""
    parts = (values[first:last] for first, last in combinations(range(len(values) + 1), 2) if last - first > 1)
    return next((whole for whole in map(",".join, parts) if is_one(whole)), "")
