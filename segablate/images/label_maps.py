"""Decode label maps: the values that are stored, palette indices and not their colours."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from segablate.errors import at, counted
from segablate.files import ARRAY_SUFFIXES, IMAGE_SUFFIXES, Unreadable, read_bytes, write_atomically, writing
from segablate.images import png
from segablate.images.arrays import read_mat, read_npy, whole_numbers
from segablate.images.decoding import decoded
from segablate.images.header import Header, line, read_header
from segablate.images.lossy import check_lossless, states_loss
from segablate.images.other_files import kind_of
from segablate.images.pictures import Orientation, Picture
from segablate.images.pillow import opened
from segablate.samples import Remark


@dataclass(frozen=True)
class LabelFile:
    """The content of a label file.

    - `data`: its bytes, for a hash.
    - `values`: H, W integers for grey and palette files and arrays, H, W, 3 RGB for colours.
    - `palette`: N, 3 uint8 RGB of the indices in a palette file.
    """

    data: bytes
    values: np.ndarray
    palette: np.ndarray | None = None
    remarks: Remark = Remark.NONE

    def coloured(self) -> np.ndarray:
        """Return the values, those of a palette file as the colours of their indices, H, W, 3 RGB."""
        if self.palette is None:
            return self.values
        table = np.zeros((256, 3), np.uint8)
        table[: len(self.palette)] = self.palette[:256]
        return table[self.values]


def read_label_map(path: Path) -> np.ndarray:
    """Return the values of a label file: H, W for grey and palette files and arrays, H, W, 3 RGB for colours.

    Values of palette files are indices, not colours. Raises Unreadable for a missing, damaged or unknown file.
    """
    return read_label_file(path).values


def read_label_file(path: Path, exif: Orientation | None = None) -> LabelFile:
    """Read a label file; `exif` decides about an orientation that the file states, which is otherwise refused.

    Raises Unreadable for a missing, damaged or unknown file, for several pages or frames, for fractions, and for a
    format with loss that the suffix does not name.
    """
    suffix = path.suffix.lower()
    if suffix not in IMAGE_SUFFIXES and (kind := kind_of(path)):
        what, remedy = kind
        raise Unreadable(f"{path}: {what}, not a label map; {remedy.format('SOURCE')}")
    data = read_bytes(path)
    if suffix in ARRAY_SUFFIXES:
        with at(path):
            return LabelFile(data.tobytes(), read_npy(data) if suffix == ".npy" else read_mat(data))
    if not states_loss(path):
        check_lossless(data, path)
    return decode_label_file(data, path, exif)


def decode_label_file(data: np.ndarray, path: object, exif: Orientation | None = None) -> LabelFile:
    """Decode an image file of labels as :func:`read_label_file`, from its bytes (uint8); `path` is for messages."""
    header = read_header(data, path)
    _check(header, path, exif)
    values, palette, remarks = _values(data, header, path)
    if exif == "apply" and header.orientation != 1:
        values = Picture(values, header.orientation).turned()
    with at(str(path)):
        return LabelFile(data.tobytes(), whole_numbers(values), palette, remarks)


def _check(header: Header, path: object, exif: Orientation | None) -> None:
    if header.frames > 1:
        raise Unreadable(f"{path}: holds {header.frames} pages or frames; save the label map alone")
    if header.orientation != 1 and exif is None:
        raise Unreadable(
            f"{path}: states EXIF orientation {header.orientation}, which label maps rarely mean; save it upright and "
            f"without, or state exif: apply or exif: ignore in dataset.yaml"
        )
    if header.bands > 4 or (header.bands in (2, 4) and not header.alpha):
        raise Unreadable(f"{path}: holds {counted(header.bands, 'band')}; expected one of codes, or three of colours")


def _values(data: np.ndarray, header: Header, path: object) -> tuple[np.ndarray, np.ndarray | None, Remark]:
    """Return the values, the palette if there is one, and whether something is transparent."""
    if header.format == "PNG" and header.bands == 1 and (header.indexed or header.bits < 8 or header.alpha):
        return _indices(data, header, path), header.palette, Remark.NONE
    if _by_pillow(header):
        values, palette = _pillow_values(data, path)
        return values, palette, Remark.NONE
    import cv2

    values = decoded(data, cv2.IMREAD_UNCHANGED, header, path)
    if values.ndim == 2:
        return values, None, Remark.NONE
    remarks = _transparency(values)
    if header.bands == 2:
        return np.ascontiguousarray(values[..., 0]), None, remarks
    return cv2.cvtColor(values, cv2.COLOR_BGRA2RGB if values.shape[-1] == 4 else cv2.COLOR_BGR2RGB), None, remarks


def _transparency(values: np.ndarray) -> Remark:
    """Tell whether the fourth channel of H, W, 4 varies, and whether nothing else does."""
    if values.shape[-1] < 4 or not (values[..., 3] != values[0, 0, 3]).any():
        return Remark.NONE
    alone = not (values[..., :3] != values[0, 0, :3]).any()
    return Remark.ONLY_ALPHA if alone else Remark.TRANSPARENT


def _by_pillow(header: Header) -> bool:
    """Tell whether Pillow reads a file better: OpenCV turns palettes into colours, and fails on some tiles."""
    if header.format == "TIFF":
        plain = header.bands == 1 and header.bits <= 16 and not (header.floating or header.signed)
        return header.indexed or plain
    return header.format == "GIF" or (header.format == "BMP" and (header.indexed or header.bits < 8))


def _indices(data: np.ndarray, header: Header, path: object) -> np.ndarray:
    """Decode a PNG as grey without transparency: OpenCV then keeps indices, and scales fewer bits to 0..255."""
    import cv2

    values = decoded(png.as_grey(data), cv2.IMREAD_UNCHANGED, header, path)
    return values // np.uint8(255 // ((1 << header.bits) - 1)) if header.bits < 8 else values


def _pillow_values(data: np.ndarray, path: object) -> tuple[np.ndarray, np.ndarray | None]:
    """Decode palette indices, one bit or grey values with Pillow, and return the palette too."""
    try:
        with opened(data) as image:
            values = np.array(image)
            entries = image.getpalette("RGB") if image.mode == "P" else None
    except Exception as error:  # decoders raise anything on damaged files
        raise Unreadable(f"{path}: not a readable label map ({line(error)}); replace it") from None
    palette = np.array(entries, np.uint8).reshape(-1, 3) if entries else None
    return (values.astype(np.uint8) if values.dtype == bool else values), palette


def write_label_map(path: Path, values: np.ndarray) -> None:
    """Write H, W codes (uint8 or uint16) or H, W, 3 RGB as PNG, atomically."""
    import cv2

    _, data = cv2.imencode(".png", values[..., ::-1] if values.ndim == 3 else values)
    with writing(path):
        write_atomically(path, data.tobytes())
