"""Small files that would take gigabytes of memory or minutes of time, were they read without limits."""

import struct
import zlib
from collections.abc import Callable
from functools import cache

from .archive_damage import png, zipped

MEGABYTE = 1 << 20
Bomb = Callable[[], bytes]


@cache
def built(bomb: Bomb) -> bytes:
    """The bytes of a bomb, written once."""
    return bomb()


@cache
def _stream(megabytes: int, start: bytes = b"") -> tuple[bytes, int]:
    """A raw deflate stream of some bytes and then zeros, a kilobyte for each megabyte, and the CRC of its content."""
    packer = zlib.compressobj(9, zlib.DEFLATED, -15)
    first = packer.compress(start) + packer.flush(zlib.Z_FULL_FLUSH)
    zeros, crc = bytes(MEGABYTE), zlib.crc32(start)
    block = packer.compress(zeros) + packer.flush(zlib.Z_FULL_FLUSH)
    for _ in range(megabytes):
        crc = zlib.crc32(zeros, crc)
    return first + block * megabytes + b"\x03\x00", crc


@cache
def zip_of_zeros(name: str, start: bytes = b"", megabytes: int = 2048) -> bytes:
    """An archive of one member, of some bytes and then zeros."""
    stream, crc = _stream(megabytes, start)
    encoded, size = name.encode(), len(start) + megabytes * MEGABYTE
    fields = struct.pack("<HHHHHIIIHH", 20, 0, 8, 0, 0x21, crc, len(stream), size, len(encoded), 0)
    directory = b"PK\x01\x02\x14\x00" + fields + struct.pack("<HHHII", 0, 0, 0, 0, 0) + encoded
    head = b"PK\x03\x04" + fields + encoded + stream
    return head + directory + struct.pack("<4sHHHHIIH", b"PK\x05\x06", 0, 0, 1, 1, len(directory), len(head), 0)


def _zlib(megabytes: int) -> bytes:
    """A zlib stream of zeros; of so many, Adler-32 is their number and one."""
    return b"\x78\xda" + _stream(megabytes)[0] + struct.pack(">I", megabytes * MEGABYTE % 65521 << 16 | 1)


def _png(width: int, height: int, depth: int, colour: int, *more: tuple[bytes, bytes]) -> bytes:
    header = struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0)
    return png([(b"IHDR", header), *more, (b"IDAT", _zlib(64)), (b"IEND", b"")])


def _colliding(count: int) -> list[int]:
    """Integers with one hash."""
    return [key * ((1 << 61) - 1) for key in range(1, count)]


def _pickle_of_colliding(count: int) -> bytes:
    """A dictionary of such keys, each of 13 bytes."""
    pairs = b"".join(b"\x8a\x0a" + key.to_bytes(10, "little") + b"N" for key in _colliding(count))
    return b"\x80\x02}(" + pairs + b"u."


def _npy(shape: str, descr: str = "|u1") -> bytes:
    header = f"{{'descr': '{descr}', 'fortran_order': False, 'shape': {shape}, }}".ljust(117) + "\n"
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header.encode()


YAML: tuple[Bomb, ...] = (
    lambda: b"a0: &a0 [x]\n" + b"".join(b"a%d: &a%d [%s]\n" % (i, i, b"*a%d, " % (i - 1) * 9) for i in range(1, 40)),
    lambda: b"classes: " + b"[" * 100_000,
    lambda: b"".join(b"? " for _ in range(50_000)),
    lambda: b"void: {" + b", ".join(b"%d: 0" % key for key in _colliding(40_000)) + b"}",
    lambda: b"name: " + b"9" * 400_000,
    lambda: b"name: 1" + b":00" * 40_000,
    lambda: b"name: 0x" + b"f" * 400_000,
    lambda: b"classes:\n" + b"".join(b"- {name: c%d, code: %d}\n" % (code, code) for code in range(20_000)),
    lambda: b"x: &x {k: v}\n" + b"y:\n" + b"  - {<<: [" + b", ".join([b"*x"] * 50_000) + b"]}\n",
    lambda: b"a: '" + b"z" * 3_000_000 + b"'",
    lambda: b"- " * 20_000 + b"x",
)
"""Aliases of aliases, nesting, colliding keys, numbers of many digits, long lists."""

