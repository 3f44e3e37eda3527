"""Tables of differences between runs: scores, losses, classes, pairs.

Runs are called A, B, C, ... in the order given; a difference is the later run − the earlier one.
"""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from segablate.comparison.differences import Comparison, PairedDifferences
from segablate.comparison.scores import Measure
from segablate.comparison.trade_offs import SAME_TIME, TradeOff
from segablate.errors import counted, thousands
from segablate.labels import Colour
from segablate.statistics.intervals import Interval
from segablate.tables import Column, Row, Table

LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
SIGNIFICANT = 0.05
"""p below which a difference is called significant."""


def scores_table(comparison: Comparison) -> Table:
    """Return region and boundary scores and ECE of two runs: difference, interval, p and detectable difference."""
    rows = [_measure_row(comparison, m) for m in comparison.measures if m.kind != "loss"]
    columns = (
        Column("measure", "measure", "text"),
        Column("a", "A", "share", digits=2, run="A"),
        Column("b", "B", "share", digits=2, run="B"),
        Column("change", "B − A", "signed_share", digits=2, run="B − A"),
        Column("interval", "95 % CI", "signed_interval", digits=2, run="B − A"),
        Column("p", "p", "p", run="B − A"),
        Column("shown", "significant", "text", run="B − A"),
        Column("bca", "BCa 95 % CI", "signed_interval", digits=2, wide=True, run="B − A"),
        Column("detectable", "detectable", "signed_share", digits=2, wide=True, run="B − A"),
        Column("images_to_settle", "images needed", "count", wide=True, run="B − A"),
    )
    return Table("scores", "Scores", columns, tuple(rows), (_image_level(comparison),))


def losses_table(comparison: Comparison) -> Table:
    """Return the losses of two runs: means over the images where both have a value."""
    rows = [
        _measure_row(comparison, m) | {"images": comparison.defined[m.key]}
        for m in comparison.measures
        if m.kind == "loss"
    ]
    columns = (
        Column("measure", "loss", "text"),
        Column("a", "A", "number", run="A"),
        Column("b", "B", "number", run="B"),
        Column("change", "B − A", "signed_number", run="B − A"),
        Column("interval", "95 % CI", "signed_number_interval", run="B − A"),
        Column("p", "p", "p", run="B − A"),
        Column("shown", "significant", "text", run="B − A"),
        Column("images", "images", "count"),
        Column("bca", "BCa 95 % CI", "signed_number_interval", wide=True, run="B − A"),
        Column("detectable", "detectable", "signed_number", wide=True, run="B − A"),
        Column("images_to_settle", "images needed", "count", wide=True, run="B − A"),
    )
    return Table("losses", "Losses, means over images; lower is better", columns, tuple(rows))


def values_table(comparison: Comparison) -> Table:
    """Return every measure of every run."""
    rows = tuple(
        {"run": LETTERS[place]} | {m.key: float(comparison.values[m.key][place]) for m in comparison.measures}
        for place in range(len(comparison.names))
    )
    columns = (
        Column("run", "run", "text"),
        *(
            Column(m.key, m.title, "number", best="low")
            if m.kind == "loss"
            else Column(m.key, m.title, "share", digits=2, best="low" if m.less_is_better else "high")
            for m in comparison.measures
        ),
    )
    return Table("runs", "All runs", columns, rows)


def trade_offs_table(comparison: Comparison) -> Table:
    """Return quality and cost of every run, and the runs that dominate it."""
    boundary = next((m.title for m in comparison.measures if m.kind == "boundary"), "boundary F")
    in_turns = all(found.in_turns for found in comparison.trade_offs)
    rows = tuple(
        {
            "run": letter,
            "miou": found.miou,
            "boundary_f": found.boundary_f,
            "seconds": None if found.milliseconds is None else found.milliseconds / 1000,
            "parameters": found.parameters,
            "dominated_by": ", ".join(LETTERS[place] for place in found.dominated_by),
        }
        for letter, found in zip(LETTERS, comparison.trade_offs, strict=False)
    )
    columns = (
        Column("run", "run", "text"),
        Column("miou", "mIoU", "share", digits=2, best="high"),
        Column("boundary_f", boundary, "share", digits=2, best="high"),
        Column("seconds", "time per image" if in_turns else "time, own run", "seconds", best="low" if in_turns else ""),
        Column("parameters", "parameters", "count", best="low"),
        Column("dominated_by", "dominated by", "text"),
    )
    columns = tuple(column for column in columns if any(row[column.key] is not None for row in rows))
    rows = tuple({column.key: row[column.key] for column in columns} for row in rows)
    note = (
        f"Dominated: another run is at least as good in every complete column and better in one (times within "
        f"{100 * (SAME_TIME - 1):.0f} % are equal). The others form the Pareto set."
    )
    notes = [note] if "seconds" not in {column.key for column in columns} else [note, _about_times(in_turns)]
    return Table("trade_offs", "Quality and cost", columns, rows, (*notes, *_about_untimed(comparison.trade_offs)))


