"""Train the sample checkpoints on the train split: ``python sample_data/train.py [NAME ...]``.

Each name is an objective of :data:`OBJECTIVES` and becomes ``checkpoints/NAME.safetensors``. Everything but the
objective is the same for all. On one machine, two runs give the same bytes.
"""

import argparse
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import torch
import yaml
from numpy import ndarray
from PIL import Image
from torch import Tensor, nn
from torch.nn import functional as F

from segablate.checkpoints.sources import native
from segablate.losses import get_loss
from segablate.networks import get_network
from segablate.objective.weighted_sum import published_objective

HERE = Path(__file__).parent
ARCHITECTURE = "small"
IGNORE = 255
SEED = 20
EPOCHS = 220
BATCH = 4
CROP = (96, 144)
LEARNING_RATE = 1.2e-2
WEIGHT_DECAY = 1e-2
PREPROCESSING = {
    "channels": "rgb",
    "scale": "1/255",
    "mean": [0.45, 0.45, 0.45],
    "std": [0.25, 0.25, 0.25],
    "divisor": 1,
    "resize": None,
    "pad_to_multiple": None,
}


@dataclass(frozen=True)
class Objective:
    """A loss of logits N C H W, labels N H W and the pixels of each class in the split; what its logits mean."""

    output: str
    loss: Callable[[Tensor, Tensor, Tensor], Tensor]


def cross_entropy(logits: Tensor, labels: Tensor, pixels: Tensor) -> Tensor:
    """Every labelled pixel alike."""
    return F.cross_entropy(logits, labels, ignore_index=IGNORE)


def weighted_cross_entropy(logits: Tensor, labels: Tensor, pixels: Tensor) -> Tensor:
    """Rare classes count more: weights fall with the square root of the frequency of the class; their mean is 1."""
    weights = pixels.rsqrt()
    return F.cross_entropy(logits, labels, weights / weights.mean(), ignore_index=IGNORE)


def region_mutual_information(logits: Tensor, labels: Tensor, pixels: Tensor) -> Tensor:
    """RMI as its authors train with it: half a sigmoid cross entropy, half the region term."""
    return published_objective(get_loss("rmi"))(logits, labels)


OBJECTIVES = {
    "ce": Objective("softmax", cross_entropy),
    "rmi": Objective("sigmoid", region_mutual_information),
    "weighted": Objective("softmax", weighted_cross_entropy),
}


def read_split() -> tuple[list[str], list[ndarray], list[ndarray]]:
    """Class names, images (H W 3) and labels (H W) of the train split, by file name."""
    dataset = yaml.safe_load((HERE / "dataset.yaml").read_text())
    folders = dataset["splits"]["train"]
    files = sorted((HERE / folders["images"]).iterdir())
    images = [np.asarray(Image.open(file)) for file in files]
    labels = [np.asarray(Image.open(HERE / folders["labels"] / f"{file.stem}.png")) for file in files]
    return [entry["name"] for entry in dataset["classes"]], images, labels


def augment(rng: np.random.Generator, image: ndarray, labels: ndarray) -> tuple[ndarray, ndarray]:
    """A mirrored, rescaled, cropped and recoloured view, (3, h, w) and (h, w) at the size of a crop."""
    scale = rng.uniform(0.8, 1.7)
    size = [max(side, round(scale * old)) for side, old in zip(CROP, labels.shape, strict=True)]
    image = cv2.resize(image, size[::-1], interpolation=cv2.INTER_LINEAR)
    labels = cv2.resize(labels, size[::-1], interpolation=cv2.INTER_NEAREST)
    top, left = (rng.integers(0, side - crop + 1) for side, crop in zip(size, CROP, strict=True))
    window = np.s_[top : top + CROP[0], left : left + CROP[1]]
    flip = rng.choice([-1, 1])
    view = recolour(rng, image[window][:, ::flip] / np.float32(255))
    view = (view - np.float32(PREPROCESSING["mean"])) / np.float32(PREPROCESSING["std"])
    return np.ascontiguousarray(view.transpose(2, 0, 1)), labels[window][:, ::flip].astype(np.int64)


def recolour(rng: np.random.Generator, view: ndarray) -> ndarray:
    """Other brightness, contrast and colour of light; values 0..1."""
    view = view * np.float32(rng.uniform(0.75, 1.25) * rng.uniform(0.93, 1.07, 3))
    return np.clip(0.5 + np.float32(rng.uniform(0.8, 1.2)) * (view - 0.5), 0, 1)


def batches(rng: np.random.Generator, images: list[ndarray], labels: list[ndarray]) -> Iterator[tuple[Tensor, Tensor]]:
    """One epoch of augmented batches, in random order."""
    for chosen in rng.permutation(len(images)).reshape(-1, BATCH):
        views = [augment(rng, images[i], labels[i]) for i in chosen]
        yield torch.from_numpy(np.stack([v for v, _ in views])), torch.from_numpy(np.stack([y for _, y in views]))


def fit(network: nn.Module, objective: Objective, images: list[ndarray], labels: list[ndarray]) -> None:
    """AdamW with the learning rate on half a cosine, in place."""
    rng = np.random.default_rng(SEED)
    codes = np.concatenate([y.ravel() for y in labels])
    pixels = torch.from_numpy(np.bincount(codes[codes != IGNORE])).float()
    optimiser = torch.optim.AdamW(network.parameters(), LEARNING_RATE, weight_decay=WEIGHT_DECAY)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, EPOCHS * len(images) // BATCH)
    network.train()
    # Twice as fast for separable convolutions on a CPU.
    network.to(memory_format=torch.channels_last)
    for epoch in range(EPOCHS):
        total = 0.0
        for view, target in batches(rng, images, labels):
            optimiser.zero_grad()
            value = objective.loss(network(view.contiguous(memory_format=torch.channels_last)), target, pixels)
            value.backward()
            optimiser.step()
            schedule.step()
            total += value.item() * BATCH / len(images)
        print(f"  epoch {epoch + 1:3d} of {EPOCHS}: {total:.4f}", flush=True)


def save(network: nn.Module, name: str, classes: list[str]) -> Path:
    """The weights, and in the metadata what is needed to use them."""
    described = {
        "architecture": ARCHITECTURE,
        "arguments": {"num_classes": len(classes)},
        "classes": classes,
        "preprocessing": PREPROCESSING,
        "output": OBJECTIVES[name].output,
        "training": {"objective": name, "data": "sample train", "seed": SEED, "epochs": EPOCHS},
    }
    file = HERE / "checkpoints" / f"{name}.safetensors"
    native.save(file, network.state_dict(), described)
    return file


def main() -> None:
    parser = argparse.ArgumentParser(description="Train the sample checkpoints.")
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(OBJECTIVES)}; all when none is named")
    names = parser.parse_args().names or list(OBJECTIVES)
    if unknown := set(names) - set(OBJECTIVES):
        parser.error(f"no objective is called {', '.join(sorted(unknown))}; there is {', '.join(OBJECTIVES)}")
    torch.use_deterministic_algorithms(True)
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    classes, images, labels = read_split()
    for name in names:
        print(name)
        torch.manual_seed(SEED)
        network = get_network(ARCHITECTURE)(num_classes=len(classes))
        fit(network, OBJECTIVES[name], images, labels)
        print(f"  {save(network, name, classes)}")


if __name__ == "__main__":
    main()