JSON: tuple[Bomb, ...] = (
    lambda: b"[" * 200_000 + b"]" * 200_000,
    lambda: b'{"a":' * 50_000,
    lambda: b'{"format": ' + b"9" * 400_000 + b"}",
    lambda: b'{"a": [' + b"0," * 2_000_000 + b"0]}",
)

IMAGES: tuple[Bomb, ...] = (
    lambda: _png(60_000, 60_000, 8, 0),
    lambda: _png(2_000_000_000, 1, 8, 2),
    lambda: _png(60_000, 60_000, 8, 3, (b"PLTE", bytes(768))),
    lambda: _png(32, 24, 8, 2, (b"iCCP", b"x\0\0" + _zlib(1024))),
    lambda: _png(32, 24, 8, 0, (b"zTXt", b"x\0\0" + _zlib(1024))),
    lambda: _bmp(2**31 - 1, 1, 24),
    lambda: _bmp(60_000, 60_000, 8),
    lambda: b"GIF89a" + b"\xff" * 4 + b"\x80\0\0" + bytes(6) + b"," + bytes(4) + b"\xff" * 4 + b"\0\2\0;",
    lambda: b"P5 60000 60000 255\n" + bytes(100),
    lambda: b"P6 99999999999999999999 1 255\n" + bytes(100),
    lambda: _tiff(60_000, 60_000),
)
"""More pixels than the file can hold, and text chunks of a gigabyte."""

ARRAYS: tuple[Bomb, ...] = (
    lambda: _npy("(100000, 100000)"),
    lambda: _npy("(1099511627776, 1)", "<i8"),
    lambda: _npy("(24, 32)", "|V2000000000"),
    lambda: b"\x93NUMPY\x02\x00" + struct.pack("<I", 3_000_000) + b"(" * 3_000_000,
    lambda: b"\x93NUMPY\x01\x00" + struct.pack("<H", 60_000) + b"-" * 60_000,
)

MATS: tuple[Bomb, ...] = (
    lambda: b"MATLAB 5.0 MAT-file".ljust(124) + b"\x00\x01IM" + struct.pack("<II", 15, len(_zlib(1024))) + _zlib(1024),
    lambda: b"MATLAB 5.0 MAT-file".ljust(124) + b"\x00\x01IM" + struct.pack("<II", 14, 2**31 - 1) + bytes(64),
)

ZIPS: tuple[Bomb, ...] = (
    lambda: zip_of_zeros("logits.npy", _npy("(4, 23170, 23170)")),
    lambda: zip_of_zeros("names.npy", _npy("(1000,)", "<U500000")),
    lambda: zip_of_zeros("archive/data.pkl"),
    lambda: zipped([(f"{name}", b"") for name in range(30_000)]),
    lambda: zipped([("archive/data.pkl", b"\x80\x02" + b"(" * 1_000_000 + b"."), ("archive/version", b"3\n")]),
    lambda: zipped([("archive/data.pkl", _pickle_of_colliding(60_000)), ("archive/version", b"3\n")]),
    lambda: zipped([("archive/data.pkl", _many(b"]")), ("archive/version", b"3\n")]),
    lambda: zipped([("archive/data.pkl", _many(b"\x8f", 4)), ("archive/version", b"3\n")]),
)
"""Members of two gigabytes, very many of them, and pickles of very many objects."""


def _many(opcode: bytes, protocol: int = 2) -> bytes:
    """A pickle of a tuple of 800 000 empty containers."""
    return b"\x80" + bytes([protocol]) + b"(" + opcode * 800_000 + b"t."


def _bmp(width: int, height: int, depth: int) -> bytes:
    """Run-length encoded where it is 8 bits deep."""
    fields = (100, 0, 1078, 40, width, height, 1, depth, depth == 8, 0, 0, 0, 0, 0)
    return b"BM" + struct.pack("<IIIIiiHHIIiiII", *fields) + bytes(1024)


def _tiff(width: int, height: int) -> bytes:
    """One strip of zeros, compressed, said to be a whole picture."""
    strip = _zlib(16)
    shape = ((256, 4, width), (257, 4, height), (258, 3, 8), (259, 3, 8), (262, 3, 1))
    tags = (*shape, (273, 4, 122), (278, 4, height), (279, 4, len(strip)))
    entries = b"".join(struct.pack("<HHII", tag, kind, 1, value) for tag, kind, value in tags)
    return b"II*\x00" + struct.pack("<IH", 8, len(tags)) + entries + bytes(4 + 12) + strip
