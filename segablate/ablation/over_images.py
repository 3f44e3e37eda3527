"""The value of a loss over a whole dataset under every setting of a sweep."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from segablate.losses import Loss
from segablate.objective.knobs import complete

if TYPE_CHECKING:
    from segablate.ablation.sweep import Setting


def over_images(loss: Loss, settings: "Sequence[Setting]", probed: Mapping[str, np.ndarray]) -> tuple[float, ...]:
    """Return the value of each setting over all images, from the sums of each; empty where the loss has no such value.

    - `probed`: arrays of :class:`segablate.ablation.sweep.Sweep`, (N, ...) each.
    """
    import torch

    pooled = loss.over_images
    if pooled is None:
        return ()
    values = []
    for place, setting in enumerate(settings):
        prefix = f"sums.{place}."
        sums = {
            name.removeprefix(prefix): torch.from_numpy(np.asarray(each.sum(axis=0)))
            for name, each in probed.items()
            if name.startswith(prefix)
        }
        values.append(float(pooled(complete(loss.knobs, setting.values, loss.name), sums)))
    return tuple(values)
