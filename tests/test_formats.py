"""Reports as Markdown, CSV, JSON and LaTeX."""

import csv
import io
import json
import shutil
import subprocess
from itertools import pairwise
from math import inf, nan

import numpy as np
import pytest
from markdown_it import MarkdownIt
from reports import ablation, comparison, evaluation

from segablate.render import render
from segablate.tables import Column, Report, Table

SMALL = Report(
    "Small & plain",
    (("checkpoint", "runs/my_model|v2.pth"),),
    (
        Table(
            "classes",
            "Per class",
            (
                Column("colour", "Colour", "swatch"),
                Column("class", "Class", "text"),
                Column("iou", "IoU", "share", mark="low"),
                Column("delta", "Δ", "signed_interval", wide=True),
                Column("support", "Support", "count"),
            ),
            (
                {"class": "road", "colour": (128, 64, 128), "iou": 0.9461, "delta": (-0.001, 0.02), "support": 5302},
                {"class": "a|b_c & 50%\n#", "colour": None, "iou": 0.1, "delta": None, "support": 7},
                {"class": 'pôle "x", y', "colour": (0, 0, 9), "iou": nan, "delta": (nan, inf), "support": 0},
            ),
            ("mean over 2 classes",),
            sections=(2,),
            baseline=0,
        ),
    ),
    ("# not a heading",),
)
MARKDOWN = r"""## Small &amp; plain

- **checkpoint**: runs/my_model\|v2.pth

### Per class

|     | Colour    | Class               |  IoU (%) |   Δ (points) | Support |
| --- | --------- | ------------------- | -------: | -----------: | ------: |
| ▸   | `#804080` | road                |     94.6 | [-0.1, +2.0] |   5 302 |
|     | –         | a\|b_c &amp; 50% \# | **10.0** |            – |       7 |
|     | `#000009` | pôle "x", y         |        – |       [–, ∞] |       0 |

- mean over 2 classes
- Bold: worst IoU.
- ▸ baseline

---

- \# not a heading
"""
CSV = """\
colour,class,iou,delta_low,delta_high,support,baseline
#804080,road,0.9461,-0.001,0.02,5302,true
,"a|b_c & 50%
#",0.1,,,7,false
#000009,"pôle ""x"", y",,,inf,0,false
"""
LATEX = r"""% Small & plain
% checkpoint: runs/my_model|v2.pth
% needs \usepackage{booktabs}

\begin{table}
  \centering
  \caption{Per class}
  \label{tab:small-plain-36c9-classes}
  \begin{tabular}{llrrr}
    \toprule
     & Class & IoU (\%) & $\Delta$ (points) & Support \\
    \midrule
    $\triangleright$ & road & 94.6 & [$-$0.1, +2.0] & 5\,302 \\
     & a\textbar{}b\_c \& 50\% \# & \textbf{10.0} & -- & 7 \\
    \midrule
     & pôle ''x'', y & -- & [--, $\infty$] & 0 \\
    \bottomrule
  \end{tabular}
  \par\smallskip{\footnotesize mean over 2 classes\par}
  \par\smallskip{\footnotesize Bold: worst IoU.\par}
  \par\smallskip{\footnotesize $\triangleright$ baseline\par}
  \par\smallskip{\footnotesize \# not a heading\par}
\end{table}
"""


def one_column(kind, *values, **more) -> Report:
    column = Column("key", "Title", kind, **more)
    return Report("R", (), (Table("t", "T", (column,), tuple({"key": value} for value in values)),))


def cells_of(markdown: str) -> list[list[list[str]]]:
    """Tables, rows and cells as a Markdown parser sees them."""
    tables: list[list[list[str]]] = []
    tokens = MarkdownIt("commonmark").enable("table").parse(markdown)
    for token, following in pairwise(tokens):
        if token.type == "table_open":
            tables.append([])
        elif token.type == "tr_open":
            tables[-1].append([])
        elif token.type in ("th_open", "td_open"):
            tables[-1][-1].append("".join(child.content for child in following.children or []))
    return tables


