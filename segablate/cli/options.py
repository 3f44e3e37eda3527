"""Options that several commands share: a command asks for a group, the command line shows the fields of the group."""

import functools
import inspect
from collections.abc import Callable, Collection
from dataclasses import MISSING, Field, dataclass, fields, is_dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, get_type_hints

import typer

from segablate.errors import UsageError

if TYPE_CHECKING:
    from segablate.checkpoints import Loading
    from segablate.datasets import Dataset
    from segablate.evaluation.session import Execution, Request
    from segablate.metrics.tolerance import Tolerance


def _option(help: str, panel: str, *names: str, **more: Any) -> Any:
    return typer.Option(*names, help=help, rich_help_panel=panel, show_default=more.pop("show_default", True), **more)


_IMAGES, _MEASURES, _CHECKPOINT, _RUNNING, _OUTPUT = "Images", "Measures", "Checkpoint", "Running", "Output"


@dataclass(frozen=True)
class DatasetOptions:
    """Options that select the images and classes of a dataset."""

    split: Annotated[str | None, _option("Split of the dataset; by default the layout's, usually val.", _IMAGES)] = None
    limit: Annotated[int | None, _option("Evaluate N evenly spaced images.", _IMAGES, min=1)] = None
    images: Annotated[Path | None, _option("Text file of the images to use, one name per line.", _IMAGES)] = None
    classes: Annotated[
        Path | None, _option("YAML file that merges or renames classes, e.g. vehicle: [car, truck].", _IMAGES)
    ] = None

    def open(self, spec: str) -> "Dataset":
        """Open the dataset at its split, with merged classes and the selected images."""
        from segablate.datasets import open_dataset
        from segablate.datasets.lists import read_list
        from segablate.datasets.merging import merge_classes

        dataset = open_dataset(spec, self.split)
        if self.classes is not None:
            dataset = merge_classes(dataset, self.classes)
        if self.images is not None:
            dataset = dataset.only(read_list(self.images), str(self.images))
        return dataset.evenly(self.limit) if self.limit is not None else dataset


@dataclass(frozen=True)
class ReadingOptions:
    """How counts are read."""

    tolerance: Annotated[
        str | None,
        _option(
            "Boundary tolerances, with commas: pixels (3), shares of the diagonal (0.0075d), or none; by default 3, "
            "for saved runs what they were made with.",
            _MEASURES,
        ),
    ] = None
    void_as_error: Annotated[
        bool, _option("Predictions on void pixels count as false positives.", _MEASURES, "--void-as-error")
    ] = False

    @property
    def tolerances(self) -> "tuple[Tolerance, ...]":
        """The boundary tolerances. Raises KnobError for what is none."""
        from segablate.metrics.tolerance import Tolerance

        text = self.tolerance or "3"
        return () if text == "none" else tuple(Tolerance.parse(part) for part in text.split(","))


@dataclass(frozen=True)
class MeasureOptions(ReadingOptions):
    """What is measured, and how counts are read."""

    losses: Annotated[
        str | None,
        _option("Losses with commas, all, or none; by default ce where there are logits.", _MEASURES),
    ] = None
    calibration: Annotated[
        bool | None,
        _option(
            "Calibration: ECE, Brier score, NLL; by default where there are logits.",
            _MEASURES,
            "--calibration/--no-calibration",
            show_default=False,
        ),
    ] = None
    boundary_iou: Annotated[
        str | None,
        _option("Boundary IoU too, in a band of this width: pixels, or 0.02d, the authors' choice.", _MEASURES),
    ] = None
    error_kinds: Annotated[
        str | None,
        _option(
            "Wrong pixels by kind too; boundaries of this width: pixels, or 0.01d, the authors' choice.", _MEASURES
        ),
    ] = None

    @property
    def request(self) -> "Request":
        """What the evaluation is asked for. Raises KnobError for a width that is none."""
        from segablate.evaluation.session import Request
        from segablate.metrics.tolerance import Tolerance

        band, near = (
            None if text in (None, "none") else Tolerance.parse(text) for text in (self.boundary_iou, self.error_kinds)
        )
        return Request(self.losses, self.tolerances, self.calibration, band, near)


