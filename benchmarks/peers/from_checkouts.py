"""Tools that are not packages: ``python benchmarks/peers/from_checkouts.py CHECKOUTS``.

CHECKOUTS holds clones of huggingface/evaluate, facebookresearch/detectron2, PaddlePaddle/PaddleSeg,
MIC-DKFZ/nnUNet, JdeRobot/PerceptionMetrics, zifuwanggg/JDTLosses, nv-tlabs/GSCNN,
CSAILVision/semantic-segmentation-pytorch, davisvideochallenge/davis2017-evaluation and bowenc0221/boundary-iou-api.
Single functions of theirs run unchanged; what they call in frameworks that are not installed, or by old names of NumPy
types, is passed to them. Needs torch, opencv-python-headless and scikit-image.
"""

import math
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Optional, Union

import cv2
import numpy as np
import torch
from recording import VOID, Case, boundary_cases, functions_of, record, region_cases

CHECKOUTS = Path(sys.argv[1] if len(sys.argv) > 1 else "checkouts")
TYPES = {"Dict": dict, "List": list, "Optional": Optional, "Tuple": tuple, "Union": Union}
OLD_NUMPY = SimpleNamespace(**{**vars(np), "float": float, "bool": bool})


def source(path: str, *names: str, **given: Any) -> SimpleNamespace:
    """Return functions of a file under CHECKOUTS."""
    found = functions_of(CHECKOUTS / path, names, {"np": np, "torch": torch, "cv2": cv2, **TYPES, **given})
    return SimpleNamespace(**found)


def hf_evaluate(case: Case) -> dict[str, Any]:
    """Run the kernel of the metric on the whole set; ``compute()`` only passes maps on."""
    names = "intersect_and_union", "total_intersect_and_union", "mean_iou"
    peer = source("evaluate/metrics/mean_iou/mean_iou.py", *names)
    labels, predicted = zip(*case.pairs, strict=True)
    found = peer.mean_iou(predicted, labels, case.classes, VOID)
    means = {"miou": "mean_iou", "mean_recall": "mean_accuracy", "pixel_accuracy": "overall_accuracy"}
    return {"iou": found["per_category_iou"], **{name: found[theirs] for name, theirs in means.items()}}


def detectron2(case: Case) -> dict[str, Any]:
    """Run ``process`` and ``evaluate`` of SemSegEvaluator, without its catalogue and its boundary matrix."""
    peer = source(
        "detectron2/detectron2/evaluation/sem_seg_evaluation.py",
        "SemSegEvaluator",
        DatasetEvaluator=object,
        np=OLD_NUMPY,
        load_image_into_numpy_array=None,
        OrderedDict=dict,
    )
    evaluator = object.__new__(peer.SemSegEvaluator)
    fields = {"_num_classes": case.classes, "_ignore_label": VOID, "_compute_boundary_iou": False}
    fields |= {"_distributed": False, "_output_dir": None, "_cpu_device": "cpu", "_logger": SimpleNamespace(info=id)}
    fields |= {"_class_names": [str(index) for index in range(case.classes)]}
    fields |= {"encode_json_sem_seg": lambda *_: [], "input_file_to_gt_file": dict(enumerate(range(len(case.pairs))))}
    vars(evaluator).update(fields, sem_seg_loading_fn=lambda place, dtype: case.pairs[place][0].astype(dtype))
    evaluator.reset()
    for place, (_, predicted) in enumerate(case.pairs):
        planes = torch.nn.functional.one_hot(torch.from_numpy(predicted).long()).permute(2, 0, 1).float()
        evaluator.process([{"file_name": place}], [{"sem_seg": planes}])
    found = {name: value / 100 for name, value in evaluator.evaluate()["sem_seg"].items()}
    iou = [found[f"IoU-{index}"] for index in range(case.classes)]
    return {"miou": found["mIoU"], "iou": iou, "mean_recall": found["mACC"], "pixel_accuracy": found["pACC"]}


