"""``segablate checkpoints``: list the sources, show, probe or trust a checkpoint, write a draft of a card."""

from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from segablate.cli.arguments import Checkpoint, Dataset, checkpoint_argument, expand
from segablate.cli.checkpoint_options import CheckpointOptions, TrustOptions
from segablate.cli.options import DatasetOptions, OutputOptions, RunningOptions, expanded
from segablate.cli.swapped import refuse_dataset, refuse_python, refuse_swapped
from segablate.errors import SegablateError, UsageError

app = typer.Typer(
    help="List sources of checkpoints, show or probe a checkpoint, write or trust a card.", no_args_is_help=True
)

PROBED = 8
"""Images on which preprocessings are tried where --limit does not say."""


def list_sources(*, output: OutputOptions) -> None:
    """List the sources of checkpoints."""
    from segablate.checkpoints.catalogue import described_sources, left_out_sources
    from segablate.render import print_report
    from segablate.tables.checkpoints import sources_report

    print_report(sources_report(described_sources(), left_out_sources()), output.format, wide=output.wide)


def show(
    checkpoint: Annotated[str, checkpoint_argument("A checkpoint, a card, or SOURCE:...")],
    *,
    checkpoints: CheckpointOptions,
    running: RunningOptions,
    output: OutputOptions,
) -> None:
    """Show a checkpoint, or the keys of bare weights. Never runs code that it holds or names."""
    from segablate.checkpoints import count_outputs, open_checkpoint
    from segablate.checkpoints.bare_weights import read_bare
    from segablate.checkpoints.unopened import describe_unopened
    from segablate.render import print_report
    from segablate.tables.checkpoints import checkpoint_report
    from segablate.tables.weights import weights_report

    refuse_dataset(checkpoint)
    loading = checkpoints.loading(running)
    unopened = describe_unopened(checkpoint, loading)
    if unopened is None and (bare := read_bare(checkpoint, loading)):
        report = weights_report(bare)
    elif unopened is not None:
        report = checkpoint_report(unopened, None)
    else:
        segmenter = open_checkpoint(checkpoint, loading)
        report = checkpoint_report(segmenter, count_outputs(segmenter))
    print_report(report, output.format, wide=output.wide)


def trust(
    card: Annotated[str, typer.Argument(help="The card, a FILE.yaml.", callback=expand)],
    files: Annotated[
        list[str] | None, typer.Argument(help="Further Python files that its code imports by computed names.")
    ] = None,
) -> None:
    """Trust the code that a card names, as it is now: it runs until the card or a file of it changes."""
    from segablate.checkpoints import Loading, code_files
    from segablate.checkpoints.sources.card import describe
    from segablate.checkpoints.trust import remember
    from segablate.files import user_path
    from segablate.render.cells import one_line

    refuse_python(card)
    described = describe(card, Loading())
    if described.loading.card is None or code_files(described.spec, described.loading) is None:
        raise UsageError(f"{card} names no code, so there is nothing to trust")
    hashes = remember(described.loading.card, [user_path(file) for file in files or []])
    typer.echo(one_line(f"{card} may run {described.spec}, with these files as they are now:"))
    for path, digest in hashes.items():
        typer.echo(one_line(f"{path}, SHA-256 {digest}"))


def init(
    checkpoint: Annotated[str, checkpoint_argument("python:package.module:factory(...)@weights.pth, or SOURCE:...")],
    out: Annotated[Path, typer.Option(help="File to write the card to.")] = Path("checkpoint.yaml"),
    key: Annotated[str | None, typer.Option(help="Key path to the weights, e.g. model.state_dict.")] = None,
    strip_prefix: Annotated[str | None, typer.Option(help="Prefix to remove from the keys of the weights.")] = None,
    *,
    trusting: TrustOptions,
) -> None:
    """Write a draft of a checkpoint card, to be corrected by hand."""
    from segablate.checkpoints import Loading, count_outputs, names_code, open_checkpoint
    from segablate.checkpoints.card_subjects import subject_of
    from segablate.checkpoints.drafts import Draft, refuse_existing, write_card
    from segablate.checkpoints.network import Network

    refuse_existing(out)
    loading = Loading(device="cpu", key=key, strip_prefix=strip_prefix, trust_code=trusting.trusted)
    subject = subject_of(checkpoint, loading)
    if subject.note:
        typer.echo(subject.note)
    if subject.unnamed:
        write_card(out, subject.spec, Draft(loading=loading, unnamed=True))
        typer.echo(f"wrote {out}, which loads once the line marked FILL IN, `source`, names the network")
        return
    draft, assumed = Draft(loading=loading), True
    try:
        opened = open_checkpoint(subject.spec, loading)
        if isinstance(opened, Network):
            assumed = opened.assumed
            origin = Draft.origin if assumed else "as the checkpoint states them"
            draft = Draft(count_outputs(opened), opened.preprocessing, origin, opened.kind, loading)
    except SegablateError as error:
        typer.echo(f"the checkpoint does not load yet: {error}", err=True)
    write_card(out, subject.spec, draft)
    typer.echo(f"wrote {out}; correct preprocessing and classes in it, then: segablate evaluate {out} DATASET")
    if assumed:
        typer.echo(
            "no mean and std given: those in the card are assumed, and are what evaluate assumes; "
            f"segablate checkpoints probe {out} DATASET tries the usual ones"
        )
    if names_code(subject.spec):
        typer.echo(f"it names code, which runs with --trust-code, or after: segablate checkpoints trust {out}")


def probe(
    checkpoint: Checkpoint,
    dataset: Dataset,
    *,
    write: Annotated[
        Path | None,
        typer.Option(help="Write the likeliest preprocessing into this new card.", rich_help_panel="Output"),
    ] = None,
    images: DatasetOptions,
    checkpoints: CheckpointOptions,
    running: RunningOptions,
    output: OutputOptions,
) -> None:
    """Try the usual preprocessings on a few images: mIoU and NLL of each, and the likeliest."""
    from segablate.checkpoints.drafts import refuse_existing
    from segablate.probing.session import options_of, probe, without_constants, write_likeliest
    from segablate.render import print_report, progress
    from segablate.tables.probing import probe_report

    refuse_swapped("checkpoints probe", checkpoint, dataset)
    if write is not None:
        refuse_existing(write)
    stated = checkpoints.loading(running)
    given = (stated.preprocessing.get("mean"), stated.preprocessing.get("std"))
    loading = without_constants(stated)
    data = (images if images.limit is not None else replace(images, limit=PROBED)).open(dataset)
    found = probe(checkpoint, data, loading, given, partial(progress, unit="preprocessings"))
    print_report(probe_report(found), output.format, wide=output.wide)
    if write is not None:
        steps = write_likeliest(found, write, loading)
        typer.echo(f"wrote {write} with {options_of(steps)}; segablate evaluate {write} DATASET", err=True)


app.command("list")(expanded(list_sources))
app.command("show")(expanded(show))
app.command("init")(expanded(init))
app.command("probe")(expanded(probe, without=("scale", "divisor", "normalise", "on_error")))
app.command("trust")(trust)
