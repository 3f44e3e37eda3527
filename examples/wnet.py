"""W-Net for retinal vessels, so that the weights which its authors published for DRIVE can be evaluated.

Galdran et al., State-of-the-art retinal vessel segmentation with minimalistic models, Scientific Reports 2022,
arXiv:2009.01907. Modules bear the names that those weights expect; https://github.com/agaldran/lwnet (MIT).
"""

from collections import OrderedDict
from itertools import pairwise

import torch
from torch import Tensor, nn

WIDTHS = (8, 16, 32)
"""Channels at full, half and a quarter of the size."""


def wnet(num_classes: int = 1) -> nn.Module:
    """Two small U-Nets in a row with random weights: 68 482 parameters with one class.

    Images N 3 H W in 0..1 (H and W multiples of 4) to logits N ``num_classes`` H W, of a sigmoid for one class.
    """
    return WNet(num_classes)


class WNet(nn.Module):
    """The second network sees the image and the logits of the first, and corrects them."""

    def __init__(self, num_classes: int) -> None:
        super().__init__()
        self.unet1 = UNet(3, num_classes)
        self.unet2 = UNet(3 + num_classes, num_classes)

    def forward(self, image: Tensor) -> Tensor:
        return self.unet2(torch.cat([image, self.unet1(image)], dim=1))


class UNet(nn.Module):
    """Down to a quarter of the size and back, with a skip at each level."""

    def __init__(self, inputs: int, num_classes: int) -> None:
        super().__init__()
        self.first = Block(inputs, WIDTHS[0])
        self.down_path = nn.ModuleList(Block(fine, coarse) for fine, coarse in pairwise(WIDTHS))
        self.up_path = nn.ModuleList(Up(coarse, fine) for coarse, fine in pairwise(reversed(WIDTHS)))
        self.final = nn.Conv2d(WIDTHS[0], num_classes, 1)

    def forward(self, image: Tensor) -> Tensor:
        levels = [self.first(image)]
        for down in self.down_path:
            levels.append(down(nn.functional.max_pool2d(levels[-1], 2)))
        features = levels.pop()
        for up in self.up_path:
            features = up(features, levels.pop())
        return self.final(features)


class Block(nn.Module):
    """Two convolutions, and a projection of the input added."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.shortcut = nn.Sequential(nn.Conv2d(inputs, outputs, 1, bias=False), nn.BatchNorm2d(outputs))
        self.block = nn.Sequential(*convolved(inputs, outputs), *convolved(outputs, outputs))

    def forward(self, features: Tensor) -> Tensor:
        return self.block(features) + self.shortcut(features)


class Up(nn.Module):
    """Twice the size, joined with the features of the way down after a convolution of theirs."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.up_layer = under_block(nn.ConvTranspose2d(inputs, outputs, 2, stride=2))
        self.conv_layer = Block(2 * outputs, outputs)
        self.conv_bridge_layer = under_block(*convolved(outputs, outputs))

    def forward(self, features: Tensor, skip: Tensor) -> Tensor:
        return self.conv_layer(torch.cat([self.up_layer(features), self.conv_bridge_layer(skip)], dim=1))


def convolved(inputs: int, outputs: int) -> tuple[nn.Module, ...]:
    """A 3×3 convolution, ReLU and batch norm, in this order."""
    return nn.Conv2d(inputs, outputs, 3, padding=1), nn.ReLU(), nn.BatchNorm2d(outputs)


def under_block(*layers: nn.Module) -> nn.Sequential:
    """The layers in a row, under the name ``block``."""
    return nn.Sequential(OrderedDict(block=nn.Sequential(*layers)))
