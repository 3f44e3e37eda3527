"""Plain values of the expected shape pass; others are refused with the place in them."""

from typing import Any

import pytest

from segablate.plain_values import check
from segablate.text_files import MalformedText

SHAPE = {"name": str, "images": int, "files?": {str: str}, "notes": [str], "size": (None, [int]), "rate": float}
WHOLE = {"name": "a", "images": 3, "notes": ["x"], "size": None, "rate": 1, "more": object()}


def test_what_fits_is_returned() -> None:
    assert check(WHOLE, SHAPE, "run.json") is WHOLE
    for other in ({"files": {"a": "b"}}, {"size": [1, 2]}, {"rate": 0.5}, {"notes": []}):
        check({**WHOLE, **other}, SHAPE, "run.json")
    for value, shape in ((True, bool), (None, None), ({1: 2}, object), (False, (bool, str))):
        check(value, shape, "x")


@pytest.mark.parametrize(
    ("other", "message"),
    [
        ({"name": 5}, "run.json: 'name' is 5, but must be text"),
        ({"name": None}, "run.json: 'name' is None, but must be text"),
        ({"images": True}, "'images' is True, but must be a whole number"),
        ({"images": 1.5}, "'images' is 1.5, but must be a whole number"),
        ({"images": 1 << 63}, "'images' is a number of more than 64 bits, but must be a whole number"),
        ({"rate": "1"}, "'rate' is '1', but must be a number"),
        ({"rate": 10**400}, "'rate' is a number of more than 64 bits, but must be a number"),
        ({"files": {"a": 5}}, "'files': 'a' is 5, but must be text"),
        ({"files": []}, "'files' is a list, but must be a mapping"),
        ({"notes": ["x", 5]}, r"'notes'\[1\] is 5, but must be text"),
        ({"notes": {"a": 1}}, "'notes' is a mapping, but must be a list"),
        ({"size": [1, "x"]}, r"'size'\[1\] is 'x', but must be a whole number"),
        ({"size": 5}, "'size' is 5, but must be null or a list"),
        ({"name": "x" * 99, "images": "y" * 99}, r"'images' is 'y{56}\.\.\., but"),
    ],
)
def test_what_does_not_fit_is_named(other: dict[str, Any], message: str) -> None:
    with pytest.raises(MalformedText, match=message):
        check({**WHOLE, **other}, SHAPE, "run.json")


def test_a_missing_entry_is_named() -> None:
    with pytest.raises(MalformedText, match=r"run\.json has no 'name'"):
        check({"images": 1}, SHAPE, "run.json")
    with pytest.raises(MalformedText, match=r"run\.json is None, but must be a mapping"):
        check(None, SHAPE, "run.json")
