"""Report of a comparison: the verdict, the runs and the convention, the tables, and notes."""

from collections.abc import Mapping

import numpy as np

from segablate.comparison import Comparison
from segablate.comparison.differences import PairedDifferences
from segablate.errors import counted, in_points, shorten, thousands
from segablate.evaluation.results import Evaluation
from segablate.metrics.bands import STATISTIC as BAND_COUNTS
from segablate.metrics.calibration import RELIABILITY
from segablate.statistics.intervals import FEWEST
from segablate.tables import Headline, Report, Table
from segablate.tables.changes import bands_table, choices_table, confusions_table, facts_table, images_table
from segablate.tables.differences import (
    LETTERS,
    SIGNIFICANT,
    classes_table,
    losses_table,
    pairs_table,
    scores_table,
    trade_offs_table,
    values_table,
)

_STATED = ("preprocessing", "output", "inference", "device")
_STATISTICS = {RELIABILITY: "ECE", BAND_COUNTS: "accuracy by distance from the label boundary"}
_WORDS = ((True, "significantly better", "and"), (False, "not significantly better", "or"))

Runs = Mapping[str, Evaluation]


def comparison_report(comparison: Comparison, runs: Runs) -> Report:
    """Return the report of ``segablate compare``; `runs` are those compared, by name."""
    a, *others = comparison.names
    title = f"{others[0]} against {a}" if len(others) == 1 else f"{counted(len(comparison.names), 'run')} compared"
    tables = _tables_of_two(comparison, runs) if len(others) == 1 else _tables_of_many(comparison, runs)
    differing = facts_table(runs)
    tables += [differing] if differing.rows else []
    said = headline(comparison)
    letters = tuple(zip(LETTERS, comparison.names, strict=False))
    facts = (("verdict", said.text), *head(comparison, runs))
    return Report(title, facts, tuple(tables), notes(comparison, runs), said, letters)


def headline(comparison: Comparison) -> Headline:
    """Return the verdict with its number: the difference in mIoU of two runs, or the highest mIoU of several."""
    text, names = verdict(comparison), list(comparison.names)
    if len(names) > 2:
        miou = comparison.values["miou"]
        best = int(np.argmax(miou))
        return Headline(text, "mIoU", names[best], float(miou[best]))
    change = comparison.pairs[0].measures["miou"].change
    ends = float(change.percentile.low), float(change.percentile.high)
    return Headline(text, "difference in mIoU", f"{names[1]} − {names[0]}", float(change.value), *ends)


def _tables_of_two(comparison: Comparison, runs: Runs) -> list[Table]:
    colours = next(iter(runs.values())).labels.colours
    tables = [scores_table(comparison)]
    tables += [losses_table(comparison)] if comparison.defined else []
    assert comparison.changes is not None
    bands = comparison.changes.bands
    tables += [classes_table(comparison, colours), confusions_table(comparison)]
    tables += [bands_table(bands)] if bands else []
    tables += [images_table(comparison)]
    tables += [trade_offs_table(comparison)] if all(found.in_turns for found in comparison.trade_offs) else []
    return [*tables, choices_table(comparison)]


def _tables_of_many(comparison: Comparison, runs: Runs) -> list[Table]:
    colours = next(iter(runs.values())).labels.colours
    return [
        values_table(comparison),
        pairs_table(comparison),
        trade_offs_table(comparison),
        choices_table(comparison),
        classes_table(comparison, colours),
    ]


def head(comparison: Comparison, runs: Runs) -> tuple[tuple[str, str], ...]:
    """Return the facts of the runs, the dataset and the convention."""
    names = tuple(
        (letter, name if name == run.title else f"{name} ({run.title})")
        for letter, (name, run) in zip(LETTERS, runs.items(), strict=False)
    )
    first, *others = runs.values()
    checkpoint, dataset = first.facts["checkpoint"], first.facts["dataset"]
    shared = tuple(
        (key, str(checkpoint[key]))
        for key in _STATED
        if key in checkpoint and all(other.facts["checkpoint"].get(key) == checkpoint[key] for other in others)
    )
    void = "count as false positives" if comparison.method.void_as_error else "are ignored"
    return (
        *names,
        *shared,
        ("dataset", f"{dataset['name']}, split {dataset['split']}, {counted(comparison.images, 'image')} in all runs"),
        ("convention", f"scores of the whole set; void pixels {void}; classes in neither map are left out of means"),
    )


def verdict(comparison: Comparison) -> str:
    """Return the conclusion on mIoU, which claims no more than the intervals do."""
    if comparison.identical:
        return f"{_in_words(LETTERS[: len(comparison.names)])} have the same confusion counts on every image"
    return _of_two(comparison) if len(comparison.names) == 2 else _of_many(comparison)


