"""Hyperparameters of a loss ("knobs" in the code), read from the signature of its function.

A hyperparameter is a keyword-only parameter annotated with its range and its meaning::

    radius: Annotated[int, Range(1, 10, grid=(1, 2, 3), help="side of the window, in cells")] = 3
    pool: Annotated[str, Choice("avg", "max", help="how a cell is made from its pixels")] = "avg"
    width: Annotated[int | str, Range(1, words=("official", "all"), help="...")] = "official"

The annotation states the type of one value (``int``, ``float``, ``bool``, ``str``), whether ``None`` is allowed
(``float | None``) and whether it is a tuple (``tuple[int, ...]``, ``tuple[float, float, float]``). As text, the parts
of a tuple are joined by colons (``4:8``), so that commas can separate several values.
"""

import inspect
import types
import typing
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from difflib import get_close_matches
from typing import Annotated, Any, Literal, get_args, get_origin

from segablate.errors import KnobError, counted, did_you_mean
from segablate.objective.from_files import FromFile
from segablate.objective.ranges import Choice, Conditions, Range, format_value, holds
from segablate.objective.written_lists import between_commas, torn, unclosed, with_commas

INPUTS = ("image", "features", "roi", "edge_net", "weights")
"""Tensors a loss may take beyond logits and labels, keyword-only and by these names: never hyperparameters."""

_NOUNS = {int: "a whole number", float: "a number", bool: "yes or no", str: "a word"}
_TRUE, _FALSE = ("true", "yes", "on"), ("false", "no", "off")


@dataclass(frozen=True)
class ValueType:
    """The type of a value: ``number`` (int, float, bool, str), whether ``None`` is allowed, and the length of a tuple.

    ``length`` is the length of the tuple: ``None`` for a single value, 0 for any length of at least one.
    """

    number: type
    nullable: bool = False
    length: int | None = None


