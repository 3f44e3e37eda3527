"""``segablate search``: the way from its options to a file of parameters and a table."""

import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import typer

from segablate.cli.checkpoint_options import CheckpointOptions
from segablate.cli.invocation import command_line
from segablate.cli.locking import lock_output
from segablate.cli.options import DatasetOptions, ResultOptions, RunningOptions, default_dataset
from segablate.cli.search_options import SearchOptions
from segablate.cli.training_runs import at_once, recipe_of, refuse_leak, run_with_progress, same_classes, seeds_of
from segablate.errors import Interrupted, RunError, SegablateError, UsageError, counted, fact
from segablate.files import is_file

if TYPE_CHECKING:
    from segablate.datasets import Dataset
    from segablate.search.plan import Search
    from segablate.search.retraining import Retrained
    from segablate.search.running import Found
    from segablate.search.space import Space
    from segablate.tables import Report
    from segablate.training.sweep import Sweep

REPORT, RETRAINED = "report", "retrained"
"""The folders, in that of a search, with its report and with the trainings with the surrogate found."""


def search_surrogate(
    metric: str,
    network: str,
    dataset: str | None,
    options: SearchOptions,
    images: DatasetOptions,
    checkpoints: CheckpointOptions,
    running: RunningOptions,
    output: ResultOptions,
) -> None:
    """Search, write the parameters, train again with them and others, and print the tables."""
    from segablate.comparison.pairing import clusters
    from segablate.render import print_report
    from segablate.search.plan import PLAN, metric_named
    from segablate.search.rewards import check_holdout
    from segablate.search.running import open_search, run_search
    from segablate.search.writing import write_theta
    from segablate.tables.search import search_report
    from segablate.training.feature_files import remove_features

    space = metric_named(metric)
    place = dataset or default_dataset(network, f"search {metric} {network} DATASET")
    folder = options.save or _folder(metric, network, options)
    _refuse_early(options)
    lock_output(folder)
    reported = images.open(place)
    if options.group_by is not None:
        clusters(reported.names, options.group_by)  # refused now, not after the search
    proxy = _proxy(space.metric, network, place, reported, options, images, checkpoints, running)
    search = _search(space, options, replace(proxy, features=folder))
    notes = check_holdout(space.metric, search.proxy.reported)
    begun = is_file(folder / PLAN)
    open_search(search, folder)
    with _removed_where_refused(folder, begun):
        _state_cost(search, folder, options)

    def run(sweep: "Sweep", its_folder: Path, title: str) -> None:
        run_with_progress(sweep, its_folder, options.training(sweep.request.part, None), title)

    found = run_search(search, folder, run, (*notes, *_about_background(search)))
    retraining = _retraining(found, place, reported, folder, options, images)
    file = write_theta(found, folder, command_line())
    retrained = None if retraining is None else _retrained(found, retraining, folder, options)
    remove_features(folder)
    report = search_report(found, folder, retrained)
    _keep(report, found, reported, folder)
    if options.plot is not None:
        from segablate.plots.search import draw_surrogates

        draw_surrogates(found, options.plot)
    print_report(report, output.format, wide=output.wide, brief=output.brief)
    theta = f'"{file}"' if re.search("[,()]", str(file)) else file
    trained = f"segablate train --objective 'asl(metric={space.metric}, theta={theta})'"
    typer.echo(f"{file} written; {trained} trains with it", err=True)


@contextmanager
def _removed_where_refused(folder: Path, begun: bool) -> Iterator[None]:
    """Remove the folder of a search that is refused before anything is trained, unless it was `begun` before."""
    try:
        yield
    except SegablateError:
        if not begun:
            shutil.rmtree(folder, ignore_errors=True)
        raise
    except KeyboardInterrupt:
        raise Interrupted(f"interrupted; {folder} holds the plan of the search; the same command goes on") from None


def _refuse_early(options: SearchOptions) -> None:
    from segablate.metrics.tolerance import Tolerance

    Tolerance.parse(options.boundary_tolerance)
    if options.seeds != "0":
        seeds_of(options.seeds)
    if options.plot is not None:
        from segablate.plots import require_drawing

        require_drawing(options.plot)


def _search(space: "Space", options: SearchOptions, proxy: "Sweep") -> "Search":
    from segablate.search.plan import Search
    from segablate.search.samplers import sampler_named

    search = Search(space, options.sampler, options.rounds, options.samples, options.seed, proxy)
    sampler_named(options.sampler)(search.design, ())  # refused now, not after the features are computed
    return search


