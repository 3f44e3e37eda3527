"""A comparison as tables: a verdict, the scores, the classes, and where the two differ."""

from itertools import pairwise
from math import inf, isfinite, isnan

import numpy as np

from segablate.comparison import Comparison, Measured, Pair, PairedScore
from segablate.errors import shorten, thousands
from segablate.results import Evaluation
from segablate.statistics.intervals import FEWEST
from segablate.tables import Column, Report, Table

LEVEL = 0.05
LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"


def comparison_report(comparison: Comparison) -> Report:
    """The whole page of ``segablate compare``."""
    runs, pairs = list(comparison.runs), comparison.pairs
    tables: list[Table] = []
    if len(runs) > 2:
        tables.append(systems_table(comparison))
    for letter, pair in zip(LETTERS[1:], pairs, strict=False):
        suffix = f"_{letter.lower()}" if len(runs) > 2 else ""
        tables.append(scores_table(pair, letter, suffix, is_loss=False))
        if any(score.is_loss for score in pair.scores):
            tables.append(scores_table(pair, letter, suffix, is_loss=True))
        if len(runs) == 2:
            tables += [classes_table(pair), confusions_table(pair), images_table(pair)]
    if len(comparison.measured) > 1:
        tables.append(choices_table(comparison))
    verdicts = tuple(verdict(pair, letter) for letter, pair in zip(LETTERS[1:], pairs, strict=False))
    title = " against ".join(LETTERS[index] for index in reversed(range(len(runs))))
    facts = (*head(comparison), ("verdict", "; ".join(verdicts)))
    return Report(f"{title}, on {runs[0].images} images", facts, tuple(tables), notes(comparison))


def head(comparison: Comparison) -> tuple[tuple[str, str], ...]:
    """Which runs, on what, and how they were compared."""
    first, how = comparison.runs[0], comparison.how
    dataset = first.facts["dataset"]
    void = "count as false positives" if how.void_as_error else "take no part"
    systems = [(LETTERS[index], _described(run)) for index, run in enumerate(comparison.runs)]
    drawn = f"{thousands(how.replicates)} draws of {comparison.clusters} "
    drawn += "images" if how.group_by is None else f"groups of images (--group-by {how.group_by})"
    return (
        *systems,
        ("dataset", f"{dataset['name']}, split {dataset['split']}, {first.images} images"),
        ("method", f"paired bootstrap of the scores of the set, {drawn}; void pixels {void}"),
    )


def verdict(pair: Pair, letter: str) -> str:
    """What the set shows of mIoU, in one sentence that claims no more than the interval."""
    score = pair.scores[0]
    change = score.difference.change
    value, p = float(change.value), float(score.difference.p)
    if isnan(p):
        return f"{letter} − A: {100 * value:+.2f} points of mIoU; too few images to say how sure that is"
    if not pair.confusions:
        return f"A and {letter} predict the same on every pixel that counts"
    low, high = float(change.percentile.low), float(change.percentile.high)
    interval = f"95 % interval {100 * low:+.2f} to {100 * high:+.2f}, p {_p(p)}"
    if p < LEVEL:
        better, worse = (letter, "A") if value > 0 else ("A", letter)
        return f"{better} has the higher mIoU than {worse} by {100 * abs(value):.2f} points ({letter} − A: {interval})"
    return (
        f"no difference in mIoU is shown between A and {letter} ({100 * value:+.2f} points, {interval}); "
        f"with 80 % power this set would show one of {100 * score.detectable:.2f} points"
    )


