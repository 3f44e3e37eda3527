"""A report as LaTeX tables that need ``\\usepackage{booktabs}`` and nothing else.

Colours of classes are left out, as they would need another package. Facts are comments above the tables.
"""

import re
from collections.abc import Iterator

from segablate.render.cells import BASELINE, cell, is_numeric, one_line, unit
from segablate.render.markdown import baseline_explained, marks_explained
from segablate.tables import Column, Report, Table

_TEXT = {
    "\\": r"\textbackslash{}", "{": r"\{", "}": r"\}", "$": r"\$", "&": r"\&", "%": r"\%", "#": r"\#", "_": r"\_",
    "~": r"\textasciitilde{}", "^": r"\textasciicircum{}", "<": r"\textless{}", ">": r"\textgreater{}",
    "|": r"\textbar{}", '"': "''", "–": "--", "—": "---", "…": r"\dots{}", "’": "'", "‘": "`",
    "\u200b": "{}", "“": "``", "”": "''", "°": r"\textdegree{}", BASELINE: r"$\triangleright$", "·": r"$\cdot$",
    "×": r"$\times$", "±": r"$\pm$", "−": "$-$", "≤": r"$\le$", "≥": r"$\ge$", "≠": r"$\ne$", "≈": r"$\approx$",
    "∞": r"$\infty$", "√": r"$\surd$", "→": r"$\to$", "∅": r"$\emptyset$", "²": "$^2$", "³": "$^3$", "µ": r"$\mu$",
    "α": r"$\alpha$", "β": r"$\beta$", "γ": r"$\gamma$", "δ": r"$\delta$", "ε": r"$\varepsilon$", "θ": r"$\theta$",
    "κ": r"$\kappa$", "λ": r"$\lambda$", "μ": r"$\mu$", "ρ": r"$\rho$", "σ": r"$\sigma$", "τ": r"$\tau$",
    "φ": r"$\varphi$", "χ": r"$\chi$", "ω": r"$\omega$", "Δ": r"$\Delta$", "Σ": r"$\Sigma$",
}  # fmt: skip
_ESCAPES = str.maketrans(_TEXT)
_POWER = re.compile(r"(?<=\d)e(-?\d+)")
_MINUS = re.compile(r"(?<![-e])-(?=[\d$])")


def to_latex(report: Report) -> str:
    """Return one ``table`` environment per table; the notes of the report follow the last one."""
    facts = [f"% {one_line(name)}: {one_line(value)}\n" for name, value in report.facts]
    parts = [f"% {one_line(report.title)}\n{''.join(facts)}% needs \\usepackage{{booktabs}}\n"]
    for number, table in enumerate(report.tables, start=1):
        closing = report.notes if number == len(report.tables) else ()
        parts.append("".join(f"{line}\n" for line in _table(table, closing)))
    return "\n".join(parts)


def _table(table: Table, closing: tuple[str, ...]) -> Iterator[str]:
    shown = [column for column in table.columns if column.kind != "swatch"]
    marker = [] if table.baseline is None else [["", *(_marker(i == table.baseline) for i in range(len(table.rows)))]]
    header, *rows = zip(*marker, *(_column(table, column) for column in shown), strict=True)
    yield r"\begin{table}"
    yield r"  \centering"
    yield rf"  \caption{{{escape(table.title)}}}"
    yield rf"  \label{{tab:{re.sub('[^A-Za-z0-9-]+', '-', table.name)}}}"
    yield rf"  \begin{{tabular}}{{{'l' * len(marker)}{''.join(map(_alignment, shown))}}}"
    yield r"    \toprule"
    yield f"    {_guarded(' & '.join(header))} \\\\"
    yield r"    \midrule"
    for index, cells in enumerate(rows):
        if index in table.sections:
            yield r"    \midrule"
        yield f"    {_guarded(' & '.join(cells))} \\\\"
    yield r"    \bottomrule"
    yield r"  \end{tabular}"
    for note in (*table.notes, *marks_explained(table), *baseline_explained(table), *closing):
        yield rf"  \par\smallskip{{\footnotesize {escape(note)}\par}}"
    yield r"\end{table}"


def escape(text: str) -> str:
    """Escape the characters that are special in LaTeX or missing from its usual fonts."""
    return one_line(text).replace("--", "-\u200b-").translate(_ESCAPES)


def _guarded(row: str) -> str:
    """Guard a bracket or star at the start of a row, which would be an argument of the rule or line break before it."""
    return f"{{}}{row}" if row.startswith(("[", "*")) else row


def _alignment(column: Column) -> str:
    return "r" if is_numeric(column) else "l"


def _marker(here: bool) -> str:
    return escape(BASELINE) if here else ""


def _column(table: Table, column: Column) -> list[str]:
    header = escape(column.title) + (f" ({escape(unit(column))})" if unit(column) else "")
    marked = table.marked(column)
    texts = [_value(column, value) for value in table.values(column)]
    return [header, *(rf"\textbf{{{text}}}" if i in marked else text for i, text in enumerate(texts))]


def _value(column: Column, value: object) -> str:
    """Return a cell; in numbers a hyphen becomes a minus sign, a space a thin space, and ``e-5`` a power of ten."""
    text = cell(column, value)
    if not is_numeric(column):
        return escape(text)
    thin = escape(text).replace(" ", r"\,") if "count" in column.kind else escape(text)
    return _POWER.sub(r"$\\times 10^{\1}$", _MINUS.sub("$-$", thin))
