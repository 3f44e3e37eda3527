"""The facts above the tables."""

from segablate.tables import Report


def facts_beside_headline(report: Report) -> tuple[tuple[str, str], ...]:
    """Return the facts of a report, without one that the headline already states."""
    said = report.headline.text if report.headline is not None else None
    return tuple((name, value) for name, value in report.facts if value != said)
