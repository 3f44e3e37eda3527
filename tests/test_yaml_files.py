"""YAML and JSON: what is read, what is refused and why, and bounds on size, nesting and time."""

from pathlib import Path

import pytest

from segablate.errors import SegablateError
from segablate.limits import TooLarge
from segablate.text_files import MalformedText, parse_json, read_json, read_text
from segablate.yaml_files import VALUES, YAML_BYTES, parse_yaml, read_yaml


def test_plain_values_keep_their_types() -> None:
    text = """
    text: [road, "no", 'on', "2020-01-01", "010", y, ~home, 1.2.3, a b]
    numbers: [0, -7, +3, 255, 0.5, .5, 1., 1e-3, -2.5E+2, -9223372036854775808, 9223372036854775807]
    constants: [true, False, null, ~, ]
    7: {nested: []}
    """
    assert parse_yaml(text) == {
        "text": ["road", "no", "on", "2020-01-01", "010", "y", "~home", "1.2.3", "a b"],
        "numbers": [0, -7, 3, 255, 0.5, 0.5, 1.0, 0.001, -250.0, -(1 << 63), (1 << 63) - 1],
        "constants": [True, False, None, None],
        7: {"nested": []},
    }
    assert [type(value) for value in parse_yaml("[1, 1.0, true]")] == [int, float, bool]
    assert parse_yaml("") is None


def test_anchors_are_read() -> None:
    assert parse_yaml("a: &one [1, 2]\nb: *one\nc: [*one, *one]") == {"a": [1, 2], "b": [1, 2], "c": [[1, 2], [1, 2]]}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a: 1\nb: 2\na: 3", "line 3: the key 'a' is there twice; remove one"),
        ("- {code: 1, code: 3}", "line 1: the key 'code' is there twice"),
        ("1: a\n1: b", "line 2: the key 1 is there twice"),
        ("a:\n- no", r'line 2: no is a truth value in YAML; quote it \("no"\), or write false'),
        ("On: 1", r'line 1: On is a truth value in YAML; quote it \("On"\), or write true'),
        ("name: 2020-13-45", r'line 1: 2020-13-45 is a date in YAML; quote it \("2020-13-45"\)'),
        ("name: 2020-01-01 10:00:00", "is a date in YAML"),
        ("- 010", r'line 1: 010 is read as another number; write it plainly, or quote it \("010"\)'),
        ("- 1:30", "1:30 is read as another number"),
        ("- 2007_000032", "2007_000032 is read as another number"),
        ("- 0x1F", "0x1F is read as another number"),
        ("- 9223372036854775808", "9223372036854775808 is read as another number"),
        ("- -9223372036854775809", "-9223372036854775809 is read as another number"),
        (f"- {'9' * 5000}", r"line 1: 9{40}\.\.\. is read as another number"),
        (f"- {'0' * 40}", "line 1: 0{40} is read as another number"),
        (f"- {'0' * 41}", r"line 1: 0{40}\.\.\. is read as another number"),
        ("- .nan", r"\.nan is read as another number"),
        ("- 1e400", "1e400 is too large a number"),
        ("true: a", 'line 1: the key true is no name; quote it, as in "true":'),
        ("null: a", "the key null is no name"),
        ("1.5: a", "the key 1.5 is no name"),
        ("? [a, b]\n: c", "the key .* is no name"),
        ("a: &x 1\n<<: {b: 1}", "merge keys .* are not read"),
        ("&a [*a]", r"line 1: \*a has no finished anchor &a"),
        ("- *gone", r"\*gone has no finished anchor"),
        ("!!python/object/apply:os.system [touch canary]", "line 1: the tag tag:yaml.org.*os.system is not read"),
        ("!!set {a}", "the tag .* is not read"),
        ("a: 1\n---\nb: 2", "line 2: a second document starts; keep one"),
        ("a: [1", "is not valid YAML .*; correct it"),
        ("a: b: c", "is not valid YAML"),
        ("\tval: 1", "is not valid YAML"),
        ("a: \x07", "is not valid YAML"),
        ("[" * 21, "line 1: nests deeper than 20 levels"),
        ("\n".join(" " * level + "a:" for level in range(21)), "nests deeper than 20 levels"),
    ],
)
def test_what_is_refused_is_one_clear_line(text: str, message: str) -> None:
    with pytest.raises(MalformedText, match=message) as caught:
        parse_yaml(text)
    assert "\n" not in str(caught.value)


def test_aliases_that_multiply_are_refused() -> None:
    rows = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    rows += [f"a{level}: &a{level} [{', '.join([f'*a{level - 1}'] * 10)}]" for level in range(1, 10)]
    with pytest.raises(MalformedText, match=f"holds more than {VALUES:,}".replace(",", " ")):
        parse_yaml("\n".join(rows))


def test_a_long_file_and_a_device_without_end_are_refused(tmp_path: Path) -> None:
    long = tmp_path / "long.yaml"
    long.write_text("# comment\n" * (YAML_BYTES // 10 + 1))
    for path in (long, Path("/dev/zero")):
        with pytest.raises(TooLarge, match="is longer than 1 048 576 bytes"):
            read_yaml(path)


def test_encodings(tmp_path: Path) -> None:
    path = tmp_path / "a.yaml"
    for encoding in ("utf-8", "utf-8-sig", "utf-16"):
        path.write_text("name: caf\u00e9\r\n", encoding=encoding)
        assert read_yaml(path) == {"name": "caf\u00e9"}
    path.write_bytes(b"name: caf\xe9")
    with pytest.raises(MalformedText, match=r"is not UTF-8 text \(byte 9\); save it as UTF-8"):
        read_text(path)


@pytest.mark.parametrize("name", ["absent.yaml", ".", "a" * 300, "a\0b"])
def test_files_that_cannot_be_read(tmp_path: Path, name: str) -> None:
    with pytest.raises(SegablateError, match=r"cannot be read \(.*\); check the path"):
        read_yaml(tmp_path / name)


def test_json(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    path.write_text('{"a": [1, {"b": null}]}')
    assert read_json(path) == {"a": [1, {"b": None}]}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('{"a": 1, "a": 2}', "has the key 'a' twice; remove one"),
        ("[" * 100_000, "nests too many levels deep"),
        ('{"a":' * 100_000, "nests too many levels deep"),
        ("{", "is not valid JSON"),
        ("9" * 5000, "is not valid JSON"),
    ],
)
def test_json_that_is_refused(text: str, message: str) -> None:
    with pytest.raises(MalformedText, match=message):
        parse_json(text)
