"""What is known of a file: its kind and what to do about it; and the bytes that tell."""

import shlex
from dataclasses import dataclass
from pathlib import Path
from stat import S_ISREG

HEAD = 1 << 16
TAIL = 1 << 16
"""Bytes that are read from the beginning and the end of a file."""


@dataclass(frozen=True)
class Recognised:
    """The kind of a file, as in "a Keras model in HDF5", and what to do with it.

    ``source``: the source of checkpoints that opens it, where one does.
    """

    name: str
    remedy: str
    source: str | None = None

    @property
    def message(self) -> str:
        return f"this is {self.name}; {self.remedy}"


@dataclass(frozen=True)
class Sample:
    """The path of a file, its first and last bytes, and its size."""

    path: Path
    head: bytes
    tail: bytes
    size: int

    @classmethod
    def of(cls, path: Path) -> "Sample | None":
        """Read a file; None where it cannot be read, is empty or no regular file."""
        try:
            stat = path.stat()
            if not S_ISREG(stat.st_mode) or not stat.st_size:
                return None
            with path.open("rb") as file:
                head = file.read(HEAD)
                file.seek(max(0, stat.st_size - TAIL))
                return cls(path, head, file.read(TAIL), stat.st_size)
        except OSError:
            return None

    def holds(self, text: bytes) -> bool:
        """Return whether the first or last bytes hold a text."""
        return text in self.head or text in self.tail


def opened_as(name: str, source: str, path: Path) -> Recognised:
    """Return a kind that a source of checkpoints opens."""
    return Recognised(name, f"write {source}:{quoted(path)}", source)


def quoted(path: Path) -> str:
    """Return a path as it is typed in a shell."""
    return shlex.quote(str(path))


def onnx_beside(path: Path) -> str:
    """Return the path for an ONNX file beside a file or folder, as it is typed in a shell."""
    return quoted(path.with_name(f"{path.stem}.onnx"))


def through_tf2onnx(options: str, path: Path) -> str:
    """Return the remedy of converting by tf2onnx; ``options`` name the file."""
    target = onnx_beside(path)
    return f"convert it by python -m tf2onnx.convert {options} --output {target}, and evaluate {target}"


ORIGINAL = (
    "no tool converts it back: export the network that it was made from to ONNX (torch.onnx.export, or the exporter "
    "of its framework), and evaluate the .onnx file"
)
"""The remedy for formats that are the end of a conversion."""
