"""Label sets decode what they know and refuse what they do not; outputs find their classes."""

import pickle

import numpy as np
import pytest

from segablate.errors import LabelError
from segablate.evaluation.alignment import align
from segablate.labels import IGNORE, LabelSet, pack_colour

STREET = LabelSet("street", ("road", "car", "person"), ((0,), (1, 7), (2,)), void=(255, 9))
RED, GREEN, BLACK = (255, 0, 0), (0, 255, 0), (0, 0, 0)
COLOURED = LabelSet(
    "coloured",
    ("a", "b"),
    ((pack_colour(RED),), (pack_colour(GREEN),)),
    void=(pack_colour(BLACK),),
    colours=(RED, GREEN),
    encoding="colours",
)


def test_codes_become_indices() -> None:
    raw = np.array([[0, 1, 7], [2, 255, 9]], np.uint8)
    assert STREET.decode(raw).tolist() == [[0, 1, 1], [2, IGNORE, IGNORE]]


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.int32, np.int64])
def test_any_integer_dtype_decodes(dtype: type) -> None:
    decoded = STREET.decode(np.array([[7, 2]], dtype))
    assert decoded.dtype == np.uint8
    assert decoded.tolist() == [[1, 2]]


def test_unknown_code_is_refused_with_its_count() -> None:
    raw = np.zeros((40, 40), np.uint8)
    raw[:35, :35] = 34
    raw[39, 39] = 35
    with pytest.raises(LabelError, match=r"code 34 at 1 225 pixels \(and 1 other code\) is not in label set 'street'"):
        STREET.decode(raw)


@pytest.mark.parametrize("code", [-1, 256, 70000])
def test_codes_beyond_the_table_are_refused(code: int) -> None:
    with pytest.raises(LabelError, match=f"code {code} at 1 pixel is not in label set"):
        STREET.decode(np.array([[0, code]], np.int64))


def test_sixteen_bit_codes() -> None:
    labels = LabelSet("wide", ("a", "b"), ((1000,), (65535,)), void=(0,))
    assert labels.decode(np.array([[1000, 65535, 0]], np.uint16)).tolist() == [[0, 1, IGNORE]]
    assert labels.encode(np.array([[0, 1, IGNORE]], np.uint8)).tolist() == [[1000, 65535, 0]]
    with pytest.raises(LabelError, match="code 7 at 1 pixel"):
        labels.decode(np.array([[7]], np.uint8))


def test_the_class_of_a_code() -> None:
    labels = LabelSet("some", ("a", "b"), ((3,), (4, 5)), void=(0,))
    assert [labels.class_of(code) for code in (3, 4, 5, 0, 6, 255, 256, 70_000)] == [0, 1, 1, *[None] * 5]


def test_void_may_be_the_rest() -> None:
    labels = LabelSet("rest", ("a",), ((3,),), void=None)
    assert labels.decode(np.array([[3, 4, 200]], np.uint8)).tolist() == [[0, IGNORE, IGNORE]]
    wide = labels.decode(np.array([[3, 4, 300, 65535]], np.uint16))
    assert wide.dtype == np.uint8
    assert wide.tolist() == [[0, IGNORE, IGNORE, IGNORE]]
    assert labels.decode(np.array([[-1, 3]], np.int32)).tolist() == [[IGNORE, 0]]


def test_any_integer_is_a_code() -> None:
    """Negative codes, and those beyond every table, of classes as of void, in any type of integers that holds them."""
    labels = LabelSet("any", ("a", "b", "c"), ((0,), (-7, 3), (1 << 40,)), void=(-1, -9999, 1 << 30))
    raw = np.array([[0, -7, 3], [1 << 40, -1, -9999], [1 << 30, 0, 0]])
    assert labels.decode(raw).tolist() == [[0, 1, 1], [2, IGNORE, IGNORE], [IGNORE, 0, 0]]
    assert labels.decode(np.array([[-7, 0, -1]], np.int8)).tolist() == [[1, 0, IGNORE]]
    assert [labels.class_of(code) for code in (-7, -1, 1 << 40, 5)] == [1, None, 2, None]
    with pytest.raises(LabelError, match="code -2 at 2 pixels"):
        labels.decode(np.array([[-2, -2, 0]]))
    with pytest.raises(LabelError, match="code 5 at 1 pixel"):
        labels.decode(np.array([[5, -1, 0]])), "a code inside the table, beside one that is not"
    rest = LabelSet("rest", ("a", "b"), ((0,), (-7,)), void=None)
    assert rest.decode(np.array([[-1, -7, 0, 77, 1 << 50]])).tolist() == [[IGNORE, 1, 0, IGNORE, IGNORE]]


def test_codes_that_no_png_holds() -> None:
    labels = LabelSet("void", ("a", "b"), ((255,), (0,)), void=(-1,))
    assert labels.stored_void == 1, "the first code of no class"
    assert labels.encode(np.array([[0, 1, IGNORE]], np.uint8)).tolist() == [[255, 0, 1]]
    assert LabelSet("v", ("a",), ((0,),), void=(-1, 7)).stored_void == 7
    with pytest.raises(LabelError, match=r"code -5 of class 'b' cannot be written to a 16-bit PNG"):
        LabelSet("negative", ("a", "b"), ((0,), (-5, 4))).encode(np.zeros((1, 1), np.uint8))


def test_many_unknown_codes_bring_a_hint() -> None:
    with pytest.raises(LabelError, match=r"state a range such as code: 128\.\.255 if masks are soft or compressed"):
        STREET.decode(np.array([[200, 201, 202, 203]], np.uint8))


