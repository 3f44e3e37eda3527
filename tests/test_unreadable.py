"""Whatever the bytes of images, label maps, lists and dataset.yaml, an error is one line and stops no other image."""

import os
import zlib
from collections.abc import Callable
from io import BytesIO
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import tifffile
from conftest import scene, write_dataset, write_predictions
from PIL import Image
from scipy.io import savemat

from segablate.cli import run
from segablate.datasets import open_dataset
from segablate.errors import SegablateError
from segablate.files import Unreadable
from segablate.images import arrays
from segablate.images.label_maps import read_label_file, read_label_map
from segablate.images.pictures import Reading, read_picture
from segablate.limits import TooLarge

LABELS = np.random.default_rng(0).integers(0, 4, (24, 32), dtype=np.uint8)


def image(kind: str, mode: str = "P", **options: Any) -> bytes:
    stream = BytesIO()
    picture = Image.fromarray(LABELS, "P")
    picture.putpalette(list(range(12)))
    (picture if mode == "P" else picture.convert(mode)).save(stream, kind, **options)
    return stream.getvalue()


def tiff(**options: Any) -> bytes:
    stream = BytesIO()
    tifffile.imwrite(stream, LABELS, **options)
    return stream.getvalue()


def npy(values: np.ndarray) -> bytes:
    stream = BytesIO()
    np.save(stream, values)
    return stream.getvalue()


def mat(**content: object) -> bytes:
    stream = BytesIO()
    savemat(stream, content, do_compression=True)
    return stream.getvalue()


WHOLE = {
    "a.png": image("PNG"),
    "b.png": image("PNG", "RGB"),
    "c.jpg": image("JPEG", "RGB"),
    "d.bmp": image("BMP"),
    "e.bmp": image("BMP", "RGB"),
    "f.gif": image("GIF"),
    "g.tif": image("TIFF"),
    "h.tif": tiff(),
    "i.tif": tiff(bigtiff=True, tile=(16, 16), compression="deflate"),
    "j.webp": image("WEBP", "RGB", lossless=True),
    "k.pgm": image("PPM", "L"),
    "l.npy": npy(LABELS),
    "m.mat": mat(labels=LABELS),
    "n.mat": mat(GTcls={"Segmentation": LABELS, "Present": [[1, 2]]}),
    "o.png": image("PNG", bits=4),
}


def mutated(data: bytes, seed: int) -> bytes:
    """Cut, flip, overwrite or repeat bytes; checksums of PNG chunks are made right again."""
    rng = np.random.default_rng([seed, len(data)])
    changed = bytearray(data)
    for _ in range(rng.integers(1, 4)):
        place, length = int(rng.integers(len(changed))), int(rng.integers(1, 9))
        match rng.integers(4):
            case 0:
                del changed[place:]
            case 1:
                changed[place : place + 1] = bytes([changed[place] ^ (1 << int(rng.integers(8)))])
            case 2:
                changed[place : place + length] = rng.bytes(length)
            case _:
                changed[place:place] = changed[place : place + length] * 3
        changed = changed or bytearray(b"x")
    return summed(bytes(changed)) if rng.random() < 0.7 else bytes(changed)


def summed(data: bytes) -> bytes:
    """A PNG with the checksums of whatever its chunks hold now."""
    if not data.startswith(b"\x89PNG"):
        return data
    parts, place = [data[:8]], 8
    while place + 12 <= len(data):
        end = place + 8 + int.from_bytes(data[place : place + 4], "big")
        body = data[place + 4 : end]
        parts += [data[place : place + 4], body, zlib.crc32(body).to_bytes(4, "big")]
        place = end + 4
    return b"".join(parts)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", WHOLE)
