"""HRNetV2 for segmentation, under the names of its authors' code (branch pytorch-v1.1).

Sun et al., High-Resolution Representations for Labeling Pixels and Regions, arXiv:1904.04514;
https://github.com/HRNet/HRNet-Semantic-Segmentation.
"""

from collections.abc import Mapping
from typing import Any

from torch import Tensor, nn

from segablate.networks import IMAGENET
from segablate.networks.parts.high_resolution import Depth, HighResolution, depth_called, read_trunk
from segablate.networks.parts.resnet import Shapes

PREPROCESSING = IMAGENET


def hrnet(num_classes: int, width: int = 48, depth: str = "full", align_corners: bool = False) -> nn.Module:
    """Build the network with random weights.

    ``width`` is the number of channels of the finest branch (48, 32, 18, or 16 with ``small_v1``); ``depth`` is full,
    small_v1 or small_v2. Images N 3 H W to logits N C H W. ``align_corners`` applies to the resizing of features and
    logits: false in the code of branch pytorch-v1.1, true in that of branch HRNet-OCR.

    Raises CheckpointError for another depth.
    """
    return HRNet(num_classes, width, depth_called(depth), align_corners)


def read_arguments(shapes: Shapes) -> Mapping[str, Any]:
    """Read the arguments from a state dict, all but ``align_corners``; raises KeyError for a name that it lacks."""
    return {"num_classes": shapes["last_layer.3.weight"][0], **read_trunk(shapes)}


class HRNet(HighResolution):
    """The network that :func:`hrnet` builds."""

    def __init__(self, num_classes: int, width: int, depth: Depth, align_corners: bool) -> None:
        super().__init__(width, depth, align_corners)
        self.last_layer = pointwise(self.channels, num_classes)

    def forward(self, image: Tensor) -> Tensor:
        return self.resized(self.last_layer(self.stacked(image)), image)


def pointwise(channels: int, num_classes: int) -> nn.Sequential:
    """Return a classifier of two 1 by 1 convolutions."""
    first = nn.Conv2d(channels, channels, 1)
    return nn.Sequential(first, nn.BatchNorm2d(channels), nn.ReLU(inplace=True), nn.Conv2d(channels, num_classes, 1))
