"""Reading pickles without running code in them.

A pickle is a program for a small stack machine, and some of its instructions call functions by name. The machine here
calls only the functions that its caller lists; every other name becomes a :class:`ForeignType`, and its instances
become :class:`Foreign` objects without behaviour. Nothing is imported, no attribute is read or set, and no deeply
nested key is hashed.

The instructions are those of PEP 307, 3154 and 574; :mod:`pickletools` splits the bytes into them.
"""

import sys
import warnings
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pickletools import genops
from typing import Any, Protocol

from segablate.errors import CheckpointError
from segablate.limits import Budget

KEY_DEPTH = 2
KEY_LENGTH = 64
"""Bounds on tuples as keys: Python hashes them on the C stack, which overflows when they nest, and at every use."""

_ENTRY, _SLOT, _OBJECT = 100, 9, 1_024
"""Bytes that an entry of a dictionary, a place in a list, and the result of a known function take, about."""

_OFTEN = 256
"""Instructions and entries between two looks at the clock."""

_MARK = object()


class Stream(Protocol):
    """A binary file, a ``BytesIO`` or an ``mmap``."""

    def read(self, size: int = -1, /) -> bytes: ...
    def readline(self) -> bytes: ...
    def tell(self) -> int: ...


@dataclass(frozen=True)
class Known:
    """A function that a pickle may name and call; a mapping is built by the machine itself, within its budget."""

    call: Callable[..., Any] = lambda: None
    mapping: bool = False


class Built:
    """The result of a known function that takes the state that a pickle has for it."""

    def build(self, state: Any) -> None:
        """Take the state; called by the machine."""


@dataclass(frozen=True)
class ForeignType:
    """An unknown name: the class, function or constant behind it was not imported."""

    name: str


class Foreign(dict[Any, Any]):
    """The placeholder for an instance of a :class:`ForeignType`. It keeps its items if it was a mapping."""

    __hash__ = object.__hash__  # pyright: ignore[reportAssignmentType]  # as a key it may stand for an enum
    __eq__ = object.__eq__
    __ne__ = object.__ne__

    def __init__(self, name: str) -> None:
        super().__init__()
        self.name = name


@dataclass(frozen=True)
class Content:
    """The value of a pickle, and the number of foreign objects by type; 0 for a name without instances."""

    value: Any
    foreign: Mapping[str, int]


def unpickle(
    stream: Stream, known: Mapping[str, object], persistent: Callable[[Any], object], budget: Budget
) -> Content:
    """Read the next pickle in ``stream``, up to its end.

    ``known`` maps ``module.name`` to a :class:`Known` or to a constant; ``persistent`` returns the object of a
    persistent id, outside the ``budget``.

    Raises :class:`CheckpointError` for contents that no pickler writes, :class:`~segablate.limits.TooLarge` beyond the
    budget, and ``ValueError``, ``LookupError``, ``TypeError`` or ``AttributeError`` for bytes that are no pickle.
    """
    machine = _Machine(known, persistent, budget)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # names with backslashes are read as if they were literals
        for number, (opcode, argument, _) in enumerate(genops(stream)):  # pyright: ignore[reportArgumentType]
            if number % _OFTEN == 0:
                budget.check_time()
            if opcode.name == "STOP":
                break
            _OPERATIONS[opcode.name](machine, argument)
    return Content(machine.pop(), machine.foreign)


def check_key(key: object, depth: int = KEY_DEPTH) -> None:
    """Raise :class:`CheckpointError` for a tuple that is too long or nested too deep to be hashed."""
    if isinstance(key, tuple):
        if depth == 0 or len(key) > KEY_LENGTH:
            raise CheckpointError(
                "it has a key that is a deeply nested or very long tuple, as no checkpoint has; it may be malicious"
            )
        for item in key:
            check_key(item, depth - 1)