def test_mutated_files_are_read_or_refused_in_one_line(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    for seed in range(60):
        path.write_bytes(mutated(WHOLE[name], seed))
        for read in (read_label_file, lambda place: read_picture(place, Reading(image_range=(0, 1)))):
            try:
                read(path)
            except SegablateError as error:
                assert str(path) in str(error)  # noqa: PT017


@pytest.mark.parametrize("name", WHOLE)
def test_each_file_is_whole_before(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(WHOLE[name])
    assert read_label_map(tmp_path / name).shape[:2] == LABELS.shape


CUT = [b"", b"\0", b"BM", b"GIF89a", b"GIF89a\1\0\1\0\x80", b"II*\0", b"MM\0*\0\0\0\x08\xff\xff", b"II+\0\x08\0\0\0"]
CUT += [b"P5", b"P5\n4 4\n", b"P6 -3 4 255\n", b"\x89PNG", b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff", b"RIFF\0\0\0\0WEBP"]
CUT += [
    b"\x93NUMPY",
    b"\x93NUMPY\x01\0\xff\xff{",
    b"PK\x03\x04",
    b"MATLAB 5.0".ljust(124) + b"\0\1IM\x0f\0\0\0\xff\xff",
]


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("content", CUT)
@pytest.mark.parametrize("suffix", [".png", ".npy", ".mat"])
def test_short_files_are_refused(tmp_path: Path, content: bytes, suffix: str) -> None:
    (tmp_path / f"a{suffix}").write_bytes(content)
    with pytest.raises(SegablateError, match=rf"a\{suffix}: "):
        read_label_map(tmp_path / f"a{suffix}")


def test_messages_hold_no_addresses(tmp_path: Path) -> None:
    (tmp_path / "a.bmp").write_bytes(b"BM" + bytes(60))
    with pytest.raises(Unreadable, match=r"a\.bmp: not a readable image \([^<>]*\); replace it"):
        read_label_map(tmp_path / "a.bmp")


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (LABELS + 0.5, r"holds float64, 768 values of which not whole \(first: [\d.]+\); save class codes as integers"),
        (np.where(LABELS == 1, np.nan, LABELS), r"holds float64, \d+ values of which not whole \(first: nan\)"),
        (np.full((2, 2), 1e300), r"holds float64, 4 values of which not whole \(first: 1e\+300\)"),
        (LABELS.astype(complex), r"holds complex128 of shape 24x32; expected H x W integers"),
        (np.array([["a", "b"]]), r"holds <U1 of shape 1x2"),
        (np.array([[None, 1]], object), r"holds object of shape 1x2"),
        (np.array([(1, 2)], [("a", int), ("b", int)]), "of shape 1; expected"),
        (np.array(3), r"holds int64 of shape \(\); expected"),
        (LABELS[:0], r"holds uint8 of shape 0x32; expected"),
        (LABELS[:, :0], r"holds uint8 of shape 24x0; expected"),
    ],
)
def test_arrays_that_hold_no_codes(tmp_path: Path, values: np.ndarray, message: str) -> None:
    np.save(tmp_path / "a.npy", values)
    with pytest.raises(Unreadable, match=rf"a\.npy: .*{message}"):
        read_label_map(tmp_path / "a.npy")


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64, ">f4", ">i2", np.int64, np.uint32, bool])
def test_whole_numbers_are_codes(tmp_path: Path, dtype: type) -> None:
    values = LABELS.astype(dtype)
    np.save(tmp_path / "a.npy", np.asfortranarray(values))
    savemat(tmp_path / "b.mat", {"labels": values})
    paths = [tmp_path / "a.npy", tmp_path / "b.mat"]
    if dtype in (np.float32, np.float64):
        cv2.imwrite(str(tmp_path / "c.tif"), values)
        paths.append(tmp_path / "c.tif")
    for path in paths:
        found = read_label_map(path)
        assert found.dtype.kind in "iub"
        assert np.array_equal(found, values)


def test_a_tiff_of_fractions_is_refused(tmp_path: Path) -> None:
    cv2.imwrite(str(tmp_path / "a.tif"), LABELS + np.float32(0.25))
    with pytest.raises(Unreadable, match=r"a\.tif: holds float32, 768 values of which not whole \(first: [\d.]+25\)"):
        read_label_map(tmp_path / "a.tif")


