"""Reading text and JSON files of bounded size, in UTF-8 or, with a byte-order mark, UTF-16.

Errors state the fact; the caller adds the path with :func:`segablate.errors.at`.
"""

import codecs
import json
from pathlib import Path
from typing import Any

from segablate.errors import SegablateError, counted
from segablate.limits import TEXT_BYTES, Budget, TooLarge

JSON_DEPTH = 60
"""Most levels of objects and lists in one another in JSON."""


class MalformedText(SegablateError):
    """A text file that cannot be read, or is not in the format expected. The caller adds which."""


def read_bytes(path: Path, limit: int = TEXT_BYTES) -> bytes:
    """Read a file of at most `limit` bytes; devices and pipes are read no further than that.

    Raises MalformedText when the file is missing or unreadable, and TooLarge when it is longer.
    """
    try:
        with open(path, "rb") as file:
            data = file.read(limit + 1)
    except (OSError, ValueError) as error:  # ValueError: a null byte in the name
        reason = (getattr(error, "strerror", None) or str(error)).lower()
        raise MalformedText(f"cannot be read ({reason}); check the path") from None
    if len(data) > limit:
        raise TooLarge(f"is longer than {counted(limit, 'byte')}; give a shorter file")
    return data


def read_text(path: Path, limit: int = TEXT_BYTES) -> str:
    """Read a text file of at most `limit` bytes, without its byte-order mark.

    Raises MalformedText for other encodings and as :func:`read_bytes`.
    """
    return decode_text(read_bytes(path, limit))


def decode_text(data: bytes) -> str:
    """Decode the bytes of a text file, without its byte-order mark. Raises MalformedText for other encodings."""
    utf16 = data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
    try:
        return data.decode("utf-16" if utf16 else "utf-8-sig")
    except UnicodeDecodeError as error:
        raise MalformedText(f"is not UTF-8 text (byte {error.start}); save it as UTF-8") from None


def read_json(path: Path, limit: int = TEXT_BYTES) -> Any:
    """Read the value in a JSON file of at most `limit` bytes. Raises as :func:`read_text` and :func:`parse_json`."""
    return parse_json(read_text(path, limit))


def parse_json(text: str) -> Any:
    """Parse JSON text. Raises MalformedText for bad syntax, equal keys and deep nesting, and TooLarge beyond limits."""
    budget = Budget(len(text), in_proportion=True)

    def unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        """Build an object. Raises MalformedText for equal keys, of which Python would keep the last."""
        budget.check_time()
        entries = dict(pairs)
        if len(entries) < len(pairs):
            raise MalformedText(f"has the key {_repeated(pairs)[:60]!r} twice; remove one")
        return entries

    try:
        value = json.loads(text, object_pairs_hook=unique)
    except ValueError as error:
        raise MalformedText(f"is not valid JSON ({error}); copy or write it again") from None
    except RecursionError:
        raise MalformedText("nests too many levels deep; write it flat") from None
    _check_depth(value, text)
    return value


def _repeated(pairs: list[tuple[str, Any]]) -> str:
    """Return the first name that occurs a second time."""
    seen = set[str]()
    return next(name for name, _ in pairs if name in seen or seen.add(name))


def _check_depth(value: Any, text: str) -> None:
    """Raise MalformedText for a value that nests deeper than functions that call themselves may go."""
    if text.count("[") + text.count("{") <= JSON_DEPTH:
        return
    level = [value]
    for _ in range(JSON_DEPTH):
        level = [part for node in level for part in (node.values() if isinstance(node, dict) else node)]
        level = [part for part in level if isinstance(part, dict | list)]
        if not level:
            return
    raise MalformedText(f"nests deeper than {JSON_DEPTH} levels; write it flat")
