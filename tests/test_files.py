"""Damaged files are refused before they are decoded; what is written is there whole or not at all."""

import os
import stat
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from segablate.files import (
    IMAGE_SUFFIXES,
    Unreadable,
    Unwritable,
    atomic_folder,
    fingerprint,
    visible_files,
    write_atomically,
)
from segablate.images.label_maps import read_label_map
from segablate.images.pictures import read_picture

RNG = np.random.default_rng(0)
LABELS = RNG.integers(0, 20, (37, 23), dtype=np.uint8)
PIXELS = RNG.integers(0, 256, (37, 23, 3), dtype=np.uint8)


def palette_png(path: Path, values: np.ndarray, bits: int = 8) -> None:
    image = Image.new("P", values.shape[::-1])
    image.putdata(values.reshape(-1).tolist())
    image.putpalette([v for code in range(256) for v in (code, 255 - code, code // 2)])
    image.save(path, bits=bits)


def test_grey_png_keeps_its_values(tmp_path: Path) -> None:
    cv2.imwrite(str(tmp_path / "a.png"), LABELS)
    assert np.array_equal(read_label_map(tmp_path / "a.png"), LABELS)


def test_sixteen_bit_png_keeps_its_values(tmp_path: Path) -> None:
    wide = LABELS.astype(np.uint16) * 1000
    cv2.imwrite(str(tmp_path / "a.png"), wide)
    assert np.array_equal(read_label_map(tmp_path / "a.png"), wide)


@pytest.mark.parametrize("bits", [8, 4])
def test_palette_png_gives_indices_not_colours(tmp_path: Path, bits: int) -> None:
    values = LABELS & (1 << bits) - 1
    palette_png(tmp_path / "a.png", values, bits)
    assert np.array_equal(read_label_map(tmp_path / "a.png"), values)


def test_one_bit_png_gives_zero_and_one(tmp_path: Path) -> None:
    Image.fromarray(LABELS > 9).save(tmp_path / "a.png")
    assert np.array_equal(read_label_map(tmp_path / "a.png"), (LABELS > 9).astype(np.uint8))


def test_gif_gives_indices(tmp_path: Path) -> None:
    image = Image.fromarray(LABELS)
    image.save(tmp_path / "a.gif")
    with Image.open(tmp_path / "a.gif") as saved:
        expected = np.array(saved)
    assert np.array_equal(read_label_map(tmp_path / "a.gif"), expected)


def test_colour_masks_are_rgb(tmp_path: Path) -> None:
    Image.fromarray(PIXELS).save(tmp_path / "a.png")
    assert np.array_equal(read_label_map(tmp_path / "a.png"), PIXELS)


def test_images_are_rgb_as_stored(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(PIXELS).save(tmp_path / "a.png", exif=exif)
    picture = read_picture(tmp_path / "a.png")
    assert np.array_equal(picture.pixels, PIXELS)
    assert picture.orientation == 6


def test_arrays_of_integers_are_label_maps(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", LABELS)
    assert np.array_equal(read_label_map(tmp_path / "a.npy"), LABELS)
    np.save(tmp_path / "b.npy", LABELS[None])
    with pytest.raises(Unreadable, match=r"b\.npy: holds uint8 of shape 1x37x23"):
        read_label_map(tmp_path / "b.npy")


@pytest.mark.parametrize("kept", [0, 1, 7, 20, 100, -1, -12])
def test_a_cut_png_is_refused(tmp_path: Path, kept: int) -> None:
    cv2.imwrite(str(tmp_path / "a.png"), LABELS)
    data = (tmp_path / "a.png").read_bytes()
    (tmp_path / "a.png").write_bytes(data[:kept])
    with pytest.raises(Unreadable, match=r"a\.png"):
        read_label_map(tmp_path / "a.png")


@pytest.mark.parametrize("place", range(8, 500, 41))
def test_a_flipped_bit_in_a_png_is_refused(tmp_path: Path, place: int) -> None:
    cv2.imwrite(str(tmp_path / "a.png"), LABELS)
    data = bytearray((tmp_path / "a.png").read_bytes())
    data[min(place, len(data) - 1)] ^= 4
    (tmp_path / "a.png").write_bytes(data)
    with pytest.raises(Unreadable, match=r"a\.png"):
        read_label_map(tmp_path / "a.png")


def test_a_cut_jpeg_is_refused(tmp_path: Path) -> None:
    cv2.imwrite(str(tmp_path / "a.jpg"), PIXELS)
    data = (tmp_path / "a.jpg").read_bytes()
    (tmp_path / "a.jpg").write_bytes(data[: len(data) // 2])
    with pytest.raises(Unreadable, match=r"a\.jpg: the JPEG ends before its end marker"):
        read_picture(tmp_path / "a.jpg")


@pytest.mark.parametrize(
    ("content", "message"), [(None, "no such file"), (b"", "the file is empty"), (b"hello", "not a readable image")]
)
def test_what_is_no_image_is_refused(tmp_path: Path, content: bytes | None, message: str) -> None:
    if content is not None:
        (tmp_path / "a.png").write_bytes(content)
    with pytest.raises(Unreadable, match=message):
        read_picture(tmp_path / "a.png")


def test_hidden_files_are_not_seen(tmp_path: Path) -> None:
    for name in ("b.png", "a.PNG", ".DS_Store", "._a.png", "notes.txt", "deep/c.jpg", ".git/d.png"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(b"x")
    found = [path.relative_to(tmp_path).as_posix() for path in visible_files(tmp_path, IMAGE_SUFFIXES)]
    assert found == ["a.PNG", "b.png", "deep/c.jpg"]


def test_a_failing_write_leaves_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_atomically(tmp_path / "a.txt", "old")
    monkeypatch.setattr("os.replace", lambda *_: (_ for _ in ()).throw(OSError("disk full")))
    with pytest.raises(OSError, match="disk full"):
        write_atomically(tmp_path / "a.txt", "new")
    assert (tmp_path / "a.txt").read_text() == "old"
    assert [path.name for path in tmp_path.iterdir()] == ["a.txt"]


def test_devices_and_pipes_are_not_replaced(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "a.txt")
    with pytest.raises(Unwritable, match=r"a\.txt: is no regular file, and is not replaced"):
        write_atomically(tmp_path / "a.txt", "new")
    assert not (tmp_path / "a.txt").is_file()
    assert [path.name for path in tmp_path.iterdir()] == ["a.txt"]


def test_a_failing_block_leaves_no_folder(tmp_path: Path) -> None:

    def interrupted() -> None:
        with atomic_folder(tmp_path / "run") as folder:
            (folder / "a").write_text("half")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert list(tmp_path.iterdir()) == []
    with atomic_folder(tmp_path / "run") as folder:
        (folder / "a").write_text("whole")
    assert (tmp_path / "run" / "a").read_text() == "whole"


@pytest.mark.parametrize(("mask", "folder", "file"), [(0o022, 0o755, 0o644), (0o077, 0o700, 0o600)])
def test_what_is_written_has_the_rights_that_the_user_gives_new_files(
    tmp_path: Path, mask: int, folder: int, file: int
) -> None:
    before = os.umask(mask)
    try:
        with atomic_folder(tmp_path / "run"):
            pass
        write_atomically(tmp_path / "a.txt", "a")
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "run").stat().st_mode) == folder
    assert stat.S_IMODE((tmp_path / "a.txt").stat().st_mode) == file


def test_fingerprint_is_sha256(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"abc")
    assert fingerprint(tmp_path / "a") == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
