"""``segablate atlas``: every loss on one forward pass."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from segablate.cli.arguments import Checkpoint, OptionalDataset
from segablate.cli.checkpoint_options import CheckpointOptions
from segablate.cli.completion import loss_list
from segablate.cli.configuration import ConfigOptions
from segablate.cli.invocation import command_line
from segablate.cli.locking import lock_output
from segablate.cli.options import (
    DatasetOptions,
    ResultOptions,
    RunningOptions,
    count_or_all,
    default_dataset,
)
from segablate.cli.swapped import refuse_swapped
from segablate.cli.trained import run_files
from segablate.errors import UsageError

if TYPE_CHECKING:
    from segablate.atlas.session import AtlasRequest
    from segablate.atlas.trainings import TrainedLosses
    from segablate.losses import Loss

_PANEL = "Atlas"


@dataclass(frozen=True)
class AtlasOptions:
    """Options of what is measured and compared."""

    losses: Annotated[
        str,
        typer.Option(
            help='Comma-separated losses, or "all"; ce is always among them.',
            rich_help_panel=_PANEL,
            autocompletion=loss_list,
        ),
    ] = "all"
    boundary_tolerance: Annotated[
        str,
        typer.Option(help="Tolerance of the boundary F that ranks the images: 3 or 0.0075d.", rich_help_panel=_PANEL),
    ] = "3"
    gradient_images: Annotated[
        str,
        typer.Option(
            help="Measure gradients on N evenly spaced images, or all.", metavar="N|all", rich_help_panel=_PANEL
        ),
    ] = "24"
    loss_images: Annotated[
        str | None,
        typer.Option(
            help="Images for slow losses, as in dense_crf=6, or all; by default 12 for a loss above 1 s an image.",
            metavar="LOSS=N,...|all",
            rich_help_panel=_PANEL,
        ),
    ] = None
    same: Annotated[
        float,
        typer.Option(help="Cosine from which on losses count as the same.", min=0, max=1, rich_help_panel=_PANEL),
    ] = 0.9
    trainings: Annotated[
        str | None,
        typer.Option(
            help="Comma-separated folders of `ablate --train`: adds what training under each loss gave.",
            rich_help_panel=_PANEL,
        ),
    ] = None
    save: Annotated[Path | None, typer.Option(help="Save the atlas to this new folder.", rich_help_panel="Output")] = (
        None
    )
    plot: Annotated[
        Path | None,
        typer.Option(help="Plot the cosines with their tree to this PNG, SVG or PDF.", rich_help_panel="Output"),
    ] = None

    @property
    def request(self) -> "AtlasRequest":
        """What to measure. UsageError and KnobError for malformed values."""
        from segablate.atlas.session import AtlasRequest
        from segablate.metrics.tolerance import Tolerance

        return AtlasRequest(
            Tolerance.parse(self.boundary_tolerance),
            self.losses,
            count_or_all("--gradient-images", self.gradient_images),
            _loss_images(self.loss_images),
            self.same,
        )

    def refuse_early(self) -> None:
        """Raise before the work for an output that could not be written after it."""
        from segablate.evaluation.runs import refuse_existing

        if self.save is not None:
            refuse_existing(self.save)
        if self.plot is not None:
            from segablate.plots import require_drawing

            require_drawing(self.plot)


def atlas(
    ctx: typer.Context,
    checkpoint: Checkpoint = "sample:ce",
    dataset: OptionalDataset = None,
    *,
    options: AtlasOptions,
    images: DatasetOptions,
    checkpoints: CheckpointOptions,
    running: RunningOptions,
    output: ResultOptions,
    configuring: ConfigOptions,
) -> None:
    """Compare all losses on one forward pass: value, agreement with the metrics, gradient and cost of each.

    Prints the cosine between the gradients of every two losses and their clusters, which losses are the same under two
    names, and which see what cross entropy does not. Without arguments: a sample checkpoint on the sample data.
    """
    if configuring.written(ctx):
        return
    from segablate.atlas.session import atlas_checkpoint
    from segablate.render import print_report
    from segablate.render.saving import save_atlas
    from segablate.runtime import team
    from segablate.tables.atlas import atlas_report

    refuse_swapped("atlas", checkpoint, dataset)
    asked = options.request
    lock_output(options.save)
    options.refuse_early()
    trained = _trained(options)
    data = images.open(dataset or default_dataset(checkpoint, "atlas CHECKPOINT DATASET"))
    found = atlas_checkpoint(checkpoint, data, asked, checkpoints.loading(running), running.execution)
    if not team().leads:
        return
    report = atlas_report(found, asked.tolerance, trained)
    if options.save is not None:
        save_atlas(report, found, options.save, command_line(), run_files(found.run))
    print_report(report, output.format, wide=output.wide, brief=output.brief)
    if options.plot is not None:
        from segablate.plots.atlas import draw_atlas

        draw_atlas(found, report, options.plot)


def _trained(options: AtlasOptions) -> "list[TrainedLosses]":
    """Read the sweeps asked for, before the work."""
    from segablate.atlas.trainings import holds_sweep, read_trainings
    from segablate.objective.written_lists import separated, torn

    if options.trainings is None:
        return []
    losses, folders = _losses(options.losses), separated(options.trainings, "--trainings")
    if not all(folders):
        raise UsageError(
            f"--trainings is {options.trainings!r}, but must be comma-separated folders of ablate --train, none empty"
        )
    if not all(map(holds_sweep, folders)) and (whole := torn(folders, holds_sweep)):
        raise UsageError(
            f"--trainings: a comma separates folders; quote one that has a comma, also within the quotes of a shell: "
            f"--trainings \"'{whole}'\""
        )
    return [read_trainings(Path(folder), losses) for folder in folders]


def _losses(text: str) -> "list[Loss]":
    from segablate.losses import get_loss
    from segablate.objective.catalogue import loadable_losses
    from segablate.objective.written_lists import separated

    if text == "all":
        return list(loadable_losses()[0].values())
    return [get_loss(name) for name in dict.fromkeys(["ce", *separated(text, "--losses")]) if name]


def _loss_images(text: str | None) -> dict[str, int] | None:
    """Parse --loss-images: numbers of images by loss; None: by its time; empty: all of them for every loss."""
    if text is None or text == "all":
        return None if text is None else {}
    found = {}
    for part in text.split(","):
        name, sign, number = part.strip().rpartition("=")
        if not sign or not number.isdecimal() or int(number) < 1:
            raise UsageError(
                f"--loss-images is {text!r}, but must be numbers of images by loss, as in dense_crf=6, or all"
            )
        found[name] = int(number)
    return found
