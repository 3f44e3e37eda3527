"""Time per image of a network."""

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
        start = time.perf_counter()
        output = self.segmenter(batch)
        if output.scores is not None and output.scores.is_cuda:
            import torch

            torch.cuda.synchronize(output.scores.device)
        self.seconds.append((time.perf_counter() - start) / len(batch.samples))
        return output

    def facts(self, batch_size: int) -> dict[str, Any]:
        """Return the median time over batches, as facts of a run; nothing for a segmenter that reads no images."""
        if not (self.capabilities.images and self.seconds):
            return {}
        return {"timing": {"milliseconds per image": 1000 * median(self.seconds), "batch size": batch_size}}
