"""``segablate search``: Auto Seg-Loss's search for the surrogate loss of a metric."""

from typing import Annotated

import typer

from segablate.cli.arguments import OptionalDataset, expand
from segablate.cli.checkpoint_options import CheckpointOptions
from segablate.cli.completion import metrics, networks
from segablate.cli.configuration import ConfigOptions
from segablate.cli.options import DatasetOptions, ResultOptions, RunningOptions
from segablate.cli.search_options import SearchOptions
from segablate.cli.searching import search_surrogate
from segablate.cli.swapped import refuse_swapped

_METRIC = typer.Argument(help="Metric: miou, fwiou, biou, bf1, macc or gacc.", autocompletion=metrics)
_NETWORK = typer.Argument(help="A checkpoint, or a network without weights.", callback=expand, autocompletion=networks)


def search(
    ctx: typer.Context,
    metric: Annotated[str, _METRIC],
    network: Annotated[str, _NETWORK] = "sample:ce",
    dataset: OptionalDataset = None,
    *,
    searching: SearchOptions,
    images: DatasetOptions,
    checkpoints: CheckpointOptions,
    running: RunningOptions,
    output: ResultOptions,
    configuring: ConfigOptions,
) -> None:
    """Search the surrogate loss of a metric (Auto Seg-Loss): the curves with which training reaches the most of it.

    Rewards are measured on a hold-out of the train split. Writes theta.yaml, which asl(theta=FILE) reads, and trains
    again with the curves found and with others. The same command, given again, goes on.
    """
    if configuring.written(ctx):
        return
    refuse_swapped(f"search {metric}", network, dataset)
    search_surrogate(metric, network, dataset, searching, images, checkpoints, running, output)
