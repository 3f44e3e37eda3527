"""``segablate datasets``: list layouts, check a dataset, and generate a description or scribbles."""

from inspect import getdoc
from pathlib import Path
from typing import Annotated, Literal

import typer

from segablate.cli.arguments import Dataset
from segablate.cli.completion import layouts
from segablate.cli.options import DatasetOptions, OutputOptions, RunningOptions, expanded
from segablate.errors import SegablateError, unskippable

app = typer.Typer(help="List dataset layouts, check a dataset, or generate its description.", no_args_is_help=True)


def list_layouts(*, output: OutputOptions) -> None:
    """List the dataset layouts."""
    from segablate.datasets.catalogue import described_layouts, left_out_layouts
    from segablate.render import print_report
    from segablate.tables.datasets import layouts_report

    report = layouts_report(described_layouts(), left_out_layouts())
    print_report(report, output.format, wide=output.wide)


def show(
    layout: Annotated[str, typer.Argument(help="Layout; see `segablate datasets list`.", autocompletion=layouts)],
    *,
    output: OutputOptions,
) -> None:
    """Show the folders that a layout expects, and its classes."""
    from segablate.datasets import layout_module
    from segablate.render import print_report
    from segablate.tables.datasets import classes_report

    module = layout_module(layout)
    if output.format in ("rich", "markdown"):
        described = (getdoc(module) or "").replace("\n::\n", "")
        typer.echo(described.replace("``", "`" if output.format == "markdown" else "") + "\n")
    if module.LAYOUT.label_sets:
        print_report(classes_report(layout, module.LAYOUT), output.format, wide=output.wide)


def init(
    folder: Annotated[Path, typer.Argument(help="Folder of images and label maps, also in subfolders.")],
) -> None:
    """Generate dataset.yaml by inspecting a folder: images, label maps, codes and colours in use."""
    from segablate.datasets.drafting import draft

    try:
        path, summary = draft(folder)
    except SegablateError as error:  # all label maps count here: none can be skipped
        raise unskippable(error) from None
    typer.echo(f"wrote {path}: {summary}; name the classes in it, then: segablate datasets check folder:{folder}")


def convert(
    source: Annotated[Path, typer.Argument(help="Folder or file of annotations: labelme, COCO, YOLO or CVAT.")],
    directory: Annotated[Path, typer.Argument(help="New folder for images, label maps and dataset.yaml.")],
    *,
    image_dir: Annotated[
        Path | None, typer.Option(help="Folder of the images, where the annotations do not lead to them.")
    ] = None,
    copy: Annotated[bool, typer.Option("--copy", help="Copy the images instead of linking to them.")] = False,
    outside: Annotated[
        Literal["background", "void"], typer.Option(help="What pixels in no shape are: a class, or not labelled.")
    ] = "background",
    output: OutputOptions,
) -> None:
    """Draw polygons, boxes and run lengths of annotation tools as label maps.

    Later shapes cover earlier ones, as the tools themselves draw them. The new folder is complete or not there.
    """
    from segablate.datasets.conversion import convert as draw_all
    from segablate.render import print_report, progress
    from segablate.tables.conversion import converted_report

    with progress(None, "drawing") as advance:
        found = draw_all(source, directory, images=image_dir, copy=copy, outside=outside, progress=advance)
    print_report(converted_report(found, str(source), str(directory)), output.format, wide=output.wide)


def scribble(
    dataset: Dataset,
    *,
    out: Annotated[Path, typer.Option(help="New folder for the label maps.")],
    seed: Annotated[int, typer.Option(help="Random seed for the strokes.", min=0)] = 0,
    width: Annotated[int, typer.Option(help="Width of the strokes, in pixels.", min=1, max=99)] = 3,
    images: DatasetOptions,
) -> None:
    """Simulate scribbles: label maps that are void but for a stroke along the middle of each region."""
    from segablate.datasets.scribbles import Strokes, write_scribbles
    from segablate.errors import counted

    data = images.open(dataset)
    share = write_scribbles(data, out, seed, Strokes(width))
    typer.echo(f"wrote {counted(len(data), 'label map')} to {out}: {share * 100:.1f} % of the labelled pixels are left")


def check(
    dataset: Dataset,
    *,
    images: DatasetOptions,
    workers: Annotated[int | None, typer.Option(help="Reading processes; by default one per core.", min=0)] = None,
    output: OutputOptions,
) -> None:
    """Check a dataset: pairs, sizes, codes, class frequencies, void pixels, duplicates.

    The exit code is 1 for faults, 0 for warnings alone.
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
app.command("convert")(expanded(convert))
app.command("scribble")(expanded(scribble))
app.command("check")(expanded(check))
