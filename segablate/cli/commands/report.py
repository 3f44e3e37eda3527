"""``segablate report``: one HTML page of saved runs."""

from pathlib import Path
from typing import Annotated

import typer

from segablate.cli import completion
from segablate.cli.arguments import expand, expand_all
from segablate.cli.checkpoint_options import TrustOptions
from segablate.cli.reporting import page_of_runs, parse_images


def report(
    runs: Annotated[
        list[str],
        typer.Argument(
            metavar="RUN [RUN ...]",
            help="Saved runs: an evaluation, a comparison, an ablation, or several evaluations to compare.",
            callback=expand_all,
        ),
    ],
    *,
    out: Annotated[
        Path | None,
        typer.Option(
            "--out",
            "-o",
            help="File to write, report.html by default, in place of an earlier page; with --images all a new folder.",
            rich_help_panel="Output",
        ),
    ] = None,
    images: Annotated[
        str,
        typer.Option(
            help="Embed the pictures of N images, or all in a folder.", metavar="N|all", rich_help_panel="Output"
        ),
    ] = "60",
    paths: Annotated[
        bool, typer.Option("--paths", help="Include absolute paths, user and host names.", rich_help_panel="Output")
    ] = False,
    on: Annotated[
        str | None,
        typer.Option(
            help="Where the dataset of the runs is now: LAYOUT:DIRECTORY.",
            rich_help_panel="Images",
            callback=expand,
            autocompletion=completion.datasets,
        ),
    ] = None,
    device: Annotated[
        str, typer.Option(help="Device for predictions: auto, cpu, cuda or cuda:N.", rich_help_panel="Running")
    ] = "auto",
    trust: TrustOptions,
) -> None:
    """Write one HTML page of saved runs, with charts and pictures, that opens without a network.

    Images and labels are read from the dataset of the run. Predictions are read from the folder that the evaluation
    wrote them to, or computed again by its checkpoint on the images of the page.
    """
    from segablate.checkpoints import Loading

    loading = Loading(device=device, trust_code=trust.trusted)
    page_of_runs(runs, out, parse_images(images), loading, on=on, paths=paths)