@dataclass
class _Machine:
    """The stack with its marks, the memo, and the operations of the pickle machine."""

    known: Mapping[str, object]
    persistent: Callable[[Any], object]
    budget: Budget
    stack: list[Any] = field(default_factory=list)
    memo: dict[int, Any] = field(default_factory=dict)
    foreign: Counter[str] = field(default_factory=Counter)

    def push(self, value: object) -> None:
        """Push a value that was there before."""
        self.budget.take(_SLOT)
        self.stack.append(value)

    def push_new(self, value: object) -> None:
        """Push a value that takes memory of its own."""
        self.budget.take(_SLOT + sys.getsizeof(value))
        self.stack.append(value)

    def push_stored(self, saved: object) -> None:
        """Push the object of a persistent id."""
        with self.budget.untimed():
            self.push_new(self.persistent(saved))

    def pop(self) -> Any:
        return self.stack.pop()

    def top(self, count: int) -> tuple[Any, ...]:
        """Pop the uppermost ``count`` values."""
        return tuple(self.stack.pop() for _ in range(count))[::-1]

    def above_mark(self) -> list[Any]:
        """Pop the values above the last mark, and the mark."""
        items = []
        while (item := self.stack.pop()) is not _MARK:
            items.append(item)
        return items[::-1]

    def put(self, index: int) -> None:
        self.budget.take(_ENTRY)
        self.memo[index] = self.stack[-1]

    def mapping(self, pairs: Iterable[Iterable[Any]] = ()) -> dict[Any, Any]:
        """Return a dictionary of ``pairs``, after checking that the keys are safe to hash."""
        result: dict[Any, Any] = {}
        for number, (key, value) in enumerate(pairs):
            if number % _OFTEN == 0:
                self.budget.check_time()
            self.budget.take(_ENTRY)
            check_key(key)
            result[key] = value
        return result

    def append(self, items: Iterable[Any]) -> None:
        target = self.stack[-1]
        if isinstance(target, set):
            target.update(self.mapping((item, None) for item in items))
        elif isinstance(target, list):
            before = len(target)
            target.extend(items)
            self.budget.take(_SLOT * (len(target) - before))
        elif not isinstance(target, Foreign):
            raise TypeError(f"items appended to a {type(target).__name__}")

    def set_items(self, items: Sequence[Any]) -> None:
        pairs = self.mapping(zip(items[::2], items[1::2], strict=True))
        target = self.stack[-1]
        if not isinstance(target, dict):
            raise TypeError(f"items set on a {type(target).__name__}")
        target.update(pairs)

    def build(self, state: object) -> None:
        """Give the state of the uppermost object to it, if it is a known one; attributes are never set."""
        if isinstance(self.stack[-1], Built):
            self.stack[-1].build(state)

    def name(self, full_name: str) -> None:
        """Push the object that ``full_name`` names."""
        if full_name not in self.known:
            self.budget.take(_ENTRY)
            self.foreign[full_name] += 0
        self.push_new(self.known.get(full_name, ForeignType(full_name)))

    def call(self, function: object, arguments: Sequence[Any]) -> None:
        """Push the result of a known function, or a foreign object."""
        if isinstance(function, Known):
            self.budget.take(_OBJECT)
            return self.push((self.mapping if function.mapping else function.call)(*arguments))
        if not isinstance(function, ForeignType):
            raise TypeError(f"a {type(function).__name__} is called")
        if function.name.startswith("copyreg.") and arguments and isinstance(arguments[0], ForeignType):
            function = arguments[0]  # copyreg's functions make an instance of their first argument
        self.foreign[function.name] += 1
        return self.push_new(Foreign(function.name))


def _name_on_stack(machine: _Machine, _: object) -> None:
    module, name = machine.top(2)
    if not (isinstance(module, str) and isinstance(name, str)):
        raise TypeError("a name is not text")
    machine.name(f"{module}.{name}")


def _dictionary(machine: _Machine, _: object) -> None:
    items = machine.above_mark()
    machine.push_new({})
    machine.set_items(items)


def _reduce(machine: _Machine, _: object) -> None:
    machine.call(*machine.top(2))


