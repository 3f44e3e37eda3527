"""Limits on what a file may take: memory and processor time, stated once for every reader.

Decoded pixels are judged by the header, before anything is decoded. Everything else that is parsed (pickles, YAML,
JSON, directories of archives, lists) has a :class:`Budget`: memory in proportion to the bytes of the file, and ten
seconds of processor time, more for JSON beyond 40 MB. Loading and hashing of weights is not timed.
"""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from segablate.errors import SegablateError

PIXEL_BYTES = 2**31
"""Most bytes that the decoded pixels of one image or label map may take."""

STRUCTURE_FACTOR = 64
STRUCTURE_START = 64 * 2**20
"""A parsed structure may take this many times the bytes of its file, and this many bytes besides."""

STRUCTURE_SECONDS = 10.0
"""Most processor time, in seconds, that parsing the structure of one file may take; of a large JSON file, more:"""

STRUCTURE_SPEED = 4 * 2**20
"""Bytes of a large JSON file for which another second is given; the annotations of COCO's train split have 450 MB."""

TEXT_BYTES = 2**26
"""Most bytes of a text file that is read whole, such as a list of images."""

DIRECTORY_BYTES = 2**24
"""Most bytes of the directory of a zip archive, which is read whole: about 200 000 members."""


class TooLarge(SegablateError):
    """A file that would take more memory or time than its size justifies. The caller adds which."""


def check_pixels(height: int, width: int, channels: int = 1, itemsize: int = 1) -> None:
    """Raise TooLarge where pixels of this shape take more than :data:`PIXEL_BYTES`."""
    size = height * width * channels * itemsize
    if size > PIXEL_BYTES:
        raise TooLarge(
            f"its {height}x{width} pixels take {size / 2**30:.1f} GiB when decoded; at most "
            f"{PIXEL_BYTES // 2**30} GiB are read: cut it into tiles"
        )


@dataclass
class Budget:
    """What parsing one file of `size` bytes may still take; the clock is the processor time of this thread.

    `in_proportion`: whether a large file may take longer than :data:`STRUCTURE_SECONDS`.
    """

    size: int
    in_proportion: bool = False
    bytes_left: int = field(init=False)
    seconds: float = field(init=False)
    deadline: float = field(init=False)

    def __post_init__(self) -> None:
        self.bytes_left = STRUCTURE_FACTOR * self.size + STRUCTURE_START
        self.seconds = max(STRUCTURE_SECONDS, self.size / STRUCTURE_SPEED if self.in_proportion else 0)
        self.deadline = time.thread_time() + self.seconds

    def take(self, size: int) -> None:
        """Account for `size` bytes more. Raise TooLarge where that exceeds the limit."""
        self.bytes_left -= size
        if self.bytes_left < 0:
            raise TooLarge(
                f"its contents take more than {STRUCTURE_FACTOR} times its size in memory; it is damaged or made to "
                "exhaust memory: write it again"
            )

    def check_time(self) -> None:
        """Raise TooLarge where the processor time is used up."""
        if time.thread_time() > self.deadline:
            raise TooLarge(
                f"its contents take more than {self.seconds:.3g} s to parse; it is damaged or made to exhaust the "
                "processor: write it again"
            )

    @contextmanager
    def untimed(self) -> Iterator[None]:
        """Leave what happens inside out of the processor time."""
        began = time.thread_time()
        try:
            yield
        finally:
            self.deadline += time.thread_time() - began
