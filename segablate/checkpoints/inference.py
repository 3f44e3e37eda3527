"""Running a network over an image: whole or in sliding windows, and over the mirrored and turned image.

A pixel's score is the mean over the windows that cover it, and over all poses: of logits, before any softmax, or of
probabilities where the network returns these. Windows start a stride apart at the upper left; the last of a row or
column is moved back to the border, so that every pixel is covered.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from itertools import product
from typing import Any, Literal

import torch
from torch import Tensor
from torch.nn import functional

from segablate.checkpoints.poses import Crop, Pose, Size
from segablate.errors import CheckpointError, did_you_mean

Forward = Callable[[Tensor], Tensor]
"""Maps N, 3, H, W to scores N, K, h, w at any resolution."""

_UPRIGHT, _MIRRORED, _UPSIDE_DOWN = (Pose(),), (Pose(0, True),), (Pose(2, True),)
_BOTH = (*_UPRIGHT, *_MIRRORED, *_UPSIDE_DOWN, Pose(2))


@dataclass(frozen=True)
class Inference:
    """Windows, flips and turns; sizes are height and width in pixels of the network's input.

    - `window`: None for the whole image. Where an image is smaller, the window shrinks to it.
    - `stride`: at most the window; two thirds of it where None.
    - `flip`: average with the scores of the mirror image, mirrored back; "vertical": of the image upside down; "both":
      of these two and of the image that is both.
    - `quarter_turns`: average with the scores of the image turned by 90, 180 and 270 degrees, of flipped ones too.
    """

    window: Size | None = None
    stride: Size | None = None
    flip: bool | Literal["vertical", "both"] = False
    quarter_turns: bool = False

    @classmethod
    def parse(cls, values: Mapping[str, Any]) -> "Inference":
        """Read plain values; sizes may be one number for both sides. Raises CheckpointError for a malformed value."""
        known = tuple(cls.__dataclass_fields__)
        for name in values:
            if name not in known:
                raise CheckpointError(f"inference has no entry {name!r}{did_you_mean(str(name), known)}")
        window, stride = (_sides(name, values.get(name)) for name in ("window", "stride"))
        if stride and not window:
            raise CheckpointError(f"stride is {_by(stride)}, but no window is set; set the window too")
        if window and stride and (stride[0] > window[0] or stride[1] > window[1]):
            raise CheckpointError(
                f"stride is {_by(stride)}, larger than the window {_by(window)}, which leaves pixels out; "
                f"two thirds of the window is usual"
            )
        turns = values.get("quarter_turns") or False
        if not isinstance(turns, bool):
            raise CheckpointError(f"quarter_turns is {turns!r}, but must be true or false")
        return cls(window, stride, _flip(values.get("flip")), turns)

    @property
    def plain(self) -> bool:
        """Whether an image takes one pass, whole, not mirrored and not turned."""
        return self.window is None and not self.flip and not self.quarter_turns

    @property
    def poses(self) -> tuple[Pose, ...]:
        """The poses in which the network sees an image, the image as it is first."""
        flipped = {False: _UPRIGHT, True: _UPRIGHT + _MIRRORED, "vertical": _UPRIGHT + _UPSIDE_DOWN, "both": _BOTH}
        turns = range(4) if self.quarter_turns else (0,)
        found = ((Pose((pose.turns + turn) % 4, pose.mirrored)) for pose in flipped[self.flip] for turn in turns)
        return tuple(dict.fromkeys(found))

    @property
    def step(self) -> Size | None:
        """The stride, by default two thirds of the window."""
        if self.stride or not self.window:
            return self.stride
        return max(1, self.window[0] * 2 // 3), max(1, self.window[1] * 2 // 3)

    def describe(self, kind: str) -> str:
        """Describe the passes for the head of a table; `kind` is that of the network's output."""
        if self.plain:
            return "whole images"
        what = "probabilities" if kind == "probabilities" else "logits"
        passes = "whole images"
        if self.window and self.step:
            passes = f"windows {_by(self.window)} (or the image, where it is smaller), stride {_by(self.step)}"
        flips = {False: "", True: "mirrored", "vertical": "upside down", "both": "mirrored, upside down, and both"}
        also = [flips[self.flip], *(["by quarter turns"] if self.quarter_turns else [])]
        also = " and ".join(filter(None, also))
        poses = f" ({len(self.poses)} passes)" if len(self.poses) > 2 else ""
        return f"{passes}{f', each image also {also}{poses}' if also else ''}; averaged as {what}"

    def __call__(self, forward: Forward, pixels: Tensor, inner: Size) -> Tensor:
        """Average the scores of `pixels` N, 3, H, W, in which all beyond the first `inner` rows and columns is padding.

        Returns N, K and `inner`; a single pass over an unpadded image stays at the network's resolution.
        """
        padded = (pixels.shape[-2], pixels.shape[-1])
        if self.plain:
            scores = forward(pixels)
            return scores if padded == inner else at_size(scores, padded)[..., : inner[0], : inner[1]]
        total: Tensor | None = None
        top = 0
        for band in self.bands(forward, pixels, inner):
            if total is None:
                total = band.new_empty((*band.shape[:2], *inner))
            total[..., top : top + band.shape[2], :] = band
            top += band.shape[2]
        assert total is not None
        return total

    def bands(self, forward: Forward, pixels: Tensor, inner: Size) -> Iterator[Tensor]:
        """Yield what :meth:`__call__` returns in consecutive bands of rows, each when no further window covers it.

        Memory holds the rows of one window, whatever the height of the image. A band is valid until the next is asked
        for.
        """
        crops = sorted(self._crops(pixels, inner), key=lambda crop: crop.rows.start)
        depth = max(crop.rows.stop - crop.rows.start for crop in crops)
        sums: Tensor | None = None  # of the rows from `top` on
        ends = [*(crop.rows.start for crop in crops[1:]), inner[0]]
        for crop, end in zip(crops, ends, strict=True):
            scores = at_size(_averageable(forward(crop.pixels)), (crop.pixels.shape[-2], crop.pixels.shape[-1]))
            if sums is None:
                sums = scores.new_zeros((*scores.shape[:2], depth, inner[1]))
            top = crop.rows.start
            place = sums[..., : crop.rows.stop - top, crop.columns]
            place.addcmul_(crop.restored(scores), crop.restored(crop.shares[0] * crop.shares[1]))
            del scores  # or they would be held during the next pass
            if end > top:
                yield sums[..., : end - top, :]
                _shift(sums, end - top)

    def _crops(self, pixels: Tensor, inner: Size) -> Iterator[Crop]:
        """Yield the windows of all poses that hold a pixel of the image."""
        poses = self.poses
        for pose in poses:
            view, size = pose.posed(pixels, inner)
            padded = (view.shape[-2], view.shape[-1])
            rows, columns = (
                _spans(padded[axis], self._side(axis, padded), self._step(axis, padded)) for axis in (0, 1)
            )
            down = _share(rows, padded[0], pixels)[:, None] / len(poses)
            across = _share(columns, padded[1], pixels)
            for row, column in product(rows, columns):
                inside = (min(row.stop, size[0]) - row.start, min(column.stop, size[1]) - column.start)
                if min(inside) > 0:
                    here = slice(row.start, row.start + inside[0]), slice(column.start, column.start + inside[1])
                    shares = down[row], across[column]
                    yield Crop(view[..., row, column], shares, inside, pose, *pose.origin(*here, inner))

    def _side(self, axis: int, padded: Size) -> int:
        return min(self.window[axis], padded[axis]) if self.window else padded[axis]

    def _step(self, axis: int, padded: Size) -> int:
        return self.step[axis] if self.step else padded[axis]


