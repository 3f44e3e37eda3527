"""What training under each loss gave, beside what the atlas says of it."""

from collections.abc import Iterator, Mapping, Sequence
from math import isfinite

from segablate.atlas.trainings import TrainedLosses
from segablate.comparison.predictions import agreement
from segablate.tables import Column, Row, Table, as_number
from segablate.tables.predictions import predictions_table

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
    return predictions_table(found, name, title, "objectives")


def _columns(sweep: TrainedLosses, losses: Table) -> dict[Column, list[float]]:
    """Return the columns of the atlas that have a number for some objective, with a value for each of them."""
    told = {str(row["loss"]): row for row in losses.rows}
    columns = [column for column in losses.columns if column.key in _KEYS]
    values = {column: [as_number(told[loss].get(column.key)) for loss in sweep.losses.values()] for column in columns}
    return {column: each for column, each in values.items() if any(map(isfinite, each))}
