"""Text for a page that goes to colleagues: no absolute path, user or host name, unless these are asked for."""

import getpass
import os
import re
import socket
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

from segablate.report.grid import SHARED_TEXT
from segablate.tables import Report, Table

_START = r"(?:(?<=[\s:=@,('\"\[|])|^)"
"""A path starts after one of these, so that ``1/255`` and ``and/or`` are none."""

_POSIX = re.compile(_START + r"~?[\w.-]*/(?:[^\s/:;,'\"|?*()\[\]]+/)*[^\s/:;,'\"|?*()\[\]]*")
_WINDOWS = re.compile(_START + r"(?:[A-Za-z]:[\\/]|\\\\)(?:[^\s\\/:;,'\"|?*]+[\\/])*([^\s\\/:;,'\"|?*]*)")
_FILE_URL = re.compile(r"file://\S*?([^/\s]*)(?=\s|$)")


@dataclass(frozen=True)
class Privacy:
    """What is hidden: `roots`, absolute paths of which the last part stays; `words`: user and host names in paths."""

    roots: tuple[str, ...] = ()
    words: tuple[str, ...] = ()
    hides: bool = True

    def text(self, text: str) -> str:
        """Return a text whose absolute paths begin with an ellipsis, and whose paths name no user and no host."""
        if not self.hides:
            return text
        for root in self.roots:
            text = re.sub(re.escape(root) + r"(?=$|[^\w.-])", "…/" + os.path.basename(root), text)
        text = _FILE_URL.sub(r"…/\1", text)
        text = _POSIX.sub(_absolute, text)
        text = _WINDOWS.sub(r"…/\1", text)
        for word in self.words:
            name = re.escape(word)
            text = re.sub(rf"(?<=[/\\@]){name}(?=$|[/\\\s:,;])|(?<![\w.-]){name}(?=[/\\@])", "…", text)
        return text

    def report(self, report: Report) -> Report:
        """Return a report with the texts of its facts, notes and cells, but for names of classes and images."""
        facts = tuple((self.text(name), self.text(value)) for name, value in report.facts)
        tables = tuple(self._table(table) for table in report.tables)
        return Report(self.text(report.title), facts, tables, tuple(map(self.text, report.notes)))

    def _table(self, table: Table) -> Table:
        texts = [c.key for c in table.columns if c.kind in ("text", "prose") and c.key not in SHARED_TEXT]
        rows = tuple(
            {key: self.text(value) if key in texts and isinstance(value, str) else value for key, value in row.items()}
            for row in table.rows
        )
        columns = tuple(replace(column, title=self.text(column.title)) for column in table.columns)
        notes = tuple(map(self.text, table.notes))
        return replace(table, title=self.text(table.title), columns=columns, rows=rows, notes=notes)


def privacy(paths: Iterable[str], *, show: bool = False) -> Privacy:
    """Return what hides these paths, the working and home folders, and the names of the user and the machine."""
    known = {os.path.abspath(path) for path in paths if os.path.isabs(path)}
    known |= {str(Path(path).resolve()) for path in known} | {os.getcwd(), os.path.expanduser("~")}
    roots = sorted((path for path in known if len(path) > 1), key=len, reverse=True)
    return Privacy(tuple(roots), tuple(_names()), not show)


def _names() -> list[str]:
    names = {os.path.basename(os.path.expanduser("~")), socket.gethostname(), socket.gethostname().partition(".")[0]}
    with suppress(OSError, KeyError, ImportError):
        names.add(getpass.getuser())
    return sorted((name for name in names if len(name) > 1), key=len, reverse=True)


def _absolute(found: re.Match[str]) -> str:
    """Shorten a path that starts at the root or a home folder; a relative one stays."""
    path = found[0]
    last = path.rstrip("/").rpartition("/")[2]
    return f"…/{last}" if path.startswith(("/", "~")) and last else path