def test_sizes_of_arrays_are_judged_by_the_header(tmp_path: Path) -> None:
    header = b"{'descr': '|u1', 'fortran_order': False, 'shape': (100000000, 100000)}".ljust(117) + b"\n"
    (tmp_path / "a.npy").write_bytes(b"\x93NUMPY\x01\0" + len(header).to_bytes(2, "little") + header)
    with pytest.raises(TooLarge, match=r"a\.npy: its 100000000x100000 pixels take 9313\.2 GiB"):
        read_label_map(tmp_path / "a.npy")
    cut = npy(LABELS)[:-1]
    (tmp_path / "b.npy").write_bytes(cut)
    with pytest.raises(Unreadable, match=rf"b\.npy: is cut off at byte {len(cut)}"):
        read_label_map(tmp_path / "b.npy")


def test_sizes_in_a_mat_are_judged_before_it_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a.mat").write_bytes(mat(labels=np.zeros((3000, 3000), np.uint8)))
    monkeypatch.setattr(arrays, "PIXEL_BYTES", 8_000_000)
    with pytest.raises(TooLarge, match=r"a\.mat: its variables take 9 MiB when read; at most 8 MiB are read"):
        read_label_map(tmp_path / "a.mat")
    monkeypatch.setattr(arrays, "STRUCTURE_START", 2_000_000)
    (tmp_path / "b.mat").write_bytes(mat(labels={"cells": np.zeros((3000, 3000), np.uint8)}))
    with pytest.raises(TooLarge, match=r"b\.mat: its variables take 9 MiB when read; at most \d MiB are read"):
        read_label_map(tmp_path / "b.mat")


def test_pipes_and_devices_are_refused(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "a.png")
    os.symlink(os.devnull, tmp_path / "b.png")
    for name in ("a.png", "b.png", "/", "x" * 300 + ".png", "nosuch.png"):
        with pytest.raises(Unreadable, match=r"not a regular file|file name too long|no such file"):
            read_picture(tmp_path / name)


BROKEN: dict[str, bytes] = {
    "label.png": b"\x89PNG\r\n\x1a\n",
    "label.bmp": b"BM",
    "label.mat": b"",
    "label.npy": b"PK\x03\x04",
    "label.gif": b"GIF89a",
    "label.tif": b"II*\0\x08\0\0\0",
}


def save_indices(path: Path, values: np.ndarray) -> None:
    picture = Image.fromarray(values, "P")
    picture.putpalette(np.repeat(np.arange(256), 3)[::-1].tolist())
    picture.save(path, optimize=False)


@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_label_map_stops_no_other_image(tmp_path: Path, name: str, capsys: pytest.CaptureFixture) -> None:
    root = write_dataset(tmp_path / "toy", 3)
    predictions = write_predictions(tmp_path / "pred", 3, (24, 32))
    suffix = Path(name).suffix
    write: Callable[[Path, np.ndarray], object] = {
        ".npy": lambda path, values: np.save(path, values),
        ".mat": lambda path, values: savemat(path, {"labels": values}),
    }.get(suffix, save_indices)
    for index in range(3):
        write(root / f"labels/val/s{index}{suffix}", scene(index)[1])
    (root / f"labels/val/s1{suffix}").write_bytes(BROKEN[name])
    with open(root / "dataset.yaml", "a") as file:
        file.write(f"label_suffix: {suffix}\n")
    arguments = ["evaluate", f"predictions:{predictions}", f"folder:{root}", "--no-cache", "--format", "json"]
    assert run([*arguments, "--workers", "0"]) == 1
    error = capsys.readouterr().err.strip()
    assert error.startswith("error: ")
    assert f"s1{suffix}: " in error.replace("\n", "")
    assert run([*arguments, "--workers", "0", "--on-error", "skip"]) == 0
    assert f"s1{suffix}: " in capsys.readouterr().out


