"""Read images and label maps, hash files, and write files and folders atomically.

Decoders fill the missing rows of a truncated PNG with zeros, which are a class. So files are checked before they are
decoded: every chunk of a PNG against its checksum, and a JPEG for its end marker.
"""

import hashlib
import os
import shutil
import tempfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np

from segablate.errors import SegablateError

IMAGE_SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff", ".gif", ".ppm", ".pgm", ".webp")
LABEL_SUFFIXES = (".png", ".bmp", ".tif", ".tiff", ".gif", ".pgm", ".ppm", ".npy", ".mat")
ARRAY_SUFFIXES = (".npy", ".mat")
"""Suffixes of label files that are arrays, not images."""


class Unreadable(SegablateError):
    """A file that is missing, damaged or of another format than expected."""


def read_image(path: Path) -> np.ndarray:
    """Decode an image as H, W, 3 uint8 RGB, as stored: an EXIF orientation is not applied, as label maps have none.

    Raises Unreadable for a missing, damaged or unknown file.
    """
    return decode_image(checked_bytes(path), path)


def decode_image(data: np.ndarray, path: Path | str) -> np.ndarray:
    """Decode an image as :func:`read_image`, from bytes that are checked; `path` is for messages."""
    import cv2

    image = cv2.imdecode(data, cv2.IMREAD_COLOR_RGB | cv2.IMREAD_IGNORE_ORIENTATION) if len(data) else None
    if image is None:
        raise Unreadable(f"{path}: not a readable image; replace it, or pass --on-error skip")
    return image


def read_label_map(path: Path) -> np.ndarray:
    """Return the values of a label file: H, W for grey and palette files and arrays, H, W, 3 RGB for colours.

    Values of palette files are indices, not colours. Raises Unreadable for a missing, damaged or unknown file.
    """
    if path.suffix.lower() in ARRAY_SUFFIXES:
        return _read_array(path) if path.suffix.lower() == ".npy" else _read_mat(path)
    return decode_label_map(checked_bytes(path), path)


def decode_label_map(data: np.ndarray, path: Path | str) -> np.ndarray:
    """Decode a label map as :func:`read_label_map`, from bytes that are checked; `path` is for messages."""
    import cv2

    if _may_have_palette(data) and (indices := _read_palette(data, path)) is not None:
        return indices
    values = cv2.imdecode(data, cv2.IMREAD_UNCHANGED) if len(data) else None
    if values is None:
        raise Unreadable(f"{path}: not a readable label map; replace it, or pass --on-error skip")
    if values.ndim == 3:
        return cv2.cvtColor(values, cv2.COLOR_BGRA2RGB if values.shape[-1] == 4 else cv2.COLOR_BGR2RGB)
    return values


def checked_bytes(path: Path) -> np.ndarray:
    """Return the bytes of a file (uint8), checked for completeness as far as its format allows.

    Raises Unreadable when the file is missing, empty, truncated or damaged.
    """
    try:
        data = np.fromfile(path, np.uint8)
    except OSError as error:
        raise Unreadable(f"{path}: {(error.strerror or str(error)).lower()}; is the path right?") from None
    check_whole(data, path)
    return data


def check_whole(data: np.ndarray, path: Path | str) -> None:
    """Raise Unreadable for bytes of an image that are empty, truncated or damaged; `path` is for messages."""
    if not len(data):
        raise Unreadable(f"{path}: the file is empty; replace it, or pass --on-error skip")
    start = data[:8].tobytes()
    if start[:4] == b"\x89PNG":
        _check_png(data, path)
    elif start[:3] == b"\xff\xd8\xff" and b"\xff\xd9" not in data[-1024:].tobytes():
        raise Unreadable(f"{path}: the JPEG ends before its end marker; replace it, or pass --on-error skip")


def _check_png(data: np.ndarray, path: Path | str) -> None:
    """Raise Unreadable unless all chunks of a PNG are complete and match their checksums, up to IEND."""
    view, place = data.data, 8
    while place + 12 <= len(view):
        length = int.from_bytes(view[place : place + 4], "big")
        end = place + 12 + length
        if end > len(view):
            break
        kind = bytes(view[place + 4 : place + 8])
        if zlib.crc32(view[place + 4 : end - 4]) != int.from_bytes(view[end - 4 : end], "big"):
            raise Unreadable(f"{path}: PNG chunk {kind!r} at byte {place} is damaged; replace the file")
        if kind == b"IEND":
            return
        place = end
    raise Unreadable(f"{path}: the PNG is cut off at byte {len(view)}; replace it, or pass --on-error skip")


def _may_have_palette(data: np.ndarray) -> bool:
    """Tell whether OpenCV would change the values: palettes become colours, grey below 8 bits is scaled to 0..255."""
    start = data[:30].tobytes()
    if start[:4] == b"\x89PNG":
        return start[25] == 3 or start[24] < 8
    if start[:2] == b"BM":
        return start[28] <= 8
    return start[:4] in (b"GIF8", b"II*\x00", b"MM\x00*")


