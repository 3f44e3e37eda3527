"""The region mutual information of RMI with its gradient, one class at a time.

Shapes: B images that contain the class, d = radius² coordinates, n windows, h w cells.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from segablate.labels import ignore_index
from segablate.losses.parts.cells import kept_windows, pooled, unwindowed, window_count, windows
from segablate.losses.parts.region_cells import RegionOptions, all_cells, spread
from segablate.losses.parts.regression import Residual, Solver, by_cholesky, by_eigenvalues, uninformed
from segablate.losses.parts.shapes import Labels, Logits, narrow
from segablate.losses.parts.sharing import shared


@dataclass(frozen=True)
class RegionBatch:
    """One batch as all classes need it.

    ``labels`` and ``valid`` (0 and 1) are N H W, ``cells`` height and width in cells, ``kept`` the windows N n bool
    (None: all), ``points`` N, 0 for an image that does not count; ``labelled`` lists the images that contain each
    class.
    """

    options: RegionOptions
    labels: Tensor
    valid: Tensor
    cells: tuple[int, int]
    kept: Tensor | None
    points: Tensor
    labelled: tuple[tuple[int, ...], ...]


def prepare_batch(logits: Logits, labels: Labels, options: RegionOptions) -> RegionBatch:
    """Find the windows and the classes of a batch; the one place that waits for the device."""
    valid, few, present = _survey(labels, logits.shape[1])
    height, width = pooled(valid[:1], options.stride, "max", torch.float32).shape[1:]
    count = window_count(height, width, options.radius)
    kept = kept_windows(~valid, options.radius, options.stride) if options.drop and count else None  # N n bool
    points = kept.sum(1).double() if kept is not None else torch.full_like(valid[:, 0, 0], count, dtype=torch.float64)
    points = points * valid.any()  # N
    containing = (present & (points > 0).unsqueeze(1)).T.tolist()
    labelled = tuple(tuple(image for image, here in enumerate(row) if here) for row in containing)
    return RegionBatch(options, few, _as_factor(valid, logits.dtype), (height, width), kept, points, labelled)


@shared
def _survey(labels: Labels, classes: int) -> tuple[Tensor, Tensor, Tensor]:
    """Return the valid pixels, N H W bool, the labels in a small type and the classes in each image, N C bool.

    Labels of a small type are compared faster with every class.
    """
    valid = labels != ignore_index(classes)  # N H W
    images = torch.arange(len(labels), device=labels.device).view(-1, 1, 1) * (classes + 1)  # N 1 1
    cell = images + labels.long().where(valid, classes)  # N H W
    pixels = torch.bincount(cell.flatten(), minlength=len(labels) * (classes + 1)).view(len(labels), -1)
    return valid, narrow(labels, classes), pixels[:, :classes] > 0


@shared
def _as_factor(mask: Tensor, dtype: torch.dtype) -> Tensor:
    """Return the mask as 1 and 0, N H W: a floating-point mask multiplies faster."""
    return mask.to(dtype)


@dataclass(frozen=True)
class ClassResult:
    """Results of one class in the B images that contain it: B each, and ``slope``, the gradient at its cells, B h w."""

    term: Tensor
    gain: Tensor
    present: Tensor
    failed: Tensor
    slope: Tensor | None


class RegionMutualInformation(torch.autograd.Function):
    """(logits, batch, differentiable) -> value, 0-dim; term, gain, present, failed, N C.

    All but the value are detached. The gradient at the cells, 1/stride² of the size of the logits, is computed together
    with the value, while the points of a class are in memory; backward spreads it over the pixels. The points of two
    classes are never in memory together.
    """

    @staticmethod
    def forward(ctx: Any, logits: Logits, batch: RegionBatch, differentiable: bool) -> tuple[Tensor, ...]:
        results, failed = _regress_all(logits, batch, differentiable)
        term = _table({index: each.term for index, each in results.items()}, batch, logits, batch.options.absent)
        gain = _table({index: each.gain for index, each in results.items()}, batch, logits, 0.0)
        present = _table({index: each.present for index, each in results.items()}, batch, logits, False)
        counted = batch.points > 0  # N
        images = counted.sum().clamp(min=1)
        ctx.save_for_backward(logits, images)
        ctx.batch, ctx.slopes = batch, {index: each.slope for index, each in results.items()}
        ctx.mark_non_differentiable(term, gain, present, failed)
        value = term.where(counted.unsqueeze(1), 0).sum() / images
        return value.to(logits.dtype), term, gain, present, failed

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *upstream: Tensor) -> tuple[Tensor, None, None]:  # pyright: ignore[reportIncompatibleMethodOverride]
        logits, images = ctx.saved_tensors
        options, batch = ctx.batch.options, ctx.batch
        gradient = torch.zeros_like(logits, memory_format=torch.contiguous_format)  # N C H W
        for image, maps in enumerate(logits):
            slopes = {
                index: slope[batch.labelled[index].index(image)] * (upstream[0] / images)
                for index, slope in ctx.slopes.items()
                if image in batch.labelled[index]
            }
            spread(maps, batch.valid[image], slopes, options, gradient[image])
        return gradient, None, None


def _regress_all(logits: Logits, batch: RegionBatch, differentiable: bool) -> tuple[dict[int, ClassResult], Tensor]:
    """Regress every class present; failed factorisations, N C, are repeated by eigenvalues."""
    options = batch.options
    cells = all_cells(logits, batch.labels, batch.valid, batch.labelled, options.softmax, options.pool, options.stride)

    def regress(index: int, solver: Solver) -> ClassResult:
        return _regress(cells[index], batch.labelled[index], batch, solver, differentiable)

    if differentiable:
        results = {index: regress(index, by_cholesky) for index in cells}
    else:
        results = _regress_together(cells, batch)
    failed = _table({index: each.failed for index, each in results.items()}, batch, logits, False)
    again = {index: regress(index, by_eigenvalues) for index in failed.any(0).nonzero().flatten().tolist()}
    return results | again, failed


def _points(cells: Tensor, kept: Tensor | None, radius: int) -> Tensor:
    """Return every window as a point, probabilities above labels, B 2d n; 0 where dropped."""
    points = windows(cells.flatten(0, 1), radius).flatten(3).reshape(len(cells), 2 * radius**2, -1)
    return points if kept is None else points * kept.unsqueeze(1)


def _moments(points: Tensor, count: Tensor) -> tuple[Tensor, Tensor]:
    """Return scatter matrices B 2d 2d and means B 2d of the points."""
    mean = points.sum(-1) / count.unsqueeze(-1)  # B 2d
    return points @ points.mT - count[:, None, None] * mean.unsqueeze(-1) * mean.unsqueeze(-2), mean


@shared
def _moments_of_all(cells: Tensor, radius: int) -> tuple[Tensor, Tensor]:
    """Return the moments of every window; the points themselves are not kept."""
    points = _points(cells, None, radius)
    return _moments(points, torch.full_like(points[:, 0, 0], points.shape[-1]))


def _regress_together(cells: Mapping[int, Tensor], batch: RegionBatch) -> dict[int, ClassResult]:
    """Regress all classes by one factorisation, without slopes: their scatter matrices are small."""
    if not cells:
        return {}
    images = {index: batch.labelled[index] for index in cells}
    scatter = torch.cat([_scatter(each, images[index], batch) for index, each in cells.items()])  # classes·B 2d 2d
    count = torch.cat([_pick(batch.points, each) for each in images.values()])  # classes·B
    results, _ = _solve(scatter, count, batch.options, by_cholesky)
    columns = zip(*(each.split([len(i) for i in images.values()]) for each in results), strict=True)
    return {index: ClassResult(*column, slope=None) for index, column in zip(cells, columns, strict=True)}


def _scatter(cells: Tensor, images: Sequence[int], batch: RegionBatch) -> Tensor:
    if batch.kept is None:
        return _moments_of_all(cells, batch.options.radius)[0]
    points = _points(cells, _pick(batch.kept, images), batch.options.radius)
    return _moments(points, _pick(batch.points, images))[0]


def _solve(
    scatter: Tensor, count: Tensor, options: RegionOptions, solver: Solver
) -> tuple[tuple[Tensor, ...], Residual]:
    """Return term, gain, present and failed of B scatter matrices of ``count`` points, and the regression."""
    residual = solver(scatter, options.alpha)
    # a single cell that differs by one pixel scatters by 1/stride⁴; rounding stays far below
    present = scatter.diagonal(dim1=-2, dim2=-1)[:, options.radius**2 :].amax(-1) > 1e-8  # B
    term = residual.term - count.log() / 2 if options.by_points else residual.term  # B
    gain = uninformed(scatter, options.alpha) - residual.half_log_det  # B
    return (term.where(present, options.absent), gain.where(present, 0), present, residual.failed), residual


def _regress(
    cells: Tensor, images: Sequence[int], batch: RegionBatch, solver: Solver, differentiable: bool
) -> ClassResult:
    options, count = batch.options, _pick(batch.points, images)
    kept = None if batch.kept is None else _pick(batch.kept, images)
    points = _points(cells, kept, options.radius)  # B 2d n
    scatter, mean = _moments(points, count)
    results, residual = _solve(scatter, count, options, solver)
    slope = None
    if differentiable:
        slope = residual.slope()  # B d 2d
        at_points = torch.baddbmm(-(slope @ mean.unsqueeze(-1)), slope, points)  # B d n
        if kept is not None:
            at_points = at_points * kept.unsqueeze(1)
        slope = unwindowed(at_points, batch.cells, options.radius).where(results[2][:, None, None], 0)  # B h w
        slope = slope.to(batch.valid.dtype)
    return ClassResult(*results, slope=slope)


def _table(values: dict[int, Tensor], batch: RegionBatch, logits: Logits, fill: float) -> Tensor:
    """Arrange the values of each class present in its images as N C, with ``fill`` elsewhere."""
    dtype = torch.bool if isinstance(fill, bool) else torch.float64
    table = torch.full(logits.shape[:2], fill, dtype=dtype, device=logits.device)
    if values:
        images = [image for index in values for image in batch.labelled[index]]
        classes = [index for index in values for _ in batch.labelled[index]]
        table[images, classes] = torch.cat(list(values.values()))
    return table


def _pick(tensor: Tensor, images: Sequence[int]) -> Tensor:
    """Return these images; the tensor itself, uncopied, if they are all."""
    return tensor if len(images) == len(tensor) else tensor[list(images)]
