"""A search as a report: its rounds, the surrogate found beside others, and what training with each gave."""

from pathlib import Path

import numpy as np

from segablate.errors import counted, in_points, thousands
from segablate.search.curves import curve_names, curves_at
from segablate.search.plan import AUTHORS, PUBLISHED
from segablate.search.retraining import FOUND, Retrained
from segablate.search.rewards import TITLES
from segablate.search.running import Found
from segablate.tables import Column, Headline, Report, Table
from segablate.tables.trained import cells_table
from segablate.tables.training_groups import verdict_on
from segablate.tables.trainings import trainings_notes, trainings_tables

_AT = (0.1, 0.25, 0.5, 0.75, 0.9)
"""Probabilities at which the table of curves has their values."""

_KEYS = tuple(f"h_{round(100 * p):02d}" for p in _AT)


def search_report(found: Found, folder: Path, retrained: Retrained | None = None) -> Report:
    """Return the report of ``segablate search``; `retrained`: trainings with each surrogate, where there are any."""
    search, request = found.search, found.search.proxy.request
    title = TITLES[search.metric]
    steps = request.recipe.total(len(request.dataset))
    part = "the classifier alone" if request.part == "head" else "the full network"
    held = search.proxy.reported
    head = (
        ("metric", f"{title} ({search.metric})"),
        ("network", request.network),
        ("proxies", f"{part}, {counted(steps, 'step')} of {counted(request.recipe.batch, 'image')}"),
        ("searched", f"{search.length}; the authors: {AUTHORS}"),
        ("sampler", f"{search.described()['sampler']}, seed {search.seed}"),
        (
            "trained on",
            f"{request.dataset.spec}, split {request.dataset.split}, {counted(len(request.dataset), 'image')}",
        ),
        ("reward on", f"hold-out: split {held.split}, {counted(len(held), 'image')}"),
        *_facts_of_trainings(retrained),
        ("search", str(folder)),
    )
    tables = [rounds_table(found), rewards_table(found), curves_table(found)]
    tables += [*trainings_tables(retrained.comparison), cells_table(retrained.cells)] if retrained else []
    notes = (*found.notes, *(trainings_notes(retrained.comparison) if retrained else ()))
    return Report(
        f"surrogate of {title}: {request.network} on {request.dataset.spec}",
        head,
        tuple(tables),
        notes,
        _headline(found, retrained),
        (("", request.network),),
    )


def rounds_table(found: Found) -> Table:
    """Return one row a round: rewards of the first sample, of all on average, of the best, and of the best so far."""
    so_far = np.maximum.accumulate([each.scored.rewards.max() for each in found.rounds])
    rows = tuple(
        {
            "round": number + 1,
            "baseline": each.scored.rewards[0],
            "mean": each.scored.rewards.mean(),
            "best": each.scored.rewards.max(),
            "sample": each.best,
            "so_far": so_far[number],
        }
        for number, each in enumerate(found.rounds)
    )
    columns = (
        Column("round", "round", "count"),
        Column("baseline", "sample 0", "share", digits=2),
        Column("mean", "mean", "share", digits=2),
        Column("best", "best", "share", digits=2, best="high"),
        Column("sample", "best sample", "count"),
        Column("so_far", "best so far", "share", digits=2),
    )
    later = "the mean of the policy, the baseline of its round" if found.search.sampler == "policy" else "as sampled"
    title = TITLES[found.search.metric]
    note = f"Rewards: {title} on the hold-out. Sample 0: in round 1 identity curves, later {later}."
    return Table("rounds", "Rounds", columns, rows, (note,))


def rewards_table(found: Found) -> Table:
    """Return the rewards of identity curves, the published ones, cross entropy and the curves found."""
    names = {"ce": "cross entropy", PUBLISHED: "asl, published"}
    others = {names[name]: reward for name, reward in found.references.items()}
    rewards = {"asl, identity": found.baseline, **others, FOUND: found.reward}
    rows = tuple(
        {"surrogate": name, "reward": reward, "difference": reward - found.baseline if place else None}
        for place, (name, reward) in enumerate(rewards.items())
    )
    columns = (
        Column("surrogate", "trained with", "prose"),
        Column("reward", "reward", "share", digits=2, best="high"),
        Column("difference", "difference", "signed_share", digits=2),
    )
    total = found.search.rounds * found.search.samples
    note = (
        f"One training each, under seed {found.search.seed}. The curves found have the highest of {thousands(total)} "
        f"rewards, which is partly luck: only trainings under other seeds, reported on other images, tell what they "
        f"are worth."
    )
    return Table("rewards", "Surrogates on the hold-out", columns, rows, (note,), baseline=0)


def curves_table(found: Found) -> Table:
    """Return the curves found beside the published ones, at a few probabilities."""
    values = curves_at(found, _AT)
    rows = tuple(
        {"curve": f"{curve}, {name}", **dict(zip(_KEYS, values[name][place].tolist(), strict=True))}
        for place, curve in enumerate(curve_names(found.search.metric))
        for name in ("published", "found")
    )
    of_values = (Column(key, f"h({p})", "number", digits=3) for key, p in zip(_KEYS, _AT, strict=True))
    note = "h(p), which takes the place of a probability p in AND or OR; identity curves: h(p) = p."
    return Table(
        "curves", "Curves", (Column("curve", "curve", "text"), *of_values), rows, (note,), tuple(range(0, len(rows), 2))
    )


def _facts_of_trainings(retrained: Retrained | None) -> tuple[tuple[str, str], ...]:
    if retrained is None:
        return ()
    sweep, request = retrained.sweep, retrained.sweep.request
    steps = counted(request.recipe.total(len(request.dataset)), "step")
    return (
        ("trained again", f"{steps} on split {request.dataset.split}, {counted(len(request.dataset), 'image')}"),
        ("reported on", f"split {sweep.reported.split}, {counted(len(sweep.reported), 'image')}"),
        ("seeds", ", ".join(map(str, sweep.seeds))),
    )


def _headline(found: Found, retrained: Retrained | None) -> Headline:
    title = TITLES[found.search.metric]
    if retrained is None:
        gain = found.reward - found.baseline
        text = (
            f"best surrogate of {title}: reward {100 * found.reward:.2f} % on the hold-out, {in_points(gain)} points "
            f"against identity curves"
        )
        return Headline(text, title, "asl, found", found.reward)
    comparison = retrained.comparison
    baseline, result = comparison.settings[0], comparison.results["miou"].settings[comparison.settings.index(FOUND)]
    text = verdict_on(FOUND, baseline, result)
    return Headline(text, "difference in mIoU", f"{FOUND} − {baseline}", result.difference, result.low, result.high)
