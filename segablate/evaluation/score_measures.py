"""Measures of the scores of a network, counted on their device; only counts are copied to the host.

Beside confusion counts: losses, calibration, the ranking of two classes, boundaries. The predicted label map is copied
to the host where it is written, or where a measure exists for the host only.
"""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np

from segablate.errors import CheckpointError
from segablate.evaluation.alignment import Alignment
from segablate.evaluation.measures import Measures, counts_at_boundaries, further_counts, record_of, write_predicted
from segablate.evaluation.remarks import INFINITE
from segablate.evaluation.results import ImageRecord
from segablate.kernels.confusion import count_confusion_of_batch
from segablate.labels import LabelSet
from segablate.metrics import boundary_iou
from segablate.metrics.bands import STATISTIC as BANDS
from segablate.metrics.bands import band_map, count_by_distance_on_device, nested_bands
from segablate.metrics.boundary import BoundaryCounts, count_boundaries_on_device
from segablate.metrics.calibration import count_calibration
from segablate.metrics.roc import STATISTIC as RANKING
from segablate.metrics.roc import count_scores
from segablate.samples import Batch, LossInputs, Output, Sample

if TYPE_CHECKING:
    from torch import Tensor

LARGE = 1e4
"""The least that infinite scores are measured as, positive or negative."""


def measure_scores(
    batch: Batch, output: Output, alignment: Alignment, labels: LabelSet, measures: Measures
) -> Iterator[ImageRecord]:
    """Measure the output of a network for a batch, image by image. CheckpointError where it is NaN."""
    import torch

    assert output.scores is not None
    scores, infinite = without_infinities(output.scores)
    predicted, highest = highest_scores(scores, alignment)
    if bool(highest.isnan().any()):
        broken = [s.name for s, score in zip(batch.samples, highest, strict=True) if bool(score.isnan().any())]
        raise CheckpointError(f"the output of the network is NaN for {broken[0]}; check its weights and preprocessing")
    truth = torch.from_numpy(batch.labels).to(scores.device)
    counts = count_confusion_of_batch(truth, predicted, len(labels)).cpu().numpy()
    logits = class_logits(scores, output.kind, alignment) if measures.of_scores or len(labels) == 2 else scores
    on_host = predicted.cpu().numpy() if measures.on_host else None
    at_boundaries = _at_boundaries_on_host if truth.device.type == "cpu" else _at_boundaries_on_device
    for place, sample in enumerate(batch.samples):
        boundary, statistics = at_boundaries(truth[place], predicted[place], len(labels), measures)
        statistics |= {INFINITE: np.array(infinite[place], np.int64)}
        if on_host is not None:
            write_predicted(sample, on_host[place], labels, measures)
            statistics |= further_counts(sample, on_host[place], labels, measures)
        if measures.tolerances or measures.calibration:
            bands = torch.from_numpy(band_map(nested_bands(sample.labels))).to(scores.device)
            maps = (truth[place], predicted[place], bands)
            statistics |= {BANDS: count_by_distance_on_device(*maps)}
            if measures.calibration:
                statistics |= count_calibration(logits[place], output.kind, maps, len(labels))
        if len(labels) == 2:
            statistics |= {RANKING: count_scores(logits[place], truth[place])}
        wanted = measures.losses or measures.probe
        inputs = _loss_inputs(sample, output, logits, place, len(labels), measures) if wanted else None
        yield record_of(
            sample,
            counts[place],
            values=_loss_values(inputs, measures) if inputs else {},
            boundary=boundary,
            statistics=statistics,
            probed=measures.probe(inputs) if measures.probe and inputs else {},
        )


def without_infinities(scores: "Tensor") -> "tuple[Tensor, list[int]]":
    """Return scores (N, K, H, W) without infinite ones, and the number of pixels that had one in each image.

    Losses and calibration would be undefined, or infinite over the whole set. In their place is twice the largest
    finite score of the image, and at least :data:`LARGE`, at which a softmax is exactly that of infinite ones.
    """
    import torch

    if bool(scores.sum(dtype=scores.dtype).isfinite()):  # one pass; all others are rare
        return scores, [0] * len(scores)
    pixels = scores.isinf().any(dim=1).sum(dim=(1, 2)).tolist()
    if not any(pixels):
        return scores, pixels
    finite = scores.where(scores.isfinite(), 0).abs().amax(dim=(1, 2, 3), keepdim=True)
    large = (2 * finite).clamp(LARGE, torch.finfo(scores.dtype).max)
    return scores.where(scores.isfinite() | scores.isnan(), scores.sign() * large), pixels