def test_markdown():
    assert render(SMALL, "markdown") == MARKDOWN


@pytest.mark.parametrize("report", [SMALL, evaluation(), comparison(), ablation()])
def test_markdown_has_the_rows_and_columns_for_a_parser(report):
    for table, found in zip(report.tables, cells_of(render(report, "markdown")), strict=True):
        assert len(found) == 1 + len(table.rows)
        assert {len(row) for row in found} == {len(table.columns) + (table.baseline is not None)}


NASTY = [
    "a|b", r"back\slash|", "`code`", "*bold* _it_ __b__", "~~gone~~", "<b>tag</b>", "<!-- x -->", "[l](http://x)",
    "![i](x)", "AT&amp;T", "a_b_c", "_", "**", "# x", "x #", "- x", "1. x", "> x", "[x]: y", "$x$", "x<y", "道路",
]  # fmt: skip


@pytest.mark.parametrize("text", NASTY)
def test_markdown_shows_every_text_as_it_is(text):
    report = Report(text, ((text, text),), (Table("t", text, (Column("c", text, "text"),), ({"c": text},), (text,)),))
    markdown = render(report, "markdown")
    assert cells_of(markdown) == [[[text], [text]]]
    tokens = MarkdownIt("commonmark").enable(["table", "strikethrough"]).parse(markdown)
    shown = ["".join(child.content for child in token.children or []) for token in tokens if token.type == "inline"]
    assert shown == [text, f"{text}: {text}", text, text, text, text]


def test_markdown_lines_of_a_table_are_equally_long():
    lines = [line for line in render(evaluation(), "markdown").splitlines() if line.startswith("|")]
    assert {len(line) for line in lines[3:]} == {len(lines[3])}


def test_csv():
    assert render(SMALL, "csv") == CSV


def test_csv_reads_back():
    rows = list(csv.DictReader(io.StringIO(render(SMALL, "csv"))))
    assert [row["class"] for row in rows] == ["road", "a|b_c & 50%\n#", 'pôle "x", y']
    assert [float(row["iou"] or "nan") for row in rows] == pytest.approx([0.9461, 0.1, nan], nan_ok=True)


def test_csv_of_several_tables_is_one_with_a_line_for_each_number():
    rows = list(csv.DictReader(io.StringIO(render(evaluation(), "csv"))))
    assert {row["table"] for row in rows} == {"overall", "classes"}
    found = {(row["class"], row["measure"]): row["value"] for row in rows if row["table"] == "classes"}
    assert found["road", "iou"] == "0.946"
    assert found["road", "f1"] == "0.9724"  # --wide is for the terminal alone
    assert found["fence", "iou"] == ""
    assert len(found) == 11 * 6


def test_numbers_keep_their_full_precision():
    value = 0.1 + 0.2
    assert render(one_column("share", value), "csv") == "key\n0.30000000000000004\n"
    assert json.loads(render(one_column("share", value), "json"))["tables"]["t"] == [{"key": value}]


def strictly(text: str):
    def refuse(constant: str):
        raise AssertionError(f"{constant} is not JSON")

    return json.loads(text, parse_constant=refuse)


def test_json():
    assert strictly(render(SMALL, "json")) == {
        "title": "Small & plain",
        "headline": None,
        "facts": {"checkpoint": "runs/my_model|v2.pth"},
        "tables": {
            "classes": [
                {"colour": "#804080", "class": "road", "iou": 0.9461, "delta": [-0.001, 0.02], "support": 5302}
                | {"baseline": True},
                {"colour": None, "class": "a|b_c & 50%\n#", "iou": 0.1, "delta": [None, None], "support": 7}
                | {"baseline": False},
                {"colour": "#000009", "class": 'pôle "x", y', "iou": None, "delta": [None, None], "support": 0}
                | {"baseline": False},
            ]
        },
        "notes": ["mean over 2 classes", "# not a heading"],
    }


