"""The value of an objective on a batch in training: its terms apart, what they carry, shares of processes."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from torch import Tensor

from segablate.objective.knobs import complete
from segablate.objective.weighted_sum import Objective, WeightedTerm
from segablate.samples import logits_for

Carried = Mapping[str, Tensor]
"""What losses carry from batch to batch, by ``place of the term/name``."""


@dataclass(frozen=True)
class Value:
    """An objective on a batch.

    - `total`: 0-dim, with the gradient; the mean over processes is the value of the whole batch.
    - `terms`: the value of each term, weight included, 0-dim and detached, by its text.
    """

    total: Tensor
    terms: Mapping[str, Tensor]
    carried: Carried = field(default_factory=dict)


def evaluate_objective(
    objective: Objective,
    logits: Tensor,
    labels: Tensor,
    inputs: Mapping[str, Any],
    carried: Carried,
    processes: int,
    *,
    one_channel: bool = False,
) -> Value:
    """Return the objective of a batch.

    `logits`: N K H W float; `labels`: N H W int64, 255 void; `inputs`: what losses take beside them, by name;
    `processes`: how many share the batch; `one_channel`: see :func:`segablate.samples.logits_for`. The value of a loss
    that divides by summed counts is a share of the whole and counts that many times, so that the mean over processes is
    the value of the whole batch.
    """
    total, terms, kept = None, {}, {}
    for place, term in enumerate(objective.terms):
        seen = logits_for(term.loss.reads(term.settings), logits, one_channel)
        more = _carry(term, seen, labels, {name: carried[f"{place}/{name}"] for name in _names(carried, place)})
        kept |= {f"{place}/{name}": tensor for name, tensor in more.items()}
        value = term(seen, labels, **{**inputs, **more})
        value = value * processes if term.loss.summed else value
        total = value if total is None else total + value
        terms[str(term)] = value.detach()
    assert total is not None
    return Value(total, terms, kept)


def local_terms(objective: Objective) -> list[str]:
    """Return the names of the losses whose value on a batch is no mean over its pixels: of whole batches."""
    return list(dict.fromkeys(term.loss.name for term in objective.terms if not term.loss.summed))


def _names(carried: Carried, place: int) -> list[str]:
    return [name.partition("/")[2] for name in carried if name.startswith(f"{place}/")]


def _carry(term: WeightedTerm, logits: Tensor, labels: Tensor, previous: Mapping[str, Tensor]) -> dict[str, Tensor]:
    if term.loss.carry is None:
        return {}
    settings = complete(term.loss.knobs, term.settings, term.loss.name)
    return term.loss.carry(logits.detach(), labels, previous or None, **settings)
