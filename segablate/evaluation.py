"""The one evaluation loop: samples in, per-image counts and values out.

Label maps are measured in the processes that read them. Networks run here, on batches of images of one size; what is
counted is counted on their device, image by image, so that a result never depends on batch size or workers.
"""

import platform
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from segablate import __version__
from segablate.checkpoints.predictions import encoding_notes
from segablate.checkpoints.segmenter import OnError, Segmenter
from segablate.datasets.dataset import Dataset
from segablate.datasets.reading import Failure, ahead
from segablate.errors import CheckpointError, DatasetError, SegablateError
from segablate.files import fingerprint, write_label_map
from segablate.labels import Alignment, LabelSet, align
from segablate.metrics.boundary import BoundaryCounts, count_boundaries
from segablate.metrics.confusion import count_confusion
from segablate.metrics.tolerance import Tolerance
from segablate.results import Evaluation, ImageRecord, Skipped, collect
from segablate.samples import Batch, Output, Sample, Scene

if TYPE_CHECKING:
    from torch import Tensor

    from segablate.losses import Term

Progress = Callable[[int], None]
Probe = Callable[[Scene], Mapping[str, np.ndarray]]
"""Whatever else is to be measured on the output for one image: arrays by name, of the same shapes for every image."""


@dataclass(frozen=True)
class Measures:
    """What is measured on every image beside confusion counts.

    - `losses`: terms by the name under which their values are kept.
    - `tolerances`: boundary distances are counted so that these and all smaller ones can be read off; may be empty.
    - `predictions`: a folder into which the predicted label maps are written, as PNG of the dataset's codes.
    - `probe`: see :data:`Probe`; `inputs`: what losses may take that is the same for all images, such as `edge_net`.
    """

    losses: "dict[str, Term]" = field(default_factory=dict)
    tolerances: tuple[Tolerance, ...] = ()
    predictions: Path | None = None
    probe: Probe | None = None
    inputs: Mapping[str, Any] = field(default_factory=dict)


def evaluate(
    segmenter: Segmenter,
    dataset: Dataset,
    measures: Measures,
    *,
    batch_size: int = 4,
    workers: int = 0,
    on_error: OnError = "stop",
    progress: Progress | None = None,
) -> Evaluation:
    """Run a checkpoint over a dataset.

    With `on_error` "skip", images that cannot be read or measured are left out and named in the result; otherwise the
    first of them ends the run with its error. Raises a SegablateError; also when no image is left.
    """
    segmenter = segmenter.for_dataset(dataset, on_error)
    records: list[ImageRecord] = []
    failures: list[Failure] = []
    notes: list[str] = []
    with _records(segmenter, dataset, measures, batch_size, workers, notes) as results:
        for result in results:
            if isinstance(result, Failure):
                if on_error == "stop":
                    raise result.error
                failures.append(result)
            else:
                records.append(result)
            if progress:
                progress(1)
    if not records:
        raise DatasetError(f"none of the {len(dataset)} images could be measured; first: {failures[0].error}")
    notes += encoding_notes(segmenter.source, [r.table for r in records], [r.alternative for r in records])
    skipped = tuple(Skipped(dataset.names[failure.index], str(failure.error)) for failure in failures)
    return collect(
        records,
        dataset.labels,
        facts=_facts(segmenter, dataset, measures),
        notes=(*segmenter.source.notes, *notes, *dataset.notes),
        skipped=skipped,
    )


@contextmanager
def _records(
    segmenter: Segmenter, dataset: Dataset, measures: Measures, batch_size: int, workers: int, notes: list[str]
) -> Iterator[Iterator[ImageRecord | Failure]]:
    """What was measured on each image: by the processes that read, or here, by the network."""
    if segmenter.on_host:
        with ahead(partial(_measured_sample, dataset, segmenter, measures), range(len(dataset)), workers) as records:
            yield records
    else:
        read = partial(dataset.read, image=segmenter.needs_images)
        with ahead(read, range(len(dataset)), workers) as samples:
            yield _measured(samples, segmenter, dataset, measures, batch_size, notes)


def _measured_sample(dataset: Dataset, segmenter: Segmenter, measures: Measures, index: int) -> ImageRecord:
    """Read and measure one image of a segmenter that gives label maps."""
    sample = dataset.read(index, image=False)
    output = segmenter(Batch((sample,)))
    assert output.predicted is not None
    predicted = output.predicted[0]
    classes = len(dataset.labels)
    record = _record(
        sample,
        count_confusion(sample.labels, predicted, classes),
        {},
        _boundary(sample, predicted, dataset.labels, measures),
    )
    if output.alternative is None:
        return record
    return replace(record, alternative=count_confusion(sample.labels, output.alternative[0], classes))


