"""What training under each loss gave, beside what the atlas says of it."""

from collections.abc import Iterator, Mapping, Sequence
from math import isfinite

from segablate.atlas.trainings import TrainedLosses
from segablate.comparison.predictions import FEWEST, agreement
from segablate.tables import Column, Row, Table, as_number

_KEYS = ("iou", "boundary", "near", "rare", "entropy")
"""Columns of the table of losses that are compared with trainings."""


def trained_tables(sweeps: Sequence[TrainedLosses], losses: Table) -> Iterator[Table]:
    """Yield the tables of each sweep; `losses` is the table of the atlas."""
    for place, sweep in enumerate(sweeps, 1):
        name, title = (f"trained_{place}", f": {sweep.folder}") if len(sweeps) > 1 else ("trained", "")
        columns = _columns(sweep, losses)
        yield trained_table(sweep, columns, name, f"After training{title}")
        if columns and len(sweep.losses) > 1:
            yield agreement_table(sweep, columns, f"{name}_agreement", f"Agreement with mIoU after training{title}")


def trained_table(sweep: TrainedLosses, columns: Mapping[Column, Sequence[float]], name: str, title: str) -> Table:
    """Return the mIoU after training under each objective, beside `columns` of the atlas."""
    results = sweep.comparison.results["miou"].settings
    rows: list[Row] = []
    for place, (result, (objective, loss)) in enumerate(zip(results, sweep.losses.items(), strict=True)):
        row = {"objective": objective, "loss": loss, "trainings": result.trainings, "miou": result.mean}
        if place:
            row |= {"difference": result.difference, "interval": (result.low, result.high)}
        rows.append({**row, **{column.key: values[place] for column, values in columns.items()}})
    against = (
        Column("difference", f"− {next(iter(sweep.losses))}", "signed_share", digits=2),
        Column("interval", "95 % CI", "signed_interval", digits=2),
    )
    shown = (
        Column("objective", "objective", "prose"),
        Column("loss", "loss", "text", wide=True),
        Column("trainings", "trainings", "count"),
        Column("miou", "mIoU trained", "share", digits=2),
        *(against if len(rows) > 1 else ()),
        *columns,
    )
    note = f"{sweep.folder}: {sweep.about}. Differences are over seeds and images, where the seeds allow."
    return Table(name, title, shown, tuple(rows), (note, *sweep.notes), baseline=0 if len(rows) > 1 else None)


def agreement_table(sweep: TrainedLosses, columns: Mapping[Column, Sequence[float]], name: str, title: str) -> Table:
    """Return how far each column of the atlas has the order of the mIoU after training."""
    proven = [result.mean for result in sweep.comparison.results["miou"].settings]
    found = {column.title: agreement(values, proven) for column, values in columns.items()}
    rows = [{"compared": column, "same": each.same, "pairs": each.pairs} for column, each in found.items()]
    ranked = (Column("rho", "ρ", "signed_number", digits=2), Column("p", "p", "p"))
    if known := any(isfinite(each.rho) for each in found.values()):
        rows = [{**row, "rho": each.rho, "p": each.p} for row, each in zip(rows, found.values(), strict=True)]
    shown = (
        Column("compared", "column", "prose"),
        Column("same", "pairs in the same order", "count"),
        Column("pairs", "of pairs", "count"),
        *(ranked if known else ()),
    )
    note = "Larger is taken as better in every column; pairs of objectives that tie in either are left out."
    note += (
        " ρ: rank correlation over objectives, with its permutation p, not corrected for the number of columns."
        if known
        else f" A rank correlation takes at least {FEWEST} objectives."
    )
    return Table(name, title, shown, tuple(rows), (note,))


def _columns(sweep: TrainedLosses, losses: Table) -> dict[Column, list[float]]:
    """Return the columns of the atlas that have a number for some objective, with a value for each of them."""
    told = {str(row["loss"]): row for row in losses.rows}
    columns = [column for column in losses.columns if column.key in _KEYS]
    values = {column: [as_number(told[loss].get(column.key)) for loss in sweep.losses.values()] for column in columns}
    return {column: each for column, each in values.items() if any(map(isfinite, each))}
