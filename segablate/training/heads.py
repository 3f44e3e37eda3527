"""Training the classifier alone: what it sees is computed once for every image and its mirror image, and kept.

The features are kept in a memory-mapped file in the folder of the training or of the sweep, named after the
checkpoint, the preprocessing and the list of images.
"""

import hashlib
import json
import os
import zlib
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from segablate.checkpoints.inference import at_size
from segablate.checkpoints.network import Network
from segablate.datasets.dataset import Dataset
from segablate.errors import RunError
from segablate.runtime import autocast
from segablate.training.batches import VIEW, Batches, TrainingBatch
from segablate.training.feature_files import Damaged, seal, sealed_shape, temporary_name
from segablate.training.starting import Start, seen_by_classifier

_AGREES = 1e-4
"""How far scores from kept features may be from those of the network, of the largest."""


@dataclass(frozen=True)
class Features:
    """What the classifier sees, images × 2 (as it is, mirrored) × D h w float32, in a file."""

    file: Path
    shape: tuple[int, ...]

    def read(self, index: int, mirrored: bool) -> np.ndarray:
        """Return D h w of one image."""
        return np.load(self.file, mmap_mode="r")[index, int(mirrored)]


@dataclass(frozen=True)
class HeadBatches(Batches):
    """Batches of features in the place of images; the only augmentation is mirroring."""

    features: Features | None = None

    def read(self, step: int) -> TrainingBatch:
        """Return this process's share of the batch of a step."""
        assert self.features is not None
        epoch, chosen = self.indices(step)
        features, images, labels = [], [], []
        for index in map(int, chosen[self.rank :: self.size]):
            rng = np.random.default_rng([self.seed, VIEW, epoch, index])
            mirrored = bool(rng.random() < self.recipe.flip)
            image, label = self._kept.get(self.dataset, index, None)
            turn = -1 if mirrored else 1
            features.append(self.features.read(index, mirrored))
            images.append(image[:, ::turn])
            labels.append(label[:, ::turn])
        return TrainingBatch(step, np.stack(images), np.stack(labels), np.stack(features))


def head_logits(network: Network, classifier: str, features: Tensor, size: tuple[int, int]) -> Tensor:
    """Return the outputs of the classifier on features N D h w, N K H W at the size of the labels."""
    with autocast(network.device, network.precision):
        scores = network.module.get_submodule(classifier)(features)
    return at_size(scores.float(), size)


def can_keep_features(start: Start, dataset: Dataset) -> bool:
    """Return whether all the network does after its classifier is to enlarge its output."""
    sample = dataset.read(0)
    assert sample.image is not None
    images = torch.from_numpy(sample.image[None]).to(start.network.device)
    start.network.module.eval()
    with torch.no_grad(), seen_by_classifier(start.network, start.classifier) as seen:
        scores = start.network.scores(images)
    with torch.no_grad():
        ours = head_logits(start.network, start.classifier, seen[-1], (images.shape[1], images.shape[2]))
    if ours.shape != scores.shape:
        return False
    return bool((ours - scores).abs().max() <= _AGREES * scores.abs().max().clamp(min=1e-12))


def keep_features(
    start: Start, dataset: Dataset, folder: Path, progress: Callable[[int], None] = lambda images: None
) -> Features:
    """Compute the features of every image and its mirror image, unless they are kept, undamaged, from earlier.

    Raises RunError where the disk is full, and where images differ in size.
    """
    file = folder / f"features-{features_key(start.network, start.classifier, dataset)}.npy"
    with suppress(FileNotFoundError, Damaged):
        return Features(file, sealed_shape(file))
    folder.mkdir(parents=True, exist_ok=True)
    temporary = temporary_name(file)
    try:
        shape = _write(start, dataset, temporary, progress)
        os.replace(temporary, file)
    except OSError as error:
        raise RunError(
            f"{folder}: features cannot be kept ({error.strerror or error}); make room, or move --save"
        ) from None
    finally:
        temporary.unlink(missing_ok=True)
    return Features(file, shape)


def _write(start: Start, dataset: Dataset, file: Path, progress: Callable[[int], None]) -> tuple[int, ...]:
    kept: np.memmap | None = None
    checksum = 0
    for index in range(len(dataset)):
        found = _features(start, dataset, index)
        if kept is None:
            shape = (len(dataset), *found.shape)
            kept = np.lib.format.open_memmap(file, mode="w+", dtype=np.float32, shape=shape)
            _reserve(file)
        if found.shape != kept.shape[1:]:
            raise RunError("images differ in size, and so do their features; state a --resize that they share")
        kept[index] = found
        checksum = zlib.crc32(np.ascontiguousarray(found).data, checksum)
        progress(1)
    assert kept is not None
    kept.flush()
    seal(file, checksum)
    return kept.shape


def _features(start: Start, dataset: Dataset, index: int) -> np.ndarray:
    """Compute the features of an image and of its mirror image, 2 D h w float32."""
    image = dataset.read(index).image_at_labels
    assert image is not None
    start.network.module.eval()
    with torch.no_grad(), seen_by_classifier(start.network, start.classifier) as seen:
        for view in (image, np.ascontiguousarray(image[:, ::-1])):
            start.network.scores(torch.from_numpy(view[None]).to(start.network.device))
    return torch.cat(seen).float().cpu().numpy()


def _reserve(file: Path) -> None:
    """Fail now where the disk has no room: a write into a hole of a mapped file would end the process."""
    with open(file, "r+b") as opened:
        if hasattr(os, "posix_fallocate"):
            os.posix_fallocate(opened.fileno(), 0, os.fstat(opened.fileno()).st_size)


def features_key(network: Network, classifier: str, dataset: Dataset, *more: Any) -> str:
    """Return 16 digits of what decides the features: weights, preprocessing, images; and of `more` plain values."""
    digest = hashlib.sha256()
    state = network.module.state_dict()
    for name in sorted(state):
        if not name.startswith(f"{classifier}."):
            digest.update(name.encode())
            digest.update(state[name].detach().cpu().contiguous().numpy().tobytes())
    stamps = [dataset.stamp(index) for index in range(len(dataset))]
    described = [str(network.preprocessing), str(network.precision), list(dataset.names), stamps, *more]
    digest.update(json.dumps(described).encode())
    return digest.hexdigest()[:16]


def with_features(batches: Batches, features: Features) -> HeadBatches:
    """Return the same batches with features."""
    plain = replace(batches.recipe, resize=None, crop=None)
    return HeadBatches(batches.dataset, plain, batches.seed, batches.rank, batches.size, features=features)
