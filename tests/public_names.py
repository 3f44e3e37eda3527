"""The public names: an inventory with signatures, and what their docstrings lack. Run to write the inventory anew."""

import doctest
import inspect
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import segablate


def public_names() -> list[str]:
    """Every public name with its parameters, and the members of public classes, sorted."""
    lines = []
    for name, found in _public():
        lines.append(f"{name}{_parameters(found)}")
        lines += [f"{name}.{member}{_parameters(value)}" for member, value in members(found)]
    return sorted(lines)


def documented() -> list[str]:
    """The dotted names that must have a docstring."""
    return [each for name, found in _public() for each in (name, *(f"{name}.{member}" for member, _ in members(found)))]


def missing(name: str) -> list[str]:
    """What the docstring of a public name lacks."""
    first, _, member = name.partition(".")
    found: Any = dict(_public())[first]
    if member:
        found = inspect.getattr_static(found, member)
        found = getattr(found, "__wrapped__", getattr(found, "fget", getattr(found, "func", found)))
    text = inspect.getdoc(found) or ""
    lacks = [] if text.partition("\n")[0].endswith((".", ":")) else ["a first line that ends in a full stop"]
    if not member and inspect.isfunction(found):
        parameters = inspect.signature(found).parameters
        expected = ("Args:", "Returns:", "Raises:") if parameters else ("Returns:",)
        lacks += [part for part in expected if part not in text]
        lacks += [each for each in parameters if not re.search(rf"^    [\w, ]*\b{each}\b[\w, ]*: ", text, re.MULTILINE)]
    if (
        inspect.isclass(found)
        and found.__module__.startswith("segablate.api")
        and hasattr(found, "__dataclass_fields__")
    ):
        lacks += [
            field for field in found.__dataclass_fields__ if f"`{field}`" not in text and not _about(found, field)
        ]
    return lacks


def examples() -> list[tuple[str, doctest.DocTest]]:
    """The examples in the docstrings of public names, by the name."""
    finder = doctest.DocTestFinder(recurse=False)
    found = []
    for name in documented():
        first, _, member = name.partition(".")
        value: Any = dict(_public())[first]
        if member:
            value = inspect.getattr_static(value, member)
        found += [(name, test) for test in finder.find(value, name, module=False, globs={}) if test.examples]
    return found


def _about(found: type, field: str) -> bool:
    return field in (inspect.getdoc(found) or "")


def _public() -> Iterator[tuple[str, Any]]:
    for name in segablate.__all__:
        found = getattr(segablate, name)
        if inspect.ismodule(found):
            yield from ((f"{name}:{each}", getattr(found, each)) for each in found.__all__)
        else:
            yield name, found


def members(found: Any) -> list[tuple[str, Any]]:
    """Public methods and properties that a class of this package defines itself."""
    if not inspect.isclass(found) or issubclass(found, Exception):
        return []
    own = [(name, value) for name, value in vars(found).items() if not name.startswith("_")]
    fields = getattr(found, "__dataclass_fields__", {})
    return [
        (name, value) for name, value in own if name not in fields and (callable(value) or hasattr(value, "__get__"))
    ]


def _parameters(found: Any) -> str:
    if inspect.isclass(found):
        fields = getattr(found, "__dataclass_fields__", None)
        return f"({', '.join(fields)})" if fields else ""
    if not inspect.isfunction(found):
        return ""
    given = inspect.signature(found).parameters.values()
    return f"({', '.join(str(each).partition(':')[0].partition('=')[0] for each in given)})"


if __name__ == "__main__":
    place = Path(__file__).parent / "golden" / "public_names.txt"
    place.write_text("\n".join(public_names()) + "\n", encoding="utf-8")
