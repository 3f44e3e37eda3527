"""What the tests of training share: a small dataset with a train split, and short trainings on it."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
import yaml
from conftest import CLASSES, scene
from torch import Tensor, nn

from segablate.checkpoints import Loading
from segablate.datasets import open_dataset
from segablate.datasets.dataset import Dataset
from segablate.training.beginning import begin
from segablate.training.recipe import Recipe
from segablate.training.request import TrainingRequest
from segablate.training.session import Training, TrainingExecution, train
from segablate.training.task import Task, TrainerExecution

CPU = Loading(device="cpu")
SIZE = (24, 32)
PLAIN: dict[str, Any] = {"scale": (1.0, 1.0), "flip": 0.0, "batch": 2, "steps": 6, "rate": 0.01}
"""A recipe without augmentation, six steps long."""


def write_splits(root: Path, train: int = 6, val: int = 3, size: tuple[int, int] = SIZE) -> Path:
    """Write a folder dataset of four classes with the splits train and val."""
    for split, count in (("train", train), ("val", val)):
        for kind in ("images", "labels"):
            (root / kind / split).mkdir(parents=True)
        for index in range(count):
            image, labels = scene(index + 100 * (split == "val"), size)
            cv2.imwrite(str(root / f"images/{split}/{split}{index}.png"), image[..., ::-1])
            cv2.imwrite(str(root / f"labels/{split}/{split}{index}.png"), labels)
    described = {
        "name": "toy",
        "classes": [{"name": name, "code": code} for code, name in enumerate(CLASSES)],
        "void": [255],
        "splits": {split: {"images": f"images/{split}", "labels": f"labels/{split}"} for split in ("train", "val")},
    }
    (root / "dataset.yaml").write_text(yaml.safe_dump(described))
    return root


def blank_labels(root: Path, *names: str) -> None:
    """Overwrite label maps with void."""
    for name in names:
        cv2.imwrite(str(root / f"labels/train/{name}.png"), np.full(SIZE, 255, np.uint8))


def request(data: Path, network: str = "small(width=4)", **changes: Any) -> TrainingRequest:
    """Return a training of the train split; `changes` are of the request or of the recipe."""
    dataset: Dataset = open_dataset(f"folder:{data}", "train")
    own = {name: changes.pop(name) for name in TrainingRequest.__dataclass_fields__ if name in changes}
    return replace(TrainingRequest(network, dataset, Recipe(**{**PLAIN, **changes}), loading=CPU), **own)


def task_of(data: Path, network: str = "small(width=4)", **changes: Any) -> Task:
    """Return an opened training."""
    return begin(request(data, network, **changes), data)


def trained(data: Path, folder: Path, network: str = "small(width=4)", **changes: Any) -> Training:
    """Train into a folder, without validation."""
    return train(request(data, network, **changes), folder, TrainingExecution(validate_every=0))


def execution(folder: Path, **changes: Any) -> TrainerExecution:
    """Return execution for a folder, which is made."""
    folder.mkdir(parents=True, exist_ok=True)
    return TrainerExecution(folder, **changes)


def same(first: Mapping[str, Tensor], second: Mapping[str, Tensor]) -> bool:
    """Return whether two state dicts are equal, bit for bit."""
    return first.keys() == second.keys() and all(torch.equal(first[name], second[name]) for name in first)


def copied(module: nn.Module) -> dict[str, Tensor]:
    """Return a copy of the state dict of a module."""
    return {name: tensor.clone() for name, tensor in module.state_dict().items()}
