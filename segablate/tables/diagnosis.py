"""The page of ``segablate doctor``."""

from collections.abc import Mapping, Sequence

from segablate.diagnosis import Check
from segablate.errors import counted, shorten
from segablate.tables import Column, Report, Table


def diagnosis_report(sections: Mapping[str, Sequence[Check]], seconds: float) -> Report:
    """Return the report of what was checked, one table for each section, with the faults as its last note."""
    columns = (Column("name", "", "text"), Column("state", "state", "text"), Column("detail", "detail", "prose"))
    tables = tuple(
        Table(
            title.lower().replace(" ", "_").replace("-", "_"),
            title,
            columns,
            tuple({"name": check.name, "state": check.state, "detail": check.detail} for check in checks),
        )
        for title, checks in sections.items()
    )
    faults = [check.name for checks in sections.values() for check in checks if check.state == "fault"]
    verdict = f"{counted(len(faults), 'fault')}: {shorten(faults, 8)}" if faults else "no fault found"
    notes = (f"{verdict}, in {seconds:.0f} s", "missing extras cost nothing but what needs them")
    return Report("segablate doctor", (), tables, notes)
