"""Which page of an evaluation is printed, and what further is counted for one: options of `evaluate` and `show`."""

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Annotated

import typer

from segablate.cli.options import MeasureOptions, ReadingOptions
from segablate.errors import RunError, UsageError

if TYPE_CHECKING:
    from segablate.evaluation.measures import LabelCount
    from segablate.evaluation.results import Evaluation
    from segablate.metrics.tolerance import Tolerance
    from segablate.tables import Report

_PANEL = "Page"


@dataclass(frozen=True)
class ViewingOptions:
    """Which page of an evaluation is printed."""

    as_: Annotated[
        str | None,
        typer.Option(
            "--as",
            help="The numbers as another tool would report them: mmseg, cityscapes, detectron2, torchmetrics, smp ...; "
            "all of them with --conventions.",
            rich_help_panel=_PANEL,
        ),
    ] = None
    conventions: Annotated[
        bool,
        typer.Option(
            "--conventions", help="The same counts under every convention, side by side.", rich_help_panel=_PANEL
        ),
    ] = False
    details: Annotated[
        bool,
        typer.Option(
            "--details",
            help="Also boundary precision, recall, F and NSD per class, and the worst images.",
            rich_help_panel=_PANEL,
        ),
    ] = False
    curve: Annotated[
        bool,
        typer.Option(
            "--curve",
            help="Also boundary scores at every whole tolerance up to the largest of --tolerance.",
            rich_help_panel=_PANEL,
        ),
    ] = False

    def report(self, run: "Evaluation", reading: ReadingOptions, tolerances: "tuple[Tolerance, ...]") -> "Report":
        """The page asked for. RunError where it needs counts that the run does not hold."""
        from segablate.metrics.conventions import convention_named
        from segablate.tables.conventions import convention_report, conventions_report
        from segablate.tables.evaluation import View, evaluation_report

        self.check(reading)
        if self.conventions:
            return conventions_report(run)
        if self.as_ is not None:
            return convention_report(run, convention_named(self.as_))
        if self.curve and run.boundary is None:
            raise RunError("--curve needs boundary counts, and the run holds none; evaluate again with --tolerance")
        return evaluation_report(run, View(reading.void_as_error, tolerances, self.details, self.curve))

    def check(self, reading: ReadingOptions) -> None:
        """Raise UsageError, before the work, for a convention that does not exist and for what does not go together."""
        from segablate.metrics.conventions import convention_named

        if self.as_ is not None:
            convention_named(self.as_)
            if self.conventions:
                raise UsageError("--as shows one convention and --conventions all of them; give one of the two")
        if self.curve and reading.tolerance == "none":
            raise UsageError("--curve shows boundary scores, and --tolerance none counts none; leave out one")
        given = {"--details": self.details, "--curve": self.curve, "--void-as-error": reading.void_as_error}
        clashing = [option for option, value in given.items() if value]
        if clashing and (self.as_ is not None or self.conventions):
            page = "--conventions" if self.conventions else f"--as {self.as_}"
            raise UsageError(f"{clashing[0]} belongs to this program's own page, not to that of {page}; leave one out")


@dataclass(frozen=True)
class CountingOptions:
    """What is counted on label maps beside the default."""

    boundary_as: Annotated[
        str | None,
        typer.Option(
            help="Also count the boundaries of other tools, with commas: davis, gscnn, monai-nsd, boundary-iou-api.",
            rich_help_panel="Measures",
        ),
    ] = None
    trimap: Annotated[
        str | None,
        typer.Option(
            help="Also count within these distances of the label boundaries, in pixels, with commas: 1,2,4,8,16.",
            rich_help_panel="Measures",
        ),
    ] = None

    def counts(self, measuring: MeasureOptions, viewing: ViewingOptions) -> "tuple[LabelCount, ...]":
        """What to count of every label map; a boundary convention given to ``--as`` is counted too."""
        from segablate.metrics.conventions import BOUNDARIES
        from segablate.metrics.conventions.boundaries import count_boundary_conventions
        from segablate.metrics.trimap import count_trimap

        names = self._boundary_names([convention.name for convention in BOUNDARIES], viewing.as_)
        if "monai-nsd" in names and not measuring.tolerances:
            raise UsageError("monai-nsd matches within a tolerance; give one, as in --tolerance 3")
        counts: list[LabelCount] = []
        if names:
            counts.append(partial(count_boundary_conventions, names=names, tolerances=measuring.tolerances))
        if self.trimap is not None:
            counts.append(partial(count_trimap, widths=_widths(self.trimap)))
        return tuple(counts)

    def _boundary_names(self, known: list[str], shown: str | None) -> tuple[str, ...]:
        """The boundary conventions to count, in the order in which they are known."""
        from segablate.errors import did_you_mean

        asked = [name.strip() for name in self.boundary_as.split(",")] if self.boundary_as is not None else []
        for name in asked:
            if name not in known:
                raise UsageError(f"--boundary-as: no boundary convention is called {name!r}{did_you_mean(name, known)}")
        return tuple(name for name in known if name in asked or name == shown)


def _widths(text: str) -> tuple[int, ...]:
    parts = [part.strip() for part in text.split(",")]
    if not all(part.isascii() and part.isdigit() and 1 <= int(part) <= 1000 for part in parts):
        raise UsageError(
            f"--trimap is {text!r}, but must be whole pixels from 1 to 1000, with commas, as in 1,2,4,8,16"
        )
    return tuple(sorted({int(part) for part in parts}))
