"""What decoders do unasked is stated or refused: turning, cutting to 8 bits, dropping bands, pages and missing rows."""

import struct
import zlib
from collections.abc import Callable
from io import BytesIO
from pathlib import Path

import cv2
import numpy as np
import pytest
import tifffile
from conftest import scene, write_dataset, write_predictions
from PIL import Image, PngImagePlugin

from segablate.cli import run
from segablate.datasets import open_dataset
from segablate.datasets.dataset import oriented
from segablate.files import Unreadable
from segablate.images import header as headers
from segablate.images.label_maps import read_label_map
from segablate.images.pictures import Reading, read_picture, scaled
from segablate.images.png import read_chunks
from segablate.images.tiff import directories
from segablate.limits import TooLarge
from segablate.samples import Remark

RNG = np.random.default_rng(0)
LABELS = RNG.integers(0, 4, (24, 32), dtype=np.uint8)
PIXELS = RNG.integers(0, 256, (24, 32, 3), dtype=np.uint8)
TURNS: dict[int, Callable[[np.ndarray], np.ndarray]] = {
    1: lambda a: a,
    2: np.fliplr,
    3: lambda a: np.rot90(a, 2),
    4: np.flipud,
    5: lambda a: np.rot90(np.fliplr(a), 1),
    6: lambda a: np.rot90(a, -1),
    7: lambda a: np.rot90(np.fliplr(a), -1),
    8: lambda a: np.rot90(a, 1),
}
"""How a viewer turns what is stored, by EXIF orientation (EXIF 2.32, table 4.6.4 A)."""


def exif(orientation: int) -> Image.Exif:
    tags = Image.Exif()
    tags[0x0112] = orientation
    return tags


def chunk(kind: bytes, content: bytes) -> bytes:
    return len(content).to_bytes(4, "big") + kind + content + zlib.crc32(kind + content).to_bytes(4, "big")


