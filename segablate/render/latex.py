"""A report as LaTeX tables that need ``\\usepackage{booktabs}`` and nothing else.

Colours of classes are left out, as they would need another package. Facts are comments above the tables. Tables fit
the text width of ``article`` at 10 pt; see :mod:`segablate.render.latex_layout`.
"""

import re
from collections.abc import Iterator, Sequence
from hashlib import sha256

from segablate.render.cells import BASELINE, cell, is_numeric, one_line, unit
from segablate.render.facts import facts_beside_headline
from segablate.render.latex_layout import BREAK, Strip, breakable, lay_out
from segablate.render.markdown import baseline_explained, marks_explained
from segablate.tables import Column, Report, Table

BACKSLASHES = "\\\\"

_TEXT = {
    "\\": r"\textbackslash{}", "{": r"\{", "}": r"\}", "$": r"\$", "&": r"\&", "%": r"\%", "#": r"\#", "_": r"\_",
    "~": r"\textasciitilde{}", "^": r"\textasciicircum{}", "<": r"\textless{}", ">": r"\textgreater{}",
    "|": r"\textbar{}", '"': "''", "–": "--", "—": "---", "…": r"\dots{}", "’": "'", "‘": "`",
    BREAK: r"\allowbreak{}",
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
    """Return one ``table`` environment per table, as wide as the text; the notes of the report follow the last one."""
    said = [("headline", report.headline.text)] if report.headline is not None else []
    facts = [f"% {one_line(name)}: {one_line(value)}\n" for name, value in (*said, *facts_beside_headline(report))]
    parts = [f"% {one_line(report.title)}\n{''.join(facts)}% needs \\usepackage{{booktabs}}\n"]
    for number, table in enumerate(report.tables, start=1):
        closing = report.notes if number == len(report.tables) else ()
        parts.append("".join(f"{line}\n" for line in _table(table, _label(report, table), closing)))
    return "\n".join(parts)


def _label(report: Report, table: Table) -> str:
    """Return a label of report and table; four digits of a hash tell reports of one title apart."""
    digest = sha256(repr((report.title, report.facts)).encode("utf-8", "backslashreplace")).hexdigest()[:4]
    words = [_slug(report.title)[:40].strip("-"), digest, _slug(table.name)]
    return f"tab:{'-'.join(filter(None, words))}"


def _slug(text: str) -> str:
    return re.sub("[^A-Za-z0-9]+", "-", text).strip("-").lower()


def _table(table: Table, label: str, closing: tuple[str, ...]) -> Iterator[str]:
    layout = lay_out(_strips(table))
    yield r"\begin{table}"
    yield r"  \centering"
    yield rf"  \caption{{{_text(table.title)}}}"
    yield rf"  \label{{{label}}}"
    if layout.left_out:
        yield f"  % left out to fit the text width: {one_line(', '.join(layout.left_out))}"
    if layout.size.command:
        yield rf"  {layout.size.command}\setlength{{\tabcolsep}}{{{layout.size.gap:g}pt}}"
    for number, block in enumerate(layout.blocks):
        if number:
            yield r"  \par\medskip"
        yield from _tabular(table, block)
    for note in (*table.notes, *marks_explained(table), *baseline_explained(table), *closing):
        yield rf"  \par\smallskip{{\footnotesize {_text(note)}\par}}"
    yield r"\end{table}"


def _tabular(table: Table, block: Sequence[Strip]) -> Iterator[str]:
    header, *rows = zip(*([_heading(strip), *_cells(table, strip)] for strip in block), strict=True)
    end = r"\tabularnewline" if any(strip.width is not None for strip in block) else r"\\"
    yield rf"  \begin{{tabular}}{{{''.join(map(_alignment, block))}}}"
    yield r"    \toprule"
    yield f"    {_guarded(' & '.join(header))} {end}"
    yield r"    \midrule"
    for index, cells in enumerate(rows):
        if index in table.sections:
            yield r"    \midrule"
        yield f"    {_guarded(' & '.join(cells))} {end}"
    yield r"    \bottomrule"
    yield r"  \end{tabular}"


def _strips(table: Table) -> list[Strip]:
    strips = []
    if table.baseline is not None:
        strips.append(
            Strip(None, ("",), tuple(BASELINE if i == table.baseline else "" for i in range(len(table.rows))))
        )
    for column in table.columns:
        if column.kind != "swatch":
            header = one_line(column.title) + (f" ({unit(column)})" if unit(column) else "")
            texts = tuple(cell(column, value) for value in table.values(column))
            strips.append(Strip(column, (header,), texts, table.marked(column)))
    return strips


def _heading(strip: Strip) -> str:
    """Return the header; of several lines as a stack, which needs no package."""
    if strip.width is not None:
        return rf"\raggedright {_text(' '.join(strip.header))}"
    if len(strip.header) == 1:
        return escape(strip.header[0])
    return rf"\shortstack[{_alignment(strip)}]{{{BACKSLASHES.join(map(escape, strip.header))}}}"


def _cells(table: Table, strip: Strip) -> list[str]:
    if strip.column is None:
        return [escape(text) for text in strip.cells]
    if strip.width is not None:
        return [rf"\raggedright {_text(text)}" for text in strip.cells]
    texts = [_value(strip.column, value) for value in table.values(strip.column)]
    return [rf"\textbf{{{text}}}" if i in strip.bold else text for i, text in enumerate(texts)]


def _text(text: str) -> str:
    """Escape running text, in which long words may be broken."""
    return escape(breakable(one_line(text)))


def escape(text: str) -> str:
    """Escape the characters that are special in LaTeX or missing from its usual fonts."""
    return one_line(text).replace("--", "-\u200b-").translate(_ESCAPES)


def _guarded(row: str) -> str:
    """Guard a bracket or star at the start of a row, which would be an argument of the rule or line break before it."""
    return f"{{}}{row}" if row.startswith(("[", "*")) else row


def _alignment(strip: Strip) -> str:
    if strip.width is not None:
        return f"p{{{strip.width:g}pt}}"
    return "r" if strip.column is not None and is_numeric(strip.column) else "l"


def _value(column: Column, value: object) -> str:
    """Return a cell; in numbers a hyphen becomes a minus sign, a space a thin space, and ``e-5`` a power of ten."""
    text = cell(column, value)
    if not is_numeric(column):
        return escape(text)
    thin = escape(text).replace(" ", r"\,") if "count" in column.kind else escape(text)
    return _POWER.sub(r"$\\times 10^{\1}$", _MINUS.sub("$-$", thin))
