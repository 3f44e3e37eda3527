"""The value of an objective on a batch in training: its terms apart, what they carry, shares of processes."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from segablate.objective.knobs import complete
from segablate.objective.weighted_sum import Objective, WeightedTerm
from segablate.samples import logits_for
from segablate.training.forward import Scores
from segablate.training.task import Task

Carried = Mapping[str, Tensor]
"""What losses carry from batch to batch, by ``place of the output/place of the term/name``."""


@dataclass(frozen=True)
class Value:
    """An objective on a batch.

    - `total`: 0-dim, with the gradient; the mean over processes is the value of the whole batch.
    - `terms`: the value of each term, weight included, 0-dim and detached, by its text.
    """

    total: Tensor
    terms: Mapping[str, Tensor]
    carried: Carried = field(default_factory=dict)


def evaluate_outputs(
    task: Task, scores: Scores, labels: Tensor, inputs: Mapping[str, Any], carried: Carried, processes: int
) -> Value:
    """Return the objective of the main output plus the weighted one of each auxiliary output.

    The arguments are those of :func:`evaluate_objective`.
    """
    one = scores.one_channel
    found = evaluate_objective(task.objective, scores.logits, labels, inputs, _inside(carried, 0), processes, one)
    total, terms, kept = found.total, dict(found.terms), _placed(found.carried, 0)
    for place, logits in enumerate(scores.auxiliary, start=1):
        objective = task.auxiliary or task.objective
        other = evaluate_objective(objective, logits, labels, inputs, _inside(carried, place), processes, one)
        total = total + task.recipe.auxiliary * other.total
        terms[f"auxiliary {place}"] = task.recipe.auxiliary * other.total.detach()
        kept |= _placed(other.carried, place)
    return Value(total, terms, kept)


def evaluate_objective(
    objective: Objective,
    logits: Tensor,
    labels: Tensor,
    inputs: Mapping[str, Any],
    carried: Carried,
    processes: int,
    one_channel: bool = False,
) -> Value:
    """Return the objective of a batch.

    `logits`: N K H W float; `labels`: see :func:`segablate.samples.labels_for`; `inputs`: what losses take beside them,
    by name; `processes`: how many share the batch. The value of a loss that divides by summed counts is a share of the
    whole and counts that many times, so that the mean over processes is the value of the whole batch. `one_channel`:
    the logits are two classes made of one channel, which losses by sigmoid see as it is.
    """
    total, terms, kept = None, {}, {}
    for place, term in enumerate(objective.terms):
        seen = logits_for(term.loss.reads(term.settings), logits, one_channel)
        more = _carry(term, seen, labels, _inside(carried, place))
        kept |= _placed(more, place)
        value = _evaluated(term, seen, labels, {**inputs, **more})
        value = value * processes if term.loss.summed else value
        total = value if total is None else total + value
        terms[_free(str(term), terms)] = value.detach()
    assert total is not None
    return Value(total, terms, kept)


def without_features(objective: Objective) -> tuple[WeightedTerm, ...]:
    """Return the terms that train a classifier: those whose gradient is not at the features alone."""
    return tuple(term for term in objective.terms if term.loss.name != "feature_consistency")


def local_terms(objective: Objective) -> list[str]:
    """Return the names of the losses whose value on a batch is no mean over its pixels: of whole batches."""
    return list(dict.fromkeys(term.loss.name for term in objective.terms if not term.loss.summed))


def _evaluated(term: WeightedTerm, logits: Tensor, labels: Tensor, inputs: Mapping[str, Any]) -> Tensor:
    """The value of a term; not a number where its matrices cannot be decomposed, as those of scores that are none."""
    try:
        return term(logits, labels, **inputs)
    except torch.linalg.LinAlgError:  # pyright: ignore[reportPrivateImportUsage]
        return logits.mean() * torch.nan


def _carry(term: WeightedTerm, logits: Tensor, labels: Tensor, previous: Carried) -> Carried:
    if term.loss.carry is None or "weights" in term.settings:
        return {}
    settings = complete(term.loss.knobs, term.hyperparameters, term.loss.name)
    return term.loss.carry(logits.detach(), labels, previous or None, **settings)


def _free(name: str, taken: Mapping[str, Tensor]) -> str:
    """The text of a term, numbered where another term has the same."""
    alike = sum(other == name or other.startswith(f"{name} #") for other in taken)
    return f"{name} #{alike + 1}" if alike else name


def _inside(carried: Carried, place: int) -> dict[str, Tensor]:
    prefix = f"{place}/"
    return {name.removeprefix(prefix): tensor for name, tensor in carried.items() if name.startswith(prefix)}


def _placed(carried: Carried, place: int) -> dict[str, Tensor]:
    return {f"{place}/{name}": tensor for name, tensor in carried.items()}
