"""Reports for people in the terminal, and the progress bar; the other formats are in test_formats.py."""

import io
import itertools
import os
import re
import subprocess
import sys
from dataclasses import replace
from importlib import import_module
from pathlib import Path

import pytest
from reports import ablation, comparison, evaluation
from rich.cells import cell_len
from rich.console import Console

from segablate.render import FORMATS, print_report, progress, render, training_progress
from segablate.render.cells import aligned_cells
from segablate.render.html import to_html
from segablate.render.layout import set_in_width
from segablate.tables import Column, Headline, Report, Table

progress_module = import_module("segablate.render.progress")  # the package has a function of the name

ANSI = re.compile(r"\x1b\[[0-9;]*m")


def widest(text: str) -> int:
    return max(map(cell_len, ANSI.sub("", text).splitlines()))


EVALUATION_ENDS = """\
Per class
Class          IoU              Recall  Precision  Boundary F    Support
                 %                   %          %           %
────────────────────────────────────────────────────────────────────────
sky          92.1   ━━━━━━━━━    95.8       96.0        87.4   3 121 004
building     81.2   ━━━━━━━━     90.5       88.8        61.1   4 410 233
pole         31.2▾  ━━━          42.1▾      54.8▾       55.3     170 412
road         94.6   ━━━━━━━━━╸   97.8       96.7        82.3   5 302 118
pavement     81.3   ━━━━━━━━     89.4       89.9        70.2   1 404 990
tree         74.2   ━━━━━━━╸     87.1       83.4        58.0   1 820 377
sign symbol  36.4   ━━━╸         44.1       67.6        46.8▾    190 101
fence           –                   –          –           –           0
car          80.3   ━━━━━━━━     90.2       88.0        65.1   1 004 331
pedestrian   47.1   ━━━━╸        60.2       68.4        51.9      98 040
bicyclist    51.8   ━━━━━        61.1       77.2        49.7      60 215
· 1 of 11 classes is never labelled nor predicted here: its scores are
  undefined, and means are over 10 classes
· Boundary F within 3 pixels, hits pooled over images

· saved as runs/espnet-camvid; segablate show runs/espnet-camvid prints this
  again
· --wide adds: "Time / image", F1
"""
COMPARISON = """\
Comparison of flips with plain
A  runs/plain
B  runs/flips

Paired by image
Class       A IoU  B IoU   B − A        95 % CI       p  p (Holm)
                %      %  points         points
─────────────────────────────────────────────────────────────────
all (mIoU)   67.0   68.4   +1.4   [+0.6,  +2.2]  <0.001     0.005
─────────────────────────────────────────────────────────────────
road         94.6   94.9   +0.3   [+0.1,  +0.5]   0.002     0.023
pole         31.2   37.1   +5.9   [+4.0, +10.1]  <0.001    <0.001
fence           –      –      –               –       –         –
bicyclist    51.8   48.6   -3.2▾  [-7.2,  +0.8]   0.118     0.708
· 233 images, bootstrap of 10 000

· --wide adds: Cost
"""
ABLATION_NARROW = """\
Ablation of rmi
loss  rmi

rmi under 3 settings
                              Rank
                       correlation
   Setting      Value     with IoU   Change        Interval       Time
──────────────────────────────────────────────────────────────────────
   radius=1    0.2211       -0.41    -12.10  [-0.61, -0.20]    3.21 ms
▸  radius=3   12.34         -0.63▾     0     [-0.71, -0.52]   12.4  ms
   radius=5  118.2          -0.58   +105.9   [-0.70, -0.45]  118    ms

   Setting      Memory   Cost
─────────────────────────────
   radius=1   2.00 MiB  0.26×
▸  radius=3  21.1  MiB  1.00×
   radius=5  59.0  MiB  9.52×
▸ baseline
"""


def test_evaluation_in_80_columns():
    assert render(evaluation(), "rich", width=80).endswith(EVALUATION_ENDS)


def test_comparison_in_100_columns():
    assert render(comparison(), "rich") == COMPARISON


