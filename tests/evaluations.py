"""Small evaluations of made-up label maps, counted as the program counts."""

from collections.abc import Mapping, Sequence

import numpy as np

from segablate.evaluation.results import Evaluation, ImageRecord, Skipped, collect
from segablate.labels import IGNORE, LabelSet
from segablate.metrics.boundary import count_boundaries
from segablate.metrics.confusion import Confusion, count_confusion
from segablate.metrics.tolerance import Tolerance

LABELS = LabelSet("toy", ("road", "car", "tree"), ((0,), (1,), (2,)), colours=((1, 2, 3), (4, 5, 6), (7, 8, 9)))
TOLERANCES = (Tolerance(1), Tolerance(2))

Maps = Sequence[np.ndarray]


def truth(images: int, seed: int = 0, size: tuple[int, int] = (12, 14)) -> list[np.ndarray]:
    """Label maps in blocks, with some void."""
    rng = np.random.default_rng(seed)
    maps = [rng.integers(0, 3, (3, 7), np.uint8).repeat(4, 0).repeat(2, 1)[: size[0], : size[1]] for _ in range(images)]
    for labels in maps:
        labels[rng.random(labels.shape) < 0.05] = IGNORE
    return maps


def noisy(maps: Maps, share: float, seed: int) -> list[np.ndarray]:
    """Predictions that are wrong on about this share of pixels; 3 lies outside the label set."""
    rng = np.random.default_rng(seed)
    return [np.where(rng.random(m.shape) < share, rng.integers(0, 4, m.shape), m % 3).astype(np.uint8) for m in maps]


def evaluation(
    maps: Maps,
    predicted: Maps,
    name: str = "net",
    values: Mapping[str, Sequence[float]] | None = None,
    tolerances: Sequence[Tolerance] = TOLERANCES,
    labels: LabelSet = LABELS,
) -> Evaluation:
    """Counts of predictions (H, W each) against label maps; images are called i0, i1, ..."""
    records = [
        ImageRecord(
            index,
            f"i{index}",
            (truth.shape[0], truth.shape[1]),
            f"{index:016x}",
            Confusion.from_dense([count_confusion(truth, found, len(labels))], len(labels)),
            {loss: column[index] for loss, column in (values or {}).items()},
            count_boundaries(truth, found, len(labels), tolerances) if tolerances else None,
        )
        for index, (truth, found) in enumerate(zip(maps, predicted, strict=True))
    ]
    facts = {
        "checkpoint": {"name": name, "preprocessing": f"of {name}", "files": {}},
        "dataset": {"name": "toy", "split": "val", "images": len(maps), "label set": labels.name},
        "measures": {"losses": {}, "tolerances": [str(tolerance) for tolerance in tolerances]},
        "versions": {"segablate": "0"},
    }
    return collect(records, labels, facts=facts, notes=("a note",), skipped=(Skipped("i99", "broken"),))
