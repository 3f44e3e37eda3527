"""The parts of a page: charts, cells, the choice of images, what is hidden, and the result in a sentence."""

from dataclasses import replace
from math import inf, nan

import numpy as np
import pytest
from evaluations import LABELS, evaluation, noisy, truth

from segablate.evaluation.results import Evaluation
from segablate.report.charts import Dot, Frame, Interval, Line, Scale, Series, intervals, lines, scatter, span
from segablate.report.choosing import choose
from segablate.report.figures import charts_of
from segablate.report.grid import grid_of
from segablate.report.matrix import MOST_CLASSES, change_matrix, confusion_matrix, largest_confusions
from segablate.report.privacy import Privacy
from segablate.report.subject import Subject
from segablate.report.verdicts import verdict_of
from segablate.tables import Column, Report, Table


def run(share: float, seed: int = 1, images: int = 9) -> Evaluation:
    maps = truth(images)
    return evaluation(maps, noisy(maps, share, seed))


@pytest.mark.parametrize(
    ("low", "high", "count", "texts"),
    [
        (0.0, 1.0, 5, ["0", "0.2", "0.4", "0.6", "0.8", "1.0"]),
        (61.4, 94.2, 5, ["70", "80", "90"]),
        (-12.7, 14.2, 5, ["−10", "0", "10"]),
        (0.0012, 0.0031, 4, ["0.0015", "0.0020", "0.0025", "0.0030"]),
        (100.0, 90_000.0, 3, ["50000"]),
    ],
)
def test_ticks_are_round_numbers_in_the_range(low, high, count, texts):
    assert [text for _, text in Scale(low, high, 0, 100).ticks(count)] == texts


def test_ticks_of_whole_numbers_have_no_fractions():
    assert [text for _, text in Scale(1, 3, 0, 100).ticks(6, whole=True)] == ["1", "2", "3"]


def test_an_interval_is_from_its_low_to_its_high_end_with_its_value_between():
    rows = [Interval("a", 2.0, 1.0, 4.0), Interval("b", 3.0, nan, nan, filled=False), Interval("c", nan)]
    chart = intervals("t", rows, "points", zero=0.0)
    (ci,) = [shape for shape in chart.shapes if isinstance(shape, Line) and shape.style == "ci"]
    (zero,) = [shape for shape in chart.shapes if isinstance(shape, Line) and shape.style == "zero"]
    dots = [shape for shape in chart.shapes if isinstance(shape, Dot)]
    assert len(dots) == 2  # nothing for an undefined value
    assert (ci.x2 - ci.x1) == pytest.approx(3 * (dots[1].x - dots[0].x), abs=0.1)
    assert dots[0].x - ci.x1 == pytest.approx((ci.x2 - ci.x1) / 3, abs=0.1)
    assert ci.x1 - zero.x1 == pytest.approx(dots[0].x - ci.x1, abs=0.1)
    assert dots[0].y == ci.y1
    assert [dot.style for dot in dots] == ["dot", "dot hollow"]


def test_larger_is_higher_and_further_right():
    chart = lines("t", [Series("F", ((1, 10), (2, 30), (3, nan)), "a")], Frame((1, 3), (0, 40), "x", "y"))
    first, second = [shape for shape in chart.shapes if isinstance(shape, Dot)]
    assert first.x < second.x
    assert first.y > second.y
    points = scatter(
        "t", [(1, 5, "low", ""), (2, 9, "high", "#image-1"), (inf, 1, "", "")], Frame((0, 3), (0, 10), "", "")
    )
    low, high = [shape for shape in points.shapes if isinstance(shape, Dot)]
    assert (low.x < high.x, low.y > high.y) == (True, True)
    assert (low.href, high.href, points.linked) == ("", "#image-1", True)


@pytest.mark.parametrize("values", [[], [nan], [5.0], [0.0, 0.0], [1e-9, 2e-9], [-3.0, 1e6]])
def test_a_range_holds_its_values(values):
    low, high = span(values)
    assert low < high
    assert all(low <= value <= high for value in values if value == value)


def test_cells_sort_by_their_numbers_and_undefined_ones_have_none():
    columns = (
        Column("class", "class", "text"),
        Column("iou", "IoU", "share", mark="low"),
        Column("ci", "", "interval"),
    )
    rows = ({"class": "a", "iou": 0.5, "ci": (0.4, 0.6)}, {"class": "b", "iou": nan}, {"class": "c", "iou": 0.25})
    grid = grid_of(Table("t", "T", columns, rows), {2: "#image-7"})
    assert [row[1].sort for row in grid.rows] == ["0.5", "", "0.25"]
    assert [row[1].mark for row in grid.rows] == ["", "", "worst"]
    assert [row[2].sort for row in grid.rows] == ["0.4", "", ""]
    assert [row[0].href for row in grid.rows] == ["", "", "#image-7"]