def test_a_table_too_wide_is_set_in_blocks_that_repeat_the_names():
    assert render(ablation(), "rich", width=80) == ABLATION_NARROW


@pytest.mark.parametrize("report", [evaluation, comparison, ablation])
@pytest.mark.parametrize("width", [40, 60, 80, 100, 140])
@pytest.mark.parametrize("wide", [False, True])
def test_no_line_is_longer_than_the_terminal_and_no_number_is_lost(report, width, wide):
    text = render(report(), "rich", width=width, wide=wide)
    assert widest(text) <= width
    for table in report().tables:
        for column in (c for c in table.columns if c.kind != "swatch" and (wide or not c.wide)):
            assert all(aligned.strip() in text for aligned in aligned_cells(column, table.values(column)))


def test_columns_for_wide_are_shown_when_asked_for():
    assert "F1" not in render(evaluation(), "rich").split("Boundary F within")[0]
    assert "F1" in render(evaluation(), "rich", wide=True)
    assert "--wide" not in render(evaluation(), "rich", wide=True)


def test_colours_only_when_asked_for():
    plain, coloured = (render(evaluation(), "rich", colour=colour) for colour in (False, True))
    assert "\x1b" not in plain
    assert "\x1b[38;2;128;64;128m██" in coloured  # road
    assert re.search(r"\x1b\[1;31m *31\.2\x1b", coloured)  # the worst IoU
    assert "▾" not in coloured
    assert "██" not in plain


def test_150_classes_with_long_names():
    columns = (Column("class", "Class", "text"), *(Column(f"c{i}", f"Score {i}", "share") for i in range(8)))
    rows = [{"class": f"{i:03d} " + "building, edifice, " * 5 + str(i)} | {f"c{j}": i / 150 for j in range(8)}
            for i in range(150)]  # fmt: skip
    text = render(Report("ADE20K", (), (Table("classes", "Classes", columns, tuple(rows)),)), "rich", width=80)
    lines = [line for line in text.splitlines() if re.match(r"\d{3} ", line)]
    assert len(lines) == 150
    assert widest(text) == 80
    assert all(line.startswith(f"{i:03d} ") and f"{i} " in line.split("…")[1] for i, line in enumerate(lines))
    assert lines[149].split()[-8:] == ["99.3"] * 8


def test_prose_is_wrapped_and_never_shortened():
    words = "mean over valid pixels of the negative logarithm of the probability of the labelled class " * 2
    columns = (Column("name", "Name", "text"), Column("about", "About", "prose"), Column("n", "Knobs", "count"))
    table = Table("losses", "Losses", columns, ({"name": "ce", "about": words, "n": 0},))
    text = render(Report("Catalogue", (), (table,)), "rich", width=60)
    assert widest(text) <= 60
    assert "…" not in text
    assert text.split().count("logarithm") == 2


def test_a_triangle_stands_right_behind_its_number():
    table = Table("t", "T", (Column("ce", "CE", "number", mark="high"),), ({"ce": 1.2}, {"ce": 0.6}, {"ce": None}))
    assert render(Report("R", (), (table,)), "rich").endswith("───────\n1.200▴\n0.6000\n     –\n")


def test_a_table_of_which_nothing_shows_in_the_terminal_keeps_its_title_and_notes():
    table = Table("t", "T", (Column("f1", "F1", "share", wide=True),), ({"f1": 0.5},), ("a note",))
    assert render(Report("R", (), (table,)), "rich").split() == [
        "R",
        "T",
        "·",
        "a",
        "note",
        "·",
        "--wide",
        "adds:",
        "F1",
    ]


def test_a_missing_colour_is_blank():
    columns = (Column("colour", "Colour", "swatch"), Column("class", "Class", "text"))
    table = Table("t", "T", columns, ({"class": "void"}, {"class": "road", "colour": (128, 64, 128)}))
    assert ANSI.sub("", render(Report("R", (), (table,)), "rich", colour=True)).endswith("    void\n██  road\n")