def test_a_broken_image_stops_no_other(tmp_path: Path, network_spec: str, capsys: pytest.CaptureFixture) -> None:
    root = write_dataset(tmp_path / "toy", 4)
    (root / "images/val/s1.png").write_bytes(b"BM")
    cv2.imwrite(str(root / "images/val/s2.png"), scene(2)[0].astype(np.uint16) * 9)
    arguments = ["evaluate", network_spec, f"folder:{root}", "--no-cache", "--format", "json", "--workers", "2"]
    assert run([*arguments, "--on-error", "skip"]) == 0
    out = capsys.readouterr().out
    assert "s1.png: not a readable image" in out
    assert run(["datasets", "check", f"folder:{root}", "--workers", "0", "--format", "json"]) == 1
    out = capsys.readouterr().out
    assert "s1.png: not a readable image" in out
    assert "s2.png: holds 16 bits per channel" in out


GOOD = "classes: [road, car, tree, sky]\n"
SPLITS = "splits: {val: {images: images/val, labels: labels/val}}\n"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "classes:\n- {name: road, code: 0}\n- {name: car, code: 1, code: 3}\n" + SPLITS,
            "line 3: the key 'code' is there twice",
        ),
        (GOOD + "classes: [sky, tree, car, road]\n" + SPLITS, "line 2: the key 'classes' is there twice"),
        ("name: 2020-13-45\n" + GOOD + SPLITS, r"line 1: 2020-13-45 is a date in YAML; quote it"),
        ("classes: [yes, no]\n" + SPLITS, r'line 1: yes is a truth value in YAML; quote it \("yes"\)'),
        ("classes: [{name: on}]\n" + SPLITS, r'line 1: on is a truth value in YAML; quote it \("on"\)'),
        ("classes: [{name: true}]\n" + SPLITS, 'name of class 0 is True, but must be text; quote it, e.g. "True"'),
        ("classes: [{name: 1.5}]\n" + SPLITS, 'name of class 0 is 1.5, but must be text; quote it, e.g. "1.5"'),
        ("classes: [{name: null}]\n" + SPLITS, "name of class 0 is None, but must be text"),
        ("classes: [{name: [a]}]\n" + SPLITS, r"name of class 0 is \['a'\], but must be text$"),
        ("classes: {a: 0}\n" + SPLITS, "classes must be a list such as"),
        ("name: [a]\n" + GOOD + SPLITS, r"name is \['a'\], but must be text"),
        ("default_split: [val]\n" + GOOD + SPLITS, r"default_split is \['val'\], but must be text"),
        ("default_split: {a: b}\n" + GOOD + SPLITS, "default_split is .*, but must be text"),
        ("default_split: 3\n" + GOOD + SPLITS, "has no split '3'; available: val"),
        ("encoding: [codes]\n" + GOOD + SPLITS, r"encoding is \['codes'\], but must be codes or colours"),
        ("void: {a: 1}\n" + GOOD + SPLITS, "void is .*, but must be one or several integers"),
        ("void: 1e3\n" + GOOD + SPLITS, "void is 1000.0, but must be one or several integers"),
        (
            "encoding: colours\nvoid: 5\nclasses: [{name: a, colour: [0, 0, 0]}]\n" + SPLITS,
            r"colour of 'void' is \[5\]",
        ),
        ("encoding: colours\nvoid: {a: b}\nclasses: [{name: a, colour: [0, 0, 0]}]\n" + SPLITS, "colour of 'void' is"),
        ("classes: [{name: a, colour: [true, 0, 0]}]\n" + SPLITS, r"colour of 'a' is \[True, 0, 0\]"),
        ("label_suffix: [a]\n" + GOOD + SPLITS, r"label_suffix is \['a'\], but must be text"),
        ("image_suffix: true\n" + GOOD + SPLITS, "image_suffix is True, but must be text"),
        (GOOD + "splits: [a]\n", "splits must map names to folders"),
        (GOOD + "splits: {val: [a]}\n", "split 'val' must be a mapping"),
        (GOOD + "splits: {val: {images: [a], labels: b}}\n", r"images is \['a'\], but must be text"),
        (GOOD + "splits: {val: {images: images/val, labels: {a: b}}}\n", "labels is .* but must be text"),
        (GOOD + "splits: {val: {images: images/val, labels: labels/val, list: [a]}}\n", "list is .* but must be text"),
        (GOOD + 'splits: {val: {images: "a\\0b", labels: labels/val}}\n', "no such folder of images"),
        (GOOD + f"splits: {{val: {{images: {'a' * 5000}, labels: labels/val}}}}\n", "no such folder of images"),
        (GOOD + f"splits: {{val: {{images: images/val, labels: labels/val, list: {'a' * 5000}}}}}\n", "no such list"),
        (GOOD + SPLITS + "exif: turn\n", "exif is 'turn', but must be apply or ignore"),
        (
            GOOD + SPLITS + "image_range: [5, 5]\n",
            r"image_range is \[5, 5\], but must be the values of black and white",
        ),
        (GOOD + SPLITS + "image_range: 4095\n", "image_range is 4095, but must be"),
        (GOOD + SPLITS + "palettes: [a]\n", r"palettes is \['a'\], but must be check or ignore"),
        ("1: 2\n" + GOOD + SPLITS, "has an unknown key, 1"),
    ],
)
def test_odd_descriptions_are_refused(toy: Path, text: str, message: str) -> None:
    (toy / "dataset.yaml").write_text(text)
    with pytest.raises(SegablateError, match=message):
        open_dataset(f"folder:{toy}")


