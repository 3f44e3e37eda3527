"""Objectives: weighted sums of loss terms, written as people write them.

::

    ce + 0.5*rmi(radius=3, stride=4) + 2*cpg - 0.1*python:package.module.function(gamma=2)

A term is a loss by name, or a user's function by its module or file; its settings are in brackets, and settings not
given have their defaults. Values are written as on the command line: ``pool=max``, ``alpha=none``, ``scales=4:8``.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from segablate.errors import ObjectiveError, at
from segablate.objective.catalogue import get_loss
from segablate.objective.from_files import refuse_unfit
from segablate.objective.knobs import Knob, ValueType, find_knob, format_settings
from segablate.objective.loss import Loss
from segablate.objective.ranges import Range, format_value

if TYPE_CHECKING:  # an objective is read and printed without torch
    from torch import Tensor


@dataclass(frozen=True)
class WeightedTerm:
    """One term: ``0.5*rmi(radius=3)``. ``settings`` holds the hyperparameters that were given, checked."""

    weight: float
    loss: Loss
    settings: Mapping[str, Any] = field(default_factory=dict)

    def __call__(self, logits: "Tensor", labels: "Tensor", **inputs: Any) -> "Tensor":
        """Return the weighted value, 0-dim; inputs that the loss does not take are ignored."""
        taken = {name: value for name, value in inputs.items() if name in self.loss.inputs - self.settings.keys()}
        return self.weight * self.loss(logits, labels, **taken, **self.settings)

    @property
    def hyperparameters(self) -> dict[str, Any]:
        """Return the settings without class weights, which are an input of the loss."""
        return {name: value for name, value in self.settings.items() if name not in self.loss.inputs}

    def __str__(self) -> str:
        weight = "" if self.weight == 1 else f"{format_value(self.weight)}*"
        settings = self.hyperparameters
        parts = [format_settings(self.loss.knobs, settings)] if settings else []
        if "weights" in self.settings:
            parts.insert(0, f"weights={':'.join(map(format_value, self.settings['weights']))}")
        return weight + self.loss.name + (f"({', '.join(parts)})" if parts else "")


@dataclass(frozen=True)
class Objective:
    """A weighted sum of terms; ``str()`` returns a text that :func:`parse_objective` reads back."""

    terms: tuple[WeightedTerm, ...]

    def __call__(self, logits: "Tensor", labels: "Tensor", **inputs: Any) -> "Tensor":
        """Return the sum for this batch, 0-dim; each term takes from the inputs (``image``, ...) those that it needs.

        Raises :class:`~segablate.errors.KnobError` for a needed input that is missing.
        """
        first, *rest = (term(logits, labels, **inputs) for term in self.terms)
        return sum(rest, first)

    @property
    def needs(self) -> frozenset[str]:
        """Return the inputs beyond logits and labels without which it cannot be computed."""
        return frozenset().union(*(term.loss.needs(term.hyperparameters) for term in self.terms))

    def with_settings(self, name: str, settings: Mapping[str, Any]) -> "Objective":
        """Return the same sum with these settings, on top of those given, in every term of that name.

        Raises :class:`~segablate.errors.KnobError` for an unknown hyperparameter or a value outside its range.
        """
        return Objective(tuple(_with(term, settings) if term.loss.name == name else term for term in self.terms))

    def __str__(self) -> str:
        first, *rest = self.terms
        signed = (f" - {replace(term, weight=-term.weight)}" if term.weight < 0 else f" + {term}" for term in rest)
        return str(first) + "".join(signed)


def parse_objective(text: str) -> Objective:
    """Read an objective such as ``"ce + 0.5*rmi(radius=3)"``.

    Args:
        text: a weighted sum of losses by name, each with its settings in brackets.

    Returns:
        The objective: called with logits N C H W and labels N H W, it returns the sum, a 0-dim tensor; ``str`` returns
        a text that reads back.

    Raises:
        ObjectiveError: for a malformed text or an unknown loss, with the column.
        KnobError: for an unknown setting or a value out of its range, with the column.

    Examples:
        >>> import torch, segablate
        >>> objective = segablate.parse_objective("ce + 0.5*dice(smooth=2)")
        >>> [str(term) for term in objective.terms]
        ['ce', '0.5*dice(smooth=2)']
        >>> objective(torch.zeros(1, 2, 4, 4), torch.zeros(1, 4, 4, dtype=torch.long)).ndim
        0
    """
    return _Reader(text).objective()


def published_objective(loss: Loss) -> Objective:
    """Return the weighted sum with which the authors of a loss train."""
    return parse_objective(loss.objective)


_NUMBER = re.compile(r"(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?")
_NAME = re.compile(r"python:[\w./\\~:-]+|[A-Za-z_]\w*")
_KNOB = re.compile(r"[A-Za-z_]\w*")
_CLASS_WEIGHTS = Knob("weights", None, ValueType(float, True, 0), Range(0, 1e9, help="one weight a class"))
_VALUE = re.compile(r"'[^']*'|\"[^\"]*\"|[^,()'\"]+")


class _Reader:
    """A reader of one objective from left to right; ``column`` is its position in the text."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.column = 0

    def objective(self) -> Objective:
        """Read ``term {("+" | "-") term}``."""
        terms = [self.term(-1.0 if self.skip("-") else 1.0)]
        while not self.at_end():
            if not (sign := self.skip("+") or self.skip("-")):
                raise self.error("expected '+' between two terms")
            terms.append(self.term(-1.0 if sign == "-" else 1.0))
        return Objective(tuple(terms))

    def term(self, sign: float) -> WeightedTerm:
        """Read ``[number "*"] name ["(" settings ")"]``."""
        weight = sign
        if number := self.match(_NUMBER):
            weight = sign * float(number)
            if not self.skip("*"):
                raise self.error(f"expected '*' between the weight {number} and its term")
        start = self.column = self.after_spaces()
        name = self.match(_NAME)
        if not name:
            raise self.error("expected a loss, as in ce + 0.5*rmi(radius=3)")
        with at(self.place(start)):
            loss = get_loss(name)
        settings = dict(self.settings(loss)) if self.skip("(") else {}
        with at(self.place(start)):
            refuse_unfit(loss.knobs, settings)
        return WeightedTerm(weight, loss, settings)

    def settings(self, loss: Loss) -> Iterator[tuple[str, Any]]:
        """Read ``[name "=" value {"," name "=" value}] ")"``."""
        seen: set[str] = set()
        while not self.skip(")"):
            if seen and not self.skip(","):
                raise self.error("expected ',' or ')'")
            name, value = self.setting(loss)
            if name in seen:
                raise self.error(f"{name} is set twice")
            seen.add(name)
            yield name, value

    def setting(self, loss: Loss) -> tuple[str, Any]:
        start = self.column = self.after_spaces()
        name = self.match(_KNOB)
        if not name:
            raise self.error(f"expected a hyperparameter of {loss.name}, as in radius=3, or ')'")
        weights = name == "weights" and name in loss.inputs
        with at(self.place(start)):
            knob = _CLASS_WEIGHTS if weights else find_knob(loss.knobs, name, loss.name)
        if not self.skip("="):
            raise self.error(f"expected '=' and a value after {name}")
        start = self.column = self.after_spaces()
        text = self.match(_VALUE)
        if not text:
            if quote := self.skip("'") or self.skip('"'):
                raise ObjectiveError(f"{self.place(start)}: the quote {quote} is not closed; close it after the value")
            raise self.error(f"expected a value of {name}, {knob.expected()}")
        with at(self.place(start)):
            return name, knob.parse(text.strip().strip("'\""))

    def match(self, pattern: re.Pattern[str]) -> str:
        """Read the next token if it is of this form; else return an empty text."""
        found = pattern.match(self.text, self.after_spaces())
        if not found:
            return ""
        self.column = found.end()
        return found.group()

    def skip(self, sign: str) -> str:
        return self.match(re.compile(re.escape(sign)))

    def after_spaces(self) -> int:
        return len(self.text) - len(self.text[self.column :].lstrip())

    def at_end(self) -> bool:
        return self.after_spaces() == len(self.text)

    def place(self, column: int) -> str:
        return f"objective {self.text!r}, column {column + 1}"

    def error(self, expected: str) -> ObjectiveError:
        column = self.after_spaces()
        found = repr(self.text[column]) if column < len(self.text) else "the end"
        return ObjectiveError(f"{self.place(column)}: {expected}, found {found}")


def _with(term: WeightedTerm, settings: Mapping[str, Any]) -> WeightedTerm:
    loss = term.loss
    taken = {"weights": _CLASS_WEIGHTS} if "weights" in loss.inputs else {}
    checked = {
        name: (taken.get(name) or find_knob(loss.knobs, name, loss.name)).check(value)
        for name, value in settings.items()
    }
    joined = {**term.settings, **checked}
    refuse_unfit(loss.knobs, joined)
    return replace(term, settings=joined)
