"""Tables of changes between runs: confusions, bands, images, the choice of each measure, and facts."""

from collections.abc import Mapping

from segablate.comparison.changes import BandChanges, ImageChange
from segablate.comparison.differences import Comparison
from segablate.evaluation.results import Evaluation
from segablate.metrics.bands import BANDS
from segablate.tables import Column, Row, Table
from segablate.tables.differences import LETTERS

_OWN = ("name", "files")


def confusions_table(comparison: Comparison) -> Table:
    """Return the confusions of two runs that changed most."""
    assert comparison.changes is not None
    labels, predicted = (*comparison.classes, "void"), (*comparison.classes, "outside the label set")
    rows = tuple(
        {
            "label": labels[confusion.label],
            "predicted": predicted[confusion.predicted],
            "a": confusion.pixels[0],
            "b": confusion.pixels[1],
            "change": confusion.change,
            "share": confusion.share,
        }
        for confusion in comparison.changes.confusions
    )
    columns = (
        Column("label", "labelled", "text"),
        Column("predicted", "predicted as", "text"),
        Column("a", "A", "count", run="A"),
        Column("b", "B", "count", run="B"),
        Column("change", "B − A", "signed_count", run="B − A"),
        Column("share", "share of label", "signed_share", digits=2, run="B − A"),
    )
    return Table("confusions", "Confusions that changed most, in pixels", columns, rows)


def bands_table(changes: BandChanges) -> Table:
    """Return pixel accuracy by distance from the label boundary, and the net pixels gained."""
    change = changes.accuracy.change
    rows = tuple(
        {
            "distance": band,
            "pixels": int(changes.pixels[i]),
            "a": float(changes.accuracy.a[i]),
            "b": float(changes.accuracy.b[i]),
            "change": float(change.value[i]),
            "interval": (float(change.percentile.low[i]), float(change.percentile.high[i])),
            "gained": int(changes.right[1, i] - changes.right[0, i]),
        }
        for i, band in enumerate(BANDS)
    )
    columns = (
        Column("distance", "distance from the label boundary", "text"),
        Column("pixels", "pixels", "count"),
        Column("a", "A", "share", digits=2, run="A"),
        Column("b", "B", "share", digits=2, run="B"),
        Column("change", "B − A", "signed_share", digits=2, run="B − A"),
        Column("interval", "95 % CI", "signed_interval", digits=2, run="B − A"),
        Column("gained", "net pixels", "signed_count", run="B − A"),
    )
    note = "Net pixels: right in B only − right in A only."
    return Table(
        "bands", "Pixel accuracy by distance from the label boundary", columns, rows, (note,), measure="pixel accuracy"
    )


def images_table(comparison: Comparison) -> Table:
    """Return the images whose mIoU rose and fell most from the first of two runs to the second."""
    assert comparison.changes is not None
    risen, fallen = comparison.changes.risen, comparison.changes.fallen
    columns = (
        Column("image", "image", "text"),
        Column("a", "A", "share", run="A"),
        Column("b", "B", "share", run="B"),
        Column("change", "B − A", "signed_share", run="B − A"),
        Column("accuracy_change", "pixel accuracy", "signed_share", run="B − A"),
    )
    notes = ("mIoU of a single image, over the classes labelled in it, not that of the set.",)
    rows = tuple(_image_row(image) for image in (*risen, *fallen))
    sections = (len(risen),) if risen and fallen else ()
    return Table("images", "Images that changed most, by mIoU", columns, rows, notes, sections, measure="mIoU")


def choices_table(comparison: Comparison) -> Table:
    """Return the run that each measure would choose, and the share of replicates in which it is the best."""
    letters = LETTERS[: len(comparison.names)]
    rows = []
    for ranking in comparison.rankings:
        chosen = ranking.chosen
        first = {f"first_{x.lower()}": share for x, share in zip(letters, ranking.first.tolist(), strict=True)}
        ranks = {f"rank_{x.lower()}": rank for x, rank in zip(letters, ranking.mean_rank.tolist(), strict=True)}
        rows.append(
            {"measure": ranking.measure.title, "choice": None if chosen is None else letters[chosen], **first, **ranks}
        )
    columns = (
        Column("measure", "measure", "text"),
        Column("choice", "chooses", "text"),
        *(Column(f"first_{letter.lower()}", f"{letter} first", "share", run=letter) for letter in letters),
        *(Column(f"rank_{x.lower()}", f"mean rank of {x}", "number", digits=2, wide=True, run=x) for x in letters),
    )
    choices = {row["choice"] for row in rows}
    agreement = (
        "All measures agree." if len(choices) == 1 else "The measures disagree: the choice depends on the measure."
    )
    notes = ("First: the share of bootstrap replicates in which a run is the best.", agreement)
    return Table("choices", "Run chosen by each measure", columns, tuple(rows), notes)


def facts_table(runs: Mapping[str, Evaluation]) -> Table:
    """Return the facts that differ between the runs, other than the weights."""
    described = [_facts(run) for run in runs.values()]
    letters = LETTERS[: len(runs)]
    keys = dict.fromkeys(key for facts in described for key in facts)
    rows = tuple(
        {"fact": key} | {x.lower(): facts.get(key) for x, facts in zip(letters, described, strict=True)}
        for key in keys
        if len({facts.get(key) for facts in described}) > 1
    )
    columns = (Column("fact", "", "text"), *(Column(letter.lower(), letter, "prose", run=letter) for letter in letters))
    return Table("facts", "Differences between the runs", columns, rows)


def _facts(run: Evaluation) -> dict[str, str]:
    checkpoint = {key: str(value) for key, value in run.facts["checkpoint"].items() if key not in _OWN}
    dataset = {key: f"{run.facts['dataset'][key]}" for key in ("name", "split")}
    versions = {f"version of {package}": version for package, version in run.facts["versions"].items()}
    return {**checkpoint, "dataset": dataset["name"], "split": dataset["split"], **versions}


def _image_row(image: ImageChange) -> Row:
    (a, b), (before, after) = image.miou, image.pixel_accuracy
    return {"image": image.name, "a": a, "b": b, "change": b - a, "accuracy_change": after - before}
