"""Find the small changes to a source that a test should notice.

A change replaces one segment of the text, so that everything else keeps its place. Left out are docstrings, messages,
annotations, decorators, ``__all__`` and what only type checkers see.
"""

import ast
import hashlib
import re
from collections.abc import Iterator
from dataclasses import dataclass, replace

COMPARISONS = {"<": "<=", "<=": "<", ">": ">=", ">=": ">", "==": "!=", "!=": "=="}
COMPARISONS |= {"in": "not in", "not in": "in", "is": "is not", "is not": "is"}
ARITHMETIC = {"+": "-", "-": "+", "*": "/", "/": "*", "//": "*", "%": "//", "**": "*", "<<": ">>", ">>": "<<"}
ARITHMETIC |= {"&": "|", "|": "&"}
NAMES = {"min": "max", "amin": "amax", "minimum": "maximum", "argmin": "argmax", "any": "all", "floor": "ceil"}
NAMES |= {"sum": "mean", "zeros": "ones", "zeros_like": "ones_like", "append": "count"}
NAMES |= {new: old for old, new in NAMES.items() if old != "append"}

UNORDERED = {"isinstance", "getattr", "hasattr", "cast", "max", "min", "maximum", "minimum", "print", "zip", "equal"}
"""Functions whose first two arguments are not exchanged: either order is the same, or no program at all."""

SILENT = {"help", "strict", "default_factory", "encoding", "paper", "exceptions", "incomparable", "flush", "exist_ok"}
"""Keyword arguments that are left alone: text, and guards against what the program itself excludes."""

OPERATOR = re.compile(r"not\s+in|is\s+not|//|\*\*|<<|>>|[<>=!]=|[-+*/%<>&|]|\bin\b|\bis\b")


@dataclass(frozen=True)
class Change:
    """One segment of a file, in bytes, and what replaces it.

    - `scope`: the qualified name of the function around it, empty at the level of the module or of a class.
    - `line`: the text of its line, without indentation, and `number` its number.
    """

    file: str
    scope: str
    number: int
    line: str
    start: int
    end: int
    before: str
    after: str
    occurrence: int = 0

    @property
    def words(self) -> str:
        """Return the change in words: what it replaces by what, and which of several in the line."""
        which = f" ({self.occurrence + 1})" if self.occurrence else ""
        return f"{_short(self.before)} -> {_short(self.after)}{which}"

    @property
    def place(self) -> tuple[str, str, str]:
        """Return file, text of the line and words: how people refer to the change."""
        return self.file, self.line, self.words

    @property
    def key(self) -> str:
        """Return what identifies the change while other lines of the file are edited."""
        return hashlib.sha256("\0".join((self.file, self.scope, self.line, self.words)).encode()).hexdigest()[:12]

    def compiles(self, source: bytes) -> bool:
        """Return whether the file with the change is still a program."""
        try:
            compile(self.applied(source), self.file, "exec", dont_inherit=True)
        except (SyntaxError, ValueError):
            return False
        return True

    def applied(self, source: bytes) -> bytes:
        """Return the file with the change."""
        return source[: self.start] + self.after.encode() + source[self.end :]


def changes(file: str, source: bytes) -> list[Change]:
    """Return all changes to a file, in the order of its text."""
    finder = _Finder(file, source)
    finder.visit(ast.parse(source))
    found = sorted(finder.found, key=lambda change: (change.start, change.end, change.after))
    return list(_numbered(found))


def _short(text: str) -> str:
    words = " ".join(text.split()) or "(nothing)"
    return words if len(words) <= 60 else f"{words[:57]}..."


def _is_text(node: ast.expr) -> bool:
    return isinstance(node, ast.JoinedStr) or (isinstance(node, ast.Constant) and isinstance(node.value, (str, bytes)))


def _numbered(found: list[Change]) -> Iterator[Change]:
    seen: dict[tuple[str, ...], int] = {}
    for change in found:
        same = (change.scope, change.line, change.before, change.after)
        seen[same] = seen.get(same, -1) + 1
        yield replace(change, occurrence=seen[same])


