"""Evaluating trainings of a classifier alone: what it sees of the evaluated images is computed once and kept.

The first evaluation of a sweep runs the network and keeps the features, in the order of the images; later ones run the
classifier on them. No number changes: features are kept only where the scores from them equal those of the network bit
for bit on every image, and are used only where an evaluation finds both equal on its first batch of each size. In all
other cases, as with resized images, windows, images of many sizes, damaged features or a full disk, the network runs.
"""

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from segablate.checkpoints.network import Network
from segablate.checkpoints.outputs import two_channels
from segablate.checkpoints.segmenter import Delegate, Segmenter, Substitute
from segablate.datasets.dataset import Dataset
from segablate.evaluation.identity import dataset_identity, plain
from segablate.files import discard
from segablate.runtime import counting_device, describe, team, to_device
from segablate.samples import Batch, Output
from segablate.training.feature_files import Damaged, FeatureWriter, KeptFeatures, temporary_name
from segablate.training.heads import features_key, head_logits
from segablate.training.starting import seen_by_classifier

Axes = tuple[int, int, int]
"""The axes D h w in the order in which features are in memory: the scores of a convolution depend on it."""


def by_classifier(folder: Path, classifier: str, *, keep: bool) -> Substitute:
    """Return what runs the classifier of this name on features kept in a folder, in the place of the network.

    `keep`: whether to keep them there where they are not yet.
    """
    return partial(_by_classifier, folder, classifier, keep)


def _by_classifier(
    folder: Path, classifier: str, keep: bool, segmenter: Segmenter, dataset: Dataset
) -> AbstractContextManager[Segmenter]:
    network = segmenter.segmenter if isinstance(segmenter, Delegate) else segmenter
    if not isinstance(network, Network) or not _ends_with(network, classifier) or team().size > 1:
        return nullcontext(segmenter)
    file = _file(folder, network, classifier, dataset)
    if file is None:
        return nullcontext(segmenter)
    if file.is_file():
        with suppress(Damaged):
            return _replaying(segmenter, network, classifier, KeptFeatures(file, len(dataset)))
        discard(file)
    return _keeping(segmenter, network, classifier, file, len(dataset)) if keep else nullcontext(segmenter)


def _ends_with(network: Network, classifier: str) -> bool:
    """Return whether the scores of a network may be those of a plain convolution of this name, enlarged."""
    part = dict(network.module.named_modules()).get(classifier)
    return (
        type(part) in (nn.Conv2d, nn.ConvTranspose2d)
        and network.kind in ("softmax", "sigmoid")
        and network.inference.plain
        and network.precision == "fp32"
        and counting_device(network.device) == network.device
    )


def _file(folder: Path, network: Network, classifier: str, dataset: Dataset) -> Path | None:
    """Return the file of the features of a split; None where images have no files that identify them."""
    if not all(dataset.stamp(index) for index in range(len(dataset))):
        return None
    made_by = [describe(network.device), torch.__version__, torch.get_num_threads()]
    key = features_key(network, classifier, dataset, "evaluated", classifier, made_by, plain(dataset_identity(dataset)))
    return folder / f"features-{key}.npz"


def _as_it_is(network: Network, batch: Batch) -> bool:
    """Return whether a network sees the images of a batch at their size, which is that of the labels."""
    first, steps = batch.samples[0], network.preprocessing
    whole = not any(side % (steps.pad_to_multiple or 1) for side in first.size)
    return whole and first.size == first.image_size == steps.unpadded(first.size) and not steps.letterboxed


@torch.no_grad()
def _output(network: Network, classifier: str, features: Tensor, size: tuple[int, int]) -> Output:
    """Return the output of the network for images of this size from features N D h w, without its notes."""
    scores = head_logits(network, classifier, features, size)
    assert network.kind != "labels"
    both, kind = two_channels(scores, network.kind)
    return Output(kind, both, one_channel=scores.shape[1] == 1, threshold=network.threshold)


def _equals(network: Network, classifier: str, features: Tensor, theirs: Output) -> bool:
    """Return whether the output from features is that of the network, bit for bit and in the same order in memory."""
    if theirs.scores is None:
        return False
    try:
        ours = _output(network, classifier, features, (theirs.scores.shape[2], theirs.scores.shape[3]))
    except torch.OutOfMemoryError:  # two outputs at once are too much
        return False
    assert ours.scores is not None
    alike = (ours.kind, ours.one_channel, ours.threshold) == (theirs.kind, theirs.one_channel, theirs.threshold)
    return alike and ours.scores.stride() == theirs.scores.stride() and torch.equal(ours.scores, theirs.scores)


