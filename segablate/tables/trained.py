"""``ablate --train`` as a report: scores after training, what the fixed checkpoint had said, and the cost."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from segablate.checkpoints import is_new_network
from segablate.comparison.predictions import Agreement
from segablate.errors import counted
from segablate.tables import Column, Report, Row, Table
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
        ("trained on", f"{request.dataset.spec}, split {request.dataset.split}, {len(request.dataset)} images"),
        ("reported on", f"split {sweep.reported.split}, {len(sweep.reported)} images"),
        ("objective", str(found.rows[0].objective)),
        ("seeds", ", ".join(map(str, sweep.seeds))),
        ("threads", f"{sweep.threads} in each training"),
        ("sweep", str(folder)),
    )
    tables = [*trainings_tables(found.comparison), cells_table(found.cells)]
    tables += [fixed_table(found)] if found.columns else []
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


def fixed_table(found: TrainedAblation) -> Table:
    """Return what the fixed checkpoint says of the settings, beside the mean mIoU that training gave."""
    proven = found.comparison.results["miou"].settings
    rows: list[Row] = []
    for place, row in enumerate(found.rows):
        said = {title: number_text(values[place]) for title, values in found.columns.items()}
        rows.append({"setting": row.name, "miou": proven[place].mean, **said})
    rows.append(
        {"setting": "agreement with mIoU", **{title: agreement_text(each) for title, each in found.agreement.items()}}
    )
    columns = (
        Column("setting", "setting", "prose"),
        Column("miou", "mIoU trained", "share", digits=2),
        *(Column(title, title, "text") for title in found.columns),
    )
    note = (
        "Columns of the fixed checkpoint, before any training: larger is taken as better. Agreement: pairs of settings "
        "in the order that training gave them; from five settings the rank correlation and its permutation p."
    )
    some = found.fixed.gradient_note if found.fixed else None
    notes = (some, note) if some else (note,)
    return Table("fixed", "What the fixed checkpoint had said", columns, tuple(rows), notes, (len(found.rows),), 0)


def number_text(value: float) -> str | None:
    """Return a number of three significant digits; None for nan."""
    return None if np.isnan(value) else f"{value:.3g}"


def agreement_text(found: Agreement) -> str:
    """Return the rank correlation and its p, the pairs in the same order where there is none, or a dash."""
    if not found.pairs:
        return "–"
    if np.isnan(found.rho):
        return f"{found.same} of {counted(found.pairs, 'pair')}"
    return f"ρ = {found.rho:+.2f} (p = {found.p:.3f})"


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
