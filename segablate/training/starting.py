"""What a training starts from: a checkpoint, or a network with random weights and perhaps an encoder from a file."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from segablate.checkpoints import Loading, is_new_network, open_checkpoint, open_new_network
from segablate.checkpoints.channels import bands_of, constants_for
from segablate.checkpoints.inference import Inference
from segablate.checkpoints.network import Network
from segablate.datasets.dataset import Dataset
from segablate.errors import CheckpointError, LabelError, RecipeError, counted, shorten, thousands
from segablate.evaluation.alignment import Alignment, align
from segablate.training.recipe import Recipe

WEIGHTS, CLASSIFIER, PROJECTION = 3, 4, 5
"""The streams of random numbers of a seed, beside those of :mod:`segablate.training.batches`: new layers."""

_CONVOLUTIONS = (nn.Conv2d, nn.ConvTranspose2d)
_LARGEST = 2**31 - 1


@dataclass(frozen=True)
class Start:
    """A network that is ready to be trained.

    - `alignment`: which output means which class of the dataset.
    - `classifier`: the name of the convolution from which the scores come; empty where it is not seen.
    - `new`: names of the parameters that start from random values, in a network of which others do not.
    - `notes`: what a reader of the result should know of the start.
    - `inference`: windows and flips that the checkpoint states, for whoever evaluates the result.
    """

    network: Network
    alignment: Alignment
    classifier: str
    new: frozenset[str]
    notes: tuple[str, ...] = ()
    inference: Inference = field(default_factory=Inference)


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
    seed_torch(seed, WEIGHTS)
    opened = _opened(spec, len(dataset.labels), replace(loading, window=None, stride=None, flip=None))
    network = _stated(opened, recipe)
    new, notes = frozenset[str](), list(network.source.notes)
    if encoder is not None:
        taken, note = _take_encoder(network.module, encoder)
        new = frozenset(name for name, _ in network.module.named_parameters() if name not in taken)
        notes.append(note)
    classifier, outputs = _probe(network, dataset)
    alignment = _aligned(network, outputs, dataset)
    notes += [alignment.note] if alignment.note else []
    if new_classifier and not is_new_network(spec):
        seed_torch(seed, CLASSIFIER)
        new |= _renew(network.module, classifier)
    for parameter in network.module.parameters():  # one by one: a TorchScript module has no requires_grad_
        parameter.requires_grad_(parameter.is_floating_point())
    if network.classes is None and alignment.plain:
        network = replace(network, classes=dataset.labels.names)
    return Start(network, alignment, classifier, new, tuple(notes), opened.inference)


def require_classifier(classifier: str) -> None:
    """Raise RecipeError where the classifier of a network is not seen, as in TorchScript."""
    if not classifier:
        raise RecipeError("the classifier is not seen in this network; train it with --part full")


@contextmanager
def seen_by_classifier(network: Network, name: str, wanted: bool = True) -> Iterator[list[Tensor]]:
    """Yield the inputs N D h w of the classifier of this name while it runs; none unless they are wanted."""
    seen: list[Tensor] = []
    if not wanted:
        yield seen
        return
    classifier: nn.Module = network.module.get_submodule(name)
    hook = classifier.register_forward_pre_hook(lambda part, inputs: seen.append(inputs[0]))
    try:
        yield seen
    finally:
        hook.remove()


def seed_torch(seed: int, stream: int) -> None:
    """Seed torch's generator for new layers from a stream of a seed."""
    torch.manual_seed(int(np.random.default_rng([seed, stream]).integers(_LARGEST)))


def _opened(spec: str, classes: int, loading: Loading) -> Network:
    """The network; CheckpointError for what has no weights that can be trained."""
    opened = open_new_network(spec, classes, loading) if is_new_network(spec) else open_checkpoint(spec, loading)
    if not isinstance(opened, Network) or not any(p.is_floating_point() for p in opened.module.parameters()):
        raise CheckpointError(f"{spec} has no weights to train; give a checkpoint of torch, or a network")
    try:
        opened.module.train().eval()
    except NotImplementedError as error:  # of torch.export
        raise CheckpointError(
            f"{spec} is fixed in evaluation mode and cannot be trained ({error}); give its network and weights"
        ) from None
    return opened


