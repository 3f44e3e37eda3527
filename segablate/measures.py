"""What is measured on one image: confusion counts, boundary distances, calibration, losses, whatever is asked for.

A network's output is counted on its device; only counts come back to the host, and the label map where boundaries are
wanted.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from segablate.alignment import Alignment
from segablate.errors import CheckpointError
from segablate.files import write_label_map
from segablate.labels import LabelSet
from segablate.metrics.bands import TALLY as BANDS
from segablate.metrics.bands import band_map, count_bands, count_bands_on_device, nested_bands
from segablate.metrics.boundary import BoundaryCounts, count_boundaries
from segablate.metrics.calibration import count_calibration
from segablate.metrics.confusion import count_confusion
from segablate.metrics.tolerance import Tolerance
from segablate.results import ImageRecord
from segablate.samples import Batch, Output, Sample, Scene

if TYPE_CHECKING:
    from torch import Tensor

    from segablate.losses import Term

Probe = Callable[[Scene], Mapping[str, np.ndarray]]
"""Whatever else is to be measured on the output for one image: arrays by name, of the same shapes for every image."""


@dataclass(frozen=True)
class Measures:
    """What is measured on every image beside confusion counts.

    - `losses`: terms by the name under which their values are kept.
    - `tolerances`: boundary distances are counted so that these and all smaller ones can be read off; may be empty.
    - `calibration`: where there are scores, see :func:`segablate.metrics.calibration.count_calibration`.
    - `predictions`: a folder into which the predicted label maps are written, as PNG of the dataset's codes.
    - `reads`: by which activation, softmax or sigmoid, each loss reads the logits; `notes`: what to say of the inputs.
    - `probe`: see :data:`Probe`; `inputs`: what losses may take that is the same for all images, such as `edge_net`.
    """

    losses: "dict[str, Term]" = field(default_factory=dict)
    tolerances: tuple[Tolerance, ...] = ()
    calibration: bool = False
    predictions: Path | None = None
    probe: Probe | None = None
    inputs: Mapping[str, Any] = field(default_factory=dict)
    reads: Mapping[str, str] = field(default_factory=dict)
    notes: tuple[str, ...] = ()

    def activation_notes(self, kind: str) -> list[str]:
        """Which losses read the scores by another activation than that for which the checkpoint was trained."""
        other = [loss for loss, activation in self.reads.items() if activation != kind and kind != "probabilities"]
        if not other:
            return []
        activation = "sigmoid" if kind == "softmax" else "softmax"
        reads = "reads" if len(other) == 1 else "read"
        return [f"{', '.join(other)} {reads} the logits by {activation}, but the checkpoint was trained for {kind}"]


def measure_labels(
    sample: Sample, predicted: np.ndarray, alternative: np.ndarray | None, labels: LabelSet, measures: Measures
) -> ImageRecord:
    """A predicted label map, H, W uint8, on the host; `alternative`: see :attr:`Output.alternative`."""
    table = count_confusion(sample.labels, predicted, len(labels))
    tallies = {BANDS: count_bands(nested_bands(sample.labels), sample.labels, predicted)}
    record = _record(sample, table, {}, _boundary(sample, predicted, labels, measures), tallies)
    if alternative is None:
        return record
    return replace(record, alternative=count_confusion(sample.labels, alternative, len(labels)))


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
    counts = _count_on_device(truth, predicted, len(labels)).cpu().numpy()
    wanted = measures.losses or measures.probe or measures.calibration
    logits = class_logits(scores, output.kind, alignment) if wanted else scores
    on_host = predicted.cpu().numpy() if measures.tolerances or measures.predictions else None
    for place, sample in enumerate(batch.samples):
        scene = _scene(sample, output, logits, place, len(labels), measures)
        boundary = _boundary(sample, on_host[place], labels, measures) if on_host is not None else None
        if on_host is not None and measures.predictions:
            write_label_map(measures.predictions / f"{sample.name}.png", labels.encode(on_host[place]))
        bands = torch.from_numpy(band_map(nested_bands(sample.labels))).to(scores.device)
        maps = (truth[place], predicted[place], bands)
        tallies: dict[str, np.ndarray] = {BANDS: count_bands_on_device(*maps)}
        if measures.calibration:
            tallies |= count_calibration(logits[place], output.kind, maps, len(labels))
        record = _record(sample, counts[place], _loss_values(scene, measures), boundary, tallies)
        yield replace(record, probed=measures.probe(scene)) if measures.probe else record


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


def _count_on_device(truth: "Tensor", predicted: "Tensor", classes: int) -> "Tensor":
    """(N, C+1, C+1) int64 confusion tables of N, H, W uint8 label maps, on their device."""
    import torch

    side = classes + 1
    codes = truth.clamp(max=classes).int() * side + predicted.clamp(max=classes)
    tables = [torch.bincount(code.reshape(-1), minlength=side * side).view(side, side) for code in codes]
    return torch.stack(tables)


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


def _scene(sample: Sample, output: Output, logits: "Tensor", place: int, classes: int, measures: Measures) -> Scene:
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
    return Scene(logits[place : place + 1].clone(), labels, sample.labels, classes, inputs)


def _widened(edge_net: Any, surplus: int) -> Any:
    """An edge network to whose edges outputs outside the label set add nothing: their weights are 0."""
    from torch.nn.functional import pad

    (weight, bias), *rest = edge_net
    return (pad(weight, (0, 0, 0, 0, 0, surplus)), bias), *rest


def _loss_values(scene: Scene, measures: Measures) -> dict[str, float]:
    import torch

    values = {}
    for name, term in measures.losses.items():
        inputs = {key: value for key, value in scene.inputs.items() if key in term.inputs}
        with torch.no_grad():
            parts = term.parts(scene.logits, scene.labels, **inputs)
        values[name] = float(parts.value) if parts.defined else float("nan")
    return values


def _boundary(sample: Sample, predicted: np.ndarray, labels: LabelSet, measures: Measures) -> BoundaryCounts | None:
    if not measures.tolerances:
        return None
    return count_boundaries(sample.labels, predicted, len(labels), measures.tolerances)


def _record(
    sample: Sample,
    table: np.ndarray,
    values: dict[str, float],
    boundary: BoundaryCounts | None,
    tallies: dict[str, np.ndarray],
) -> ImageRecord:
    identity = (sample.index, sample.name, sample.size, sample.label_hash)
    return ImageRecord(*identity, table, values, boundary, tallies=tallies)
