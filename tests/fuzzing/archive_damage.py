"""Damage inside an envelope whose checksums are right again: zip archives, PNG chunks, safetensors, compressed MAT."""

import io
import struct
import zipfile
import zlib
from random import Random

from .byte_damage import EXTREMES, damaged
from .tree_damage import changed_json


def damaged_zip(data: bytes, rng: Random) -> bytes:
    """A zip archive with one damaged, renamed, repeated, added or missing member, or damaged as bytes."""
    if rng.random() < 0.4:
        return damaged(data, rng)
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        members = [(entry.filename, archive.read(entry)) for entry in archive.infolist()]
    place = rng.randrange(len(members))
    name, content = members[place]
    change = rng.choice(("content", "content", "content", "name", "twice", "gone", "more", "first"))
    if change == "content":
        members[place] = name, damaged(content, rng)
    elif change == "name":
        members[place] = rng.choice((f"../{name}", f"/{name}", name.upper(), "x", "é" * 99, name + "/", "")), content
    elif change == "twice":
        members.append((name, damaged(content, rng)))
    elif change == "gone":
        members.pop(place)
    elif change == "more":
        members.append((rng.choice(("extra", "a/b/c", "x.npy", "data.pkl", "version")), rng.randbytes(50)))
    else:
        members.insert(0, members.pop(place))
    return zipped(members, rng.choice((zipfile.ZIP_STORED, zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)))


def zipped(members: list[tuple[str, bytes]], compression: int = zipfile.ZIP_STORED) -> bytes:
    """An archive of these members, of the time of the epoch; names may repeat."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", compression) as archive:
        for name, content in members:
            entry = zipfile.ZipInfo(name)
            entry.compress_type = compression
            archive.NameToInfo.pop(name, None)  # no warning for a name that repeats
            archive.writestr(entry, content)
    return buffer.getvalue()


def damaged_png(data: bytes, rng: Random) -> bytes:
    """A PNG whose chunks are damaged, exchanged, repeated or left out, each with its right checksum."""
    if rng.random() < 0.3:
        return damaged(data, rng)
    chunks = _chunks(data)
    place = rng.randrange(len(chunks))
    kind, content = chunks[place]
    change = rng.choice(("header", "header", "pixels", "content", "content", "kind", "twice", "gone", "order"))
    if change == "header":
        chunks[0] = b"IHDR", _header(chunks[0][1], rng)
    elif change == "pixels":
        chunks = [(k, _recompressed(c, rng) if k == b"IDAT" else c) for k, c in chunks]
    elif change == "content":
        chunks[place] = kind, damaged(content, rng)
    elif change == "kind":
        chunks[place] = rng.choice((b"IDAT", b"PLTE", b"tRNS", b"iCCP", b"zTXt", b"eXIf", b"\0\0\0\0")), content
    elif change == "twice":
        chunks.insert(rng.randrange(len(chunks)), (kind, content))
    elif change == "gone":
        chunks.pop(place)
    else:
        rng.shuffle(chunks)
    return png(chunks)


def png(chunks: list[tuple[bytes, bytes]]) -> bytes:
    """A PNG of these chunks."""
    parts = [struct.pack(">I", len(c)) + k + c + struct.pack(">I", zlib.crc32(k + c)) for k, c in chunks]
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts)


def _chunks(data: bytes) -> list[tuple[bytes, bytes]]:
    chunks, place = [], 8
    while place < len(data):
        (length,) = struct.unpack_from(">I", data, place)
        chunks.append((data[place + 4 : place + 8], data[place + 8 : place + 8 + length]))
        place += 12 + length
    return chunks


def _header(content: bytes, rng: Random) -> bytes:
    """Another width, height, depth, kind of colour or interlacing."""
    width, height, depth, colour, packing, filtering, interlace = struct.unpack(">IIBBBBB", content)
    if rng.random() < 0.5:
        width = rng.choice((width + 1, width - 1, height, width * 2, 0, *EXTREMES)) % (1 << 32)
        height = rng.choice((height, height, height + 1, height - 1, height // 2, *EXTREMES)) % (1 << 32)
    else:
        depth, colour = rng.choice((1, 2, 4, 8, 16, depth, 3)), rng.choice((0, 2, 3, 4, 6, colour, 5))
        interlace = rng.choice((interlace, 1 - min(interlace, 1), 7))
    return struct.pack(">IIBBBBB", width, height, depth, colour, packing, filtering, interlace)


def _recompressed(content: bytes, rng: Random) -> bytes:
    """Pixels damaged before they are compressed: wrong filters, too few or too many rows."""
    try:
        return zlib.compress(damaged(zlib.decompress(content), rng))
    except zlib.error:
        return content  # one of several parts of a stream


def damaged_safetensors(data: bytes, rng: Random) -> bytes:
    """A safetensors file whose header has other values and its right length, or damaged as bytes."""
    if rng.random() < 0.4:
        return damaged(data, rng)
    (length,) = struct.unpack_from("<Q", data)
    header = changed_json(data[8 : 8 + length], rng)
    return struct.pack("<Q", len(header)) + header + data[8 + length :]


def damaged_mat(data: bytes, rng: Random) -> bytes:
    """A MATLAB 5 file whose compressed matrix is damaged inside, or damaged as bytes."""
    kind, length = struct.unpack_from("<II", data, 128)
    if kind != 15 or rng.random() < 0.4:
        return damaged(data, rng)
    inside = zlib.compress(damaged(zlib.decompress(data[136 : 136 + length]), rng))
    return data[:128] + struct.pack("<II", 15, len(inside)) + inside + data[136 + length :]


def damaged_npy(data: bytes, rng: Random) -> bytes:
    """A .npy file of another shape, type or order in its header, or damaged as bytes."""
    if rng.random() < 0.5:
        return damaged(data, rng)
    (length,) = struct.unpack_from("<H", data, 8)
    header = data[10 : 10 + length].decode("latin-1")
    start, end = rng.choice((("'shape': ", "}"), ("'descr': ", ",")))
    head, _, rest = header.partition(start)
    tail = rest[rest.index(end) :]
    changed = f"{head}{start}{rng.choice(_SHAPES if 'shape' in start else _TYPES)}{tail}".encode("latin-1")
    return data[:8] + struct.pack("<H", len(changed)) + changed + data[10 + length :]


_SHAPES = (
    "(), ", "(0,), ", "(0, 0), ", "(24, 0), ", "(-1, 3), ", "(24,), ", "(3, 24, 32), ", "(100000, 100000), ",
    "(1 << 40, 2), ", "(9999999999999999999999, 1), ", "(1.5, 2), ", "(True, 2), ", "'x', ", "None, ", "[24, 32], ",
    "((24, 32), 1), ",
)  # fmt: skip
_TYPES = (
    "'|O'", "'<f8'", "'<f2'", "'<c16'", "'|S5'", "'<U9'", "'<M8[s]'", "'|V4'", "'>u2'", "'<i8'", "'|b1'",
    "[('a', '<i4')]", "'x'", "''", "5", "None", "['<f4']", "{'names': ['a'], 'formats': ['<i4']}", "'<f4' * 99",
    "'<' + 'f4'", "'|V0'", "'<U0'",
)  # fmt: skip