def _flip(value: Any) -> bool | Literal["vertical", "both"]:
    found = {"true": True, "horizontal": True, "none": False, "false": False}.get(str(value).lower(), value)
    if found is None or isinstance(found, bool) or found in ("vertical", "both"):
        return found or False
    raise CheckpointError(f"flip is {value!r}, but must be true or false, or horizontal, vertical or both")


def _shift(sums: Tensor, rows: int) -> None:
    """Move the sums up by so many rows, in place, with zeros below."""
    left = sums.shape[2] - rows
    for top in range(0, left, rows):  # as many at a time as do not overlap their new place
        height = min(rows, left - top)
        sums[..., top : top + height, :] = sums[..., top + rows : top + rows + height, :]
    sums[..., max(left, 0) :, :] = 0


def _averageable(scores: Tensor) -> Tensor:
    if not scores.is_floating_point():
        raise CheckpointError("the network returns label maps, which cannot be averaged; leave out --window and --flip")
    return scores


def _spans(length: int, window: int, stride: int) -> list[slice]:
    """Return the windows along one side, the last moved back to its end."""
    starts = (min(start, length - window) for start in range(0, length - window + stride, stride))
    return [slice(start, start + window) for start in starts]


def _share(spans: list[slice], length: int, like: Tensor) -> Tensor:
    """Return 1 over the number of windows that cover each row (or column); both multiply, as windows form a grid."""
    covered = torch.zeros(length, device=like.device)
    for span in spans:
        covered[span] += 1
    return 1 / covered


def at_size(scores: Tensor, size: Size) -> Tensor:
    """Resize scores N, K, h, w bilinearly; label maps, which are integers, by the nearest pixel."""
    if (scores.shape[-2], scores.shape[-1]) == size:
        return scores
    if not scores.is_floating_point():
        return functional.interpolate(scores.float(), size, mode="nearest-exact").to(scores.dtype)
    return functional.interpolate(scores, size, mode="bilinear", align_corners=False)


def _sides(name: str, value: Any) -> Size | None:
    if value is None:
        return None
    sides = [value, value] if isinstance(value, int) and not isinstance(value, bool) else value
    if isinstance(sides, list | tuple) and len(sides) == 2 and all(isinstance(v, int) and v > 0 for v in sides):
        return sides[0], sides[1]
    raise CheckpointError(f"{name} is {value!r}, but must be a side in pixels, or height and width, as in [512, 1024]")


def _by(size: Size) -> str:
    return f"{size[0]}x{size[1]}"
