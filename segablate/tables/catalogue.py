"""The losses as tables: all of them at a glance, and one in full."""

from collections.abc import Mapping

from segablate.losses.catalogue import catalogue
from segablate.losses.term import Term
from segablate.ranges import Conditions
from segablate.tables import Column, Report, Row, Table


def losses_report() -> Report:
    """Every loss in a row: what it is, its knobs with their defaults, the objective its authors train with."""
    rows: list[Row] = [
        {
            "loss": row.name,
            "what": row.what,
            "knobs": row.knobs or "none",
            "objective": row.objective,
            "paper": row.paper,
        }
        for row in catalogue()
    ]
    columns = (
        Column("loss", "loss", "text"),
        Column("what", "what it is", "prose"),
        Column("knobs", "knobs and defaults", "prose"),
        Column("objective", "published objective", "prose"),
        Column("paper", "paper", "prose", wide=True),
    )
    return Report("Losses", (), (Table("losses", "Losses", columns, tuple(rows)),))


def loss_report(term: Term) -> Report:
    """One loss: paper, objective and inputs; its knobs; and the sections of its docstring."""
    facts = {
        "what": term.summary,
        "paper": term.paper or "none given",
        "published objective": term.objective,
        "inputs beside logits and labels": ", ".join(sorted(term.inputs)) or "none",
    }
    tables = [knobs_table(term)] if term.knobs else []
    for name, title, reasons in (
        ("exceptions", "Rules it breaks by design", term.exceptions),
        ("incomparable", "Knobs across which values are not comparable", term.incomparable),
    ):
        tables += [_declared(name, title, reasons)] if reasons else []
    tables += [_section(f"text_{place}", *section) for place, section in enumerate(term.sections.items())]
    return Report(term.name, tuple(facts.items()), tuple(tables))


def knobs_table(term: Term) -> Table:
    """Each knob: its default, what it may be, what a sweep tries, what it means and when it has an effect."""
    rows: list[Row] = [
        {
            "knob": knob.name,
            "default": knob.format(knob.default),
            "range": knob.expected(),
            "grid": ", ".join(map(knob.format, knob.grid)),
            "meaning": knob.help + _condition(knob.used_when),
        }
        for knob in term.knobs.values()
    ]
    columns = (
        Column("knob", "knob", "text"),
        Column("default", "default", "text"),
        Column("range", "may be", "prose"),
        Column("grid", "grid", "prose"),
        Column("meaning", "meaning", "prose"),
    )
    return Table("knobs", "Knobs", columns, tuple(rows))


def _condition(choices: Conditions) -> str:
    said = (f"{name}={' or '.join(map(str, values))}" for name, values in choices.items())
    return f" (with {', '.join(said)})" if choices else ""


def _declared(name: str, title: str, reasons: Mapping[str, str]) -> Table:
    rows: list[Row] = [{"of": of, "why": why} for of, why in reasons.items()]
    columns = (Column("of", "of", "text"), Column("why", "why", "prose"))
    return Table(name, title, columns, tuple(rows))


def _section(name: str, heading: str, text: str) -> Table:
    """A part of the docstring, a paragraph in a row: the formula stands alone."""
    rows: list[Row] = [{"text": " ".join(paragraph.split())} for paragraph in text.split("\n\n")]
    return Table(name, heading or "About", (Column("text", "", "prose"),), tuple(rows))
