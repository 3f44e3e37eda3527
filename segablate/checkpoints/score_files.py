"""The segmenter of logits or probabilities stored in files, one ``.npz`` for each image."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from segablate.archives import DamagedArchive, array_names, damage_named, opened_zip, read_array
from segablate.checkpoints.narrowing import narrowed
from segablate.checkpoints.outputs import KINDS, two_channels
from segablate.checkpoints.prediction_files import PredictionFiles
from segablate.checkpoints.segmenter import Capabilities, Loading, OnError, Source
from segablate.datasets.dataset import Dataset
from segablate.errors import CheckpointError, at, counted, shorten
from segablate.files import Unreadable
from segablate.limits import TooLarge
from segablate.runtime import describe, resolve_device
from segablate.samples import Batch, Output, Sample, ScoreKind

ARRAYS = ("logits", "probabilities")


@dataclass(frozen=True)
class ScoreMaps:
    """A segmenter that reads files of scores; all of them have `outputs` channels."""

    files: PredictionFiles
    source: Source
    outputs: int
    kind: ScoreKind
    device: torch.device
    classes: tuple[str, ...] | None = None
    class_map: Mapping[str, str | None] | None = None
    threshold: float | None = None

    @property
    def capabilities(self) -> Capabilities:
        """Needs no images."""
        return Capabilities(images=False, device=str(self.device))

    def for_dataset(self, dataset: Dataset, on_error: OnError) -> "ScoreMaps":
        """Return a copy with facts on the files of this dataset. Raises CheckpointError for missing files."""
        return replace(self, source=self.files.described(self.source, dataset, on_error))

    def __call__(self, batch: Batch) -> Output:
        """Return scores N, K, H, W float32 on the device. Raises a SegablateError that names the file."""
        kinds, scores, beyond = zip(*(self._scores(sample) for sample in batch.samples), strict=True)
        pixels = np.array(beyond, np.int64)
        one = self.outputs == 1
        return Output(kinds[0], torch.cat(scores), one_channel=one, threshold=self.threshold, narrowed=pixels)

    def _scores(self, sample: Sample) -> tuple[ScoreKind, Tensor, int]:
        """Return the kind of the scores, the scores 1, K, H, W at the size of the label map, and pixels narrowed."""
        path = self.files.path(sample.name)
        _, array = read_scores(path)
        with at(path):
            _check(array, self.outputs, sample.size)
            _check_numbers(array)
            if self.kind == "probabilities":
                _check_range(float(array.min()), float(array.max()))
        narrow, beyond = narrowed(torch.from_numpy(array[None]).to(self.device))
        scores, kind = two_channels(narrow, self.kind)
        if scores.shape[-2:] == sample.size:
            return kind, scores, int(beyond)
        resized = functional.interpolate(scores, sample.size, mode="bilinear", align_corners=False)
        with at(path):
            _check_resized(array, resized)
        return kind, resized, int(beyond)


def open_scores(files: PredictionFiles, source: Source, loading: Loading) -> ScoreMaps:
    """Make a segmenter of the files. The kind of scores and their number are read off the first readable file.

    Raises CheckpointError where no file fits the pattern, and Unreadable where none can be read.
    """
    if not files.present:
        raise CheckpointError(f"{files.folder} holds no file named {files.pattern}; correct name=")
    name, array = _first_scores(files.folder / name for name in files.present)
    kind = loading.output or ("softmax" if name == "logits" else "probabilities")
    if kind not in KINDS:
        raise CheckpointError(f"output is {kind!r}, but must be softmax, sigmoid or probabilities")
    device = resolve_device(loading.device)
    threshold = loading.checked_threshold()
    at_threshold = "" if threshold is None else f", threshold {threshold:g}"
    facts = {
        "output": f"{kind}, from {name} of {counted(len(array), 'output')}{at_threshold}",
        "device": describe(device),
    }
    source = replace(source, facts=facts)
    return ScoreMaps(files, source, len(array), kind, device, loading.classes, loading.class_map, threshold)


def _first_scores(paths: Iterable[Path]) -> tuple[str, np.ndarray]:
    """Read the first file that can be read: a damaged one is reported when its image is measured."""
    first: Unreadable | None = None
    for path in paths:
        try:
            return read_scores(path)
        except Unreadable as error:
            first = first or error
    assert first is not None
    raise first


def read_scores(path: Path) -> tuple[str, np.ndarray]:
    """Read the name and the K, h, w array of the scores in a file. Raises Unreadable when there is no such array."""
    try:
        with damage_named(), opened_zip(path) as archive:
            names = array_names(archive)
            found = [name for name in ARRAYS if name in names]
            if len(found) != 1:
                held = shorten(names, 5) or "nothing"
                raise Unreadable(f"{path}: holds {held}; expected either logits or probabilities, K x H x W")
            array = read_array(archive, found[0])
    except (DamagedArchive, TooLarge) as error:
        raise Unreadable(f"{path}: {error}") from None
    if array.ndim != 3 or array.dtype.kind != "f" or not array.size:
        shape = "x".join(map(str, array.shape))
        raise Unreadable(f"{path}: {found[0]} are {array.dtype} of shape {shape}; expected floats, K x H x W")
    return found[0], array.astype(array.dtype.newbyteorder("="), copy=False)


def _check_numbers(array: np.ndarray) -> None:
    """Raise CheckpointError for scores K, h, w that are no numbers."""
    if np.isnan(array.min()):
        pixels = int(np.isnan(array).any(axis=0).sum())
        raise CheckpointError(
            f"the scores are NaN at {counted(pixels, 'pixel')}; look at what wrote them and save them again, or pass "
            f"--on-error skip to leave the image out"
        )


def _check_range(low: float, high: float) -> None:
    """Raise CheckpointError for the least and the largest value of what are no probabilities."""
    if low < -1e-3 or high > 1 + 1e-3:
        raise CheckpointError(
            f"the scores are stated to be probabilities, but their values are {low:.3g} to {high:.3g}; save logits as "
            f"logits, or pass --output softmax or --output sigmoid"
        )


def _check_resized(array: np.ndarray, resized: Tensor) -> None:
    """Raise CheckpointError where the scores K, h, w in a file are infinite and, resized 1, K, H, W, are NaN for it."""
    pixels = int(np.isinf(array).any(axis=0).sum())
    if pixels and bool(resized.isnan().any()):
        size = "x".join(map(str, array.shape[1:]))
        raise CheckpointError(
            f"the scores, {size}, are infinite at {counted(pixels, 'pixel')}, which makes them NaN at the size of the "
            f"label map, {'x'.join(map(str, resized.shape[2:]))}; save them at its size, or clip them to finite values"
        )


def _check(array: np.ndarray, outputs: int, size: tuple[int, int]) -> None:
    """Raise CheckpointError for scores of another layout, number of outputs or aspect ratio than the label map."""
    shape = "x".join(map(str, array.shape))
    if array.shape[:2] == size and array.shape[1:] != size:
        raise CheckpointError(f"the scores are {shape}, H x W x K; save them as K x H x W, by transpose(2, 0, 1)")
    if len(array) != outputs:
        raise CheckpointError(f"the scores are {shape}, but other files have {counted(outputs, 'output')}")
    (height, width), (high, wide) = size, array.shape[1:]
    if abs(high * width - wide * height) > max(height, width):  # more than a cell off
        raise CheckpointError(
            f"the scores are {high}x{wide}, of another aspect ratio than the label map, {height}x{width}; "
            f"cut padding off"
        )
