"""Modules of DeepLabv3 and DeepLabv3+ in VainF's code: backbones with dilation, and spatial pyramid pooling.

Chen et al., Rethinking Atrous Convolution for Semantic Image Segmentation, arXiv:1706.05587;
https://github.com/VainF/DeepLabV3Plus-Pytorch.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from segablate.errors import CheckpointError, did_you_mean
from segablate.networks.parts.mobilenet import MobileNetV2
from segablate.networks.parts.resnet import Shapes, blocks_of, bottlenecks, layers_in

DILATIONS = {16: (6, 12, 18), 8: (12, 24, 36)}
"""Dilations of the three branches by the output stride, the pixels along a side of one of the last features."""

BACKBONES = ("resnet50", "resnet101", "mobilenet")


class ResNet(nn.Module):
    """A ResNet without its classifier; returns the features at a quarter of the size and the last ones."""

    low_channels, channels = 256, 2048

    def __init__(self, blocks: Sequence[int], output_stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, 64, 7, 2, 3, bias=False)
        self.bn1 = nn.BatchNorm2d(64)
        self.relu = nn.ReLU(inplace=True)
        self.maxpool = nn.MaxPool2d(3, 2, 1)
        self.layer1 = bottlenecks(64, 64, blocks[0])
        self.layer2 = bottlenecks(256, 128, blocks[1], stride=2)
        # The first block of a stage keeps the dilation of the stage before.
        dense = output_stride == 8
        self.layer3 = bottlenecks(512, 256, blocks[2], 1 if dense else 2, (1, 2) if dense else (1, 1))
        self.layer4 = bottlenecks(1024, 512, blocks[3], 1, (2, 4) if dense else (1, 2))

    def forward(self, image: Tensor) -> tuple[Tensor, Tensor]:
        quarter = self.layer1(self.maxpool(self.relu(self.bn1(self.conv1(image)))))
        return quarter, self.layer4(self.layer3(self.layer2(quarter)))


def build_backbone(name: str, output_stride: int) -> ResNet | MobileNetV2:
    """Build the backbone called ``name``; raises CheckpointError for another name or output stride."""
    check_stride(output_stride)
    if name not in BACKBONES:
        raise CheckpointError(f"no backbone is called {name!r}{did_you_mean(name, BACKBONES)}")
    if name == "mobilenet":
        return MobileNetV2(output_stride)
    return ResNet(blocks_of(int(name.removeprefix("resnet"))), output_stride)


def check_stride(output_stride: int) -> int:
    """Return the output stride; raises CheckpointError where it is neither 8 nor 16."""
    if output_stride not in DILATIONS:
        raise CheckpointError(f"output_stride is {output_stride}, but must be 8 or 16")
    return output_stride


def read_backbone(shapes: Shapes) -> Mapping[str, Any]:
    """Read the backbone from a state dict; raises KeyError where it is none of :data:`BACKBONES`."""
    if any(key.startswith("backbone.high_level_features.") for key in shapes):
        return {"backbone": "mobilenet"}
    return {"backbone": f"resnet{layers_in(shapes, 'backbone.layer3')}"}


class SpatialPyramidPooling(nn.Module):
    """Convolutions of several dilations side by side with the mean over the image, joined to 256 channels."""

    def __init__(self, inputs: int, dilations: Sequence[int]) -> None:
        super().__init__()
        dilated = (normalised(nn.Conv2d(inputs, 256, 3, padding=d, dilation=d, bias=False)) for d in dilations)
        mean = nn.Sequential(nn.AdaptiveAvgPool2d(1), *normalised(nn.Conv2d(inputs, 256, 1, bias=False)))
        self.convs = nn.ModuleList([normalised(nn.Conv2d(inputs, 256, 1, bias=False)), *dilated, mean])
        self.project = normalised(nn.Conv2d(256 * len(self.convs), 256, 1, bias=False))

    def forward(self, x: Tensor) -> Tensor:
        branches = [branch(x) for branch in self.convs]
        branches[-1] = branches[-1].expand_as(branches[0])
        return self.project(torch.cat(branches, dim=1))


def normalised(convolution: nn.Conv2d) -> nn.Sequential:
    """Return the convolution followed by batch norm and ReLU."""
    return nn.Sequential(convolution, nn.BatchNorm2d(convolution.out_channels), nn.ReLU(inplace=True))


def two_convolutions(inputs: int, num_classes: int) -> tuple[nn.Module, ...]:
    """Return a 3 by 3 convolution to 256 channels, and the classifier."""
    return (*normalised(nn.Conv2d(inputs, 256, 3, padding=1, bias=False)), nn.Conv2d(256, num_classes, 1))
