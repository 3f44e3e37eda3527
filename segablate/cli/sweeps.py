"""``ablate LOSS --train``: the way from its options to a table."""

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from segablate.cli.checkpoint_options import CheckpointOptions
from segablate.cli.options import DatasetOptions, ResultOptions, RunningOptions, default_dataset
from segablate.cli.output import printing_after
from segablate.cli.supervision import labelled
from segablate.cli.trained import keep_trained, write_page_of_trained
from segablate.cli.trained_options import TrainedOptions, TrainedRequest
from segablate.cli.training_runs import at_once, recipe_of, refuse_leak, run_with_progress, same_classes, seeds_of
from segablate.errors import UsageError, counted, thousands
from segablate.files import is_file

if TYPE_CHECKING:
    from segablate.training.planning import Row
    from segablate.training.sweep import Sweep

_FEWEST_STEPS = 10


def ablate_trained(
    asked: TrainedRequest,
    options: TrainedOptions,
    images: DatasetOptions,
    checkpoints: CheckpointOptions,
    running: RunningOptions,
    output: ResultOptions,
) -> None:
    """Train every setting under every seed, evaluate, and print the table."""
    from segablate.render import print_report
    from segablate.tables.trained import trained_report
    from segablate.training.ablation import fixed_ablation, gather, missing_note

    rows = _rows(asked, options)
    sweep = _sweep(asked, rows, options, images, checkpoints, running)
    folder = asked.save or _folder(asked, options)
    if asked.plot is not None:
        from segablate.plots import require_drawing

        require_drawing(asked.plot)
    sweep = _within_budget(sweep, folder, options)
    missing = run_with_progress(sweep, folder, options)
    if missing:
        typer.echo(missing_note(missing, len(sweep.cells), folder))
        return
    fixed = fixed_ablation(asked.loss, rows, sweep, asked.tolerance, running.execution, asked.gradient_images)
    group_by, per_class = options.group_by, asked.per_class
    found = gather(asked.loss, rows, sweep, folder, fixed, asked.tolerance, group_by, per_class)
    report = trained_report(found, folder)
    with printing_after(lambda: print_report(report, output.format, wide=output.wide, brief=output.brief)):
        if asked.plot is not None:
            from segablate.plots import draw_trainings

            draw_trainings(found.comparison, asked.plot)
        keep_trained(report, found, folder)
        if asked.page is not None:
            write_page_of_trained(report, found, asked.page, checkpoints.loading(running))


def _rows(asked: TrainedRequest, options: TrainedOptions) -> "tuple[Row, ...]":
    from segablate.ablation.sweep import plan_settings
    from segablate.objective.weighted_sum import parse_objective
    from segablate.training.planning import ceiling, plan_rows, refuse_untrained, split_objectives

    loss = asked.loss
    given = {name: loss.knobs[name].parse_list(text, as_option=True) for name, text in asked.knobs.items()}
    beside = options.weight is not None or options.against is not None
    settings = plan_settings(loss, given, asked.every, training=True) if given or asked.every or not beside else ()
    settings = settings or plan_settings(loss, {next(iter(loss.knobs), ""): ()} if loss.knobs else {}, training=True)
    objective = parse_objective(asked.objective or loss.objective)
    against = split_objectives(options.against) if options.against else []
    rows = plan_rows(loss, settings, objective, _numbers("--weight", options.weight), against)
    if options.train == "head":
        refuse_untrained(rows)
    return (*rows, ceiling(rows[0])) if options.ceiling else rows


