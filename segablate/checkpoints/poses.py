"""Poses of an image, mirrored and turned, and the way back from them."""

from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional

Size = tuple[int, int]
"""Height and width."""


class Pose(NamedTuple):
    """One of the eight poses of a rectangle: mirrored from left to right, or not, then turned by quarters."""

    turns: int = 0
    mirrored: bool = False

    def posed(self, pixels: Tensor, inner: Size) -> tuple[Tensor, Size]:
        """Return pixels N, 3, H, W in this pose, and the height and width of the image in them.

        All beyond the first `inner` rows and columns is padding, of zeros, and stays on the right and below.
        """
        if self == Pose():
            return pixels, inner
        beyond = (pixels.shape[-2] - inner[0], pixels.shape[-1] - inner[1])
        image = pixels[..., : inner[0], : inner[1]]
        image = torch.rot90(image.flip(-1) if self.mirrored else image, self.turns, (-2, -1))
        below, right = beyond[::-1] if self.turns % 2 else beyond
        return functional.pad(image, (0, right, 0, below)), (image.shape[-2], image.shape[-1])

    def restored(self, scores: Tensor) -> Tensor:
        """Turn scores of a part of an image in this pose back, and mirror them back."""
        back = torch.rot90(scores, -self.turns, (-2, -1)) if self.turns else scores
        return back.flip(-1) if self.mirrored else back

    def origin(self, rows: slice, columns: slice, inner: Size) -> tuple[slice, slice]:
        """Return the rows and columns of the image, of height and width `inner`, that are at a place in this pose."""
        height, width = inner
        match self.turns:
            case 1:
                rows, columns = columns, _reversed(rows, width)
            case 2:
                rows, columns = _reversed(rows, height), _reversed(columns, width)
            case 3:
                rows, columns = _reversed(columns, height), rows
        return rows, _reversed(columns, width) if self.mirrored else columns


def _reversed(span: slice, length: int) -> slice:
    return slice(length - span.stop, length - span.start)


@dataclass(frozen=True)
class Crop:
    """A window of an image in a pose.

    - `pixels`: N, 3, h, w, of which the first `inside` rows and columns are image.
    - `shares`: h, 1 and w, the factors of the weights of its scores in the mean.
    - `rows`, `columns`: the place of its image in the image as it is.
    """

    pixels: Tensor
    shares: tuple[Tensor, Tensor]
    inside: Size
    pose: Pose
    rows: slice
    columns: slice

    def restored(self, scores: Tensor) -> Tensor:
        """Return scores of the window, without those of padding, in the pose of the image itself."""
        return self.pose.restored(scores[..., : self.inside[0], : self.inside[1]])