def _of_two(comparison: Comparison) -> str:
    pair = comparison.pairs[0]
    miou = pair.measures["miou"]
    value, p, interval = float(miou.change.value), float(miou.p), miou.change.percentile
    if np.isnan(p):
        return f"mIoU: B − A = {in_points(value)} points; {_too_few(comparison)}"
    low, high = in_points(float(interval.low)), in_points(float(interval.high))
    found = f"B − A = {in_points(value)} points (95 % CI {low} to {high}, p {_p(p)})"
    if p < SIGNIFICANT:
        better, worse = ("B", "A") if value > 0 else ("A", "B")
        return f"{better} is better than {worse} in mIoU: {found}"
    return (
        f"No significant difference in mIoU: {found}. {_sampled(comparison)} can detect "
        f"{_rounded(100 * pair.detectable['miou'])} points (80 % power){_needed(pair, comparison.images)}."
    )


def _needed(pair: PairedDifferences, images: int) -> str:
    needed = pair.images_needed["miou"]
    if not np.isfinite(needed) or needed > 1000 * images:
        return ""
    value = _rounded(100 * abs(float(pair.measures["miou"].change.value)))
    unit = "point" if value == "1" else "points"
    return f"; {value} {unit} would need about {thousands(round(float(f'{needed:.2g}')))}"


def _rounded(points: float) -> str:
    return f"{float(f'{points:.2g}'):g}"


def _of_many(comparison: Comparison) -> str:
    miou = comparison.values["miou"]
    best = int(np.argmax(miou))
    opening = f"{LETTERS[best]} has the highest mIoU, {100 * miou[best]:.2f} %"
    if np.isnan(comparison.miou_holm).all():
        return f"{opening}; {_too_few(comparison)}"
    others: dict[bool, list[str]] = {True: [], False: []}
    for pair, p in zip(comparison.pairs, comparison.miou_holm.tolist(), strict=True):
        if best in (pair.a, pair.b):
            others[p < SIGNIFICANT].append(LETTERS[pair.a + pair.b - best])
    claims = [f"{words} than {_in_words(others[holds], last)}" for holds, words, last in _WORDS if others[holds]]
    return f"{opening}; it is {' but '.join(claims)} (p < {SIGNIFICANT}, Holm over all pairs)"


def notes(comparison: Comparison, runs: Runs) -> tuple[str, ...]:
    """Return notes on what the intervals cover, and the notes of the runs."""
    return (
        *_about_intervals(comparison),
        *_about_left_out(runs),
        *_about_few_images(comparison),
        *_of_runs(runs),
        *_about_skipped(runs),
    )


def _about_intervals(comparison: Comparison) -> list[str]:
    """Return what intervals and p cover; nothing where too few images leave the tables without them."""
    method = comparison.method
    if comparison.clusters < FEWEST:
        return []
    groups = f" in {comparison.clusters} groups (--group-by {method.group_by})" if method.group_by else ""
    return [
        f"95 % CI and p: {thousands(method.replicates)} bootstrap replicates of the "
        f"{counted(comparison.images, 'image')}{groups}, the same for all runs. They cover other images of this kind, "
        f"not another training run of the same recipe."
    ]


def _of_runs(runs: Runs) -> list[str]:
    """Return the notes of the runs, each once, with the letters of the runs that have it unless all do."""
    found: dict[str, list[str]] = {}
    for letter, run in zip(LETTERS, runs.values(), strict=False):
        for note in dict.fromkeys(run.notes):
            found.setdefault(note, []).append(letter)
    return [n if len(letters) == len(runs) else f"{_in_words(letters)}: {n}" for n, letters in found.items()]


def _about_left_out(runs: Runs) -> list[str]:
    losses = {loss for run in runs.values() for loss in run.values}
    lacking = sorted(loss for loss in losses if not all(loss in run.values for run in runs.values()))
    bounded = {run.boundary is not None for run in runs.values()}
    lacking += ["boundary F"] if len(bounded) > 1 else []
    lacking += [
        title
        for statistic, title in _STATISTICS.items()
        if len({statistic in run.statistics for run in runs.values()}) > 1
    ]
    return [f"left out, not in every run: {shorten(lacking, 12)}"] if lacking else []


def _about_few_images(comparison: Comparison) -> list[str]:
    support = comparison.pairs[0].iou.change.support
    few = [name for name, count in zip(comparison.classes, support, strict=True) if count < FEWEST]
    if not few:
        return []
    unit = "images" if comparison.method.group_by is None else "groups"
    return [f"no 95 % CI and p for classes labelled in fewer than {FEWEST} {unit}: {shorten(few, 8)}"]


def _about_skipped(runs: Runs) -> list[str]:
    return [
        f"{letter}: {counted(len(run.skipped), 'image')} skipped ({shorten([one.name for one in run.skipped], 5)})"
        for letter, run in zip(LETTERS, runs.values(), strict=False)
        if run.skipped
    ]


def _too_few(comparison: Comparison) -> str:
    verb = "is" if comparison.clusters == 1 else "are"
    return f"{_sampled(comparison)} {verb} too few for a confidence interval (at least {FEWEST})"


def _sampled(comparison: Comparison) -> str:
    return counted(comparison.clusters, "image" if comparison.method.group_by is None else "group")


def _p(p: float) -> str:
    return "< 0.001" if p < 0.001 else f"= {p:.3f}"


def _in_words(letters: str | list[str], word: str = "and") -> str:
    *most, last = letters
    return f"{', '.join(most)} {word} {last}" if most else last
