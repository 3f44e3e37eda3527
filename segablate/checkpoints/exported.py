"""Networks exported with their graph and run by another runtime, with one image input of known layout and size."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from segablate.checkpoints.assumptions import ASSUMED
from segablate.checkpoints.channels import count_channels, parse_channels
from segablate.checkpoints.input_channels import fit_channels, takes_channels
from segablate.checkpoints.network import Network, prepared
from segablate.checkpoints.outputs import channels_first
from segablate.checkpoints.preprocessing import Preprocessing
from segablate.checkpoints.segmenter import Loading, Source
from segablate.errors import CheckpointError, DeviceError

Run = Callable[[Tensor], Any]
"""Runs a batch that has the layout, size and dtype of the network's input, and returns the output."""


def _pixels(channels: str) -> Preprocessing:
    return Preprocessing.parse({"scale": "1", "channels": channels})


@dataclass(frozen=True)
class ImageInput:
    """The input of an exported network: N, C, H, W, or N, H, W, C; None for a side or a batch that may vary.

    With an integer `dtype` the input is pixels of 0..255, without scaling.
    """

    channels_last: bool
    batch: int | None
    size: tuple[int | None, int | None]
    dtype: torch.dtype
    channels: int = 3

    @classmethod
    def of(cls, shape: Sequence[Any], dtype: torch.dtype, channels: int | None = None) -> "ImageInput":
        """Read the input off a shape, in which every entry that is no positive integer may vary.

        `channels`: how many the user stated, or None. Where they may vary too, they are assumed to come first. Raises
        CheckpointError where the shape is not that of images.
        """
        sides = [side if isinstance(side, int) and side > 0 else None for side in shape]
        shape_text = "x".join("?" if side is None else str(side) for side in sides)
        if len(sides) != 4:
            raise CheckpointError(f"its input is {shape_text}; expected images, N x C x H x W or N x H x W x C")
        batch, one, two, three = sides
        for count in (channels,) if channels else (3, 1):
            if one == count or (one is None and three != count):
                return cls(False, batch, (two, three), dtype, count)
            if three == count:
                return cls(True, batch, (one, two), dtype, count)
        few = min(side for side in (one, three) if side is not None)
        raise CheckpointError(f"its input is {shape_text}; {takes_channels(few)}")

    @property
    def fixed(self) -> tuple[int, int] | None:
        """The height and width where both are fixed, else None."""
        height, width = self.size
        return None if height is None or width is None else (height, width)

    def describe(self) -> str:
        """Describe the input for the head of a table."""
        batch, height, width = ("?" if side is None else str(side) for side in (self.batch, *self.size))
        last = self.channels_last
        sides = f"{batch}x{height}x{width}x{self.channels}" if last else f"{batch}x{self.channels}x{height}x{width}"
        return f"{sides} {str(self.dtype).removeprefix('torch.')}"

    def fed(self, pixels: Tensor) -> Tensor:
        """Convert N, C, H, W float32 to the layout and dtype of the input; integers are rounded."""
        images = pixels.permute(0, 2, 3, 1).contiguous() if self.channels_last else pixels
        return images.to(self.dtype) if self.dtype.is_floating_point else images.round().clamp(0, 255).to(self.dtype)


def _unflattened(output: Tensor, size: tuple[int, int]) -> Tensor:
    """Return a flat output, N, h·w or N, h·w, K or N, K, h·w for images of `size`, with its rows and columns."""
    pixels = size[0] * size[1]
    if output.ndim == 2 and output.shape[1] == pixels:
        return output.reshape(len(output), 1, *size)
    if output.ndim == 3 and output.shape[1] == pixels:
        return output.permute(0, 2, 1).reshape(len(output), -1, *size)
    if output.ndim == 3 and output.shape[2] == pixels:
        return output.reshape(len(output), -1, *size)
    return output


def stated_channels(loading: Loading) -> int | None:
    """Return how many channels the user states, or None."""
    stated = loading.preprocessing.get("channels")
    return None if stated is None else count_channels(parse_channels(stated))