def scores_table(pair: Pair, letter: str, suffix: str, *, is_loss: bool) -> Table:
    """Scores (or losses) of A and another run: the difference, its interval and p, what the set could have shown."""
    rows = tuple(_score_row(score) for score in pair.scores if score.is_loss == is_loss)
    kind, signed = ("number", "signed_number") if is_loss else ("share", "signed_share")
    interval = "signed_number_interval" if is_loss else "signed_interval"
    columns = (
        Column("score", "loss" if is_loss else "score", "text"),
        Column("a", "A", kind, digits=None if is_loss else 2),
        Column("b", letter, kind, digits=None if is_loss else 2),
        Column("change", f"{letter} − A", signed, digits=None if is_loss else 2),
        Column("interval", "95 % interval", interval, digits=None if is_loss else 2),
        Column("p", "p", "p"),
        Column("bca", "BCa interval", interval, digits=None if is_loss else 2, wide=True),
        Column("detectable", "detectable", signed, digits=None if is_loss else 2, wide=True),
        Column("images_needed", "images to settle", "count", wide=True),
    )
    name = ("losses" if is_loss else "scores") + suffix
    title = f"{'Losses' if is_loss else 'Scores'} of A and {letter}"
    note = "Mean over the images where both are defined; less is better." if is_loss else _image_test(pair)
    return Table(name, title, columns, rows, (note,))


def classes_table(pair: Pair) -> Table:
    """IoU of each class, its difference, and p corrected for the number of classes."""
    found, colours = pair.classes, pair.a.labels.colours
    rows = tuple(
        {
            **({"colour": colours[index]} if colours else {}),
            "class": name,
            "a": float(found.a[index]),
            "b": float(found.b[index]),
            "change": float(found.change.value[index]),
            "interval": _interval(found.change.percentile.low[index], found.change.percentile.high[index]),
            "holm": float(pair.holm[index]),
            "fdr": float(pair.false_discovery[index]),
            "p": float(found.p[index]),
            "images": int(found.change.support[index]),
            "shown": _shown(float(pair.holm[index]), float(found.change.value[index])),
        }
        for index, name in enumerate(pair.a.labels.names)
    )
    columns = (
        *((Column("colour", "", "swatch"),) if colours else ()),
        Column("class", "class", "text"),
        Column("a", "IoU of A", "share"),
        Column("b", "IoU of B", "share"),
        Column("change", "B − A", "signed_share", digits=2, mark="low"),
        Column("interval", "95 % interval", "signed_interval", digits=2),
        Column("holm", "p (Holm)", "p"),
        Column("shown", "shown", "text"),
        Column("p", "p alone", "p", wide=True),
        Column("fdr", "p (B.-H.)", "p", wide=True),
        Column("images", "images", "count", wide=True),
    )
    note = (
        "Holm: below 0.05, the chance of any false alarm among all classes is below 5 %. Intervals are of each class "
        f"alone. A class in fewer than {FEWEST} images has neither."
    )
    return Table("classes", "Classes", columns, rows, (note,))


def confusions_table(pair: Pair) -> Table:
    """The confusions that changed most."""
    rows = tuple(
        {
            "label": change.label,
            "predicted": change.predicted or "(outside the label set)",
            "a": change.a,
            "b": change.b,
            "change": change.b - change.a,
        }
        for change in pair.confusions
    )
    columns = (
        Column("label", "labelled", "text"),
        Column("predicted", "predicted", "text"),
        Column("a", "pixels in A", "count"),
        Column("b", "pixels in B", "count"),
        Column("change", "B − A", "count"),
    )
    return Table("confusions", "Confusions that changed most", columns, rows)


def images_table(pair: Pair) -> Table:
    """The images that changed most."""
    rows = tuple({"image": c.name, "a": c.a, "b": c.b, "change": c.b - c.a} for c in pair.images)
    columns = (
        Column("image", "image", "text"),
        Column("a", "mIoU of A", "share"),
        Column("b", "mIoU of B", "share"),
        Column("change", "B − A", "signed_share"),
    )
    note = "mIoU of one image is over the classes in it; it is not the mIoU of the set."
    return Table("images", "Images that changed most", columns, rows, (note,))


