"""Knobs: read off signatures, parsed from text, checked, refused with one clear line."""

import subprocess
import sys
from typing import Annotated, Literal

import pytest

from segablate.errors import KnobError
from segablate.objective.knobs import complete, find_knob, format_settings, knobs_of
from segablate.objective.ranges import Choice, Range, format_value


def example(
    logits,
    labels,
    *,
    image=None,
    radius: Annotated[int, Range(1, 10, grid=(1, 2, 3), help="side of the square window, in pixels")] = 3,
    pool: Annotated[str, Choice("avg", "max", help="how a cell is made")] = "avg",
    width: Annotated[int | str, Range(1, words=("official", "all"), help="what is scored")] = "official",
    ksize: Annotated[int, Range(3, 15, odd=True, help="side of the kernel")] = 3,
    alpha: Annotated[float | None, Range(0, 1, help="factor")] = None,
    ridge: Annotated[float, Range(0, 1, open_low=True, help="ridge")] = 5e-4,
    budget: Annotated[float, Range(0, 1, open_high=True)] = 0,
    free: Annotated[float, Range(0)] = 1,
    scales: Annotated[tuple[int, ...], Range(1, 64, grid=((4, 8), (2,)))] = (4, 8),
    layer_weights: Annotated[tuple[float, float, float], Range(0)] = (1, 1, 1),
    detach: Annotated[bool, Range(help="whether gradients are cut", used_when={"pool": ("max",)})] = True,
    plain=2,
    share=0.5,
    word: Literal["a", "b"] = "a",
    anything=None,
): ...


KNOBS = knobs_of(example)


def test_inputs_are_no_knobs_and_order_is_kept():
    assert list(KNOBS)[:3] == ["radius", "pool", "width"]
    assert "image" not in KNOBS


def test_what_a_knob_tells():
    radius = KNOBS["radius"]
    assert (radius.default, radius.grid, radius.option) == (3, (1, 2, 3), "--radius")
    assert KNOBS["layer_weights"].option == "--layer-weights"
    assert KNOBS["pool"].grid == ("avg", "max")
    assert KNOBS["detach"].grid == (False, True)
    assert KNOBS["detach"].used_when == {"pool": ("max",)}
    assert not KNOBS["detach"].used_in({"pool": "avg"})
    assert KNOBS["detach"].used_in({"pool": "max"})
    assert KNOBS["layer_weights"].default == (1.0, 1.0, 1.0)
    assert isinstance(KNOBS["free"].default, float)


@pytest.mark.parametrize(
    ("name", "text", "value"),
    [
        ("radius", " 7 ", 7),
        ("pool", "max", "max"),
        ("width", "all", "all"),
        ("width", "12", 12),
        ("ksize", "5", 5),
        ("alpha", "none", None),
        ("alpha", "0.25", 0.25),
        ("ridge", "1e-3", 0.001),
        ("ridge", "1", 1.0),
        ("budget", "0", 0.0),
        ("free", "1e9", 1e9),
        ("scales", "4", (4,)),
        ("scales", "2:4:64", (2, 4, 64)),
        ("layer_weights", "0:1:.5", (0.0, 1.0, 0.5)),
        ("detach", "no", False),
        ("detach", "True", True),
        ("plain", "-3", -3),
        ("share", "2", 2.0),
        ("word", "b", "b"),
        ("anything", "some text", "some text"),
    ],
)
def test_text_is_parsed_and_written_back(name, text, value):
    knob = KNOBS[name]
    parsed = knob.parse(text)
    assert parsed == value
    assert type(parsed) is type(value)
    assert knob.parse(knob.format(parsed)) == parsed


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("radius", "30", "--radius is 30, but must be between 1 and 10 (side of the square window, in pixels)"),
        (
            "radius",
            "three",
            "--radius is 'three', but must be a whole number between 1 and 10 (side of the square window, in pixels)",
        ),
        (
            "radius",
            "2.5",
            "--radius is '2.5', but must be a whole number between 1 and 10 (side of the square window, in pixels)",
        ),
        ("pool", "mxa", "--pool is 'mxa', but must be 'avg' or 'max' (how a cell is made); did you mean 'max'?"),
        (
            "width",
            "0",
            "--width is 0, but must be 'official', 'all' or a whole number of at least 1 (what is scored)",
        ),
        ("ksize", "4", "--ksize is 4, but must be an odd whole number between 3 and 15 (side of the kernel)"),
        ("alpha", "2", "--alpha is 2, but must be none or a number between 0 and 1 (factor)"),
        ("ridge", "0", "--ridge is 0, but must be a number greater than 0 and at most 1 (ridge)"),
        ("ridge", "nan", "--ridge is nan, but must be a number greater than 0 and at most 1 (ridge)"),
        ("budget", "1", "--budget is 1, but must be a number of at least 0 and less than 1"),
        ("free", "inf", "--free is inf, but must be a number of at least 0"),
        ("scales", "4:65", "--scales is 4:65, but each must be between 1 and 64"),
        (
            "layer_weights",
            "1:2",
            "--layer-weights is 1:2, but must be 3 values joined by colons, each a number of at least 0",
        ),
        ("detach", "maybe", "--detach is 'maybe', but must be yes or no (whether gradients are cut)"),
        ("plain", "x", "--plain is 'x', but must be a whole number"),
        ("word", "c", "--word is 'c', but must be 'a' or 'b'"),
    ],
)
def test_what_is_outside_is_refused_in_one_line(name, text, message):
    with pytest.raises(KnobError) as caught:
        KNOBS[name].parse(text, as_option=True)
    assert str(caught.value) == message


