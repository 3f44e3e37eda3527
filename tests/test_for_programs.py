"""Reports for programs: the tidy CSV through pandas, the JSON through its schema, LaTeX in the text width."""

import io
import json
import os
import re
import shutil
import subprocess
from dataclasses import replace
from math import nan
from pathlib import Path

import pytest
from reports import ablation, comparison, evaluation

from segablate.cli import run
from segablate.render import Format, render
from segablate.render.latex_layout import breakable, width_of
from segablate.tables import Column, Headline, Report, Table

SCHEMA = Path(__file__).parents[1] / "docs/reference/report.schema.json"
TEXT_WIDTH = 345.0  # of article at 10 pt, in points
QUICK = ["--limit", "6", "--workers", "0", "--device", "cpu"]
COMMANDS = {
    "evaluate": ["evaluate", *QUICK, "--details"],
    "conventions": ["evaluate", *QUICK, "--conventions"],
    "convention": ["evaluate", *QUICK, "--as", "torchmetrics"],
    "compare": ["compare", *QUICK, "--replicates", "200"],
    "compare three": ["compare", "sample:ce", "sample:weighted", "sample:rmi", *QUICK, "--replicates", "200"],
    "ablate": ["ablate", "rmi", "--radius", "1,3", *QUICK, "--no-cost", "--no-gradients"],
    "losses": ["losses", "list"],
    "layout": ["datasets", "show", "camvid"],
    "checkpoint": ["checkpoints", "show", "sample:ce"],
}
CATALOGUES = {"losses": "name", "layout": "class"}
"""Commands of one table, which is written as it is, and a column that names the rows."""


@pytest.fixture(scope="module")
def outputs():
    """What a command prints in a format; each command is run once."""
    reports: dict[str, Report] = {}

    def call(name: str, form: Format) -> str:
        if name not in reports:
            with pytest.MonkeyPatch.context() as patch:
                patch.setattr("segablate.render.print_report", lambda report, *_, **__: reports.update({name: report}))
                assert run(COMMANDS[name]) == 0
        return render(reports[name], form)

    return call


@pytest.mark.parametrize("name", COMMANDS)
def test_json_follows_its_schema(name: str, outputs) -> None:
    jsonschema = pytest.importorskip("jsonschema")
    page = json.loads(outputs(name, "json"))
    schema = json.loads(SCHEMA.read_text(encoding="utf-8"))
    jsonschema.Draft202012Validator.check_schema(schema)
    jsonschema.Draft202012Validator(schema).validate(page)
    assert list(page)[:2] == ["title", "headline"]


@pytest.mark.parametrize("damage", [{"headline": "0.6"}, {"tables": {"t": [{"x": [1]}]}}, {"more": 1}])
def test_the_schema_refuses_another_document(damage: dict) -> None:
    jsonschema = pytest.importorskip("jsonschema")
    page = json.loads(render(evaluation(), "json"))
    validator = jsonschema.Draft202012Validator(json.loads(SCHEMA.read_text(encoding="utf-8")))
    assert validator.is_valid(page)
    assert not validator.is_valid(page | damage)


@pytest.mark.parametrize("name", COMMANDS)
def test_csv_is_one_table_for_pandas(name: str, outputs) -> None:
    pandas = pytest.importorskip("pandas")
    frame = pandas.read_csv(io.StringIO(outputs(name, "csv")))
    if name in CATALOGUES:
        assert not frame[CATALOGUES[name]].duplicated().any()
        return
    assert list(frame.columns[:6]) == ["run", "table", "row", "measure", "class", "column"]
    assert all(frame[key].dtype == float for key in ("value", "low", "high"))
    assert not frame.duplicated(["table", "row", "column"]).any()


def test_csv_has_every_number_of_json(outputs) -> None:
    pandas = pytest.importorskip("pandas")
    for name in ("evaluate", "compare"):
        page = json.loads(outputs(name, "json"))
        frame = pandas.read_csv(io.StringIO(outputs(name, "csv"))).set_index(["table", "row", "column"])
        for table, rows in page["tables"].items():
            for index, row in enumerate(rows):
                for key, value in row.items():
                    if isinstance(value, float | int) and not isinstance(value, bool):
                        assert frame.loc[(table, index, key), "value"] == pytest.approx(value, rel=1e-15)
        miou = frame.xs("scores" if name == "compare" else "overall", level="table").loc[0]
        key = "change" if name == "compare" else "value"
        found = miou.loc[key, ["value", "low", "high"]]
        assert list(found) == pytest.approx([page["headline"][of] for of in ("value", "low", "high")])


