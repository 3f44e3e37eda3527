"""Training of a small network that detects the edges in label maps.

Chen, Dapogny and Cord, arXiv:1905.01892, describe the idea; the sizes and the rule for edges are those of a public
re-implementation.
"""

from collections.abc import Callable, Sequence
from dataclasses import asdict

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from segablate.datasets import Dataset
from segablate.edges.network import CHANNELS, EdgeNetwork, Training
from segablate.errors import DatasetError
from segablate.labels import IGNORE, ignore_index, ignored_in
from segablate.losses.parts.edge_features import SIDE, features
from segablate.runtime import labels_to_device

Layers = list[tuple[Tensor, Tensor]]

_CROPS = 1600
"""Number of crops in all."""

_JUDGED = 64
"""Number of crops on which the trained network is evaluated."""

_STRONGEST = 1.0
"""Norm to which gradients are clipped."""


def edge_labels(labels: Tensor, void: int = IGNORE) -> Tensor:
    """Return 1 where one of the 8 neighbours has another class, else 0; 255 at void; N H W int64.

    `void`: the index of void in the labels. Neither void nor the outside of the image makes an edge.
    """
    edges = torch.zeros(labels.shape, dtype=torch.int64, device=labels.device)
    height, width = labels.shape[1:]
    for down, right in ((0, 1), (1, 0), (1, 1), (1, -1)):
        rows = slice(0, height - down), slice(down, height)
        columns = slice(max(-right, 0), width - max(right, 0)), slice(max(right, 0), width - max(-right, 0))
        here, there = ((..., row, column) for row, column in zip(rows, columns, strict=True))
        differ = (labels[here] != labels[there]) & (labels[here] != void) & (labels[there] != void)
        edges[here] |= differ
        edges[there] |= differ
    return edges.where(labels != void, IGNORE)


def train_edge_network(
    dataset: Dataset, training: Training | None = None, *, progress: Callable[[int], None] = lambda steps: None
) -> EdgeNetwork:
    """Train on the masks of this split, on the CPU; repeatable for the same masks, training and machine.

    Raises :class:`DatasetError` where no mask holds a label, and as reading masks does.
    """
    training = training or Training()
    source = dataset.evenly(training.masks)
    rng = np.random.default_rng(training.seed)
    crops = torch.cat([_crops(source, index, training, rng) for index in range(len(source))])
    if not (crops != dataset.labels.ignore).any():
        raise DatasetError(
            f"no mask of split {dataset.split!r} of {dataset.spec} holds a label; edges cannot be learnt"
        )
    generator = torch.Generator().manual_seed(training.seed)
    layers = _new_layers(len(dataset.labels), generator)
    with torch.enable_grad():
        _fit(layers, crops, training, generator, progress)
    trained = tuple((weight.detach(), bias.detach()) for weight, bias in layers)
    facts = {
        "classes": list(dataset.labels.names),
        "label_set": dataset.labels.name,
        "dataset": dataset.spec,
        "split": dataset.split,
        "masks_read": len(source),
        **asdict(training),
        "onehot_scale": training.scale(len(dataset.labels)),
        **_scores(trained, crops[torch.randperm(len(crops), generator=generator)[:_JUDGED]]),
    }
    return EdgeNetwork(trained, facts)


def _crops(source: Dataset, index: int, training: Training, rng: np.random.Generator) -> Tensor:
    """Cut crops from one mask, n side side, uint8 or int32; void where the mask is smaller."""
    labels = source.read(index, image=False).labels
    side = training.side
    room = [(0, max(side - length, 0)) for length in labels.shape]
    labels = np.pad(labels, room, constant_values=ignored_in(labels))
    count = max(_CROPS // len(source), 1)
    rows, columns = (rng.integers(0, length - side + 1, count) for length in labels.shape)
    cut = [labels[row : row + side, column : column + side] for row, column in zip(rows, columns, strict=True)]
    return labels_to_device(np.stack(cut), torch.device("cpu"))


def _new_layers(classes: int, generator: torch.Generator) -> Layers:
    """Initialise three convolutions, uniform within 1/√fan-in."""
    layers = []
    for inputs, outputs in zip((classes, *CHANNELS), CHANNELS, strict=False):
        bound = (inputs * SIDE**2) ** -0.5
        shapes = ((outputs, inputs, SIDE, SIDE), (outputs,))
        weight, bias = (bound * (2 * torch.rand(shape, generator=generator) - 1) for shape in shapes)
        layers.append((weight.requires_grad_(), bias.requires_grad_()))
    return layers


def _fit(
    layers: Layers, crops: Tensor, training: Training, generator: torch.Generator, progress: Callable[[int], None]
) -> None:
    """Train the layers in place."""
    classes = layers[0][0].shape[1]
    scale, void = training.scale(classes), ignore_index(classes)
    parameters = [tensor for pair in layers for tensor in pair]
    optimiser = torch.optim.Adam(parameters, training.rate)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, training.steps)
    for _ in range(training.steps):
        batch = crops[torch.randint(len(crops), (training.batch,), generator=generator)]
        maps = scale * _one_hot(batch, classes)  # N C H W
        maps += training.noise * torch.randn(maps.shape, generator=generator)
        scores = features(maps.softmax(1) * (batch != void).unsqueeze(1), layers)[-1]
        optimiser.zero_grad()
        _cross_entropy(scores, edge_labels(batch, void)).backward()
        torch.nn.utils.clip_grad_norm_(parameters, _STRONGEST)
        optimiser.step()
        schedule.step()
        progress(1)


@torch.no_grad()
def _scores(layers: Sequence[tuple[Tensor, Tensor]], crops: Tensor) -> dict[str, float]:
    """Return F1 and cross entropy of edges on exact one-hot labels, as SEMEDA passes them."""
    classes = layers[0][0].shape[1]
    scores = features(_one_hot(crops, classes), layers)[-1]
    edges = edge_labels(crops, ignore_index(classes))
    predicted = scores.argmax(1).bool() & (edges != IGNORE)  # n side side
    labelled = edges == 1  # n side side
    f1 = 2 * (predicted & labelled).sum() / (predicted.sum() + labelled.sum()).clamp(min=1)
    return {"edge_f1": round(float(f1), 6), "cross_entropy": round(float(_cross_entropy(scores, edges)), 6)}


def _cross_entropy(scores: Tensor, edges: Tensor) -> Tensor:
    """Average over the pixels that are not void; 0 without one."""
    total = F.cross_entropy(scores, edges, ignore_index=IGNORE, reduction="sum")
    return total / (edges != IGNORE).sum().clamp(min=1)


def _one_hot(labels: Tensor, classes: int) -> Tensor:
    """Return one-hot labels, N C H W float, 0 at void pixels."""
    return (labels.unsqueeze(1) == torch.arange(classes).view(1, -1, 1, 1)).float()