def _sweep(
    asked: TrainedRequest,
    rows: "tuple[Row, ...]",
    options: TrainedOptions,
    images: DatasetOptions,
    checkpoints: CheckpointOptions,
    running: RunningOptions,
) -> "Sweep":
    from segablate.datasets import open_dataset
    from segablate.render import summary_of
    from segablate.training.recipe import refuse_code
    from segablate.training.request import TrainingRequest
    from segablate.training.sweep import Sweep

    place = asked.dataset or default_dataset(asked.checkpoint, f"ablate {asked.loss.name} {asked.checkpoint}")
    reported = images.open(place)
    data = same_classes(open_dataset(place, options.train_split).meeting_at(images.label_size), images)
    refuse_leak(data, reported)
    recipe, loading = recipe_of(options), checkpoints.loading(running)
    refuse_code(recipe, loading.trust_code)
    part = options.train or "head"
    given, labels = labelled(data, options.labels, running)
    request = TrainingRequest(
        asked.checkpoint,
        given,
        recipe.recipe,
        part=part,
        keep_head=options.keep_head,
        loading=loading,
        labels=labels,
    )
    trained = tuple(row.trained for row in rows)
    tolerances, full = (asked.tolerance,), data if options.ceiling else None
    return Sweep(trained, seeds_of(options.seeds), request, reported, tolerances, options.threads, summary_of, full)


def _within_budget(sweep: "Sweep", folder: Path, options: TrainedOptions) -> "Sweep":
    """The sweep with as many steps as the budget allows. Measures a step, and says what fits before it starts."""
    from segablate.training.ablation import step_seconds
    from segablate.training.sweep import PLAN, read_plan

    if options.budget is None:
        return sweep
    if is_file(folder / PLAN):  # the steps are planned already
        return _with_steps(sweep, int(read_plan(folder)["recipe"]["steps"]))
    seconds = _seconds(options.budget)
    folder.mkdir(parents=True, exist_ok=True)
    step = step_seconds(sweep, folder)
    cells, parallel = len(sweep.cells), at_once(sweep, options)
    rounds = -(-cells // parallel)
    wanted = sweep.request.recipe.total(len(sweep.request.dataset))
    steps = min(int(seconds / rounds / step), wanted)
    disk = cells * _bytes(sweep) / 2**20
    typer.echo(
        f"{counted(len(sweep.settings), 'setting')} × {counted(len(sweep.seeds), 'seed')}, {parallel} at a time, "
        f"{step:.3g} s a step: {thousands(steps)} of {counted(wanted, 'step')} each fit into {options.budget}; about "
        f"{disk:.0f} MiB on disk",
        err=True,
    )
    if steps < _FEWEST_STEPS:
        raise UsageError(
            f"--budget {options.budget} leaves {counted(steps, 'step')} for each of {counted(cells, 'training')}; ask "
            f"for fewer settings or seeds, or for at least {rounds * step * _FEWEST_STEPS / 60:.0f}m"
        )
    return _with_steps(sweep, steps)


def _with_steps(sweep: "Sweep", steps: int) -> "Sweep":
    recipe = replace(sweep.request.recipe, steps=steps, epochs=None)
    return replace(sweep, request=replace(sweep.request, recipe=recipe))


def _folder(asked: TrainedRequest, options: TrainedOptions) -> Path:
    import re

    labels = [] if options.labels == "full" else [Path(options.labels).name]
    words = ["ablate", asked.loss.name, asked.checkpoint, options.train or "head", *labels]
    return Path("runs", "-".join(re.sub(r"[^A-Za-z0-9.]+", "_", word).strip("_") for word in words))


def _numbers(option: str, text: str | None) -> tuple[float, ...]:
    if text is None:
        return ()
    try:
        return tuple(float(part) for part in text.split(","))
    except ValueError:
        raise UsageError(f"{option} is {text!r}, but must be comma-separated numbers, as in 0.1,0.3,1") from None


def _seconds(text: str) -> float:
    import re

    found = re.fullmatch(r"(\d+(?:\.\d+)?)\s*(s|m|h|min)?", text.strip())
    if not found:
        raise UsageError(f"--budget is {text!r}, but must be a time such as 90s, 30m or 2h")
    return float(found[1]) * {"s": 1, "m": 60, "min": 60, "h": 3600, None: 60}[found[2]]


def _bytes(sweep: "Sweep") -> int:
    """About what a cell leaves on disk: its weights, and while it runs two states of three times their size."""
    from segablate.training.ablation import weights_bytes

    return 2 * 3 * weights_bytes(sweep)
