"""``segablate train-edges``: train SEMEDA's edge network on the masks of a dataset."""

from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer

from segablate.cli.arguments import dataset_argument
from segablate.cli.options import DatasetOptions
from segablate.errors import counted


def train_edges(
    dataset: Annotated[str, dataset_argument("LAYOUT:DIRECTORY, or sample; see `segablate datasets list`.")],
    *,
    out: Annotated[Path, typer.Option(help="File to write the network to (safetensors).")],
    seed: Annotated[
        int, typer.Option(help="Random seed for weights, crops and noise.", rich_help_panel="Training", min=0)
    ] = 0,
    steps: Annotated[int, typer.Option(help="Number of Adam steps.", rich_help_panel="Training", min=1)] = 300,
    noise: Annotated[
        float,
        typer.Option(
            help="Standard deviation of the noise on the scaled one-hot labels.", rich_help_panel="Training", min=0
        ),
    ] = 0.1,
    onehot_scale: Annotated[
        float | None,
        typer.Option(
            help="Factor on the one-hot labels before the softmax; by default for a probability of 0.95.",
            rich_help_panel="Training",
        ),
    ] = None,
    masks: Annotated[
        int, typer.Option(help="Maximum number of masks, evenly spaced.", rich_help_panel="Training", min=1)
    ] = 200,
    images: DatasetOptions,
) -> None:
    """Train SEMEDA's edge network on the masks of a dataset, by default of its train split."""
    from segablate.edges import Training, save_edge_network, train_edge_network
    from segablate.render import progress

    training = Training(seed=seed, steps=steps, noise=noise, onehot_scale=onehot_scale, masks=masks)
    data = replace(images, split=images.split or "train").open(dataset)
    with progress(steps, "training") as advance:
        network = train_edge_network(data, training, progress=advance)
    save_edge_network(out, network)
    facts = network.facts
    typer.echo(
        f"wrote {out}: edge network {network.hash} for the {counted(len(data.labels), 'class', 'classes')} of "
        f"{data.labels.name}"
    )
    typer.echo(
        f"from {facts['masks_read']} of {counted(len(data), 'mask')} of split {data.split}; edge F1 "
        f"{100 * facts['edge_f1']:.1f} %, cross entropy {facts['cross_entropy']:.4f}"
    )
