"""Tables of the losses: the list, and one loss with its hyperparameters."""

from segablate.errors import shorten
from segablate.losses import Loss
from segablate.objective.catalogue import catalogue, left_out_losses
from segablate.objective.knobs import Knob
from segablate.objective.ranges import format_value
from segablate.tables import Column, Report, Table


def losses_report() -> Report:
    """Return every loss with its description, default hyperparameters and published objective."""
    columns = (
        Column("name", "loss", "text"),
        Column("what", "description", "prose"),
        Column("knobs", "hyperparameters", "prose", wide=True),
        Column("objective", "published objective", "prose"),
        Column("paper", "paper", "prose", wide=True),
    )
    found = catalogue()
    rows = tuple(
        {"name": row.name, "what": row.what, "knobs": row.knobs, "objective": row.objective, "paper": row.paper}
        for row in found
    )
    if any(row.package for row in found):
        columns = (columns[0], Column("package", "package", "text"), *columns[1:])
        rows = tuple({**row, "package": each.package or "segablate"} for row, each in zip(rows, found, strict=True))
    note = "segablate losses show NAME prints one in detail; python:package.module:function is a loss too."
    return Report("Losses", (), (Table("losses", "Losses", columns, rows),), (note, *left_out_losses()))


def loss_report(loss: Loss) -> Report:
    """Return one loss with its paper, objective, hyperparameters with ranges and grids, and declared exceptions."""
    facts = {
        "what": loss.summary,
        "paper": loss.paper or "none (user-defined loss)",
        "objective": loss.objective,
        **({"package": loss.package} if loss.package else {}),
        "activation": "softmax or sigmoid, by probability" if "probability" in loss.knobs else loss.activation,
        **({"further inputs": shorten(sorted(loss.inputs), 9)} if loss.inputs else {}),
    }
    columns = (
        Column("knob", "hyperparameter", "text"),
        Column("default", "default", "text"),
        Column("range", "range", "prose"),
        Column("grid", "grid", "prose"),
        Column("meaning", "meaning", "prose"),
    )
    rows = tuple(_knob_row(knob) for knob in loss.knobs.values())
    tables = (Table("knobs", "Hyperparameters", columns, rows),) if rows else ()
    return Report(loss.name, tuple(facts.items()), tables, tuple(_declared(loss)))


def sections(loss: Loss) -> tuple[tuple[str, str], ...]:
    """Return headings and texts of its documentation: formula, parts, differences from the authors' code."""
    return tuple((heading or "Notes", text) for heading, text in loss.sections.items())


def _knob_row(knob: Knob) -> dict[str, object]:
    used = "; ".join(
        f"{other}={' or '.join(format_value(value) for value in values)}" for other, values in knob.used_when.items()
    )
    return {
        "knob": knob.name,
        "default": knob.format(knob.default),
        "range": knob.expected(),
        "grid": ", ".join(knob.format(value) for value in knob.grid),
        "meaning": knob.help + (f" (with {used})" if used else ""),
    }


def _declared(loss: Loss) -> list[str]:
    found = [f"by design ({rule}): {why}" for rule, why in loss.exceptions.items()]
    found += [f"values under different {knob} are not comparable: {why}" for knob, why in loss.incomparable.items()]
    if loss.ranks_by:
        found.append(f"images are ranked by the fact {loss.ranks_by} (higher is better), not by the value")
    return found
