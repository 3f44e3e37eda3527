"""A network in a file that takes the nearest colour, and scenes whose colour is their class: its mIoU is 100."""

from pathlib import Path

import numpy as np
import torch

COLOURS = np.array([[40, 40, 40], [220, 40, 40], [40, 220, 40], [40, 40, 220]], np.uint8)

_CODE = """
import torch

def nearest(num_classes=3):
    return torch.nn.Conv2d(3, num_classes, 1)
"""


def scene(seed: int, classes: int = 3, height: int = 48, width: int = 64) -> np.ndarray:
    """A label map of rectangles, H, W uint8; every class is there."""
    rng = np.random.default_rng(seed)
    labels = np.zeros((height, width), np.uint8)
    for index in range(1, classes):
        top = int(rng.integers(1, height // 2))
        side = width // (classes - 1)
        left = (index - 1) * side + int(rng.integers(1, side // 4))
        labels[top : top + height // 3, left : left + side // 2 + int(rng.integers(0, side // 4))] = index
    return labels


def nearest_network(folder: Path, classes: int = 3, order: tuple[int, ...] | None = None) -> str:
    """Write the network and its weights; the specification. `order`: the class of the scene for each output."""
    colours = torch.from_numpy(COLOURS[list(order or range(classes))]).float() / 255
    weights = {"weight": 100 * colours[:, :, None, None], "bias": -50 * (colours**2).sum(1)}
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "nearest.py").write_text(_CODE)
    torch.save(weights, folder / "nearest.pth")
    return f"python:{folder}/nearest.py:nearest(num_classes={len(colours)})@{folder}/nearest.pth"
