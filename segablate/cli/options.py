"""Options that several commands share, as groups: a command takes a group, the command line has its fields."""

import functools
import inspect
from collections.abc import Callable, Collection
from dataclasses import MISSING, Field, dataclass, fields, is_dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, get_type_hints

import typer

from segablate.cli.completion import loss_list
from segablate.errors import UsageError, at

if TYPE_CHECKING:
    from segablate.checkpoints import Loading
    from segablate.datasets import Dataset
    from segablate.evaluation.session import Execution, Request
    from segablate.metrics.tolerance import Tolerance


def _option(help: str, panel: str, *names: str, **more: Any) -> Any:
    return typer.Option(*names, help=help, rich_help_panel=panel, show_default=more.pop("show_default", True), **more)


LabelSize = Literal["image", "label", "refuse"]
LABEL_SIZE = "Size at which an image and a label map of another size meet; by default label, for equal proportions."

_IMAGES, _MEASURES, _CHECKPOINT, _RUNNING, _OUTPUT = "Images", "Measures", "Checkpoint", "Running", "Output"


@dataclass(frozen=True)
class DatasetOptions:
    """Options that select the images and classes of a dataset."""

    split: Annotated[str | None, _option("Split of the dataset; by default the layout's, usually val.", _IMAGES)] = None
    limit: Annotated[int | None, _option("Evaluate N evenly spaced images.", _IMAGES, min=1)] = None
    images: Annotated[Path | None, _option("Text file of the images to use, one name per line.", _IMAGES)] = None
    label_size: Annotated[
        LabelSize | None,
        _option(
            LABEL_SIZE,
            _IMAGES,
            show_default=False,
        ),
    ] = None
    classes: Annotated[
        Path | None, _option("YAML file that merges or renames classes, e.g. vehicle: [car, truck].", _IMAGES)
    ] = None

    def open(self, spec: str) -> "Dataset":
        """Open the dataset at its split, with merged classes and the selected images."""
        from segablate.datasets import open_dataset
        from segablate.datasets.lists import read_list
        from segablate.datasets.merging import merge_classes

        dataset = open_dataset(spec, self.split).meeting_at(self.label_size)
        if self.classes is not None:
            dataset = merge_classes(dataset, self.classes)
        if self.images is not None:
            dataset = dataset.only(read_list(self.images), str(self.images))
        return dataset.evenly(self.limit) if self.limit is not None else dataset


@dataclass(frozen=True)
class ReadingOptions:
    """Options of how counts are read."""

    tolerance: Annotated[
        str | None,
        _option(
            "Comma-separated boundary tolerances: pixels (3), shares of the diagonal (0.0075d), or none; by default 3, "
            "for saved runs their own.",
            _MEASURES,
        ),
    ] = None
    void_as_error: Annotated[
        bool, _option("Count predictions on void pixels as false positives.", _MEASURES, "--void-as-error")
    ] = False

    @property
    def tolerances(self) -> "tuple[Tolerance, ...]":
        """The boundary tolerances. Raises KnobError for a malformed one."""
        from segablate.metrics.tolerance import Tolerance

        text = self.tolerance or "3"
        return () if text == "none" else tuple(Tolerance.parse(part) for part in text.split(","))


@dataclass(frozen=True)
class MeasureOptions(ReadingOptions):
    """Options of what is measured, and how counts are read."""

    losses: Annotated[
        str | None,
        _option(
            'Comma-separated losses, "all" or "none"; by default ce where there are logits.',
            _MEASURES,
            autocompletion=loss_list,
        ),
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
        _option("Add boundary IoU in a band of this width: pixels, or 0.02d, the authors' choice.", _MEASURES),
    ] = None
    error_kinds: Annotated[
        str | None,
        _option(
            "Add wrong pixels by kind, for boundaries of this width: pixels (at least 1), or 0.01d as the authors.",
            _MEASURES,
        ),
    ] = None

    @property
    def request(self) -> "Request":
        """The measures to take. Raises KnobError for a malformed width."""
        from segablate.evaluation.session import Request
        from segablate.metrics.tolerance import Tolerance

        band, near = (
            None if text in (None, "none") else Tolerance.parse(text) for text in (self.boundary_iou, self.error_kinds)
        )
        return Request(self.losses, self.tolerances, self.calibration, band, near)


@dataclass(frozen=True)
class RunningOptions:
    """Options of the execution."""

    device: Annotated[str, _option("Device: auto, cpu, cuda, cuda:N or mps.", _RUNNING)] = "auto"
    precision: Annotated[
        Literal["fp32", "bf16", "fp16"], _option("Precision of the network; losses and counts stay exact.", _RUNNING)
    ] = "fp32"
    batch_size: Annotated[int, _option("Number of images of one size in a batch.", _RUNNING, min=1)] = 4
    workers: Annotated[
        int | None,
        _option("Number of threads or processes that read images; by default one per core.", _RUNNING, min=0),
    ] = None
    on_error: Annotated[
        Literal["stop", "skip"],
        _option("At an unreadable image, stop the run, or skip the image and name it.", _RUNNING),
    ] = "stop"

    @property
    def execution(self) -> "Execution":
        """The execution of the evaluation, with a progress bar."""
        from segablate.datasets.reading import default_workers
        from segablate.evaluation.session import Execution
        from segablate.render import progress

        workers = default_workers() if self.workers is None else self.workers
        return Execution(self.batch_size, workers, self.on_error, progress)


