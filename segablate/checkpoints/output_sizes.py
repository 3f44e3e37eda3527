"""Cut from outputs what preprocessing added to images: padding and letterboxes, at any resolution."""

from torch import Tensor

from segablate.checkpoints.inference import at_size
from segablate.checkpoints.preprocessing import Preprocessing

Size = tuple[int, int]


def unresized(steps: Preprocessing, size: Size) -> bool:
    """Whether a network sees images of this size at their size."""
    return steps.unpadded(size) == size and not steps.letterboxed


def inner(steps: Preprocessing, pixels: Tensor, size: Size) -> Size:
    """Return the size of preprocessed images, N C h w, without the padding on the right and below.

    `size`: that of the images before. A letterbox is on all sides and stays.
    """
    return (pixels.shape[2], pixels.shape[3]) if steps.letterboxed else steps.unpadded(size)


def within(steps: Preprocessing, scores: Tensor, size: Size) -> Tensor:
    """Cut a letterbox off scores, N K h w, for images of `size`; without one return them as they are."""
    if not steps.letterboxed or not isinstance(steps.resize, tuple):
        return scores
    (top, left), (height, width) = steps.corner(size), steps.unpadded(size)
    return at_size(scores, steps.resize)[..., top : top + height, left : left + width]


def cut(scores: Tensor, padded: tuple[int, ...], unpadded: Size) -> Tensor:
    """Cut padding off scores or features at any resolution, N K h w."""
    if tuple(padded) == unpadded:
        return scores
    height, width = (
        round(side * inside / outside)
        for side, inside, outside in zip(scores.shape[-2:], unpadded, padded, strict=True)
    )
    return scores[..., : max(height, 1), : max(width, 1)]
