"""How values are written for people."""

from math import inf, nan

import numpy as np
import pytest

from segablate.render.cells import aligned_cells, cell
from segablate.render.layout import shorten_middle
from segablate.tables import Column


@pytest.mark.parametrize(
    ("kind", "digits", "value", "text"),
    [
        ("text", None, "road", "road"),
        ("text", None, True, "yes"),
        ("text", None, (4, 8), "(4, 8)"),
        ("text", None, "two\nlines\tand\x1b[31m red", "two lines and [31m red"),
        ("count", None, 5_302_118, "5 302 118"),
        ("count", None, np.int64(0), "0"),
        ("share", None, 0.7434, "74.3"),
        ("share", 2, np.float32(0.5), "50.00"),
        ("share", 0, 1.0, "100"),
        ("signed_share", None, 0.0142, "+1.4"),
        ("signed_share", None, -0.0319, "-3.2"),
        ("signed_share", None, -0.0004, "0.0"),
        ("signed_share", None, 0.0, "0.0"),
        ("number", None, 0.41321, "0.4132"),
        ("number", None, 3, "3"),
        ("number", None, 12345.678, "12346"),
        ("number", None, 9999.96, "10000"),
        ("number", None, 1.2346e-7, "1.235e-7"),
        ("number", None, -3.5e9, "-3.500e9"),
        ("number", None, 0.0, "0"),
        ("number", 2, 3, "3.00"),
        ("signed_number", None, 0.5, "+0.5000"),
        ("signed_number", 1, -0.01, "0.0"),
        ("ratio", None, 9.516, "9.52×"),
        ("seconds", None, 0.00321, "3.21 ms"),
        ("seconds", None, 4.5e-5, "45.0 µs"),
        ("seconds", None, 75.0, "1.25 min"),
        ("seconds", None, 5400, "1.50 h"),
        ("seconds", None, 0.0, "0 µs"),
        ("bytes", None, 102_525_082, "97.8 MiB"),
        ("bytes", None, 512, "512 B"),
        ("p", None, 0.0131, "0.013"),
        ("p", None, 0.0004, "<0.001"),
        ("p", 2, 0.0004, "<0.01"),
        ("interval", None, (0.7312, 0.7521), "[73.1, 75.2]"),
        ("signed_interval", None, (-0.0721, 0.0083), "[-7.2, +0.8]"),
        ("number_interval", 2, (0.411, 0.44), "[0.41, 0.44]"),
        ("signed_number_interval", 1, (nan, 2), "[–, +2.0]"),
        ("signed_interval", None, (nan, nan), "–"),
        ("swatch", None, (128, 64, 0), "#804000"),
        ("number", None, inf, "∞"),
        ("share", None, -inf, "-∞"),
    ],
)
def test_writes_each_kind(kind, digits, value, text):
    assert cell(Column("key", "Title", kind, digits), value) == text


@pytest.mark.parametrize("kind", ["text", "prose", "swatch", "count", "share", "p", "bytes", "interval", "ratio"])
def test_a_missing_value_is_a_dash(kind):
    assert cell(Column("key", "Title", kind), None) == "–"


@pytest.mark.parametrize("kind", ["count", "share", "signed_share", "number", "seconds", "bytes", "p", "ratio"])
def test_nan_is_a_dash(kind):
    assert cell(Column("key", "Title", kind), nan) == "–"


def test_decimal_points_and_units_lie_under_each_other():
    assert aligned_cells(Column("t", "T", "seconds"), [0.00321, 0.118, nan]) == ["3.21 ms", "118    ms", "–"]
    assert aligned_cells(Column("i", "I", "signed_interval"), [(-0.01, 0.1), (0, 0.002), None]) == [
        "[-1.0, +10.0]",
        "[ 0.0,  +0.2]",
        "–",
    ]


@pytest.mark.parametrize(("width", "text"), [(9, "abcdefghi"), (8, "abcd…ghi"), (5, "ab…hi"), (1, "…")])
def test_shortens_in_the_middle(width, text):
    assert shorten_middle("abcdefghi", width) == text


def test_shortens_wide_characters_by_the_room_they_take():
    assert shorten_middle("道路標識標示", 7) == "道…標示"
