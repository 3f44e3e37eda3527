"""All losses at a glance: the rows of the table that the README shows and ``losses list`` prints."""

from dataclasses import dataclass

from segablate.knobs import format_settings
from segablate.losses import get_loss, loss_names
from segablate.losses.term import Term


@dataclass(frozen=True)
class Row:
    """One loss; ``knobs`` are all of them with their defaults, ``objective`` is the published one."""

    name: str
    what: str
    knobs: str
    objective: str
    paper: str


def catalogue() -> tuple[Row, ...]:
    """A row for every loss, in alphabetic order. Imports all of them."""
    return tuple(map(_row, map(get_loss, loss_names())))


def _row(term: Term) -> Row:
    defaults = {name: knob.default for name, knob in term.knobs.items()}
    return Row(term.name, term.summary, format_settings(term.knobs, defaults), term.objective, term.paper)
