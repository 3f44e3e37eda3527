"""Parts on waiting: how often the host waits for the GPU, in evaluation and in a validation loop with ``Scores``."""

import os
import warnings
from collections import Counter
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from on_gpu.data import CLASSES, batch_of, deeplab, measure, pairs, scores_of
from on_gpu.rows import Row, Setting, milliseconds
from segablate import Scores
from segablate.checkpoints.network import Network
from segablate.checkpoints.preprocessing import Preprocessing
from segablate.checkpoints.segmenter import Source
from segablate.runtime import exact_arithmetic

WAITS = ("cudaStreamSynchronize", "cudaDeviceSynchronize", "cudaEventSynchronize", "cudaMemcpy")

_COUNTED: dict[str, dict[str, Any]] = {
    "Scores": {},
    "Scores with boundary F and calibration": {"tolerance": 3, "calibration": True},
}


def waits(setting: Setting) -> Iterator[Row]:
    """Synchronisations with the device per batch, of a network and the default measures, counted by the profiler."""
    labels, _ = pairs(setting, 4)
    batch = batch_of(labels)
    module = torch.nn.Conv2d(3, CLASSES, 3, padding=1).to(setting.device)
    network = Network(module, Preprocessing(mean=(0.5, 0.4, 0.3)), Source("n"), device=setting.device)

    def run(batches: int) -> None:
        for _ in range(batches):
            output = network(batch)
            assert output.scores is not None
            measure(batch, output.scores)

    yield from _waits(setting, "batch", run, 1.99)


def validation_loop(setting: Setting) -> Iterator[Row]:
    """``segablate.Scores`` in a validation loop: waits in `update`, and its share of a step with DeepLabv3 in bf16."""
    exact_arithmetic(setting.device)
    labels, predicted = pairs(setting, 4)
    logits, target = scores_of(predicted, setting.device), torch.from_numpy(labels).to(setting.device)
    module, whose = deeplab(setting)
    images = torch.rand(len(labels), 3, *setting.size, device=setting.device)

    def forward() -> None:
        with torch.no_grad(), torch.autocast(setting.device.type, torch.bfloat16):
            module(images)

    alone = milliseconds(forward, setting, repeats=10)
    yield setting.told(f"validation step of DeepLabv3-R50 ({whose}), bf16, {len(labels)} images", f"{alone:.1f} ms")
    for what, options in _COUNTED.items():
        scores = Scores(CLASSES, **options)
        yield from _waits(setting, f"update of {what}", partial(_updated, scores, logits, target), 0)
        with setting.as_on_gpu():
            both = milliseconds(lambda scores=scores: (forward(), scores.update(logits, target)), setting, repeats=10)
        share = (both - alone) / both
        yield setting.limit(f"{what}: share of that step", share, f"{share:.1%} ({both - alone:.2f} ms)", 0.05)


def _updated(scores: Scores, logits: Tensor, labels: Tensor, batches: int) -> None:
    for _ in range(batches):
        scores.update(logits, labels)


def _waits(setting: Setting, what: str, run: Callable[[int], None], most: float) -> Iterator[Row]:
    """Yield the synchronisations of a run of one batch, counted by the profiler, and the lines where torch warns."""
    with setting.as_on_gpu():
        run(2)
        found = "" if setting.dry else ", ".join(places(lambda: run(1))) or "none"
        few, many = (profiled(lambda batches=batches: run(batches)) for batches in (2, 6))
    each = {name: (many[name] - few[name]) / 4 for name in many}
    text = ", ".join(f"{name} {count:g}" for name, count in each.items() if count) or "none"
    total = sum(count for name, count in each.items() if name in WAITS)
    yield setting.limit(f"synchronisations per {what}", total, f"{total:g} ({text})", most)
    yield setting.told(f"where torch says that the host waits, {what}", found)


def places(run: Callable[[], None]) -> list[str]:
    """Return the lines at which torch warns that an operation waits, with how often it did."""
    torch.cuda.synchronize()
    with warnings.catch_warnings(record=True) as found:
        warnings.simplefilter("always")
        torch.cuda.set_sync_debug_mode("warn")
        try:
            run()
        finally:
            torch.cuda.set_sync_debug_mode("default")
    said = [each for each in found if "called a synchronizing CUDA operation" in str(each.message)]
    counts = Counter(f"{Path(each.filename).name}:{each.lineno}" for each in said)
    return [f"{place} ({count})" for place, count in counts.items()]


def profiled(run: Callable[[], None]) -> dict[str, int]:
    """Count calls that wait, and copies from and to pageable memory; those of the profiler itself are constant."""
    from torch.profiler import ProfilerActivity, profile

    os.environ.setdefault("KINETO_LOG_LEVEL", "99")
    activities = [ProfilerActivity.CPU, *([ProfilerActivity.CUDA] if torch.cuda.is_available() else [])]
    with profile(activities=activities) as profiled:
        run()
    counts = dict.fromkeys((*WAITS, "Pageable"), 0)
    for event in profiled.events() or ():
        for name in counts:
            counts[name] += event.name == name or (name == "Pageable" and name in event.name)
    return counts
