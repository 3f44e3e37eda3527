"""How far columns that were known before any training have the order that training gave, as a table."""

from collections.abc import Mapping
from math import isfinite

from segablate.comparison.predictions import FEWEST, Agreement
from segablate.tables import Column, Row, Table


def predictions_table(found: Mapping[str, Agreement], name: str, title: str, compared: str) -> Table:
    """Return the agreement of each column, by its title; `compared`: what its rows are, in the plural."""
    rows: list[Row] = [{"compared": column, "same": each.same, "pairs": each.pairs} for column, each in found.items()]
    ranked = (Column("rho", "ρ", "signed_number", digits=2), Column("p", "p", "p"))
    if known := any(isfinite(each.rho) for each in found.values()):
        rows = [{**row, "rho": each.rho, "p": each.p} for row, each in zip(rows, found.values(), strict=True)]
    shown = (
        Column("compared", "column", "prose"),
        Column("same", "pairs in the same order", "count"),
        Column("pairs", "of pairs", "count"),
        *(ranked if known else ()),
    )
    note = f"Larger is taken as better in every column; pairs of {compared} that tie in either are left out."
    note += (
        f" ρ: rank correlation over {compared}, with its permutation p, not corrected for the number of columns."
        if known
        else f" A rank correlation takes at least {FEWEST} {compared}."
    )
    return Table(name, title, shown, tuple(rows), (note,))