def test_an_empty_table_says_so():
    table = Table("runs", "Runs", (Column("run", "Run", "text"),), ())
    assert render(Report("Nothing yet", (), (table,)), "rich") == "Nothing yet\n\nRuns\nRun\n───\nno rows\n"


def test_names_are_never_markup_nor_escape_codes():
    table = Table("t", "[bold]T[/bold]", (Column("c", "[red]C", "text"),), ({"c": "[link=x]a\x1b[2Jb"},))
    text = render(Report("[i]", (("[b]", "[u]"),), (table,), ("[s]",)), "rich")
    assert "\x1b" not in text
    for literal in ("[bold]T[/bold]", "[red]C", "[link=x]a [2Jb", "[i]", "[b]  [u]", "[s]"):
        assert literal in text


def test_a_long_path_in_the_facts_is_folded_and_kept_whole():
    path = "/data/" + "x" * 150 + "/model.pth"
    text = render(Report("R", (("checkpoint", path),), ()), "rich", width=80)
    assert path in text.replace("\n", "").replace(" ", "")


def printed(console: Console, format: str = "rich") -> str:
    print_report(evaluation(), format, console=console)
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def test_a_pipe_gets_100_columns_without_colours():
    assert printed(Console(file=io.StringIO(), width=63)) == render(evaluation(), "rich")


@pytest.mark.parametrize("format", [name for name in FORMATS if name != "rich"])
def test_formats_for_files_are_never_coloured_or_wrapped(format):
    console = Console(file=io.StringIO(), width=40, force_terminal=True, color_system="truecolor")
    assert printed(console, format) == render(evaluation(), format)


def test_a_terminal_gets_its_own_width_and_colours():
    text = printed(Console(file=io.StringIO(), width=72, force_terminal=True, color_system="truecolor"))
    assert "\x1b[38;2;128;64;128m██" in text
    assert widest(text) == 72


def test_a_terminal_without_colour_gets_triangles():
    text = printed(Console(file=io.StringIO(), width=80, force_terminal=True, color_system="truecolor", no_color=True))
    assert "31.2▾" in ANSI.sub("", text)
    assert "██" not in text


def test_an_encoding_without_the_signs_gets_plain_ones():
    code = "from reports import evaluation; from segablate.render import print_report; print_report(evaluation())"
    path = os.pathsep.join(map(str, (Path(__file__).parent, Path(__file__).parents[1])))
    environment = os.environ | {"PYTHONIOENCODING": "ascii", "PYTHONPATH": path}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, env=environment, check=True)
    assert "pole         31.2v  ===" in done.stdout.decode("ascii")


def test_steps_of_preprocessing_are_told_from_a_minus_in_plain_signs():
    file = io.TextIOWrapper(io.BytesIO(), encoding="ascii")
    steps = "RGB · × 1/255 · − 0.45 · / 0.25 · native size"
    print_report(Report("t", (("preprocessing", steps),), (), ("a note",)), console=Console(file=file))
    file.seek(0)
    text = file.read()
    assert "RGB, x 1/255, - 0.45, / 0.25, native size" in text
    assert "\n- a note" in text


def test_progress_is_silent_when_nobody_watches(capsys):
    with progress(10, "evaluating") as advance:
        advance(4)
    assert capsys.readouterr() == ("", "")


def lines_of(monkeypatch: pytest.MonkeyPatch, seconds: float) -> io.StringIO:
    """A log in which a step takes so many seconds of a clock that only the test turns."""
    clock = itertools.count(0.0, seconds)
    monkeypatch.setattr(progress_module.time, "monotonic", lambda: next(clock))
    return io.StringIO()


def test_progress_is_a_line_a_minute_where_nothing_is_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    log = lines_of(monkeypatch, 25)
    with progress(1200, "evaluating [b]", console=Console(file=log, width=40)) as advance:
        for _ in range(7):
            advance(100)
    assert log.getvalue().splitlines() == [
        "evaluating [b]: 300 of 1 200 images · about 6 min left",
        "evaluating [b]: 600 of 1 200 images · about 3 min left",
    ]