def test_numbers_are_names_of_splits(toy: Path) -> None:
    (toy / "dataset.yaml").write_text(GOOD + SPLITS.replace("val:", "2012:", 1))
    assert open_dataset(f"folder:{toy}", "2012").split == "2012"


def test_a_description_of_windows(toy: Path) -> None:
    text = (GOOD + SPLITS).replace("images/val", r"images\val").replace("\n", "\r\n")
    (toy / "dataset.yaml").write_bytes(text.encode("utf-8-sig"))
    assert len(open_dataset(f"folder:{toy}")) == 6


@pytest.mark.parametrize(
    "spec",
    [
        "folder:" + "x" * 6000,
        "folder:~nosuchuser/x",
        "folder:a\0b",
        "x" * 6000,
        "~nosuchuser",
        "hf:~nosuchuser",
        "folder:",
    ],
)
def test_places_that_cannot_be(spec: str) -> None:
    with pytest.raises(SegablateError):
        open_dataset(spec)


def test_places_that_cannot_be_written(toy: Path, capsys: pytest.CaptureFixture) -> None:
    assert run(["datasets", "scribble", f"folder:{toy}", "--out", str(toy / ("z" * 400))]) == 1
    assert "cannot be written (file name too long); choose another place" in " ".join(capsys.readouterr().err.split())


def test_random_lists_and_descriptions(toy: Path) -> None:
    described = (toy / "dataset.yaml").read_bytes()
    for seed in range(150):
        (toy / "dataset.yaml").write_bytes(mutated(described, seed))
        (toy / "val.txt").write_bytes(mutated(b"s1\ns2.png\r\nlabels/s3.png,x\n", seed))
        try:
            data = open_dataset(f"folder:{toy}")
            data.read(0)
        except SegablateError:
            pass


def test_colours_beyond_8_bits_are_refused(tmp_path: Path) -> None:
    root = write_dataset(tmp_path / "toy", 1)
    cv2.imwrite(str(root / "labels/val/s0.png"), np.zeros((24, 32, 3), np.uint16))
    (root / "dataset.yaml").write_text("encoding: colours\nclasses: [{name: a, colour: [0, 0, 0]}]\n" + SPLITS)
    with pytest.raises(SegablateError, match=r"s0\.png: has colours of uint16, but expected 8 bits per channel"):
        open_dataset(f"folder:{root}").read(0)