def systems_table(comparison: Comparison) -> Table:
    """Every run under every score, and how sure its rank by mIoU is."""
    miou = comparison.measured[0]
    draws = np.stack([distribution.replicates for distribution in miou.distributions])
    ranks = 1 + (-draws).argsort(axis=0, kind="stable").argsort(axis=0)
    rows = tuple(
        {
            "run": LETTERS[index],
            **{_key(score): float(score.distributions[index].value) for score in comparison.measured},
            "first": float(miou.wins[index]),
            "rank": float(ranks[index].mean()),
        }
        for index in range(len(comparison.runs))
    )
    columns = (
        Column("run", "run", "text"),
        *(
            Column(_key(s), s.title, "number" if s.lower else "share", best="low" if s.lower else "high")
            for s in comparison.measured
        ),
        Column("first", "first in draws", "share"),
        Column("rank", "mean rank", "number", digits=2),
    )
    note = "First in draws and mean rank: by mIoU, over the bootstrap draws of the images."
    return Table("systems", "All runs", columns, rows, (note,))


def choices_table(comparison: Comparison) -> Table:
    """Which run each score or loss would have chosen, and in what share of draws."""
    rows = tuple(
        {"by": score.title, "choice": LETTERS[score.best], "certainty": float(score.wins[score.best])}
        for score in comparison.measured
    )
    columns = (
        Column("by", "chosen by", "text"),
        Column("choice", "choice", "text"),
        Column("certainty", "in draws", "share"),
    )
    chosen = {row["choice"] for row in rows}
    note = "All agree." if len(chosen) == 1 else "They disagree: what is the checkpoint for?"
    return Table("choices", "Which run would each have chosen?", columns, rows, (note,))


def notes(comparison: Comparison) -> tuple[str, ...]:
    """What else has to be known: differing preprocessing, skipped images, subsets."""
    found = []
    for key in ("preprocessing", "output", "inference"):
        said = [str(run.facts["checkpoint"].get(key, "none")) for run in comparison.runs]
        if any(x != y for x, y in pairwise(said)):
            found.append(
                f"the runs differ in {key}: " + "; ".join(f"{LETTERS[i]} {text}" for i, text in enumerate(said))
            )
    for letter, run in zip(LETTERS, comparison.runs, strict=False):
        found += [f"{letter}: {note}" for note in run.notes]
        found += [f"{letter}: {len(run.skipped)} images were skipped" for _ in run.skipped[:1]]
    few = [
        n
        for n, s in zip(comparison.runs[0].labels.names, comparison.pairs[0].classes.change.support, strict=True)
        if s < FEWEST
    ]
    if few:
        found.append(f"too few images for an interval: {shorten(few, 6)}")
    return tuple(dict.fromkeys(found))


def _described(run: Evaluation) -> str:
    trained = run.facts["checkpoint"].get("trained with")
    return run.title + (f" (trained with {trained})" if trained else "")


def _score_row(score: PairedScore) -> dict[str, object]:
    change = score.difference.change
    needed = score.images_needed
    return {
        "score": score.title,
        "a": float(score.difference.a),
        "b": float(score.difference.b),
        "change": float(change.value),
        "interval": _interval(change.percentile.low, change.percentile.high),
        "bca": _interval(change.bca.low, change.bca.high),
        "p": float(score.difference.p),
        "detectable": score.detectable,
        "images_needed": int(needed) if isfinite(needed) and needed < inf else None,
    }


def _image_test(pair: Pair) -> str:
    test = pair.image_test
    return (
        f"Image by image: Wilcoxon's signed-rank test on the mIoU of {test.images} images gives p {_p(test.p)} "
        f"({test.ties} without a difference)."
    )


def _interval(low: object, high: object) -> tuple[float, float]:
    return float(low), float(high)  # type: ignore[arg-type]


def _shown(p: float, change: float) -> str:
    if not p < LEVEL:
        return ""
    return "B better" if change > 0 else "B worse"


def _p(p: float) -> str:
    return "–" if isnan(p) else "< 0.001" if p < 0.001 else f"= {p:.3f}"


def _key(score: Measured) -> str:
    return "".join(letter if letter.isalnum() else "_" for letter in score.title.lower())
