"""Time per image of a network.

On a GPU the work of a batch is timed by events in the stream of the GPU, which are read at the end of the run, so that
the host waits for none of them while it runs.
"""

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from statistics import median
from typing import TYPE_CHECKING, Any

from segablate.checkpoints.segmenter import Delegate, Segmenter
from segablate.evaluation.scores import score_bands
from segablate.samples import Batch, Output

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True)
class Moment:
    """A moment: seconds of the host's clock and, where work is timed on a GPU, an event there."""

    host: float
    event: Any = None

    @classmethod
    def now(cls, device: str) -> "Moment":
        """Return the moment after the work that was given to the device so far."""
        if not device.startswith("cuda"):
            return cls(time.perf_counter())
        import torch

        event = torch.cuda.Event(enable_timing=True)
        event.record(torch.cuda.current_stream(device))
        return cls(time.perf_counter(), event)

    def until(self, end: "Moment") -> float:
        """Return the seconds to another moment; on a GPU, wait until it is there."""
        if self.event is None:
            return end.host - self.host
        end.event.synchronize()
        return self.event.elapsed_time(end.event) / 1000


@dataclass
class Timing:
    """The time of a batch of `images` images, as spans between moments."""

    images: int
    spans: list[tuple[Moment, Moment]] = field(default_factory=list)

    @property
    def seconds(self) -> float:
        """The seconds per image."""
        return sum(start.until(end) for start, end in self.spans) / self.images


@dataclass(frozen=True)
class TimedSegmenter(Delegate):
    """A segmenter that records its time, one value a batch: preprocessing, network, resizing of scores."""

    timings: list[Timing] = field(default_factory=list)

    def __call__(self, batch: Batch) -> Output:
        """Run the segmenter on a batch and record the time; that of bands as they are asked for."""
        device, timing = self.capabilities.device, Timing(len(batch.samples))
        start = Moment.now(device)
        output = self.segmenter(batch)
        timing.spans.append((start, Moment.now(device)))
        if output.bands is None:
            self.timings.append(timing)
            return output
        each = _Stopwatch(output.bands.each, device, timing, self.timings)
        return replace(output, bands=replace(output.bands, each=each))

    def facts(self, batch_size: int) -> dict[str, Any]:
        """Return the median time over batches, as facts of a run; nothing for a segmenter that reads no images."""
        if not (self.capabilities.images and self.timings):
            return {}
        milliseconds = 1000 * median(timing.seconds for timing in self.timings)
        return {"timing": {"milliseconds per image": milliseconds, "batch size": batch_size}}


def milliseconds_in_turns(segmenters: Sequence[Segmenter], batch: Batch, turns: int = 9) -> list[float]:
    """Return the median milliseconds per image of each segmenter on a batch, after a turn that is not counted.

    They are called in turns, so that other load on the machine slows all of them alike.
    """
    seconds = [[_timed_whole(segmenter, batch) for segmenter in segmenters] for _ in range(turns + 1)]
    return [1000 * median(column) for column in zip(*seconds[1:], strict=True)]


@dataclass(frozen=True)
class _Stopwatch:
    """Bands of scores that record their time: `timing` has what was spent before, and gets that of each band."""

    each: "Callable[[], Iterator[Tensor]]"
    device: str
    timing: Timing
    timings: list[Timing]

    def __call__(self) -> "Iterator[Tensor]":
        timing = Timing(self.timing.images, list(self.timing.spans))
        bands = self.each()
        while True:
            start = Moment.now(self.device)
            band = next(bands, None)
            timing.spans.append((start, Moment.now(self.device)))
            if band is None:
                break
            yield band
        self.timings.append(timing)


def _timed_whole(segmenter: Segmenter, batch: Batch) -> float:
    """Return the seconds per image of a segmenter, with all bands of its scores."""
    timed = TimedSegmenter(segmenter)
    for _ in score_bands(timed(batch)):
        pass
    return timed.timings[0].seconds