def _stated(network: Network, recipe: Recipe) -> Network:
    """The network with the preprocessing that the recipe states, run over whole images."""
    stated = network.preprocessing
    if max(bands_of(stated.channels)) > 3:
        raise CheckpointError(
            f"channels is {stated.channels}, but training reads red, green and blue only; train such a network "
            f"elsewhere, and evaluate it here"
        )
    if recipe.mean is not None:
        row = constants_for(stated.channels, recipe.mean) or recipe.mean
        stated = replace(stated, mean=tuple(value * stated.factor for value in row))
    if recipe.std is not None:
        row = constants_for(stated.channels, recipe.std) or recipe.std
        stated = replace(stated, std=tuple(value * stated.factor for value in row), divisor=1.0)
    if recipe.resize is not None:
        stated = replace(stated, resize=recipe.resize, longest=None)
    return replace(network, preprocessing=stated, inference=Inference(), keep_features=False)


def _take_encoder(module: nn.Module, path: Path) -> tuple[frozenset[str], str]:
    """Copy the tensors of a file into those of the module that they fit, under the prefix that fits most."""
    from segablate.weights import read_weights, state_dict

    tensors = state_dict(read_weights(path), strip_prefix=None)
    own = module.state_dict()
    parts = [name.split(".")[:-1] for name in own]
    prefixes = {"".join(f"{part}." for part in path[:depth]) for path in parts for depth in range(3)}
    best = max(sorted(prefixes), key=lambda prefix: len(_fitting(tensors, own, prefix)))
    found = _fitting(tensors, own, best)
    if not found:
        raise CheckpointError(f"{path}: no tensor of its {thousands(len(tensors))} fits the network by name and shape")
    module.load_state_dict(found, strict=False)
    surplus = [name for name in tensors if best + name not in found]
    left = f"; left out: {shorten(surplus)}" if surplus else ""
    note = f"{len(found)} of {counted(len(own), 'tensor')} start from {path.name}, the others from random values{left}"
    return frozenset(found), note


def _fitting(tensors: Mapping[str, Tensor], own: Mapping[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {
        prefix + name: tensor
        for name, tensor in tensors.items()
        if prefix + name in own and own[prefix + name].shape == tensor.shape
    }


def _probe(network: Network, dataset: Dataset) -> tuple[str, int]:
    """The name of the convolution from which the scores come, and the number of outputs, by runs on the first image."""
    sample = dataset.read(0)
    assert sample.image is not None
    images = torch.from_numpy(sample.image[None]).to(network.device)
    with torch.no_grad(), _running_order(network.module) as order:
        scores = network.scores(images)
    if not scores.is_floating_point():
        raise CheckpointError(f"{network.source.spec} returns label maps, not scores, and cannot be trained")
    found = next((part for part in reversed(order) if _reaches_scores(network, images, part)), None)
    names = {part: name for name, part in network.module.named_modules()}
    return names[found] if found is not None else "", scores.shape[1]


@contextmanager
def _running_order(module: nn.Module) -> Iterator[list[nn.Module]]:
    """Yield the convolutions of a module in the order in which they run meanwhile."""
    order: list[nn.Module] = []
    parts = [part for part in module.modules() if isinstance(part, _CONVOLUTIONS)]
    hooks = [part.register_forward_pre_hook(lambda part, inputs: order.append(part)) for part in parts]
    try:
        yield order
    finally:
        for hook in hooks:
            hook.remove()


def _reaches_scores(network: Network, images: Tensor, part: nn.Module) -> bool:
    """Whether the scores depend on a convolution; an auxiliary head may run last."""
    part.weight.requires_grad_(True)  # type: ignore[union-attr]
    scores = network.scores(images)
    part.weight.requires_grad_(False)  # type: ignore[union-attr]
    return scores.requires_grad


def _aligned(network: Network, outputs: int, dataset: Dataset) -> Alignment:
    try:
        return align(max(outputs, 2), network.classes, dataset.labels, network.class_map, one_channel=outputs == 1)
    except LabelError as error:
        raise CheckpointError(
            f"{network.source.spec} {error}; to train for {counted(len(dataset.labels), 'class', 'classes')}, start "
            f"the network anew with --encoder FILE"
        ) from None


def _renew(module: nn.Module, classifier: str) -> frozenset[str]:
    """Start the classifier from random values; returns the names of its parameters."""
    require_classifier(classifier)
    part = module.get_submodule(classifier)
    part.reset_parameters()  # type: ignore[operator]
    return frozenset(f"{classifier}.{name}" for name, _ in part.named_parameters())
