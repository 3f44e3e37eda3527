"""The layers of a ResNet with bottlenecks, under the names that torchvision and most authors use.

He et al., Deep Residual Learning for Image Recognition, CVPR 2016, with the stride on the 3 by 3 convolution, and
dilation in place of it where the resolution is to stay (Yu et al., Dilated Residual Networks, CVPR 2017).
"""

from collections.abc import Mapping

from torch import Tensor, nn

from segablate.errors import CheckpointError

BLOCKS = {50: (3, 4, 6, 3), 101: (3, 4, 23, 3), 152: (3, 8, 36, 3)}
"""Bottlenecks in ``layer1`` to ``layer4`` of a ResNet, by its number of layers."""

EXPANSION = 4
"""Output channels of a bottleneck over those inside it."""

Shapes = Mapping[str, tuple[int, ...]]
"""The names and shapes of the tensors of a state dict."""


def blocks_of(layers: int) -> tuple[int, ...]:
    """Return the entry of :data:`BLOCKS`; raises CheckpointError where there is none."""
    if layers not in BLOCKS:
        raise CheckpointError(f"a ResNet of {layers} layers is not among those known: {', '.join(map(str, BLOCKS))}")
    return BLOCKS[layers]


def layers_in(shapes: Shapes, layer3: str) -> int:
    """Return the number of layers of the ResNet whose third stage is named ``layer3`` in a state dict.

    Raises KeyError where there is no such stage, CheckpointError where it is that of no known ResNet.
    """
    blocks = count_items(shapes, layer3)
    known = {counts[2]: layers for layers, counts in BLOCKS.items()}
    if blocks not in known:
        raise CheckpointError(f"{layer3} has {blocks} blocks; that of a known ResNet has {', '.join(map(str, known))}")
    return known[blocks]


def count_items(shapes: Shapes, name: str) -> int:
    """Count the modules in the sequence called ``name``; raises KeyError where there is no such sequence."""
    items = {key.removeprefix(f"{name}.").partition(".")[0] for key in shapes if key.startswith(f"{name}.")}
    if not items:
        raise KeyError(f"{name}.0")
    return len(items)


class Bottleneck(nn.Module):
    """1 by 1 to fewer channels, 3 by 3 there, 1 by 1 back to :data:`EXPANSION` times as many, and the input added."""

    def __init__(self, inputs: int, width: int, stride: int = 1, dilation: int = 1) -> None:
        super().__init__()
        outputs = EXPANSION * width
        self.conv1 = nn.Conv2d(inputs, width, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.conv2 = nn.Conv2d(width, width, 3, stride, dilation, dilation, bias=False)
        self.bn2 = nn.BatchNorm2d(width)
        self.conv3 = nn.Conv2d(width, outputs, 1, bias=False)
        self.bn3 = nn.BatchNorm2d(outputs)
        self.relu = nn.ReLU(inplace=True)
        self.downsample = shortcut(inputs, outputs, stride) if stride > 1 or inputs != outputs else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        y = self.relu(self.bn1(self.conv1(x)))
        y = self.relu(self.bn2(self.conv2(y)))
        return self.relu(self.bn3(self.conv3(y)) + self.downsample(x))


def shortcut(inputs: int, outputs: int, stride: int) -> nn.Sequential:
    """Return the projection of a block's input, which is added to its result where their shapes differ."""
    return nn.Sequential(nn.Conv2d(inputs, outputs, 1, stride, bias=False), nn.BatchNorm2d(outputs))


def bottlenecks(
    inputs: int, width: int, blocks: int, stride: int = 1, dilations: tuple[int, int] = (1, 1)
) -> nn.Sequential:
    """Build a stage: its first block has the stride; ``dilations`` are those of the first block and of all others."""
    first, others = dilations
    rest = (Bottleneck(EXPANSION * width, width, dilation=others) for _ in range(blocks - 1))
    return nn.Sequential(Bottleneck(inputs, width, stride, first), *rest)
