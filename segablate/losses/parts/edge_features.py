"""The layers of an edge network, and by how much its features differ between probabilities and labels."""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from segablate.errors import KnobError
from segablate.losses.parts.shapes import IGNORE

Layers = Sequence[tuple[Tensor, Tensor]]
"""(weight, bias) of each 3×3 convolution; a ReLU stands between two of them."""

SIDE = 3
"""Of the kernels, in pixels."""

HIDDEN = 2
"""Layers that a ReLU follows; the third gives edge logits."""


def features(maps: Tensor, layers: Layers) -> list[Tensor]:
    """The output of each layer before its ReLU, N c H W; the frame is padded with zeros. `maps`: N C H W."""
    found: list[Tensor] = []
    for weight, bias in layers:
        found.append(F.conv2d(found[-1].relu() if found else maps, weight, bias, padding=SIDE // 2))
    return found


def feature_differences(probabilities: Tensor, labels: Tensor, layers: Layers, activated: bool) -> list[Tensor]:
    """ψ_l(p) - ψ_l(y) for each layer, N c H W; between layers after the ReLU if `activated`.

    `probabilities` N C H W are 0 at void pixels. The first layer is affine: its difference is one convolution of p - y,
    and what it makes of the labels is looked up. No gradient flows into the layers and through the labels.
    """
    if not layers:
        return []
    weight, bias = layers[0]
    with torch.no_grad():
        wanted = [_first_of_labels(labels, weight, bias)]
        wanted += features(wanted[0].relu(), layers[1:])
    valid = (labels != IGNORE).unsqueeze(1)
    label = labels.long().unsqueeze(1).where(valid, 0)
    first = F.conv2d(probabilities.scatter_add(1, label, -valid.to(probabilities.dtype)), weight, padding=SIDE // 2)
    found = [wanted[0] + first]
    found += features(found[0].relu(), layers[1:])
    if activated:
        found[:HIDDEN], wanted[:HIDDEN] = ([maps.relu() for maps in each[:HIDDEN]] for each in (found, wanted))
    differences = [a - b for a, b in zip(found, wanted, strict=True)]
    return differences if activated else [first, *differences[1:]]


def checked(layers: Layers, logits: Tensor) -> list[tuple[Tensor, Tensor]]:
    """The layers, detached and of the dtype and device of the logits N C H W.

    Raises :class:`KnobError` where they are not three convolutions that follow one another, or are for another number
    of classes.
    """
    shapes = [tuple(tensor.shape) for pair in layers for tensor in pair]
    fits = len(shapes) == 6
    if fits:
        inputs = [shapes[0][1:2], shapes[0][:1], shapes[2][:1]]
        outputs = [shape[:1] for shape in shapes[::2]]
        wanted = [pair for i, o in zip(inputs, outputs, strict=True) for pair in ((*o, *i, SIDE, SIDE), o)]
        fits = shapes == wanted
    if not fits:
        raise KnobError(f"edge_net holds tensors of {shapes}; give three (weight, bias) pairs of 3x3 convolutions")
    if shapes[0][1] != logits.shape[1]:
        raise KnobError(
            f"the edge network is for {shapes[0][1]} classes but the logits have {logits.shape[1]}; "
            f"train one on this label set (segablate train-edges)"
        )
    return [(weight.detach().to(logits), bias.detach().to(logits)) for weight, bias in layers]


def _first_of_labels(labels: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """The first layer on one-hot labels, N c H W: nine rows of a table added up, void and what lies outside being 0."""
    channels, classes = weight.shape[:2]
    table = F.pad(weight.permute(2, 3, 1, 0), (0, 0, 0, 1)).reshape(-1, channels)  # 9 (C + 1) rows
    padded = F.pad(labels.int().where(labels != IGNORE, classes), (SIDE // 2,) * 4, value=classes)
    height, width = labels.shape[1:]
    rows = torch.stack(
        [
            padded[:, down : down + height, right : right + width] + (SIDE * down + right) * (classes + 1)
            for down in range(SIDE)
            for right in range(SIDE)
        ],
        3,
    )
    sums = F.embedding_bag(rows.view(-1, SIDE**2), table, mode="sum")
    return (sums + bias).view(*labels.shape, channels).permute(0, 3, 1, 2)
