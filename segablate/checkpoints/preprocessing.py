"""Preprocessing of pixels for a network: channel order, scale, normalisation, resizing, padding."""

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, fields, replace
from fractions import Fraction
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from segablate.checkpoints.channels import constants_for, count_channels, take
from segablate.checkpoints.preprocessing_values import CHECKS, LONGEST_SIDE, NORMALISATIONS, RESAMPLING, Triple
from segablate.errors import CheckpointError, did_you_mean
from segablate.runtime import to_device

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["LONGEST_SIDE", "NORMALISATIONS", "RESAMPLING", "Preprocessing", "Triple"]

_LETTERBOX_GREY = 114.0
"""The colour of Ultralytics' padding, of 0..255."""


@dataclass(frozen=True)
class Preprocessing:
    """``x = ((pixels · scale) − mean) / std / divisor``, channel by channel, in float32.

    - `channels`: what the network expects: "rgb", "bgr", "grey", or bands of the image by number, as in "4,3,2";
      `mean` and `std` are in this order, one number each for every channel.
    - `scale`: factor for pixels of 0..255, a number or a fraction such as "1/255".
    - `divisor`: divisor applied after mean and std.
    - `resize`: height and width to which the image is resized before the network, or one number for its shorter side,
      the longer in proportion; logits are resized back to the label map, never labels to the logits.
    - `longest`: where `resize` is one number, the longer side becomes no longer than this.
    - `resample`: "bilinear" (torch's and OpenCV's, without antialiasing); or "pillow-bilinear" or "pillow-bicubic",
      which antialias when shrinking, and round to whole numbers.
    - `pad_to_multiple`: both sides are padded on the right and below, with the mean colour, to a multiple of this; the
      padding is cut off the logits.
    - `letterbox`: the image keeps its proportions within `resize` and is padded around with grey, 114, as by
      Ultralytics; the padding is cut off the logits.
    """

    channels: str = "rgb"
    scale: str = "1/255"
    mean: tuple[float, ...] = (0.0, 0.0, 0.0)
    std: tuple[float, ...] = (1.0, 1.0, 1.0)
    divisor: float = 1.0
    resize: tuple[int, int] | int | None = None
    longest: int | None = None
    resample: Literal["bilinear", "pillow-bilinear", "pillow-bicubic"] = "bilinear"
    pad_to_multiple: int | None = None
    letterbox: bool = False

    @classmethod
    def parse(cls, values: Mapping[str, Any], start: "Preprocessing | None" = None) -> "Preprocessing":
        """Read plain values, as in a card or on the command line; missing ones keep the value of `start`.

        `normalise` is the name of a mean and std, see :meth:`normalised`. Raises CheckpointError for an unknown name, a
        value of the wrong form, and for `normalise` beside mean or std.
        """
        known = [*(field.name for field in fields(cls)), "normalise"]
        for name in values:
            if name not in known:
                raise CheckpointError(f"preprocessing has no entry {name!r}{did_you_mean(str(name), known)}")
        checked = {name: CHECKS[name](name, value) for name, value in values.items()}
        name = checked.pop("normalise", None)
        if name is not None and (both := checked.keys() & {"mean", "std"}):
            raise CheckpointError(f"normalise is {name!r}, which is a mean and std; leave out {' and '.join(both)}")
        found = replace(start or cls(), **checked)._for_channels()
        if found.letterbox and isinstance(found.resize, int):
            raise CheckpointError(f"letterbox needs resize as height and width, but it is {found.resize}")
        return found if name is None else found.normalised(name)

    def normalised(self, name: str) -> "Preprocessing":
        """Return these steps with the mean and std of :data:`NORMALISATIONS`, in this scale and order of channels.

        Grey gets the means over red, green and blue. Raises CheckpointError for channels that have no such constants.
        """
        uniform = all(len(set(row)) == 1 for row in NORMALISATIONS[name])
        rows = [row[:1] * self.count if uniform else constants_for(self.channels, row) for row in NORMALISATIONS[name]]
        if rows[0] is None or rows[1] is None:
            raise CheckpointError(
                f"normalise {name} is of red, green and blue, but channels is {self.channels}; state mean and std, "
                f"{self.count} numbers each"
            )
        unit = float(255 * Fraction(self.scale))
        mean, std = (tuple(unit * value for value in row) for row in rows if row is not None)
        return replace(self, mean=mean, std=std if name != "none" else rows[1])

    def _for_channels(self) -> "Preprocessing":
        """Return these steps with one mean and std for each channel. Raises CheckpointError for another number."""
        rows = {}
        for name in ("mean", "std"):
            row: tuple[float, ...] = getattr(self, name)
            rows[name] = row[:1] * self.count if len(set(row)) == 1 else row
            if len(rows[name]) != self.count:
                raise CheckpointError(
                    f"{name} is {_commas(row)}, but channels {self.channels} need {self.count} number"
                    f"{'s' * (self.count != 1)}; state {name}, or channels, as in grey or 4,3,2"
                )
        return replace(self, **rows)

    @property
    def count(self) -> int:
        """The number of channels."""
        return count_channels(self.channels)

    def refuse_constants_of_pixels(self) -> None:
        """Raise CheckpointError for a mean or std that no scaled pixel reaches: it is one of 0..255, for scale 1."""
        largest = 255 * self.factor
        named = [name for name in ("mean", "std") if max(map(abs, getattr(self, name))) > largest * 1.001]
        plain = set(self.std) == {1.0}
        if not named or (named == ["std"] and plain):
            return
        mean = self.mean if "mean" in named else tuple(value * 255 for value in self.mean)
        std = self.std if "std" in named or plain else tuple(value * 255 for value in self.std)
        stated = " and ".join(f"{name} is {_row(getattr(self, name))}" for name in named)
        raise CheckpointError(
            f"{stated}, but scale {self.scale} brings pixels to 0..{largest:.4g} before that is applied; state scale 1 "
            f"with mean {_commas(mean)} and std {_commas(std)}, or scale 1/255 with mean "
            f"{_commas(v / 255 for v in mean)} and std {_commas(v / 255 for v in std)} (and divisor 255 where the "
            f"network takes 0..1 after that)"
        )

    @property
    def named_channels(self) -> str:
        """The channels for the head of a table."""
        if self.channels in ("rgb", "bgr"):
            return self.channels.upper()
        return "grey" if self.channels == "grey" else f"band{'s' * (self.count > 1)} {self.channels}"

    @property
    def factor(self) -> float:
        """The scale as a number."""
        return float(Fraction(self.scale))

    def plain(self) -> dict[str, Any]:
        """Return plain values for YAML and JSON."""
        return {name: list(value) if isinstance(value, tuple) else value for name, value in asdict(self).items()}

    def __str__(self) -> str:
        parts = [self.named_channels, f"× {self.scale}", f"− {_row(self.mean)}", f"/ {_row(self.std)}"]
        parts += [f"/ {self.divisor:g}"] if self.divisor != 1 else []
        parts += [self._resizing()]
        parts += [f"padded to a multiple of {self.pad_to_multiple}"] if self.pad_to_multiple else []
        return " · ".join(parts)

    def __call__(self, images: "Tensor") -> "Tensor":
        """Convert N, H, W, B uint8, B bands from red on, to the network's N, C, h, w float32 on the same device."""
        import torch
        from torch.nn import functional

        pixels = self._resized(take(images.permute(0, 3, 1, 2).to(torch.float32, copy=True), self.channels))
        if self.letterboxed:
            pixels = self._framed(pixels)
        rows = (np.array(row, np.float32) for row in (self.mean, self.std))
        mean, std = (to_device(row, images.device).view(-1, 1, 1) for row in rows)
        pixels = pixels.mul_(self.factor).sub_(mean).div_(std).div_(self.divisor)
        if self.pad_to_multiple:
            height, width = pixels.shape[-2:]
            pixels = functional.pad(pixels, (0, -width % self.pad_to_multiple, 0, -height % self.pad_to_multiple))
        return pixels

    def unpadded(self, size: tuple[int, int]) -> tuple[int, int]:
        """Return height and width of the network's input without padding, for an image of `size`."""
        if isinstance(self.resize, int):
            return _in_proportion(size, self.resize, self.longest)
        if self.letterboxed:
            assert self.resize is not None
            ratio = min(self.resize[0] / size[0], self.resize[1] / size[1])
            return max(round(size[0] * ratio), 1), max(round(size[1] * ratio), 1)
        return self.resize or size

    @property
    def letterboxed(self) -> bool:
        """Whether images are padded around."""
        return self.letterbox and isinstance(self.resize, tuple)

    def corner(self, size: tuple[int, int]) -> tuple[int, int]:
        """Return the row and the column of an image of `size` in the network's input; not 0 in a letterbox."""
        if not self.letterboxed:
            return 0, 0
        assert isinstance(self.resize, tuple)
        height, width = self.unpadded(size)
        return (self.resize[0] - height) // 2, (self.resize[1] - width) // 2

    def _framed(self, pixels: "Tensor") -> "Tensor":
        """Pad resized pixels of 0..255, N, C, H, W, around to the size of the letterbox."""
        from torch.nn import functional

        assert isinstance(self.resize, tuple)
        (height, width), (high, wide) = self.resize, pixels.shape[-2:]
        top, left = (height - high) // 2, (width - wide) // 2
        return functional.pad(pixels, (left, width - wide - left, top, height - high - top), value=_LETTERBOX_GREY)

    def _resized(self, pixels: "Tensor") -> "Tensor":
        """Resize pixels of 0..255, N, C, H, W, to the network's size."""
        from torch.nn import functional

        size = self.unpadded((pixels.shape[-2], pixels.shape[-1]))
        if size == pixels.shape[-2:]:
            return pixels
        if self.resample == "bilinear":
            return functional.interpolate(pixels, size, mode="bilinear", align_corners=False)
        mode = self.resample.removeprefix("pillow-")
        return (
            functional.interpolate(pixels, size, mode=mode, align_corners=False, antialias=True).round().clamp(0, 255)
        )

    def _resizing(self) -> str:
        if not self.resize:
            return "native size"
        how = "" if self.resample == "bilinear" else f" ({self.resample})"
        if isinstance(self.resize, int):
            limit = f", the longer at most {self.longest}" if self.longest else ""
            return f"shorter side resized to {self.resize}{limit}{how}"
        kept = "letterboxed" if self.letterbox else "resized"
        return f"{kept} to {self.resize[0]}x{self.resize[1]}{how}"


def _in_proportion(size: tuple[int, int], shorter: int, longest: int | None) -> tuple[int, int]:
    """Scale `size` to a shorter side of `shorter`, or less where the longer side would exceed `longest`.

    The rounding is that of transformers and torchvision: the shorter side to the nearest, the longer one down.
    """
    low, high = float(min(size)), float(max(size))
    exact = longest * low / high if longest and high / low * shorter > longest else float(shorter)
    sides = (round(exact), int(exact * high / low))
    return sides if size[0] <= size[1] else (sides[1], sides[0])


def _row(values: tuple[float, ...]) -> str:
    return f"{values[0]:.4g}" if len(set(values)) == 1 else "(" + ", ".join(f"{value:.4g}" for value in values) + ")"


def _commas(values: Iterable[float]) -> str:
    return ",".join(f"{value:.5g}" for value in values)
