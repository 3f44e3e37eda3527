"""A small encoder-decoder for quick runs: separable convolutions, dilated context, two skips.

Resolution falls to an eighth and returns to a half in two steps, each joined with the encoder's features there::

    1/2   stem ─────────────────────────── fine ── classifier ── bilinear to the size of the image
    1/4     └ encoder ─────────── middle ───┘
    1/8          └ deep ── context ┘
"""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

DILATIONS = (1, 2, 4, 8)

PREPROCESSING = {"mean": [0.45, 0.45, 0.45], "std": [0.25, 0.25, 0.25]}
"""The preprocessing of the sample's checkpoints."""


def small(num_classes: int, width: int = 24) -> nn.Module:
    """Build the network with random weights; about 80 000 parameters at the default width.

    ``width`` is the number of channels at half resolution, and scales all others. The network takes images N 3 H W
    of any H, W >= 1 and returns logits N C H W. Its last convolution, 1 by 1, is the classifier.
    """
    return Small(num_classes, width)


def read_arguments(shapes: Mapping[str, tuple[int, ...]]) -> Mapping[str, Any]:
    """Read the arguments from a state dict; raises KeyError for a name that it lacks."""
    return {"num_classes": shapes["classifier.weight"][0], "width": shapes["stem.0.0.weight"][0]}


def separable(inputs: int, outputs: int, stride: int = 1, dilation: int = 1) -> nn.Sequential:
    """Return a 3 by 3 convolution within each channel, then 1 by 1 across channels, each with batch norm; ReLU."""
    return nn.Sequential(
        nn.Conv2d(inputs, inputs, 3, stride, dilation, dilation, groups=inputs, bias=False),
        nn.BatchNorm2d(inputs),
        nn.Conv2d(inputs, outputs, 1, bias=False),
        nn.BatchNorm2d(outputs),
        nn.ReLU(),
    )


def dense(inputs: int, outputs: int, stride: int = 1) -> nn.Sequential:
    """Return a 3 by 3 convolution with batch norm and ReLU."""
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False),
        nn.BatchNorm2d(outputs),
        nn.ReLU(),
    )


def upsample_like(x: Tensor, reference: Tensor) -> Tensor:
    """Resize ``x`` N D h w to the height and width of ``reference``, bilinear."""
    return F.interpolate(x, reference.shape[-2:], mode="bilinear", align_corners=False)


class Context(nn.Module):
    """Residual separable convolutions at growing dilations, and the mean over the whole image."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.dilated = nn.ModuleList(separable(channels, channels, dilation=d) for d in DILATIONS)
        # No normalisation here: over a single position, as after a mean, it has no variance to divide by.
        self.scene = nn.Conv2d(channels, channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        for layer in self.dilated:
            x = x + layer(x)
        return x + self.scene(x.mean((2, 3), keepdim=True))


class Small(nn.Module):
    """The network that :func:`small` builds."""

    def __init__(self, num_classes: int, width: int) -> None:
        super().__init__()
        self.stem = nn.Sequential(dense(3, width, stride=2), separable(width, width))
        self.encoder = nn.Sequential(separable(width, 2 * width, stride=2), separable(2 * width, 2 * width))
        self.deep = nn.Sequential(separable(2 * width, 4 * width, stride=2), Context(4 * width))
        self.middle = separable(6 * width, 2 * width)
        self.fine = nn.Sequential(separable(3 * width, width), separable(width, width))
        self.classifier = nn.Conv2d(width, num_classes, 1)

    def forward(self, image: Tensor) -> Tensor:
        half = self.stem(image)
        quarter = self.encoder(half)
        eighth = self.deep(quarter)
        quarter = self.middle(torch.cat([upsample_like(eighth, quarter), quarter], 1))
        half = self.fine(torch.cat([upsample_like(quarter, half), half], 1))
        return upsample_like(self.classifier(half), image)
