"""Options for loading a checkpoint, and how they become those of the checkpoint layer."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from segablate.cli.options import RunningOptions, option
from segablate.errors import UsageError, at

if TYPE_CHECKING:
    from segablate.checkpoints import Loading

_CHECKPOINT = "Checkpoint"


@dataclass(frozen=True)
class TrustOptions:
    """Options on code that checkpoints hold."""

    trust_code: Annotated[
        bool,
        option(
            "Run code that a file holds (torchscript:, module:, pt2:) or a card or recipe names.",
            _CHECKPOINT,
            "--trust-code",
        ),
    ] = False
    trust_pickle: Annotated[bool, typer.Option("--trust-pickle", hidden=True)] = False

    @property
    def trusted(self) -> bool:
        """Whether code in files may run; a note says that --trust-pickle is an old name."""
        if self.trust_pickle:
            typer.echo("note: --trust-pickle is now called --trust-code", err=True)
        return self.trust_code or self.trust_pickle


@dataclass(frozen=True)
class CheckpointOptions(TrustOptions):
    """Options for loading a checkpoint, which override its card."""

    channels: Annotated[str | None, option("rgb, bgr, grey, or bands of the image by number: 4,3,2.", _CHECKPOINT)] = (
        None
    )
    scale: Annotated[str | None, option("Factor for pixels of 0..255, e.g. 1/255.", _CHECKPOINT)] = None
    mean: Annotated[str | None, option("Comma-separated mean of each channel.", _CHECKPOINT)] = None
    std: Annotated[str | None, option("Comma-separated standard deviation of each channel.", _CHECKPOINT)] = None
    normalise: Annotated[
        Literal["imagenet", "none", "0.5"] | None,
        option("Mean and std by name: imagenet, none, or 0.5 for both.", _CHECKPOINT),
    ] = None
    divisor: Annotated[float | None, option("Divisor applied after mean and std.", _CHECKPOINT)] = None
    resize: Annotated[str | None, option("Size of the network's input, as HEIGHTxWIDTH.", _CHECKPOINT)] = None
    pad_to_multiple: Annotated[int | None, option("Pad both sides to a multiple of this.", _CHECKPOINT)] = None
    window: Annotated[str | None, option("Sliding window, as SIDE or HEIGHTxWIDTH.", _CHECKPOINT)] = None
    stride: Annotated[str | None, option("Stride of the window; by default two thirds of the window.", _CHECKPOINT)] = (
        None
    )
    flip: Annotated[
        Literal["horizontal", "vertical", "both", "none"] | None,
        option("Average logits with those of the mirrored image; horizontal where no value follows.", _CHECKPOINT),
    ] = None
    quarter_turns: Annotated[
        bool | None,
        option(
            "Average logits with those of the image turned by quarters.",
            _CHECKPOINT,
            "--quarter-turns/--no-quarter-turns",
            show_default=False,
        ),
    ] = None
    threshold: Annotated[
        float | None, option("Probability above which a pixel is of the second of two classes.", _CHECKPOINT)
    ] = None
    output: Annotated[
        Literal["softmax", "sigmoid", "probabilities", "labels"] | None,
        option("Kind of the network's output.", _CHECKPOINT),
    ] = None
    head: Annotated[str | None, option("One of several outputs, by name or by place from 0.", _CHECKPOINT)] = None
    class_map: Annotated[
        Path | None, option("YAML file that maps checkpoint classes to dataset classes.", _CHECKPOINT)
    ] = None
    key: Annotated[str | None, option("Key path to the weights, e.g. model.state_dict.", _CHECKPOINT)] = None
    strip_prefix: Annotated[str | None, option("Prefix to remove from the keys of the weights.", _CHECKPOINT)] = None
    allow_download: Annotated[
        bool, option("Let a library download missing files from its hub.", _CHECKPOINT, "--allow-download")
    ] = False

    def loading(self, running: RunningOptions) -> "Loading":
        """Convert the options for the checkpoint layer. Raises UsageError for malformed values."""
        from segablate.checkpoints import Loading

        if self.normalise is not None and (self.mean is not None or self.std is not None):
            raise UsageError("--normalise is a mean and std by name; leave it out, or leave out --mean and --std")
        given = {
            "channels": self.channels,
            "scale": self.scale,
            "mean": _numbers("--mean", self.mean),
            "std": _numbers("--std", self.std),
            "normalise": self.normalise,
            "divisor": self.divisor,
            "resize": _size("--resize", self.resize),
            "pad_to_multiple": self.pad_to_multiple,
        }
        return Loading(
            device=running.device,
            precision=running.precision,
            preprocessing={name: value for name, value in given.items() if value is not None},
            key=self.key,
            strip_prefix=self.strip_prefix,
            output=self.output,
            head=self.head,
            class_map=_read_class_map(self.class_map),
            window=_side_or_size("--window", self.window),
            stride=_side_or_size("--stride", self.stride),
            flip=None if self.flip is None else {"horizontal": True, "none": False}.get(self.flip, self.flip),
            quarter_turns=self.quarter_turns,
            threshold=self.threshold,
            trust_code=self.trusted,
            allow_download=self.allow_download,
        )


def _numbers(option: str, text: str | None) -> list[float] | None:
    if text is None:
        return None
    try:
        values = [float(part) for part in text.split(",")]
    except ValueError:
        values = []
    if not values:
        raise UsageError(f"{option} is {text!r}, but must be comma-separated numbers, as in 0.485,0.456,0.406")
    return values


def _size(option: str, text: str | None) -> list[int] | None:
    if text is None:
        return None
    sides = text.lower().split("x")
    if len(sides) != 2 or not all(side.isdigit() and int(side) > 0 for side in sides):
        raise UsageError(f"{option} is {text!r}, but must be HEIGHTxWIDTH, as in 512x1024")
    return [int(side) for side in sides]


def _side_or_size(option: str, text: str | None) -> tuple[int, int] | None:
    """Parse ``512``, a square, or ``512x1024``."""
    if text is None:
        return None
    sides = text.lower().split("x")
    if len(sides) > 2 or not all(side.isdigit() and int(side) > 0 for side in sides):
        raise UsageError(f"{option} is {text!r}, but must be a side in pixels, as in 512, or HEIGHTxWIDTH")
    return int(sides[0]), int(sides[-1])


def _read_class_map(path: Path | None) -> dict[str, str | None] | None:
    if path is None:
        return None
    from segablate.yaml_files import read_yaml

    with at(f"--class-map {path}"):
        mapping = read_yaml(path)
        if not isinstance(mapping, dict) or any(isinstance(target, list | dict) for target in mapping.values()):
            raise UsageError("must map checkpoint classes to dataset classes, as in road: road")
    return {str(name): None if target is None else str(target) for name, target in mapping.items()}
