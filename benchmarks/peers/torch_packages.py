"""torchmetrics, MONAI, kornia and mmsegmentation: ``python benchmarks/peers/torch_packages.py``.

Needs torchmetrics==1.9.0 monai==1.6.1 kornia==0.9.0 scipy mmengine==0.10.7 ftfy regex prettytable, and, without their
dependencies, mmcv-lite==2.1.0 and mmsegmentation==1.2.2. torchvision must not be installed.
"""

from importlib.metadata import version
from types import SimpleNamespace
from typing import Any

import numpy as np
import torch
from kornia.metrics import mean_iou as kornia_mean_iou
from mmseg.evaluation import IoUMetric
from monai.metrics.meaniou import MeanIoU as MonaiMeanIoU
from monai.metrics.surface_dice import SurfaceDiceMetric
from recording import VOID, Case, boundary_cases, record, region_cases
from torch import Tensor
from torchmetrics.classification import MulticlassJaccardIndex
from torchmetrics.segmentation import MeanIoU

TOLERANCES = (1.0, 2.0, 3.5)


def tensors(case: Case) -> list[tuple[Tensor, Tensor]]:
    """Return labels and predictions of each image, 1 H W int64."""
    return [
        (torch.from_numpy(labels)[None].long(), torch.from_numpy(predicted)[None].long())
        for labels, predicted in case.pairs
    ]


def one_hot(values: Tensor, labels: Tensor, classes: int) -> Tensor:
    """Return one-hot maps, 1 C H W; 0 on void and where a value is not a class."""
    planes = values[:, None] == torch.arange(classes).view(1, -1, 1, 1)
    return planes & (labels != VOID)[:, None]


def jaccard(case: Case) -> dict[str, Any]:
    """Return the macro average over the set, and the values of the classes."""
    found = {}
    for name, average in (("miou", "macro"), ("iou", "none")):
        metric = MulticlassJaccardIndex(case.classes, average=average, ignore_index=VOID)
        for labels, predicted in tensors(case):
            metric.update(predicted, labels)
        found[name] = metric.compute()
    return found


def mean_iou_of_indices(case: Case) -> dict[str, Any]:
    """Return the metric on label maps, which has no ignored label."""
    found = {}
    for name, per_class in (("miou", False), ("iou", True)):
        metric = MeanIoU(case.classes, per_class=per_class, input_format="index")
        for labels, predicted in tensors(case):
            metric.update(predicted, labels)
        found[name] = metric.compute()
    return found


def mean_iou_of_planes(case: Case) -> dict[str, Any]:
    """Return the metric on one-hot maps that are 0 on void."""
    found = {}
    for name, per_class in (("miou", False), ("iou", True)):
        metric = MeanIoU(case.classes, per_class=per_class, input_format="one-hot")
        for labels, predicted in tensors(case):
            metric.update(one_hot(predicted, labels, case.classes), one_hot(labels, labels, case.classes))
        found[name] = metric.compute()
    return found


def monai_iou(case: Case, ignore_empty: bool) -> dict[str, Any]:
    """Return MeanIoU on one-hot maps that are 0 on void; its 0 for no counts is recorded as undefined."""
    metric = MonaiMeanIoU(ignore_empty=ignore_empty, get_not_nans=True)
    for labels, predicted in tensors(case):
        planes = (one_hot(values, labels, case.classes).float() for values in (predicted, labels))
        metric(y_pred=next(planes), y=next(planes))
    return {"miou": defined(*metric.aggregate("mean")), "iou": defined(*metric.aggregate("mean_batch"))}


def monai_nsd(case: Case) -> dict[str, Any]:
    """Return the surface Dice of all classes at each tolerance."""
    found = {}
    for tolerance in TOLERANCES:
        metric = SurfaceDiceMetric([tolerance] * case.classes, include_background=True, get_not_nans=True)
        for labels, predicted in tensors(case):
            planes = (one_hot(values, labels, case.classes).float() for values in (predicted, labels))
            metric(y_pred=next(planes), y=next(planes))
        found[f"{tolerance:g}"] = defined(*metric.aggregate("mean_batch"))
    return found


def defined(values: Tensor, counted: Tensor) -> np.ndarray:
    """Return MONAI's values, nan where it counted nothing."""
    return torch.where(counted > 0, values, torch.nan).squeeze().numpy()


def kornia(case: Case) -> dict[str, Any]:
    """Return the IoU of each class in each image, averaged."""
    cells = torch.cat([kornia_mean_iou(predicted, labels, case.classes) for labels, predicted in tensors(case)])
    return {"miou": cells.mean(), "iou": cells.mean(dim=0)}


def mmseg(case: Case) -> dict[str, Any]:
    """Return the scores of IoUMetric before rounding."""
    metric = IoUMetric(ignore_index=VOID, iou_metrics=["mIoU"])
    metric.dataset_meta = {"classes": range(case.classes)}
    for labels, predicted in tensors(case):
        sample = {"pred_sem_seg": {"data": predicted}, "gt_sem_seg": {"data": labels}}
        metric.process({}, [sample])
    areas = [sum(column) for column in zip(*metric.results, strict=True)]
    scores = SimpleNamespace(**IoUMetric.total_area_to_metrics(*areas, ["mIoU"]))
    means = {"miou": np.nanmean(scores.IoU), "mean_recall": np.nanmean(scores.Acc), "pixel_accuracy": scores.aAcc}
    return {"iou": scores.IoU, **means}


if __name__ == "__main__":
    regions, boundaries = region_cases(), boundary_cases()
    record("torchmetrics", version("torchmetrics"), regions, jaccard)
    record("torchmetrics-mean-iou", version("torchmetrics"), regions, mean_iou_of_indices)
    record("torchmetrics-one-hot", version("torchmetrics"), regions, mean_iou_of_planes)
    record("monai", version("monai"), regions, lambda case: monai_iou(case, True))
    record("monai-keep-empty", version("monai"), regions, lambda case: monai_iou(case, False))
    record("monai-nsd", version("monai"), boundaries, monai_nsd)
    record("kornia", version("kornia"), regions, kornia)
    record("mmseg", version("mmsegmentation"), regions, mmseg)
