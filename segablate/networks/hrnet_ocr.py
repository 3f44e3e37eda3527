"""HRNetV2 with object-contextual representations, under the names of its authors' code (branch HRNet-OCR).

Yuan, Chen and Wang, Object-Contextual Representations for Semantic Segmentation, ECCV 2020, arXiv:1909.11065;
https://github.com/HRNet/HRNet-Semantic-Segmentation.
"""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from segablate.networks import IMAGENET
from segablate.networks.hrnet import pointwise
from segablate.networks.parts.high_resolution import Depth, HighResolution, depth_called, read_trunk
from segablate.networks.parts.resnet import Shapes

CHANNELS = 512
KEY_CHANNELS = 256
"""Channels of the features, and of the keys and queries of the attention."""
PREPROCESSING = IMAGENET


def hrnet_ocr(num_classes: int, width: int = 48, depth: str = "full", align_corners: bool = True) -> nn.Module:
    """Build the network with random weights.

    ``width`` is the number of channels of the finest branch; ``depth`` is full, small_v1 or small_v2. Images N 3 H W
    to logits N C H W, those of the last head; the head before it, ``aux_head``, finds the regions of the classes, and
    in training mode its logits are returned too: ``{"out": logits, "aux": logits}``.
    ``align_corners`` applies to the resizing of features and logits; set it as in training.

    Raises CheckpointError for another depth.
    """
    return HRNetOCR(num_classes, width, depth_called(depth), align_corners)


def read_arguments(shapes: Shapes) -> Mapping[str, Any]:
    """Read the arguments from a state dict, all but ``align_corners``; raises KeyError for a name that it lacks."""
    return {"num_classes": shapes["cls_head.weight"][0], **read_trunk(shapes)}


class HRNetOCR(HighResolution):
    """The network that :func:`hrnet_ocr` builds."""

    def __init__(self, num_classes: int, width: int, depth: Depth, align_corners: bool) -> None:
        super().__init__(width, depth, align_corners)
        self.conv3x3_ocr = nn.Sequential(
            nn.Conv2d(self.channels, CHANNELS, 3, padding=1), nn.BatchNorm2d(CHANNELS), nn.ReLU(inplace=True)
        )
        self.ocr_distri_head = ObjectContext()
        self.cls_head = nn.Conv2d(CHANNELS, num_classes, 1)
        self.aux_head = pointwise(self.channels, num_classes)

    def forward(self, image: Tensor) -> Tensor | dict[str, Tensor]:
        stacked = self.stacked(image)
        regions = self.aux_head(stacked)
        features = self.conv3x3_ocr(stacked)
        scores = self.cls_head(self.ocr_distri_head(features, class_features(features, regions)))
        logits = self.resized(scores, image)
        return {"out": logits, "aux": self.resized(regions, image)} if self.training else logits


def class_features(features: Tensor, regions: Tensor) -> Tensor:
    """Average features N D h w by class, N D C 1, weighted by a softmax of the class scores N C h w over pixels."""
    weights = regions.flatten(2).softmax(dim=2)  # N C h·w
    return (weights @ features.flatten(2).transpose(1, 2)).transpose(1, 2)[..., None]


class ObjectContext(nn.Module):
    """Features joined with the features of the classes that they resemble."""

    def __init__(self) -> None:
        super().__init__()
        self.object_context_block = Attention()
        joined = nn.Conv2d(2 * CHANNELS, CHANNELS, 1, bias=False)
        self.conv_bn_dropout = nn.Sequential(joined, activation(CHANNELS))

    def forward(self, features: Tensor, classes: Tensor) -> Tensor:
        context = self.object_context_block(features, classes)
        return self.conv_bn_dropout(torch.cat([context, features], dim=1))


class Attention(nn.Module):
    """For each pixel, the features of the classes, weighted by their similarity to the pixel."""

    def __init__(self) -> None:
        super().__init__()
        self.f_pixel = nn.Sequential(*projected(CHANNELS, KEY_CHANNELS), *projected(KEY_CHANNELS, KEY_CHANNELS))
        self.f_object = nn.Sequential(*projected(CHANNELS, KEY_CHANNELS), *projected(KEY_CHANNELS, KEY_CHANNELS))
        self.f_down = nn.Sequential(*projected(CHANNELS, KEY_CHANNELS))
        self.f_up = nn.Sequential(*projected(KEY_CHANNELS, CHANNELS))

    def forward(self, features: Tensor, classes: Tensor) -> Tensor:
        query = self.f_pixel(features).flatten(2).transpose(1, 2)  # N h·w K
        key = self.f_object(classes).flatten(2)  # N K C
        value = self.f_down(classes).flatten(2).transpose(1, 2)  # N C K
        similarity = (KEY_CHANNELS**-0.5 * (query @ key)).softmax(dim=-1)  # N h·w C
        context = (similarity @ value).transpose(1, 2).unflatten(2, features.shape[-2:])  # N K h w
        return self.f_up(context)


def projected(inputs: int, outputs: int) -> tuple[nn.Module, nn.Module]:
    """Return a 1 by 1 convolution and its activation."""
    return nn.Conv2d(inputs, outputs, 1, bias=False), activation(outputs)


def activation(channels: int) -> nn.Sequential:
    """Return batch norm and ReLU as one module."""
    return nn.Sequential(nn.BatchNorm2d(channels), nn.ReLU())
