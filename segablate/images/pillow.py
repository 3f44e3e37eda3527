"""Open files with Pillow, which keeps palette indices and reads what they state about themselves."""

import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from io import BytesIO
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from PIL.Image import Image

_FORMATS = ("TIFF", "BMP", "GIF", "WEBP")


@contextmanager
def opened(data: np.ndarray) -> Iterator["Image"]:
    """Open an image file (uint8) without Pillow's limit on pixels: this package has its own.

    Raises ValueError, or anything, for a damaged file.
    """
    from PIL import Image, UnidentifiedImageError

    with _UNLIMITED:
        try:
            image = Image.open(BytesIO(data.tobytes()), formats=_FORMATS)
        except UnidentifiedImageError:
            raise ValueError("its header is damaged") from None
        with image:
            yield image


class _Unlimited:
    """Lifts Pillow's limit, and silences its warnings of damage, both global, while any thread is inside."""

    def __init__(self) -> None:
        self.lock, self.inside = threading.Lock(), 0
        self.limit: int | None = None
        self.silenced = warnings.catch_warnings()

    def __enter__(self) -> None:
        from PIL import Image

        with self.lock:
            if not self.inside:
                self.limit, Image.MAX_IMAGE_PIXELS = Image.MAX_IMAGE_PIXELS, None
                self.silenced = warnings.catch_warnings()
                self.silenced.__enter__()
                warnings.filterwarnings("ignore", module=r"PIL\.")
            self.inside += 1

    def __exit__(self, *_: object) -> None:
        from PIL import Image

        with self.lock:
            self.inside -= 1
            if not self.inside:
                Image.MAX_IMAGE_PIXELS = self.limit
                self.silenced.__exit__(None, None, None)


_UNLIMITED = _Unlimited()
