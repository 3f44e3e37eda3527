"""What commands share that train cells: the recipe, the seeds, the splits, and running with a progress bar."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from segablate.cli.options import DatasetOptions
from segablate.cli.trained_options import TrainedOptions
from segablate.errors import Interrupted, UsageError
from segablate.files import is_file

if TYPE_CHECKING:
    from segablate.datasets import Dataset
    from segablate.training.recipe import SourcedRecipe
    from segablate.training.sweep import Sweep

_STEPS_OF_HEAD, _STEPS_OF_ALL = 100, 1000


def same_classes(data: "Dataset", images: DatasetOptions) -> "Dataset":
    """Return a split with its classes merged as those of the split that is reported."""
    from segablate.datasets.merging import merge_classes

    return data if images.classes is None else merge_classes(data, images.classes)


def refuse_leak(data: "Dataset", reported: "Dataset", use: str = "trained on", option: str = "--train-split") -> None:
    """Raise UsageError for a split that is used before the report, and reported on."""
    if set(data.names) & set(reported.names) and data.split == reported.split:
        raise UsageError(f"split {data.split!r} is {use} and reported on; pass --split or {option}")


def recipe_of(options: TrainedOptions) -> "SourcedRecipe":
    """Return the recipe of trainings: the one named, with the fields and steps that options state."""
    from segablate.training.recipe import HEAD_RATE, SourcedRecipe, open_recipe, parse_field, recipe_fields

    found = open_recipe(options.recipe) if options.recipe else SourcedRecipe("options")
    values: dict[str, Any] = {}
    for text in options.set_ or []:
        name, sign, value = text.partition("=")
        if not sign or name not in recipe_fields():
            from segablate.errors import did_you_mean

            raise UsageError(f"--set {text!r}: write FIELD=VALUE{did_you_mean(name, recipe_fields())}")
        values[name] = parse_field(name, value)
    if options.steps is not None:
        values["steps"] = options.steps
    elif "steps" not in values and "epochs" not in values and not options.recipe:
        values["steps"] = _STEPS_OF_HEAD if options.train == "head" else _STEPS_OF_ALL
    if options.train == "head" and not options.recipe:
        values.setdefault("rate", HEAD_RATE)
    return found.overridden(values)


def seeds_of(text: str) -> tuple[int, ...]:
    """Return the seeds that --seeds means: that many from 0 on, or those listed. UsageError for another text."""
    parts = text.split(",")
    if not all(part.strip().isdigit() for part in parts):
        raise UsageError(
            f"--seeds is {text!r}, but must be a number of seeds, or comma-separated seeds, as in 3 or 0,1,2"
        )
    numbers = tuple(int(part) for part in parts)
    if len(numbers) == 1 and "," not in text:
        if numbers[0] < 1:
            raise UsageError("--seeds is 0, but at least one training is needed")
        return tuple(range(numbers[0]))
    if len(set(numbers)) < len(numbers):
        raise UsageError(f"--seeds is {text!r}: name every seed once")
    return numbers


def run_with_progress(sweep: "Sweep", folder: Path, options: TrainedOptions, title: str = "training") -> int:
    """Run the cells of a sweep that are missing, or a share of them; return how many of all are then missing."""
    from segablate.render import progress
    from segablate.training.ablation import SweepExecution, run_sweep
    from segablate.training.cells import result_of
    from segablate.training.engines import EngineOptions
    from segablate.training.sweep import PLAN, share_of

    cells = share_of(sweep.cells, options.cells) if options.cells else sweep.cells
    done = sum(result_of(folder, cell) is not None for cell in cells) if is_file(folder / PLAN) else 0
    engine = EngineOptions(options.processes, options.ray_address)
    with progress(len(cells), title, unit="trainings") as advance:
        advance(done)
        execution: SweepExecution = SweepExecution(
            folder, options.cells, options.engine, engine, lambda count, result: advance(1)
        )
        try:
            return run_sweep(sweep, execution)
        except KeyboardInterrupt:
            raise Interrupted(f"interrupted; {folder} holds what was trained; the same command goes on") from None


def at_once(sweep: "Sweep", options: TrainedOptions) -> int:
    """Return how many trainings run at once on this machine."""
    from segablate.training.engines.local import devices_of

    return options.processes or len(devices_of(sweep))
