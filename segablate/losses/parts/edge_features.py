"""The layers of an edge network, and the difference of its features between probabilities and labels."""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from segablate.errors import KnobError, counted
from segablate.labels import ignore_index
from segablate.losses.parts.shapes import void_of

Layers = Sequence[tuple[Tensor, Tensor]]
"""(weight, bias) of each 3×3 convolution; a ReLU is between two of them."""

SIDE = 3
"""Side of the kernels, in pixels."""

HIDDEN = 2
"""Number of layers that a ReLU follows; the outputs of the third are edge logits."""


def features(maps: Tensor, layers: Layers) -> list[Tensor]:
    """Return the output of each layer before its ReLU, N c H W, of maps N C H W; the frame is padded with zeros."""
    outputs: list[Tensor] = []
    for weight, bias in layers:
        outputs.append(F.conv2d(outputs[-1].relu() if outputs else maps, weight, bias, padding=SIDE // 2))
    return outputs


def feature_differences(probabilities: Tensor, labels: Tensor, layers: Layers, activated: bool) -> list[Tensor]:
    """Return ψ_l(p) - ψ_l(y) for each layer, N c H W; after the ReLU if `activated`.

    `probabilities` N C H W are 0 at void pixels. The first layer is affine: its difference is one convolution of p - y,
    and its output for the labels is a table look-up. No gradient flows into the layers or through the labels.
    """
    if not layers:
        return []
    weight, bias = layers[0]
    with torch.no_grad():
        of_labels = [_first_of_labels(labels, weight, bias)]  # N c H W each
        of_labels += features(of_labels[0].relu(), layers[1:])
    valid = (labels != void_of(probabilities)).unsqueeze(1)  # N 1 H W
    label = labels.long().unsqueeze(1).where(valid, 0)  # N 1 H W
    first = F.conv2d(probabilities.scatter_add(1, label, -valid.to(probabilities.dtype)), weight, padding=SIDE // 2)
    predicted = [of_labels[0] + first]  # N c H W each
    predicted += features(predicted[0].relu(), layers[1:])
    if activated:
        for each in (predicted, of_labels):
            each[:HIDDEN] = [maps.relu() for maps in each[:HIDDEN]]
    differences = [a - b for a, b in zip(predicted, of_labels, strict=True)]
    return differences if activated else [first, *differences[1:]]


def checked(layers: Layers, logits: Tensor) -> list[tuple[Tensor, Tensor]]:
    """Return the layers, detached and with the dtype and device of the logits N C H W.

    Raises :class:`KnobError` where they are not three consecutive 3×3 convolutions, or are for another number of
    classes.
    """
    shapes = [tuple(tensor.shape) for pair in layers for tensor in pair]
    fits = len(shapes) == 6
    if fits:
        inputs = [shapes[0][1:2], shapes[0][:1], shapes[2][:1]]
        outputs = [shape[:1] for shape in shapes[::2]]
        expected = [pair for i, o in zip(inputs, outputs, strict=True) for pair in ((*o, *i, SIDE, SIDE), o)]
        fits = shapes == expected
    if not fits:
        raise KnobError(f"edge_net holds tensors of {shapes}; give three (weight, bias) pairs of 3x3 convolutions")
    if shapes[0][1] != logits.shape[1]:
        raise KnobError(
            f"the edge network is for {counted(shapes[0][1], 'class', 'classes')} but the logits have "
            f"{logits.shape[1]}; train one on this label set (segablate train-edges)"
        )
    return [(weight.detach().to(logits), bias.detach().to(logits)) for weight, bias in layers]


def _first_of_labels(labels: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """Apply the first layer to one-hot labels, N c H W: sums of nine rows of a table; void and the outside are 0."""
    channels, classes = weight.shape[:2]
    table = F.pad(weight.permute(2, 3, 1, 0), (0, 0, 0, 1)).reshape(-1, channels)  # 9 (C + 1) rows
    known = labels.int().where(labels != ignore_index(classes), classes)  # N H W
    padded = F.pad(known, (SIDE // 2,) * 4, value=classes)  # N H+2 W+2
    height, width = labels.shape[1:]
    rows = torch.stack(
        [
            padded[:, down : down + height, right : right + width] + (SIDE * down + right) * (classes + 1)
            for down in range(SIDE)
            for right in range(SIDE)
        ],
        3,
    )
    sums = F.embedding_bag(rows.view(-1, SIDE**2), table, mode="sum")  # N·H·W c
    return (sums + bias).view(*labels.shape, channels).permute(0, 3, 1, 2)
