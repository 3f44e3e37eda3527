"""Check plain values, as JSON and YAML hold them, against the shape that a reader expects.

A shape is a type (``str``, ``int``, ``float``, ``bool``, or ``object`` for any value), None, ``[shape]`` for a list,
``{str: shape}`` for a mapping of any names, ``{"name": shape, "other?": shape}`` for a mapping that has these entries
(``?``: it need not) and may have more, and ``(shape, shape)`` for a value of any of these shapes.

An integer is a float too, but a truth value is neither. Integers have at most 64 bits.
"""

from typing import Any

from segablate.text_files import MalformedText

_NAMES = {str: "text", int: "a whole number", float: "a number", bool: "true or false", None: "null"}


def check(value: Any, shape: Any, where: str) -> Any:
    """Return the value. Raises MalformedText, with the place in it, where it is of another shape."""
    if isinstance(shape, tuple):
        return _check_any(value, shape, where)
    if isinstance(shape, list) and isinstance(value, list):
        for place, entry in enumerate(value):
            check(entry, shape[0], f"{where}[{place}]")
    elif isinstance(shape, dict) and isinstance(value, dict):
        _check_entries(value, shape, where)
    elif not _is(value, shape):
        raise MalformedText(f"{where} is {_shown(value)}, but must be {_described(shape)}")
    return value


def _check_any(value: Any, shapes: tuple[Any, ...], where: str) -> Any:
    """Check against the shape of the same kind, for the better message, else against each."""
    alike = [shape for shape in shapes if isinstance(shape, list | dict) and isinstance(value, type(shape))]
    if alike:
        return check(value, alike[0], where)
    if not any(_is(value, shape) for shape in shapes):
        raise MalformedText(f"{where} is {_shown(value)}, but must be {_described(shapes)}")
    return value


def _check_entries(value: dict[str, Any], shape: dict[Any, Any], where: str) -> None:
    if str in shape:
        for name, entry in value.items():
            check(entry, shape[str], f"{where}: {name[:60]!r}")
        return
    for name, expected in shape.items():
        if (key := name.removesuffix("?")) in value:
            check(value[key], expected, f"{where}: {key!r}")
        elif key == name:
            raise MalformedText(f"{where} has no {key!r}")


def _is(value: Any, shape: Any) -> bool:
    if shape is None or isinstance(shape, list | dict):
        return value is None and shape is None
    if shape is object or (shape is bool and isinstance(value, bool)):
        return True
    if isinstance(value, bool) or shape is bool:
        return False
    if isinstance(value, int):
        return shape in (int, float) and -(1 << 63) <= value < 1 << 63
    return isinstance(value, shape)


def _described(shape: Any) -> str:
    if isinstance(shape, tuple):
        return " or ".join(_described(each) for each in shape)
    if isinstance(shape, list | dict):
        return "a list" if isinstance(shape, list) else "a mapping"
    return _NAMES[shape]


def _shown(value: Any) -> str:
    if isinstance(value, list | dict):
        return "a list" if isinstance(value, list) else "a mapping"
    if isinstance(value, int) and abs(value) >= 1 << 63:
        return "a number of more than 64 bits"
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."
