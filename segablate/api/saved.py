"""A saved comparison, ablation or atlas, of which the tables are kept."""

from dataclasses import dataclass
from typing import Any

from segablate.api import frames
from segablate.render import render
from segablate.render.html import to_html
from segablate.tables import Report


@dataclass(frozen=True, eq=False)
class SavedReport:
    """The tables of a saved run: what :func:`segablate.load` returns for a comparison, an ablation or an atlas.

    - `kind`: ``"comparison"``, ``"ablation"`` or ``"atlas"``; `report`: its tables as data, shares in 0..1.
    """

    kind: str
    report: Report

    @property
    def tables(self) -> tuple[str, ...]:
        """The names of the tables."""
        return tuple(table.name for table in self.report.tables)

    def to_pandas(self, table: str) -> Any:
        """Return a table as a ``pandas.DataFrame``; intervals are two columns, ``_low`` and ``_high``.

        Raises:
            MissingExtra: without pandas.
            UsageError: for a name that is not in `tables`.
        """
        return frames.to_pandas(frames.rows_of(self.report, table))

    def to_polars(self, table: str) -> Any:
        """Return a table as a ``polars.DataFrame``; see :meth:`to_pandas`."""
        return frames.to_polars(frames.rows_of(self.report, table))

    def __repr__(self) -> str:
        return f"SavedReport({self.kind}: {self.report.title})"

    def __str__(self) -> str:
        return render(self.report, "rich")

    def _repr_html_(self) -> str:
        return to_html(self.report)
