"""Bilinear resizing of one map to the size of another."""

from torch import Tensor
from torch.nn import functional as F


def resized(x: Tensor, like: Tensor, align_corners: bool = False) -> Tensor:
    """Resize ``x`` N D h w to the height and width of ``like``; return it as it is where it has them."""
    if x.shape[-2:] == like.shape[-2:]:
        return x
    return F.interpolate(x, like.shape[-2:], mode="bilinear", align_corners=align_corners)
