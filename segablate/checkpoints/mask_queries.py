"""Networks that predict masks and a class for each, converted to one score per class and pixel."""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional


def class_scores(classes: Tensor, masks: Tensor, size: tuple[int, int] | None = None) -> Tensor:
    """``s_c(x) = 1/Q Σ_q softmax(class logits of q)_c · σ(mask logit of q at x)``, without the class "no object".

    `classes`: N, Q, C + 1 logits, the last of "no object"; `masks`: N, Q, h, w logits, resized to `size` before the
    sigmoid where it is given. Returns N, C, h, w. The sum over the classes is at most 1; a softmax of its logarithm
    divides by that sum. Libraries leave out the 1/Q, which changes no ranking. Cheng et al., Per-Pixel
    Classification is Not All You Need for Semantic Segmentation, NeurIPS 2021, section 3.4.
    """
    if size is not None:
        masks = functional.interpolate(masks, size, mode="bilinear", align_corners=False)
    return torch.einsum("nqc,nqhw->nchw", classes.softmax(dim=-1)[..., :-1], masks.sigmoid()) / classes.shape[1]


class MaskQueries(nn.Module):
    """A network with ``class_queries_logits`` and ``masks_queries_logits``, wrapped to return N, C, h, w scores.

    - `size`: height and width to which masks are resized before they are joined, or None.
    - `inputs`: further inputs of one row each, such as the tokens of a task.
    """

    def __init__(
        self, network: nn.Module, size: tuple[int, int] | None = None, inputs: Mapping[str, Tensor] | None = None
    ) -> None:
        super().__init__()
        self.network = network
        self.size = size
        self.names = tuple(inputs or ())
        for name, rows in (inputs or {}).items():
            self.register_buffer(f"input_{name}", rows)

    def forward(self, pixels: Tensor) -> Tensor:
        """Map N, 3, H, W to N, C, h, w."""
        inputs: dict[str, Any] = {name: getattr(self, f"input_{name}").expand(len(pixels), -1) for name in self.names}
        output = self.network(pixels, **inputs)
        return class_scores(output.class_queries_logits.float(), output.masks_queries_logits.float(), self.size)