def test_colours_decode_and_encode_back() -> None:
    raw = np.array([[RED, GREEN, BLACK]], np.uint8)
    indices = COLOURED.decode(raw)
    assert indices.tolist() == [[0, 1, IGNORE]]
    assert COLOURED.encode(indices).tolist() == raw.tolist()
    with pytest.raises(LabelError, match=r"code \(1, 2, 3\) at 1 pixel"):
        COLOURED.decode(np.array([[(1, 2, 3)]], np.uint8))


def test_the_form_of_the_array_must_fit_the_encoding() -> None:
    with pytest.raises(LabelError, match="has 3 channels"):
        STREET.decode(np.eye(3, dtype=np.uint8)[None])
    assert STREET.decode(np.full((2, 2, 3), 255, np.uint8)).tolist() == [[IGNORE] * 2] * 2, "grey saved as RGB"
    with pytest.raises(LabelError, match="expects RGB colours"):
        COLOURED.decode(np.zeros((2, 2), np.uint8))


def test_pickle_leaves_the_tables_behind() -> None:
    COLOURED.decode(np.array([[RED]], np.uint8))
    copy = pickle.loads(pickle.dumps(COLOURED))
    assert copy == COLOURED
    assert len(pickle.dumps(COLOURED)) < 2000


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"names": (), "codes": ()}, "has 0 classes"),
        ({"names": ("a", "a"), "codes": ((0,), (1,))}, "has a twice"),
        ({"names": ("a", "b"), "codes": ((0,),)}, "2 classes but 1 code"),
        ({"names": ("a", "b"), "codes": ((0,), (0,))}, "'a' and 'b' both have code 0; give each its own"),
        ({"names": ("a",), "codes": ((255,),)}, "'void' and 'a' both have code 255"),
        ({"names": ("a",), "codes": ((1 << 63,),)}, "of 'a' does not fit 64 bits"),
    ],
)
def test_label_sets_must_be_consistent(arguments: dict, message: str) -> None:
    with pytest.raises(LabelError, match=message):
        LabelSet("bad", **arguments)


def test_outputs_match_by_place_and_the_surplus_lies_outside() -> None:
    plain = align(3, None, STREET)
    assert plain.plain
    assert plain.note == ""
    more = align(5, None, STREET)
    assert more.outputs == (0, 1, 2, None, None)
    assert more.leading
    assert not more.plain
    assert "the last 2 outputs have no class in the label set" in more.note
    assert more.table.tolist() == [0, 1, 2, IGNORE, IGNORE]


def test_outputs_match_by_name_in_any_order() -> None:
    found = align(4, ("person", "void", "road", "car"), STREET)
    assert found.outputs == (2, None, 0, 1)
    assert not found.leading
    assert "by name" in found.note
    assert "output void has no class in the label set" in found.note


def test_outputs_match_by_name_up_to_capitals_and_synonyms() -> None:
    found = align(3, ("Person", "road, route", "Car"), STREET)
    assert found.outputs == (2, 0, 1)
    assert "'Person' as 'person', 'road, route' as 'road', 'Car' as 'car'" in found.note
    assert align(4, ("car, auto", "car", "road", "person"), STREET).outputs == (None, 1, 0, 2)


MORE = ("floor", "tree", "road", "bed", "person")
SCENE = LabelSet("scene", ("wall", "sky", "windowpane", "screen", "door", *MORE), tuple((code,) for code in range(10)))


def test_outputs_match_by_place_where_nearly_all_names_agree() -> None:
    found = align(10, ("wall", "sky", "window ", "screen", "door", *MORE), SCENE)
    assert found.plain
    assert "by position, as 9 of 10 names agree; read as: 'window ' as 'windowpane'" in found.note


@pytest.mark.parametrize(
    "names",
    [
        ("wall", "sky", "door", "screen", "window"),  # door is another place's
        ("wall", "sky", "window", "monitor", "door"),  # two of ten differ
        ("wall", "sky", "window", "screen", "door", "roof"),  # one more
        ("wall", "sky", "screen, crt", "screen, flat", "door"),  # of one form
    ],
)
def test_outputs_do_not_match_by_place_otherwise(names: tuple[str, ...]) -> None:
    with pytest.raises(LabelError, match=r"has no class named .*windowpane"):
        align(len(names) + len(MORE), (*names, *MORE), SCENE)


def test_outputs_match_by_map() -> None:
    class_map = {"truck": "car", "sedan": "car", "street": "road", "sky": None}
    found = align(5, ("street", "truck", "sedan", "sky", "person"), STREET, class_map)
    assert found.outputs == (0, 1, 1, None, 2)
    numbered = align(3, None, STREET, {"0": "car", "1": "road", "2": "person"})
    assert numbered.outputs == (1, 0, 2)


@pytest.mark.parametrize(
    ("outputs", "names", "class_map", "message"),
    [
        (2, None, None, "has 2 outputs but 'street' has 3 classes"),
        (2, ("a", "b", "c"), None, "has 2 outputs but names of 3 classes are stated"),
        (3, ("a", "b", "c"), None, "none of which is in 'street'"),
        (3, ("road", "car", "bike"), None, "has no class named person"),
        (3, None, {"7": "road"}, "has no class '7', which the class map names"),
        (3, None, {"0": "raod", "1": "car", "2": "person"}, "has no class 'raod'; did you mean 'road'"),
        (3, None, {"0": "road", "1": "car"}, "has no output for person of 'street' in the class map"),
    ],
)
def test_outputs_that_do_not_fit_are_refused(
    outputs: int, names: tuple[str, ...] | None, class_map: dict | None, message: str
) -> None:
    with pytest.raises(LabelError, match=message):
        align(outputs, names, STREET, class_map)