def test_csv_names_run_measure_and_class(outputs) -> None:
    pandas = pytest.importorskip("pandas")
    frame = pandas.read_csv(io.StringIO(outputs("compare", "csv")))
    classes = frame[(frame.table == "classes") & (frame["class"] == "road")]
    assert set(classes.measure) == {"iou"}
    of = dict(zip(classes.column, classes.run, strict=True))
    assert (of["iou_a"], of["iou_b"], of["change_b"]) == (
        "sample:ce",
        "sample:weighted",
        "sample:weighted − sample:ce",
    )


def test_an_interval_belongs_to_the_value_before_it() -> None:
    columns = (
        Column("name", "name", "text"),
        Column("a", "a", "share"),
        Column("a_interval", "CI", "interval"),
        Column("p", "p", "p"),
        Column("other", "other", "interval"),
    )
    row = {"name": "x", "a": 0.5, "a_interval": (0.4, 0.6), "p": 0.01, "other": (0.1, nan)}
    report = Report("R", (), (Table("t", "T", columns, (row,)),), runs=(("", "me"),))
    assert render(report, "csv").splitlines() == [
        "run,table,row,measure,class,column,value,low,high,text,baseline,name",
        "me,t,0,a,,a,0.5,0.4,0.6,,,x",
        "me,t,0,p,,p,0.01,,,,,x",
        "me,t,0,other,,other,,0.1,,,,x",
    ]


@pytest.mark.parametrize("form", ["CSV", "Json", "LaTeX", "RICH", "Markdown"])
def test_formats_in_any_case(form: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["losses", "list", "--format", form]) == 0
    found = capsys.readouterr().out
    assert run(["losses", "list", "--format", form.lower()]) == 0
    assert capsys.readouterr().out == found


def reports(outputs) -> list[str]:
    return [outputs(name, "latex") for name in COMMANDS]


def natural_widths(source: str) -> list[float]:
    """Width of each tabular in points, by the metrics of the font and not the estimate of the program."""
    font = pytest.importorskip("matplotlib.ft2font")
    matplotlib = pytest.importorskip("matplotlib")
    roman = font.FT2Font(os.path.join(matplotlib.get_data_path(), "fonts/ttf/cmr10.ttf"))
    roman.set_size(10, 72)

    def width(text: str) -> float:
        lines = re.sub(r"\\shortstack\[.\]\{(.*)\}", r"\1", text).split("\\\\")
        return max(map(line_width, lines))

    def line_width(text: str) -> float:
        bold = 1.15 if r"\textbf" in text else 1.0  # cmbx10 is wider by about so much
        text = re.sub(r"\\textbf\{(.*)\}", r"\1", text.strip())
        text = re.sub(r"\\(text|math)?[a-zA-Z]+(\{\})?", "+", text).replace("\\,", "").replace("$-$", "+")
        text = re.sub(r"[${}^]", "", text).replace("\\", "").replace("--", "+")
        return bold * sum(3.33 if c == " " else roman.load_char(ord(c)).linearHoriAdvance / 65536 for c in text)

    found = []
    for part in re.findall(r"\\begin\{table\}.*?\\end\{table\}", source, re.DOTALL):
        scale = 0.86 if re.search(r"\n  \\footnotesize", part) else 0.93 if r"\small\set" in part else 1.0
        gap = re.search(r"tabcolsep\}\{([\d.]+)pt", part)
        for layout, body in re.findall(r"\\begin\{tabular\}\{([^\n]*)\}\n(.*?)\\end\{tabular\}", part, re.DOTALL):
            kinds = re.findall(r"p\{([\d.]+)pt\}|([lr])", layout)
            rows = [line.strip() for line in body.splitlines() if "&" in line or "\\\\" in line]
            rows = [re.sub(r" (\\\\|\\tabularnewline)$", "", row) for row in rows]
            cells = [re.split(r"(?<!\\)&", row) for row in rows]
            assert {len(row) for row in cells} == {len(kinds)}, (layout, rows)
            columns = [
                float(fixed) if fixed else scale * max((width(row[place]) for row in cells), default=0)
                for place, (fixed, _) in enumerate(kinds)
            ]
            found.append(sum(columns) + 2 * (float(gap[1]) if gap else 6.0) * len(columns))
    return found


