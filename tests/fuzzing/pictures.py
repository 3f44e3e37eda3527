"""Valid images, label maps and predictions in every format, as datasets of three images."""

import io
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import yaml
from conftest import CLASSES, NETWORK, scene
from PIL import Image

COUNT = 3
COLOURS = ((10, 20, 30), (40, 50, 60), (70, 80, 90), (100, 110, 120))
VOID = (0, 0, 0)

Writer = Callable[[np.ndarray], bytes]
"""Of an image, H, W, 3 RGB, or of a label map, H, W, both uint8."""


def by_opencv(suffix: str) -> Writer:
    """As OpenCV writes a format."""
    return lambda array: cv2.imencode(suffix, array[..., ::-1] if array.ndim == 3 else array)[1].tobytes()


def by_pillow(format: str, mode: str | None = None, **saving: object) -> Writer:
    """As Pillow writes a format, in a mode of its own."""

    def write(array: np.ndarray) -> bytes:
        image, buffer = Image.fromarray(array), io.BytesIO()
        if mode == "P":
            image.putpalette([index * 37 % 256 for index in range(768)])
        elif mode:
            image = image.convert(mode)
        image.save(buffer, format, **saving)
        return buffer.getvalue()

    return write


def as_npy(array: np.ndarray) -> bytes:
    """A .npy file."""
    buffer = io.BytesIO()
    np.save(buffer, array)
    return buffer.getvalue()


def as_mat(array: np.ndarray, compressed: bool = False) -> bytes:
    """A MATLAB 5 file."""
    from scipy.io import savemat

    buffer = io.BytesIO()
    savemat(buffer, {"labels": array}, do_compression=compressed)
    return buffer.getvalue()[:0] + b"MATLAB 5.0 MAT-file".ljust(124) + buffer.getvalue()[124:]  # without the date


def as_npz(array: np.ndarray) -> bytes:
    """Logits of a label map, which are as good as certain."""
    buffer = io.BytesIO()
    np.savez(buffer, logits=(array[None] == np.arange(len(CLASSES))[:, None, None]).astype(np.float32) * 9)
    return buffer.getvalue()


def as_colours(array: np.ndarray) -> bytes:
    """A PNG of the colours of classes."""
    table = np.array([*COLOURS, *[VOID] * 252], np.uint8)
    return by_opencv(".png")(table[array])


IMAGES: dict[str, Writer] = {
    "png": by_opencv(".png"), "jpg": by_opencv(".jpg"), "bmp": by_opencv(".bmp"), "tif": by_opencv(".tif"),
    "webp": by_opencv(".webp"), "ppm": by_opencv(".ppm"), "gif": by_pillow("GIF"),
}  # fmt: skip
"""Formats of images, by suffix."""

LABELS: dict[str, tuple[str, Writer]] = {
    "png": (".png", by_opencv(".png")),
    "palette": (".png", by_pillow("PNG", "P")),
    "deep": (".png", lambda array: by_opencv(".png")(array.astype(np.uint16))),
    "interlaced": (".png", by_pillow("PNG", interlace=1)),
    "colours": (".png", as_colours),
    "bmp": (".bmp", by_pillow("BMP", "P")),
    "gif": (".gif", by_pillow("GIF", "P", optimize=False)),
    "tif": (".tif", by_pillow("TIFF", compression="tiff_lzw")),
    "float": (".tif", lambda array: by_opencv(".tif")(array.astype(np.float32))),
    "pgm": (".pgm", by_opencv(".pgm")),
    "npy": (".npy", as_npy),
    "mat": (".mat", as_mat),
    "packed": (".mat", lambda array: as_mat(array, compressed=True)),
}
"""Kinds of label maps, with their suffix."""


def write_pictures(root: Path, image: str = "png", label: str = "png") -> None:
    """A folder dataset ``data``, predictions for it, and a network ``net.py`` with weights."""
    import torch

    suffix, writer = LABELS[label]
    for index in range(COUNT):
        pixels, labels = scene(index)
        _write(root / f"data/images/val/s{index}.{image}", IMAGES[image](pixels))
        _write(root / f"data/labels/val/s{index}{suffix}", writer(labels))
        _write(root / f"predicted/s{index}.png", by_opencv(".png")(labels % len(CLASSES)))
    _write(root / "data/dataset.yaml", yaml.safe_dump(described(suffix, label), sort_keys=False).encode())
    _write(root / "net.py", NETWORK.encode())
    torch.save(network().state_dict(), root / "net.pth")


def described(suffix: str, label: str) -> dict[str, object]:
    """What dataset.yaml says."""
    colours = label == "colours"
    classes = [
        {"name": name, "colour": list(COLOURS[code])} if colours else {"name": name, "code": code}
        for code, name in enumerate(CLASSES)
    ]
    return {
        "name": "toy",
        "classes": classes,
        "void": [list(VOID)] if colours else [255],
        "encoding": "colours" if colours else "codes",
        "splits": {"val": {"images": "images/val", "labels": "labels/val"}},
        "label_suffix": suffix,
    }


def network():  # type: ignore[no-untyped-def]
    """The small network of the tests, with the same weights each time."""
    import torch

    exec(NETWORK, code := {})
    torch.manual_seed(0)
    return code["small"](len(CLASSES)).eval()


def _write(path: Path, data: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
