"""Bilinear resizing of one map to the size of another."""

from torch import Tensor
from torch.nn import functional as F


def resized(x: Tensor, like: Tensor, align_corners: bool = False) -> Tensor:
    """``x`` N D h w at the height and width of ``like``; itself where it has them."""
    if x.shape[-2:] == like.shape[-2:]:
        return x
    return F.interpolate(x, like.shape[-2:], mode="bilinear", align_corners=align_corners)
