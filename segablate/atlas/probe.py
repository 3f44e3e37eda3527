"""The gradients of all losses on the images of an evaluation, as a probe of its loop.

Everything is kept per image: inner products of the gradients, where each is large, and the values of losses that are
too slow for every image.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from segablate.ablation.gradients import MEASURED, WITHIN, Reference, gradient_at, gradient_shares, pixel_shares
from segablate.atlas.cosines import gram
from segablate.losses import Loss
from segablate.samples import LossInputs


@dataclass(frozen=True)
class Chosen:
    """The images, by index, on which losses are measured.

    - `gradients`: whose gradients are measured; None: all.
    - `few`: for a loss that is too slow for all of them, those on which its value and gradient are.
    """

    gradients: frozenset[int] | None = None
    few: Mapping[str, frozenset[int]] = field(default_factory=dict)

    def measures(self, loss: str, image: int) -> bool:
        """Return whether the gradient of a loss is measured on an image."""
        allowed = self.few.get(loss, self.gradients)
        return allowed is None or image in allowed


class AtlasProbe:
    """A probe that measures the gradients of losses; see :data:`segablate.evaluation.measures.Probe`."""

    def __init__(self, losses: Mapping[str, Loss], chosen: Chosen) -> None:
        self.losses, self.chosen = losses, chosen

    def __call__(self, sample: LossInputs) -> dict[str, np.ndarray]:
        """Return the arrays of one image, nan for a loss that is not measured on it or is undefined.

        `gram` (L, L); over losses `value` (), `within` (3,) and `on_class` (C+1,), as
        :func:`segablate.ablation.gradients.gradient_statistics` has them; `pixels_within`, `pixels_on_class`.
        """
        arrays = self._nothing(sample.classes)
        names = [name for name in self.losses if self.chosen.measures(name, sample.index)]
        if not names:
            return arrays
        sample.logits.requires_grad_(True)
        reference = Reference.of(sample)
        gradients, places = [], []
        for place, (name, loss) in enumerate(self.losses.items()):
            if name in names and (measured := self._measure(loss, sample)) is not None:
                arrays["value"][place], gradient = measured
                of_gradient = gradient_shares(gradient, reference.regions)
                arrays["within"][place], arrays["on_class"][place] = of_gradient["within"], of_gradient["on_class"]
                gradients.append(gradient)
                places.append(place)
        if gradients:
            arrays["gram"][np.ix_(places, places)] = gram(gradients)
        even = {f"pixels_{name}": share for name, share in pixel_shares(reference.regions).items()}
        return {**arrays, **even, MEASURED: np.array(True)}

    def _measure(self, loss: Loss, sample: LossInputs) -> tuple[float, Any] | None:
        """Return value and gradient at the logits; None where the loss is undefined."""
        import torch

        inputs = {name: value for name, value in sample.inputs.items() if name in loss.inputs}
        with torch.enable_grad():
            parts = loss.parts(sample.read_by(loss.reads({})), sample.labels, **inputs)
            if not parts.defined:
                return None
            return float(parts.value.detach()), gradient_at(sample.logits, parts.value).detach()

    def _nothing(self, classes: int) -> dict[str, np.ndarray]:
        losses, within = len(self.losses), len(WITHIN)
        shapes = {
            "gram": (losses, losses),
            "value": (losses,),
            "within": (losses, within),
            "on_class": (losses, classes + 1),
            "pixels_within": (within,),
            "pixels_on_class": (classes + 1,),
        }
        return {name: np.full(shape, np.nan) for name, shape in shapes.items()} | {MEASURED: np.array(False)}
