"""What is measured on the scores of a network, on their device: only counts come back to the host.

Beside confusion counts: losses, calibration, the ranking of two classes, what lies at boundaries. The predicted label
map comes to the host where it is to be written, or counted in a way that has a form for the host alone.
"""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from segablate.errors import CheckpointError
from segablate.evaluation.alignment import Alignment
from segablate.evaluation.measures import Measures, counts_at_boundaries, further_counts, record_of, write_predicted
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


def measure_scores(
    batch: Batch, output: Output, alignment: Alignment, labels: LabelSet, measures: Measures
) -> Iterator[ImageRecord]:
    """The output of a network for a batch, image by image. CheckpointError where it is NaN."""
    import torch

    scores = output.scores
    assert scores is not None
    predicted, highest = highest_scores(scores, alignment)
    if bool(highest.isnan().any()):
        broken = [s.name for s, score in zip(batch.samples, highest, strict=True) if bool(score.isnan().any())]
        raise CheckpointError(f"the network gives NaN on {broken[0]}; its weights or its preprocessing are broken")
    truth = torch.from_numpy(batch.labels).to(scores.device)
    counts = count_confusion_of_batch(truth, predicted, len(labels)).cpu().numpy()
    logits = class_logits(scores, output.kind, alignment) if measures.of_scores or len(labels) == 2 else scores
    on_host = predicted.cpu().numpy() if measures.on_host else None
    at_boundaries = _at_boundaries_on_host if truth.device.type == "cpu" else _at_boundaries_on_device
    for place, sample in enumerate(batch.samples):
        boundary, statistics = at_boundaries(truth[place], predicted[place], len(labels), measures)
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
        scene = _loss_inputs(sample, output, logits, place, len(labels), measures) if wanted else None
        yield record_of(
            sample,
            counts[place],
            values=_loss_values(scene, measures) if scene else {},
            boundary=boundary,
            statistics=statistics,
            probed=measures.probe(scene) if measures.probe and scene else {},
        )


def _at_boundaries_on_host(
    labels: "Tensor", predicted: "Tensor", classes: int, measures: Measures
) -> tuple[BoundaryCounts | None, dict[str, Any]]:
    return counts_at_boundaries(labels.numpy(), predicted.numpy(), classes, measures)


def _at_boundaries_on_device(
    labels: "Tensor", predicted: "Tensor", classes: int, measures: Measures
) -> tuple[BoundaryCounts | None, dict[str, Any]]:
    """As :func:`counts_at_boundaries`, of tensors on a GPU; only counts come to the host."""
    tolerances, band = measures.tolerances, measures.boundary_iou
    boundary = count_boundaries_on_device(labels, predicted, classes, tolerances) if tolerances else None
    bands = boundary_iou.count_boundary_iou_on_device(labels, predicted, classes, band) if band else None
    return boundary, {} if bands is None else {boundary_iou.STATISTIC: bands}


def highest_scores(scores: "Tensor", alignment: Alignment) -> "tuple[Tensor, Tensor]":
    """The classes of the highest scores of N, K, H, W and these scores, N, H, W each; of equals the first.

    Classes are uint8, 255 outside the label set; a score is NaN where any of the K is. Plane by plane, many times
    faster on the CPU than a reduction over a dimension that is not the last.
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
    """Logits N, K', H, W whose first C channels are the classes; outputs outside the label set follow.

    Probabilities become their logarithm. Outputs that mean one class are joined by log-sum-exp, which is exact for a
    softmax.
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
    """One image of a batch as losses see it. Tensors are copies, as those of inference mode take no gradient."""
    import torch

    inputs = dict(measures.inputs)
    if sample.image is not None:
        inputs["image"] = torch.from_numpy(sample.image).to(logits.device).permute(2, 0, 1)[None].float()
    if output.features is not None:
        inputs["features"] = output.features[place : place + 1].clone()
    if "edge_net" in inputs and logits.shape[1] > classes:
        inputs["edge_net"] = _widened(inputs["edge_net"], logits.shape[1] - classes)
    labels = torch.from_numpy(sample.labels).to(logits.device)[None].long()
    one_channel = output.one_channel and logits.shape[1] == 2  # else both outputs are joined in one class
    return LossInputs(logits[place : place + 1].clone(), labels, sample.labels, classes, inputs, one_channel)


def _widened(edge_net: Any, surplus: int) -> Any:
    """An edge network to whose edges outputs outside the label set add nothing: their weights are 0."""
    from torch.nn.functional import pad

    (weight, bias), *rest = edge_net
    return (pad(weight, (0, 0, 0, 0, 0, surplus)), bias), *rest


def _loss_values(scene: LossInputs, measures: Measures) -> dict[str, float]:
    import torch

    values = {}
    for name, loss in measures.losses.items():
        inputs = {key: value for key, value in scene.inputs.items() if key in loss.inputs}
        with torch.no_grad():
            parts = loss.parts(scene.read_by(loss.reads({})), scene.labels, **inputs)
        values[name] = float(parts.value) if parts.defined else float("nan")
    return values
