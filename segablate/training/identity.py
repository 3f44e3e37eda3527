"""What makes two trainings the same: all that decides their numbers."""

import hashlib
import json
from collections.abc import Collection, Iterable
from dataclasses import asdict
from pathlib import Path
from typing import Any

from segablate.checkpoints import Source
from segablate.datasets import Dataset
from segablate.evaluation.identity import layout_packages, loss_packages
from segablate.files import fingerprint
from segablate.objective.weighted_sum import Objective
from segablate.runtime import team
from segablate.training.objectives import local_terms
from segablate.training.recipe import Recipe, plain_recipe
from segablate.training.request import TrainingRequest

_INDIFFERENT = ("device", "trust_code")
"""Options of loading that decide no number."""


def identity_of(request: TrainingRequest, recipe: Recipe, objective: Objective, source: Source) -> str:
    """Return a hash of everything that decides the numbers of a training, but for the device.

    `source`: that of the network.
    """
    dataset, holdout, processes = request.dataset, request.holdout, team().size
    loading = {name: str(value) for name, value in asdict(request.loading).items() if name not in _INDIFFERENT}
    parts = [
        plain_recipe(recipe),
        str(objective),
        [request.network, request.seed, request.part, request.keep_head, loading, request.labels.kind],
        sorted(fingerprint(path) for path in _files(request, source.files)),
        [dataset.spec, dataset.split, list(dataset.names), repr(dataset.labels)],
        [dataset.stamp(index) for index in range(len(dataset))],
        list(holdout.names) if holdout else None,
        processes if recipe.norm == "train" or local_terms(objective) else None,
    ]
    packages = packages_of(dataset, [objective], source.facts.get("package", ""))
    parts += [packages] if packages else []
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()[:32]


def described(request: TrainingRequest, recipe: Recipe, objective: Objective) -> dict[str, Any]:
    """Return what a training is of, as plain values: for its summary, and for what differs from another."""
    dataset = request.dataset
    return {
        "network": request.network,
        "dataset": {"name": dataset.spec, "split": dataset.split, "images": len(dataset)},
        "labels": request.labels.kind,
        "objective": str(objective),
        "recipe": plain_recipe(recipe),
        "seed": request.seed,
        "part": request.part,
    }


def packages_of(dataset: Dataset, objectives: Iterable[Objective], network: str) -> dict[str, str]:
    """Return package, version and code of what other packages bring to a training: layout, losses, network.

    `network`: those of the network's source, or empty.
    """
    losses = [term.loss for objective in objectives for term in objective.terms]
    return {**layout_packages(dataset), **loss_packages(losses), **({"network": network} if network else {})}


def start_files(request: TrainingRequest) -> list[str]:
    """Return the SHA-256 of the files that a training starts from, as far as its request names them."""
    return sorted(fingerprint(path) for path in _files(request, ()))


def _files(request: TrainingRequest, files: Collection[Path]) -> set[Path]:
    """The files of the network and of the encoder, also where they are named in the request alone."""
    network = request.network
    named = [request.loading.located(text) for text in (network, network.partition("@")[2]) if text]
    encoder = [request.encoder] if request.encoder else []
    return {path.resolve() for path in (*files, *named, *encoder) if path.is_file()}