def test_latex_tables_fit_the_text_width(outputs) -> None:
    widths = [width for source in reports(outputs) for width in natural_widths(source)]
    assert len(widths) > 25
    assert max(widths) <= TEXT_WIDTH
    assert max(widths) > 0.75 * TEXT_WIDTH  # or the check measures nothing


def test_latex_says_which_columns_it_leaves_out() -> None:
    columns = (Column("name", "name", "text"), *(Column(f"c{i}", f"score {i}", "share", wide=i > 5) for i in range(14)))
    report = Report("R", (), (Table("t", "T", columns, ({"name": "x"},)),))
    found = render(report, "latex")
    assert "% left out to fit the text width: score " in found
    assert found.count(r"\begin{tabular}") == 1
    needed = replace(report, tables=(replace(report.tables[0], columns=(*columns[:1], *[
        replace(column, wide=False, title=f"long-score-{i}") for i, column in enumerate(columns[1:])])),))  # fmt: skip
    assert render(needed, "latex").count(r"\begin{tabular}") > 1
    assert "left out" not in render(needed, "latex")


def test_latex_labels_of_two_reports_differ() -> None:
    one, other = (replace(evaluation(), facts=(("dataset", name),)) for name in ("a", "b"))
    labels = [re.findall(r"\\label\{(.*)\}", render(report, "latex")) for report in (one, other)]
    assert len({*labels[0], *labels[1]}) == 4


@pytest.mark.parametrize(
    ("word", "broken"),
    [
        ("short", "short"),
        ("/data/checkpoints/espnet.pth", "/|data/|checkpoints/|espnet.|pth"),
        ("0.123456789:0.123456789", "0.123456789:|0.123456789"),
        ("a" * 20, "a" * 18 + "|aa"),
    ],
)
def test_long_words_may_be_broken(word: str, broken: str) -> None:
    assert breakable(word).replace("\u2063", "|") == broken


def test_estimated_widths_are_not_below_those_of_the_font() -> None:
    font = pytest.importorskip("matplotlib.ft2font")
    matplotlib = pytest.importorskip("matplotlib")
    roman = font.FT2Font(os.path.join(matplotlib.get_data_path(), "fonts/ttf/cmr10.ttf"))
    roman.set_size(10, 72)
    true = {chr(c): roman.load_char(c).linearHoriAdvance / 65536 for c in range(33, 123)}
    assert all(width_of(c) >= 0.97 * true[c] for c in true)
    assert all(width_of(c) <= 1.2 * true[c] for c in set(true) - set("<\\_"))  # of which the font has others


@pytest.mark.skipif(shutil.which("pdflatex") is None, reason="pdflatex is not installed")
def test_latex_compiles_without_overfull_boxes(tmp_path: Path, outputs) -> None:
    body = "".join([*reports(outputs), *(render(each(), "latex") for each in (evaluation, comparison, ablation))])
    body = body.replace(r"\end{table}", r"\end{table}\clearpage")
    source = rf"\documentclass{{article}}\usepackage{{booktabs}}\begin{{document}}{body}\end{{document}}"
    (tmp_path / "report.tex").write_text(source, encoding="utf-8")
    command = ["pdflatex", "-interaction=nonstopmode", "-halt-on-error", "report.tex"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, timeout=120, check=False)
    log = done.stdout.decode("utf-8", "replace")
    assert done.returncode == 0, log[-2000:]
    assert "Overfull" not in log


def test_headlines_survive_saving() -> None:
    from segablate.tables.stored import from_plain, to_plain

    said = Headline("mIoU 50 %", "mIoU", "x", 0.5, nan, nan)
    report = replace(evaluation(), headline=said, runs=(("", "x"),))
    again = from_plain(json.loads(json.dumps(to_plain(report))))
    assert render(again, "json") == render(report, "json")
    earlier = {key: value for key, value in to_plain(report).items() if key not in ("headline", "runs")}
    assert from_plain(earlier).headline is None
