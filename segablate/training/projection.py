"""The features that losses see in full training: a small projection of what the classifier sees, trained along.

It is part of the training, not of the network: states hold it, checkpoints do not.
"""

from collections.abc import Iterator

from torch import nn

from segablate.errors import RecipeError
from segablate.objective.weighted_sum import Objective
from segablate.training.starting import PROJECTION, Start, seed_torch

_PREFIX = "segablate projection."
"""Before the names of its parameters in states and optimisers: no parameter of a network has a space in its name."""


def refuse_without_features(start: Start, objective: Objective) -> None:
    """Raise RecipeError where an objective needs features and the network has no classifier whose input is seen."""
    if start.classifier and start.network.capabilities.features:
        return
    wanting = (term.loss.name for term in objective.terms if "features" in term.loss.needs(term.hyperparameters))
    names = ", ".join(dict.fromkeys(wanting))
    raise RecipeError(
        f"objective '{objective}' needs the features, which {start.network.source.spec} does not provide: the "
        f"convolution from which its scores come is not seen; leave out {names}, or give the network with its code"
    )


def make_projection(start: Start, channels: int, seed: int) -> nn.Conv2d:
    """Return a linear map, 1 by 1, from the input of the classifier to this many channels, with weights of the seed.

    Without normalisation: feature consistency asks for distances of several units between classes, while standardised
    channels of two random pixels are 1.1 apart in the mean. Without bias: losses of features see differences alone.
    """
    classifier = start.network.module.get_submodule(start.classifier)
    seed_torch(seed, PROJECTION)
    return nn.Conv2d(int(classifier.in_channels), channels, 1, bias=False).to(start.network.device)  # type: ignore[arg-type]


def projection_parameters(projection: nn.Module | None) -> Iterator[tuple[str, nn.Parameter]]:
    """Yield the parameters of a projection by names that no parameter of a network has."""
    if projection is not None:
        for name, parameter in projection.named_parameters():
            yield _PREFIX + name, parameter