def _axes(features: Tensor) -> Axes | None:
    """Return the order of D h w in memory; None for one that a file does not keep."""
    if features.is_contiguous():
        return (0, 1, 2)
    return (1, 2, 0) if features.is_contiguous(memory_format=torch.channels_last) else None


@contextmanager
def _replaying(segmenter: Segmenter, network: Network, classifier: str, kept: KeptFeatures) -> Iterator["Replaying"]:
    """Yield the classifier on kept features, and remove these where they turn out to be damaged."""
    replaying = Replaying(segmenter, network, classifier, kept)
    try:
        yield replaying
    finally:
        kept.close()
        if replaying.comparison.damaged:
            discard(kept.file)


@dataclass
class _Comparison:
    """What was found: the axes of features by the size of images, None where the scores are not those of the network.

    `damaged`: whether what is kept is.
    """

    axes: dict[tuple[int, int], Axes | None] = field(default_factory=dict)
    damaged: bool = False


@dataclass(frozen=True)
class Replaying(Delegate):
    """The classifier of a network on kept features, after a first batch of a size on which both ran and were equal.

    The time of the network is not measured then; where they differ, `segmenter`, the network, runs to the end.
    """

    network: Network
    classifier: str
    kept: KeptFeatures
    comparison: _Comparison = field(default_factory=_Comparison)

    @property
    def evaluated_on(self) -> str:
        """Kept features, unless the network ran on a size of which there are none, or none that fit."""
        known = self.comparison.axes.values()
        return "" if self.comparison.damaged or not all(known) else "kept features"

    def __call__(self, batch: Batch) -> Output:
        """Return the output of the network for a batch."""
        size, known = batch.samples[0].size, self.comparison.axes
        if self.comparison.damaged or not _as_it_is(self.network, batch):
            return self.segmenter(batch)
        if size not in known:
            return self._compared(batch)
        axes = known[size]
        features = None if axes is None else self._read(batch, axes)
        return self.segmenter(batch) if features is None else _output(self.network, self.classifier, features, size)

    def _compared(self, batch: Batch) -> Output:
        with seen_by_classifier(self.network, self.classifier) as seen:
            output = self.network(batch)
        axes = _axes(seen[0]) if len(seen) == 1 else None
        agree = axes is not None and self._agrees(batch, axes, seen[0], output)
        self.comparison.axes[batch.samples[0].size] = axes if agree else None
        return output

    def _agrees(self, batch: Batch, axes: Axes, seen: Tensor, output: Output) -> bool:
        features = self._read(batch, axes)
        if features is None or not torch.equal(features, seen):
            return False
        return _equals(self.network, self.classifier, features, output)

    def _read(self, batch: Batch, axes: Axes) -> Tensor | None:
        """Return the features of a batch, N D h w, in memory as the network has them; None where they are damaged."""
        try:
            stored = [self.kept.read(sample.index) for sample in batch.samples]
        except Damaged:
            stored = []
        if len({each.shape for each in stored}) != 1:
            self.comparison.damaged = True
            return None
        back = np.argsort(axes) + 1
        return to_device(np.stack(stored), self.network.device).permute(0, *back.tolist())


@contextmanager
def _keeping(segmenter: Segmenter, network: Network, classifier: str, file: Path, images: int) -> Iterator["Keeping"]:
    """Yield the network, which keeps what its classifier sees: all of it, or nothing."""
    keeping = Keeping(segmenter, network, classifier, FeatureWriter(temporary_name(file), images))
    try:
        yield keeping
        with suppress(OSError):
            keeping.written.finish(file)
    finally:
        keeping.written.give_up()


@dataclass(frozen=True)
class Keeping(Delegate):
    """A network, and the file of what its classifier sees."""

    network: Network
    classifier: str
    written: FeatureWriter

    def __call__(self, batch: Batch) -> Output:
        """Return the output of the network for a batch, and keep its features."""
        if self.written.over:
            return self.segmenter(batch)
        with seen_by_classifier(self.network, self.classifier) as seen:
            output = self.segmenter(batch)
        if not self._kept(batch, seen, output):
            self.written.give_up()
        return output

    def _kept(self, batch: Batch, seen: Sequence[Tensor], output: Output) -> bool:
        axes = _axes(seen[0]) if len(seen) == 1 and _as_it_is(self.network, batch) else None
        if axes is None or seen[0].dtype != torch.float32 or not self.written.has_room(seen[0][0].nbytes):
            return False
        if not _equals(self.network, self.classifier, seen[0], output):
            return False
        stored = seen[0].permute(0, *(1 + axis for axis in axes)).cpu().contiguous().numpy()
        return self.written.add([sample.index for sample in batch.samples], stored, batch.samples[0].size, axes)
