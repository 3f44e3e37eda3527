"""Time and peak memory of each loss relative to a straightforward implementation of the published one.

    python benchmarks/losses.py [--device cuda] [--repeats 7] [LOSS ...]

Both get the same scene (smooth regions of all classes, a few per cent void, moderately good logits) and must return
the same value. They are called in turns; a ratio below 1 favours this program. Memory is that of tensors, beyond the
inputs. The procedures are those of ``tests/references``, against which the tests check the values.
"""

import argparse
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path

import torch
import torch.nn.functional as F
from rich.console import Console
from rich.table import Table
from torch import Tensor

from segablate.ablation.cost import Cost, measure_costs
from segablate.objective.weighted_sum import parse_objective

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

from references import IGNORE, reference, reference_module

__all__ = ["cells", "forward", "forward_backward", "make_scene", "reference", "reference_module"]

SHAPES = ((1, 19, 512, 1024), (2, 11, 360, 480))
LOSSES = (
    *("ce", "bce", "focal", "dice", "lovasz", "recall", "rmi", "cpg"),
    *("abl", "ssl", "semeda", "lal", "lal(window=5)"),
)
Loss = Callable[[Tensor, Tensor], Tensor]


def make_scene(shape: tuple[int, int, int, int], device: str) -> tuple[Tensor, Tensor]:
    """Return logits and labels: smooth noise decides the label, the logits favour it, 3 % of the pixels are void."""
    generator = torch.Generator().manual_seed(0)
    n, c, h, w = shape
    coarse = torch.randn(n, c, h // 32, w // 32, generator=generator)
    smooth = F.interpolate(coarse, (h, w), mode="bilinear")
    labels = smooth.argmax(1)
    labels[torch.rand(n, h, w, generator=generator) < 0.03] = IGNORE
    logits = 3 * smooth + torch.randn(shape, generator=generator)
    return logits.to(device), labels.to(device)


def both(text: str, classes: int, device: str) -> tuple[Loss, Loss]:
    """Return this program's loss and the published procedure, under the settings in the text."""
    (summand,) = parse_objective(text).terms
    name = summand.loss.name
    options = dict(summand.settings)
    if "edge_net" in summand.loss.inputs:
        options["edge_net"] = [tuple(tensor.to(device) for tensor in pair) for pair in make_edge_net(classes)]
    return partial(summand.loss, **options), partial(reference(name), **options)


def make_edge_net(classes: int) -> list[tuple[Tensor, Tensor]]:
    """Return random weights of an edge network; their values do not affect the cost."""
    generator = torch.Generator().manual_seed(1)
    sizes = ((16, classes), (32, 16), (2, 32))
    shapes = [((outputs, inputs, 3, 3), (outputs,)) for outputs, inputs in sizes]
    return [tuple(torch.randn(shape, generator=generator) / 10 for shape in pair) for pair in shapes]


def forward(loss: Loss, logits: Tensor, labels: Tensor) -> Callable[[], object]:
    def call() -> object:
        with torch.no_grad():
            return loss(logits, labels)

    return call


def forward_backward(loss: Loss, logits: Tensor, labels: Tensor) -> Callable[[], object]:
    def call() -> object:
        leaf = logits.detach().requires_grad_()
        return torch.autograd.grad(loss(leaf, labels), leaf)

    return call


def compare(name: str, logits: Tensor, labels: Tensor, repeats: int) -> list[tuple[Cost, Cost]]:
    """Return costs of this program's loss and of the published procedure: forward, then forward and backward."""
    ours, theirs = both(name, logits.shape[1], logits.device.type)
    torch.testing.assert_close(ours(logits, labels), theirs(logits, labels), rtol=1e-4, atol=1e-6)
    calls = [f(loss, logits, labels) for f in (forward, forward_backward) for loss in (ours, theirs)]
    costs = measure_costs(calls, repeats, logits.device)
    return [(costs[0], costs[1]), (costs[2], costs[3])]


def cells(ours: Cost, theirs: Cost) -> list[str]:
    milliseconds = f"{ours.seconds * 1e3:.1f} / {theirs.seconds * 1e3:.1f}"
    megabytes = f"{ours.peak_bytes / 2**20:.0f} / {theirs.peak_bytes / 2**20:.0f}"
    time, memory = ours.seconds / theirs.seconds, ours.peak_bytes / max(theirs.peak_bytes, 1)
    return [milliseconds, f"{time:.2f}", megabytes, f"{memory:.3f}"]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("losses", nargs="*", metavar="LOSS", help=f"some of {', '.join(LOSSES)}")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--threads", type=int, default=None)
    arguments = parser.parse_args()
    if arguments.threads:
        torch.set_num_threads(arguments.threads)
    for shape in SHAPES:
        table = Table(title=f"{'×'.join(map(str, shape))} on {arguments.device}: this program / published")
        for heading in ("loss", "pass", "ms", "ratio", "MiB", "ratio"):
            table.add_column(heading, justify="left" if heading in ("loss", "pass") else "right")
        logits, labels = make_scene(shape, arguments.device)
        for name in arguments.losses or LOSSES:
            costs = compare(name, logits, labels, arguments.repeats)
            for title, pair in zip(("forward", "forward + backward"), costs, strict=True):
                table.add_row(name, title, *cells(*pair))
        Console().print(table)


if __name__ == "__main__":
    main()