def _proxy(
    metric: str,
    network: str,
    place: str,
    reported: "Dataset",
    options: SearchOptions,
    images: DatasetOptions,
    checkpoints: CheckpointOptions,
    running: RunningOptions,
) -> "Sweep":
    """Return the sweep of proxies, without settings, reported on the hold-out."""
    from segablate.render import summary_of
    from segablate.search.rewards import counts_of
    from segablate.training.recipe import refuse_code
    from segablate.training.request import TrainingRequest, split_holdout
    from segablate.training.sweep import Sweep

    data, holdout = split_holdout(place, options.train_split, options.holdout, images.label_size)
    if holdout is None:
        raise UsageError("--holdout is 0, but rewards need images that are not trained on; pass a share, as in 0.2")
    if holdout.split == data.split and set(holdout.names) & set(data.names):
        raise UsageError(f"--holdout is split {data.split!r}, which is trained on; pass a share, as in 0.2")
    data, holdout = same_classes(data, images), same_classes(holdout, images)
    refuse_leak(data, reported)
    refuse_leak(holdout, reported, "held out for the rewards", "--holdout")
    part = _part(network, options)
    recipe, loading = recipe_of(options.training(part, options.steps)), checkpoints.loading(running)
    refuse_code(recipe, loading.trust_code)
    request = TrainingRequest(network, data, recipe.recipe, options.seed, part=part, loading=loading)
    return Sweep((), (options.seed,), request, holdout, (), options.threads, summary_of, counts=counts_of(metric))


def _part(network: str, options: SearchOptions) -> Literal["head", "full"]:
    from segablate.checkpoints import is_new_network

    return options.part or ("full" if is_new_network(network) else "head")


def _state_cost(search: "Search", folder: Path, options: SearchOptions) -> None:
    """Measure a step and print what the search costs, unless all its rounds have ended."""
    from segablate.search.plan import AUTHORS
    from segablate.search.running import is_logged
    from segablate.training.ablation import step_seconds

    if is_logged(folder, search):
        return
    sweep = search.round([search.space.theta(search.space.start())])
    request, held = sweep.request, sweep.reported
    steps = request.recipe.total(len(request.dataset))
    seconds = step_seconds(sweep, folder)
    parallel = at_once(sweep, options.training(request.part, steps))
    total = search.rounds * -(-search.samples // parallel) * steps * seconds
    typer.echo(
        f"{search.length} (the authors: {AUTHORS}), {parallel} at a time, {seconds:.3g} s a step: about {_time(total)} "
        f"of steps; besides, {counted(search.rounds * search.samples, 'evaluation')} of {counted(len(held), 'image')}",
        err=True,
    )


def _time(seconds: float) -> str:
    if seconds < 120:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"


def _retraining(
    found: "Found", place: str, reported: "Dataset", folder: Path, options: SearchOptions, images: DatasetOptions
) -> "Sweep | None":
    """Return the trainings with each surrogate on the whole train split, under each seed; None where there are none.

    RunError where the folder holds others.
    """
    from segablate.datasets import open_dataset
    from segablate.metrics.tolerance import Tolerance
    from segablate.search.retraining import settings_of
    from segablate.training.sweep import open_sweep

    if options.seeds == "0":
        return None
    proxy = found.search.proxy
    how = options.training(proxy.request.part, options.retrain_steps)
    data = same_classes(open_dataset(place, options.train_split).meeting_at(images.label_size), images)
    sweep = replace(
        proxy,
        settings=settings_of(found),
        seeds=seeds_of(options.seeds),
        request=replace(proxy.request, dataset=data, recipe=recipe_of(how).recipe),
        reported=reported,
        tolerances=(Tolerance.parse(options.boundary_tolerance),),
    )
    its_folder = folder / RETRAINED
    try:
        open_sweep(its_folder, sweep)
    except RunError as error:
        raise RunError(f"{fact(error)}; remove {its_folder} to train again, the search is kept") from None
    return sweep


def _retrained(found: "Found", sweep: "Sweep", folder: Path, options: SearchOptions) -> "Retrained":
    """Run these trainings, and compare them."""
    from segablate.search.retraining import gather_retrained

    how = options.training(sweep.request.part, options.retrain_steps)
    run_with_progress(sweep, folder / RETRAINED, how, "training again")
    return gather_retrained(found, sweep, folder / RETRAINED, options.group_by)


def _about_background(search: "Search") -> tuple[str, ...]:
    """Say which class biou and bf1 leave out, and what they do to other metrics."""
    if search.metric not in ("biou", "bf1"):
        return ()
    first = search.proxy.reported.labels.names[0]
    return (
        f"the reward leaves out the edges of class 0 ({first}), the background of the authors",
        f"a surrogate of {search.metric} alone spoils the ordinary metrics: train with it and that of miou, 1 to 1",
    )


def _keep(report: "Report", found: "Found", reported: "Dataset", folder: Path) -> None:
    """Save the report in the folder of the search, in place of that of an earlier call."""
    from segablate.evaluation.runs import save_report
    from segablate.tables.stored import to_plain

    facts = {
        "checkpoint": {"name": found.search.proxy.request.network},
        "dataset": {"name": reported.spec, "split": reported.split, "images": len(reported)},
        "metric": found.search.metric,
        "theta": list(found.theta),
        "command": command_line(),
    }
    place = folder / REPORT
    shutil.rmtree(place, ignore_errors=True)
    save_report("search", to_plain(report), facts, place, {})


def _folder(metric: str, network: str, options: SearchOptions) -> Path:
    words = ["search", metric, network, *([options.sampler] if options.sampler != "policy" else [])]
    return Path("runs", "-".join(re.sub(r"[^A-Za-z0-9.]+", "_", word).strip("_") for word in words))
