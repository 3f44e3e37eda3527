"""Time of a sweep relative to one evaluation with the same loss.

    python benchmarks/ablate.py [CHECKPOINT DATASET] [--images 8] [--gradient-images 24] [--repeats 3] [--sweep NAME]

Both run the whole loop over the same images in this process: reading, network, counts, boundary distances and losses;
starting the program, intervals and tables are not counted. The runs take turns, and the fastest of each counts, as
other load only adds time. Without a GPU, time is processor time. Gradients are measured on all images, and on some as
`segablate ablate` does by default: 5 of 21 images are the share of 24 of 101, CamVid's validation split.
"""

import argparse
import time
from collections.abc import Callable

import torch

from segablate.ablation.gradients import gradient_images
from segablate.ablation.sweep import Setting, Sweep, plan_settings
from segablate.checkpoints import Loading, open_checkpoint
from segablate.checkpoints.segmenter import Segmenter
from segablate.datasets import Dataset, open_dataset
from segablate.evaluation.loop import Measures, evaluate
from segablate.losses import get_loss
from segablate.metrics.tolerance import Tolerance
from segablate.objective.weighted_sum import published_objective

SWEEPS = {
    "rmi, 5 radii": ("rmi", {"radius": (1, 2, 3, 4, 5)}),
    "rmi, 5 radii × 4 ridges": ("rmi", {"radius": (1, 2, 3, 4, 5), "alpha": (1e-5, 1e-4, 5e-4, 1e-3)}),
    "recall, 5 × 4 priors": ("recall", {"prior_misses": (0, 1, 10, 100, 1000), "prior_hits": (0, 10, 100, 1000)}),
    "cpg, 3 kernels × 5 widths": ("cpg", {"ksize": (3, 5, 7), "width": ("official", 1, 2, 3, "all")}),
    "rmi, every hyperparameter": ("rmi", {}),
    "recall, every hyperparameter": ("recall", {}),
    "cpg, every hyperparameter": ("cpg", {}),
}


def runs(
    segmenter: Segmenter, data: Dataset, name: str, settings: tuple[Setting, ...], few: int
) -> dict[str, Callable[[], object]]:
    """Return one evaluation with the loss, the sweep forward only, with gradients of few images, and with all."""
    term = get_loss(name)
    tolerance = (Tolerance(3),)
    objective = published_objective(term)

    def run(measures: Measures) -> Callable[[], object]:
        return lambda: evaluate(segmenter, data, measures)

    return {
        "evaluate": run(Measures({name: term}, tolerance)),
        "forward": run(Measures({}, tolerance, probe=Sweep(term, settings, objective, gradients=False))),
        "few": run(
            Measures({}, tolerance, probe=Sweep(term, settings, objective, only=gradient_images(len(data), few)))
        ),
        "gradients": run(Measures({}, tolerance, probe=Sweep(term, settings, objective))),
    }


def quickest(functions: dict[str, Callable[[], object]], repeats: int) -> dict[str, float]:
    """Return the seconds of each, the least of several turns."""
    clock = time.perf_counter if torch.cuda.is_available() else time.process_time
    seconds: dict[str, list[float]] = {name: [] for name in functions}
    for _ in range(repeats):
        for name, function in functions.items():
            start = clock()
            function()
            seconds[name].append(clock() - start)
    return {name: min(times) for name, times in seconds.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("checkpoint", nargs="?", default="sample:ce")
    parser.add_argument("dataset", nargs="?", default="sample")
    parser.add_argument("--images", type=int, default=8)
    parser.add_argument("--gradient-images", type=int, default=24)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--trust-code", action="store_true", help="run the code that a card names")
    parser.add_argument("--sweep", nargs="+", choices=SWEEPS, default=[*SWEEPS])
    arguments = parser.parse_args()
    segmenter = open_checkpoint(arguments.checkpoint, Loading(trust_code=arguments.trust_code))
    data = open_dataset(arguments.dataset, "val").evenly(arguments.images)
    print(f"{arguments.checkpoint} on {arguments.dataset}, {len(data)} images, {torch.get_num_threads()} threads")
    few = arguments.gradient_images
    print(f"{'sweep':28}{'settings':>10}{'evaluate':>14}{'forward':>10}{f'gradients: {few}':>15}{'all':>9}")
    for title in arguments.sweep:
        name, given = SWEEPS[title]
        settings = plan_settings(get_loss(name), given)
        seconds = quickest(runs(segmenter, data, name, settings, few), arguments.repeats)
        one = seconds["evaluate"]
        row = f"{title:28}{len(settings):>10}{1e3 * one / len(data):>9.1f} ms/i"
        multiples = (seconds[each] / one for each in ("forward", "few", "gradients"))
        print(
            row + "".join(f"{each:>{width}.2f}×" for each, width in zip(multiples, (9, 14, 8), strict=True)), flush=True
        )


if __name__ == "__main__":
    main()
