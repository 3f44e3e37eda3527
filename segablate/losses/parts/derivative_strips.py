"""The squared errors of CPG and their gradient, a strip of rows of one image at a time, in it one class at a time."""

import torch
from torch import Tensor

from segablate.losses.parts.band import GradientOptions, find_band, spread
from segablate.losses.parts.shapes import Labels, Logits
from segablate.losses.parts.sobel import derivatives, integer_kernel, kernel, pad, pulled_back
from segablate.losses.parts.strips import grown, inside, strips


def squared_errors(
    maps: Logits, labels: Labels, options: GradientOptions, gradient: Tensor | None
) -> tuple[Tensor, Tensor]:
    """Return the sum of squares and the number of elements of each class of one image, C each in float64.

    - `maps`: logits C H W; `labels`: H W.
    - `gradient`: C H W, which receives half of the gradient of the sum of squares at the logits; None: not computed.
    """
    totals = torch.zeros(2, len(maps), dtype=torch.float64, device=maps.device)
    for rows in strips(maps, options.reach):
        strip = _Strip(maps, labels, rows, options)
        at_strip = None if gradient is None else gradient[:, rows]
        for index in strip.band.classes:
            totals[:, index] = totals[:, index] + strip.add(index, at_strip)
        if at_strip is not None:
            strip.finish(at_strip)
    return totals[0], totals[1]


class _Strip:
    """Rows of one image, with the rows around them that derivatives, their adjoint and the choice of elements reach.

    Derivatives are taken in `wide` rows and are right in `middle` ones, outside which no element is scored; the
    gradient is right in the rows themselves.
    """

    def __init__(self, maps: Tensor, labels: Labels, rows: slice, options: GradientOptions) -> None:
        height, r = maps.shape[1], options.radius
        middle, wide = grown(rows, r, height), grown(rows, 2 * r, height)
        far = grown(middle, options.reach, height)
        self.band = find_band(labels[far].unsqueeze(0), len(maps), options)
        self.options, self.rows, self.wide = options, inside(rows, wide), inside(wide, far)
        self.padded = pad(maps[:, wide].softmax(0), r)  # C R'+2r W+2r
        self.probabilities = self.padded[:, r:-r, r:-r]  # C R' W
        self.labels = pad(labels[wide].unsqueeze(0), r)[0]  # R'+2r W+2r
        self.scored = torch.zeros_like(self.probabilities[0])  # R' W
        self.scored[inside(middle, wide)] = self.band.scored[0, inside(middle, far)].to(maps.dtype)
        self.inner = torch.zeros_like(self.scored[self.rows])  # R W: Σ_c p_c times the gradient at p_c

    def add(self, index: int, gradient: Tensor | None) -> Tensor:
        """Return sum of squares and number of elements of a class, 2; write half the gradient at its probabilities."""
        target = torch.eq(self.labels, index, out=torch.empty_like(self.labels, dtype=self.scored.dtype))
        difference = torch.sub(self.padded[index], target, out=target)  # R'+2r W+2r
        along = derivatives(difference.unsqueeze(0), kernel(self.options.ksize))  # 1 R' W each
        chosen = self._chosen(index)  # R' W each
        in_x, in_y = (each.mul(mask) for each, mask in zip(along, chosen, strict=True))  # 1 R' W each
        if gradient is not None:
            gradient[index] = pulled_back(in_x, in_y, kernel(self.options.ksize))[0, self.rows]
            self.inner.addcmul_(self.probabilities[index, self.rows], gradient[index])
        squares, counts = (
            torch.stack([each[..., self.rows, :].sum() for each in both])  # 2
            for both in ((in_x.square(), in_y.square()), chosen)
        )
        return torch.stack([squares.double().sum(), counts.double().sum()])

    def finish(self, gradient: Tensor) -> None:
        """Turn the gradient at the probabilities into that at the logits, C R W, in place."""
        for index in set(range(len(gradient))).difference(self.band.classes):
            gradient[index] = 0
        gradient.sub_(self.inner).mul_(self.probabilities[:, self.rows])

    def _chosen(self, index: int) -> tuple[Tensor, Tensor]:
        """Return the scored pixels of a class in the directions x and y as 0 and 1, R' W each."""
        width = self.options.width
        if width == "all":
            return self.scored, self.scored
        if width != "official":
            near = spread(self.band.labels == index, int(width))[0, self.wide]  # R' W bool
            return (both := self.scored * near), both
        weights, integer = integer_kernel(self.options.ksize)
        target = torch.eq(self.labels, index, out=torch.empty_like(self.labels, dtype=integer))  # R'+2r W+2r
        along = derivatives(target.unsqueeze(0), weights)  # 1 R' W each
        x, y = (torch.ne(each[0], 0, out=torch.empty_like(self.scored)).mul_(self.scored) for each in along)
        return x, y
