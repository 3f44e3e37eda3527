"""Trainings compared, as tables: for each measure, every setting against the first; classes, where asked for."""

from collections.abc import Iterator, Sequence
from math import isnan

from segablate.comparison.scores import Measure
from segablate.comparison.trainings import TrainingsComparison
from segablate.errors import counted
from segablate.statistics.intervals import FEWEST
from segablate.statistics.shared_seeds import FEWEST_FREEDOM, PAIR_ALONE
from segablate.statistics.trainings import Basis, SettingResult, TrainingsResult
from segablate.tables import Column, Row, Table

_COVERS: dict[Basis, str] = {
    "pooled": "seeds (pooled) and images",
    "pair alone": "seeds and images",
    "separate seeds": "trainings and images",
    "one training each": "images only",
}
"""What an interval covers, in the table."""

_EXPLAINED: dict[Basis, str] = {
    "pooled": "the interval covers other seeds and other images; the variance over seeds is pooled over the settings",
    "pair alone": "the interval covers other seeds and other images; the variance over seeds is that of the setting "
    "and the baseline alone",
    "separate seeds": "the interval covers other trainings and other images (Welch); no seed pairs the trainings",
    "one training each": "one training each: what another training would give is not known",
    "none: no training": "no training, so no difference",
    "none: no shared seed": "no seed shared with the baseline, so no difference",
    "none: two seeds": f"no interval: two seeds need at least {FEWEST_FREEDOM + 1} complete settings that scatter "
    "alike; add a seed",
    "none: one training": "no interval: the spread of a single training is not known; train it again",
    "none: few clusters": f"no interval: fewer than {FEWEST} images (or groups) have the score",
}


def trainings_tables(comparison: TrainingsComparison) -> tuple[Table, ...]:
    """Return one table a measure, then one a setting for its classes, where the comparison has them."""
    measures = tuple(_measure_table(comparison, measure) for measure in comparison.measures)
    others = range(1, len(comparison.settings) if comparison.iou else 1)
    return (*measures, *(_classes_table(comparison, setting) for setting in others))


def training_scores(comparison: TrainingsComparison) -> dict[str, list[list[float | None]]]:
    """Return the scores of single trainings by table: for each of its rows one for each seed, None where missing."""
    return {
        measure.key: [
            [None if isnan(score) else score for score in row] for row in comparison.scores[measure.key].tolist()
        ]
        for measure in comparison.measures
    }


def trainings_notes(comparison: TrainingsComparison) -> tuple[str, ...]:
    """Return the notes that hold for all tables of a comparison of trainings; each table has its own besides."""
    clusters = f", in {comparison.clusters} groups by --group-by {comparison.group_by}"
    sample = f"{counted(comparison.images, 'image')}{clusters if comparison.group_by else ''}"
    new = "of both, under one seed" if comparison.shared_seeds else "of each"
    return (
        *_common_notes(comparison),
        f"Spread: standard deviation over trainings. Intervals are for other images of this kind ({sample}) and other "
        f"trainings of the same recipes, unless a table says otherwise; not for other data.",
        "p (Holm): corrected over the settings, for each measure apart.",
        f"Chance to win: that of a new training {new}, the setting has the better score; none below 3 trainings.",
    )


def _measure_table(comparison: TrainingsComparison, measure: Measure) -> Table:
    result = comparison.results[measure.key]
    share = measure.kind != "loss"
    best = "low" if measure.less_is_better else "high"
    columns = (
        Column("setting", "setting", "text"),
        Column("trainings", "trainings", "count"),
        Column("mean", "mean", "share", digits=2, best=best) if share else Column("mean", "mean", "number", best=best),
        Column("spread", "spread", "share", digits=2) if share else Column("spread", "spread", "number"),
        *_difference_columns(share=share),
        Column("shared", "seeds shared", "count", wide=True),
        Column("covers", "interval covers", "text", wide=True),
    )
    rows = tuple(
        {"setting": name, **_cells(found, less_is_better=measure.less_is_better)}
        for name, found in zip(comparison.settings, result.settings, strict=True)
    )
    title = f"{measure.title}, against {comparison.settings[0]}{'; less is better' if measure.less_is_better else ''}"
    common = _common_notes(comparison)
    notes = tuple(note for note in _notes(comparison, result) if note not in common)
    return Table(measure.key, title, columns, rows, notes, baseline=0, measure=measure.title)


