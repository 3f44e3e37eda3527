"""PSPNet under the names of its author's PyTorch code: pyramid pooling over a dilated ResNet.

Zhao et al., Pyramid Scene Parsing Network, CVPR 2017, arXiv:1612.01105; https://github.com/hszhao/semseg.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from segablate.networks import IMAGENET
from segablate.networks.parts.resnet import Shapes, blocks_of, bottlenecks, layers_in

STRIDE = 8
PREPROCESSING = IMAGENET


def pspnet(num_classes: int, layers: int = 50, bins: Sequence[int] = (1, 2, 3, 6), aux: bool = True) -> nn.Module:
    """Build the network with random weights; ``layers`` is 50, 101 or 152, ``bins`` the cells a side of each pooling.

    Images N 3 H W of any size to logits N C H W. ``aux``: with an auxiliary head on ``layer3``, whose logits are
    returned in training mode alone: ``{"out": logits, "aux": logits}``.

    Raises CheckpointError for another number of layers.
    """
    return PSPNet(num_classes, blocks_of(layers), tuple(bins), aux)


def read_arguments(shapes: Shapes) -> Mapping[str, Any]:
    """Read the arguments from a state dict, all but the bins; raises KeyError for a name that it lacks."""
    return {
        "num_classes": shapes["cls.4.weight"][0],
        "layers": layers_in(shapes, "layer3"),
        "aux": "aux.4.weight" in shapes,
    }


class PSPNet(nn.Module):
    """The network that :func:`pspnet` builds."""

    def __init__(self, num_classes: int, blocks: Sequence[int], bins: tuple[int, ...], aux: bool) -> None:
        super().__init__()
        self.layer0 = deep_stem()
        self.layer1 = bottlenecks(128, 64, blocks[0])
        self.layer2 = bottlenecks(256, 128, blocks[1], stride=2)
        self.layer3 = bottlenecks(512, 256, blocks[2], dilations=(2, 2))
        self.layer4 = bottlenecks(1024, 512, blocks[3], dilations=(4, 4))
        self.ppm = PyramidPooling(2048, bins)
        self.cls = head(2 * 2048, 512, num_classes)
        self.aux = head(1024, 256, num_classes) if aux else None

    def forward(self, image: Tensor) -> Tensor | dict[str, Tensor]:
        """Return logits N C H W. Cell k is pixel 8k of a side, so that sides are padded to 8k + 1 with 0, the mean."""
        height, width = image.shape[-2:]
        padded = F.pad(image, (0, (1 - width) % STRIDE, 0, (1 - height) % STRIDE))
        third = self.layer3(self.layer2(self.layer1(self.layer0(padded))))
        scores = [self.cls(self.ppm(self.layer4(third)))]
        if self.training and self.aux is not None:
            scores.append(self.aux(third))
        whole = [F.interpolate(each, padded.shape[-2:], mode="bilinear", align_corners=True) for each in scores]
        logits, *auxiliary = (each[..., :height, :width] for each in whole)
        return {"out": logits, "aux": auxiliary[0]} if auxiliary else logits


class PyramidPooling(nn.Module):
    """The features, and their means over ever finer grids of cells."""

    def __init__(self, channels: int, bins: tuple[int, ...]) -> None:
        super().__init__()
        self.features = nn.ModuleList(pooled(cells, channels, channels // len(bins)) for cells in bins)

    def forward(self, x: Tensor) -> Tensor:
        size = x.shape[-2:]
        levels = [F.interpolate(level(x), size, mode="bilinear", align_corners=True) for level in self.features]
        return torch.cat([x, *levels], dim=1)


def pooled(cells: int, inputs: int, outputs: int) -> nn.Sequential:
    """Return the mean over a grid of ``cells`` by ``cells``, projected."""
    projection = nn.Conv2d(inputs, outputs, 1, bias=False)
    return nn.Sequential(nn.AdaptiveAvgPool2d(cells), projection, nn.BatchNorm2d(outputs), nn.ReLU(inplace=True))


def head(inputs: int, width: int, num_classes: int) -> nn.Sequential:
    """Return a classifier of two convolutions; a dropout between them counts in the names."""
    first = nn.Conv2d(inputs, width, 3, padding=1, bias=False)
    norm, dropout = nn.BatchNorm2d(width), nn.Dropout2d(0.1)
    return nn.Sequential(first, norm, nn.ReLU(inplace=True), dropout, nn.Conv2d(width, num_classes, 1))


def deep_stem() -> nn.Sequential:
    """Return three 3 by 3 convolutions in place of one of 7 by 7, and max pooling: a quarter of the size."""
    layers: list[nn.Module] = []
    for inputs, outputs, stride in ((3, 64, 2), (64, 64, 1), (64, 128, 1)):
        convolution = nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False)
        layers += [convolution, nn.BatchNorm2d(outputs), nn.ReLU(inplace=True)]
    return nn.Sequential(*layers, nn.MaxPool2d(3, 2, 1))
