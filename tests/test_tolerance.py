"""Tolerances in pixels and in shares of the diagonal: read, written, refused, and exact at whole distances."""

from math import inf, nan, sqrt

import pytest

from segablate.errors import KnobError
from segablate.metrics.tolerance import Tolerance


@pytest.mark.parametrize(
    ("text", "tolerance", "shown"),
    [
        ("3", Tolerance(3), "3"),
        ("2.5", Tolerance(2.5), "2.5"),
        (".5", Tolerance(0.5), "0.5"),
        ("0", Tolerance(0), "0"),
        (" 1000 ", Tolerance(1000), "1000"),
        ("0.0075d", Tolerance(0.0075, of_diagonal=True), "0.0075d"),
        ("7.5e-3d", Tolerance(0.0075, of_diagonal=True), "0.0075d"),
        ("1D", Tolerance(1, of_diagonal=True), "1d"),
        ("1e-5d", Tolerance(1e-5, of_diagonal=True), "1e-05d"),
    ],
)
def test_tolerances_are_read_and_written(text, tolerance, shown):
    assert Tolerance.parse(text) == tolerance
    assert str(tolerance) == shown
    assert Tolerance.parse(shown) == tolerance


@pytest.mark.parametrize("text", ["", "d", "three", "-1", "3px", "1,3", "nan", "inf", "1%", "1_0", "٣", "1..2", "3 d"])
def test_other_text_is_refused(text):
    with pytest.raises(KnobError, match=r"^tolerance is '.*', but must be a number of pixels .* 0.0075d$"):
        Tolerance.parse(text)


@pytest.mark.parametrize(
    ("text", "limits"),
    [
        ("1000.5", r"0 and 1000 \(pixels\)"),
        ("1e999", r"0 and 1000 \(pixels\)"),
        ("1.1d", r"0 and 1 \(of the dia"),
    ],
)
def test_tolerances_out_of_range_are_refused(text, limits):
    with pytest.raises(KnobError, match=f"^tolerance is .*, but must be between {limits}"):
        Tolerance.parse(text)


@pytest.mark.parametrize("amount", [-1, -1e-9, nan, inf])
def test_amounts_out_of_range_are_refused(amount):
    for of_diagonal in (False, True):
        with pytest.raises(KnobError, match="must be between 0 and"):
            Tolerance(amount, of_diagonal)


def test_a_share_is_not_rounded():
    assert Tolerance(0.0075, of_diagonal=True).pixels(1024, 2048) == pytest.approx(17.1730, abs=1e-4)
    assert Tolerance(0.0075, of_diagonal=True).squared(1024, 2048) == 294
    assert Tolerance(2.5).pixels(7, 7) == 2.5
    assert Tolerance(2.5).squared(7, 7) == 6


def test_a_tolerance_equal_to_a_distance_includes_it():
    """Whatever float64 makes of the square root or the share, and nothing further away."""
    for squared in range(1, 5000):
        assert Tolerance(sqrt(squared)).squared(1, 1) == squared
    for pixels in range(1, 501):
        assert Tolerance(pixels).squared(300, 400) == pixels**2
        assert Tolerance(pixels / 500, of_diagonal=True).squared(300, 400) == pixels**2