def paddleseg(case: Case) -> dict[str, Any]:
    """Run ``calculate_area`` on each image and ``mean_iou`` on the sums, with torch in place of paddle."""
    types = {"int32": torch.int32, "int64": torch.int64}
    paddle = SimpleNamespace(
        logical_and=torch.logical_and,
        sum=lambda values: values.sum().reshape(1),
        cast=lambda values, kind: values.to(types[kind]),
        concat=torch.cat,
        stack=lambda values: torch.cat([value.reshape(1) for value in values]),
    )
    names = "calculate_area", "mean_iou", "class_measurement"
    peer = source("PaddleSeg/paddleseg/utils/metrics.py", *names, paddle=paddle)
    maps = [[torch.from_numpy(values).long()[None] for values in pair] for pair in case.pairs]
    areas = [peer.calculate_area(predicted, labels, case.classes, VOID) for labels, predicted in maps]
    sums = [sum(column) for column in zip(*areas, strict=True)]
    iou, miou = peer.mean_iou(*sums)
    return {"iou": iou, "miou": miou, "pixel_accuracy": peer.class_measurement(*sums)[0]}


def nnunet(case: Case) -> dict[str, Any]:
    """Run the evaluation of a folder, reading the case instead of files."""

    class Pool:
        def __init__(self, _: int) -> None: ...
        def __enter__(self) -> "Pool":
            return self

        def __exit__(self, *_: object) -> None: ...
        def starmap(self, function: Any, arguments: Any) -> list[Any]:
            return [function(*entry) for entry in arguments]

    reader = SimpleNamespace(read_seg=lambda at: (case.pairs[int(at[1:])][at[0] == "p"], {}))
    peer = source(
        "nnUNet/nnunetv2/evaluation/evaluate_predictions.py",
        "region_or_label_to_mask",
        "compute_tp_fp_fn_tn",
        "compute_metrics",
        "compute_metrics_on_folder",
        BaseReaderWriter=object,
        default_num_processes=1,
        multiprocessing=SimpleNamespace(get_context=lambda _: SimpleNamespace(Pool=Pool)),
        subfiles=lambda *_, **__: [str(place) for place in range(len(case.pairs))],
        join=lambda folder, name: folder + name,
        recursive_fix_for_json_export=id,
    )
    classes = list(range(case.classes))
    found = peer.compute_metrics_on_folder("l", "p", None, reader, "", classes, VOID)
    return {"iou": [found["mean"][index]["IoU"] for index in classes], "miou": found["foreground_mean"]["IoU"]}


def perception_metrics(case: Case) -> dict[str, Any]:
    """Run the factory of metrics, with valid pixels passed."""
    peer = source(
        "PerceptionMetrics/perceptionmetrics/utils/segmentation_metrics.py", "SegmentationMetricsFactory", math=math
    )
    factory = peer.SegmentationMetricsFactory(case.classes)
    for labels, predicted in case.pairs:
        factory.update(predicted.astype(int), labels.astype(int), labels != VOID)
    return {"iou": factory.get_iou(), "miou": factory.get_averaged_metric("iou", "macro")}


def csail(case: Case) -> dict[str, Any]:
    """Run the functions of its evaluation and the three lines of the script that sum them up."""
    names = "AverageMeter", "accuracy", "intersectionAndUnion"
    peer = source("semantic-segmentation-pytorch/mit_semseg/utils.py", *names)
    meters = [peer.AverageMeter() for _ in range(3)]
    for labels, predicted in case.pairs:
        shifted = np.where(labels == VOID, -1, labels.astype(int))
        meters[0].update(*peer.accuracy(predicted.astype(int), shifted))
        for meter, area in zip(
            meters[1:], peer.intersectionAndUnion(predicted.astype(int), shifted, case.classes), strict=True
        ):
            meter.update(area)
    iou = meters[1].sum / (meters[2].sum + 1e-10)
    return {"iou": iou, "miou": iou.mean(), "pixel_accuracy": meters[0].average()}


