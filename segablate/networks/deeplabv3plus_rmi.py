"""DeepLabv3+ as the authors of RMI have it, under the names of their code: a ResNet with a deep stem, no dilation.

Zhao et al., Region Mutual Information Loss for Semantic Segmentation, NeurIPS 2019, arXiv:1910.12037;
https://github.com/ZJULearning/RMI. The decoder has one convolution more than that of :mod:`deeplabv3plus`, and resizes
with aligned corners.
"""

from collections import OrderedDict
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from segablate.networks.parts.atrous import DILATIONS, check_stride
from segablate.networks.parts.resizing import resized
from segablate.networks.parts.resnet import Shapes, blocks_of, bottlenecks, layers_in
from segablate.networks.pspnet import deep_stem

PREPROCESSING = {"scale": 1, "mean": [116, 113, 104], "std": [69.58, 68.68, 72.67]}
"""Those of PASCAL VOC; the authors normalise each dataset by its own."""


def deeplabv3plus_rmi(num_classes: int, layers: int = 101, output_stride: int = 16) -> nn.Module:
    """Build the network with random weights; ``layers`` is 50, 101 or 152, ``output_stride`` 8 or 16.

    Images N 3 H W to logits N C H W. Raises CheckpointError for another number of layers or output stride.
    """
    return DeepLabV3Plus(num_classes, blocks_of(layers), check_stride(output_stride))


def read_arguments(shapes: Shapes) -> Mapping[str, Any]:
    """Read the arguments from a state dict, all but the output stride; raises KeyError for a name that it lacks."""
    return {
        "num_classes": shapes["decoder.last_conv.7.weight"][0],
        "layers": layers_in(shapes, "backbone.layer3"),
    }


class DeepLabV3Plus(nn.Module):
    """The network that :func:`deeplabv3plus_rmi` builds."""

    def __init__(self, num_classes: int, blocks: Sequence[int], output_stride: int) -> None:
        super().__init__()
        self.backbone = Backbone(blocks, output_stride)
        self.aspp = SpatialPyramidPooling(2048, DILATIONS[output_stride])
        self.decoder = Decoder(num_classes)

    def forward(self, image: Tensor) -> Tensor:
        quarter, last = self.backbone(image)
        return resized(self.decoder(self.aspp(last), quarter), image, align_corners=True)


class Backbone(nn.Module):
    """A ResNet without its classifier; returns the features at a quarter of the size and the last ones."""

    def __init__(self, blocks: Sequence[int], output_stride: int) -> None:
        super().__init__()
        *stem, norm, relu, pool = deep_stem()
        self.conv1, self.bn1, self.relu, self.maxpool = nn.Sequential(*stem), norm, relu, pool
        self.layer1 = bottlenecks(128, 64, blocks[0])
        self.layer2 = bottlenecks(256, 128, blocks[1], stride=2)
        self.layer3 = bottlenecks(512, 256, blocks[2], stride=output_stride // 8)
        self.layer4 = bottlenecks(1024, 512, blocks[3])

    def forward(self, image: Tensor) -> tuple[Tensor, Tensor]:
        quarter = self.layer1(self.maxpool(self.relu(self.bn1(self.conv1(image)))))
        return quarter, self.layer4(self.layer3(self.layer2(quarter)))


class SpatialPyramidPooling(nn.Module):
    """Convolutions of several dilations side by side with the mean over the image, joined to 256 channels."""

    def __init__(self, inputs: int, dilations: Sequence[int]) -> None:
        super().__init__()
        self.aspp1 = branch(nn.Conv2d(inputs, 256, 1, bias=False))
        for number, d in enumerate(dilations, start=2):
            self.add_module(f"aspp{number}", branch(nn.Conv2d(inputs, 256, 3, padding=d, dilation=d, bias=False)))
        mean, projection = nn.AdaptiveAvgPool2d(1), nn.Conv2d(inputs, 256, 1, bias=False)
        self.global_avg_pool = nn.Sequential(mean, projection, nn.BatchNorm2d(256), nn.ReLU(inplace=True))
        self.conv1, self.bn1 = nn.Conv2d(5 * 256, 256, 1, bias=False), nn.BatchNorm2d(256)

    def forward(self, x: Tensor) -> Tensor:
        branches = [self.get_submodule(f"aspp{number}")(x) for number in (1, 2, 3, 4)]
        mean = self.global_avg_pool(x).expand_as(branches[0])
        return self.bn1(self.conv1(torch.cat([*branches, mean], dim=1))).relu()


class Decoder(nn.Module):
    """The pooled features, joined with those at a quarter of the size."""

    def __init__(self, num_classes: int) -> None:
        super().__init__()
        self.conv1, self.bn1 = nn.Conv2d(256, 48, 1, bias=False), nn.BatchNorm2d(48)
        layers: list[nn.Module] = []
        for inputs in (256 + 48, 256):
            convolution = nn.Conv2d(inputs, 256, 3, padding=1, bias=False)
            layers += [convolution, nn.BatchNorm2d(256), nn.ReLU(inplace=True)]
        self.last_conv = nn.Sequential(*layers, nn.Dropout(0.1), nn.Conv2d(256, num_classes, 1))

    def forward(self, pooled: Tensor, quarter: Tensor) -> Tensor:
        low = self.bn1(self.conv1(quarter)).relu()
        return self.last_conv(torch.cat([resized(pooled, low, align_corners=True), low], dim=1))


def branch(convolution: nn.Conv2d) -> nn.Sequential:
    """Return the convolution followed by batch norm and ReLU."""
    norm = nn.BatchNorm2d(convolution.out_channels)
    return nn.Sequential(OrderedDict(atrous_conv=convolution, bn=norm, relu=nn.ReLU(inplace=True)))
