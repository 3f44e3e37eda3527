"""Time per image of a network."""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from statistics import median
from typing import TYPE_CHECKING, Any

from segablate.checkpoints.segmenter import Capabilities, OnError, Segmenter, Source
from segablate.datasets.dataset import Dataset
from segablate.evaluation.scores import score_bands
from segablate.samples import Batch, Output

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True)
class TimedSegmenter:
    """A segmenter that records its seconds per image, one value a batch: preprocessing, network, resizing of scores."""

    segmenter: Segmenter
    seconds: list[float] = field(default_factory=list)

    @property
    def source(self) -> Source:
        return self.segmenter.source

    @property
    def classes(self) -> tuple[str, ...] | None:
        return self.segmenter.classes

    @property
    def class_map(self) -> Mapping[str, str | None] | None:
        return self.segmenter.class_map

    @property
    def capabilities(self) -> Capabilities:
        return self.segmenter.capabilities

    def for_dataset(self, dataset: Dataset, on_error: OnError) -> "TimedSegmenter":
        """Return the timed segmenter prepared for this dataset."""
        return TimedSegmenter(self.segmenter.for_dataset(dataset, on_error), self.seconds)

    def __call__(self, batch: Batch) -> Output:
        """Run the segmenter on a batch and record the time; on a GPU, wait until the output is there."""
        output, seconds = _timed(self.segmenter, batch)
        if output.bands is None:
            self.seconds.append(seconds)
            return output
        each = _Stopwatch(output.bands.each, seconds, len(batch.samples), self.seconds)
        return replace(output, bands=replace(output.bands, each=each))

    def facts(self, batch_size: int) -> dict[str, Any]:
        """Return the median time over batches, as facts of a run; nothing for a segmenter that reads no images."""
        if not (self.capabilities.images and self.seconds):
            return {}
        return {"timing": {"milliseconds per image": 1000 * median(self.seconds), "batch size": batch_size}}


def milliseconds_in_turns(segmenters: Sequence[Segmenter], batch: Batch, turns: int = 9) -> list[float]:
    """Return the median milliseconds per image of each segmenter on a batch, after a turn that is not counted.

    They are called in turns, so that other load on the machine slows all of them alike.
    """
    seconds = [[_timed_whole(segmenter, batch) for segmenter in segmenters] for _ in range(turns + 1)]
    return [1000 * median(column) for column in zip(*seconds[1:], strict=True)]


@dataclass(frozen=True)
class _Stopwatch:
    """Bands of scores that record their time: what was spent before, and that of each band when it is asked for."""

    each: "Callable[[], Iterator[Tensor]]"
    before: float
    images: int
    seconds: list[float]

    def __call__(self) -> "Iterator[Tensor]":
        total = self.before
        bands = self.each()
        while True:
            start = time.perf_counter()
            band = next(bands, None)
            if band is not None:
                _wait(band)
            total += (time.perf_counter() - start) / self.images
            if band is None:
                break
            yield band
        self.seconds.append(total)


def _timed(segmenter: Segmenter, batch: Batch) -> tuple[Output, float]:
    """Return the output of a segmenter and its seconds per image; on a GPU, including the wait for the output."""
    start = time.perf_counter()
    output = segmenter(batch)
    if output.scores is not None:
        _wait(output.scores)
    return output, (time.perf_counter() - start) / len(batch.samples)


def _timed_whole(segmenter: Segmenter, batch: Batch) -> float:
    """Return the seconds per image of a segmenter, with all bands of its scores."""
    seconds: list[float] = []
    timed = TimedSegmenter(segmenter, seconds)
    for _ in score_bands(timed(batch)):
        pass
    return seconds[0]


def _wait(scores: "Tensor") -> None:
    if scores.is_cuda:
        import torch

        torch.cuda.synchronize(scores.device)