@dataclass(frozen=True)
class RunningOptions:
    """How the work is done; none of these changes a number."""

    device: Annotated[str, _option("auto, cpu, cuda or cuda:N.", _RUNNING)] = "auto"
    precision: Annotated[
        Literal["fp32", "bf16", "fp16"], _option("Precision of the network; losses and counts stay exact.", _RUNNING)
    ] = "fp32"
    batch_size: Annotated[int, _option("Images of one size in a batch.", _RUNNING, min=1)] = 4
    workers: Annotated[
        int | None, _option("Threads or processes that read images; by default one per core.", _RUNNING, min=0)
    ] = None
    on_error: Annotated[
        Literal["stop", "skip"], _option("What a broken image does: stop the run, or be skipped and named.", _RUNNING)
    ] = "stop"

    @property
    def execution(self) -> "Execution":
        """How the evaluation is carried out, with a progress bar."""
        from segablate.datasets.reading import default_workers
        from segablate.evaluation.session import Execution
        from segablate.render import progress

        workers = default_workers() if self.workers is None else self.workers
        return Execution(self.batch_size, workers, self.on_error, progress)


@dataclass(frozen=True)
class CacheOptions:
    """Whether an evaluation of which nothing has changed is taken from an earlier one."""

    no_cache: Annotated[
        bool, _option("Measure again, even if nothing has changed since the last time.", _RUNNING, "--no-cache")
    ] = False


@dataclass(frozen=True)
class CheckpointOptions:
    """How a checkpoint is loaded; overrides what a card or the checkpoint says."""

    channels: Annotated[str | None, _option("Channel order: rgb or bgr.", _CHECKPOINT)] = None
    scale: Annotated[str | None, _option("Factor for pixels of 0..255, such as 1/255.", _CHECKPOINT)] = None
    mean: Annotated[str | None, _option("Three numbers to subtract, with commas.", _CHECKPOINT)] = None
    std: Annotated[str | None, _option("Three numbers to divide by, with commas.", _CHECKPOINT)] = None
    divisor: Annotated[float | None, _option("A last division.", _CHECKPOINT)] = None
    resize: Annotated[str | None, _option("Size of the network's input, as HEIGHTxWIDTH.", _CHECKPOINT)] = None
    pad_to_multiple: Annotated[int | None, _option("Pad both sides to a multiple of this.", _CHECKPOINT)] = None
    window: Annotated[
        str | None, _option("Slide a window of this side over the image, or HEIGHTxWIDTH.", _CHECKPOINT)
    ] = None
    stride: Annotated[
        str | None, _option("From window to window; two thirds of the window by default.", _CHECKPOINT)
    ] = None
    flip: Annotated[
        bool | None, _option("Average with the mirrored image.", _CHECKPOINT, "--flip/--no-flip", show_default=False)
    ] = None
    output: Annotated[
        Literal["softmax", "sigmoid", "probabilities", "labels"] | None,
        _option("What the network gives.", _CHECKPOINT),
    ] = None
    head: Annotated[str | None, _option("Which of several outputs, by name or by place from 0.", _CHECKPOINT)] = None
    class_map: Annotated[
        Path | None, _option("YAML file that maps checkpoint classes to dataset classes.", _CHECKPOINT)
    ] = None
    key: Annotated[str | None, _option("Where the weights are in the file, as a.b.", _CHECKPOINT)] = None
    strip_prefix: Annotated[str | None, _option("What to cut off the names of the weights.", _CHECKPOINT)] = None
    trust_pickle: Annotated[
        bool, _option("Run the code that a file may hold (module:FILE and pt2:FILE).", _CHECKPOINT, "--trust-pickle")
    ] = False
    allow_download: Annotated[
        bool, _option("Let a library fetch what is not on the disk from its hub.", _CHECKPOINT, "--allow-download")
    ] = False

    def loading(self, running: RunningOptions) -> "Loading":
        """What the checkpoint layer asks for."""
        from segablate.checkpoints import Loading

        given = {
            "channels": self.channels,
            "scale": self.scale,
            "mean": _numbers("--mean", self.mean, 3),
            "std": _numbers("--std", self.std, 3),
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
            flip=self.flip,
            trust_pickle=self.trust_pickle,
            allow_download=self.allow_download,
        )


