"""Find, read and hash files, and write files and folders atomically."""

import errno
import hashlib
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from stat import S_ISREG

import numpy as np

from segablate.errors import SegablateError, thousands
from segablate.limits import PIXEL_BYTES

IMAGE_SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff", ".gif", ".ppm", ".pgm", ".webp")
LABEL_SUFFIXES = (".png", ".bmp", ".tif", ".tiff", ".gif", ".pgm", ".ppm", ".npy", ".mat")
ARRAY_SUFFIXES = (".npy", ".mat")
"""Suffixes of label files that are arrays, not images."""


class Unreadable(SegablateError):
    """A file that is missing, damaged or of another format than expected."""


class Unwritable(SegablateError):
    """A file or folder that cannot be written."""


def read_bytes(path: Path, most: int = PIXEL_BYTES + 2**26) -> np.ndarray:
    """Return the bytes of a file (uint8). Raises Unreadable when it is no regular file, or larger than `most` bytes."""
    try:
        stat = os.stat(path)
        if not S_ISREG(stat.st_mode):
            raise Unreadable(f"{path}: not a regular file; is the path right?")
        if stat.st_size > most:
            raise Unreadable(f"{path}: has {thousands(stat.st_size)} bytes; at most {thousands(most)} are read")
        return np.fromfile(path, np.uint8)
    except OSError as error:
        raise Unreadable(f"{shortened(path)}: {(error.strerror or str(error)).lower()}; is the path right?") from None
    except ValueError as error:
        raise Unreadable(f"{shortened(path)}: {error}; is the path right?") from None


def shortened(path: object, most: int = 200) -> str:
    """Return a path for a message, without its middle where it is long."""
    text = str(path)
    return text if len(text) <= most else f"{text[: most // 2]}...{text[-most // 2 :]}"


def user_path(text: str) -> Path:
    """Return the path that a user wrote, with ~ expanded.

    Raises Unreadable for a user that is unknown, and for what no file can be called.
    """
    try:
        path = Path(text).expanduser()
    except RuntimeError:
        raise Unreadable(f"{shortened(text)}: no such user or home folder; write the path out") from None
    try:
        os.stat(path)
    except ValueError:  # a null byte, or half a character
        raise Unreadable(f"{shortened(text)}: no file can be called that; correct the path") from None
    except OSError as error:
        if error.errno == errno.ENAMETOOLONG:
            raise Unreadable(f"{shortened(text)}: longer than a path may be; is it right?") from None
    return path


def native_path(path: Path, library: str) -> str:
    """Return a path for a library that takes only UTF-8 text. Raises Unreadable, without the path, for another name."""
    if not is_utf8(str(path)):
        raise Unreadable(f"{library} opens no file whose path is not UTF-8; rename it")
    return str(path)


def is_utf8(text: str) -> bool:
    """Return whether a name is text: those of files may be any bytes, of which Python makes halves of characters."""
    return not any("\ud800" <= sign <= "\udfff" for sign in text)


def is_file(path: Path) -> bool:
    """Tell whether a path is a file: false for one that cannot be a path, because it is too long, for example."""
    return os.path.isfile(path)


def is_folder(path: Path) -> bool:
    """Tell whether a path is a folder: false for one that cannot be a path, because it is too long, for example."""
    return os.path.isdir(path)


def visible_files(folder: Path, suffixes: tuple[str, ...]) -> list[Path]:
    """Return the visible files below `folder` with one of the suffixes, sorted by path.

    Each folder is visited once, however many links lead to it, and by its own path rather than by a link if it is
    below `folder`; links to folders above it are left out. Raises Unreadable for a folder that cannot be listed.
    """
    found: list[Path] = []
    links, seen = [folder], {_number(above) for above in folder.resolve().parents}
    while links:
        start = links.pop(0)
        for directory, folders, files in os.walk(start, onerror=_refuse_folder):
            if not _is_new(directory, seen):
                folders.clear()
                continue
            folders[:] = sorted(name for name in folders if not name.startswith("."))
            links += [path for name in folders if os.path.islink(path := Path(directory, name))]
            found += [
                Path(directory, name)
                for name in files
                if not name.startswith(".") and os.path.splitext(name)[1].lower() in suffixes
            ]
    return sorted(found)


def _is_new(directory: str, seen: set[tuple[int, int]]) -> bool:
    """Tell whether a folder is not among those seen, and add it."""
    number = _number(directory)
    known = number in seen
    seen.add(number)
    return not known


def _number(folder: str | Path) -> tuple[int, int]:
    """Return what tells a folder from all others, whatever links lead to it."""
    stat = os.stat(folder)
    return stat.st_dev, stat.st_ino


def _refuse_folder(error: OSError) -> None:
    raise Unreadable(f"{error.filename}: {(error.strerror or str(error)).lower()}; allow reading it, or move it away")


def fingerprint(path: Path) -> str:
    """Return the SHA-256 of a file, as 64 hexadecimal digits. Raises Unreadable when it is no regular, whole file."""
    try:
        with open(path, "rb") as file:
            if not S_ISREG(os.fstat(file.fileno()).st_mode):
                raise Unreadable(f"{shortened(path)}: not a regular file; is the path right?")
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise Unreadable(f"{shortened(path)}: {(error.strerror or str(error)).lower()}; is the path right?") from None


def cache_folder() -> Path:
    """Return the folder of cached results: ``$SEGABLATE_CACHE``, or ``segablate`` in the user's cache folder."""
    return _user_folder("SEGABLATE_CACHE", "XDG_CACHE_HOME", "LOCALAPPDATA", "~/.cache")


def config_folder() -> Path:
    """Return the folder of decisions to keep: ``$SEGABLATE_CONFIG``, or ``segablate`` in the user's configuration."""
    return _user_folder("SEGABLATE_CONFIG", "XDG_CONFIG_HOME", "APPDATA", "~/.config")


def _user_folder(own: str, freedesktop: str, windows: str, default: str) -> Path:
    """Return the folder that the first of these environment variables names, or ``segablate`` in that of the others."""
    if stated := os.environ.get(own):
        return Path(stated).expanduser()
    above = os.environ.get(freedesktop) or (os.environ.get(windows) if os.name == "nt" else None) or default
    return Path(above).expanduser() / "segablate"


def discard(path: Path) -> None:
    """Remove a file that is no longer needed; one that is gone, a folder, or what cannot be removed is left."""
    with suppress(OSError):
        path.unlink()


def refuse_foreign(path: Path, mark: bytes, what: str) -> None:
    """Raise Unwritable for a file that is there and was not written by this program, which puts `mark` into its own.

    `what`: the kind of file in the message, such as "page".
    """
    if os.path.exists(path) and (not is_file(path) or mark not in read_bytes(path).tobytes()):
        raise Unwritable(
            f"{shortened(path)}: exists and is no {what} of segablate, so it is not replaced; choose another file, or "
            f"remove it"
        )


def write_atomically(path: Path, data: bytes | str) -> None:
    """Write a file completely or not at all, also after a crash.

    Raises Unwritable for a path that is no regular file: a device would be replaced by a file.
    """
    if path.exists() and not path.is_file():
        raise Unwritable(f"{path}: is no regular file, and is not replaced; choose another place")
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


@contextmanager
def writing(path: Path) -> Iterator[None]:
    """Raise Unwritable for `path` where the system refuses to write inside."""
    try:
        yield
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        raise Unwritable(f"{shortened(path)}: cannot be written ({reason}); choose another place") from None


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
