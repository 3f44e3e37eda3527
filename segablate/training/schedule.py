"""Learning rates over the steps of a training."""

import math
from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from segablate.training.recipe import Recipe

SHAPES: dict[str, Callable[[float, float], float]] = {
    "constant": lambda share, power: 1.0,
    "poly": lambda share, power: (1 - share) ** power,
    "cosine": lambda share, power: (1 + math.cos(math.pi * share)) / 2,
}
"""By schedule: (share of the steps that are done, power) -> 1 at the start, 0 at the end."""


def learning_rate(recipe: "Recipe", step: int, total: int) -> float:
    """Return the learning rate of a step, counted from 0, of `total`.

    The warm-up ends at the rate of the recipe, or stays at its own; the schedule runs over the steps after it, from
    the rate down to the floor.
    """
    if step < recipe.warmup:
        rise = (step + 1) / recipe.warmup if recipe.warmup_shape == "linear" else 0.0
        return recipe.warmup_rate + (recipe.rate - recipe.warmup_rate) * rise
    share = (step - recipe.warmup) / max(total - recipe.warmup, 1)
    floor = min(recipe.floor, recipe.rate)
    return floor + (recipe.rate - floor) * SHAPES[recipe.schedule](share, recipe.power)
