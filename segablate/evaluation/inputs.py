"""Inputs of losses beyond logits and labels: the image, features before the classifier, an edge network."""

from collections.abc import Callable, Collection
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from segablate.errors import UsageError, counted

if TYPE_CHECKING:
    from segablate.checkpoints import Segmenter
    from segablate.datasets import Dataset

Display = Callable[[int, str], AbstractContextManager[Callable[[int], None]]]
"""(number of steps, what they are) -> a context manager that yields ``advance(steps)``; a progress bar or nothing."""


def silent(steps: int, what: str) -> AbstractContextManager[Callable[[int], None]]:
    """Display no progress."""
    return nullcontext(lambda done: None)


def available(segmenter: "Segmenter") -> frozenset[str]:
    """Return the names of the inputs that this segmenter can provide for losses."""
    can = segmenter.capabilities
    return frozenset({"edge_net"} | ({"features"} if can.features else set()) | ({"image"} if can.images else set()))


def require_scores(segmenter: "Segmenter", what: str) -> None:
    """Raise UsageError where the segmenter is known to produce label maps only."""
    if not segmenter.capabilities.scores:
        raise UsageError(
            f"{what} needs logits, but {segmenter.source.spec} has label maps only; give the checkpoint itself, or "
            f"predictions saved as .npz with logits"
        )


def with_inputs(
    segmenter: "Segmenter", needs: Collection[str], dataset: "Dataset", what: str, display: Display = silent
) -> "tuple[Segmenter, dict[str, Any], tuple[str, ...]]":
    """Prepare a segmenter for losses with these `needs`.

    Returns the segmenter, set up to provide them; the inputs that are the same for all images; and notes. `what` names
    the option in messages. Raises UsageError for label maps, which have no logits, and for a checkpoint without the
    features asked for.
    """
    require_scores(segmenter, what)
    missing = sorted(set(needs) - available(segmenter))
    if missing:
        raise UsageError(
            f"{what} needs the {' and '.join(missing)}, which {segmenter.source.spec} does not provide; evaluate the "
            f"network itself, with its code, without windows and flips"
        )
    if "features" in needs:
        segmenter = _keeping_features(segmenter)
    if "edge_net" not in needs:
        return segmenter, {}, ()
    inputs, note = _edge_network(segmenter, dataset, display)
    return segmenter, inputs, (note,)


def _keeping_features(segmenter: "Segmenter") -> "Segmenter":
    from segablate.checkpoints.network import Network

    assert isinstance(segmenter, Network), "only a network is capable of features"
    return replace(segmenter, keep_features=True)


def _edge_network(segmenter: "Segmenter", dataset: "Dataset", display: Display) -> tuple[dict[str, Any], str]:
    """Return SEMEDA's edge network for a dataset, on the segmenter's device, and a note that identifies it."""
    from segablate.edges import Training, edge_network_for

    with display(Training().steps, "training the edge network of SEMEDA") as advance:
        network = edge_network_for(dataset, progress=advance)
    device = segmenter.capabilities.device
    layers = tuple((weight.to(device), bias.to(device)) for weight, bias in network.layers)
    facts = network.facts
    note = (
        f"semeda compares by edge network {network.hash}, trained on {counted(facts['masks_read'], 'mask')} of split "
        f"{facts['split']}; values under another network are not comparable"
    )
    return {"edge_net": layers}, note
