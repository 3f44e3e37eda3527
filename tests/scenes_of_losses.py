"""Scenes with smooth regions for testing losses, stored reference cases, and a value with its gradient."""

import json
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor


class Case(NamedTuple):
    """A stored reference: its tensors, the value and the gradient at the logits, and all that is in the file."""

    logits: Tensor
    labels: Tensor
    gradient: Tensor
    meta: dict[str, Any]
    arrays: dict[str, Tensor]


def golden(name: str) -> Case:
    """The case in ``tests/golden``; logits in float64."""
    with np.load(Path(__file__).parent / "golden" / f"{name}.npz") as stored:
        meta = json.loads(str(stored["meta"]))
        arrays = {key: torch.from_numpy(stored[key]) for key in stored if key != "meta"}
    return Case(arrays["logits"].double(), arrays["labels"].long(), arrays["grad"].double(), meta, arrays)


def blobs(images: int, classes: int, height: int, width: int, void: float = 0, seed: int = 0) -> tuple[Tensor, Tensor]:
    """Smooth logits N C H W (float64) and labels N H W that mostly follow them; a share of void in blobs."""
    generator = torch.Generator().manual_seed(seed)

    def smooth(channels: int) -> Tensor:
        cells = torch.randn(images, channels, height // 5 + 2, width // 5 + 2, generator=generator, dtype=torch.float64)
        return F.interpolate(cells, (height, width), mode="bicubic", align_corners=True)

    logits = 2 * smooth(classes)
    labels = (logits + smooth(classes)).argmax(1)
    if void:
        field = smooth(1)[:, 0]
        labels[field > field.flatten().quantile(1 - void)] = 255
    noise = torch.randn(logits.shape, generator=generator, dtype=torch.float64)
    return logits + 0.05 * noise, labels


def gradient_of(loss, logits: Tensor, labels: Tensor, **options) -> tuple[float, Tensor]:
    """The value and its gradient at the logits."""
    leaf = logits.detach().clone().requires_grad_()
    value = loss(leaf, labels, **options)
    value.backward()
    assert leaf.grad is not None
    return value.item(), leaf.grad