def test_the_time_left_of_a_run_that_goes_on_counts_what_is_new(monkeypatch: pytest.MonkeyPatch) -> None:
    log = lines_of(monkeypatch, 60)
    with progress(1000, "evaluating", console=Console(file=log)) as advance:
        advance(400)
        advance(100)
    assert log.getvalue().splitlines()[-1] == "evaluating: 500 of 1 000 images · about 10 min left"


def test_training_is_a_line_a_minute_too(monkeypatch: pytest.MonkeyPatch) -> None:
    log = lines_of(monkeypatch, 60)
    with training_progress(100, 4, console=Console(file=log)) as show:
        show(10, {"loss": 0.5})
        show(20, {"mIoU": 0.25})
    assert (
        log.getvalue().splitlines()[-1] == "training: 20 of 100 steps · loss 0.5000 · mIoU 25.0 % · about 16 min left"
    )


def test_progress_is_silent_when_told(monkeypatch: pytest.MonkeyPatch) -> None:
    log = lines_of(monkeypatch, 100)
    with progress(10, "evaluating", silent=True, console=Console(file=log)) as advance:
        advance(1)
    with training_progress(10, 1, silent=True, console=Console(file=log)) as show:
        show(1, {})
    assert log.getvalue() == ""


@pytest.mark.parametrize(("seconds", "text"), [(40, "40 s"), (89, "89 s"), (100, "2 min"), (12_000, "3 h 20 min")])
def test_durations(seconds: float, text: str) -> None:
    assert progress_module.duration(seconds) == text


def test_progress_shows_images_a_second_and_leaves_standard_output_alone(capsys):
    console = Console(file=io.StringIO(), width=100, force_terminal=True)
    with progress(8, "evaluating [b]", console=console) as advance:
        for _ in range(4):
            advance(2)
            print("a line of the result")
    assert isinstance(console.file, io.StringIO)
    shown = ANSI.sub("", console.file.getvalue())
    assert "evaluating [b]" in shown
    assert "8/8" in shown
    assert "images/s" in shown
    assert capsys.readouterr().out == "a line of the result\n" * 4


