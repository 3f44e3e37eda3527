"""Ultralytics, task semantic: ``python benchmarks/peers/ultralytics_semantic.py``, with ultralytics==8.4.190 or 8.4.65.

From 8.4.66 on the mean is over the labelled classes; before, over all, an empty union counting 0.
"""

from importlib.metadata import version
from typing import Any

import torch
from recording import Case, record, region_cases
from ultralytics.utils.metrics import SemanticMetrics


def semantic(case: Case) -> dict[str, Any]:
    """Return what the validator prints, from label maps at one size."""
    peer = SemanticMetrics({index: f"class {index}" for index in range(case.classes)})
    for labels, predicted in case.pairs:
        maps = (torch.from_numpy(values)[None].int() for values in (predicted, labels))
        peer.update_stats(*maps)
    peer.process()
    return {"miou": peer.miou, "iou": peer.per_class_iou, "pixel_accuracy": peer.pixel_accuracy}


if __name__ == "__main__":
    found = version("ultralytics")
    early = tuple(map(int, found.split("."))) < (8, 4, 66)
    record("ultralytics-8.4.65" if early else "ultralytics", found, region_cases(), semantic)
