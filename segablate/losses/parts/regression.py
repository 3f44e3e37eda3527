"""Residual of a linear regression of one set of points on another: ln det of the residual scatter matrix.

For probability points P and label points Y (d n each, centred) and a ridge α::

    M = S_y - B S_ypᵀ,    B = S_yp (S_p + αI)⁻¹,    S_p = P Pᵀ, S_y = Y Yᵀ, S_yp = Y Pᵀ

M + αI is the Schur complement of the upper left block of J = [[S_p + αI, S_ypᵀ], [S_yp, S_y + αI]], so that the last d
diagonal entries of the Cholesky factor of J are those of the factor of M + αI: no inverse, no second factorisation.
Computed in float64 for any input: S has entries of 1e4 and α is 5e-4.
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

LOG_OFFSET = 1e-8
"""Added to the diagonal of the factor inside the logarithm, as the authors of RMI do."""


@dataclass(frozen=True)
class Residual:
    """The residuals of B regressions.

    ``term`` is (1/d) Σ_k ln(L_kk + 1e-8) with L the factor of M + αI, B, and ``half_log_det`` (1/2d) ln det(M + αI);
    ``slope()`` (B d 2d), computed on demand, times the centred points (P above Y) is the gradient of the term at P;
    ``failed`` (B bool) marks factorisations that broke down.
    """

    term: Tensor
    half_log_det: Tensor
    slope: Callable[[], Tensor]
    failed: Tensor


Solver = Callable[[Tensor, float], Residual]
"""(scatter matrices of P above Y, B 2d 2d; α) -> the residuals."""


def by_cholesky(scatter: Tensor, alpha: float) -> Residual:
    """Solve by one Cholesky factorisation; never raises. The results are meaningless where ``failed`` is true."""
    d = scatter.shape[-1] // 2
    factor, info = torch.linalg.cholesky_ex(scatter + alpha * _identity(scatter))  # B 2d 2d, B
    diagonal = factor.diagonal(dim1=-2, dim2=-1)[:, d:]  # B d
    term = (diagonal + LOG_OFFSET).log().mean(-1)  # B

    def slope() -> Tensor:
        # B Lp = K, where Lp and K are the left blocks of the factor
        regression = torch.linalg.solve_triangular(factor[:, :d, :d], factor[:, d:, :d], upper=False, left=False)
        inverse = torch.linalg.solve_triangular(factor[:, d:, d:], _identity(factor[:, d:, d:]), upper=False)
        root = inverse * (diagonal / (diagonal + LOG_OFFSET)).sqrt().unsqueeze(-1)  # B d d
        return _slope(regression, root.mT @ root)

    return Residual(term, diagonal.log().mean(-1), slope, info != 0)


def by_eigenvalues(scatter: Tensor, alpha: float) -> Residual:
    """Solve by eigenvalues, those of M + αI clamped at α: for matrices not positive definite after rounding.

    Where the points are not finite, term and slope are nan.
    """
    d = scatter.shape[-1] // 2
    broken = ~scatter.isfinite().all(-1).all(-1)  # B bool
    scatter = scatter.where(~broken[:, None, None], _identity(scatter))
    spread, axes = torch.linalg.eigh(scatter[:, :d, :d])  # B d, B d d
    regression = scatter[:, d:, :d] @ (axes / (spread.clamp(min=0) + alpha).unsqueeze(-2)) @ axes.mT  # B d d
    left, axes = torch.linalg.eigh(scatter[:, d:, d:] - regression @ scatter[:, d:, :d].mT)  # B d, B d d
    root = (left.clamp(min=0) + alpha).sqrt()  # B d
    nan = torch.where(broken, torch.nan, 0.0)
    term = (root + LOG_OFFSET).log().mean(-1) + nan  # B

    def slope() -> Tensor:
        weight = (left > 0) / (root * (root + LOG_OFFSET))  # a clamped eigenvalue does not move
        return _slope(regression, (axes * weight.unsqueeze(-2)) @ axes.mT) + nan[:, None, None]

    return Residual(term, root.log().mean(-1) + nan, slope, broken)


def uninformed(scatter: Tensor, alpha: float) -> Tensor:
    """Return (1/2d) ln det(S_y + αI), B: the residual of uninformative probabilities; nan where it has no factor."""
    d = scatter.shape[-1] // 2
    factor, info = torch.linalg.cholesky_ex(scatter[:, d:, d:] + alpha * _identity(scatter[:, d:, d:]))
    return factor.diagonal(dim1=-2, dim2=-1).log().mean(-1).where(info == 0, torch.nan)


def _slope(regression: Tensor, precision: Tensor) -> Tensor:
    """Return (1/d) Bᵀ W [B, -I], which times P above Y is -(1/d) Bᵀ W (Y - B P)."""
    half = regression.mT @ precision / regression.shape[-1]  # B d d
    return torch.cat([half @ regression, -half], -1)


def _identity(matrices: Tensor) -> Tensor:
    return torch.eye(matrices.shape[-1], dtype=matrices.dtype, device=matrices.device).expand_as(matrices)
