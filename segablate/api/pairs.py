"""Pairs of images and labels from a caller, one by one or in batches, as samples of an evaluation."""

import hashlib
from collections.abc import Generator, Iterable, Iterator
from dataclasses import dataclass
from itertools import chain, islice
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from segablate.api.maps import as_tensor, batch_of_labels, check_known, class_indices
from segablate.datasets.dataset import Dataset, oriented
from segablate.errors import DatasetError, at, counted
from segablate.images.label_maps import read_label_file
from segablate.images.pictures import read_picture
from segablate.kernels import checksum
from segablate.labels import LabelSet, index_type
from segablate.samples import Sample


@dataclass(frozen=True)
class Pairs:
    """An iterable of (image, labels) or (image, labels, name), of which the first was looked at.

    - `labels`: the classes; `ignore`: the code of void in arrays and tensors.
    - `floating`: whether images are floating point tensors, as the network takes them.
    """

    items: Iterable[Any]
    labels: LabelSet
    ignore: int | None
    limit: int | None
    floating: bool

    @classmethod
    def of(cls, items: Iterable[Any], labels: LabelSet, ignore: int | None, limit: int | None) -> "Pairs":
        """Look at the first pair. DatasetError where there is none."""
        rest = iter(items)
        first = next(rest, None)
        if first is None:
            raise DatasetError("the dataset has no pair of image and labels; check the iterable, which may be used up")
        image = _parts(first)[0]
        floating = not isinstance(image, str | Path) and as_tensor(image, "image").is_floating_point()
        return cls(chain([first], rest), labels, ignore, limit, floating)

    @property
    def dataset(self) -> Dataset:
        """Return a dataset of these classes without items, which stands for the pairs in facts and notes."""
        return Dataset("pairs", "pairs", "all", self.labels, ())

    def samples(self) -> Generator[Sample, None, None]:
        """Yield the samples in order. Raises a SegablateError that names the pair."""
        names: set[str] = set()
        for index, (image, labels, name) in enumerate(islice(self._single(), self.limit)):
            named = name or _stem(image) or f"{index:06d}"
            with at(f"pair {index} ({named})" if named != f"{index:06d}" else f"pair {index}"):
                if named in names:
                    raise DatasetError("another image has this name; name the images, as in (image, labels, name)")
                names.add(named)
                sample = self._sample(index, named, image, labels)
            yield sample

    def _single(self) -> Iterator[tuple[Any, Any, str]]:
        """Yield pairs, those of batches one by one."""
        for item in self.items:
            image, labels, name = _parts(item)
            if isinstance(image, str | Path) or getattr(image, "ndim", 3) == 3:
                yield image, labels, "" if name is None else str(name)
                continue
            names = [""] * len(image) if name is None else list(name)
            if not len(image) == len(labels) == len(names):
                raise DatasetError(
                    f"a batch has {counted(len(image), 'image')}, {counted(len(labels), 'label map')} and "
                    f"{counted(len(names), 'name')}"
                )
            yield from zip(image, labels, map(str, names), strict=True)

    def _sample(self, index: int, name: str, image: Any, labels: Any) -> Sample:
        indices, digest = self._labels(labels)
        pixels = self._pixels(image, indices.shape)
        if pixels.shape[:2] != indices.shape:
            sizes = "x".join(map(str, indices.shape)), "x".join(map(str, pixels.shape[:2]))
            raise DatasetError(f"the label map is {sizes[0]}, but its image is {sizes[1]}; give both at one size")
        return Sample(index, name, pixels, indices, digest)

    def _labels(self, labels: Any) -> tuple[np.ndarray, str]:
        """Return class indices H, W and a hash of what they were read from."""
        if isinstance(labels, str | Path):
            file = read_label_file(Path(labels))
            codes = self.labels.as_codes(file.coloured() if self.labels.encoding == "colours" else file.values)
            return self.labels.decode_codes(codes), hashlib.sha256(file.data).hexdigest()[:16]
        codes = batch_of_labels(as_tensor(labels, "labels")).cpu()
        if len(codes) != 1:
            raise DatasetError(f"labels of one image must be H W, not {' '.join(map(str, codes.shape))}")
        maps, unknown = class_indices(codes, len(self.labels), self.ignore)
        check_known(int(unknown), "labels", len(self.labels), self.ignore)
        indices = maps[0].numpy().astype(index_type(len(self.labels)), copy=False)
        return indices, checksum.as_text(checksum.checksums(maps)[0].tolist())

    def _pixels(self, image: Any, size: tuple[int, ...]) -> np.ndarray:
        """Return pixels H, W, 3 uint8 RGB, or H, W, C floating point, of a file, an array or a tensor."""
        if isinstance(image, str | Path):
            return oriented(read_picture(Path(image)), size, None)[0]
        tensor = image.detach().cpu() if isinstance(image, Tensor) else as_tensor(image, "image")
        if tensor.ndim != 3:
            raise DatasetError(f"an image must be C H W or H W 3, not {' '.join(map(str, tensor.shape))}")
        if tensor.is_floating_point() != self.floating:
            raise DatasetError("images are partly floating point and partly not; give all in one type")
        if self.floating or isinstance(image, Tensor):
            tensor = tensor.permute(1, 2, 0)
        if self.floating:
            return tensor.float().contiguous().numpy()
        if tensor.dtype != torch.uint8 or tensor.shape[2] != 3:
            shape = " ".join(map(str, tensor.shape))
            raise DatasetError(f"an image must be uint8 of three channels, not {tensor.dtype} of {shape}")
        return tensor.contiguous().numpy()


def _parts(item: Any) -> tuple[Any, Any, Any]:
    """Return image, labels and name, or None, of an item of the iterable."""
    if not isinstance(item, tuple | list) or len(item) not in (2, 3):
        what = f"{type(item).__name__} of {len(item)}" if isinstance(item, tuple | list) else type(item).__name__
        raise DatasetError(f"each item must be a pair (image, labels) or (image, labels, name), not a {what}")
    image, labels, *name = item
    return image, labels, name[0] if name else None


def _stem(image: Any) -> str:
    return Path(image).stem if isinstance(image, str | Path) else ""
