"""The report of the preprocessings that were tried on a checkpoint."""

from collections.abc import Sequence

from segablate.errors import counted, shorten
from segablate.metrics.permutation import GAIN, likelier_order
from segablate.probing.session import Probe, options_of
from segablate.probing.trials import Outcome, Trial
from segablate.tables import Column, Report, Table
from segablate.tables.class_order import described


def probe_report(found: Probe) -> Report:
    """Return the report of ``segablate checkpoints probe``."""
    outcome, source = found.outcome, found.network.source
    measured = found.measured
    colours = f"mean {_row(measured.mean)}, std {_row(measured.std)} in 0..1, {measured.what}" if measured else ""
    facts = {
        "checkpoint": found.spec,
        **{name: source.facts[name] for name in ("card of", "output", "device") if name in source.facts},
        "dataset": f"{found.dataset.spec}, split {found.dataset.split}, {counted(outcome.images, 'image')}",
        **({"its colours": colours} if measured else {}),
    }
    columns = (
        Column("preprocessing", "preprocessing", "text"),
        Column("channels", "channels", "text"),
        Column("miou", "mIoU", "share", digits=2, best="high"),
        Column("nll", "NLL", "number", best="low"),
        Column("steps", "steps", "prose", wide=True),
        Column("failure", "failure", "prose", wide=True),
    )
    order = "by mIoU" if outcome.likeliest is None else "the likeliest first, the others by mIoU"
    table = Table("preprocessings", f"Preprocessings tried, {order}", columns, tuple(map(_as_row, outcome.trials)))
    said = (*verdict(outcome), *_about_order(found), *_failed(outcome), *found.network.source.notes)
    said = tuple(note for note in said if not note.startswith("no mean and std given"))
    return Report(f"Preprocessings of {found.spec} on {found.dataset.spec}", tuple(facts.items()), (table,), said)


def verdict(outcome: Outcome) -> list[str]:
    """Return what the trials tell, as sentences: the likeliest, or why it cannot be told."""
    images = counted(outcome.images, "image")
    found = outcome.likeliest
    if found is None:
        return [
            f"Cannot tell: the network is near chance under every preprocessing on {images}. Check that the weights "
            f"belong to this network, that its outputs are the classes of the dataset in this order, and the size of "
            f"its input."
        ]
    steps = found.candidate.preprocessing
    said = [f"Likeliest: {_name(found)}, as {options_of(steps)}"]
    if outcome.equal:
        said.append(
            f"The same result: {_listed(outcome.equal)}. The network does not depend on what differs, so it cannot be "
            f"told, and does not matter."
        )
    if outcome.rivals:
        said.append(
            f"Cannot tell it from {_listed(outcome.rivals)}: the difference in mIoU is within the noise of {images}; "
            f"try more with --limit, or see what the training code says."
        )
    return said


def _about_order(found: Probe) -> list[str]:
    """Return a sentence where another order of the classes fits far better than the likeliest preprocessing does."""
    trials, likeliest = found.outcome.trials, found.outcome.likeliest
    orders = [(order, each) for each in trials if each.table is not None and (order := likelier_order(each.table))]
    if not orders:
        return []
    best, trial = max(orders, key=lambda pair: pair[0].other)
    if likeliest is not None and likeliest is not trial and best.other < likeliest.miou + GAIN:
        return []
    return [
        f"Classes look permuted under {_name(trial)}: {described(best, found.dataset.labels)}; state their order "
        f"first, with --class-map"
    ]


def _failed(outcome: Outcome) -> list[str]:
    failed = [trial for trial in outcome.trials if trial.failure]
    return [f"{counted(len(failed), 'preprocessing')} could not be run; first: {failed[0].failure}"] if failed else []


def _as_row(trial: Trial) -> dict[str, object]:
    steps = trial.candidate.preprocessing
    return {
        "preprocessing": trial.candidate.name,
        "channels": steps.named_channels,
        "miou": trial.miou,
        "nll": trial.nll,
        "steps": str(steps),
        "failure": trial.failure,
    }


def _listed(trials: Sequence[Trial]) -> str:
    return shorten(map(_name, trials), 6)


def _name(trial: Trial) -> str:
    return f"{trial.candidate.name} ({trial.candidate.preprocessing.named_channels})"


def _row(values: Sequence[float]) -> str:
    return ", ".join(f"{value:.3f}" for value in values)
