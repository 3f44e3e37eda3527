"""What training under each loss gave, beside what the atlas says of it."""

from collections.abc import Iterator, Mapping, Sequence

from segablate.atlas.results import Atlas
from segablate.atlas.trainings import TrainedLosses
from segablate.comparison.predictions import agreement
from segablate.tables import Column, Row, Table, as_number
from segablate.tables.trained import agreement_text, number_text

_COLUMNS = {
    "iou": "ρ mIoU",
    "boundary": "ρ bF",
    "near": "gradient ≤ 3px",
    "rare": "on rare",
    "entropy": "cosine with CE",
}
"""Columns of the atlas that are compared with trainings."""


def trained_tables(atlas: Atlas, sweeps: Sequence[TrainedLosses], losses: Table) -> Iterator[Table]:
    """Yield a table for each sweep; `losses` is the table of the atlas."""
    told = {str(row["loss"]): row for row in losses.rows}
    for place, sweep in enumerate(sweeps, 1):
        yield trained_table(sweep, told, f"trained_{place}" if len(sweeps) > 1 else "trained")


def trained_table(sweep: TrainedLosses, told: Mapping[str, Row], name: str) -> Table:
    """Return the mIoU after training under each objective, and its agreement with the columns of the atlas."""
    results = sweep.comparison.results["miou"].settings
    proven = [result.mean for result in results]
    columns = {
        key: [as_number(told[loss].get(key)) for loss in sweep.losses.values()]
        for key in _COLUMNS
        if any(key in row for row in told.values())
    }
    rows: list[Row] = []
    for place, (result, (objective, loss)) in enumerate(zip(results, sweep.losses.items(), strict=True)):
        rows.append(
            {
                "objective": objective,
                "loss": loss,
                "trainings": result.trainings,
                "miou": result.mean,
                "difference": result.difference if place else None,
                "interval": (result.low, result.high) if place else None,
                **{key: number_text(values[place]) for key, values in columns.items()},
            }
        )
    rows.append(
        {
            "objective": "agreement with mIoU",
            **{key: agreement_text(agreement(values, proven)) for key, values in columns.items()},
        }
    )
    first = next(iter(sweep.losses))
    shown = (
        Column("objective", "objective", "prose"),
        Column("loss", "loss", "text", wide=True),
        Column("trainings", "trainings", "count"),
        Column("miou", "mIoU trained", "share", digits=2),
        Column("difference", f"− {first}", "signed_share", digits=2),
        Column("interval", "95 % CI", "signed_interval", digits=2),
        *(Column(key, _COLUMNS[key], "text") for key in columns),
    )
    note = (
        f"{sweep.folder}: {sweep.about}. Differences are over seeds and images, where the seeds allow. Agreement: of a "
        f"column of the atlas, larger taken as better, with mIoU: pairs of objectives in the same order, or from five "
        f"objectives the rank correlation and its permutation p, not corrected for the number of columns."
    )
    return Table(name, "After training", shown, tuple(rows), (note, *sweep.notes), (len(results),), baseline=0)