def test_minus_is_a_minus_but_not_in_a_power_of_ten():
    columns = (Column("x", "x", "text"), Column("n", "n", "signed_number"))
    grid = grid_of(Table("t", "T", columns, ({"x": "a-b", "n": -0.25}, {"x": "c", "n": -2.5e-9})))
    assert [row[1].text for row in grid.rows] == ["−0.2500", "−2.500e-9"]
    assert grid.rows[0][0].text == "a-b"


def test_a_matrix_has_the_shares_of_each_row_and_links_where_there_is_an_image():
    found = run(0.4)
    table = found.confusion.total()
    matrix = confusion_matrix(found, "", 0, {(0, 1)})
    assert matrix.columns == ("road", "car", "tree", "no class")
    for i, (name, cells) in enumerate(matrix.rows):
        assert name == LABELS.names[i]
        for j, cell in enumerate(cells):
            share = 100 * table[i, j] / table[i].sum()
            assert float(cell.text) == pytest.approx(share, abs=0.5)
            assert f"{share:.2f} %" in cell.title
            assert (cell.href == f"#cell-0-{i}-{j}") == ((i, j) == (0, 1))
            assert ("hit" in cell.style) == (i == j)
    assert matrix.rows[0][1][0].level > matrix.rows[0][1][1].level


def test_a_matrix_of_differences_is_the_second_less_the_first():
    a, b = run(0.4), run(0.1)
    tables = [x.confusion.total()[:-1] for x in (a, b)]
    shares = [table / table.sum(axis=1, keepdims=True) for table in tables]
    matrix = change_matrix(a, b, "", ())
    for i, (_, cells) in enumerate(matrix.rows):
        for j, cell in enumerate(cells):
            assert float(cell.text.replace("−", "-")) == pytest.approx(100 * (shares[1] - shares[0])[i, j], abs=0.06)
            assert np.sign(cell.level) in (0, np.sign(shares[1] - shares[0])[i, j])


def test_a_matrix_of_very_many_classes_has_those_with_the_most_wrong_pixels():
    from segablate.labels import LabelSet

    count = MOST_CLASSES + 10
    labels = LabelSet("many", tuple(f"c{i}" for i in range(count)), tuple((i,) for i in range(count)))
    maps = [np.arange(count, dtype=np.uint8).repeat(10).reshape(count, 10)]
    wrong = [maps[0].copy()]
    wrong[0][10:, 0] = np.roll(maps[0][10:, 0], 1)  # the first ten classes are right
    matrix = confusion_matrix(evaluation(maps, wrong, labels=labels), "", 0, ())
    assert [name for name, _ in matrix.rows] == [f"c{i}" for i in range(10, count)]
    assert matrix.left_out == 10


def test_the_largest_confusions_come_first_and_hits_are_none():
    found = run(0.4)
    table = found.confusion.total()[:-1]
    order = largest_confusions([found], 100)
    pixels = [table[i, j] for i, j in order]
    assert pixels == sorted(pixels, reverse=True)
    assert all(i != j for i, j in order)
    assert sum(pixels) == table.sum() - np.trace(table[:, :-1])


def test_the_choice_has_the_worst_the_most_changed_and_the_worst_of_each_class():
    a, b = run(0.2, 1), run(0.4, 2)
    choice = choose([a, b], 4)
    assert len(choice.images) == 4
    assert list(choice.images) == sorted(choice.images)
    mean, change = choice.scores.mean(axis=0), choice.scores[1] - choice.scores[0]
    assert {int(np.argmin(mean)), int(np.argmin(change))} <= set(choice.images)
    lists = {each.title: each.items for each in choice.lists}
    assert lists["Lowest mIoU"][0][0] == int(np.argmin(mean))
    assert lists["Worse in B"][0][0] == int(np.argmin(change))
    assert [i for i, _ in lists["All embedded images"]] == list(choice.images)
    assert all(change[i] < 0 for i, _ in lists["Worse in B"])
    assert choose([a, b], None).images == tuple(range(9))
    assert choose([a, b], 0).images == ()


def test_the_worst_image_of_a_class_is_not_one_with_a_few_of_its_pixels():
    maps = [np.zeros((10, 10), np.uint8) for _ in range(4)]
    predicted = [each.copy() for each in maps]
    maps[0][0, 0] = predicted[1][0, 1] = 1  # one pixel of car, missed: IoU 0
    for place, missed in ((1, 10), (2, 30), (3, 20)):
        maps[place][5:] = predicted[place][5:] = 1
        predicted[place].reshape(-1)[50 : 50 + missed] = 0
    cars = dict(choose([evaluation(maps, predicted)], None).lists[1].items)
    assert [text for text in cars.values() if text.startswith("car")] == ["car: IoU 40.0 %"]