@dataclass(frozen=True)
class CacheOptions:
    """Options of the cache of evaluations."""

    no_cache: Annotated[
        bool, _option("Measure again, even if nothing has changed since the last evaluation.", _RUNNING, "--no-cache")
    ] = False


@dataclass(frozen=True)
class TrustOptions:
    """Options on code that checkpoints hold."""

    trust_code: Annotated[
        bool,
        _option(
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

    channels: Annotated[str | None, _option("rgb, bgr, grey, or bands of the image by number: 4,3,2.", _CHECKPOINT)] = (
        None
    )
    scale: Annotated[str | None, _option("Factor for pixels of 0..255, e.g. 1/255.", _CHECKPOINT)] = None
    mean: Annotated[str | None, _option("Comma-separated mean of each channel.", _CHECKPOINT)] = None
    std: Annotated[str | None, _option("Comma-separated standard deviation of each channel.", _CHECKPOINT)] = None
    normalise: Annotated[
        Literal["imagenet", "none", "0.5"] | None,
        _option("Mean and std by name: imagenet, none, or 0.5 for both.", _CHECKPOINT),
    ] = None
    divisor: Annotated[float | None, _option("Divisor applied after mean and std.", _CHECKPOINT)] = None
    resize: Annotated[str | None, _option("Size of the network's input, as HEIGHTxWIDTH.", _CHECKPOINT)] = None
    pad_to_multiple: Annotated[int | None, _option("Pad both sides to a multiple of this.", _CHECKPOINT)] = None
    window: Annotated[str | None, _option("Sliding window, as SIDE or HEIGHTxWIDTH.", _CHECKPOINT)] = None
    stride: Annotated[
        str | None, _option("Stride of the window; by default two thirds of the window.", _CHECKPOINT)
    ] = None
    flip: Annotated[
        Literal["horizontal", "vertical", "both", "none"] | None,
        _option("Average logits with those of the mirrored image; horizontal where no value follows.", _CHECKPOINT),
    ] = None
    quarter_turns: Annotated[
        bool | None,
        _option(
            "Average logits with those of the image turned by quarters.",
            _CHECKPOINT,
            "--quarter-turns/--no-quarter-turns",
            show_default=False,
        ),
    ] = None
    threshold: Annotated[
        float | None, _option("Probability above which a pixel is of the second of two classes.", _CHECKPOINT)
    ] = None
    output: Annotated[
        Literal["softmax", "sigmoid", "probabilities", "labels"] | None,
        _option("Kind of the network's output.", _CHECKPOINT),
    ] = None
    head: Annotated[str | None, _option("One of several outputs, by name or by place from 0.", _CHECKPOINT)] = None
    class_map: Annotated[
        Path | None, _option("YAML file that maps checkpoint classes to dataset classes.", _CHECKPOINT)
    ] = None
    key: Annotated[str | None, _option("Key path to the weights, e.g. model.state_dict.", _CHECKPOINT)] = None
    strip_prefix: Annotated[str | None, _option("Prefix to remove from the keys of the weights.", _CHECKPOINT)] = None
    allow_download: Annotated[
        bool, _option("Let a library download missing files from its hub.", _CHECKPOINT, "--allow-download")
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


@dataclass(frozen=True)
class OutputOptions:
    """Options of the output."""

    format: Annotated[
        Literal["rich", "markdown", "csv", "json", "latex"],
        _option("Format of the output.", _OUTPUT, case_sensitive=False),
    ] = "rich"
    wide: Annotated[bool, _option("Print all columns, however wide.", _OUTPUT, "--wide")] = False


@dataclass(frozen=True)
class ResultOptions(OutputOptions):
    """Options of the output of results of runs."""

    brief: Annotated[
        bool, _option("Print the headline and the classes alone; without classes, the first table.", _OUTPUT, "--brief")
    ] = False


def expanded(command: Callable[..., None], without: Collection[str] = ()) -> Callable[..., None]:
    """Return a command with the fields of option groups as parameters in place of the groups.

    Fields named in `without` are not options of this command and keep their defaults.
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


def default_dataset(checkpoint: str, usage: str) -> str:
    """Return the sample data for the sample checkpoints; UsageError for any other, whose dataset must be given."""
    if checkpoint.startswith("sample:"):
        return "sample"
    raise UsageError(f"No dataset given for {checkpoint}. Usage: segablate {usage}")


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
