"""What a recipe leaves to the network, and what the network takes over from the objective."""

from dataclasses import replace
from typing import Literal

from segablate.checkpoints.channels import bands_of
from segablate.checkpoints.preprocessing import Preprocessing
from segablate.objective.weighted_sum import Objective
from segablate.samples import ScoreKind
from segablate.training.recipe import Recipe


def fitted(recipe: Recipe, preprocessing: Preprocessing) -> Recipe:
    """Return the recipe with the size and the colour of padding that the network's preprocessing states.

    Images are resized as for an evaluation, unless the recipe resizes them otherwise. Padding has the colour that
    becomes 0.
    """
    size = preprocessing.resize
    if recipe.resize is None and isinstance(size, tuple):
        recipe = replace(recipe, resize=size)
    if recipe.resize is None and recipe.shorter is None and isinstance(size, int):
        recipe = replace(recipe, shorter=size)
    return recipe if recipe.pad_colour else replace(recipe, pad_colour=mean_colour(preprocessing))


def mean_colour(preprocessing: Preprocessing) -> tuple[int, int, int]:
    """Return the colour, RGB in 0..255, that becomes 0, as near as whole numbers come."""
    means = [min(max(round(mean / preprocessing.factor), 0), 255) for mean in preprocessing.mean]
    if preprocessing.count == 1:
        return means[0], means[0], means[0]
    of_band = dict(zip(bands_of(preprocessing.channels), means, strict=True))
    red, green, blue = (of_band.get(band, means[0]) for band in (1, 2, 3))
    return red, green, blue


def activation(kind: ScoreKind | Literal["labels"], objective: Objective) -> ScoreKind | Literal["labels"]:
    """Return what the scores of a network are after training: logits of the activation by which all terms read them."""
    reads = {term.loss.reads(term.hyperparameters) for term in objective.terms}
    if kind in ("softmax", "sigmoid") and len(reads) == 1:
        return "sigmoid" if reads == {"sigmoid"} else "softmax"
    return kind