@dataclass(frozen=True)
class OutputOptions:
    """How results are shown."""

    format: Annotated[
        Literal["rich", "markdown", "csv", "json", "latex"], _option("How the tables are written.", _OUTPUT)
    ] = "rich"
    wide: Annotated[bool, _option("All columns, however wide.", _OUTPUT, "--wide")] = False


def expanded(command: Callable[..., None], without: Collection[str] = ()) -> Callable[..., None]:
    """A command whose parameters that are groups of options are replaced by the fields of the groups.

    Fields named in `without` are no options of this command and keep their defaults.
    """
    signature = inspect.signature(command)
    hints = get_type_hints(command, include_extras=True)
    groups = {name: kind for name, kind in hints.items() if isinstance(kind, type) and is_dataclass(kind)}

    @functools.wraps(command)
    def wrapper(**given: Any) -> None:
        built = {
            name: group(**{field.name: given.pop(field.name) for field in fields(group) if field.name not in without})
            for name, group in groups.items()
        }
        command(**given, **built)

    plain = [
        parameter.replace(annotation=hints[name])
        for name, parameter in signature.parameters.items()
        if name not in groups
    ]
    parts = [
        _parameter(group, field) for group in groups.values() for field in fields(group) if field.name not in without
    ]
    wrapper.__signature__ = inspect.Signature([*plain, *parts])  # type: ignore[attr-defined]
    wrapper.__annotations__ = {parameter.name: parameter.annotation for parameter in (*plain, *parts)}
    return wrapper


def _parameter(group: type, field: Field) -> inspect.Parameter:
    hint = get_type_hints(group, include_extras=True)[field.name]
    default = inspect.Parameter.empty if field.default is MISSING else field.default
    return inspect.Parameter(field.name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=hint)


def default_dataset(checkpoint: str, command: str) -> str:
    """The sample data for the sample's checkpoints; UsageError for any other, whose dataset must be named."""
    if checkpoint.startswith("sample:"):
        return "sample"
    raise UsageError(f"which dataset is {checkpoint} to be evaluated on? as in: segablate {command} folder:DIR")


def _numbers(option: str, text: str | None, count: int) -> list[float] | None:
    if text is None:
        return None
    try:
        values = [float(part) for part in text.split(",")]
    except ValueError:
        values = []
    if len(values) != count:
        raise UsageError(f"{option} is {text!r}, but must be {count} numbers with commas, as in 0.485,0.456,0.406")
    return values


def _size(option: str, text: str | None) -> list[int] | None:
    if text is None:
        return None
    sides = text.lower().split("x")
    if len(sides) != 2 or not all(side.isdigit() and int(side) > 0 for side in sides):
        raise UsageError(f"{option} is {text!r}, but must be HEIGHTxWIDTH, as in 512x1024")
    return [int(side) for side in sides]


def _side_or_size(option: str, text: str | None) -> tuple[int, int] | None:
    """``512`` for a square, or ``512x1024``."""
    if text is None:
        return None
    sides = text.lower().split("x")
    if len(sides) > 2 or not all(side.isdigit() and int(side) > 0 for side in sides):
        raise UsageError(f"{option} is {text!r}, but must be a side in pixels, as in 512, or HEIGHTxWIDTH")
    return int(sides[0]), int(sides[-1])


def _read_class_map(path: Path | None) -> dict[str, str | None] | None:
    if path is None:
        return None
    import yaml

    try:
        mapping = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise UsageError(f"--class-map {path} cannot be read: {' '.join(str(error).split())}") from None
    if not isinstance(mapping, dict):
        raise UsageError(f"--class-map {path} must map checkpoint classes to dataset classes, as in road: road")
    return {str(name): None if target is None else str(target) for name, target in mapping.items()}
