"""``segablate checkpoints``: what sources there are, and a first card."""

from pathlib import Path
from typing import Annotated

import typer

app = typer.Typer(help="Sources of checkpoints, and checkpoint cards.", no_args_is_help=True)


@app.command("init")
def init(
    spec: Annotated[str, typer.Argument(help="python:package.module:factory(...)@weights.pth")],
    out: Annotated[Path, typer.Option(help="Where to write the card.")] = Path("checkpoint.yaml"),
) -> None:
    """Write a first checkpoint card, to be corrected by the person who knows how the network was trained."""
    from segablate.checkpoints import card

    card.write_card(out, spec)
    typer.echo(f"wrote {out}; correct preprocessing and classes in it, then: segablate evaluate {out} DATASET")
