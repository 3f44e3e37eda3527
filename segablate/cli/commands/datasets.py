"""``segablate datasets``: the layouts there are, a look into a dataset, and a first description of one's own."""

from inspect import getdoc
from pathlib import Path
from typing import Annotated

import typer

from segablate.cli.options import DatasetOptions, OutputOptions, RunningOptions, expanded

app = typer.Typer(help="Dataset layouts, checks of a dataset, and first descriptions.", no_args_is_help=True)


def list_layouts(*, output: OutputOptions) -> None:
    """The layouts in which a dataset can lie on the disk."""
    from segablate.datasets import dataset_layouts, layout_module
    from segablate.render import print_report
    from segablate.tables.datasets import layouts_report

    layouts = {name: layout_module(name).LAYOUT for name in dataset_layouts()}
    print_report(layouts_report(layouts), output.format, wide=output.wide)


def show(
    layout: Annotated[str, typer.Argument(help="A layout; see `segablate datasets list`.")], *, output: OutputOptions
) -> None:
    """The folders that a layout expects, and its classes."""
    from segablate.datasets import layout_module
    from segablate.render import print_report
    from segablate.tables.datasets import classes_report

    module = layout_module(layout)
    if output.format in ("rich", "markdown"):
        typer.echo((getdoc(module) or "").replace("\n::\n", "") + "\n")
    if module.LAYOUT.label_sets:
        print_report(classes_report(layout, module.LAYOUT), output.format, wide=output.wide)


def init(
    folder: Annotated[Path, typer.Argument(help="A folder with images and masks somewhere below it.")],
) -> None:
    """Write a first dataset.yaml by looking: folders, pairs, codes and colours in use."""
    from segablate.datasets.drafting import draft

    path, summary = draft(folder)
    typer.echo(f"wrote {path}: {summary}; name the classes in it, then: segablate datasets check folder:{folder}")


def scribble(
    dataset: Annotated[str, typer.Argument(help="LAYOUT:DIRECTORY, or sample.")],
    *,
    out: Annotated[Path, typer.Option(help="A new folder for the label maps.")],
    seed: Annotated[int, typer.Option(help="Of the strokes.", min=0)] = 0,
    images: DatasetOptions,
) -> None:
    """Simulate scribbles: label maps in which all but a stroke along the middle of each region is void."""
    from segablate.datasets.scribbles import write_scribbles

    data = images.open(dataset)
    share = write_scribbles(data, out, seed)
    typer.echo(f"wrote {len(data)} label maps into {out}: {share:.1%} of the labelled pixels are left")


def check(
    dataset: Annotated[str, typer.Argument(help="LAYOUT:DIRECTORY, or sample.")],
    *,
    images: DatasetOptions,
    workers: Annotated[int | None, typer.Option(help="Processes that read; by default one per core.", min=0)] = None,
    output: OutputOptions,
) -> None:
    """Walk a dataset: pairs, sizes, codes, class frequencies, void, and whatever looks suspicious.

    The exit code is 1 when there are faults, 0 when there are only warnings.
    """
    from segablate.datasets import layout_module, other_splits
    from segablate.datasets.checking import check as find
    from segablate.datasets.survey import survey
    from segablate.render import print_report, progress
    from segablate.tables.datasets import check_report

    data = images.open(dataset)
    with progress(len(data), "reading") as advance:
        found = survey(data, RunningOptions(workers=workers).execution.workers, advance)
    findings = find(found, other_splits(data), layout_module(data.layout).LAYOUT)
    print_report(check_report(found, findings), output.format, wide=output.wide)
    if any(finding.level == "fault" for finding in findings):
        raise typer.Exit(1)


app.command("list")(expanded(list_layouts))
app.command("show")(expanded(show))
app.command("init")(init)
app.command("scribble")(expanded(scribble))
app.command("check")(expanded(check))
