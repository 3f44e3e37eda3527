"""What a training starts from: a checkpoint, or a network with random weights and perhaps an encoder from a file."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from segablate.checkpoints import Loading, is_new_network, open_checkpoint, open_new_network
from segablate.checkpoints.inference import Inference
from segablate.checkpoints.network import LastConvolution, Network
from segablate.datasets.dataset import Dataset
from segablate.errors import CheckpointError, RecipeError, shorten
from segablate.evaluation.alignment import Alignment, align
from segablate.training.recipe import Recipe

_LARGEST = 2**31 - 1


@dataclass(frozen=True)
class Start:
    """A network that is ready to be trained.

    - `alignment`: which output means which class of the dataset.
    - `classifier`: the name of the module that ran last, the classifier.
    - `new`: names of the parameters that start from random values.
    - `notes`: what a reader of the result should know of the start.
    """

    network: Network
    alignment: Alignment
    classifier: str
    new: frozenset[str]
    notes: tuple[str, ...] = ()


def open_start(
    spec: str,
    dataset: Dataset,
    recipe: Recipe,
    loading: Loading,
    seed: int,
    *,
    encoder: Path | None = None,
    new_classifier: bool = False,
) -> Start:
    """Open what is to be trained on a dataset.

    `encoder`: a file whose weights are taken where names and shapes fit. `new_classifier`: start it from random values.
    Random values come from `seed`. Raises CheckpointError for what cannot be trained and for class counts that do not
    fit.
    """
    torch.manual_seed(_seed_of(seed, "weights"))
    loading = replace(loading, window=None, stride=None, flip=None)
    fresh = is_new_network(spec)
    opened = open_new_network(spec, len(dataset.labels), loading) if fresh else open_checkpoint(spec, loading)
    if not isinstance(opened, Network) or not any(True for _ in opened.module.parameters()):
        raise CheckpointError(f"{spec} has no weights to train; give a checkpoint of torch, or a network")
    network = _stated(opened, recipe)
    names = {name for name, _ in network.module.named_parameters()}
    new, notes = set(names) if fresh else set(), []
    if encoder is not None:
        taken, note = _take_encoder(network.module, encoder)
        new -= taken
        notes.append(note)
    classifier, outputs = _probe(network, dataset)
    alignment = _aligned(network, outputs, dataset)
    if new_classifier and not fresh:
        new |= _renew(network.module, classifier)
    elif fresh and encoder is None:
        new = set()  # everything is new: one learning rate for all
    for name, parameter in network.module.named_parameters():
        parameter.requires_grad_(parameter.is_floating_point() and name in names)
    if network.classes is None and alignment.plain:
        network = replace(network, classes=dataset.labels.names)
    return Start(network, alignment, classifier, frozenset(new), (*network.source.notes, *notes))


def _seed_of(seed: int, what: str) -> int:
    """A seed of torch's generator for one purpose."""
    stream = {"weights": 3, "classifier": 4}[what]
    return int(np.random.default_rng([seed, stream]).integers(_LARGEST))


def _stated(network: Network, recipe: Recipe) -> Network:
    """The network with the preprocessing that the recipe states, run over whole images."""
    stated = {"mean": recipe.mean, "std": recipe.std, "resize": recipe.resize}
    changed = {name: value for name, value in stated.items() if value is not None}
    return replace(
        network, preprocessing=replace(network.preprocessing, **changed), inference=Inference(), keep_features=False
    )


def _take_encoder(module: nn.Module, path: Path) -> tuple[set[str], str]:
    """Copy the tensors of a file into those of the module that they fit, under the prefix that fits most."""
    from segablate.weights import read_weights, state_dict

    tensors = state_dict(read_weights(path), strip_prefix=None)
    own = module.state_dict()
    prefixes = {""} | {name.rpartition(".")[0] + "." for name in own if "." in name}
    prefixes = {prefix for prefix in prefixes if prefix.count(".") <= 2}
    best = max(sorted(prefixes), key=lambda prefix: len(_fitting(tensors, own, prefix)))
    found = _fitting(tensors, own, best)
    if not found:
        raise CheckpointError(f"{path}: none of its {len(tensors)} tensors fits the network by name and shape")
    module.load_state_dict(found, strict=False)
    surplus = [name for name in tensors if best + name not in found]
    left = f"; left out: {shorten(surplus)}" if surplus else ""
    return set(found), f"{len(found)} of {len(own)} tensors start from {path.name}, the others from random values{left}"


def _fitting(tensors: Mapping[str, Tensor], own: Mapping[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {
        prefix + name: tensor
        for name, tensor in tensors.items()
        if prefix + name in own and own[prefix + name].shape == tensor.shape
    }


def _probe(network: Network, dataset: Dataset) -> tuple[str, int]:
    """The name of the convolution that runs last, and the number of outputs, from a run on the first image."""
    sample = dataset.read(0)
    assert sample.image is not None
    images = torch.from_numpy(sample.image[None]).to(network.device)
    with torch.no_grad(), LastConvolution(network.module, True) as last:
        scores = network.scores(images)
    names = {part: name for name, part in network.module.named_modules()}
    if last.classifier is None or not scores.is_floating_point():
        raise CheckpointError(f"{network.source.spec} gives no scores that can be trained")
    return names[last.classifier], scores.shape[1]


def _aligned(network: Network, outputs: int, dataset: Dataset) -> Alignment:
    try:
        return align(max(outputs, 2), network.classes, dataset.labels, network.class_map)
    except Exception as error:
        raise CheckpointError(
            f"{network.source.spec} {error}; to start a classifier for these {len(dataset.labels)} classes, train the "
            f"network anew with --encoder FILE"
        ) from None


def _renew(module: nn.Module, classifier: str) -> set[str]:
    """Start the classifier from random values; returns the names of its parameters."""
    part = module.get_submodule(classifier)
    reset = getattr(part, "reset_parameters", None)
    if reset is None:
        raise RecipeError(f"the classifier {classifier!r} cannot be started anew; pass --keep-head")
    reset()
    return {f"{classifier}.{name}" for name, _ in part.named_parameters()}
