from math import nan

import pytest

from segablate.tables import Column, Report, Table, as_interval

IOU = Column("iou", "IoU", "share", mark="low")


def table(*values: float | None, column: Column = IOU, **more) -> Table:
    return Table("t", "T", (column,), tuple({column.key: value} for value in values), **more)


def test_marks_the_worst_cell_and_every_tie():
    assert table(0.5, 0.2, nan, None, 0.2, 0.9).marked(IOU) == {1, 4}


def test_marks_the_best_cell_at_the_end_that_is_named():
    column = Column("loss", "Loss", "number", best="low")
    assert table(3.0, -1.0, 2.0, column=column).marked(column) == {1}


@pytest.mark.parametrize("values", [(), (0.5,), (nan, None), (0.5, 0.5, nan)])
def test_marks_nothing_where_nothing_differs(values):
    assert table(*values).marked(IOU) == frozenset()


def test_sections_are_marked_apart():
    assert table(0.6, 0.5, 0.1, 0.9, sections=(2,)).marked(IOU) == {1, 2}
    assert [list(span) for span in table(0.6, 0.5, 0.1, sections=(1,)).spans()] == [[0], [1, 2]]


def test_a_lone_mean_is_not_held_against_what_it_averages():
    assert table(0.1, 0.5, 0.3, sections=(2,)).marked(IOU) == {0}


def test_an_interval_may_be_missing():
    low, high = as_interval(None)
    assert low != low
    assert high != high


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"kind": "text", "mark": "low"}, "no cell is worst or best"),
        ({"kind": "interval", "best": "high"}, "no cell is worst or best"),
        ({"kind": "share", "mark": "low", "best": "high"}, "both its worst and its best"),
        ({"kind": "count", "bar": True}, "only a share has a bar"),
    ],
)
def test_refuses_a_column_that_makes_no_sense(arguments, message):
    with pytest.raises(ValueError, match=message):
        Column("key", "Title", **arguments)


def test_refuses_tables_and_reports_that_would_lose_something():
    with pytest.raises(ValueError, match=r"columns of table 't' share a name: \['iou'\]"):
        Table("t", "T", (IOU, IOU), ())
    with pytest.raises(ValueError, match=r"keys without a column: \['dice'\]"):
        Table("t", "T", (IOU,), ({"iou": 1.0, "dice": 1.0},))
    with pytest.raises(ValueError, match="no columns"):
        Table("t", "T", (), ())
    with pytest.raises(ValueError, match="has 1 rows but marks"):
        table(0.5, baseline=1)
    with pytest.raises(ValueError, match=r"tables share a name: \['t'\]"):
        Report("R", (), (table(), table()))
    with pytest.raises(ValueError, match=r"facts share a name: \['device'\]"):
        Report("R", (("device", "cpu"), ("device", "cuda")), ())