def _at_boundaries_on_host(
    labels: "Tensor", predicted: "Tensor", classes: int, measures: Measures
) -> tuple[BoundaryCounts | None, dict[str, Any]]:
    return counts_at_boundaries(labels.numpy(), predicted.numpy(), classes, measures)


def _at_boundaries_on_device(
    labels: "Tensor", predicted: "Tensor", classes: int, measures: Measures
) -> tuple[BoundaryCounts | None, dict[str, Any]]:
    """Do as :func:`counts_at_boundaries` for tensors on a GPU; only counts are copied to the host."""
    tolerances, band = measures.tolerances, measures.boundary_iou
    boundary = count_boundaries_on_device(labels, predicted, classes, tolerances) if tolerances else None
    bands = boundary_iou.count_boundary_iou_on_device(labels, predicted, classes, band) if band else None
    return boundary, {} if bands is None else {boundary_iou.STATISTIC: bands}


def highest_scores(scores: "Tensor", alignment: Alignment) -> "tuple[Tensor, Tensor]":
    """Return the classes of the highest of the scores (N, K, H, W), and these scores, (N, H, W) each.

    Of equal scores the first counts. Classes are uint8, 255 for outputs without a class; a score is NaN where any of
    the K is. Plane by plane, which on the CPU is many times faster than a reduction over a dimension that is not last.
    """
    import torch

    classes = alignment.table.tolist()
    highest = scores[:, 0].clone()
    predicted = torch.full_like(highest, classes[0], dtype=torch.uint8)
    for plane, index in zip(scores.unbind(1)[1:], classes[1:], strict=True):
        predicted.masked_fill_(plane > highest, index)
        torch.maximum(highest, plane, out=highest)
    return predicted, highest


def class_logits(scores: "Tensor", kind: str, alignment: Alignment) -> "Tensor":
    """Return logits (N, K', H, W) whose first C channels are the classes; outputs without a class follow.

    Probabilities become their logarithm. Outputs of one class are merged by log-sum-exp, which is exact for a softmax.
    """
    import torch

    logits = scores.clamp_min(torch.finfo(scores.dtype).tiny).log() if kind == "probabilities" else scores
    if alignment.leading:
        return logits
    outside = [output for output, index in enumerate(alignment.outputs) if index is None]
    classes = []
    for wanted in range(alignment.classes):
        outputs = [output for output, index in enumerate(alignment.outputs) if index == wanted]
        classes.append(logits[:, outputs].logsumexp(dim=1, keepdim=True) if len(outputs) > 1 else logits[:, outputs])
    return torch.cat([*classes, logits[:, outside]], dim=1)


def _loss_inputs(
    sample: Sample, output: Output, logits: "Tensor", place: int, classes: int, measures: Measures
) -> LossInputs:
    """Return the inputs of losses for one image. Tensors are copies: those of inference mode take no gradient."""
    import torch

    inputs = dict(measures.inputs)
    if sample.image is not None:
        inputs["image"] = torch.from_numpy(sample.image).to(logits.device).permute(2, 0, 1)[None].float()
    if output.features is not None:
        inputs["features"] = output.features[place : place + 1].clone()
    if "edge_net" in inputs and logits.shape[1] > classes:
        inputs["edge_net"] = widened_edges(inputs["edge_net"], logits.shape[1] - classes)
    labels = torch.from_numpy(sample.labels).to(logits.device)[None].long()
    one_channel = output.one_channel and logits.shape[1] == 2  # else both outputs are joined in one class
    scores = logits[place : place + 1].clone()
    return LossInputs(scores, labels, sample.labels, classes, inputs, one_channel, sample.index)


def widened_edges(edge_net: Any, surplus: int) -> Any:
    """Return the edge network with zero weights for the `surplus` outputs that have no class."""
    from torch.nn.functional import pad

    (weight, bias), *rest = edge_net
    return (pad(weight, (0, 0, 0, 0, 0, surplus)), bias), *rest


def _loss_values(inputs: LossInputs, measures: Measures) -> dict[str, float]:
    import torch

    values = {}
    for name, loss in measures.losses.items():
        further = {key: value for key, value in inputs.inputs.items() if key in loss.inputs}
        with torch.no_grad():
            parts = loss.parts(inputs.read_by(loss.reads({})), inputs.labels, **further)
        values[name] = float(parts.value) if parts.defined else float("nan")
    return values
