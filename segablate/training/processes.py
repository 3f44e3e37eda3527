"""Processes that share a folder: which machine they run on, and whether they have ended."""

import hashlib
import os
import socket
from functools import cache


def machine() -> str:
    """Name this machine, and on Linux the namespace in which its process numbers count."""
    try:
        return f"{socket.gethostname()} {os.readlink('/proc/self/ns/pid')}"
    except OSError:
        return socket.gethostname()


@cache
def this_machine() -> str:
    """Return the name of this machine in 12 hexadecimal digits, for names of files."""
    return hashlib.sha256(machine().encode()).hexdigest()[:12]


def has_ended(number: int) -> bool:
    """Return whether the process of this machine with a number is known to have ended."""
    if os.name != "posix":
        return False
    try:
        os.kill(number, 0)
    except (ProcessLookupError, OverflowError):
        return True
    except OSError:  # it is somebody else's
        return False
    return False
