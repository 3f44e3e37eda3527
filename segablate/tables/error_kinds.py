"""Table of the wrong pixels of an evaluation by kind."""

from segablate.evaluation.results import Evaluation
from segablate.metrics import error_kinds
from segablate.metrics.confusion import class_counts
from segablate.metrics.tolerance import Tolerance
from segablate.tables import Column, Table


def errors_table(run: Evaluation) -> Table:
    """Return the wrong pixels of every class by kind, false positives and negatives, as shares of its union."""
    counts, hits = run.statistics[error_kinds.STATISTIC].sum(axis=0), class_counts(run.confusion).total().hits
    shares = error_kinds.error_shares(counts, hits)
    places = [(side, kind) for kind in range(len(error_kinds.KINDS)) for side in range(len(error_kinds.SIDES))]
    rows = tuple(
        {
            "class": name,
            **{_key(*place): float(shares[(*place, index)]) for place in places},
            "wrong": int(counts[..., index].sum()),
        }
        for index, name in enumerate(run.labels.names)
    )
    columns = (
        Column("class", "class", "text"),
        *(Column(_key(*place), _heading(*place), "share") for place in places),
        Column("wrong", "wrong pixels", "count"),
    )
    width = Tolerance.parse(run.facts["measures"]["error_kinds"])
    wide = f"{width.amount:g} of the diagonal" if width.of_diagonal else f"{width.amount:g} px"
    note = (
        f"False positives (FP) and negatives (FN) as shares of the union of each class; with its IoU they sum to "
        f"100 %. Boundaries are {wide} wide."
    )
    return Table("errors", "Errors by kind", columns, rows, (note,))


def _heading(side: int, kind: int) -> str:
    return f"{error_kinds.KINDS[kind]} {error_kinds.SIDES[side]}"


def _key(side: int, kind: int) -> str:
    return _heading(side, kind).replace(" ", "_").lower()
