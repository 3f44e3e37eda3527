"""DeepLabv3 under the names of VainF's code, with a ResNet or MobileNetV2.

Chen et al., Rethinking Atrous Convolution for Semantic Image Segmentation, arXiv:1706.05587;
https://github.com/VainF/DeepLabV3Plus-Pytorch.
"""

from collections.abc import Mapping
from typing import Any

from torch import Tensor, nn

from segablate.networks import IMAGENET
from segablate.networks.parts.atrous import (
    DILATIONS,
    SpatialPyramidPooling,
    build_backbone,
    read_backbone,
    two_convolutions,
)
from segablate.networks.parts.resizing import resized
from segablate.networks.parts.resnet import Shapes

PREPROCESSING = IMAGENET


def deeplabv3(num_classes: int, backbone: str = "resnet50", output_stride: int = 16) -> nn.Module:
    """Build the network with random weights; the backbone is resnet50, resnet101 or mobilenet, output stride 8 or 16.

    Images N 3 H W to logits N C H W. Raises CheckpointError for another backbone or output stride.
    """
    return DeepLabV3(num_classes, backbone, output_stride)


def read_arguments(shapes: Shapes) -> Mapping[str, Any]:
    """Read the arguments from a state dict, all but the output stride; raises KeyError for a name that it lacks."""
    return {"num_classes": shapes["classifier.classifier.4.weight"][0], **read_backbone(shapes)}


class DeepLabV3(nn.Module):
    """The network that :func:`deeplabv3` builds."""

    def __init__(self, num_classes: int, backbone: str, output_stride: int) -> None:
        super().__init__()
        self.backbone = build_backbone(backbone, output_stride)
        self.classifier = Head(self.backbone.channels, num_classes, output_stride)

    def forward(self, image: Tensor) -> Tensor:
        _, last = self.backbone(image)
        return resized(self.classifier(last), image)


class Head(nn.Module):
    """Spatial pyramid pooling, a convolution and the classes."""

    def __init__(self, channels: int, num_classes: int, output_stride: int) -> None:
        super().__init__()
        pooling = SpatialPyramidPooling(channels, DILATIONS[output_stride])
        self.classifier = nn.Sequential(pooling, *two_convolutions(256, num_classes))

    def forward(self, features: Tensor) -> Tensor:
        return self.classifier(features)