@dataclass(frozen=True)
class Knob:
    """One hyperparameter: its name, default, type and range."""

    name: str
    default: Any
    kind: ValueType
    range: Range | Choice

    @property
    def grid(self) -> tuple[Any, ...]:
        """Return the values a sweep tries: those declared, or both of a switch."""
        return self.range.grid or ((False, True) if self.kind.number is bool else ())

    @property
    def help(self) -> str:
        return self.range.help

    @property
    def used_when(self) -> Conditions:
        """Return the other hyperparameters and their values under which this one has an effect; empty: always."""
        return self.range.used_when

    @property
    def training(self) -> bool:
        """Whether it has an effect in training alone, from batch to batch."""
        return isinstance(self.range, Range) and self.range.training

    @property
    def nothing(self) -> str:
        """Return the word for ``None``."""
        return self.range.nothing if isinstance(self.range, Range) else "none"

    @property
    def option(self) -> str:
        """Return the option, such as ``--prior-misses`` for ``prior_misses``."""
        return "--" + self.name.replace("_", "-")

    def used_in(self, settings: Mapping[str, object]) -> bool:
        """Return whether the hyperparameter has an effect under these (complete) settings."""
        return holds(self.used_when, settings)

    def parse(self, text: str, *, as_option: bool = False) -> Any:
        """Read a value: ``3``, ``5e-4``, ``none``, ``official``, ``yes``, ``4:8``.

        Raises :class:`KnobError` where the text is not a value or is outside the range.
        """
        text = text.strip()
        if self.kind.nullable and text.lower() in ("none", self.nothing):
            return None
        if self.kind.length is None:
            return self.check(_read(text, self.kind.number), as_option=as_option)
        parts = tuple(_read(part, self.kind.number) for part in text.split(":"))
        if isinstance(self.range, Range) and self.range.read and any(isinstance(part, str) for part in parts):
            return self.check(self.range.read(text), as_option=as_option)
        return self.check(parts, as_option=as_option)

    def parse_list(self, text: str, *, as_option: bool = False) -> tuple[Any, ...]:
        """Read a comma-separated list, in its order; raises :class:`KnobError` as :meth:`parse` does."""
        parts = between_commas(text)
        try:
            return tuple(self.parse(part, as_option=as_option) for part in parts)
        except KnobError as error:
            meant = with_commas(text, odd=isinstance(self.range, Range) and self.range.odd)
            name = self.option if as_option else self.name
            if left_open := unclosed(text):
                raise KnobError(f"{name} is {text!r}: {left_open}") from None
            if isinstance(self.range, Range) and self.range.read and (whole := torn(parts, self._reads)):
                raise KnobError(
                    f"{name}: a comma separates values; quote one that has a comma, also within the quotes of a shell: "
                    f"{name} \"'{whole}'\""
                ) from None
            if meant and meant != text and self._holds(meant):
                raise KnobError(f"{error}; write {name} {meant}") from None
            raise

    def check(self, value: object, *, as_option: bool = False) -> Any:
        """Return the value in its own type (an int becomes a float where a float is expected).

        Raises :class:`KnobError`, naming the hyperparameter as on the command line if ``as_option``.
        """
        if value is None and self.kind.nullable:
            return None
        if self.kind.length is None:
            problem = self._problem(value)
        elif isinstance(value, (tuple, list)) and value and self.kind.length in (0, len(value)):
            problem = next((f"each {problem}" for problem in map(self._problem, value) if problem), None)
        else:
            problem = f"must be {self._several()}"
        if problem:
            raise KnobError(self._complaint(value, problem, self.option if as_option else self.name))
        return self._cast(value)

    def format(self, value: object) -> str:
        """Return the value as text that :meth:`parse` reads back."""
        if isinstance(value, (tuple, list)):
            return ":".join(format_value(part) for part in value)
        return self.nothing if value is None else format_value(value)

    def expected(self) -> str:
        """Describe the allowed values: ``'official', 'all' or a whole number of at least 1``."""
        noun = _NOUNS[self.kind.number]
        if isinstance(self.range, Range) and self.kind.number in (int, float):
            noun = "an odd whole number" if self.range.odd else noun
            noun = f"{noun} {self.range.bounds()}".rstrip()
        options = [repr(word) for word in self.range.words]
        if not (isinstance(self.range, Choice) and options):
            options.append(noun)
        if self.kind.nullable:
            options.insert(0, self.nothing)
        return options[0] if len(options) == 1 else f"{', '.join(options[:-1])} or {options[-1]}"

    def _problem(self, value: object) -> str | None:
        """Return why one value (or one part of a tuple) is refused, or None."""
        if isinstance(value, str) and (value in self.range.words or (self.kind.number is str and not self.range.words)):
            return None
        fits = self._is_number(value)
        if fits and (self.kind.number is bool or not isinstance(self.range, Range) or self.range.holds(value)):  # type: ignore[arg-type]
            return None
        plain = not (self.range.words or self.kind.nullable or getattr(self.range, "odd", False))
        bounds = self.range.bounds() if isinstance(self.range, Range) else ""
        if fits and plain and bounds.startswith("between"):
            return f"must be {bounds}"
        return f"must be {self.expected()}"

    def _is_number(self, value: object) -> bool:
        if self.kind.number is bool:
            return isinstance(value, bool)
        if self.kind.number is str or isinstance(value, bool):
            return False
        return isinstance(value, int) or (self.kind.number is float and isinstance(value, float))

    def _several(self) -> str:
        count = counted(self.kind.length, "value") if self.kind.length else "one or more values"
        return f"{count} joined by colons, each {self.expected()}"

    def _holds(self, text: str) -> bool:
        """Return whether every value of a comma-separated list is allowed."""
        with suppress(KnobError):
            return all(self.parse(part) is not text for part in text.split(","))
        return False

    def _reads(self, text: str) -> bool:
        """Return whether a text names a value that is no number, such as a file."""
        assert isinstance(self.range, Range)
        assert self.range.read
        with suppress(KnobError):
            return self.range.read(text) is not None
        return False

    def _complaint(self, value: object, problem: str, name: str) -> str:
        given = repr(value) if isinstance(value, str) else self.format(value)
        near = get_close_matches(value, self.range.words, n=1) if isinstance(value, str) else []
        meaning = f" ({self.help})" if self.help else ""
        return f"{name} is {given}, but {problem}{meaning}" + (f"; did you mean {near[0]!r}?" if near else "")

    def _cast(self, value: object) -> Any:
        if isinstance(value, FromFile):
            return value
        if isinstance(value, (tuple, list)):
            return tuple(self._cast(part) for part in value)
        if self.kind.number is float and isinstance(value, int) and not isinstance(value, bool):
            return float(value)
        return value


