"""``segablate checkpoints``: list the sources, show a checkpoint, write a draft of a card."""

from pathlib import Path
from typing import Annotated

import typer

from segablate.cli.options import CheckpointOptions, OutputOptions, RunningOptions, expanded
from segablate.errors import SegablateError

app = typer.Typer(help="List sources of checkpoints, show a checkpoint, write a checkpoint card.", no_args_is_help=True)


def list_sources(*, output: OutputOptions) -> None:
    """List the sources of checkpoints."""
    from segablate.checkpoints import described_sources
    from segablate.render import print_report
    from segablate.tables.checkpoints import sources_report

    print_report(sources_report(described_sources()), output.format, wide=output.wide)


def show(
    checkpoint: Annotated[str, typer.Argument(help="A checkpoint, a card, or SOURCE:...")],
    *,
    checkpoints: CheckpointOptions,
    running: RunningOptions,
    output: OutputOptions,
) -> None:
    """Show a checkpoint: network, preprocessing, classes, hashes."""
    from segablate.checkpoints import count_outputs, open_checkpoint
    from segablate.render import print_report
    from segablate.tables.checkpoints import checkpoint_report

    segmenter = open_checkpoint(checkpoint, checkpoints.loading(running))
    print_report(checkpoint_report(segmenter, count_outputs(segmenter)), output.format, wide=output.wide)


def init(
    checkpoint: Annotated[str, typer.Argument(help="python:package.module:factory(...)@weights.pth, or SOURCE:...")],
    out: Annotated[Path, typer.Option(help="File to write the card to.")] = Path("checkpoint.yaml"),
    trust_pickle: Annotated[
        bool, typer.Option("--trust-pickle", help="Run code in the file (module:FILE, pt2:FILE).")
    ] = False,
) -> None:
    """Write a draft of a checkpoint card, to be corrected by hand."""
    from segablate.checkpoints import Loading, count_outputs, open_checkpoint
    from segablate.checkpoints.network import Network
    from segablate.checkpoints.sources import card

    opened, outputs = None, None
    try:
        opened = open_checkpoint(checkpoint, Loading(device="cpu", trust_pickle=trust_pickle))
        outputs = count_outputs(opened)
    except SegablateError as error:
        typer.echo(f"the checkpoint does not load yet: {error}", err=True)
    network = opened if isinstance(opened, Network) else None
    stated, kind = (network.preprocessing, network.kind) if network else (None, "softmax")
    card.write_card(out, checkpoint, outputs, stated, kind)
    typer.echo(f"wrote {out}; correct preprocessing and classes in it, then: segablate evaluate {out} DATASET")


app.command("list")(expanded(list_sources))
app.command("show")(expanded(show))
app.command("init")(expanded(init))
