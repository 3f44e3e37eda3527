"""Try preprocessings of a checkpoint by its name, and write the likeliest into a card."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch

from segablate.checkpoints import Loading, Segmenter, count_outputs, open_checkpoint
from segablate.checkpoints.drafts import Draft, write_card
from segablate.checkpoints.exported import ExportedNetwork
from segablate.checkpoints.network import Network
from segablate.checkpoints.preprocessing import Preprocessing
from segablate.checkpoints.sources import card
from segablate.datasets import Dataset
from segablate.errors import CheckpointError, UsageError, counted
from segablate.evaluation.inputs import Display, silent
from segablate.probing.candidates import Given, candidates
from segablate.probing.constants import Constants, Row, measured_constants
from segablate.probing.trials import Outcome, tried


@dataclass(frozen=True)
class Probe:
    """A checkpoint whose preprocessings were tried: the network, the constants of the dataset, and the outcome."""

    spec: str
    network: Network
    dataset: Dataset
    measured: Constants | None
    outcome: Outcome


def probe(
    spec: str,
    dataset: Dataset,
    loading: Loading,
    given: tuple[Sequence[float] | None, Sequence[float] | None] = (None, None),
    display: Display = silent,
) -> Probe:
    """Open a checkpoint and try the usual preprocessings on all images of a dataset.

    `given`: mean and std of the user, or None each. Raises UsageError for a checkpoint without a network, and the
    SegablateError of the first preprocessing where the network runs under none.
    """
    opened = open_checkpoint(spec, loading)
    network = _network(spec, opened)
    measured = measured_constants(dataset, network.preprocessing.channels)
    pixels = isinstance(network.module, ExportedNetwork) and not network.module.image.dtype.is_floating_point
    listed = candidates(
        network.preprocessing, not network.assumed, measured, _given(given, network.preprocessing.count), pixels
    )
    return Probe(spec, network, dataset, measured, tried(network, dataset, listed, display))


def _network(spec: str, opened: Segmenter) -> Network:
    if not isinstance(opened, Network) or not isinstance(opened.module, torch.nn.Module):
        raise UsageError(f"{spec} has predictions and no network, so no preprocessing to try; give the checkpoint")
    return opened


def _given(given: tuple[Sequence[float] | None, Sequence[float] | None], count: int) -> Given | None:
    mean, std = given
    if mean is None and std is None:
        return None
    whole = max(map(abs, (*(mean or ()), *(std or ())))) > 1
    return Given.read(_row(mean, 0.0, count), _row(std, 255.0 if whole else 1.0, count))


def _row(values: Sequence[float] | None, default: float, count: int) -> Row:
    row = tuple(values or (default,))
    return row * count if len(row) == 1 else row


def write_likeliest(found: Probe, path: Path, loading: Loading) -> Preprocessing:
    """Write a card with the likeliest preprocessing, and return it. CheckpointError where there is none."""
    likeliest = found.outcome.likeliest
    if likeliest is None:
        raise CheckpointError(f"no card was written to {path}: no preprocessing is better than chance on these images")
    spec, joined = found.spec, loading
    if Path(spec.removeprefix("card:")).suffix in card.SUFFIXES:
        described = card.describe(spec.removeprefix("card:"), loading)
        spec, joined = described.spec, described.loading
    steps = likeliest.candidate.preprocessing
    sure = "" if found.outcome.certain else ", which others equal within the noise"
    images = f"{counted(len(found.dataset), 'image')} of {found.dataset.spec}"
    origin = f"the best of {len(found.outcome.trials)} tried on {images}{sure}"
    draft = Draft(count_outputs(found.network), steps, origin, found.network.kind, joined)
    write_card(path, spec, draft)
    return steps


def options_of(steps: Preprocessing) -> str:
    """Return a preprocessing as options of the command line, without size and padding."""

    def numbers(row: Any) -> str:
        return ",".join(f"{value:.5g}" for value in row)

    written = (
        f"--channels {steps.channels} --scale {steps.scale} --mean {numbers(steps.mean)} --std {numbers(steps.std)}"
    )
    return written if steps.divisor == 1 else f"{written} --divisor {steps.divisor:g}"


def without_constants(loading: Loading) -> Loading:
    """Return the options without those that are tried."""
    kept = {name: value for name, value in loading.preprocessing.items() if name not in ("mean", "std")}
    return replace(loading, preprocessing=kept)
