"""Options of `evaluate` and `show`: which report of an evaluation is printed, and what is counted for it."""

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Annotated

import typer

from segablate.cli.completion import boundary_list, conventions
from segablate.cli.options import MeasureOptions, ReadingOptions
from segablate.errors import RunError, UsageError

if TYPE_CHECKING:
    from segablate.evaluation.measures import LabelCount
    from segablate.evaluation.results import Evaluation
    from segablate.metrics.tolerance import Tolerance
    from segablate.tables import Report

_PANEL = "Report"


@dataclass(frozen=True)
class ViewingOptions:
    """Options of the report of an evaluation."""

    as_: Annotated[
        str | None,
        typer.Option(
            "--as",
            help="Report the numbers of another tool: mmseg, cityscapes, detectron2, torchmetrics, smp, ...",
            rich_help_panel=_PANEL,
            autocompletion=conventions,
        ),
    ] = None
    conventions: Annotated[
        bool,
        typer.Option(
            "--conventions",
            help="Report the scores under every tool's convention, side by side.",
            rich_help_panel=_PANEL,
        ),
    ] = False
    details: Annotated[
        bool,
        typer.Option(
            "--details",
            help="Add boundary precision, recall, F and NSD per class, and the worst images.",
            rich_help_panel=_PANEL,
        ),
    ] = False
    curve: Annotated[
        bool,
        typer.Option(
            "--curve",
            help="Add boundary scores at every whole tolerance up to the largest --tolerance.",
            rich_help_panel=_PANEL,
        ),
    ] = False

    def report(self, run: "Evaluation", reading: ReadingOptions, tolerances: "tuple[Tolerance, ...]") -> "Report":
        """Return the report asked for. RunError where it needs counts that the run does not have."""
        from segablate.metrics.conventions import convention_named
        from segablate.tables.conventions import convention_report, conventions_report
        from segablate.tables.evaluation import View, evaluation_report

        self.check(reading)
        if self.conventions:
            return conventions_report(run)
        if self.as_ is not None:
            return convention_report(run, convention_named(self.as_))
        if self.curve and run.boundary is None:
            raise RunError("--curve needs boundary counts, but the run has none; evaluate again with --tolerance")
        return evaluation_report(run, View(reading.void_as_error, tolerances, self.details, self.curve))

    def check(self, reading: ReadingOptions) -> None:
        """Raise UsageError, before the work, for an unknown convention and for options that exclude each other."""
        from segablate.metrics.conventions import convention_named

        if self.as_ is not None:
            convention_named(self.as_)
            if self.conventions:
                raise UsageError("--as and --conventions exclude each other; leave out one")
        if self.curve and reading.tolerance == "none":
            raise UsageError("--curve needs boundary scores, which --tolerance none leaves out; leave out one")
        given = {"--details": self.details, "--curve": self.curve, "--void-as-error": reading.void_as_error}
        clashing = [option for option, value in given.items() if value]
        if clashing and (self.as_ is not None or self.conventions):
            page = "--conventions" if self.conventions else f"--as {self.as_}"
            raise UsageError(f"{clashing[0]} applies to the default report, not to that of {page}; leave out one")


@dataclass(frozen=True)
class CountingOptions:
    """Options of further counts of label maps."""

    boundary_as: Annotated[
        str | None,
        typer.Option(
            help="Comma-separated tools whose boundaries to count too: davis, gscnn, monai-nsd, boundary-iou-api.",
            rich_help_panel="Measures",
            autocompletion=boundary_list,
        ),
    ] = None
    trimap: Annotated[
        str | None,
        typer.Option(
            help="Comma-separated distances from the label boundaries within which to count, in pixels: 1,2,4,8,16.",
            rich_help_panel="Measures",
        ),
    ] = None

    def counts(self, measuring: MeasureOptions, viewing: ViewingOptions) -> "tuple[LabelCount, ...]":
        """Return the further counts of label maps; a boundary convention given to ``--as`` is counted too."""
        from segablate.metrics.conventions import BOUNDARIES
        from segablate.metrics.conventions.boundaries import count_boundary_conventions
        from segablate.metrics.trimap import count_trimap

        names = self._boundary_names([convention.name for convention in BOUNDARIES], viewing.as_)
        if "monai-nsd" in names and not measuring.tolerances:
            raise UsageError("monai-nsd needs a tolerance; give one, as in --tolerance 3")
        counts: list[LabelCount] = []
        if names:
            counts.append(partial(count_boundary_conventions, names=names, tolerances=measuring.tolerances))
        if self.trimap is not None:
            counts.append(partial(count_trimap, widths=_widths(self.trimap)))
        return tuple(counts)

    def _boundary_names(self, known: list[str], reported: str | None) -> tuple[str, ...]:
        """Return the boundary conventions to count, in the order of `known`."""
        from segablate.errors import did_you_mean

        asked = [name.strip() for name in self.boundary_as.split(",")] if self.boundary_as is not None else []
        for name in asked:
            if name not in known:
                raise UsageError(f"--boundary-as: no boundary convention is called {name!r}{did_you_mean(name, known)}")
        return tuple(name for name in known if name in asked or name == reported)


def _widths(text: str) -> tuple[int, ...]:
    parts = [part.strip() for part in text.split(",")]
    if not all(part.isascii() and part.isdigit() and 1 <= int(part) <= 1000 for part in parts):
        raise UsageError(
            f"--trimap is {text!r}, but must be comma-separated whole pixels from 1 to 1000, as in 1,2,4,8,16"
        )
    return tuple(sorted({int(part) for part in parts}))