def jdt(case: Case) -> dict[str, Any]:
    """Return scores of the set, image-level and class-level scores and their worst tenths, as shares."""
    peer = source("JDTLosses/metrics/accuracy_metric.py", "AccuracyMetric", Metric=object, F=torch.nn.functional)
    metric = peer.AccuracyMetric(q=10, num_classes=case.classes, ignore_index=VOID)
    for labels, predicted in case.pairs:
        metric.add(torch.from_numpy(predicted)[None].long(), torch.from_numpy(labels)[None].long())
    found = {name: value / 100 for name, value in metric.value().items()}
    means = {"miou": "mIoUD", "mean_recall": "mAccD", "pixel_accuracy": "Acc"}
    image_level = ("mIoUI", "mIoUI10", "mIoUIQ", "mIoUC", "mIoUC10", "mIoUCQ")
    iou = metric.tp.sum(0) / (metric.tp + metric.fp + metric.fn).sum(0)
    named = {name: found[theirs] for name, theirs in means.items()}
    return {"iou": iou, **named, **{name: found[name] for name in image_level}}


def davis(case: Case) -> dict[str, Any]:
    """Return F of each class, averaged over images."""
    peer = source("davis2017-evaluation/davis2017/metrics.py", "f_measure", "_seg2bmap", math=math)
    cells = [
        [peer.f_measure((predicted == c) * 1, (labels == c) * 1, labels == VOID) for c in range(case.classes)]
        for labels, predicted in case.pairs
    ]
    return {"0.008d": np.mean(cells, axis=0)}


def gscnn(case: Case) -> dict[str, Any]:
    """Return the boundary F of each class, averaged over images, at its four shares of the diagonal."""
    names = "db_eval_boundary", "seg2bmap"
    peer = source("GSCNN/utils/f_boundary.py", *names, np=OLD_NUMPY)
    found = {}
    for share in (0.0005, 0.001875, 0.00375, 0.005):
        cells = [
            [
                peer.db_eval_boundary(
                    (predicted == index).astype(np.uint8), (labels == index).astype(np.uint8), labels == VOID, share
                )[0]
                for index in range(case.classes)
            ]
            for labels, predicted in case.pairs
        ]
        found[f"{share:g}d"] = np.mean(cells, axis=0)
    return found


def boundary_iou_api(case: Case) -> dict[str, Any]:
    """Return the pooled IoU of the boundary masks of each class, in pixels that are not void."""
    peer = source("boundary-iou-api/boundary_iou/utils/boundary_utils.py", "mask_to_boundary")
    areas = np.zeros((2, case.classes))
    for labels, predicted in case.pairs:
        for index in range(case.classes):
            masks = ((values == index).astype(np.uint8) for values in (predicted, labels))
            found, wanted = (peer.mask_to_boundary(mask) & (labels != VOID) for mask in masks)
            areas[:, index] += (found & wanted).sum(), (found | wanted).sum()
    return {"0.02d": areas[0] / areas[1]}


if __name__ == "__main__":
    regions = region_cases()
    record("hf-evaluate", "evaluate 0.4.7.dev0", regions, hf_evaluate)
    record("detectron2", "02b5c4e2 (2026-06-06)", regions, detectron2)
    record("paddleseg", "d7975e7c (2024-10-18)", regions, paddleseg)
    record("nnunet", "0e495086 (2026-07-13)", regions, nnunet)
    record("perception-metrics", "5663a9ad (2026-06-10)", regions, perception_metrics)
    record("csail", "8f27c9b (2020-10-31)", regions, csail)
    record("jdt", "2024", regions, jdt)
    record("davis", "2017", boundary_cases(), davis)
    record("gscnn", "edd16c5 (2023-10-23)", boundary_cases(), gscnn)
    record("boundary-iou-api", "2021", boundary_cases(), boundary_iou_api)
