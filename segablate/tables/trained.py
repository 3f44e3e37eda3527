"""``ablate --train`` as a report: scores after training, what the fixed checkpoint had said, and the cost."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from segablate.ablation.gradients import WITHIN
from segablate.checkpoints import is_new_network
from segablate.errors import counted
from segablate.losses import Loss
from segablate.tables import Column, Report, Row, Table
from segablate.tables.predictions import predictions_table
from segablate.tables.training_groups import headline
from segablate.tables.trainings import trainings_notes, trainings_tables
from segablate.training.ablation import TrainedAblation
from segablate.training.sweep import CellResult


def trained_report(found: TrainedAblation, folder: Path) -> Report:
    """Return the report of ``segablate ablate LOSS --train``."""
    sweep, request = found.sweep, found.sweep.request
    part = "the classifier alone" if request.part == "head" else "the full network"
    steps = request.recipe.total(len(request.dataset))
    head = (
        ("network", request.network),
        ("trained", f"{part}, {counted(steps, 'step')} of {counted(request.recipe.batch, 'image')}"),
        (
            "trained on",
            f"{request.dataset.spec}, split {request.dataset.split}, {counted(len(request.dataset), 'image')}",
        ),
        ("reported on", f"split {sweep.reported.split}, {counted(len(sweep.reported), 'image')}"),
        ("objective", str(found.rows[0].objective)),
        ("seeds", ", ".join(map(str, sweep.seeds))),
        ("threads", f"{sweep.threads} in each training"),
        ("sweep", str(folder)),
    )
    tables = [*trainings_tables(found.comparison), cells_table(found.cells)]
    tables += fixed_tables(found) if found.columns else []
    title = f"{found.name} after training: {request.network} on {request.dataset.spec}"
    notes = (*trainings_notes(found.comparison), *_notes(found))
    runs = (("", request.network),)
    return Report(title, head, tuple(tables), notes, headline(found.comparison), runs)


def cells_table(cells: Mapping[str, Sequence[CellResult | None]]) -> Table:
    """Return what each training cost, and the trainings that diverged."""
    rows = []
    for name, results in cells.items():
        ended = [each for each in results if each is not None]
        diverged = [each for each in ended if each.diverged]
        rows.append(
            {
                "setting": name,
                "seconds": float(np.mean([each.seconds for each in ended])) if ended else None,
                "ended": len(ended) - len(diverged),
                "diverged": "; ".join(f"seed {each.cell.seed}: {each.diverged.partition(':')[0]}" for each in diverged),
            }
        )
    base = rows[0]["seconds"]
    for row in rows:
        row["cost"] = row["seconds"] / base if base and row["seconds"] else None
    any_diverged = any(row["diverged"] for row in rows)
    rows = rows if any_diverged else [{key: row[key] for key in row if key != "diverged"} for row in rows]
    columns = (
        Column("setting", "setting", "prose"),
        Column("ended", "trainings", "count"),
        Column("seconds", "seconds each", "number", digits=1),
        Column("cost", "against the first", "ratio", digits=2),
        *((Column("diverged", "diverged", "prose"),) if any_diverged else ()),
    )
    return Table("cells", "Trainings", columns, tuple(rows), baseline=0)


def fixed_tables(found: TrainedAblation) -> tuple[Table, Table]:
    """Return what the fixed checkpoint says of the settings, beside mIoU after training, and how far both agree."""
    proven = found.comparison.results["miou"].settings
    said = [column for column in _said(found.loss) if column.key in found.columns]
    rows: list[Row] = [
        {"setting": row.name, "miou": proven[place].mean, **{c.key: found.columns[c.key][place] for c in said}}
        for place, row in enumerate(found.rows)
    ]
    columns = (Column("setting", "setting", "prose"), Column("miou", "mIoU trained", "share", digits=2), *said)
    some = found.fixed.gradient_note if found.fixed else None
    notes = (*([some] if some else []), "Columns of the fixed checkpoint, before any training.")
    agreement = {column.title: found.agreement[column.key] for column in said}
    return (
        Table("fixed", "What the fixed checkpoint had said", columns, tuple(rows), notes, baseline=0),
        predictions_table(agreement, "fixed_agreement", "Agreement with mIoU after training", "settings"),
    )


def _said(loss: Loss) -> tuple[Column, ...]:
    """Return the columns of what a fixed checkpoint may say of a loss."""
    return (
        Column("merit", loss.ranks_by, "number"),
        Column("rho", "ρ mIoU", "signed_number", digits=3),
        Column("near", f"gradient ≤ {WITHIN[1]}px", "share", digits=1),
    )


def _notes(found: TrainedAblation) -> tuple[str, ...]:
    request = found.sweep.request
    new = is_new_network(request.network)
    varied = ["order of the images", "mirroring" if request.part == "head" else "augmentation"]
    if new and request.encoder is None:
        varied.insert(0, "first weights")
    elif request.part == "head" and not request.keep_head:
        varied.insert(0, "first weights of the classifier")
    notes = [f"Varied by the seeds: {', '.join(varied)}."]
    if not new:
        notes.append("One pretrained start: others are not covered.")
    return (*notes, *found.notes)