def _new_with_keywords(machine: _Machine, _: object) -> None:
    kind, arguments, _keywords = machine.top(3)
    machine.call(kind, arguments)


def _new_above_mark(machine: _Machine, _: object) -> None:
    kind, *arguments = machine.above_mark()
    machine.call(kind, arguments)


def _instance(machine: _Machine, argument: str) -> None:
    arguments = machine.above_mark()
    machine.name(argument.replace(" ", "."))
    machine.call(machine.pop(), arguments)


def _extension(machine: _Machine, argument: int) -> None:
    machine.name(f"copyreg.extension_{argument}")


_LITERALS = [
    *("INT", "BININT", "BININT1", "BININT2", "LONG", "LONG1", "LONG4", "FLOAT", "BINFLOAT"),
    *("STRING", "BINSTRING", "SHORT_BINSTRING", "UNICODE", "BINUNICODE", "SHORT_BINUNICODE", "BINUNICODE8"),
    *("BINBYTES", "SHORT_BINBYTES", "BINBYTES8", "BYTEARRAY8"),
]

_OPERATIONS: dict[str, Callable[[_Machine, Any], object]] = {
    **dict.fromkeys(_LITERALS, _Machine.push_new),
    **dict.fromkeys(("PUT", "BINPUT", "LONG_BINPUT"), _Machine.put),
    **dict.fromkeys(("GET", "BINGET", "LONG_BINGET"), lambda machine, index: machine.push(machine.memo[index])),
    **dict.fromkeys(("PROTO", "FRAME"), lambda machine, _: None),
    **dict.fromkeys(("EXT1", "EXT2", "EXT4"), _extension),
    **dict.fromkeys(("REDUCE", "NEWOBJ"), _reduce),
    "NONE": lambda machine, _: machine.push(None),
    "NEWTRUE": lambda machine, _: machine.push(True),
    "NEWFALSE": lambda machine, _: machine.push(False),
    "EMPTY_LIST": lambda machine, _: machine.push_new([]),
    "EMPTY_TUPLE": lambda machine, _: machine.push_new(()),
    "EMPTY_DICT": lambda machine, _: machine.push_new({}),
    "EMPTY_SET": lambda machine, _: machine.push_new(set()),
    "MARK": lambda machine, _: machine.push(_MARK),
    "POP": lambda machine, _: machine.pop(),
    "POP_MARK": lambda machine, _: machine.above_mark(),
    "DUP": lambda machine, _: machine.push(machine.stack[-1]),
    "MEMOIZE": lambda machine, _: machine.put(len(machine.memo)),
    "TUPLE1": lambda machine, _: machine.push_new(machine.top(1)),
    "TUPLE2": lambda machine, _: machine.push_new(machine.top(2)),
    "TUPLE3": lambda machine, _: machine.push_new(machine.top(3)),
    "TUPLE": lambda machine, _: machine.push_new(tuple(machine.above_mark())),
    "LIST": lambda machine, _: machine.push_new(machine.above_mark()),
    "DICT": _dictionary,
    "FROZENSET": lambda machine, _: machine.push_new(
        frozenset(machine.mapping((item, None) for item in machine.above_mark()))
    ),
    "APPEND": lambda machine, _: machine.append(machine.top(1)),
    "APPENDS": lambda machine, _: machine.append(machine.above_mark()),
    "ADDITEMS": lambda machine, _: machine.append(machine.above_mark()),
    "SETITEM": lambda machine, _: machine.set_items(machine.top(2)),
    "SETITEMS": lambda machine, _: machine.set_items(machine.above_mark()),
    "GLOBAL": lambda machine, name: machine.name(name.replace(" ", ".")),
    "STACK_GLOBAL": _name_on_stack,
    "INST": _instance,
    "OBJ": _new_above_mark,
    "NEWOBJ_EX": _new_with_keywords,
    "BUILD": lambda machine, _: machine.build(machine.pop()),
    "BINPERSID": lambda machine, _: machine.push_stored(machine.pop()),
}
