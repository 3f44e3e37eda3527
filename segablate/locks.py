"""One process at a time for an output: a lock beside it, which the system releases when its process ends, however."""

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from segablate.errors import RunError

try:
    import fcntl
except ImportError:  # a system without these locks
    fcntl = None

_TAKEN = (errno.EACCES, errno.EAGAIN)


@contextmanager
def held(path: Path | None) -> Iterator[None]:
    """Hold the lock on an output while the context lasts; None, and what is there and no folder, takes no lock.

    The lock is on ``.NAME.lock`` beside it, of this process and not of those it starts. Raises RunError where another
    process holds it, also on another machine where the file system tells, and where nothing can be written there.
    """
    if path is None or fcntl is None or (os.path.lexists(path) and not path.is_dir()):
        yield
        return
    place = path if path.name else Path(os.path.abspath(path))  # the working directory has its name there
    lock = place.parent / f".{place.name}.lock"
    handle = _taken(path, lock)
    try:
        yield
    finally:
        if handle is not None:
            lock.unlink(missing_ok=True)  # before it is released: whoever waits takes another file
            os.close(handle)


def _taken(path: Path, lock: Path) -> int | None:
    """Take the lock and return its handle; None where the file system has no locks."""
    assert fcntl is not None
    while True:
        handle = _opened(path, lock)
        try:
            fcntl.lockf(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            holder = " ".join(os.read(handle, 200).decode(errors="replace").split())
            os.close(handle)
            if error.errno not in _TAKEN:
                return None
            by = f" ({holder})" if holder else ""
            raise RunError(
                f"{path} is being written by another process{by}; wait for it, or choose another --save"
            ) from None
        if _is_still(handle, lock):
            with suppress(OSError):  # on a full disk it goes without
                os.truncate(handle, 0)
                os.write(handle, f"process {os.getpid()} on {os.uname().nodename}\n".encode())
            return handle
        os.close(handle)  # whoever held it has removed it in between


def _opened(path: Path, lock: Path) -> int:
    try:
        lock.parent.mkdir(parents=True, exist_ok=True)
        return os.open(lock, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o666)
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise RunError(f"{str(path)[:200]} cannot be written: {reason}; choose another --save") from None


def _is_still(handle: int, lock: Path) -> bool:
    """Return whether the file of a handle is the one under its name."""
    try:
        return os.path.samestat(os.fstat(handle), os.stat(lock))
    except FileNotFoundError:
        return False