def _measured(
    samples: Iterable[Sample | Failure],
    segmenter: Segmenter,
    dataset: Dataset,
    measures: Measures,
    batch_size: int,
    notes: list[str],
) -> Iterator[ImageRecord | Failure]:
    """Run the network over samples grouped by size, and measure its output."""
    alignment: Alignment | None = None

    def measure(batch: Batch) -> list[ImageRecord | Failure]:
        nonlocal alignment
        try:
            output = segmenter(batch)
            if alignment is None:
                alignment = _align(segmenter, output, dataset.labels)
                notes.extend([alignment.note] if alignment.note else [])
            return list(_measure_output(batch, output, alignment, dataset.labels, measures))
        except SegablateError as error:
            if len(batch.samples) == 1:
                return [Failure(batch.samples[0].index, error)]
        # One image must not take its batch with it: each alone.
        return [result for sample in batch.samples for result in measure(Batch((sample,)))]

    for group in _batches(samples, batch_size):
        yield from [group] if isinstance(group, Failure) else measure(group)


def _batches(samples: Iterable[Sample | Failure], batch_size: int) -> Iterator[Batch | Failure]:
    """Group samples of one size as they come; what does not fill a batch comes last."""
    waiting: dict[tuple[int, int], list[Sample]] = {}
    for sample in samples:
        if isinstance(sample, Failure):
            yield sample
            continue
        group = waiting.setdefault(sample.size, [])
        group.append(sample)
        if len(group) == batch_size:
            yield Batch(tuple(waiting.pop(sample.size)))
    yield from (Batch(tuple(group)) for group in waiting.values())


def _align(segmenter: Segmenter, output: Output, labels: LabelSet) -> Alignment:
    assert output.scores is not None
    try:
        return align(output.scores.shape[1], segmenter.classes, labels, segmenter.class_map)
    except SegablateError as error:
        raise CheckpointError(f"{segmenter.source.spec} {error}") from None


def _measure_output(
    batch: Batch, output: Output, alignment: Alignment, labels: LabelSet, measures: Measures
) -> Iterator[ImageRecord]:
    import torch

    scores = output.scores
    assert scores is not None
    if bool(scores.isnan().any()):
        broken = [s.name for s, score in zip(batch.samples, scores, strict=True) if bool(score.isnan().any())]
        raise CheckpointError(f"the network gives NaN on {broken[0]}; its weights or its preprocessing are broken")
    truth = torch.from_numpy(batch.labels).to(scores.device)
    table = torch.from_numpy(alignment.table).to(scores.device)
    predicted = table[scores.argmax(dim=1)]
    counts = _count_on_device(truth, predicted, len(labels)).cpu().numpy()
    logits = class_logits(scores, output.kind, alignment) if measures.losses or measures.probe else scores
    on_host = predicted.cpu().numpy() if measures.tolerances or measures.predictions else None
    for place, sample in enumerate(batch.samples):
        scene = _scene(sample, output, logits, place, len(labels), measures)
        boundary = _boundary(sample, on_host[place], labels, measures) if on_host is not None else None
        if on_host is not None and measures.predictions:
            write_label_map(measures.predictions / f"{sample.name}.png", labels.encode(on_host[place]))
        record = _record(sample, counts[place], _loss_values(scene, measures), boundary)
        yield replace(record, probed=measures.probe(scene)) if measures.probe else record


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
    labels = torch.from_numpy(sample.labels).to(logits.device)[None].long()
    return Scene(logits[place : place + 1].clone(), labels, sample.labels, classes, inputs)


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
    sample: Sample, table: np.ndarray, values: dict[str, float], boundary: BoundaryCounts | None
) -> ImageRecord:
    return ImageRecord(sample.index, sample.name, sample.size, sample.label_hash, table, values, boundary)


def _facts(segmenter: Segmenter, dataset: Dataset, measures: Measures) -> dict[str, Any]:
    """What was run, as plain values, for the head of a table and for the run."""
    source = segmenter.source
    return {
        "checkpoint": {
            "name": source.spec,
            "files": {path.name: fingerprint(path) for path in source.files},
            **source.facts,
        },
        "dataset": {
            "name": dataset.spec,
            "split": dataset.split,
            "images": len(dataset),
            "label set": dataset.labels.name,
        },
        "measures": {
            "losses": {name: term.summary for name, term in measures.losses.items()},
            "tolerances": [str(tolerance) for tolerance in measures.tolerances],
        },
        "versions": {
            "segablate": __version__,
            "python": platform.python_version(),
            **{package: version(package) for package in ("numpy", "torch", "opencv-python-headless")},
        },
    }