def test_progress_of_unknown_length_and_through_an_error():
    console = Console(file=io.StringIO(), width=100, force_terminal=True)
    with pytest.raises(ZeroDivisionError), progress(None, "reading", console=console) as advance:
        advance(3 // 0)
    assert isinstance(console.file, io.StringIO)
    shown = console.file.getvalue()
    assert "reading" in shown
    assert shown.rindex("\x1b[?25h") > shown.rindex("\x1b[?25l")  # the cursor is back


def test_the_headline_is_first_and_last_and_no_fact_besides():
    said = Headline("B is better than A", "difference in mIoU", "b − a", 0.01, 0.005, 0.02)
    report = replace(comparison(), facts=(("verdict", said.text), ("A", "runs/plain")), headline=said)
    lines = render(report, "rich").splitlines()
    assert lines[0] == lines[-1] == said.text
    assert "verdict" not in render(report, "rich")
    assert "**B is better than A**" in render(report, "markdown")


def pairs_of_runs(*, more: int = 0) -> Report:
    """A table of the differences of two runs from the first, each with two columns whose headers do not name it."""
    pairs = [("b", "B − A"), ("c", "C − A")]
    columns = [Column("class", "class", "text"), *(Column(f"iou_{run}", run.upper(), "share") for run in "abc")]
    for run, pair in pairs:
        columns.append(Column(f"change_{run}", pair, "signed_share", digits=2, run=pair))
        columns.append(Column(f"p_{run}", "p (Holm)", "p", run=pair))
        columns.append(Column(f"shown_{run}", "significant", "text", run=pair))
        columns += [Column(f"more_{i}_{run}", f"more-{i}", "number", run=pair) for i in range(more)]
    row = {column.key: "A better" if column.kind == "text" else 0.5 for column in columns}
    return Report("R", (), (Table("t", "T", tuple(columns), (row,)),))


@pytest.mark.parametrize("width", range(40, 100))
def test_blocks_name_the_pair_of_runs_whose_columns_they_hold(width: int):
    lines = render(pairs_of_runs(), "rich", width=width).splitlines()
    heads = [" ".join(lines[i - 3 : i]) for i, line in enumerate(lines) if line.startswith("──")]
    assert sum(head.count("significant") for head in heads) == 2
    for head in heads:
        assert head.count("significant") == head.count("B − A") + head.count("C − A")


@pytest.mark.parametrize("form", ["rich", "latex"])
def test_blocks_that_split_a_pair_of_runs_repeat_its_name(form: str):
    text = render(pairs_of_runs(more=12), form, width=80).replace("$-$", "−")
    seen = {"B − A": [], "C − A": []}
    blocks = re.split(r"toprule" if form == "latex" else r"\n(?=class |  +p\n)", text)[1:]
    assert len(blocks) > 3
    for block in blocks:
        pair = ""
        for word in re.findall(r"[BC] − A|more-\d+", block):
            pair = word if "−" in word else pair
            seen[pair] += [word] if "−" not in word else []
    assert seen == {pair: [f"more-{i}" for i in range(12)] for pair in seen}


def test_a_wide_terminal_shows_the_columns_of_wide_that_fit():
    columns = (Column("a", "A", "text"), *(Column(f"c{i}", f"score {i}", "share", wide=i > 0) for i in range(30)))
    report = Report("R", (), (Table("t", "T", columns, ({"a": "x"},)),))
    narrow, roomy = (render(report, "rich", width=width) for width in (159, 160))
    assert "score 1" not in narrow.split("--wide")[0]
    shown = roomy.split("--wide")[0]
    assert "score 1 " in shown
    assert "score 29" not in shown
    assert roomy.count("score 0") == 1  # one block
    assert '"score 29"' in roomy.split("--wide adds")[1]
    assert '"score 1"' not in roomy.split("--wide adds")[1]
    assert widest(roomy) <= 160
    assert "--wide" not in render(evaluation(), "rich", width=200)


@pytest.mark.parametrize(
    ("text", "width", "found"),
    [
        ("boundary F over images in classes", 30, "boundary F over images in classes"),
        ("one two three four five six seven eight nine", 18, "one two … nine"),
        ("runs/a/very/long/path/of/a/run.pth", 16, "runs/a/v…run.pth"),
        ("fits", 16, "fits"),
    ],
)
def test_phrases_are_not_cut_inside_words(text, width, found):
    assert set_in_width(text, width) == found


def test_html_has_the_headline_the_baseline_and_text_on_the_left():
    columns = (
        Column("name", "setting", "text"),
        Column("why", "why", "prose"),
        Column("a", "A", "share", mark="low"),
        Column("b", "B", "share", mark="low", wide=True),
    )
    rows = tuple({"name": name, "why": "<because>", "a": a, "b": 0.5 * a} for name, a in (("x", 0.5), ("y", 0.25)))
    table = Table("t", "T", columns, rows, baseline=0)
    report = Report(
        "R",
        (("fact", "value"), ("verdict", "B is better")),
        (table,),
        headline=Headline("B is better", "mIoU", "B", 0.5),
    )
    page = to_html(report)
    assert page.count("B is better") == 1, "a fact that the headline states is left out"
    assert '<p class="headline">B is better</p>' in page
    assert (
        '<tr><td class="t">▸</td><td class="t">x</td><td class="t p">&lt;because&gt;</td><td class="n">50.0</td></tr>'
        in page
    )
    assert '<tr><td class="t"></td><td class="t">y</td>' in page
    assert "Bold: worst A." in page, "not of columns that are left out"
    assert "▸ baseline" in page
    rules = re.findall(r"\.segablate (table (?:thead )?tr\S* \.[tn])", page)
    assert len(rules) >= 6, "the rules outweigh those of the notebook, which align all cells to the right"