class _Finder(ast.NodeVisitor):
    """Walk a module and collect the changes; ``scope`` is the function whose body or defaults are being visited."""

    def __init__(self, file: str, source: bytes) -> None:
        self.file, self.source = file, source
        self.lines = source.splitlines(keepends=True)
        self.starts = [0]
        for line in self.lines:
            self.starts.append(self.starts[-1] + len(line))
        self.path: list[str] = []
        self.scope = ""
        self.found: list[Change] = []

    def at(self, line: int, column: int) -> int:
        return self.starts[line - 1] + column

    def span(self, node: ast.expr | ast.stmt) -> tuple[int, int]:
        assert node.end_lineno is not None
        assert node.end_col_offset is not None
        return self.at(node.lineno, node.col_offset), self.at(node.end_lineno, node.end_col_offset)

    def text(self, node: ast.expr | ast.stmt) -> str:
        start, end = self.span(node)
        return self.source[start:end].decode()

    def add(self, start: int, end: int, after: str) -> None:
        number = self.source.count(b"\n", 0, start) + 1
        before = self.source[start:end].decode()
        line = self.lines[number - 1].decode().strip()
        self.found.append(Change(self.file, self.scope, number, line, start, end, before, after))

    def replace(self, node: ast.expr | ast.stmt, after: str) -> None:
        self.add(*self.span(node), after)

    def between(self, left: ast.expr | ast.stmt, right: ast.expr, table: dict[str, str]) -> None:
        """Exchange the operator between two operands."""
        start, end = self.span(left)[1], self.span(right)[0]
        if match := OPERATOR.search(self.source[start:end].decode()):
            operator = " ".join(match[0].split())
            if operator in table:
                self.add(start + match.start(), start + match.end(), table[operator])

    # What is left out

    def visit_FunctionDef(self, node: ast.FunctionDef) -> None:
        outer, self.path = (self.path, self.scope), [*self.path, node.name]
        self.scope = ".".join(self.path)
        for default in (*node.args.defaults, *(value for value in node.args.kw_defaults if value)):
            self.visit(default)
        self.path = [*self.path, "<locals>"]
        for statement in node.body:
            self.visit(statement)
        self.path, self.scope = outer

    def visit_ClassDef(self, node: ast.ClassDef) -> None:
        outer, self.path = self.path, [*self.path, node.name]
        for statement in node.body:
            self.visit(statement)
        self.path = outer

    def visit_AnnAssign(self, node: ast.AnnAssign) -> None:
        if node.value:
            self.visit(node.value)

    def visit_JoinedStr(self, node: ast.JoinedStr) -> None:
        """Leave messages alone."""

    def visit_Raise(self, node: ast.Raise) -> None:
        self.replace(node, "pass")

    def visit_Assert(self, node: ast.Assert) -> None:
        """Leave what holds by construction alone."""

    def visit_keyword(self, node: ast.keyword) -> None:
        if node.arg not in SILENT:
            self.visit(node.value)

    # Conditions

    def visit_If(self, node: ast.If) -> None:
        if "TYPE_CHECKING" not in self.text(node.test):
            self.negate(node.test)
            self.generic_visit(node)

    def visit_IfExp(self, node: ast.IfExp) -> None:
        self.negate(node.test)
        self.generic_visit(node)

    def visit_comprehension(self, node: ast.comprehension) -> None:
        for test in node.ifs:
            self.negate(test)
        self.generic_visit(node)

    def negate(self, test: ast.expr) -> None:
        if not isinstance(test, (ast.Compare, ast.UnaryOp)):  # those have changes of their own
            self.replace(test, f"not ({self.text(test)})")

    def visit_BoolOp(self, node: ast.BoolOp) -> None:
        old, new = ("and", "or") if isinstance(node.op, ast.And) else ("or", "and")
        for left, right in zip(node.values, node.values[1:], strict=False):
            start, end = self.span(left)[1], self.span(right)[0]
            if match := re.search(rf"\b{old}\b", self.source[start:end].decode()):
                self.add(start + match.start(), start + match.end(), new)
        self.generic_visit(node)

    def visit_Compare(self, node: ast.Compare) -> None:
        for left, right in zip([node.left, *node.comparators], node.comparators, strict=False):
            self.between(left, right, COMPARISONS)
        self.generic_visit(node)

    # Values

    def visit_UnaryOp(self, node: ast.UnaryOp) -> None:
        if isinstance(node.op, (ast.Not, ast.USub)):
            self.replace(node, self.text(node.operand))
        self.generic_visit(node)

    def visit_BinOp(self, node: ast.BinOp) -> None:
        operands = (node.left, node.right)
        joins = any(_is_text(operand) for operand in operands)
        types = isinstance(node.op, ast.BitOr) and any(self.text(operand)[:1].isupper() for operand in operands)
        if not joins and not types:
            self.between(node.left, node.right, ARITHMETIC)
        self.generic_visit(node)

    def visit_AugAssign(self, node: ast.AugAssign) -> None:
        self.between(node.target, node.value, ARITHMETIC)
        self.replace(node, "pass")
        self.generic_visit(node)

    def visit_Constant(self, node: ast.Constant) -> None:
        value = node.value
        if isinstance(value, bool):
            self.replace(node, str(not value))
        elif isinstance(value, int):
            self.replace(node, str(value + 1))
        elif isinstance(value, float):
            self.replace(node, "1e-2" if 0 < value < 1e-3 else repr(value * 1.5) if value else "1.0")

    def visit_Slice(self, node: ast.Slice) -> None:
        for bound in (node.lower, node.upper):
            if bound is not None:
                self.replace(bound, "")
        self.generic_visit(node)

    # Calls and statements

    def visit_Call(self, node: ast.Call) -> None:
        name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
        end = self.span(node.func)[1]
        if name in NAMES:
            self.add(end - len(name), end, NAMES[name])
        if len(node.args) > 1 and name not in UNORDERED and not any(isinstance(x, ast.Starred) for x in node.args[:2]):
            self.exchange(node.args[0], node.args[1])
        self.generic_visit(node)

    def exchange(self, first: ast.expr, second: ast.expr) -> None:
        (start, middle), (onwards, end) = self.span(first), self.span(second)
        between = self.source[middle:onwards].decode()
        if self.text(first) != self.text(second):
            self.add(start, end, self.text(second) + between + self.text(first))

    def visit_Assign(self, node: ast.Assign) -> None:
        target = node.targets[0]
        if not (isinstance(target, ast.Name) and target.id == "__all__"):
            if isinstance(target, (ast.Subscript, ast.Attribute)):
                self.replace(node, "pass")
            self.generic_visit(node)

    def visit_Expr(self, node: ast.Expr) -> None:
        if isinstance(node.value, ast.Call):
            self.replace(node, "pass")
            self.generic_visit(node)
        elif not isinstance(node.value, ast.Constant):
            self.generic_visit(node)
