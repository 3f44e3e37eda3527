"""What `ablate --train` trains: settings of a loss, weights of its term, and whole objectives beside them."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from segablate.ablation.sweep import Setting
from segablate.errors import ObjectiveError, UsageError
from segablate.losses import Loss
from segablate.objective.ranges import format_value
from segablate.objective.weighted_sum import Objective, parse_objective
from segablate.objective.written_lists import unquoted
from segablate.training.objectives import without_features
from segablate.training.sweep import SweepSetting


@dataclass(frozen=True)
class Row:
    """One row of the table: a setting of the loss, with the weight of its term; or an objective to compare with.

    - `values`: hyperparameters of the loss, or None for an objective.
    - `trained_only`: whether the setting has its effect in training alone, so that a fixed checkpoint has no column.
    - `full_labels`: whether it is trained from full labels, where the sweep has others.
    """

    name: str
    objective: Objective
    values: Mapping[str, Any] | None = None
    trained_only: bool = False
    full_labels: bool = False

    @property
    def trained(self) -> SweepSetting:
        """The row of a sweep."""
        return SweepSetting(self.name, str(self.objective), self.full_labels)


def plan_rows(
    loss: Loss, settings: Sequence[Setting], objective: Objective, weights: Sequence[float], against: Sequence[str]
) -> tuple[Row, ...]:
    """Return the rows: the baseline, every setting under every weight, then the objectives to compare with.

    `objective`: the weighted sum that is trained, with a term of the loss, whose weight each of `weights` replaces. A
    setting that is the default is the baseline. Raises ObjectiveError where the objective has no such term, and
    UsageError for two rows of one name.
    """
    if not any(term.loss.name == loss.name for term in objective.terms):
        raise ObjectiveError(f"objective '{objective}' has no term {loss.name}; add it, as in ce + {loss.name}")
    own = next(term.weight for term in objective.terms if term.loss.name == loss.name)
    baseline = settings[0]
    rows = [_row(loss, baseline, objective, own, baseline.text)]
    for weight in weights or (own,):
        for setting in settings:
            default = all(loss.knobs[name].default == value for name, value in setting.values.items())
            if default and (weight == own or setting is not baseline):
                continue
            parts = [f"weight={format_value(weight)}"] if weight != own or weights else []
            parts += [setting.text] if setting is not baseline else []
            rows.append(_row(loss, setting, objective, weight, ", ".join(parts)))
    rows += [Row(text, parse_objective(text)) for text in against]
    names = [row.name for row in rows]
    if twice := [name for name in names if names.count(name) > 1]:
        raise UsageError(f"{twice[0]} is asked for twice; name every setting once")
    return tuple(rows)


def refuse_untrained(rows: Sequence[Row]) -> None:
    """Raise UsageError for rows that, where a classifier alone is trained, train nothing or as another row does."""
    seen: dict[tuple[str, bool], Row] = {}
    why = "because feature_consistency trains features, which are fixed there; use --train full"
    for row in rows:
        kept = without_features(row.objective)
        if not kept:
            raise UsageError(f"--train head: '{row.name}' trains nothing, {why}")
        first = seen.setdefault((str(Objective(kept)), row.full_labels), row)
        if first is not row and len(kept) < max(len(each.objective.terms) for each in (first, row)):
            raise UsageError(
                f"--train head: '{row.name}' trains the classifier as '{first.name}' does, {why}, or leave one out"
            )


def ceiling(row: Row) -> Row:
    """Return the row that trains the objective of another from full labels."""
    return Row(f"{row.name}, full labels", row.objective, full_labels=True)


def split_objectives(text: str) -> list[str]:
    """Take ``ce,0.5*bce(extra=1) + 0.5*rmi`` apart at the commas outside brackets and quotes."""
    parts, depth = [""], 0
    for sign in re.findall(r"'[^']*'|\"[^\"]*\"|.", text, re.DOTALL):
        depth += {"(": 1, ")": -1}.get(sign, 0)
        if sign == "," and depth == 0:
            parts.append("")
        else:
            parts[-1] += sign
    return [part.strip() for part in map(unquoted, parts) if part.strip()]


def _row(loss: Loss, setting: Setting, objective: Objective, weight: float, name: str) -> Row:
    with_settings = objective.with_settings(loss.name, setting.values)
    terms = [replace(term, weight=weight) if term.loss.name == loss.name else term for term in with_settings.terms]
    known = {name: loss.knobs[name] for name in setting.values}
    turned = [name for name, knob in known.items() if knob.training and setting.values[name] != knob.default]
    own = next(term.weight for term in objective.terms if term.loss.name == loss.name)
    return Row(name, Objective(tuple(terms)), setting.values, bool(turned) or weight != own)
