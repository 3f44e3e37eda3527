"""Datasets of more than 255 classes made from a seed, a network for them, and counts of their scores in plain numpy."""

from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import yaml

VOID = 65535
SIZE = (44, 60)

NETWORK = '''\
"""Scores of the class of the nearest colour; every class has a colour of its own."""

import torch
from torch import nn


class Nearest(nn.Module):
    def __init__(self, num_classes):
        super().__init__()
        colours = torch.tensor([[k % 16 * 16, k // 16 % 16 * 16, k // 256 * 16] for k in range(num_classes)]) / 255
        self.head = nn.Conv2d(3, num_classes, 1)
        with torch.no_grad():
            self.head.weight.copy_(2 * colours[..., None, None])
            self.head.bias.copy_(-(colours**2).sum(1))

    def forward(self, x):
        return 300 * self.head(x)


def nearest(num_classes):
    return Nearest(num_classes)


class Indices(Nearest):
    def forward(self, x):
        return super().forward(x).argmax(1)


def indices(num_classes):
    return Indices(num_classes)
'''


@dataclass(frozen=True)
class WideSet:
    """A folder dataset of `classes` with codes from `first` on, and its label maps as class indices, 65535 void."""

    root: Path
    classes: int
    first: int
    maps: tuple[np.ndarray, ...]

    @property
    def spec(self) -> str:
        return f"folder:{self.root}"

    def codes(self, indices: np.ndarray) -> np.ndarray:
        """The codes of class indices, void as the dataset has it."""
        return np.where(indices == VOID, 0 if self.first else VOID, indices + self.first).astype(np.uint16)

    def noisy(self, share: float, seed: int) -> list[np.ndarray]:
        """Predictions that are wrong in blocks on about this share, and somewhere of no class."""
        found = []
        for index, labels in enumerate(self.maps):
            rng = np.random.default_rng([seed, index])
            wrong = grown(rng.random((11, 15)) < share)
            other = grown(rng.choice([*np.unique(labels[labels != VOID]), 255, self.classes - 1], (11, 15)))
            predicted = np.where(wrong | (labels == VOID), other, labels).astype(np.uint16)
            predicted[:2, :5] = VOID
            found.append(predicted)
        return found

    def write(self, folder: Path, predicted: list[np.ndarray]) -> str:
        """Write predictions as files of codes; their specification."""
        folder.mkdir(parents=True)
        for index, values in enumerate(predicted):
            cv2.imwrite(str(folder / f"s{index}.png"), self.codes(values))
        return f"predictions:{folder}"


def grown(blocks: np.ndarray) -> np.ndarray:
    """Values of blocks at the size of the images."""
    return blocks.repeat(4, 0).repeat(4, 1)


def label_map(index: int, classes: int) -> np.ndarray:
    """Blocks of a few classes, class 255 and the last among them, a strip and some pixels void."""
    rng = np.random.default_rng([classes, index])
    some = [255, classes - 1, *rng.integers(0, classes, 9)]
    labels = grown(rng.choice(some, (11, 15))).astype(np.uint16)
    labels[:, 20:23] = VOID
    labels[rng.random(SIZE) < 0.02] = VOID
    return labels


def write_wide(root: Path, classes: int, first: int = 0, images: int = 6) -> WideSet:
    """Write 16-bit label maps, images whose colours are those of the classes with some noise, and `dataset.yaml`."""
    maps = tuple(label_map(index, classes) for index in range(images))
    made = WideSet(root, classes, first, maps)
    for folder in ("images/val", "labels/val"):
        (root / folder).mkdir(parents=True)
    for index, labels in enumerate(maps):
        shown = np.where(labels == VOID, 7, labels).astype(int)
        colours = np.stack([shown % 16 * 16, shown // 16 % 16 * 16, shown // 256 * 16], axis=-1)
        noise = np.random.default_rng(index).integers(-11, 12, colours.shape)
        image = (colours + noise).clip(0, 255).astype(np.uint8)
        cv2.imwrite(str(root / f"images/val/s{index}.png"), image[..., ::-1])
        cv2.imwrite(str(root / f"labels/val/s{index}.png"), made.codes(labels))
    described = {
        "name": f"wide{classes}",
        "classes": [{"name": f"class {k}", "code": k + first} for k in range(classes)],
        "splits": {"val": {"images": "images/val", "labels": "labels/val"}},
    }
    (root / "dataset.yaml").write_text(yaml.safe_dump(described | ({"void": [0]} if first else {})))
    (root / "nets.py").write_text(NETWORK)
    return made


def plain_scores(maps: tuple[np.ndarray, ...], predicted: list[np.ndarray], classes: int) -> dict[str, np.ndarray]:
    """IoU, recall and precision of each class, (C,) each, counted one class after another; nan where undefined."""
    hits, labelled, found = np.zeros((3, classes))
    for labels, prediction in zip(maps, predicted, strict=True):
        valid = labels != VOID
        for c in range(classes):
            one, other = (labels == c) & valid, (prediction == c) & valid
            hits[c] += (one & other).sum()
            labelled[c] += one.sum()
            found[c] += other.sum()
    with np.errstate(invalid="ignore", divide="ignore"):
        return {"iou": hits / (labelled + found - hits), "recall": hits / labelled, "precision": hits / found}


def plain_boundary_f(
    maps: tuple[np.ndarray, ...], predicted: list[np.ndarray], classes: int, tolerance: float
) -> np.ndarray:
    """Boundary F of each class from hits pooled over the images, (C,), by the distances of all pairs of pixels."""
    sums = np.zeros((4, classes))
    for labels, prediction in zip(maps, predicted, strict=True):
        for c in set(np.unique(labels)) | set(np.unique(prediction)):
            if c < classes:
                found, wanted = (_edge(values, labels, c) for values in (prediction, labels))
                near = [_near(one, other, tolerance) for one, other in ((found, wanted), (wanted, found))]
                sums[:, c] += near[0], len(found), near[1], len(wanted)
    with np.errstate(invalid="ignore", divide="ignore"):
        precision, recall = np.nan_to_num(sums[0] / sums[1]), np.nan_to_num(sums[2] / sums[3])
        harmonic = np.nan_to_num(2 * precision * recall / (precision + recall))
    return np.where(sums[1] + sums[3] > 0, harmonic, np.nan)


def _edge(values: np.ndarray, labels: np.ndarray, c: int) -> np.ndarray:
    """Pixels of a class beside a labelled pixel of another value, themselves labelled, (n, 2)."""
    height, width = values.shape
    edge = []
    for y, x in np.argwhere((values == c) & (labels != VOID)):
        around = [(y - 1, x), (y + 1, x), (y, x - 1), (y, x + 1)]
        inside = [at for at in around if 0 <= at[0] < height and 0 <= at[1] < width and labels[at] != VOID]
        if any(values[at] != c for at in inside):
            edge.append((y, x))
    return np.array(edge).reshape(-1, 2)


def _near(sources: np.ndarray, targets: np.ndarray, tolerance: float) -> int:
    if not len(sources) or not len(targets):
        return 0
    squared = ((sources[:, None] - targets[None]) ** 2).sum(-1)
    return int((squared.min(1) <= tolerance**2).sum())
