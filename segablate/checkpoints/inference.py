"""Running a network over an image: whole or in sliding windows, and with flips also over the mirrored image.

A pixel's score is the mean over the windows that cover it, and over both images: of logits, before any softmax, or of
probabilities where the network returns these. Windows start a stride apart at the upper left; the last of a row or
column is moved back to the border, so that every pixel is covered.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from itertools import product
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from segablate.errors import CheckpointError, did_you_mean

Forward = Callable[[Tensor], Tensor]
"""Maps N, 3, H, W to scores N, K, h, w at any resolution."""

Size = tuple[int, int]


@dataclass(frozen=True)
class Inference:
    """Windows and flips; sizes are height and width in pixels of the network's input.

    - `window`: None for the whole image. Where an image is smaller, the window shrinks to it.
    - `stride`: at most the window; two thirds of it where None.
    - `flip`: average with the scores of the mirror image, mirrored back.
    """

    window: Size | None = None
    stride: Size | None = None
    flip: bool = False

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
        flip = values.get("flip") or False
        if not isinstance(flip, bool):
            raise CheckpointError(f"flip is {flip!r}, but must be true or false")
        return cls(window, stride, flip)

    @property
    def plain(self) -> bool:
        """Whether an image takes one pass, whole and not mirrored."""
        return self.window is None and not self.flip

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
        return f"{passes}{', each image also mirrored' if self.flip else ''}; averaged as {what}"

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

        Memory holds one row of windows, whatever the height of the image. A band is valid until the next is asked for.
        """
        padded = (pixels.shape[-2], pixels.shape[-1])
        rows, columns = (_spans(padded[axis], self._side(axis, padded), self._step(axis, padded)) for axis in (0, 1))
        passes = [pixels, _mirrored(pixels, inner[1])] if self.flip else [pixels]
        down = _share(rows, padded[0], pixels)[:, None] / len(passes)
        across = _share(columns, padded[1], pixels)
        sums: Tensor | None = None  # of the rows from `row.start` on
        for row, after in zip(rows, [*(later.start for later in rows[1:]), padded[0]], strict=True):
            for (mirrored, view), column in product(enumerate(passes), columns):
                crop = view[..., row, column]
                scores = at_size(_averageable(forward(crop)), (crop.shape[-2], crop.shape[-1]))
                if sums is None:
                    sums = scores.new_zeros((*scores.shape[:2], row.stop - row.start, inner[1]))
                _add(sums, scores, down[row] * across[column], column.start, bool(mirrored))
                del scores  # or they would be held during the next pass
            assert sums is not None
            if (done := min(after, inner[0]) - row.start) > 0:
                yield sums[..., :done, :]
            _shift(sums, after - row.start)

    def _side(self, axis: int, padded: Size) -> int:
        return min(self.window[axis], padded[axis]) if self.window else padded[axis]

    def _step(self, axis: int, padded: Size) -> int:
        return self.step[axis] if self.step else padded[axis]


def _add(sums: Tensor, scores: Tensor, share: Tensor, left: int, mirrored: bool) -> None:
    """Add the weighted scores of one window to the sums of its rows, without columns of padding."""
    width = max(min(scores.shape[-1], sums.shape[-1] - left), 0)
    scores, share = scores[..., :width], share[:, :width]
    if mirrored:
        scores, share, left = scores.flip(-1), share.flip(-1), sums.shape[-1] - left - width
    sums[..., left : left + width].addcmul_(scores, share)


def _shift(sums: Tensor, rows: int) -> None:
    """Move the sums up by so many rows, in place, with zeros below."""
    left = sums.shape[2] - rows
    for top in range(0, left, rows):  # as many at a time as do not overlap their new place
        height = min(rows, left - top)
        sums[..., top : top + height, :] = sums[..., top + rows : top + rows + height, :]
    sums[..., left:, :] = 0


def _averageable(scores: Tensor) -> Tensor:
    if not scores.is_floating_point():
        raise CheckpointError("the network returns label maps, which cannot be averaged; leave out --window and --flip")
    return scores


def _mirrored(pixels: Tensor, width: int) -> Tensor:
    """Mirror the image from left to right; padding stays on the right."""
    return torch.cat([pixels[..., :width].flip(-1), pixels[..., width:]], dim=-1)


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