def _about_times(in_turns: bool) -> str:
    if in_turns:
        return "Times per image were measured in this call, in turns: medians over the turns on one batch."
    return (
        "Times are of each run on its own, under the load of its hour: not comparable, and left out of the Pareto set. "
        "--time measures them in turns."
    )


def _about_untimed(found: Sequence[TradeOff]) -> Iterator[str]:
    """Say which runs have no time, as their network was not run."""
    for on in dict.fromkeys(each.evaluated_on for each in found if each.evaluated_on and each.milliseconds is None):
        letters = [letter for letter, each in zip(LETTERS, found, strict=False) if each.evaluated_on == on]
        yield f"No time of {', '.join(letters)}: evaluated on {on}, without running the network. --time measures it."


def pairs_table(comparison: Comparison) -> Table:
    """Return the differences of mIoU of every pair of runs, with p corrected over the pairs."""
    rows = []
    for pair, p_holm in zip(comparison.pairs, comparison.miou_holm.tolist(), strict=True):
        found = pair.measures["miou"]
        value = float(found.change.value)
        rows.append(
            {
                "pair": f"{LETTERS[pair.b]} − {LETTERS[pair.a]}",
                "change": value,
                "interval": _ends(found.change.percentile),
                "p": float(found.p),
                "p_holm": p_holm,
                "shown": _better(p_holm, value, pair),
                "bca": _ends(found.change.bca),
                "detectable": pair.detectable["miou"],
                "images_to_settle": _count(pair.images_needed["miou"]),
            }
        )
    columns = (
        Column("pair", "pair", "text"),
        Column("change", "mIoU", "signed_share", digits=2),
        Column("interval", "95 % CI", "signed_interval", digits=2),
        Column("p", "p", "p"),
        Column("p_holm", "p (Holm)", "p"),
        Column("shown", "significant", "text"),
        Column("bca", "BCa 95 % CI", "signed_interval", digits=2, wide=True),
        Column("detectable", "detectable", "signed_share", digits=2, wide=True),
        Column("images_to_settle", "images needed", "count", wide=True),
    )
    return Table("pairs", "Differences in mIoU", columns, tuple(rows), measure="mIoU")


def classes_table(comparison: Comparison, colours: Sequence[Colour]) -> Table:
    """Return the IoU of each class in each run, and the differences of the later runs from the first.

    Of two runs, classes with a significant difference come first.
    """
    against_first = [pair for pair in comparison.pairs if pair.a == 0]
    order, significant = _order(comparison, against_first)
    rows = tuple(
        ({"colour": colours[i]} if colours else {})
        | {"class": comparison.classes[i]}
        | {f"iou_{LETTERS[place].lower()}": float(iou[i]) for place, iou in enumerate(comparison.iou)}
        | {key: value for pair in against_first for key, value in _class_cells(pair, i).items()}
        for i in order
    )
    columns = (
        *((Column("colour", "", "swatch"),) if colours else ()),
        Column("class", "class", "text"),
        *(Column(f"iou_{letter.lower()}", letter, "share", run=letter) for letter in LETTERS[: len(comparison.names)]),
        *(column for pair in against_first for column in _class_columns(pair, wide=len(against_first) > 1)),
    )
    note = (
        f"Significant: p < {SIGNIFICANT} after Holm's correction, which limits the chance of any false positive among "
        f"all classes to 5 %. Intervals are not corrected."
    )
    notes = (note,) if any(np.isfinite(pair.iou_holm).any() for pair in against_first) else ()
    sections = (significant,) if 0 < significant < len(order) else ()
    return Table("classes", "IoU of the classes", columns, rows, notes, sections, measure="iou")