def test_without_dashes_inside_an_objective():
    with pytest.raises(KnobError, match=r"^radius is 30, but"):
        KNOBS["radius"].parse("30")


@pytest.mark.parametrize("value", [True, 1.5, "4", None, (3,)])
def test_check_wants_the_right_type(value):
    with pytest.raises(KnobError, match=r"radius is .* must be a whole number between 1 and 10"):
        KNOBS["radius"].check(value)


def test_a_list_is_separated_by_commas():
    assert KNOBS["radius"].parse_list("1,2, 3") == (1, 2, 3)
    assert KNOBS["scales"].parse_list("4:8,8:16") == ((4, 8), (8, 16))
    with pytest.raises(KnobError, match="--radius is 11"):
        KNOBS["radius"].parse_list("1,11", as_option=True)


def test_unknown_names_give_the_nearest():
    with pytest.raises(KnobError, match=r"^rmi has no hyperparameter 'radus'; did you mean 'radius'\?$"):
        find_knob(KNOBS, "radus", "rmi")
    with pytest.raises(KnobError, match=r"^ce has no hyperparameter 'gamma'; it has none$"):
        find_knob({}, "gamma", "ce")


def test_complete_settings():
    settings = complete(KNOBS, {"radius": 5, "free": 2}, "rmi")
    assert settings["radius"] == 5
    assert isinstance(settings["free"], float)
    assert settings["pool"] == "avg"
    assert format_settings(KNOBS, {"radius": 5, "scales": (4, 8), "alpha": None}) == "radius=5, scales=4:8, alpha=none"


def test_annotations_as_text_and_unresolvable_ones_elsewhere():
    code = (
        "from __future__ import annotations\n"
        "from typing import Annotated\n"
        "from segablate.objective.ranges import Range\n"
        "def f(logits: Nowhere, labels: Nowhere, *, a: Annotated[int, Range(1, 3)] = 2): ...\n"
    )
    names: dict = {}
    exec(code, names)
    assert knobs_of(names["f"])["a"].range == Range(1, 3)


def test_what_is_no_knob():
    def without_default(logits, labels, *, gamma): ...

    def odd_default(logits, labels, *, options={}): ...  # noqa: B006

    def outside(logits, labels, *, radius: Annotated[int, Range(1, 10)] = 11): ...

    with pytest.raises(KnobError, match="hyperparameter 'gamma' of without_default has no default"):
        knobs_of(without_default)
    with pytest.raises(KnobError, match="hyperparameter 'options' of odd_default has a default that is not a number"):
        knobs_of(odd_default)
    with pytest.raises(KnobError, match="radius is 11, but must be between 1 and 10"):
        knobs_of(outside)


def test_torch_is_not_imported():
    code = "import sys; import segablate.objective.knobs; assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_whole_floats_lose_their_point_where_all_digits_count():
    values = [True, False, None, 3, 4.0, -2.0, 0.5, 5e-4, 999_999_999_999_999.0, 1e15, float("inf"), "max"]
    assert [format_value(value) for value in values] == [
        "yes", "no", "none", "3", "4", "-2", "0.5", "0.0005", "999999999999999", "1000000000000000.0", "inf", "max",
    ]  # fmt: skip
