"""ESPNet with p = 2 and q = 8, so that the weights which its authors published for CamVid can be evaluated.

Mehta et al., ESPNet: Efficient Spatial Pyramid of Dilated Convolutions for Semantic Segmentation, ECCV 2018,
arXiv:1803.06815. Modules bear the names that those weights expect; they lie at
https://github.com/sacmehta/ESPNet (MIT), as ``espnet_p_2_q_8_camvid.pth``.
"""

from collections import OrderedDict

import torch
from torch import Tensor, nn

BATCH_NORM_EPS = 1e-3


def espnet(num_classes: int = 12) -> nn.Module:
    """ESPNet with two blocks at a quarter and eight at an eighth of the input's size, random weights.

    Images N 3 H W (H and W multiples of 8) to logits N ``num_classes`` H W. The published weights have 12 outputs,
    the last of which is void.
    """
    return ESPNet(num_classes, level2_blocks=2, level3_blocks=8)


class ESPNet(nn.Module):
    """Encoder at an eighth of the size, then a light decoder that takes in the finer levels one by one."""

    def __init__(self, num_classes: int, level2_blocks: int, level3_blocks: int) -> None:
        super().__init__()
        self.encoder = Encoder(num_classes, level2_blocks, level3_blocks)
        self.br = nn.BatchNorm2d(num_classes, eps=BATCH_NORM_EPS)
        self.up_l3 = nn.Sequential(doubling(num_classes))
        self.level3_C = plain(131, num_classes, kernel=1)
        self.combine_l2_l3 = nn.Sequential(
            normalised(2 * num_classes), pyramid(2 * num_classes, num_classes, residual=False)
        )
        self.up_l2 = nn.Sequential(doubling(num_classes), normalised(num_classes))
        self.conv = convolved(19 + num_classes, num_classes)
        self.classifier = doubling(num_classes)

    def forward(self, image: Tensor) -> Tensor:
        half, quarter, eighth = self.encoder(image)
        coarse = self.up_l3(self.br(eighth))
        middle = self.combine_l2_l3(torch.cat([self.level3_C(quarter), coarse], dim=1))
        fine = self.conv(torch.cat([self.up_l2(middle), half], dim=1))
        return self.classifier(fine)


class Encoder(nn.Module):
    """Features at 1/2 (19 channels) and 1/4 (131 channels) of the size, and class scores at 1/8."""

    def __init__(self, num_classes: int, level2_blocks: int, level3_blocks: int) -> None:
        super().__init__()
        self.shrink = nn.AvgPool2d(3, stride=2, padding=1)
        self.level1 = convolved(3, 16, stride=2)
        self.b1 = normalised(16 + 3)
        self.level2_0 = down_pyramid(16 + 3, 64)
        self.level2 = nn.Sequential(*(pyramid(64, 64) for _ in range(level2_blocks)))
        self.b2 = normalised(64 + 64 + 3)
        self.level3_0 = down_pyramid(64 + 64 + 3, 128)
        self.level3 = nn.Sequential(*(pyramid(128, 128) for _ in range(level3_blocks)))
        self.b3 = normalised(128 + 128)
        self.classifier = plain(128 + 128, num_classes, kernel=1)

    def forward(self, image: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        half_image = self.shrink(image)
        quarter_image = self.shrink(half_image)
        half = self.b1(torch.cat([self.level1(image), half_image], dim=1))
        first = self.level2_0(half)
        quarter = self.b2(torch.cat([self.level2(first), first, quarter_image], dim=1))
        first = self.level3_0(quarter)
        eighth = self.b3(torch.cat([first, self.level3(first)], dim=1))
        return half, quarter, self.classifier(eighth)


class Pyramid(nn.Module):
    """Reduce, convolve under dilations 1, 2, 4, 8 and 16, and stack the running sums of the dilated ones.

    Adding each dilation's result to the next one's before stacking removes the grid that a lone large dilation leaves.
    """

    def __init__(self, reduce: nn.Sequential, outputs: int, bn: nn.Module, act: nn.Module, residual: bool) -> None:
        super().__init__()
        width = outputs // 5
        self.c1 = reduce
        self.d1 = plain(width, outputs - 4 * width)
        self.d2, self.d4, self.d8, self.d16 = (plain(width, width, dilation=dilation) for dilation in (2, 4, 8, 16))
        self.bn = bn
        self.act = act
        self.residual = residual

    def forward(self, features: Tensor) -> Tensor:
        reduced = self.c1(features)
        stacked = [self.d1(reduced), self.d2(reduced)]
        for dilated in (self.d4, self.d8, self.d16):
            stacked.append(stacked[-1] + dilated(reduced))
        pyramid = torch.cat(stacked, dim=1)
        return self.act(self.bn(pyramid + features if self.residual else pyramid))


def pyramid(inputs: int, outputs: int, residual: bool = True) -> Pyramid:
    """The efficient spatial pyramid at constant size. Its weights have batch norm and PReLU together under ``bn``."""
    reduce = plain(inputs, outputs // 5, kernel=1)
    return Pyramid(reduce, outputs, normalised(outputs), nn.Identity(), residual)


def down_pyramid(inputs: int, outputs: int) -> Pyramid:
    """The efficient spatial pyramid that halves the size."""
    reduce = plain(inputs, outputs // 5, kernel=3, stride=2)
    return Pyramid(reduce, outputs, nn.BatchNorm2d(outputs, eps=BATCH_NORM_EPS), nn.PReLU(outputs), residual=False)


def plain(inputs: int, outputs: int, kernel: int = 3, stride: int = 1, dilation: int = 1) -> nn.Sequential:
    """A convolution alone, padded to keep the size (before the stride), under the name ``conv``."""
    padding = dilation * (kernel // 2)
    conv = nn.Conv2d(inputs, outputs, kernel, stride=stride, padding=padding, dilation=dilation, bias=False)
    return nn.Sequential(OrderedDict(conv=conv))


def normalised(channels: int) -> nn.Sequential:
    """Batch norm and PReLU, as ``bn`` and ``act``."""
    return nn.Sequential(OrderedDict(bn=nn.BatchNorm2d(channels, eps=BATCH_NORM_EPS), act=nn.PReLU(channels)))


def convolved(inputs: int, outputs: int, stride: int = 1) -> nn.Sequential:
    """A 3×3 convolution, batch norm and PReLU, as ``conv``, ``bn`` and ``act``."""
    return nn.Sequential(
        OrderedDict([*plain(inputs, outputs, stride=stride).named_children(), *normalised(outputs).named_children()])
    )


def doubling(channels: int) -> nn.ConvTranspose2d:
    """A 2×2 transposed convolution of stride 2: twice the height and width."""
    return nn.ConvTranspose2d(channels, channels, 2, stride=2, bias=False)