def knobs_of(function: Callable[..., object]) -> dict[str, Knob]:
    """Return the hyperparameters of a function by name: its keyword-only parameters except :data:`INPUTS`.

    A parameter with a default that may be passed by position counts too. One without annotation takes its type from
    its default. Raises :class:`KnobError` for a keyword-only one without default.
    """
    parameters = (p for p in inspect.signature(function).parameters.values() if p.name not in INPUTS)
    by_default = (p for p in parameters if p.kind is p.KEYWORD_ONLY or p.default is not p.empty)
    return {parameter.name: _knob(parameter, function) for parameter in by_default}


def find_knob(knobs: Mapping[str, Knob], name: str, owner: str) -> Knob:
    """Return a hyperparameter by name; raises :class:`KnobError` with the nearest name where ``owner`` has none."""
    if name not in knobs:
        hint = did_you_mean(name, knobs) or "; it has none"
        raise KnobError(f"{owner} has no hyperparameter {name!r}{hint}")
    return knobs[name]


def complete(knobs: Mapping[str, Knob], settings: Mapping[str, object], owner: str) -> dict[str, Any]:
    """Return every hyperparameter's value: the settings, checked, else the defaults. Raises :class:`KnobError`."""
    checked = {name: find_knob(knobs, name, owner).check(value) for name, value in settings.items()}
    return {name: knob.default for name, knob in knobs.items()} | checked


def format_settings(knobs: Mapping[str, Knob], settings: Mapping[str, object]) -> str:
    """Return settings as text: ``radius=3, stride=4``."""
    return ", ".join(f"{name}={knobs[name].format(value)}" for name, value in settings.items())


def _knob(parameter: inspect.Parameter, function: Callable[..., object]) -> Knob:
    if parameter.default is parameter.empty:
        raise KnobError(f"hyperparameter {parameter.name!r} of {function.__name__} has no default; give it one")
    annotation = _resolved(parameter, function)
    declared = [extra for extra in get_args(annotation)[1:] if isinstance(extra, (Range, Choice))]
    plain = get_args(annotation)[0] if get_origin(annotation) is Annotated else annotation
    if get_origin(plain) is Literal:
        declared, plain = [*declared, Choice(*get_args(plain))], str
    kind = _kind(plain, parameter.default)
    if kind.number not in _NOUNS:
        raise KnobError(
            f"hyperparameter {parameter.name!r} of {function.__name__} has a default that is not a number, a switch, "
            "a word or a tuple of them; give it such a default"
        )
    knob = Knob(parameter.name, parameter.default, kind, declared[0] if declared else Range())
    return replace(knob, default=knob.check(knob.default))


def _resolved(parameter: inspect.Parameter, function: Callable[..., object]) -> Any:
    """Return the annotation, evaluated if it is text; only this one, since the others may not be resolvable."""
    holder = types.SimpleNamespace(__annotations__={parameter.name: parameter.annotation})
    names = getattr(inspect.unwrap(function), "__globals__", {})
    return typing.get_type_hints(holder, names, include_extras=True)[parameter.name]


def _kind(annotation: Any, default: object) -> ValueType:
    if annotation is inspect.Parameter.empty:
        annotation = type(default) if default is not None else str | None
        if isinstance(default, (tuple, list)) and default:
            annotation = tuple[type(default[0]), ...]
    union = get_args(annotation) if get_origin(annotation) in (types.UnionType, typing.Union) else (annotation,)
    parts = [part for part in union if part is not type(None)]
    numbers = [part for part in parts if part is not str] or parts
    nullable = type(None) in union or default is None
    if get_origin(numbers[0]) is tuple:
        inner = get_args(numbers[0])
        return ValueType(inner[0], nullable, 0 if Ellipsis in inner else len(inner))
    return ValueType(float if float in numbers else numbers[0], nullable)


def _read(text: str, number: type) -> object:
    """Return the number or switch that the text is, else the text itself, which the check then judges."""
    text = text.strip()
    if number is bool and text.lower() in _TRUE + _FALSE:
        return text.lower() in _TRUE
    for read in {int: (int,), float: (int, float)}.get(number, ()):
        try:
            return read(text)
        except ValueError:
            continue
    return text
