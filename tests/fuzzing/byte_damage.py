"""Damage to a file as bytes: what a bad disk, a broken transfer or a hostile writer leaves behind."""

import struct
from collections.abc import Callable
from random import Random

Damage = Callable[[bytes, Random], bytes]

MAGIC = (
    b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff\xe0", b"GIF89a", b"BM", b"II*\x00", b"MM\x00*",
    b"RIFF\x20\x00\x00\x00WEBPVP8 ", b"\x93NUMPY\x01\x00v\x00", b"PK\x03\x04", b"MATLAB 5.0 MAT-file", b"\x80\x02",
    b"\x08\x00\x00\x00TFL3", b"\x89HDF\r\n\x1a\n", b"P5\n", b"P6 9999999 9999999 255\n", b"{", b"---\n",
    b"\x1f\x8b\x08\x00", b"version https://git-lfs.github.com/spec/v1\n",
)  # fmt: skip
"""Beginnings of formats, put before or in place of another one's."""

EXTREMES = (0, 1, 0x7F, 0x80, 0xFF, 0x7FFF, 0x8000, 0xFFFF, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF, 1 << 40, (1 << 63) - 1)

ODD_WORDS = (b"\x00", b"\xff" * 8, b"-1", b"9" * 20, b"nan", b"'\"\\", b"os.system", b"../../../x", b"A" * 300)


def damaged(data: bytes, rng: Random) -> bytes:
    """One to three kinds of damage after one another."""
    for _ in range(rng.choice((1, 1, 1, 2, 3))):
        data = rng.choice(KINDS)(data, rng)
    return data


def flip_bits(data: bytes, rng: Random) -> bytes:
    """Up to 16 bits turned, half of the time within the first 64 bytes."""
    if not data:
        return data
    found = bytearray(data)
    end = min(64, len(found)) if rng.random() < 0.5 else len(found)
    for _ in range(rng.choice((1, 1, 2, 4, 16))):
        found[rng.randrange(end)] ^= 1 << rng.randrange(8)
    return bytes(found)


def set_bytes(data: bytes, rng: Random) -> bytes:
    """A run of bytes overwritten with one value."""
    start, end = _part(data, rng)
    return data[:start] + bytes([rng.choice((0, 255, 127, 128, rng.randrange(256)))]) * (end - start) + data[end:]


def truncate(data: bytes, rng: Random) -> bytes:
    """Cut anywhere, near the beginning, or near the end."""
    place = rng.choice((rng.randrange(len(data) + 1), rng.randrange(64), len(data) - rng.randrange(64)))
    return data[: max(place, 0)]


def duplicate_chunk(data: bytes, rng: Random) -> bytes:
    """A part repeated where it is, up to 50 times."""
    start, end = _part(data, rng)
    return data[:end] + data[start:end] * rng.choice((1, 2, 50)) + data[end:]


def delete_chunk(data: bytes, rng: Random) -> bytes:
    """A part left out."""
    start, end = _part(data, rng)
    return data[:start] + data[end:]


def swap_chunks(data: bytes, rng: Random) -> bytes:
    """Two neighbouring parts exchanged."""
    start, end = _part(data, rng)
    middle = rng.randint(start, end)
    return data[:start] + data[middle:end] + data[start:middle] + data[end:]


def insert_noise(data: bytes, rng: Random) -> bytes:
    """Random bytes anywhere."""
    place = rng.randrange(len(data) + 1)
    return data[:place] + rng.randbytes(rng.choice((1, 4, 64))) + data[place:]


def grow_length(data: bytes, rng: Random) -> bytes:
    """An integer of 1, 2, 4 or 8 bytes in either order set to an extreme, most often in the header."""
    width, code = rng.choice(((1, "B"), (2, "H"), (4, "I"), (8, "Q")))
    if len(data) < width:
        return data
    end = len(data) - width + 1
    place = rng.randrange(min(end, 128) if rng.random() < 0.7 else end)
    packed = struct.pack(rng.choice("<>") + code, rng.choice(EXTREMES) % (1 << 8 * width))
    return data[:place] + packed + data[place + width :]


def add_to_length(data: bytes, rng: Random) -> bytes:
    """An integer of the header moved a little, doubled or halved."""
    code, width = rng.choice((("<H", 2), (">H", 2), ("<I", 4), (">I", 4)))
    if len(data) < width:
        return data
    place = rng.randrange(min(len(data) - width + 1, 128))
    (value,) = struct.unpack_from(code, data, place)
    value = rng.choice((value + 1, value - 1, value * 2, value // 2, value * 256)) % (1 << 8 * width)
    return data[:place] + struct.pack(code, value) + data[place + width :]


def replace_word(data: bytes, rng: Random) -> bytes:
    """A printable run of the file (a key, a type, a path) replaced."""
    start, end = _part(data, rng, 24)
    while start > 0 and 32 <= data[start - 1] < 127:
        start -= 1
    return data[:start] + rng.choice(ODD_WORDS) + data[end:]


def change_kind(data: bytes, rng: Random) -> bytes:
    """The beginning of another format before the file, in place of its own, or alone."""
    start = rng.choice(MAGIC)
    return rng.choice((start + data, start + data[len(start) :], start, start + rng.randbytes(200)))


def replace_whole(data: bytes, rng: Random) -> bytes:
    """Nothing, one byte, text, noise, or the file twice."""
    choices = (b"", b"\x00", b"hello\n", b"<!DOCTYPE html><html>", b"\x00" * 4096, rng.randbytes(999), data + data)
    return rng.choice(choices)


KINDS: tuple[Damage, ...] = (
    flip_bits, flip_bits, truncate, truncate, grow_length, grow_length, add_to_length, set_bytes, duplicate_chunk,
    delete_chunk, swap_chunks, insert_noise, replace_word, change_kind, replace_whole,
)  # fmt: skip


def _part(data: bytes, rng: Random, longest: int = 4096) -> tuple[int, int]:
    """Where a random part begins and ends."""
    start = rng.randrange(len(data) + 1)
    return start, min(len(data), start + rng.choice((1, 2, 4, 16, 256, longest)))