def test_charts_of_a_table_are_of_its_intervals():
    columns = (
        Column("setting", "setting", "prose"),
        Column("mean", "mean", "share"),
        Column("difference", "difference", "signed_share"),
        Column("interval", "95 % CI", "signed_interval"),
        Column("p_holm", "p", "p"),
    )
    rows = (
        {"setting": "baseline", "mean": 0.5, "difference": nan, "interval": (nan, nan)},
        {"setting": "x", "mean": 0.6, "difference": 0.1, "interval": (0.05, 0.15), "p_holm": 0.01},
        {"setting": "y", "mean": 0.5, "difference": 0.0, "interval": (-0.05, 0.05), "p_holm": 1.0},
    )
    table = Table("miou", "mIoU, against baseline", columns, rows)
    (only,) = charts_of(table)
    assert [s.style for s in only.shapes if isinstance(s, Dot)] == ["dot", "dot hollow"]
    trainings, _ = charts_of(table, {"miou": [[0.4, 0.6], [0.6, None], [0.5, 0.5]]})
    assert len([s for s in trainings.shapes if isinstance(s, Dot) and "seed" in s.style]) == 5


HIDING = Privacy(("/srv/our own/team/set", "/home/ada/my data", "/home/ada"), ("ada", "box7"))


@pytest.mark.parametrize(
    ("text", "hidden"),
    [
        ("camvid:/home/ada/my data, split val", "camvid:…/my data, split val"),
        ("camvid:/srv/our own/team/set/val", "camvid:…/set/val"),
        ("/home/ada/my data/val/x.png: has no image", "…/my data/val/x.png: has no image"),
        ("python:/opt/nets/a.py:net()@/opt/w.pth", "python:…/a.py:net()@…/w.pth"),
        ("see '/srv/runs/a' and (/srv/b)", "see '…/a' and (…/b)"),
        ("~/nets/a.pth", "…/a.pth"),
        ("camvid:/data/camvid/, split val", "camvid:…/camvid, split val"),
        ("--images=/tmp/list.txt", "--images=…/list.txt"),
        (r"C:\Users\ada\w.pth", "…/w.pth"),
        (r"\\box7\share\w.pth", "…/w.pth"),
        ("file:///home/x/y.html", "…/y.html"),
        ("../ada/runs/a", "../…/runs/a"),
        ("ada@box7:/data/x", "…@…:…/x"),
        ("RGB · × 1/255 · − 0.45 · / 0.25 · and/or", "RGB · × 1/255 · − 0.45 · / 0.25 · and/or"),
        ("runs/ce against runs/adapted", "runs/ce against runs/adapted"),
        ("adam and ada are words", "adam and ada are words"),
        ("gradient 0.5/step, km/h", "gradient 0.5/step, km/h"),
    ],
)
def test_absolute_paths_users_and_hosts_are_hidden_and_nothing_else(text, hidden):
    assert HIDING.text(text) == hidden
    assert replace(HIDING, hides=False).text(text) == text


def test_names_of_classes_and_images_are_left_as_they_are():
    columns = (Column("class", "class", "text"), Column("fact", "fact", "prose"))
    table = Table("t", "T /srv/a", columns, ({"class": "/srv/a", "fact": "/srv/a"},), ("in /srv/b",))
    report = HIDING.report(Report("x", (("dataset", "/srv/c"),), (table,), ("/srv/d",)))
    assert report.tables[0].rows[0] == {"class": "/srv/a", "fact": "…/a"}
    assert (report.tables[0].notes, report.facts, report.notes) == (("in …/b",), (("dataset", "…/c"),), ("…/d",))


def test_verdicts():
    overall = Table(
        "overall",
        "Overall",
        (
            Column("measure", "", "text"),
            Column("value", "", "share"),
            Column("interval", "", "interval"),
            Column("over", "", "text"),
        ),
        ({"measure": "mIoU", "value": 0.6446, "interval": (0.614, 0.665), "over": "10 classes"},),
    )
    of_evaluation = Subject("evaluation", Report("", (), (overall,)))
    assert verdict_of(of_evaluation) == "mIoU 64.46 % (95 % CI 61.4 to 66.5), over 10 classes."
    few = replace(overall, rows=({**overall.rows[0], "interval": (nan, nan)},))
    assert verdict_of(Subject("evaluation", Report("", (), (few,)))) == "mIoU 64.46 %, over 10 classes."
    stated = Subject("comparison", Report("", (("verdict", "B is better"),), ()))
    assert verdict_of(stated) == "B is better"
    columns = (
        Column("setting", "", "text"),
        Column("mean", "", "share"),
        Column("difference", "", "signed_share"),
        Column("interval", "", "signed_interval"),
    )
    rows = (
        {"setting": "baseline", "mean": 0.5071},
        {"setting": "r=1", "mean": 0.4981, "difference": -0.009, "interval": (-0.0418, 0.0238)},
        {"setting": "r=2", "mean": 0.4, "difference": -0.1, "interval": (-0.2, 0.0)},
    )
    trained = Subject("ablation", Report("", (), (Table("miou", "mIoU, against baseline", columns, rows),)))
    assert verdict_of(trained) == (
        "mIoU after training: baseline 50.71 %; best of 2 others r=1 49.81 %, −0.90 points (95 % CI −4.18 to +2.38)."
    )
