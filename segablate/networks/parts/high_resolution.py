"""The trunk of HRNetV2, under its authors' names: branches of several resolutions side by side, exchanging features.

Wang et al., Deep High-Resolution Representation Learning for Visual Recognition, TPAMI 2020, arXiv:1908.07919;
https://github.com/HRNet/HRNet-Semantic-Segmentation.
"""

from collections.abc import Mapping, Sequence
from functools import reduce
from itertools import pairwise
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from segablate.errors import CheckpointError, did_you_mean
from segablate.networks.parts.resizing import resized
from segablate.networks.parts.resnet import Shapes, bottlenecks, count_items, shortcut


class Depth(NamedTuple):
    """Width and number of the bottlenecks of stage 1, modules in stages 2 to 4, and blocks of each branch in them."""

    width: int
    bottlenecks: int
    modules: tuple[int, int, int]
    blocks: int


DEPTHS = {
    "full": Depth(64, 4, (1, 4, 3), 4),
    "small_v2": Depth(64, 2, (1, 3, 2), 2),
    "small_v1": Depth(32, 1, (1, 1, 1), 2),
}


def depth_called(name: str) -> Depth:
    """Return the entry of :data:`DEPTHS`; raises CheckpointError where there is none."""
    if name not in DEPTHS:
        raise CheckpointError(f"no depth of HRNet is called {name!r}{did_you_mean(name, tuple(DEPTHS))}")
    return DEPTHS[name]


def read_trunk(shapes: Shapes) -> Mapping[str, Any]:
    """Read the trunk's arguments from a state dict.

    Raises KeyError for a name that it lacks, CheckpointError for an unknown depth.
    """
    modules = tuple(count_items(shapes, f"stage{stage}") for stage in (2, 3, 4))
    blocks = count_items(shapes, "stage2.0.branches.0")
    depth = Depth(shapes["layer1.0.conv1.weight"][0], count_items(shapes, "layer1"), modules, blocks)  # type: ignore[arg-type]
    names = [name for name, known in DEPTHS.items() if known == depth]
    if not names:
        raise CheckpointError(f"its stages are {tuple(depth)}, those of none of the depths {', '.join(DEPTHS)}")
    return {"width": shapes["stage2.0.branches.0.0.conv1.weight"][0], "depth": names[0]}


class HighResolution(nn.Module):
    """Images N 3 H W to features at a quarter of the size: all branches, resized to the finest and stacked.

    The channels of the branches are ``width`` times 1, 2, 4 and 8. ``align_corners`` applies to resizing.
    """

    def __init__(self, width: int, depth: Depth, align_corners: bool) -> None:
        super().__init__()
        self.align_corners = align_corners
        self.conv1, self.bn1 = nn.Conv2d(3, 64, 3, 2, 1, bias=False), nn.BatchNorm2d(64)
        self.conv2, self.bn2 = nn.Conv2d(64, 64, 3, 2, 1, bias=False), nn.BatchNorm2d(64)
        self.relu = nn.ReLU(inplace=True)
        self.layer1 = bottlenecks(64, depth.width, depth.bottlenecks)
        widths = [width << branch for branch in range(4)]
        self.channels = sum(widths)
        before = [4 * depth.width]
        for stage, modules in enumerate(depth.modules, start=2):
            after = widths[:stage]
            exchanges = (Exchange(after, depth.blocks, align_corners) for _ in range(modules))
            self.add_module(f"transition{stage - 1}", transition(before, after))
            self.add_module(f"stage{stage}", nn.Sequential(*exchanges))
            before = after

    def stacked(self, image: Tensor) -> Tensor:
        """Return features N D h w, D being :attr:`channels`."""
        stem = self.relu(self.bn2(self.conv2(self.relu(self.bn1(self.conv1(image))))))
        branches = [self.layer1(stem)]
        for stage in (2, 3, 4):
            enter = self.get_submodule(f"transition{stage - 1}")
            entered = [step(branches[min(place, len(branches) - 1)]) for place, step in enumerate(enter.children())]
            branches = self.get_submodule(f"stage{stage}")(entered)
        return torch.cat([self.resized(branch, branches[0]) for branch in branches], dim=1)

    def resized(self, x: Tensor, like: Tensor) -> Tensor:
        """Resize ``x`` to the height and width of ``like``, bilinear."""
        return resized(x, like, self.align_corners)


class Exchange(nn.Module):
    """Residual blocks on every branch, after which each branch becomes the sum of all, resized to it."""

    def __init__(self, widths: Sequence[int], blocks: int, align_corners: bool) -> None:
        super().__init__()
        self.align_corners = align_corners
        self.branches = nn.ModuleList(nn.Sequential(*(Basic(w) for _ in range(blocks))) for w in widths)
        self.fuse_layers = nn.ModuleList(
            nn.ModuleList(fusion(widths, source, target) for source in range(len(widths)))
            for target in range(len(widths))
        )
        self.relu = nn.ReLU(inplace=True)

    def forward(self, inputs: list[Tensor]) -> list[Tensor]:
        branches = [branch(x) for branch, x in zip(self.branches, inputs, strict=True)]
        return [
            self.relu(self._sum(fuse, branches, like)) for fuse, like in zip(self.fuse_layers, branches, strict=True)
        ]

    def _sum(self, fuse: nn.Module, branches: list[Tensor], like: Tensor) -> Tensor:
        steps = zip(fuse.children(), branches, strict=True)
        return reduce(torch.add, (resized(step(x), like, self.align_corners) for step, x in steps))


class Basic(nn.Module):
    """Two 3 by 3 convolutions, and the input added."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.conv1, self.bn1 = nn.Conv2d(width, width, 3, 1, 1, bias=False), nn.BatchNorm2d(width)
        self.conv2, self.bn2 = nn.Conv2d(width, width, 3, 1, 1, bias=False), nn.BatchNorm2d(width)
        self.relu = nn.ReLU(inplace=True)

    def forward(self, x: Tensor) -> Tensor:
        y = self.relu(self.bn1(self.conv1(x)))
        return self.relu(self.bn2(self.conv2(y)) + x)


def transition(before: Sequence[int], after: Sequence[int]) -> nn.ModuleList:
    """Return the modules from the branches of one stage to those of the next; a new branch halves the coarsest."""
    kept = zip(before, after, strict=False)
    same = [nn.Identity() if old == new else normalised(old, new, stride=1) for old, new in kept]
    return nn.ModuleList([*same, *(nn.Sequential(normalised(before[-1], new, 2)) for new in after[len(before) :])])


def fusion(widths: Sequence[int], source: int, target: int) -> nn.Module:
    """Return the module from one branch to another: a projection to a finer one, halvings to a coarser one."""
    if source == target:
        return nn.Identity()
    if source > target:
        return shortcut(widths[source], widths[target], stride=1)
    steps = [widths[source]] * (target - source) + [widths[target]]
    halvings = [normalised(inputs, outputs, stride=2) for inputs, outputs in pairwise(steps)]
    return nn.Sequential(*halvings[:-1], halvings[-1][:2])  # the last is not rectified before the sum


def normalised(inputs: int, outputs: int, stride: int) -> nn.Sequential:
    """Return a 3 by 3 convolution, batch norm and ReLU."""
    convolution = nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False)
    return nn.Sequential(convolution, nn.BatchNorm2d(outputs), nn.ReLU(inplace=True))
