"""Time and peak memory of the pairwise losses and of Auto Seg-Loss, as in ``losses.py``.

    python benchmarks/pairwise.py [--device cuda] [--repeats 3] [--threads 1] [NAME ...]

The published procedures keep a value for every pair or window, so that each loss has a smaller scene of its own. Values
must be equal; ratios below 1 favour this program.
"""

import argparse
from functools import partial
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from losses import cells, forward, forward_backward, make_scene, reference, reference_module
from rich.console import Console
from rich.table import Table

from segablate.ablation.cost import measure_costs
from segablate.losses import get_loss


class Case(NamedTuple):
    """A loss on a scene N C H W; ``settings`` for both, ``theirs`` for the published one; channels of ``features``."""

    name: str
    shape: tuple[int, int, int, int]
    settings: dict[str, Any] = {}  # noqa: RUF012
    theirs: dict[str, Any] = {}  # noqa: RUF012
    features: int = 0


product_of_roots = reference_module("ar").product_of_roots

CASES = (
    Case("asl", (1, 19, 512, 1024)),
    Case("ar", (1, 11, 360, 480), {"scales": (8,)}),
    Case("ar", (1, 11, 360, 480), {"scales": (8,)}, theirs={"affinities": product_of_roots}),
    Case("ar", (1, 11, 360, 480), {"scales": (4,)}, theirs={"affinities": product_of_roots}),
    Case("ar", (1, 11, 360, 480), {"scales": (8,), "penalty": "l1"}),
    Case("dense_crf", (1, 21, 64, 64), {"scale": 1.0}),
    Case("dense_crf", (1, 21, 128, 128), {"scale": 1.0}),
    Case("dfr", (1, 11, 96, 128), {"radius": 3}, features=16),
    Case("dfr", (1, 11, 96, 128), {"radius": 5}, features=16),
    Case("dfr", (1, 11, 180, 240), {"radius": 5}, features=16),
)


def make_inputs(case: Case, device: str) -> dict[str, torch.Tensor]:
    """Return a photo-like image, and features on an eighth of the grid, for losses that need them."""
    generator = torch.Generator().manual_seed(2)
    n, _, h, w = case.shape
    inputs = {}
    if "image" in get_loss(case.name).inputs:
        smooth = F.interpolate(torch.rand(n, 3, h // 16, w // 16, generator=generator), (h, w), mode="bilinear")
        inputs["image"] = (235 * smooth + 20 * torch.rand(n, 3, h, w, generator=generator)).to(device)
    if case.features:
        inputs["features"] = torch.randn(n, case.features, h // 8, w // 8, generator=generator).to(device) / 2
    return inputs


def compare(case: Case, device: str, repeats: int) -> list[list[str]]:
    """Return the cells of two rows: forward, forward and backward."""
    logits, labels = make_scene(case.shape, device)
    options = case.settings | make_inputs(case, device)
    ours = partial(get_loss(case.name), **options)
    theirs = partial(reference(case.name), **options, **case.theirs)
    torch.testing.assert_close(ours(logits, labels), theirs(logits, labels), rtol=1e-3, atol=1e-6)
    calls = [f(loss, logits, labels) for f in (forward, forward_backward) for loss in (ours, theirs)]
    costs = measure_costs(calls, repeats, logits.device)
    return [cells(costs[0], costs[1]), cells(costs[2], costs[3])]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", metavar="NAME", help="some of asl, ar, dense_crf, dfr")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--threads", type=int, default=None)
    arguments = parser.parse_args()
    if arguments.threads:
        torch.set_num_threads(arguments.threads)
    table = Table(title=f"on {arguments.device}: this program / published")
    for heading in ("loss", "scene", "pass", "ms", "ratio", "MiB", "ratio"):
        table.add_column(heading, justify="right" if heading in ("ms", "ratio", "MiB") else "left")
    for case in CASES:
        if arguments.names and case.name not in arguments.names:
            continue
        stated = case.settings | {name: function.__name__ for name, function in case.theirs.items()}
        settings = ", ".join(f"{name}={value}" for name, value in stated.items())
        rows = compare(case, arguments.device, arguments.repeats)
        for title, row in zip(("forward", "forward + backward"), rows, strict=True):
            table.add_row(f"{case.name} {settings}", "×".join(map(str, case.shape)), title, *row)
    Console().print(table)


if __name__ == "__main__":
    main()
