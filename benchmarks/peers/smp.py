"""segmentation_models.pytorch: ``python benchmarks/peers/smp.py``, with segmentation-models-pytorch==0.6.0."""

from importlib.metadata import version
from importlib.util import find_spec, module_from_spec, spec_from_file_location
from pathlib import Path
from typing import Any

import torch
from recording import VOID, Case, record, region_cases


def metrics() -> Any:
    """Import only the file of its metrics: the package itself needs a working torchvision."""
    package = find_spec("segmentation_models_pytorch")
    assert package is not None
    assert package.origin is not None
    spec = spec_from_file_location("smp_metrics", Path(package.origin).parent / "metrics" / "functional.py")
    assert spec is not None
    assert spec.loader is not None
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def smp(case: Case) -> dict[str, Any]:
    """Return macro IoU and recall and micro accuracy, with its default for absent classes."""
    peer = metrics()
    pairs = [[torch.from_numpy(values)[None].long() for values in pair] for pair in case.pairs]
    stats = [
        peer.get_stats(predicted, labels, mode="multiclass", ignore_index=VOID, num_classes=case.classes)
        for labels, predicted in pairs
    ]
    sums = [torch.cat(column).sum(dim=0, keepdim=True) for column in zip(*stats, strict=True)]
    return {
        "miou": peer.iou_score(*sums, reduction="macro"),
        "iou": peer.iou_score(*sums, reduction="none")[0],
        "mean_recall": peer.recall(*sums, reduction="macro"),
        "pixel_accuracy": peer.accuracy(*sums, reduction="micro"),
    }


if __name__ == "__main__":
    record("smp", version("segmentation-models-pytorch"), region_cases(), smp)
