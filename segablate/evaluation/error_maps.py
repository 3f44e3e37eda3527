"""Error maps and overlays of single images as PNG, for ``--write-errors``.

``errors/NAME.png`` is an indexed PNG: 0 right, 1 wrong, 2 void, 3 predicted outside the label set, which is wrong too;
of two classes 1 is the second class predicted where the first is labelled, and 4 the second class missed. Pixels of 1,
3 and 4 are the wrong pixels of the run. ``overlays/NAME.png`` is the image in grey, under the same colours; right
pixels stay as they are. The colours are of Okabe and Ito's palette, which colour-blind readers tell apart.
"""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from segablate.files import write_atomically, writing
from segablate.labels import ignored_in
from segablate.samples import Sample

RIGHT, WRONG, VOID, OUTSIDE, MISSED = range(5)
WRONG_KINDS = (WRONG, OUTSIDE, MISSED)

COLOURS = {
    RIGHT: (240, 240, 240),
    WRONG: (213, 94, 0),
    VOID: (180, 180, 180),
    OUTSIDE: (0, 0, 0),
    MISSED: (0, 114, 178),
}
"""RGB of each kind of pixel: near-white, vermilion, grey, black, blue."""

_OPACITY = {RIGHT: 0.0, WRONG: 0.75, VOID: 0.5, OUTSIDE: 0.75, MISSED: 0.75}
_KEY = """\
errors/    one indexed PNG an image; overlays/  the image in grey under the same colours
0  near-white  right
1  vermilion   wrong; of two classes: the second class predicted where the first is labelled
2  grey        void, not counted
3  black       predicted outside the label set, wrong
4  blue        of two classes: the second class missed
"""


def error_map(labels: NDArray[np.integer], predicted: NDArray[np.integer], classes: int) -> NDArray[np.uint8]:
    """Return the kind of every pixel, (H, W), of labels and predictions, (H, W) class indices or void."""
    kinds = np.where(labels == predicted, RIGHT, WRONG).astype(np.uint8)
    if classes == 2:
        kinds[(labels == 1) & (predicted == 0)] = MISSED
    kinds[predicted >= classes] = OUTSIDE
    kinds[labels == ignored_in(labels)] = VOID
    return kinds


def overlay(image: NDArray[np.uint8], kinds: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return the image, (H, W, 3), in grey under the colours of the kinds, (H, W)."""
    colours = np.array([COLOURS[kind] for kind in range(len(COLOURS))], np.float32)
    opacity = np.array([_OPACITY[kind] for kind in range(len(COLOURS))], np.float32)[kinds][..., None]  # H W 1
    grey = image.astype(np.float32) @ np.array([0.299, 0.587, 0.114], np.float32)  # H W
    return np.round((1 - opacity) * grey[..., None] + opacity * colours[kinds]).astype(np.uint8)


def write_key(folder: Path) -> None:
    """Write what the colours mean beside the pictures."""
    (folder / "colours.txt").write_text(_KEY, encoding="utf-8")


def write_errors(folder: Path, sample: Sample, predicted: NDArray[np.integer], classes: int) -> None:
    """Write the error map of an image, and the overlay where the image was read. Raises Unwritable."""
    kinds = error_map(sample.labels, predicted, classes)
    _write(folder / "errors" / f"{sample.name}.png", kinds)
    image = sample.image_at_labels
    if image is not None:
        _write(folder / "overlays" / f"{sample.name}.png", overlay(image, kinds))


def _write(path: Path, pixels: NDArray[np.uint8]) -> None:
    """Write H, W kinds as an indexed PNG, or H, W, 3 RGB, atomically."""
    from io import BytesIO

    from PIL import Image

    picture = Image.fromarray(pixels)
    if pixels.ndim == 2:
        picture.putpalette([part for kind in range(len(COLOURS)) for part in COLOURS[kind]])
    data = BytesIO()
    picture.save(data, "PNG")
    with writing(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(path, data.getvalue())