def png(size: tuple[int, int], bits: int, colour: int, rows: bytes, *more: bytes, interlaced: bool = False) -> bytes:
    """A PNG of height, width, with all checksums right."""
    header = struct.pack(">IIBBBBB", size[1], size[0], bits, colour, 0, 0, interlaced)
    data = [chunk(b"IHDR", header), *more, chunk(b"IDAT", zlib.compress(rows)), chunk(b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(data)


PALETTE = chunk(b"PLTE", bytes(range(12)))


@pytest.mark.parametrize("orientation", TURNS)
@pytest.mark.parametrize("kind", ["JPEG", "PNG", "TIFF", "WEBP"])
def test_orientation_is_read_and_not_applied(tmp_path: Path, kind: str, orientation: int) -> None:
    path = tmp_path / f"a.{kind.lower()}"
    more = {"lossless": True} if kind == "WEBP" else {"quality": 100, "subsampling": 0} if kind == "JPEG" else {}
    smooth = cv2.resize(PIXELS[:3, :4], (32, 24))
    Image.fromarray(smooth).save(path, kind, exif=exif(orientation), **more)
    picture = read_picture(path)
    assert picture.orientation == orientation
    assert np.abs(picture.pixels.astype(int) - smooth).max() <= (8 if kind == "JPEG" else 0)
    assert np.array_equal(picture.turned(), TURNS[orientation](picture.pixels))


@pytest.mark.parametrize("kind", [b"IHDR", b"PLTE", b"tEXt", b"IDAT", b"IEND"])
@pytest.mark.parametrize("read", [read_picture, read_label_map])
def test_a_chunk_that_does_not_match_its_checksum_is_refused(
    tmp_path: Path, read: Callable[[Path], object], kind: bytes
) -> None:
    path = tmp_path / "a.png"
    path.write_bytes(whole := png((2, 2), 8, 3, bytes(6), PALETTE, chunk(b"tEXt", b"Title\0a")))
    read(path)
    length = int.from_bytes(whole[(place := whole.index(kind)) - 4 : place], "big")
    damaged = bytearray(whole)
    damaged[place + 4 + length] ^= 1  # in the checksum: what it guards could be decoded
    path.write_bytes(damaged)
    with pytest.raises(Unreadable, match=f"PNG chunk {kind!r} at byte {place - 4} is damaged"):
        read(path)


def test_orientation_of_xmp(tmp_path: Path) -> None:
    info = PngImagePlugin.PngInfo()
    info.add_itxt("XML:com.adobe.xmp", '<rdf:Description tiff:Orientation="8"/>')
    Image.fromarray(PIXELS).save(tmp_path / "a.png", pnginfo=info)
    assert read_picture(tmp_path / "a.png").orientation == 8


@pytest.mark.parametrize(
    "damaged", [b"", b"Exif\0\0II*\0", b"II*\0\xff\xff\xff\x7f", b"MM\0*\0\0\0\x08\0\x01\x01\x12\0\x03"]
)
def test_a_damaged_exif_states_nothing(tmp_path: Path, damaged: bytes) -> None:
    (tmp_path / "a.png").write_bytes(png((2, 2), 8, 0, bytes(6), chunk(b"eXIf", damaged)))
    assert read_picture(tmp_path / "a.png").orientation == 1


TIFF_TYPES = {1: "B", 3: "H", 4: "I", 6: "b", 8: "h", 9: "i", 11: "f", 12: "d", 13: "I", 16: "Q", 17: "q", 18: "Q"}
"""Types of TIFF 6.0 and, from 16, of BigTIFF, as `struct` calls them."""


@pytest.mark.parametrize(("order", "mark"), [("<", b"II"), (">", b"MM")])
@pytest.mark.parametrize("kind", TIFF_TYPES)
@pytest.mark.parametrize("big", [False, True])
def test_numbers_of_every_type_are_read_from_a_tiff_directory(order: str, mark: bytes, kind: int, big: bool) -> None:
    value = {"f": 0.5, "d": -0.75}.get(TIFF_TYPES[kind], 100)
    stored = struct.pack(order + TIFF_TYPES[kind], value)
    width, number = (8, "Q") if big else (4, "I")
    header = mark + (struct.pack(f"{order}HHHQ", 43, 8, 0, 16) if big else struct.pack(f"{order}HI", 42, 8))
    count = struct.pack(f"{order}{'Q' if big else 'H'}", 1)
    entry = struct.pack(f"{order}HH{number}", 700, kind, 1)
    beyond = len(header) + len(count) + len(entry) + 2 * width
    entry += stored.ljust(width, b"\0") if len(stored) <= width else struct.pack(order + number, beyond)
    data = np.frombuffer(header + count + entry + bytes(width) + stored, np.uint8)
    (directory,) = directories(data)
    if kind >= 16 and not big:
        assert directory == {}
    else:
        assert directory[700].values(data).tolist() == [value]


@pytest.mark.parametrize(
    ("dtype", "floating", "signed"),
    [(np.uint8, False, False), (np.uint16, False, False), (np.int16, False, True), (np.float32, True, False)],
)
def test_a_tiff_states_the_kind_of_its_numbers(tmp_path: Path, dtype: type, floating: bool, signed: bool) -> None:
    tifffile.imwrite(tmp_path / "a.tif", LABELS.astype(dtype))
    header = headers.read_header(np.fromfile(tmp_path / "a.tif", np.uint8), "a.tif")
    assert (header.floating, header.signed) == (floating, signed)
    assert header.bits == 8 * np.dtype(dtype).itemsize


def turned_dataset(root: Path, orientation: int, size: tuple[int, int], more: str = "") -> Path:
    """A dataset whose first image is stored so that its orientation turns it upright."""
    write_dataset(root, 2, (size,))
    image = scene(0, size)[0]
    back = {6: 8, 8: 6}.get(orientation, orientation)
    stored = np.ascontiguousarray(TURNS[back](image))
    Image.fromarray(stored).save(root / "images/val/s0.png", exif=exif(orientation))
    with open(root / "dataset.yaml", "a") as file:
        file.write(more)
    return root


@pytest.mark.parametrize("orientation", [2, 3, 4, 5, 6, 7, 8])
@pytest.mark.parametrize("size", [(24, 32), (24, 24)])
def test_an_image_is_turned_where_the_label_map_fits(tmp_path: Path, orientation: int, size: tuple[int, int]) -> None:
    data = open_dataset(f"folder:{turned_dataset(tmp_path / 'toy', orientation, size)}")
    sample = data.read(0)
    assert sample.image is not None
    assert np.array_equal(sample.image, scene(0, size)[0])
    assert sample.remarks == Remark.TURNED
    assert data.read(1).remarks == Remark.NONE


def test_label_maps_of_the_stored_image(tmp_path: Path) -> None:
    root = write_dataset(tmp_path / "toy", 1)
    Image.fromarray(scene(0)[0]).save(root / "images/val/s0.png", exif=exif(6))
    sample = open_dataset(f"folder:{root}").read(0)
    assert np.array_equal(sample.image, scene(0)[0])
    assert sample.remarks == Remark.NOT_TURNED


def test_orientation_as_stated(tmp_path: Path) -> None:
    root = turned_dataset(tmp_path / "toy", 3, (24, 32), "exif: ignore\n")
    sample = open_dataset(f"folder:{root}").read(0)
    assert np.array_equal(sample.image, np.rot90(scene(0)[0], 2))
    assert sample.remarks == Remark.NOT_TURNED
    Image.fromarray(scene(1)[0]).save(root / "images/val/s1.png", exif=exif(6))
    (root / "dataset.yaml").write_text((root / "dataset.yaml").read_text().replace("ignore", "apply"))
    with pytest.raises(Exception, match=r"s1\.png: the label map is 24x32, but its image s1\.png is 32x24"):
        open_dataset(f"folder:{root}").read(1)


def test_orientation_is_noted_and_found_by_the_check(
    tmp_path: Path, network_spec: str, capsys: pytest.CaptureFixture
) -> None:
    root = turned_dataset(tmp_path / "toy", 6, (24, 32))
    assert run(["evaluate", network_spec, f"folder:{root}", "--workers", "0", "--format", "json", "--no-cache"]) == 0
    note = "EXIF orientation applied to 1 image (s0); exif in dataset.yaml decides otherwise"
    assert note in capsys.readouterr().out
    assert run(["datasets", "check", f"folder:{root}", "--workers", "0", "--format", "json"]) == 0
    assert note in capsys.readouterr().out


def test_label_maps_with_an_orientation_are_refused_unless_stated(tmp_path: Path) -> None:
    root = write_dataset(tmp_path / "toy", 1)
    _, labels = scene(0)
    Image.fromarray(np.ascontiguousarray(np.rot90(labels, 1))).save(root / "labels/val/s0.png", exif=exif(6))
    with pytest.raises(Unreadable, match=r"s0\.png: states EXIF orientation 6, .* state exif: apply or exif: ignore"):
        open_dataset(f"folder:{root}").read(0)
    with open(root / "dataset.yaml", "a") as file:
        file.write("exif: apply\n")
    assert np.array_equal(open_dataset(f"folder:{root}").read(0).labels, labels)


def test_orientation_by_size() -> None:
    picture = read_picture_of(PIXELS, exif(6))
    for fits, choice, remark in (
        ((32, 24), None, Remark.TURNED),
        ((24, 32), None, Remark.NOT_TURNED),
        ((24, 32), "apply", Remark.TURNED),
        ((32, 24), "ignore", Remark.NOT_TURNED),
    ):
        pixels, found = oriented(picture, fits, choice)
        assert found == remark
        assert pixels.shape[:2] == ((32, 24) if remark == Remark.TURNED else (24, 32))


def read_picture_of(pixels: np.ndarray, tags: Image.Exif):
    from segablate.images.pictures import decode_picture

    stream = BytesIO()
    Image.fromarray(pixels).save(stream, "PNG", exif=tags)
    return decode_picture(np.frombuffer(stream.getvalue(), np.uint8), "a.png")


DEEP = {
    "grey.png": PIXELS[..., 0].astype(np.uint16) * 12,
    "rgb.png": PIXELS.astype(np.uint16) * 12,
    "grey.tif": PIXELS[..., 0].astype(np.uint16) * 12,
    "rgb.tiff": PIXELS.astype(np.uint16) * 12,
    "signed.TIF": PIXELS[..., 0].astype(np.int16) * 12,
    "float.tif": PIXELS[..., 0].astype(np.float32) * 12,
    "floats.tif": PIXELS.astype(np.float32) * 12,
    "double.tif": PIXELS[..., 0].astype(np.float64) * 12,
    "grey.pgm": PIXELS[..., 0].astype(np.uint16) * 12,
    "rgb.ppm": PIXELS.astype(np.uint16) * 12,
}


@pytest.mark.parametrize("name", DEEP)
def test_images_beyond_8_bits_are_refused_or_scaled_as_stated(tmp_path: Path, name: str) -> None:
    values = DEEP[name]
    cv2.imwrite(str(tmp_path / name), values[..., ::-1] if values.ndim == 3 else values)
    with pytest.raises(Unreadable, match=r"(16|32|64)[- ]bit.*, but 8 bits are read; state .* image_range: \[0, "):
        read_picture(tmp_path / name)
    expected = PIXELS if values.ndim == 3 else np.repeat(PIXELS[..., :1], 3, axis=-1)
    assert np.array_equal(read_picture(tmp_path / name, Reading(image_range=(0, 3060))).pixels, expected)


def test_scaling() -> None:
    values = np.array([[-5, 0, 40, 100, 1000]])
    assert scaled(values, 0, 100).tolist() == [[0, 0, 102, 255, 255]]
    assert scaled(values.astype(np.float32), 0, 100).tolist() == [[0, 0, 102, 255, 255]]
    assert scaled(np.array([[0, 257, 65535]], np.uint16), 0, 65535).tolist() == [[0, 1, 255]]
    assert scaled(np.array([[np.nan, 1, np.inf]]), 0, 1).tolist() == [[0, 255, 255]]


def test_a_range_is_noted_and_leaves_8_bits_alone(tmp_path: Path) -> None:
    root = write_dataset(tmp_path / "toy", 3)
    cv2.imwrite(str(root / "images/val/s1.png"), scene(1)[0][..., ::-1].astype(np.uint16) * 16)
    values = np.repeat(scene(2)[0][..., :1].astype(np.float32) * 16, 3, axis=-1)
    values[3, 4] = np.nan
    (root / "images/val/s2.png").unlink()
    cv2.imwrite(str(root / "images/val/s2.tif"), values)
    with open(root / "dataset.yaml", "a") as file:
        file.write("image_range: [0, 4080]\n")
    data = open_dataset(f"folder:{root}")
    assert data.notes == ("images beyond 8 bits are scaled: 0 to 0, 4080 to 255",)
    assert np.array_equal(data.read(0).image, scene(0)[0])
    assert np.array_equal(data.read(1).image, scene(1)[0])
    assert data.read(2).remarks == Remark.NOT_A_NUMBER
    assert data.read(2).image[3, 4].tolist() == [0, 0, 0]


@pytest.mark.parametrize(
    ("name", "pixels", "options"),
    [
        ("near_infrared.tif", np.zeros((4, 5, 4), np.uint8), {"photometric": "rgb", "extrasamples": [0]}),
        (
            "five.tif",
            np.zeros((4, 5, 5), np.uint8),
            {"photometric": "rgb", "planarconfig": "contig", "extrasamples": [0, 0]},
        ),
        ("two.tif", np.zeros((4, 5, 2), np.uint8), {"photometric": "minisblack", "planarconfig": "contig"}),
        ("inks.tif", np.zeros((4, 5, 4), np.uint8), {"photometric": "separated"}),
    ],
)
def test_bands_that_are_no_colours_are_refused(tmp_path: Path, name: str, pixels: np.ndarray, options: dict) -> None:
    tifffile.imwrite(tmp_path / name, pixels, **options)
    with pytest.raises(Unreadable, match=r"holds \d bands, but a network takes red, green and blue"):
        read_picture(tmp_path / name)
    with pytest.raises(Unreadable, match=r"holds \d bands; expected one of codes"):
        read_label_map(tmp_path / name)


@pytest.mark.parametrize("kind", ["png", "webp", "tif"])
def test_transparency_is_ignored_and_noted(tmp_path: Path, kind: str) -> None:
    more = {"lossless": True, "exact": True} if kind == "webp" else {}
    for name, alpha, remark in (("opaque", 255, Remark.NONE), ("clear", 7, Remark.TRANSPARENT)):
        path = tmp_path / f"{name}.{kind}"
        Image.fromarray(np.dstack([PIXELS, np.full(PIXELS.shape[:2], alpha, np.uint8)])).save(path, **more)
        picture = read_picture(path)
        assert picture.remarks == remark
        assert np.array_equal(picture.pixels, PIXELS)


def test_inks_of_a_jpeg_are_noted(tmp_path: Path) -> None:
    Image.fromarray(PIXELS).convert("CMYK").save(tmp_path / "a.jpg")
    assert read_picture(tmp_path / "a.jpg").remarks == Remark.INKS


@pytest.mark.parametrize(
    ("width", "height", "bits", "colour"),
    [
        *((4, 3, bits, 0) for bits in (0, 3, 5, 9, 17, 32)),
        *((4, 3, 8, colour) for colour in (1, 5, 7)),
        *((0, 3, 8, 0), (4, 0, 8, 0)),
    ],
)
def test_malformed_headers_of_a_png(width: int, height: int, bits: int, colour: int) -> None:
    data = np.frombuffer(png((height, width), bits, colour, bytes(99)), np.uint8)
    with pytest.raises(Unreadable, match=r"a\.png: the header of the PNG is malformed; replace the file"):
        read_chunks(data, "a.png")


@pytest.mark.parametrize("length", [12, 14])
def test_a_header_of_a_png_of_another_length(length: int) -> None:
    header = struct.pack(">IIBBBBBB", 4, 3, 8, 0, 0, 0, 0, 0)[:length]
    data = np.frombuffer(b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IEND", b""), np.uint8)
    with pytest.raises(Unreadable, match="the header of the PNG is malformed"):
        read_chunks(data, "a.png")


@pytest.mark.parametrize("bits", [1, 2, 4, 8, 16])
def test_headers_of_a_png_of_every_depth(bits: int) -> None:
    found = read_chunks(np.frombuffer(png((3, 4), bits, 0, bytes(99)), np.uint8), "a.png")
    assert (found.width, found.height, found.bits, found.channels) == (4, 3, bits, 1)


def several(kind: str, path: Path) -> None:
    frames = [Image.fromarray(LABELS * step) for step in (1, 2, 3)]
    frames[0].save(path, kind, save_all=True, append_images=frames[1:])


@pytest.mark.parametrize(
    ("kind", "suffix"), [("TIFF", ".tif"), ("TIFF", ".TIFF"), ("GIF", ".gif"), ("PNG", ".png"), ("WEBP", ".webp")]
)
def test_several_pages_or_frames_are_refused(tmp_path: Path, kind: str, suffix: str) -> None:
    path = tmp_path / f"a{suffix}"
    several(kind, path)
    with pytest.raises(Unreadable, match=r"holds [23] pages or frames; save the one to be evaluated alone"):
        read_picture(path)
    with pytest.raises(Unreadable, match=r"holds [23] pages or frames; save the label map alone"):
        read_label_map(path)


def test_a_tiff_whose_first_of_three_pages_is_an_image(toy: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """As annotation tools save a picture and its masks: its first page alone would pass for the picture."""
    image, labels = scene(1)
    (toy / "pred").mkdir()
    for place in (toy / "images/val/s1.tif", toy / "labels/val/s1.tif", toy / "pred/s1.tif"):
        pages = [Image.fromarray(image), Image.fromarray(labels), Image.fromarray(labels)]
        pages[0].save(place, save_all=True, append_images=pages[1:])
        with pytest.raises(Unreadable, match="holds 3 pages or frames; save the one to be evaluated alone"):
            read_picture(place)
        with pytest.raises(Unreadable, match="holds 3 pages or frames; save the label map alone"):
            read_label_map(place)
    for folder in ("images", "labels"):
        (toy / folder / "val/s1.tif").unlink()
    (toy / "one.txt").write_text("s1\n")
    command = ["evaluate", f"predictions:{toy / 'pred'}", f"folder:{toy}", "--images", str(toy / "one.txt")]
    assert run([*command, "--workers", "0", "--no-cache"]) == 1
    assert "s1.tif: holds 3 pages or frames; save the label map alone" in capsys.readouterr().err


def test_previews_are_no_pages(tmp_path: Path) -> None:
    with tifffile.TiffWriter(tmp_path / "a.tif") as file:
        file.write(LABELS)
        file.write(LABELS[::2, ::2], subfiletype=1)
    assert np.array_equal(read_label_map(tmp_path / "a.tif"), LABELS)


def short(bits: int, colour: int, channels: int) -> bytes:
    """One of 48 rows of 64 pixels."""
    more = [PALETTE] if colour == 3 else []
    return png((48, 64), bits, colour, bytes(1 + 64 * channels * bits // 8), *more)


@pytest.mark.parametrize(
    ("bits", "colour", "channels"),
    [(8, 3, 1), (4, 3, 1), (1, 3, 1), (8, 0, 1), (2, 0, 1), (16, 0, 1), (8, 2, 3), (8, 6, 4)],
)
def test_missing_rows_are_refused_though_checksums_are_right(
    tmp_path: Path, bits: int, colour: int, channels: int
) -> None:
    (tmp_path / "a.png").write_bytes(short(bits, colour, channels))
    with pytest.raises(Unreadable, match=r"a\.png: not a readable image: its pixels are damaged"):
        read_label_map(tmp_path / "a.png")
    with pytest.raises(Unreadable):
        read_picture(tmp_path / "a.png", Reading(image_range=(0, 1)))


def test_missing_strips_of_a_tiff_are_refused(tmp_path: Path) -> None:
    tifffile.imwrite(tmp_path / "a.tif", LABELS, rowsperstrip=4)
    data = bytearray((tmp_path / "a.tif").read_bytes())
    with tifffile.TiffFile(tmp_path / "a.tif") as file:
        place = file.pages[0].tags["StripByteCounts"].valueoffset
    data[place : place + 2] = bytes(2)
    (tmp_path / "a.tif").write_bytes(data)
    with pytest.raises(Unreadable, match="pixels are missing"):
        read_label_map(tmp_path / "a.tif")


@pytest.mark.parametrize("bits", [1, 2, 4, 8])
@pytest.mark.parametrize("transparent", [False, True])
def test_indices_of_every_depth(tmp_path: Path, bits: int, transparent: bool) -> None:
    values = LABELS & np.uint8((1 << bits) - 1)
    picture = Image.fromarray(values, "P")
    picture.putpalette(RNG.integers(0, 256, 3 << bits, dtype=np.uint8).tolist())
    picture.save(tmp_path / "a.png", bits=bits, **({"transparency": 0} if transparent else {}))
    assert np.array_equal(read_label_map(tmp_path / "a.png"), values)


def test_grey_with_a_transparent_value_keeps_its_codes(tmp_path: Path) -> None:
    Image.fromarray(LABELS).save(tmp_path / "a.png", transparency=2)
    assert np.array_equal(read_label_map(tmp_path / "a.png"), LABELS)


def test_pixels_are_judged_by_the_header(tmp_path: Path) -> None:
    for name, data in {
        "a.png": png((60000, 60000), 8, 0, b""),
        "b.png": png((60000, 60000), 8, 3, b"", PALETTE),
        "c.pgm": b"P5\n60000 60000\n255\n",
        "d.bmp": b"BM"
        + bytes(12)
        + struct.pack("<IiiHHIIiiII", 40, 60000, 60000, 1, 8, 0, 0, 0, 0, 0, 0)
        + bytes(1100),
    }.items():
        (tmp_path / name).write_bytes(data)
        for read in (read_label_map, read_picture):
            with pytest.raises(
                TooLarge, match=rf"{name}: its 60000x60000 pixels take [\d.]+ GiB when decoded; at most 2"
            ):
                read(tmp_path / name)


@pytest.mark.parametrize("kind", ["pal.png", "grey.png", "pal.tif", "grey.tif", "pal.gif", "pal.bmp"])
def test_pillows_limit_is_not_ours(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str) -> None:
    """As for label maps over 179 megapixels, with another limit instead of so many pixels."""
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 64)
    picture = Image.fromarray(LABELS, "P" if kind.startswith("pal") else "L")
    if kind.startswith("pal"):
        picture.putpalette(RNG.integers(0, 256, 12, dtype=np.uint8).tolist())
    picture.save(tmp_path / kind)
    assert np.array_equal(read_label_map(tmp_path / kind), LABELS)
    assert read_picture(tmp_path / kind).pixels.shape == (24, 32, 3)
    assert Image.MAX_IMAGE_PIXELS == 64


def test_pixels_are_decoded_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    decoded = []
    monkeypatch.setattr(cv2, "imdecode", lambda *given, f=cv2.imdecode: decoded.append(1) or f(*given))
    monkeypatch.setattr(headers, "opened", None)  # a PNG needs no other library
    picture = Image.fromarray(LABELS, "P")
    picture.putpalette(list(range(12)))
    picture.save(tmp_path / "a.png")
    read_label_map(tmp_path / "a.png")
    Image.fromarray(PIXELS).save(tmp_path / "b.png")
    read_picture(tmp_path / "b.png")
    assert len(decoded) == 2


def test_a_note_of_the_run_names_images(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    root = write_dataset(tmp_path / "toy", 6)
    predictions = write_predictions(tmp_path / "pred", 6, (24, 32))
    grey = scene(0)[1]
    Image.fromarray(np.dstack([grey, grey]), "LA").save(root / "labels/val/s0.png")
    arguments = ["evaluate", f"predictions:{predictions}", f"folder:{root}", "--format", "json", "--no-cache"]
    assert run([*arguments, "--save", str(tmp_path / "run")]) == 0
    assert "transparency ignored in 1 image (s0)" in capsys.readouterr().out
    counts = np.load(tmp_path / "run/counts.npz")
    assert "tally_remarks" not in counts