def _read_palette(data: np.ndarray, path: Path | str) -> np.ndarray | None:
    """Return palette indices or grey values, H, W; None for colours, of which OpenCV keeps all 16 bits."""
    from PIL import Image, UnidentifiedImageError

    try:
        with Image.open(BytesIO(data.tobytes())) as image:
            if image.mode in ("RGB", "RGBA", "LA", "PA"):
                return None
            values = np.array(image)
            stretched = {2: 85, 4: 17}.get(int(data[24]), 1) if image.mode == "L" and data[1] == ord("P") else 1
            return values.astype(np.uint8) if values.dtype == bool else values // np.array(stretched, values.dtype)
    except (UnidentifiedImageError, OSError, ValueError, SyntaxError) as error:
        raise Unreadable(f"{path}: not a readable label map ({error}); replace it") from None


def _read_array(path: Path) -> np.ndarray:
    try:
        values = np.load(path, allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        raise Unreadable(f"{path}: not a readable array ({error}); save it with numpy.save") from None
    if values.ndim != 2 or values.dtype.kind not in "iub":
        shape = "x".join(map(str, values.shape))
        raise Unreadable(f"{path}: holds {values.dtype} of shape {shape}; expected H x W integers")
    return values


def write_label_map(path: Path, values: np.ndarray) -> None:
    """Write H, W codes (uint8 or uint16) or H, W, 3 RGB as PNG, atomically."""
    import cv2

    _, data = cv2.imencode(".png", values[..., ::-1] if values.ndim == 3 else values)
    write_atomically(path, data.tobytes())


def _read_mat(path: Path) -> np.ndarray:
    """Read the single matrix of whole numbers in a MATLAB file, also inside structures; MATLAB stores doubles."""
    from scipy.io import loadmat

    try:
        found = list(_matrices(loadmat(path, mat_dtype=False), ""))
    except NotImplementedError:
        raise Unreadable(f"{path}: MATLAB 7.3 is another format; save it with -v7") from None
    except (OSError, ValueError, TypeError, EOFError, KeyError) as error:
        raise Unreadable(f"{path}: not a readable MATLAB file ({error}); replace it") from None
    if len(found) != 1:
        names = f"{len(found)} ({', '.join(name for name, _ in found[:5])})" if found else "none"
        raise Unreadable(f"{path}: must hold one H x W matrix of whole numbers, but holds {names}; save it alone")
    values = found[0][1]
    return values.astype(np.int32) if values.dtype.kind == "f" else values


def _matrices(node: Any, name: str) -> Iterator[tuple[str, np.ndarray]]:
    """Yield matrices of whole numbers and their names, but not the rows, columns and single numbers."""
    if isinstance(node, dict):
        for key, value in node.items():
            if not key.startswith("__"):
                yield from _matrices(value, key)
    elif isinstance(node, np.ndarray) and node.dtype.names and node.size == 1:
        for field in node.dtype.names:
            yield from _matrices(node[field].item(), f"{name}.{field}")
    elif isinstance(node, np.ndarray) and node.ndim == 2 and min(node.shape) > 1 and _is_whole(node):
        yield name, node


def _is_whole(values: np.ndarray) -> bool:
    if values.dtype.kind == "f":
        return bool(np.isfinite(values).all() and (values == np.floor(values)).all())
    return values.dtype.kind in "iub"


def visible_files(folder: Path, suffixes: tuple[str, ...]) -> list[Path]:
    """Return the visible files below `folder` with one of the suffixes, sorted by path."""
    found = []
    for directory, folders, files in os.walk(folder, followlinks=True):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        found += [
            Path(directory, name)
            for name in files
            if not name.startswith(".") and os.path.splitext(name)[1].lower() in suffixes
        ]
    return sorted(found)


def fingerprint(path: Path) -> str:
    """Return the SHA-256 of a file, as 64 hexadecimal digits."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def cache_folder() -> Path:
    """Return the folder of cached results: ``$SEGABLATE_CACHE``, or ``segablate`` in the user's cache folder."""
    stated = os.environ.get("SEGABLATE_CACHE")
    if stated:
        return Path(stated).expanduser()
    windows = os.environ.get("LOCALAPPDATA") if os.name == "nt" else None
    return Path(os.environ.get("XDG_CACHE_HOME") or windows or "~/.cache").expanduser() / "segablate"


def write_atomically(path: Path, data: bytes | str) -> None:
    """Write a file completely or not at all, also after a crash."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data.encode() if isinstance(data, str) else data)
            file.flush()
            os.fsync(file.fileno())
        os.chmod(temporary, 0o666 & ~_umask())
        os.replace(temporary, path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise


@contextmanager
def atomic_folder(path: Path) -> Iterator[Path]:
    """Yield a new folder to write to, which is renamed to `path` when the block ends without an error."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = Path(tempfile.mkdtemp(dir=path.parent, prefix=f".{path.name}."))
    try:
        yield temporary
        os.chmod(temporary, 0o777 & ~_umask())
        _flush_folder(temporary)
        os.rename(temporary, path)
        _flush_folder(path.parent)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def _flush_folder(path: Path) -> None:
    """Flush the entries of a folder to storage, where the system can open folders."""
    with suppress(OSError):
        handle = os.open(path, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
