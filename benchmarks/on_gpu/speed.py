"""Parts that measure time and memory."""

from collections.abc import Iterator
from functools import partial

import torch
from losses import LOSSES, both, forward_backward, make_scene

from on_gpu.data import CLASSES, PLAIN, batch_of, deeplab, measure, pairs, scores_of
from on_gpu.rows import Row, Setting, milliseconds
from segablate.ablation.cost import Cost, measure_costs
from segablate.evaluation.scores import highest_scores
from segablate.kernels.confusion import count_confusion_of_batch
from segablate.runtime import exact_arithmetic

SLOW = ("abl",)
"""Losses whose plain procedure runs on the host; they come last, as a part may be cut off."""


def logits_to_counts(setting: Setting) -> Iterator[Row]:
    """Argmax and confusion counts of 4 images, by the bytes that are read, as a share of the bandwidth of a copy."""
    labels, predicted = pairs(setting, 4)
    scores, target = scores_of(predicted, setting.device), torch.from_numpy(labels).to(setting.device)
    chosen = torch.from_numpy(predicted).to(setting.device)
    bandwidth = _copy_bandwidth(setting)
    yield setting.told("bandwidth of a copy on the device, read and written", f"{bandwidth / 1e9:.0f} GB/s")

    def counts() -> object:
        return count_confusion_of_batch(target, highest_scores(scores, PLAIN)[0], CLASSES)

    def share(call: object, read: int) -> float:
        return read / (milliseconds(call, setting) / 1000) / bandwidth  # type: ignore[arg-type]

    with setting.as_on_gpu():
        whole = share(counts, scores.nbytes + target.nbytes)
        argmax = share(lambda: highest_scores(scores, PLAIN), scores.nbytes)
        confusion = share(lambda: count_confusion_of_batch(target, chosen, CLASSES), 2 * target.nbytes)
    shape = "x".join(map(str, scores.shape))
    yield setting.least(f"logits to counts, {shape}: share of that bandwidth", whole, f"{whole:.0%}", 0.7)
    yield setting.told("its argmax alone", f"{argmax:.0%}")
    yield setting.told("its confusion counts alone", f"{confusion:.0%}")


def _copy_bandwidth(setting: Setting) -> float:
    """Return the bytes a second, read and written, of a copy of 1 GiB."""
    source = torch.ones((1 << 20) if setting.dry else (1 << 30), dtype=torch.uint8, device=setting.device)
    into = torch.empty_like(source)
    return 2 * source.nbytes / (milliseconds(lambda: into.copy_(source), setting) / 1000)


def measures_beside_network(setting: Setting) -> Iterator[Row]:
    """All default measures as a share of the forward pass of a DeepLabv3 with a ResNet-50 in bf16."""
    exact_arithmetic(setting.device)
    module, whose = deeplab(setting)
    images = torch.rand(1, 3, *setting.size, device=setting.device)

    def forward() -> object:
        with torch.no_grad(), torch.autocast(setting.device.type, torch.bfloat16):
            return module(images)

    network = milliseconds(forward, setting, repeats=10)
    yield setting.told(f"forward of DeepLabv3-R50 ({whose}), bf16, an image", f"{network:.2f} ms")
    for count in (1, 4):
        labels, predicted = pairs(setting, count)
        batch, scores = batch_of(labels), scores_of(predicted, setting.device)
        with setting.as_on_gpu():
            each = milliseconds(partial(measure, batch, scores), setting) / count
        share, what = each / network, f"default measures, batch of {count}: share of the forward"
        yield setting.limit(what, share, f"{share:.1%} ({each:.2f} ms an image)", 0.05)


def losses(setting: Setting) -> Iterator[Row]:
    """Each loss against the published procedure in its plain form, forward and backward."""
    exact_arithmetic(setting.device)
    shape = (2, 5, 64, 96) if setting.dry else (2, CLASSES, 512, 1024)
    logits, labels = make_scene(shape, setting.device.type)
    for name in sorted(LOSSES, key=lambda name: name in SLOW):
        if setting.dry and name in SLOW:
            continue
        what = f"{name}, forward and backward, {'x'.join(map(str, shape))}"
        try:
            calls = [forward_backward(loss, logits, labels) for loss in both(name, shape[1], setting.device.type)]
            ours, theirs = measure_costs(calls, 1 if setting.dry else 5, setting.device)
        except Exception as error:
            yield Row(what, f"failed: {str(error).splitlines()[0][:80] if str(error) else error!r}", "", False)
            continue
        yield _compared(setting, what, ours, theirs)


def _compared(setting: Setting, what: str, ours: Cost, theirs: Cost) -> Row:
    time, memory = ours.seconds / theirs.seconds, ours.peak_bytes / max(theirs.peak_bytes, 1)
    text = f"time {time:.2f} ({1e3 * ours.seconds:.1f} ms), memory {memory:.2f} ({ours.peak_bytes / 2**20:.0f} MiB)"
    return setting.limit(what, max(time, memory), text, 1)
