"""What decoding libraries write to standard error: dropped where an error of ours says it, else kept."""

import os
import struct
import subprocess
import sys
import tempfile
import threading
import zlib
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import cv2
import numpy as np
import pytest

from segablate.files import Unreadable
from segablate.images import silence
from segablate.images.label_maps import read_label_file
from segablate.images.pictures import read_picture
from segablate.images.silence import complaints_dropped


def chunk(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))


def short_png(path: Path) -> Path:
    """A palette PNG of 8 x 4 pixels that holds one row of them; all checksums are right."""
    header = struct.pack(">IIBBBBB", 8, 4, 8, 3, 0, 0, 0)
    rows = zlib.compress(bytes(1 + 8))
    parts = (chunk(b"IHDR", header), chunk(b"PLTE", bytes(768)), chunk(b"IDAT", rows), chunk(b"IEND", b""))
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + b"".join(parts))
    return path


def cut_bmp(path: Path) -> Path:
    cv2.imwrite(str(path), np.zeros((16, 16, 3), np.uint8))
    path.write_bytes(path.read_bytes()[:-100])
    return path


@pytest.fixture
def alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """No other thread runs, as far as the program knows: workers of pytest-xdist have one."""
    monkeypatch.setattr(silence, "_is_alone", lambda: True)


@pytest.mark.usefixtures("alone")
@pytest.mark.parametrize("read", [read_picture, read_label_file])
@pytest.mark.parametrize(("make", "name"), [(short_png, "a.png"), (cut_bmp, "a.bmp")])
def test_a_damaged_file_is_one_error_and_nothing_beside_it(
    make: Callable[[Path], Path],
    name: str,
    read: Callable[[Path], object],
    tmp_path: Path,
    capfd: pytest.CaptureFixture,
) -> None:
    with pytest.raises(Unreadable, match="its pixels are damaged"):
        read(make(tmp_path / name))
    assert capfd.readouterr() == ("", "")


@pytest.mark.usefixtures("alone")
def test_other_lines_are_kept_and_so_are_all_where_nothing_fails(capfd: pytest.CaptureFixture) -> None:
    lines = b"one\nlibpng error: Not enough image data\nCorrupt JPEG data: bad\n[ERROR:0@0.1] global a.cpp: b\n\ntwo\n"
    with complaints_dropped():
        os.write(2, lines)
    assert capfd.readouterr().err.encode() == lines
    with suppress(ValueError), complaints_dropped():
        os.write(2, lines)
        raise ValueError("damaged")
    assert capfd.readouterr().err == "one\ntwo\n"


WORKERS = """
import sys
from pathlib import Path
from segablate.datasets import reading
from segablate.images.label_maps import read_label_map

def read(index):
    return read_label_map(Path(sys.argv[1]))

if __name__ == "__main__":
    reading.WORTHWHILE = -1.0  # processes from the first file on
    with reading.ahead(read, range(2), 1) as results:
        print([str(result.error) for result in results])
"""


def test_workers_say_as_little_of_a_damaged_file(tmp_path: Path) -> None:
    (tmp_path / "workers.py").write_text(WORKERS)
    words = [sys.executable, str(tmp_path / "workers.py"), str(cut_bmp(tmp_path / "a.bmp"))]
    ended = subprocess.run(words, capture_output=True, text=True, check=True)
    assert ended.stdout.count("its pixels are damaged") == 2
    assert not ended.stderr


def test_standard_error_is_left_alone_where_other_threads_run(capfd: pytest.CaptureFixture) -> None:
    leave = threading.Event()
    thread = threading.Thread(target=leave.wait, args=(10,))
    thread.start()
    with suppress(ValueError), complaints_dropped():
        os.write(2, b"libpng error: theirs\n")
        assert capfd.readouterr().err == "libpng error: theirs\n"
        raise ValueError("damaged")
    leave.set()
    thread.join()


@pytest.mark.usefixtures("alone")
def test_files_are_read_where_nothing_can_be_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "missing"))
    monkeypatch.setattr(silence, "_file", silence._file.__wrapped__)
    cv2.imwrite(str(tmp_path / "a.png"), np.zeros((4, 8, 3), np.uint8))
    before = len(os.listdir("/proc/self/fd")) if Path("/proc/self/fd").is_dir() else 0
    for _ in range(3):
        assert read_picture(tmp_path / "a.png").pixels.shape == (4, 8, 3)
    with pytest.raises(Unreadable, match="its pixels are damaged"):
        read_picture(short_png(tmp_path / "b.png"))
    assert not before or len(os.listdir("/proc/self/fd")) == before