def test_json_of_a_whole_evaluation():
    whole = strictly(render(evaluation(), "json"))
    assert list(whole["tables"]) == ["overall", "classes"]
    assert whole["tables"]["classes"][7] == dict.fromkeys(
        ("iou", "recall", "precision", "f1", "boundary_f")
    ) | {"colour": "#404080", "class": "fence", "support": 0}  # fmt: skip
    assert len(whole["notes"]) == 3


@pytest.mark.parametrize(
    ("kind", "value", "plain"),
    [
        ("number", np.float32(0.5), 0.5),
        ("count", np.int64(7), 7),
        ("number", 3, 3),
        ("text", np.int32(3), 3),
        ("text", 5e-4, 5e-4),
        ("text", True, True),
        ("text", (4, 8), "(4, 8)"),
        ("number", -inf, None),
        ("interval", np.array([0.25, 0.5]), [0.25, 0.5]),
    ],
)
def test_json_has_plain_values(kind, value, plain):
    (row,) = strictly(render(one_column(kind, value), "json"))["tables"]["t"]
    assert row["key"] == plain
    assert type(row["key"]) is type(plain)


def test_latex():
    assert render(SMALL, "latex") == LATEX


@pytest.mark.parametrize(
    ("kind", "value", "cell"),
    [
        ("number", -1.5e-9, r"$-$1.500$\times 10^{-9}$"),
        ("p", 0.0001, r"\textless{}0.001"),
        ("ratio", 1.5, r"1.50$\times$"),
        ("signed_interval", (-0.01, 0.01), r"{}[$-$1.0, +1.0]"),
        ("text", "[x] --wide", r"{}[x] -{}-wide"),
        ("text", "*", r"{}*"),
        ("text", r"a\b{c}^~$", r"a\textbackslash{}b\{c\}\textasciicircum{}\textasciitilde{}\$"),
        ("text", "frame-1e-5", "frame-1e-5"),
    ],
)
def test_latex_cells(kind, value, cell):
    assert f"    {cell} \\\\\n" in render(one_column(kind, value), "latex")


@pytest.mark.parametrize("format", ["markdown", "latex"])
def test_bold_says_whether_it_is_the_best_or_the_worst(format):
    assert "Bold: best Title." in render(one_column("number", 1.0, 2.0, best="low"), format)
    assert "Bold" not in render(one_column("number", 1.0, 1.0, best="low"), format)


@pytest.mark.parametrize(
    ("format", "text"),
    [
        ("markdown", "| Title |\n| ----: |\n"),
        ("csv", "key\n"),
        ("json", '"t": []'),
        ("latex", "\\midrule\n    \\bottomrule\n"),
    ],
)
def test_empty_tables(format, text):
    assert text in render(one_column("number"), format)


@pytest.mark.parametrize("format", ["rich", "markdown", "csv", "json", "latex"])
def test_a_report_without_tables(format):
    text = render(Report("Nothing", (("a", "b"),), (), ("note",)), format)
    assert text.endswith("\n") or format == "csv"
    assert format == "csv" or "Nothing" in text


@pytest.mark.skipif(shutil.which("pdflatex") is None, reason="pdflatex is not installed")
def test_latex_compiles(tmp_path):
    texts = tuple(NASTY[:-1])  # the usual fonts have no Chinese
    table = Table("n", "".join(texts), (Column("c", "[Δ] ²", "text"),), tuple({"c": text} for text in texts), texts)
    nasty = Report("%_", (("%", "#"),), (table,))
    body = "".join(render(report, "latex") for report in (evaluation(), comparison(), ablation(), SMALL, nasty))
    source = rf"\documentclass{{article}}\usepackage{{booktabs}}\begin{{document}}{body}\end{{document}}"
    (tmp_path / "report.tex").write_text(source, encoding="utf-8")
    command = ["pdflatex", "-interaction=nonstopmode", "-halt-on-error", "report.tex"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, timeout=60, check=False)
    assert done.returncode == 0, done.stdout.decode("utf-8", "replace")[-2000:]
