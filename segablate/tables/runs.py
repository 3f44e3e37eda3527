"""Table of the saved runs in a folder."""

from pathlib import Path

from segablate.errors import RunError, SegablateError
from segablate.evaluation.results import load_run
from segablate.evaluation.runs import is_run, read_description, read_run
from segablate.files import is_folder
from segablate.metrics.confusion import class_counts, mean_iou
from segablate.tables import Column, Report, Row, Table


def runs_report(folder: Path) -> Report:
    """Return all saved runs directly in `folder`, damaged ones marked. RunError when there is no such folder."""
    if not is_folder(folder):
        raise RunError(f"{folder} is not a folder; give a folder with saved runs. Usage: segablate runs FOLDER")
    paths = [path for path in sorted(folder.iterdir()) if is_run(path)]
    columns = (
        Column("run", "run", "text"),
        Column("kind", "kind", "text"),
        Column("checkpoint", "checkpoint", "text"),
        Column("dataset", "dataset", "text"),
        Column("images", "images", "count"),
        Column("miou", "mIoU", "share", digits=2),
        Column("written", "written (UTC)", "text"),
    )
    rows, notes = [], []
    for path in paths:
        try:
            rows.append(_row(path))
        except SegablateError as error:
            rows.append({"run": path.name, "kind": "damaged"})
            notes.append(str(error))
    if not paths:
        notes.append(f"no saved run in {folder}; segablate evaluate --save {folder}/NAME writes one")
    return Report(f"Runs in {folder}", (), (Table("runs", "Runs", columns, tuple(rows)),), tuple(notes))


def _row(path: Path) -> Row:
    described = read_description(path)
    facts = described["facts"]
    row = {
        "run": path.name,
        "kind": described["kind"],
        "checkpoint": facts["checkpoint"]["name"],
        "dataset": facts["dataset"]["name"],
        "images": facts["dataset"]["images"],
        "written": described["written"][:16].replace("T", " "),
    }
    if described["kind"] != "evaluation":
        read_run(path, described["kind"])
        return row
    run = load_run(path)
    return row | {"images": run.images, "miou": float(mean_iou(class_counts(run.confusion).total()))}
