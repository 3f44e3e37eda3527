"""Small scenes to try losses on: regions of classes with void between them, and the degenerate ones."""

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from segablate.losses import Loss

VOID = 255
torch.set_num_threads(1)  # on scenes this small threads only wait for each other


def scene(
    n: int = 2,
    c: int = 5,
    h: int = 40,
    w: int = 48,
    *,
    void: float = 0.06,
    moved: int = 0,
    seed: int = 0,
    dtype: torch.dtype = torch.float64,
) -> tuple[Tensor, Tensor]:
    """Logits and labels: a few regions of every class and a share of void pixels in blocks.

    Class 0 is found wholly wherever it is labelled; the others are mostly right. With ``moved`` the logits lie so many
    pixels to the right, so that predicted boundaries are off.
    """
    generator = torch.Generator().manual_seed(0)
    coarse = torch.randn(n, c, max(h // 8, 1), max(w // 8, 1), generator=generator, dtype=torch.float64)
    smooth = F.interpolate(coarse, (h, w), mode="bilinear")
    labels = smooth.argmax(1)
    logits = 2 * smooth + torch.randn(n, c, h, w, generator=generator, dtype=torch.float64)
    logits[:, 0] += torch.where(labels == 0, 12.0, 0.0)
    logits = logits.roll(moved, 3)
    blocks = torch.rand(n, 1, -(-h // 4), -(-w // 4), generator=generator) < void
    labels[F.interpolate(blocks.float(), scale_factor=4)[:, 0, :h, :w] > 0] = VOID
    return logits.to(dtype), labels


def one_hot_logits(labels: Tensor, classes: int, height: float) -> Tensor:
    """Logits of ``height`` at the label of each pixel and ``-height`` elsewhere; float32."""
    index = torch.arange(classes).view(1, -1, 1, 1)
    return torch.where(labels.unsqueeze(1) == index, height, -height)


def degenerate() -> dict[str, tuple[Tensor, Tensor]]:
    """Scenes on which a value must stay finite, in float32, by name."""
    logits, labels = scene(dtype=torch.float32)
    flat = torch.full_like(labels, 2)
    half_void = labels.clone()
    half_void[0] = VOID
    return {
        "random": (torch.randn_like(logits), labels),
        "all equal": (torch.zeros_like(logits), labels),
        "perfect": (one_hot_logits(labels, 5, 100.0), labels),
        "all wrong": (one_hot_logits((labels + 1) % 5, 5, 100.0), labels),
        "one class": (logits, flat),
        "one class, perfect": (one_hot_logits(flat, 5, 100.0), flat),
        "an image of void": (logits, half_void),
        "all void": (logits, torch.full_like(labels, VOID)),
        "one pixel": (logits[:1, :, :1, :1], labels[:1, :1, :1] * 0 + 1),
        "one void pixel": (logits[:1, :, :1, :1], labels[:1, :1, :1] * 0 + VOID),
        "one row": (logits[:, :, :1], labels[:, :1]),
        "odd": scene(1, 3, 23, 31, dtype=torch.float32),
        "two classes": scene(1, 2, 16, 16, dtype=torch.float32),
    }


def inputs_for(term: Loss, logits: Tensor, seed: int = 1) -> dict[str, object]:
    """What the term takes beyond logits and labels (class weights apart), needed or not, to fit these logits."""
    generator = torch.Generator().manual_seed(seed)
    n, c, h, w = logits.shape

    def noise(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=generator, dtype=torch.float64).to(logits.dtype)

    def layer(d: int, e: int) -> tuple[Tensor, Tensor]:
        return noise(e, d, 3, 3) / (9 * d) ** 0.5, noise(e) / 10

    offered = {
        "image": lambda: noise(n, 3, h, w).sigmoid() * 255,
        "features": lambda: noise(n, 6, -(-h // 2), -(-w // 2)),
        "roi": lambda: torch.ones(n, h, w, dtype=logits.dtype),
        "edge_net": lambda: [layer(c, 8), layer(8, 8), layer(8, 2)],
    }
    return {name: make() for name, make in offered.items() if name in term.inputs}


def reordered(inputs: dict[str, object], order: Tensor) -> dict[str, object]:
    """The same inputs for classes in another order: the first layer of an edge network reads the classes."""
    changed = dict(inputs)
    if "edge_net" in changed:
        (weight, bias), *rest = changed["edge_net"]  # type: ignore[misc]
        changed["edge_net"] = [(weight[:, order], bias), *rest]
    return changed


def single(inputs: dict[str, object], index: int) -> dict[str, object]:
    """The inputs of one image of a batch."""
    return {name: value[index : index + 1] if isinstance(value, Tensor) else value for name, value in inputs.items()}


def value_and_gradient(function, logits: Tensor) -> tuple[Tensor, Tensor]:
    """A scalar function of the logits and its gradient there; zero where it does not depend on them."""
    leaf = logits.detach().clone().requires_grad_()
    value = function(leaf)
    (gradient,) = torch.autograd.grad(value, leaf, allow_unused=True)
    return value.detach(), torch.zeros_like(leaf) if gradient is None else gradient


def directional_error(function, logits: Tensor, step: float = 1e-6, directions: int = 3) -> float:
    """Largest relative difference between the gradient and central differences, along random directions."""
    _, gradient = value_and_gradient(function, logits)
    worst = 0.0
    for seed in range(directions):
        along = torch.from_numpy(np.random.default_rng(seed).standard_normal(logits.shape))
        with torch.no_grad():
            measured = float((function(logits + step * along) - function(logits - step * along)) / (2 * step))
        expected = float((gradient * along).sum())
        worst = max(worst, abs(measured - expected) / max(abs(measured), abs(expected), 1e-6))
    return worst
