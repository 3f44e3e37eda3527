"""Damage to YAML and JSON that stays well-formed: values of another type, deeper, longer, repeated or left out."""

import json
from collections.abc import Iterator
from random import Random
from typing import Any

import yaml

from .text_damage import LONG, damaged_text

Place = tuple[Any, Any]
"""A list or a dictionary, and an index or a key of it."""

_MARK = "@@odd@@"

ODD_YAML = (
    "null", "true", "false", "0", "-1", "255", "256", "65536", str(2**31), str(2**63), str(2**64), "9" * 400,
    "9" * 5000, "1.5", "-0.0", ".inf", "-.inf", ".nan", "1e400", "0x1F", "0o17", "0b1", "1_000", "190:20:30",
    "190:20:30.15", "2001-12-14", "2001-12-14t21:59:43.10-05:00", "9999-99-99", "''", "' '", '"\\0"', '"a\\0b"',
    '"\\ud800"', '"\\udcff"', '"\\e[31m"', '"\\n"', "'~'", "'~nosuchuser'", "'~nosuchuser/x'", "'/dev/zero'", "'/'",
    "'..'", f"'{LONG}'", f"'{'y' * 5000}'", "'[bold]'", "'[/]'", "'$\\frac{'", "'%s'", "'{}'", "'日本🙂'", "[]", "[[]]",
    "[null]", "[1, a, 2.5]", "[[1, 2], [3]]", "{}", "{a: b}", "{1: 2}", "{null: null}",
    "{1.5: x, true: y, 2001-12-14: z}", "{? [a, b] : c}", "{? {a: b} : c}", "!!binary aGVsbG8=", "!!set {a, b}",
    "!!omap [a: 1, b: 2]", "!!pairs [a: 1, a: 2]", "!!timestamp x", "!!int x", "!!float x", "!!null x", "!!str 5",
    "!!python/object/apply:os.getcwd []", "!unknown 5", "&x [*x]", "&y {a: *y}", "*nothing", "{<<: 5}", "{<<: {a: 1}}",
    "[" * 60 + "]" * 60, "[" * 3000 + "]" * 3000, "{a: " * 500 + "}" * 500, "a, b", "yes", "no", "on", "off", "=", "<<",
)  # fmt: skip

ODD_JSON = (
    "null", "true", "false", "0", "-1", "255", str(2**31), str(2**63), str(2**64), "9" * 400, "9" * 5000, "1.5", "-0.0",
    "1e400", "NaN", "Infinity", "-Infinity", '""', '" "', '"\\u0000"', '"a\\u0000b"', '"\\ud800"', '"~nosuchuser"',
    '"/dev/zero"', '"../../x"', f'"{LONG}"', f'"{"y" * 5000}"', '"[bold]"', '"$\\\\frac{"', '"日本🙂"', "[]", "[[]]",
    "[null]", '[1, "a", 2.5]', "{}", '{"a": "b"}', '{"": 1}', '{"a": 1, "a": 2}', "[" * 60 + "]" * 60,
    "[" * 5000 + "]" * 5000, '{"a":' * 5000 + "1" + "}" * 5000,
)  # fmt: skip


def damaged_yaml(data: bytes, rng: Random) -> bytes:
    """A YAML text with other values, or one in three times damaged as a text."""
    if rng.random() < 0.33:
        return damaged_text(data, rng)
    tree = _changed(yaml.safe_load(data), rng)
    text = yaml.safe_dump(tree, sort_keys=False, allow_unicode=True, width=10_000)
    return _filled(text, ODD_YAML, rng, _MARK)


def damaged_json(data: bytes, rng: Random) -> bytes:
    """A JSON text with other values, or one in three times damaged as a text."""
    if rng.random() < 0.33:
        return damaged_text(data, rng)
    return changed_json(data, rng)


def changed_json(data: bytes, rng: Random) -> bytes:
    """A JSON text with other values."""
    return _filled(json.dumps(_changed(json.loads(data), rng), indent=1), ODD_JSON, rng, f'"{_MARK}"')


def _changed(tree: Any, rng: Random) -> Any:
    """The tree with a mark where an odd value is to stand, or with entries left out, repeated, exchanged or renamed."""
    holder = [tree]
    for _ in range(rng.choice((1, 1, 1, 2, 4))):
        places = list(_places(holder))
        here, key = rng.choice(places)
        if rng.random() < 0.6 or here is holder:
            here[key] = _MARK
            continue
        rng.choice((_leave_out, _repeat, _exchange, _nest, _rename))(here, key, rng.choice(places))
    return holder[0]


def _places(node: Any) -> Iterator[Place]:
    items = node.items() if isinstance(node, dict) else enumerate(node) if isinstance(node, list) else ()
    for key, value in list(items):
        yield node, key
        yield from _places(value)


def _leave_out(here: Any, key: Any, _: Place) -> None:
    del here[key]


def _repeat(here: Any, key: Any, _: Place) -> None:
    if isinstance(here, list):
        here.insert(key, here[key])
    else:
        here[f"{key} "] = here[key]


def _exchange(here: Any, key: Any, other: Place) -> None:
    """A value of the tree in another's place; a copy, for a tree holds no part of itself."""
    there, name = other
    if there is not here or name != key:
        here[key] = json.loads(json.dumps(there[name], default=str))


def _nest(here: Any, key: Any, _: Place) -> None:
    here[key] = [here[key]]


def _rename(here: Any, key: Any, _: Place) -> None:
    if isinstance(here, dict):
        here[_MARK] = here.pop(key)
    else:
        here[key] = {"name": here[key]}


def _filled(text: str, odd: tuple[str, ...], rng: Random, mark: str) -> bytes:
    """The text with an odd value at each mark, quoted or not."""
    text = text.replace(f"'{_MARK}'", _MARK) if mark == _MARK else text
    while mark in text:
        text = text.replace(mark, rng.choice(odd), 1)
    return text.encode("utf-8", "surrogatepass")
