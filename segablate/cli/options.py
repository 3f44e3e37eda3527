"""Options that several commands share, as groups: a command takes a group, the command line has its fields."""

import functools
import inspect
from collections.abc import Callable, Collection
from dataclasses import MISSING, Field, dataclass, fields, is_dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, get_type_hints

import typer

from segablate.cli.completion import loss_list
from segablate.errors import UsageError

if TYPE_CHECKING:
    from segablate.datasets import Dataset
    from segablate.evaluation.session import Execution, Request
    from segablate.metrics.tolerance import Tolerance


def option(help: str, panel: str, *names: str, **more: Any) -> Any:
    """Return an option in a panel of the help; `more` as of ``typer.Option``."""
    return typer.Option(*names, help=help, rich_help_panel=panel, show_default=more.pop("show_default", True), **more)


def split_name(param: typer.CallbackParam, name: str | None) -> str | None:
    """Return the name of a split; UsageError for an empty one, which would be the default split."""
    if name is not None and not name.strip():
        raise UsageError(f"{param.opts[0]} is {name!r}, but must be the name of a split")
    return name


LabelSize = Literal["label", "image", "refuse"]
LABEL_SIZE = "Size at which an image and a label map of another size meet; by default label, for equal proportions."

_IMAGES, _MEASURES, _RUNNING, _OUTPUT = "Images", "Measures", "Running", "Output"


@dataclass(frozen=True)
class DatasetOptions:
    """Options that select the images and classes of a dataset."""

    split: Annotated[
        str | None, option("Split of the dataset; by default the layout's, usually val.", _IMAGES, callback=split_name)
    ] = None
    limit: Annotated[int | None, option("Evaluate N evenly spaced images.", _IMAGES, min=1)] = None
    images: Annotated[Path | None, option("Text file of the images to use, one name per line.", _IMAGES)] = None
    label_size: Annotated[
        LabelSize | None,
        option(
            LABEL_SIZE,
            _IMAGES,
            show_default=False,
        ),
    ] = None
    classes: Annotated[
        Path | None, option("YAML file that merges or renames classes, e.g. vehicle: [car, truck].", _IMAGES)
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
        option(
            "Comma-separated boundary tolerances: pixels (3), shares of the diagonal (0.0075d), or none; by default 3, "
            "for saved runs their own.",
            _MEASURES,
        ),
    ] = None
    void_as_error: Annotated[
        bool, option("Count predictions on void pixels as false positives.", _MEASURES, "--void-as-error")
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
        option(
            'Comma-separated losses, "all" or "none"; by default ce where there are logits.',
            _MEASURES,
            autocompletion=loss_list,
        ),
    ] = None
    calibration: Annotated[
        bool | None,
        option(
            "Calibration: ECE, Brier score, NLL; by default where there are logits.",
            _MEASURES,
            "--calibration/--no-calibration",
            show_default=False,
        ),
    ] = None
    boundary_iou: Annotated[
        str | None,
        option("Add boundary IoU in a band of this width: pixels, or 0.02d, the authors' choice.", _MEASURES),
    ] = None
    error_kinds: Annotated[
        str | None,
        option(
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

    device: Annotated[str, option("Device: auto, cpu, cuda, cuda:N or mps.", _RUNNING)] = "auto"
    precision: Annotated[
        Literal["fp32", "bf16", "fp16"], option("Precision of the network; losses and counts stay exact.", _RUNNING)
    ] = "fp32"
    batch_size: Annotated[int, option("Number of images of one size in a batch.", _RUNNING, min=1)] = 4
    workers: Annotated[
        int | None,
        option("Number of threads or processes that read images; by default one per core.", _RUNNING, min=0),
    ] = None
    on_error: Annotated[
        Literal["stop", "skip"],
        option("At an unreadable image, stop the run, or skip the image and name it.", _RUNNING),
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
        bool, option("Measure again, even if nothing has changed since the last evaluation.", _RUNNING, "--no-cache")
    ] = False


@dataclass(frozen=True)
class OutputOptions:
    """Options of the output."""

    format: Annotated[
        Literal["rich", "markdown", "csv", "json", "latex"],
        option("Format of the output.", _OUTPUT, case_sensitive=False),
    ] = "rich"
    wide: Annotated[bool, option("Print all columns, however wide.", _OUTPUT, "--wide")] = False


@dataclass(frozen=True)
class ResultOptions(OutputOptions):
    """Options of the output of results of runs."""

    brief: Annotated[
        bool,
        option("Print the headline, the classes and the notes; without classes, the first table.", _OUTPUT, "--brief"),
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


def count_or_all(option: str, text: str, otherwise: str = "") -> int | None:
    """Parse a number of images; None: all. UsageError for anything else, with what to do `otherwise`."""
    if text == "all":
        return None
    if not text.isdecimal() or int(text) < 1:
        raise UsageError(f"{option} is {text!r}, but must be a number from 1 on, or all{otherwise}")
    return int(text)
