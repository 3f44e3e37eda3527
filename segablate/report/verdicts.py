"""The result of a page in a sentence, where its report states none, and the convention of its numbers."""

from collections.abc import Mapping
from math import isnan
from typing import Any

from segablate.errors import in_points, minus
from segablate.report.subject import Subject
from segablate.tables import Table, as_interval, as_number
from segablate.tables.evaluation import View, head


def verdict_of(subject: Subject) -> str:
    """Return the verdict of the report; else mIoU with its interval, or what an ablation found of its settings."""
    stated = dict(subject.report.facts).get("verdict")
    if stated is not None:
        return f"N{stated[1:]}" if stated.startswith("no ") else stated
    tables = {table.name: table for table in subject.report.tables if table.rows}
    if subject.kind == "evaluation":
        return _score(tables["overall"].rows[0]) if "overall" in tables else ""
    trained = next((table for table in subject.report.tables if _is_of_trainings(table)), None)
    if trained is not None:
        return _best_trained(trained)
    return _best_ranked(tables["agreement"]) if "agreement" in tables else ""


def convention_of(subject: Subject) -> str:
    """Return the convention of the report, or that of the evaluation below it, as a sentence."""
    stated = dict(subject.report.facts).get("convention", "")
    if not stated and subject.runs:
        view = View(subject.void_as_error)
        stated = dict(head(next(iter(subject.runs.values())), view)).get("convention", "")
    return f"{stated[:1].upper()}{stated[1:]}{'' if stated.endswith('.') else '.'}" if stated else ""


def _score(row: Mapping[str, Any]) -> str:
    value = as_number(row.get("value"))
    if isnan(value):
        return ""
    return f"mIoU {100 * value:.2f} %{_interval(row.get('interval'), '.1f')}, over {row['over']}."


def _is_of_trainings(table: Table) -> bool:
    keys = {column.key for column in table.columns}
    return bool(table.rows) and {"setting", "mean", "difference"} <= keys


def _best_trained(table: Table) -> str:
    """Return the mean of the baseline, and the best of the other settings with its difference."""
    measure, (baseline, *others) = table.title.partition(",")[0], table.rows
    ranked = [row for row in others if not isnan(as_number(row.get("mean")))]
    first = f"{measure} after training: {baseline['setting']} {100 * as_number(baseline.get('mean')):.2f} %"
    if not ranked or isnan(as_number(baseline.get("mean"))):
        return ""
    best = max(ranked, key=lambda row: as_number(row.get("mean")))
    which = f"best of {len(ranked)} others " if len(ranked) > 1 else ""
    own = f"{which}{best['setting']} {100 * as_number(best.get('mean')):.2f} %"
    change = as_number(best.get("difference"))
    if isnan(change):
        return f"{first}; {own}."
    return f"{first}; {own}, {in_points(change)} points{_interval(best.get('interval'), '+.2f')}."


def _best_ranked(table: Table) -> str:
    """Return the setting whose values rank the images most like mIoU does."""
    settings = table.rows[: table.sections[0] if table.sections else None]
    rows = [row for row in settings if not isnan(as_number(row.get("iou")))]
    if not rows:
        return ""
    best = max(rows, key=lambda row: as_number(row.get("iou")))
    low, high = as_interval(best.get("iou_interval"))
    interval = "" if isnan(low) else f" (95 % CI {minus(f'{low:+.2f}')} to {minus(f'{high:+.2f}')})"
    rho = minus(f"{as_number(best.get('iou')):+.2f}")
    return (
        f"{best['setting']} ranks the images most like their mIoU does: ρ = {rho}{interval}, on the fixed checkpoint."
    )


def _interval(value: object, form: str) -> str:
    low, high = as_interval(value)
    if isnan(low):
        return ""
    return f" (95 % CI {minus(format(100 * low, form))} to {minus(format(100 * high, form))})"
