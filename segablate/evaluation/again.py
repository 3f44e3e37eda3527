"""The images, label maps and predictions of some images of a run, read again and checked against what it counted.

A run keeps counts, not pixels. Its images and labels are read from the dataset it names; its predictions from the
folder of ``--write-predictions``, or by its checkpoint on these images. A label file must have the hash that the run
kept, and a prediction the confusion counts of its image: what has changed is left out, and named.
"""

import os
from collections.abc import Mapping
from contextlib import chdir, nullcontext
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from segablate.checkpoints.segmenter import Loading, Segmenter
from segablate.datasets.dataset import Dataset
from segablate.errors import SegablateError, counted, shorten
from segablate.evaluation.measures import classes_of_outputs
from segablate.evaluation.measuring import align_output
from segablate.evaluation.origin import loading_of, origin_of
from segablate.evaluation.results import Evaluation
from segablate.files import fingerprint, is_folder
from segablate.images.label_maps import read_label_map
from segablate.kernels.confusion import count_confusion
from segablate.labels import LabelSet, index_type
from segablate.samples import Batch, Output, Sample

_ALIKE = 0.01
"""Share of an image's pixels up to which a prediction computed again may differ, as on another device."""


@dataclass(frozen=True)
class Pixels:
    """An image of a run: H, W, 3 uint8 RGB or None; labels and predictions H, W, the number of classes where none is.

    `differing`: the number of pixels whose counts are not those of the run.
    """

    image: np.ndarray | None
    labels: np.ndarray
    predicted: np.ndarray | None
    differing: int = 0


class _Predictions(Protocol):
    def __call__(self, sample: Sample) -> np.ndarray: ...


@dataclass
class Again:
    """The dataset and predictions of a run, opened again.

    - `places`: for each image of the run, its place in the dataset; empty where the dataset is not found.
    - `needs_images`: whether predictions are made of the images.
    - `said`: what could not be found, once each; `lost`: names of images by what became of them.
    """

    run: Evaluation
    folder: Path | None
    dataset: Dataset | None = None
    places: Mapping[str, int] = field(default_factory=dict)
    predictions: _Predictions | None = None
    needs_images: bool = False
    said: list[str] = field(default_factory=list)
    lost: dict[str, list[str]] = field(default_factory=dict)

    def pixels(self, index: int) -> Pixels | None:
        """Return the pixels of an image of the run; None where its label map is not found or has changed."""
        name = self.run.names[index]
        if self.dataset is None or name not in self.places:
            return None
        with _inside(self.folder):
            sample = self._sample(self.dataset, name)
            if sample is None or sample.label_hash != self.run.label_hashes[index]:
                self._lose("label map changed since the run" if sample else "label map not read", name)
                return None
            predicted, differing = self._predicted(index, sample)
        classes = len(self.run.labels)
        return Pixels(sample.image, _classes_of(sample.labels, classes), predicted, differing)

    def remarks(self) -> list[str]:
        """Return sentences on what was not found, had moved, or had changed since the run."""
        return [*self.said, *(f"{what}: {counted(len(n), 'image')} ({shorten(n)})" for what, n in self.lost.items())]

    def _sample(self, dataset: Dataset, name: str) -> Sample | None:
        """Read an item, without its image where that is not found."""
        place = self.places[name]
        try:
            return dataset.read(place)
        except SegablateError:
            self._lose("image not found or unreadable, label map alone", name)
        try:
            return dataset.read(place, image=False)
        except SegablateError:
            return None

    def _predicted(self, index: int, sample: Sample) -> tuple[np.ndarray | None, int]:
        """Return the prediction where it has the counts of the run, and the number of pixels that are counted else."""
        if self.predictions is None or (self.needs_images and sample.image is None):
            return None, 0
        try:
            predicted = self.predictions(sample)
        except SegablateError as error:
            self._lose(f"no prediction ({error})", sample.name)
            return None, 0
        if predicted.shape != sample.labels.shape:
            self._lose("prediction of another size than in the run", sample.name)
            return None, 0
        classes = len(self.run.labels)
        table = count_confusion(sample.labels, predicted, classes)
        differing = int(np.abs(table - self.run.confusion.dense(index)).sum()) // 2
        if differing > _ALIKE * predicted.size:
            self._lose("prediction other than in the run, left out", sample.name)
            return None, 0
        if differing:
            self._lose("prediction computed again differs in a few pixels", sample.name)
        return _classes_of(predicted, classes), differing

    def _lose(self, what: str, name: str) -> None:
        self.lost.setdefault(what, []).append(name)


