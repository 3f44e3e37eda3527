"""Names of the tensors that losses take and return, with their dtypes and shapes."""

from typing import Annotated

import torch
from torch import Tensor

from segablate.labels import IGNORE, ignore_index

Logits = Annotated[Tensor, "float, N C H W: raw scores, before softmax or sigmoid"]
Labels = Annotated[Tensor, "integer, N H W: class indices 0..C-1, and 255 for void, of more than 255 classes 65535"]
Image = Annotated[Tensor, "float, N 3 H W: red, green, blue in 0..255"]
Features = Annotated[Tensor, "float, N D h w: the network's features before its classifier, on their own grid"]
Region = Annotated[Tensor, "float, N H W: weight of a pixel, in 0..1"]
ClassWeights = Annotated[Tensor, "float, C: one weight a class"]
Scalar = Annotated[Tensor, "float, 0-dim"]


def void_of(maps: Tensor) -> int:
    """Return the label of void pixels beside logits or probabilities, N C H W: 255 up to 255 classes, else 65535."""
    return ignore_index(maps.shape[1])


def narrow(labels: Tensor, classes: int) -> Tensor:
    """Return the labels in a small type, in which they are compared faster with every class."""
    return labels.to(torch.uint8 if classes <= IGNORE else torch.int32)
