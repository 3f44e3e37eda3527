"""The YAML reader of this program: cards, dataset.yaml, class maps.

It reads mappings, lists, text, plain numbers, true, false and null, and refuses whatever YAML would read as something
else than its author meant: equal keys, of which YAML keeps the last; ``no`` and ``on``, which are truth values; dates;
octal and base-60 numbers; tags. Anchors and aliases are read as long as they do not multiply.

Errors state the fact and the line; the caller adds the path with :func:`segablate.errors.at`.
"""

import math
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from segablate.errors import thousands
from segablate.limits import Budget
from segablate.text_files import MalformedText, read_text

YAML_BYTES = 2**20
"""Most bytes of a YAML file."""

DEPTH = 20
"""Most levels of mappings and lists in one another."""

VALUES = 200_000
"""Most values in a file, where those behind an alias count each time."""

_NUMBER = re.compile(r"[-+]?(\d+(\.\d*)?|\.\d+)([eE][-+]?\d+)?")
_INTEGER = re.compile(r"[-+]?(0|[1-9]\d{0,18})")
_CONSTANTS = {"": None, "~": None, "null": None, "true": True, "false": False}
_TRUTH = re.compile(r"(yes|no|on|off)", re.IGNORECASE)
_DATE = re.compile(r"\d{4}-\d{1,2}-\d{1,2}([Tt ].*)?")
_ODD_NUMBER = re.compile(
    r"[-+]?(0[0-7_]+|0[xXbBoO][\da-fA-F_]+|\d[\d_]*(:[0-5]?\d)+(\.\d*)?|\d[\d_.]*_[\d_.]*|\d{19,})"
)
_NOT_FINITE = re.compile(r"[-+]?\.(inf|nan)", re.IGNORECASE)


def read_yaml(path: Path) -> Any:
    """Read the value in a YAML file of at most :data:`YAML_BYTES` bytes; an empty file is None.

    Raises MalformedText with the line, and TooLarge where it takes too much memory or time.
    """
    return parse_yaml(read_text(path, YAML_BYTES))


def parse_yaml(text: str) -> Any:
    """Parse YAML text; raises as :func:`read_yaml`."""
    import yaml

    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    document = _Document(Budget(len(text)))
    try:
        for event in yaml.parse(text, Loader=loader):
            document.budget.check_time()
            document.add(event)
    except yaml.MarkedYAMLError as error:
        line = f"line {error.problem_mark.line + 1}: " if error.problem_mark else ""
        raise MalformedText(f"is not valid YAML ({line}{error.problem or error.context}); correct it") from None
    except (yaml.YAMLError, ValueError) as error:
        raise MalformedText(f"is not valid YAML ({' '.join(str(error).split())[:120]}); correct it") from None
    return document.value


@dataclass
class _Collection:
    """A mapping or list under construction; `key` is that of the mapping's next value, `size` counts values."""

    value: Any
    anchor: str | None
    key: Any = None
    has_key: bool = False
    size: int = 1


@dataclass
class _Document:
    """The value of a YAML document, built event by event."""

    budget: Budget
    value: Any = None
    documents: int = 0
    open: list[_Collection] = field(default_factory=list)
    anchors: dict[str, tuple[Any, int]] = field(default_factory=dict)

    def add(self, event: Any) -> None:
        """Take the next event of the parser. Raises MalformedText for what this reader refuses."""
        kind = type(event).__name__.removesuffix("Event")
        line = event.start_mark.line + 1
        if kind in ("MappingStart", "SequenceStart", "Scalar"):
            _refuse_tag(event, line)
        match kind:
            case "DocumentStart":
                self.documents += 1
                if self.documents > 1:
                    raise MalformedText(f"line {line}: a second document starts; keep one")
            case "MappingStart" | "SequenceStart":
                if len(self.open) == DEPTH:
                    raise MalformedText(f"line {line}: nests deeper than {DEPTH} levels; write it flat")
                self.open.append(_Collection({} if kind == "MappingStart" else [], event.anchor))
            case "MappingEnd" | "SequenceEnd":
                done = self.open.pop()
                self._place(done.value, done.size, done.anchor, line)
            case "Scalar":
                value = event.value if event.style else _scalar(event.value, line)
                self._place(value, 1, event.anchor, line)
            case "Alias":
                if event.anchor not in self.anchors:
                    raise MalformedText(f"line {line}: *{event.anchor} has no finished anchor &{event.anchor}")
                self._place(*self.anchors[event.anchor], None, line)

    def _place(self, value: Any, size: int, anchor: str | None, line: int) -> None:
        """Put a value where it belongs: into the open collection, or at the top."""
        if anchor is not None:
            self.anchors[anchor] = (value, size)
        if not self.open:
            self.value = value
            return
        parent = self.open[-1]
        parent.size += size
        if parent.size > VALUES:
            raise MalformedText(f"line {line}: holds more than {thousands(VALUES)} values; shorten it")
        if isinstance(parent.value, list):
            parent.value.append(value)
        elif parent.has_key:
            parent.value[parent.key] = value
            parent.has_key = False
        else:
            parent.key, parent.has_key = _key(value, parent.value, line), True


def _key(value: Any, entries: dict[Any, Any], line: int) -> str | int:
    """Check the key of a mapping. Raises MalformedText for keys that are no name or whole number, and equal ones."""
    if isinstance(value, bool) or not isinstance(value, str | int):
        shown = "null" if value is None else str(value).lower() if isinstance(value, bool) else repr(value)[:60]
        raise MalformedText(f'line {line}: the key {shown} is no name; quote it, as in "{shown}":')
    if value == "<<":
        raise MalformedText(f"line {line}: merge keys (<<) are not read; write the entries out")
    if value in entries:
        raise MalformedText(f"line {line}: the key {value!r} is there twice; remove one")
    return value


def _scalar(text: str, line: int) -> Any:
    """Convert a scalar without quotes. Raises MalformedText where YAML means another value than it seems."""
    if text.lower() in _CONSTANTS:
        return _CONSTANTS[text.lower()]
    shown = text if len(text) <= 40 else f"{text[:40]}..."
    if _TRUTH.fullmatch(text):
        meaning = "true" if text.lower() in ("yes", "on") else "false"
        raise MalformedText(f'line {line}: {text} is a truth value in YAML; quote it ("{text}"), or write {meaning}')
    if _DATE.fullmatch(text):
        raise MalformedText(f'line {line}: {shown} is a date in YAML; quote it ("{shown}")')
    if _INTEGER.fullmatch(text) and -(1 << 63) <= int(text) < 1 << 63:
        return int(text)
    if _ODD_NUMBER.fullmatch(text) or _NOT_FINITE.fullmatch(text):
        raise MalformedText(
            f'line {line}: {shown} is read as another number; write it plainly, or quote it ("{shown}")'
        )
    if _NUMBER.fullmatch(text) is None:
        return text
    if math.isinf(number := float(text)):
        raise MalformedText(f'line {line}: {shown} is too large a number; correct it, or quote it ("{shown}")')
    return number


def _refuse_tag(event: Any, line: int) -> None:
    if event.tag not in (None, "!"):
        raise MalformedText(f"line {line}: the tag {event.tag[:60]} is not read; leave it out")
