"""Cosines between the gradients of losses, from the Gram matrix of each image."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from torch import Tensor

BLOCK = 1 << 16
"""Entries of each gradient that are multiplied at once: 0.5 MB of float64 a loss."""


def gram(gradients: Sequence["Tensor"]) -> np.ndarray:
    """Return the inner products of L gradients of one shape, (L, L) float64, exactly symmetric.

    G = A Aᵀ with the flattened gradients as the rows of A, in blocks of :data:`BLOCK` columns, each converted to
    float64 alone.
    """
    import torch

    rows = [gradient.reshape(-1) for gradient in gradients]
    total = torch.zeros(len(rows), len(rows), dtype=torch.float64, device=rows[0].device)  # L L
    for start in range(0, len(rows[0]), BLOCK):
        block = torch.stack([row[start : start + BLOCK] for row in rows]).double()  # L b
        total += block @ block.T
    return ((total + total.T) / 2).cpu().numpy()


def cosines(grams: np.ndarray) -> np.ndarray:
    """Return the cosines of Gram matrices (N, L, L): symmetric, in -1..1, 1 on the diagonal.

    nan in the row and column of a loss whose gradient is 0 or undefined (nan).
    """
    norms = np.sqrt(np.einsum("nii->ni", grams))  # N L
    scale = norms[:, :, None] * norms[:, None, :]  # N L L
    found = np.divide(grams, scale, out=np.full(grams.shape, np.nan), where=scale > 0)
    diagonal = np.arange(grams.shape[1])
    found[:, diagonal, diagonal] = np.where(norms > 0, 1.0, np.nan)
    return np.clip(found, -1.0, 1.0)
