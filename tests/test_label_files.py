"""Label maps of every file format give the values that were stored."""

import zlib
from io import BytesIO
from pathlib import Path

import cv2
import numpy as np
import pytest
from conftest import CLASSES, scene
from PIL import Image
from scipy.io import savemat

from segablate.datasets import open_dataset
from segablate.files import Unreadable
from segablate.images.arrays import read_mat
from segablate.images.label_maps import read_label_map
from segablate.images.lossy import lossy_format
from segablate.limits import TooLarge

LABELS = np.random.default_rng(0).integers(0, 20, (37, 23), dtype=np.uint8)


def indexed(values: np.ndarray) -> Image.Image:
    """A palette image whose palette is not grey."""
    picture = Image.new("P", values.shape[::-1])
    picture.putdata(values.reshape(-1).tolist())
    picture.putpalette([value for code in range(256) for value in (code, 255 - code, code // 2)])
    return picture


@pytest.mark.parametrize("suffix", ["png", "bmp", "tif", "gif"])
def test_palettes_give_their_indices(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"a.{suffix}"
    indexed(LABELS).save(path)
    assert np.array_equal(read_label_map(path), LABELS)


@pytest.mark.parametrize("suffix", ["png", "bmp", "tif"])
def test_one_bit_is_0_and_1(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"a.{suffix}"
    Image.fromarray(LABELS > 9).save(path)
    found = read_label_map(path)
    assert found.dtype == np.uint8
    assert np.array_equal(found, LABELS > 9)


@pytest.mark.parametrize("suffix", ["png", "bmp", "tif", "pgm"])
def test_grey_keeps_its_values(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"a.{suffix}"
    cv2.imwrite(str(path), LABELS)
    assert np.array_equal(read_label_map(path), LABELS)


@pytest.mark.parametrize("suffix", ["png", "bmp", "tif", "ppm"])
def test_colours_come_as_red_green_blue(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"a.{suffix}"
    colours = np.stack([LABELS, LABELS + 50, LABELS * 3], axis=-1)
    cv2.imwrite(str(path), colours[..., ::-1])
    assert np.array_equal(read_label_map(path), colours)


@pytest.mark.parametrize("suffix", ["png", "tif"])
@pytest.mark.parametrize("channels", [1, 3])
def test_sixteen_bits_are_kept(tmp_path: Path, suffix: str, channels: int) -> None:
    path = tmp_path / f"a.{suffix}"
    wide = np.stack([LABELS.astype(np.uint16) * 1000 + channel for channel in range(channels)], axis=-1)
    cv2.imwrite(str(path), wide[..., ::-1])
    assert np.array_equal(read_label_map(path), wide[..., 0] if channels == 1 else wide)


@pytest.mark.parametrize("dtype", [np.uint8, np.int32, float])
def test_mat(tmp_path: Path, dtype: type) -> None:
    savemat(
        tmp_path / "a.mat", {"labels": LABELS.astype(dtype), "names": ["sky", "road"], "count": 3, "row": LABELS[:1]}
    )
    found = read_label_map(tmp_path / "a.mat")
    assert found.dtype.kind in "iu"
    assert np.array_equal(found, LABELS)


def test_mat_with_a_structure(tmp_path: Path) -> None:
    savemat(tmp_path / "a.mat", {"GTcls": {"Segmentation": LABELS, "CategoriesPresent": [[1, 2]]}})
    assert np.array_equal(read_label_map(tmp_path / "a.mat"), LABELS)


@pytest.mark.parametrize("structures", [{}, {"of": {"name": "x"}}], ids=["alone", "beside a structure"])
def test_a_mat_with_structures_may_not_grow_as_much_as_one_of_pixels(
    tmp_path: Path, structures: dict, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("segablate.images.arrays.STRUCTURE_START", 0)
    wide = np.zeros((1000, 1000), np.uint8)  # a thousandth of its size in the file
    savemat(tmp_path / "a.mat", {"labels": wide, **structures}, do_compression=True)
    if structures:
        with pytest.raises(TooLarge, match="its variables take 1 MiB when read; at most 0 MiB are read"):
            read_label_map(tmp_path / "a.mat")
    else:
        assert np.array_equal(read_label_map(tmp_path / "a.mat"), wide)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({"a": LABELS, "b": LABELS}, r"must hold one H x W matrix of whole numbers, but holds 2 \(a, b\)"),
        (
            {"scores": LABELS + 0.5},
            r"holds float64, 851 values of which not whole \(first: [\d.]+5\); save class codes",
        ),
        ({"names": ["sky"]}, "but holds none"),
    ],
)
def test_mat_that_is_no_label_map(tmp_path: Path, content: dict, message: str) -> None:
    savemat(tmp_path / "a.mat", content)
    with pytest.raises(Unreadable, match=message):
        read_label_map(tmp_path / "a.mat")


def test_mat_that_is_none(tmp_path: Path) -> None:
    (tmp_path / "a.mat").write_bytes(b"not a matrix" * 30)
    with pytest.raises(Unreadable, match=r"a\.mat: "):
        read_label_map(tmp_path / "a.mat")
    (tmp_path / "b.mat").write_bytes(b"MATLAB 7.3 MAT-file".ljust(124) + b"\x00\x02IM" + bytes(400))
    with pytest.raises(Unreadable, match=r"MATLAB 7\.3 is another format; save it with -v7"):
        read_label_map(tmp_path / "b.mat")


@pytest.mark.parametrize("suffix", [".npy", ".mat", ".bmp", ".tif"])
def test_a_folder_of_any_format(toy: Path, suffix: str) -> None:
    described = (toy / "dataset.yaml").read_text()
    (toy / "dataset.yaml").write_text(f"{described}label_suffix: {suffix}\n")
    for index in range(6):
        _, labels = scene(index)
        path = toy / f"labels/val/s{index}{suffix}"
        if suffix == ".npy":
            np.save(path, labels)
        elif suffix == ".mat":
            savemat(path, {"labels": labels})
        else:
            cv2.imwrite(str(path), labels)
    data = open_dataset(f"folder:{toy}")
    assert len(data) == 6
    assert data.labels.names == CLASSES
    assert np.array_equal(data.read(3).labels, scene(3)[1])
    assert len({data.read(index).label_hash for index in range(6)}) == 6


@pytest.mark.parametrize("compressed", [False, True])
@pytest.mark.parametrize("kind", [0, 8, 14, 200])
def test_elements_of_unknown_types_are_refused_before_scipy_reads_them(kind: int, compressed: bool) -> None:
    """Its reader ends the process at a type that it has no numbers for."""
    file = BytesIO()
    savemat(file, {"labels": np.arange(64, dtype=np.uint8).reshape(8, 8)})
    stored = bytearray(file.getvalue())
    data = stored.index(bytes((2, 0, 0, 0, 64, 0, 0, 0)))  # the tag of 64 uint8
    stored[data] = kind
    if compressed:
        inner = zlib.compress(bytes(stored[128:]))
        stored = stored[:128] + (15).to_bytes(4, "little") + len(inner).to_bytes(4, "little") + inner
    with pytest.raises(Unreadable, match="not a readable MATLAB file"):
        read_mat(np.frombuffer(bytes(stored), np.uint8))


LOSSY_WEBP = ("lossy WebP", "lossy WebP with metadata", "lossy WebP with a large profile")
LOSSLESS_WEBP = ("lossless WebP", "lossless WebP with metadata", "lossless WebP with a large profile")


def written_as(pixels: np.ndarray, kind: str) -> bytes:
    """The bytes of grey pixels in a format, compressed with loss but for what is named lossless."""
    options: dict[str, dict] = {
        "JPEG": {"format": "JPEG"},
        "lossy WebP": {"format": "WEBP"},
        "lossy WebP with metadata": {"format": "WEBP", "exif": b"Exif\0\0II*\0\10\0\0\0\0\0"},
        "lossless WebP": {"format": "WEBP", "lossless": True},
        "lossless WebP with metadata": {"format": "WEBP", "lossless": True, "exif": b"Exif\0\0II*\0\10\0\0\0\0\0"},
        "lossless WebP with a large profile": {"format": "WEBP", "lossless": True, "icc_profile": b"\0" * 9001},
        "lossy WebP with a large profile": {"format": "WEBP", "icc_profile": b"VP8L" * 2500 + b"\0"},
        "JPEG in a TIFF": {"format": "TIFF", "compression": "jpeg"},
        "deflated TIFF": {"format": "TIFF", "compression": "tiff_deflate"},
    }
    stream = BytesIO()
    Image.fromarray(pixels).save(stream, **options[kind])
    return stream.getvalue()


def test_a_webp_of_chunks_without_an_image_is_not_searched_to_its_end() -> None:
    looked_at: list[int] = []

    class Counted(np.ndarray):
        def __getitem__(self, key: slice) -> np.ndarray:
            looked_at.append(key.stop)
            return super().__getitem__(key)

    empty = b"EXIF" + bytes(4)
    data = np.frombuffer(b"RIFF" + bytes(4) + b"WEBP" + 5000 * empty + b"VP8 " + bytes(12), np.uint8)
    assert lossy_format(data.view(Counted)) == ""
    assert len(looked_at) < 50


@pytest.mark.parametrize("suffix", [".png", ".tif", ".bmp"])
@pytest.mark.parametrize("kind", ["JPEG", *LOSSY_WEBP, "JPEG in a TIFF"])
def test_loss_is_refused_by_content_and_not_by_name(tmp_path: Path, kind: str, suffix: str) -> None:
    path = tmp_path / f"x{suffix}"
    path.write_bytes(written_as(scene(0)[1] * np.uint8(60), kind))
    what = kind.partition(" with")[0]
    with pytest.raises(Unreadable, match=rf"x\{suffix}: holds {what}, which changes values when it compresses; save"):
        read_label_map(path)


@pytest.mark.parametrize("kind", [*LOSSLESS_WEBP, "deflated TIFF"])
def test_what_keeps_values_is_read_under_any_name(tmp_path: Path, kind: str) -> None:
    pixels = scene(0)[1] * np.uint8(60)
    (tmp_path / "x.png").write_bytes(written_as(pixels, kind))
    found = read_label_map(tmp_path / "x.png")
    assert np.array_equal(found if found.ndim == 2 else found[..., 0], pixels)


@pytest.mark.parametrize("suffix", [".jpg", ".JPEG"])
def test_a_name_that_states_loss_is_taken_at_its_word(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"x{suffix}"
    path.write_bytes(written_as(scene(0)[1] * np.uint8(60), "JPEG"))
    assert read_label_map(path).shape == scene(0)[1].shape