def open_again(run: Evaluation, loading: Loading, *, on: str | None = None) -> Again:
    """Open the dataset and the predictions of a run; what is not found is in :meth:`Again.remarks`.

    `on`: a dataset in the place of the one that the run names, as after it was moved.
    """
    origin = origin_of(run)
    folder = Path(origin["folder"]) if origin and is_folder(Path(origin["folder"])) else None
    again = Again(run, folder)
    if origin is None and on is None:
        again.said.append(
            "no pictures: an older version wrote the run, which does not say where its images are; name the dataset, "
            "as in --on camvid:DIRECTORY"
        )
        return again
    spec = _absolute(on) if on is not None else str((origin or {})["dataset"])
    with _inside(folder):
        _open_dataset(again, spec, run.facts["dataset"]["split"], (origin or {}).get("label_size"))
        if again.dataset is not None and origin is not None:
            again.predictions = _written(again, origin) or _opened(again, origin, loading)
    if origin is None:
        again.said.append("no predictions: an older version wrote the run, which does not say what made them")
    return again


def _absolute(spec: str) -> str:
    """Return a dataset specification whose directory starts from the root, whatever the working folder."""
    layout, colon, place = spec.partition(":")
    return f"{layout}:{os.path.abspath(os.path.expanduser(place))}" if colon else spec


def _open_dataset(again: Again, spec: str, split: str, label_size: object) -> None:
    from segablate.datasets import open_dataset
    from segablate.datasets.label_sizes import read_label_size

    try:
        found = open_dataset(spec, split).meeting_at(read_label_size(label_size, "label_size"))
    except SegablateError as error:
        again.said.append(f"images not found: {error}; if they have moved, name the dataset with --on")
        return
    places = {name: place for place, name in enumerate(found.names)}
    missing = [name for name in again.run.names if name not in places]
    if missing:
        again.lost["no longer in the dataset"] = missing
    again.dataset, again.places = replace(found, labels=again.run.labels), places


def _written(again: Again, origin: Mapping[str, Any]) -> _Predictions | None:
    """Return the reader of ``--write-predictions``; None where nothing was written, or its folder is gone."""
    stated = origin.get("predictions")
    if stated is None:
        return None
    if not is_folder(Path(stated)):
        again.said.append("the folder of --write-predictions is gone; the checkpoint was run again")
        return None

    def read(sample: Sample) -> np.ndarray:
        return again.run.labels.decode(read_label_map(Path(stated, f"{sample.name}.png")))

    return read


def _opened(again: Again, origin: Mapping[str, Any], loading: Loading) -> _Predictions | None:
    """Open the checkpoint of a run again; None, with the reason said, where that fails or it has changed."""
    from segablate.checkpoints import open_checkpoint

    assert again.dataset is not None
    try:
        segmenter = open_checkpoint(origin["checkpoint"], loading_of(origin, loading))
        stated = again.run.facts["checkpoint"].get("files", {})
        changed = [path.name for path in segmenter.source.files if stated.get(path.name) != fingerprint(path)]
        if changed:
            again.said.append(f"no predictions: {shorten(changed)} changed since the run; evaluate again")
            return None
        names = set(again.run.names)
        items = tuple(item for item in again.dataset.items if item.name in names)
        segmenter = segmenter.for_dataset(replace(again.dataset, items=items), "skip")
    except SegablateError as error:
        again.said.append(f"no predictions: {error}")
        return None
    again.needs_images = segmenter.capabilities.images
    return lambda sample: predicted_map(segmenter, sample, again.run.labels)


def predicted_map(segmenter: Segmenter, sample: Sample, labels: LabelSet) -> np.ndarray:
    """Return the predicted classes of an image, H, W of the type of its labels; void where no class is predicted.

    Raises a SegablateError where the segmenter does.
    """
    output = segmenter(Batch((sample,)))
    if segmenter.capabilities.on_host:
        assert output.predicted is not None
        found = output.predicted[0]
    else:
        found = _argmax(output, segmenter, labels)
    return np.where(found < len(labels), found, labels.ignore).astype(index_type(len(labels)))


def _argmax(output: Output, segmenter: Segmenter, labels: LabelSet) -> np.ndarray:
    alignment = align_output(segmenter, output, labels)
    if output.outputs is None:
        assert output.predicted is not None
        return classes_of_outputs(output.predicted, alignment, labels)[0]
    import torch

    from segablate.evaluation.scores import above_threshold, class_logits, highest_scores, score_bands

    bands = []
    for scores in score_bands(output):  # 1 K h W
        if output.threshold is None:
            found = highest_scores(scores, alignment)[0][0]  # h W
        else:
            found = above_threshold(class_logits(scores, output.kind, alignment)[0], output.threshold, len(labels))
        bands.append(found.cpu())
    return torch.cat(bands).numpy()


def _classes_of(indices: np.ndarray, classes: int) -> np.ndarray:
    """Return class indices in which void, and what is no class, is the number of classes."""
    return np.minimum(indices, classes)


def _inside(folder: Path | None) -> Any:
    return nullcontext() if folder is None else chdir(folder)
