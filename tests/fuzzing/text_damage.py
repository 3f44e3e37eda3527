"""Damage to a text: lines, words and encoding."""

import re
from random import Random

from .byte_damage import Damage, damaged

LONG = "x" * 300
"""Longer than a file name may be."""

WORDS = (
    "", " ", "~", "~nosuchuser", "~nosuchuser/x", "/", ".", "..", "../../etc/passwd", "/dev/null", "/dev/zero",
    "/dev/full", "/proc/self/mem", LONG, "y" * 5000, "\0", "a\0b", "\ud800", "\udcff", "\ufeff", "\u202e", "\x1b[31m",
    "[bold]", "[/]", "%s%n", "{}", "{name}", "$\\frac{", "\\", "'", '"', "null", "no", "on", "NaN", "inf", "-inf",
    "1e999", "-1", "0", "00", "1.5", "0x10", "1_000", "190:20:30", "2001-12-14", "2001-12-14t21:59:43.10-05:00",
    "9" * 30, "9" * 5000, str(2**31), str(2**63), str(2**64), "１", "é", "日本", "🙂", "a b", "a,b", "a:b", "*", "?",
    "*.png", "-", "--", "--help", "@", "=", "\t", "\n", "\r\n", "<>", "!!set",
)  # fmt: skip
"""What people and programs write where something else was meant."""


def damaged_text(data: bytes, rng: Random) -> bytes:
    """One to three changes of words, lines or encoding; now and then damage to the bytes."""
    if rng.random() < 0.1:
        return damaged(data, rng)
    for _ in range(rng.choice((1, 1, 2, 3))):
        data = rng.choice(KINDS)(data, rng)
    return data


def replace_word(data: bytes, rng: Random) -> bytes:
    """One word replaced by an odd one."""
    words = list(re.finditer(rb"[\w./~-]+", data))
    if not words:
        return data + encoded(rng.choice(WORDS))
    found = rng.choice(words)
    return data[: found.start()] + encoded(rng.choice(WORDS)) + data[found.end() :]


def insert_word(data: bytes, rng: Random) -> bytes:
    """An odd word anywhere."""
    place = rng.randrange(len(data) + 1)
    return data[:place] + encoded(rng.choice(WORDS)) + data[place:]


def change_line(data: bytes, rng: Random) -> bytes:
    """A line repeated, left out, moved, indented or replaced."""
    lines = data.split(b"\n")
    place = rng.randrange(len(lines))
    line = lines.pop(place)
    changed = (
        [line, line], [], [b"   " + line], [line.strip()], [b"\t" + line], [encoded(rng.choice(WORDS))],
        [line + b" " + encoded(rng.choice(WORDS))],
        [line, encoded(rng.choice(WORDS)) + b": " + encoded(rng.choice(WORDS))],
    )  # fmt: skip
    lines[place:place] = rng.choice(changed)
    if rng.random() < 0.2:
        rng.shuffle(lines)
    return b"\n".join(lines)


def change_encoding(data: bytes, rng: Random) -> bytes:
    """Another encoding, marks of byte order, carriage returns, bytes that are no UTF-8."""
    text = data.decode("utf-8", "replace")
    choices = (
        text.encode("utf-16"), b"\xef\xbb\xbf" + data, data.replace(b"\n", b"\r\n"), data.replace(b"\n", b"\r"),
        data + b"\xff\xfe", data.replace(b"a", b"\xe4", 1), data.replace(b" ", b"\xc2\xa0", 1),
        data.replace(b"/", b"\\"),
    )  # fmt: skip
    return rng.choice(choices)


KINDS: tuple[Damage, ...] = (replace_word, replace_word, replace_word, insert_word, change_line, change_encoding)


def encoded(word: str) -> bytes:
    """As a file would hold it, lone surrogates too."""
    return word.encode("utf-8", "surrogatepass")