class ExportedNetwork(nn.Module):
    """A runtime as a module: takes N, C, H, W float32 and returns the runtime's output, channels first.

    A batch of fixed size is filled up with empty images, whose output is cut off.
    """

    def __init__(self, image: ImageInput, run: Run, classes: int | None = None) -> None:
        super().__init__()
        self.image = image
        self.run = run
        self.classes = classes

    def train(self, mode: bool = True) -> "ExportedNetwork":
        """Do nothing: a graph is exported for training or for evaluation, and stays so."""
        return self

    def forward(self, pixels: Tensor) -> Any:
        """Run the network in batches of the size it takes. Raises ValueError for images of another size."""
        self._check(pixels)
        length = self.image.batch or len(pixels)
        parts = [self._part(part, length) for part in pixels.split(length)]
        return parts[0] if len(parts) == 1 else _joined(parts)

    def _part(self, pixels: Tensor, length: int) -> Any:
        """Return the output for at most one batch of images."""
        count, size = len(pixels), (pixels.shape[2], pixels.shape[3])
        filled = functional.pad(pixels, (0, 0, 0, 0, 0, 0, 0, length - count)) if count < length else pixels

        def arranged(output: Tensor) -> Tensor:
            output = _unflattened(output[:count] if len(output) == length else output, size)
            if not self.image.channels_last or output.ndim != 4:
                return output
            return channels_first(output, size, self.classes, usually_last=True)[0]

        return _mapped(arranged, self.run(self.image.fed(filled)))

    def _check(self, pixels: Tensor) -> None:
        for side, expected in zip(pixels.shape[2:], self.image.size, strict=True):
            if expected not in (None, side):
                height, width = ("any" if side is None else side for side in self.image.size)
                raise ValueError(f"the network takes only {height}x{width}; pass --resize {height}x{width}")


def open_exported(
    run: Run,
    image: ImageInput,
    source: Source,
    loading: Loading,
    *,
    kind: str,
    start: Preprocessing | None = None,
    classes: tuple[str, ...] | None = None,
) -> Network:
    """Make a segmenter of a runtime; images are resized to the network's size where that is fixed.

    `start`: the preprocessing that the file states, or None; `classes`: the names of the outputs that it states.
    Raises CheckpointError for options that contradict the input, and DeviceError for a precision, fixed at export.
    """
    if loading.precision != "fp32":
        raise DeviceError("the network runs in the precision it was exported with; leave out --precision")
    whole = not image.dtype.is_floating_point
    loading = loading if loading.classes else replace(loading, classes=classes)
    module = ExportedNetwork(image, run, None if loading.classes is None else len(loading.classes))
    plain = Preprocessing(scale="1" if whole else "1/255")
    fitted = fit_channels(module, loading.preprocessing, start or plain)
    loading, preprocessing = _fitted(loading, image, fitted.start)
    if whole and replace(preprocessing, resize=None, pad_to_multiple=None) != _pixels(preprocessing.channels):
        raise CheckpointError(
            f"the network takes unscaled pixels of 0..255; leave out scale, mean and std ({preprocessing})"
        )
    notes = (*source.notes, *filter(None, [fitted.note]))
    source = replace(source, facts={"input": image.describe(), **source.facts}, notes=notes)
    assume = None if (start is not None and not fitted.dropped) or whole else ASSUMED
    return prepared(module, source, loading, preprocessing, kind, assume=assume)


def _fitted(loading: Loading, image: ImageInput, start: Preprocessing) -> tuple[Loading, Preprocessing]:
    """Return the options and the preprocessing that bring images to the size of the input."""
    stated = {name: value for name, value in loading.preprocessing.items() if (name, value) != ("resize", None)}
    loading, size = replace(loading, preprocessing=stated), image.fixed
    if size is None:
        return loading, Preprocessing.parse(stated, start)
    height, width = size
    if loading.window not in (None, size):
        raise CheckpointError(
            f"the network takes only {height}x{width}; pass --window {height}x{width}, or leave it out"
        )
    whole = {"letterbox": False, "resize": None} if loading.window else {"resize": size}
    preprocessing = Preprocessing.parse(stated, replace(start, **whole))
    if loading.window is None and preprocessing.resize != size:
        raise CheckpointError(f"the network takes only {height}x{width}; leave out --resize")
    return loading, preprocessing


def _mapped(function: Callable[[Tensor], Tensor], output: Any) -> Any:
    """Apply a function to each tensor of a network's output."""
    if isinstance(output, Tensor):
        return function(output)
    if isinstance(output, Mapping):
        return {name: _mapped(function, value) for name, value in output.items()}
    return [_mapped(function, value) for value in output] if isinstance(output, list | tuple) else output


def _joined(parts: list[Any]) -> Any:
    """Join the outputs for parts of a batch."""
    if isinstance(parts[0], Tensor):
        return torch.cat(parts)
    if isinstance(parts[0], dict):
        return {name: _joined([part[name] for part in parts]) for name in parts[0]}
    return [_joined(list(values)) for values in zip(*parts, strict=True)] if isinstance(parts[0], list) else parts[0]