def _measure_row(comparison: Comparison, measure: Measure) -> dict[str, Any]:
    pair = comparison.pairs[0]
    found = pair.measures[measure.key]
    value = float(found.change.value)
    return {
        "measure": f"{measure.title} (lower is better)" if measure.kind == "calibration" else measure.title,
        "a": float(found.a),
        "b": float(found.b),
        "change": value,
        "interval": _ends(found.change.percentile),
        "p": float(found.p),
        "shown": _better(float(found.p), -value if measure.less_is_better else value, pair),
        "bca": _ends(found.change.bca),
        "detectable": pair.detectable[measure.key],
        "images_to_settle": _count(pair.images_needed[measure.key]),
    }


def _class_cells(pair: PairedDifferences, i: int) -> Row:
    change, x = pair.iou.change, LETTERS[pair.b].lower()
    value, p_holm = float(change.value[i]), float(pair.iou_holm[i])
    return {
        f"change_{x}": value,
        f"interval_{x}": _ends(change.percentile, i),
        f"p_holm_{x}": p_holm,
        f"shown_{x}": _better(p_holm, value, pair),
        f"p_{x}": float(pair.iou.p[i]),
        f"p_bh_{x}": float(pair.iou_bh[i]),
        f"bca_{x}": _ends(change.bca, i),
        f"images_{x}": int(change.support[i]),
    }


def _class_columns(pair: PairedDifferences, *, wide: bool) -> tuple[Column, ...]:
    letter, against = LETTERS[pair.b], f"{LETTERS[pair.b]} − {LETTERS[pair.a]}"
    x = letter.lower()
    return (
        Column(f"change_{x}", against, "signed_share", digits=2, run=against),
        Column(f"interval_{x}", "95 % CI", "signed_interval", digits=2, wide=wide, run=against),
        Column(f"p_holm_{x}", "p (Holm)", "p", run=against),
        Column(f"shown_{x}", "significant", "text", run=against),
        Column(f"p_{x}", "p (uncorrected)", "p", wide=True, run=against),
        Column(f"p_bh_{x}", "p (Benjamini-Hochberg)", "p", wide=True, run=against),
        Column(f"bca_{x}", "BCa 95 % CI", "signed_interval", digits=2, wide=True, run=against),
        Column(f"images_{x}", "images", "count", wide=True, run=against),
    )


def _order(comparison: Comparison, against_first: Sequence[PairedDifferences]) -> tuple[list[int], int]:
    """Return the order of the classes, and how many of them come before the rule."""
    if len(against_first) > 1:
        return list(range(len(comparison.classes))), 0
    (pair,) = against_first
    change = np.nan_to_num(pair.iou.change.value, nan=-np.inf)
    significant = pair.iou_holm < SIGNIFICANT
    return np.lexsort((-change, ~significant)).tolist(), int(significant.sum())


def _image_level(comparison: Comparison) -> str:
    pair = comparison.pairs[0]
    change, test = pair.image_miou[~np.isnan(pair.image_miou)], pair.signed_rank
    p = "–" if np.isnan(test.p) else f"= {test.p:.3f}" if test.p >= 0.001 else "< 0.001"
    higher, lower, equal = map(thousands, (int((change > 0).sum()), int((change < 0).sum()), test.ties))
    return (
        f"Image-level mIoU, over the classes that an image labels, is higher in B on {higher}, in A on {lower} and "
        f"equal on {equal} of {counted(test.images, 'image')} (Wilcoxon's signed-rank test"
        f"{', which takes images as independent' if comparison.method.group_by else ''}: p {p})."
    )


def _better(p: float, gain: float, pair: PairedDifferences) -> str:
    """Name the significantly better run, if any; `gain` is positive where that is the second."""
    return f"{LETTERS[pair.b if gain > 0 else pair.a]} better" if p < SIGNIFICANT else ""


def _ends(interval: Interval, index: int | tuple[()] = ()) -> tuple[float, float]:
    return float(interval.low[index]), float(interval.high[index])


def _count(images: float) -> int | None:
    return int(images) if np.isfinite(images) else None
