"""Time of each loss as a multiple of cross entropy, and relative to a plain implementation of the published one.

    python benchmarks/losses.py [--device cuda] [--repeats 5] [LOSS ...]
    python benchmarks/losses.py --multiples [--shape 2x19x512x1024] [--threads 1] [LOSS ...]

The first table has the processor time (on CUDA, the time) of a call as a multiple of that of
torch.nn.functional.cross_entropy on the same tensors; calls take turns, and the least of several counts, as other load
only adds time. With ``--multiples`` it is the only one. Before, every call runs once untimed. Whether the memory of the
results is new to the process or used before alters the time of cross entropy more than twofold: page faults per call of
cross entropy are printed, none where it is used before, as in a training that has run for some steps.

In the others, both get the same scene (smooth regions of all classes, a few per cent void, moderately good logits) and
must return the same value. They are called in turns; a ratio below 1 favours this program. Memory is that of tensors,
beyond the inputs. The procedures are those of ``tests/references``, against which the tests check the values.
"""

import argparse
import math
import resource
import sys
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

import torch
import torch.nn.functional as F
from machine import described
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
SOFTMAX = ("rmi(probability=softmax)", "ssl(probability=softmax)")
"""Further settings in the table of multiples."""

Loss = Callable[[Tensor, Tensor], Tensor]
Shape = tuple[int, int, int, int]


def make_scene(shape: Shape, device: str) -> tuple[Tensor, Tensor]:
    """Return logits and labels: smooth noise decides the label, the logits favour it, 3 % of the pixels are void."""
    generator = torch.Generator().manual_seed(0)
    n, c, h, w = shape
    coarse = torch.randn(n, c, h // 32, w // 32, generator=generator)
    smooth = F.interpolate(coarse, (h, w), mode="bilinear")
    labels = smooth.argmax(1)
    labels[torch.rand(n, h, w, generator=generator) < 0.03] = IGNORE
    logits = 3 * smooth + torch.randn(shape, generator=generator)
    return logits.to(device), labels.to(device)


def ours(text: str, classes: int, device: str) -> partial[Tensor]:
    """Return this program's loss under the settings in the text."""
    (summand,) = parse_objective(text).terms
    options = dict(summand.settings)
    if "edge_net" in summand.loss.inputs:
        options["edge_net"] = [tuple(tensor.to(device) for tensor in pair) for pair in make_edge_net(classes)]
    return partial(summand.loss, **options)


def both(text: str, classes: int, device: str) -> tuple[Loss, Loss]:
    """Return this program's loss and the published procedure, under the settings in the text."""
    loss = ours(text, classes, device)
    (summand,) = parse_objective(text).terms
    return loss, partial(reference(summand.loss.name), **loss.keywords)


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
    pair = both(name, logits.shape[1], logits.device.type)
    torch.testing.assert_close(*(loss(logits, labels) for loss in pair), rtol=1e-4, atol=1e-6)
    calls = [f(loss, logits, labels) for f in (forward, forward_backward) for loss in pair]
    costs = measure_costs(calls, repeats, logits.device)
    return [(costs[0], costs[1]), (costs[2], costs[3])]


def cross_entropy(logits: Tensor, labels: Tensor) -> Tensor:
    return F.cross_entropy(logits, labels, ignore_index=IGNORE)


def multiples(names: Sequence[str], logits: Tensor, labels: Tensor, repeats: int) -> dict[str, tuple[float, float]]:
    """Return the least seconds of each loss as a multiple of cross entropy's: forward, and forward and backward."""
    device = logits.device.type
    losses = [cross_entropy, *(ours(name, logits.shape[1], device) for name in names)]
    calls = [f(loss, logits, labels) for f in (forward, forward_backward) for loss in losses]
    for call in calls:
        call()
    least = [math.inf] * len(calls)
    for _ in range(repeats):
        least = [min(before, seconds(call, device)) for before, call in zip(least, calls, strict=True)]
    alone, both = least[: len(losses)], least[len(losses) :]
    print(f"cross entropy: {1e3 * alone[0]:.0f} ms forward, {1e3 * both[0]:.0f} ms forward and backward", end="")
    print(f", {page_faults(calls[len(losses)])} page faults")
    return {name: (alone[i] / alone[0], both[i] / both[0]) for i, name in enumerate(("", *names)) if name}


def seconds(call: Callable[[], object], device: str) -> float:
    """Return the processor time of a call; on CUDA the time until the device has finished."""
    clock = time.process_time if device == "cpu" else time.perf_counter
    start = clock()
    call()
    if device == "cuda":
        torch.cuda.synchronize()
    return clock() - start


def page_faults(call: Callable[[], object]) -> int:
    """Return the page faults of a call."""
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    call()
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before


def multiples_table(names: Sequence[str], shape: Shape, device: str, repeats: int) -> Table:
    """Return the table of multiples of cross entropy at one shape."""
    logits, labels = make_scene(shape, device)
    table = Table(title=f"{'×'.join(map(str, shape))} on {device}: multiples of cross entropy")
    for heading in ("loss", "forward", "forward and backward"):
        table.add_column(heading, justify="left" if heading == "loss" else "right")
    for name, found in multiples(names, logits, labels, repeats).items():
        table.add_row(name, *(f"{each:.2f}" for each in found))
    return table


def cells(ours: Cost, theirs: Cost) -> list[str]:
    milliseconds = f"{ours.seconds * 1e3:.1f} / {theirs.seconds * 1e3:.1f}"
    megabytes = f"{ours.peak_bytes / 2**20:.0f} / {theirs.peak_bytes / 2**20:.0f}"
    time, memory = ours.seconds / theirs.seconds, ours.peak_bytes / max(theirs.peak_bytes, 1)
    return [milliseconds, f"{time:.2f}", megabytes, f"{memory:.3f}"]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("losses", nargs="*", metavar="LOSS", help=f"some of {', '.join(LOSSES)}")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--threads", type=int, default=None)
    parser.add_argument("--shape", default="2x19x512x1024", help="of the logits in the table of multiples")
    parser.add_argument("--multiples", action="store_true", help="print the table of multiples alone")
    arguments = parser.parse_args()
    if arguments.threads:
        torch.set_num_threads(arguments.threads)
    threads = torch.get_num_threads()
    print(f"{described()}, {threads} thread{'s' if threads > 1 else ''}")
    n, c, h, w = map(int, arguments.shape.split("x"))
    names = arguments.losses or (*LOSSES, *SOFTMAX)
    Console().print(multiples_table(names, (n, c, h, w), arguments.device, arguments.repeats))
    for shape in () if arguments.multiples else SHAPES:
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