def _classes_table(comparison: TrainingsComparison, setting: int) -> Table:
    columns = (
        Column("class", "class", "text"),
        Column("baseline", "baseline", "share", digits=2),
        Column("mean", "setting", "share", digits=2),
        Column("spread", "spread", "share", digits=2),
        *_difference_columns(share=True),
    )
    kept = [column.key for column in columns]
    rows = []
    for name, result in zip(comparison.classes, comparison.iou, strict=True):
        row = {"class": name, "baseline": result.settings[0].mean, **_cells(result.settings[setting])}
        rows.append({key: row[key] for key in kept})
    note = "p (Holm): corrected over all classes of all settings together. Each interval is of its class alone."
    title = f"IoU of the classes, {comparison.settings[setting]} against {comparison.settings[0]}"
    return Table(f"classes_{setting}", title, columns, tuple(rows), (note,), measure="iou")


def _difference_columns(*, share: bool) -> tuple[Column, ...]:
    interval = "95 % CI"
    return (
        Column("difference", "difference", "signed_share", digits=2)
        if share
        else Column("difference", "difference", "signed_number"),
        Column("interval", interval, "signed_interval", digits=2)
        if share
        else Column("interval", interval, "signed_number_interval"),
        Column("p_holm", "p (Holm)", "p"),
        Column("chance", "chance to win", "share"),
        Column("p", "p alone", "p", wide=True),
    )


def _cells(found: SettingResult, *, less_is_better: bool = False) -> Row:
    return {
        "trainings": found.trainings,
        "mean": found.mean,
        "spread": found.spread,
        "difference": found.difference,
        "interval": (found.low, found.high),
        "p_holm": found.p_holm,
        "chance": 1 - found.higher if less_is_better else found.higher,
        "p": found.p,
        "shared": None if found.basis == "baseline" else found.shared,
        "covers": _COVERS.get(found.basis),
    }


def _common_notes(comparison: TrainingsComparison) -> list[str]:
    """Notes that the tables of all measures have."""
    noted = [[*_notes(comparison, comparison.results[measure.key])] for measure in comparison.measures]
    return [note for note in noted[0] if all(note in notes for notes in noted)] if noted else []


def _notes(comparison: TrainingsComparison, result: TrainingsResult) -> Iterator[str]:
    """What the intervals rest on, the settings that scatter unlike the others, and the trainings that are missing."""
    others = dict(zip(comparison.settings[1:], result.settings[1:], strict=True))
    bases: list[Basis] = [found.basis for found in others.values()]
    for basis in dict.fromkeys(bases):
        names = [name for name, found in others.items() if found.basis == basis]
        yield f"{_in_words(names)}: {_EXPLAINED[basis]}." if len(names) < len(others) else _sentence(_EXPLAINED[basis])
    yield from _about_scatter(comparison, result)
    if comparison.shared_seeds:
        yield from _about_missing(comparison, result)


def _about_scatter(comparison: TrainingsComparison, result: TrainingsResult) -> Iterator[str]:
    if result.pool is None or comparison.seeds >= PAIR_ALONE:
        return
    if left := [comparison.settings[row] for row in sorted(result.pool.left)]:
        varies = "it varies" if len(left) == 1 else "they vary"
        yield f"{_in_words(left)}: left the pool, because {varies} over seeds unlike the others (F-test at 1 %)."
    if wider := [comparison.settings[row] for row in result.pool.wider]:
        varies, interval = ("it varies", "its interval") if len(wider) == 1 else ("they vary", "their intervals")
        yield (
            f"{_in_words(wider)}: over seeds {varies} more than twice as much as the others; {interval} may be too "
            f"narrow, and more seeds would tell."
        )


def _about_missing(comparison: TrainingsComparison, result: TrainingsResult) -> Iterator[str]:
    for name, found in zip(comparison.settings, result.settings, strict=True):
        if found.trainings < comparison.seeds:
            seeds = counted(found.shared, "seed")
            shared = "" if found.basis == "baseline" else f"; {seeds} shared with the baseline"
            yield f"{name}: {found.trainings} of {counted(comparison.seeds, 'training')}{shared}."


def _sentence(text: str) -> str:
    return f"{text[0].upper()}{text[1:]}."


def _in_words(names: Sequence[str]) -> str:
    *most, last = names
    return f"{', '.join(most)} and {last}" if most else last
