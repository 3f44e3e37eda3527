"""How long a network takes."""

import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from statistics import median
from typing import Any

from segablate.checkpoints.segmenter import Capabilities, OnError, Segmenter, Source
from segablate.datasets.dataset import Dataset
from segablate.samples import Batch, Output


@dataclass(frozen=True)
class TimedSegmenter:
    """A segmenter that remembers the seconds of each batch, by image: preprocessing, network, scores at full size."""

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
        """It, ready for this dataset."""
        return TimedSegmenter(self.segmenter.for_dataset(dataset, on_error), self.seconds)

    def __call__(self, batch: Batch) -> Output:
        """The segmenter's output; on a GPU when it is there."""
        start = time.perf_counter()
        output = self.segmenter(batch)
        if output.scores is not None and output.scores.is_cuda:
            import torch

            torch.cuda.synchronize(output.scores.device)
        self.seconds.append((time.perf_counter() - start) / len(batch.samples))
        return output

    def facts(self, batch_size: int) -> dict[str, Any]:
        """What is worth keeping: the median over batches, of segmenters that look at the images; else nothing."""
        if not (self.capabilities.images and self.seconds):
            return {}
        return {"timing": {"milliseconds per image": 1000 * median(self.seconds), "batch size": batch_size}}
