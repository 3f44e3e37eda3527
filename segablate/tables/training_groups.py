"""Groups of saved runs compared as trainings, as a page: the verdict, the groups, the tables, and what to know."""

from collections.abc import Sequence
from typing import Any

from segablate.comparison.seeds import Groups, repeated
from segablate.comparison.trainings import TrainingsComparison
from segablate.errors import counted, in_points, shorten
from segablate.evaluation.results import Evaluation
from segablate.statistics.half_widths import LEVEL
from segablate.statistics.trainings import SettingResult
from segablate.tables import Headline, Report
from segablate.tables.trainings import trainings_notes, trainings_tables


def groups_report(comparison: TrainingsComparison, groups: Groups, left_out: Sequence[str] = ()) -> Report:
    """Return the report of ``segablate compare --trainings`` on `groups`, of which the runs `left_out` take no part."""
    baseline, *others = comparison.settings
    title = f"trainings: {', '.join(others)} against {baseline}"
    dataset = groups_facts(groups)["dataset"]
    facts = (
        ("verdict", verdict(comparison)),
        *((name, _described(list(runs))) for name, runs in groups.items()),
        ("dataset", f"{dataset['name']}, split {dataset['split']}, {counted(comparison.images, 'image')} in all runs"),
        ("void pixels", "count as false positives" if comparison.void_as_error else "excluded"),
    )
    lone = [f"left out, because no other group has a run of their seed: {shorten(left_out, 8)}"] if left_out else []
    notes = (*trainings_notes(comparison), *lone, *_about_repeated(groups), *_of_runs(groups))
    return Report(title, facts, trainings_tables(comparison), notes, headline(comparison))


def groups_facts(groups: Groups) -> dict[str, Any]:
    """Return what was compared, for a saved report."""
    runs = [run for group in groups.values() for run in group.values()]
    return {
        "checkpoint": {"name": ", ".join(groups)},
        "dataset": {**runs[0].facts["dataset"], "images": runs[0].images},
    }


def headline(comparison: TrainingsComparison) -> Headline:
    """Return the verdict with the difference in mIoU of the setting that has the highest mean."""
    others = dict(zip(comparison.settings[1:], comparison.results["miou"].settings[1:], strict=True))
    if not others:
        only, found = comparison.settings[0], comparison.results["miou"].settings[0]
        return Headline(f"mIoU {100 * found.mean:.2f} %: {only}", "mIoU", only, found.mean)
    name = max(others, key=lambda name: (others[name].difference == others[name].difference, others[name].difference))
    best = others[name]
    of = f"{name} − {comparison.settings[0]}"
    return Headline(verdict(comparison), "difference in mIoU", of, best.difference, best.low, best.high)


def verdict(comparison: TrainingsComparison) -> str:
    """Return a sentence on mIoU, after Holm's correction."""
    others = zip(comparison.settings[1:], comparison.results["miou"].settings[1:], strict=True)
    return "; ".join(verdict_on(name, comparison.settings[0], found) for name, found in others)


def verdict_on(name: str, baseline: str, found: SettingResult) -> str:
    """Return a sentence on the mIoU of one setting, after Holm's correction."""
    if found.p != found.p:
        return f"{name}: no interval of the difference in mIoU"
    seen = (
        f"{in_points(found.difference)} points, 95 % CI {in_points(found.low)} to {in_points(found.high)}, p "
        f"{'< 0.001' if found.p_holm < 0.001 else f'= {found.p_holm:.3f}'}"
    )
    if found.basis == "one training each":
        seen += "; over images only, because there is one training each"
    name, baseline = _quoted(name), _quoted(baseline)
    if found.p_holm >= LEVEL:
        return f"no significant difference in mIoU between {name} and {baseline} ({seen})"
    return f"{name} is {'better' if found.difference > 0 else 'worse'} than {baseline} in mIoU ({seen})"


def _quoted(name: str) -> str:
    """Return the name of a setting as one word of a sentence: in quotes where it has a comma, as in 'asl, found'."""
    return f"'{name}'" if "," in name else name


def _described(runs: list[str]) -> str:
    return f"{counted(len(runs), 'run')}: {shorten(runs, 10)}"


def _about_repeated(groups: Groups) -> list[str]:
    return [
        f"{first} and {second} have the same confusion counts on every image: one training counted twice makes "
        f"intervals too narrow"
        for first, second in repeated(groups)
    ]


def _of_runs(groups: Groups) -> list[str]:
    """The notes of the runs, each once, and their skipped images."""
    runs = {name: run for group in groups.values() for name, run in group.items()}
    found: dict[str, list[str]] = {}
    for name, run in runs.items():
        for note in dict.fromkeys((*run.notes, *_about_skipped(run))):
            found.setdefault(note, []).append(name)
    return [note if len(names) == len(runs) else f"{shorten(names, 3)}: {note}" for note, names in found.items()]


def _about_skipped(run: Evaluation) -> list[str]:
    skipped = shorten([one.name for one in run.skipped], 5)
    return [f"{counted(len(run.skipped), 'image')} skipped ({skipped})"] if run.skipped else []
