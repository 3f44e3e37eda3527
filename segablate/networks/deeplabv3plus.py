"""DeepLabv3+ under the names of VainF's code, with a ResNet or MobileNetV2.

Chen et al., Encoder-Decoder with Atrous Separable Convolution for Semantic Image Segmentation, ECCV 2018,
arXiv:1802.02611; https://github.com/VainF/DeepLabV3Plus-Pytorch.
"""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from segablate.networks import IMAGENET
from segablate.networks.parts.atrous import (
    DILATIONS,
    SpatialPyramidPooling,
    build_backbone,
    normalised,
    read_backbone,
    two_convolutions,
)
from segablate.networks.parts.resizing import resized
from segablate.networks.parts.resnet import Shapes

LOW_CHANNELS = 48
"""Channels to which the features at a quarter of the size are projected."""
PREPROCESSING = IMAGENET


def deeplabv3plus(num_classes: int, backbone: str = "resnet50", output_stride: int = 16) -> nn.Module:
    """Build the network with random weights; the backbone is resnet50, resnet101 or mobilenet, output stride 8 or 16.

    Images N 3 H W to logits N C H W. Raises CheckpointError for another backbone or output stride.
    """
    return DeepLabV3Plus(num_classes, backbone, output_stride)


def read_arguments(shapes: Shapes) -> Mapping[str, Any]:
    """Read the arguments from a state dict, all but the output stride; raises KeyError for a name that it lacks."""
    return {"num_classes": shapes["classifier.classifier.3.weight"][0], **read_backbone(shapes)}


class DeepLabV3Plus(nn.Module):
    """The network that :func:`deeplabv3plus` builds."""

    def __init__(self, num_classes: int, backbone: str, output_stride: int) -> None:
        super().__init__()
        self.backbone = build_backbone(backbone, output_stride)
        self.classifier = Decoder(self.backbone.low_channels, self.backbone.channels, num_classes, output_stride)

    def forward(self, image: Tensor) -> Tensor:
        return resized(self.classifier(*self.backbone(image)), image)


class Decoder(nn.Module):
    """Spatial pyramid pooling of the last features, joined with those at a quarter of the size."""

    def __init__(self, low_channels: int, channels: int, num_classes: int, output_stride: int) -> None:
        super().__init__()
        self.project = normalised(nn.Conv2d(low_channels, LOW_CHANNELS, 1, bias=False))
        self.aspp = SpatialPyramidPooling(channels, DILATIONS[output_stride])
        self.classifier = nn.Sequential(*two_convolutions(LOW_CHANNELS + 256, num_classes))

    def forward(self, low: Tensor, last: Tensor) -> Tensor:
        low = self.project(low)
        return self.classifier(torch.cat([low, resized(self.aspp(last), low)], dim=1))
