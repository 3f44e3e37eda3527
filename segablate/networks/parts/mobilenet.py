"""MobileNetV2 with dilation, as VainF's code has it.

Sandler et al., MobileNetV2: Inverted Residuals and Linear Bottlenecks, CVPR 2018, arXiv:1801.04381;
https://github.com/VainF/DeepLabV3Plus-Pytorch. Unlike torchvision's, its blocks pad before their first convolution, so
that the border of what is padded is expanded too, and its stem does not pad.
"""

from collections import OrderedDict

from torch import Tensor, nn
from torch.nn import functional as F

STAGES = ((1, 16, 1, 1), (6, 24, 2, 2), (6, 32, 3, 2), (6, 64, 4, 2), (6, 96, 3, 1), (6, 160, 3, 2), (6, 320, 1, 1))
"""Expansion, channels, blocks and stride."""

LOW_LEVEL = 4
"""Number of blocks, with the stem, at a quarter of the size or more."""


class MobileNetV2(nn.Module):
    """MobileNetV2 without last convolution and classifier; returns features at a quarter of the size and the last."""

    low_channels, channels = 24, 320

    def __init__(self, output_stride: int) -> None:
        super().__init__()
        blocks = [activated(3, 32, 3, stride=2), *inverted_residuals(output_stride)]
        numbered = [(str(number), block) for number, block in enumerate(blocks)]
        self.low_level_features = nn.Sequential(OrderedDict(numbered[:LOW_LEVEL]))
        self.high_level_features = nn.Sequential(OrderedDict(numbered[LOW_LEVEL:]))

    def forward(self, image: Tensor) -> tuple[Tensor, Tensor]:
        low = self.low_level_features(image)
        return low, self.high_level_features(low)


def inverted_residuals(output_stride: int) -> list[nn.Module]:
    """Build all blocks; once the output stride is reached, dilation replaces stride from the next block on."""
    blocks: list[nn.Module] = []
    inputs, reached, dilation = 32, 2, 1
    for expansion, outputs, count, stride in STAGES:
        before = dilation
        if reached == output_stride:
            dilation, stride = dilation * stride, 1
        reached *= stride
        blocks.append(InvertedResidual(inputs, outputs, expansion, stride, before))
        blocks += (InvertedResidual(outputs, outputs, expansion, 1, dilation) for _ in range(count - 1))
        inputs = outputs
    return blocks


class InvertedResidual(nn.Module):
    """Expand by 1 by 1, filter each channel by 3 by 3, project by 1 by 1; the input is added where it fits."""

    def __init__(self, inputs: int, outputs: int, expansion: int, stride: int, dilation: int) -> None:
        super().__init__()
        width = inputs * expansion
        self.conv = nn.Sequential(
            *([activated(inputs, width, 1)] if expansion > 1 else []),
            activated(width, width, 3, stride, dilation, groups=width),
            nn.Conv2d(width, outputs, 1, bias=False),
            nn.BatchNorm2d(outputs),
        )
        self.padding = dilation
        self.residual = stride == 1 and inputs == outputs

    def forward(self, x: Tensor) -> Tensor:
        y = self.conv(F.pad(x, [self.padding] * 4))
        return x + y if self.residual else y


def activated(
    inputs: int, outputs: int, kernel: int, stride: int = 1, dilation: int = 1, groups: int = 1
) -> nn.Sequential:
    """Return a convolution without padding, batch norm and ReLU6."""
    convolution = nn.Conv2d(inputs, outputs, kernel, stride, 0, dilation, groups, bias=False)
    return nn.Sequential(convolution, nn.BatchNorm2d(outputs), nn.ReLU6(inplace=True))
