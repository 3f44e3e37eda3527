"""Survey a dataset: the size and codes of every label map, and the files that cannot be read."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial

from segablate.datasets.dataset import Dataset
from segablate.datasets.heaps import Values, count_codes, in_blocks
from segablate.datasets.reading import Failure, ahead
from segablate.files import is_file
from segablate.labels import LabelSet
from segablate.samples import Remark

Size = tuple[int, int]


@dataclass(frozen=True)
class Seen:
    """One item: (height, width) of image (None where not read) and label map, pixels of each code, and remarks.

    `flat`: the pixels of each code in blocks of 2 x 2 equal ones, where there are more than two codes (not colours).
    """

    index: int
    name: str
    image_size: Size | None
    label_size: Size
    pixels: Mapping[int, int]
    flat: Mapping[int, int]
    remarks: Remark = Remark.NONE


@dataclass(frozen=True)
class Survey:
    """The items of a split as read. `with_images`: whether the label maps have images."""

    dataset: Dataset
    seen: tuple[Seen, ...]
    failures: tuple[Failure, ...]
    with_images: bool

    @property
    def labels(self) -> LabelSet:
        """Return the label set of the dataset."""
        return self.dataset.labels

    def pixels(self) -> dict[int, int]:
        """Return the number of pixels of each code, ascending by code."""
        return self._added(lambda count: count)

    def values(self) -> Values:
        """Return the pixels of each code, in all and in blocks."""
        flat: dict[int, int] = {}
        for seen in self.seen:
            for code, count in seen.flat.items():
                flat[code] = flat.get(code, 0) + count
        return Values(self.pixels(), flat)

    def images(self) -> dict[int, int]:
        """Return the number of images with each code, ascending by code."""
        return self._added(lambda count: 1)

    def _added(self, share: Callable[[int], int]) -> dict[int, int]:
        total: dict[int, int] = {}
        for seen in self.seen:
            for code, count in seen.pixels.items():
                total[code] = total.get(code, 0) + share(count)
        return dict(sorted(total.items()))


def survey(dataset: Dataset, workers: int, progress: Callable[[int], None] | None = None) -> Survey:
    """Decode every image and label map of a dataset by `workers` processes; errors are kept, not raised."""
    with_images = any(is_file(item.image) for item in dataset.items)
    seen, failures = [], []
    with ahead(partial(_inspect, dataset, with_images), range(len(dataset)), workers) as results:
        for result in results:
            (failures if isinstance(result, Failure) else seen).append(result)
            if progress:
                progress(1)
    return Survey(dataset, tuple(seen), tuple(failures), with_images)


def _inspect(dataset: Dataset, with_image: bool, index: int) -> Seen:
    stored = dataset.stored(index, image=with_image)
    image_size = stored.pixels.shape[:2] if stored.pixels is not None else None
    height, width = stored.codes.shape
    pixels = count_codes(stored.codes)
    blocks = dataset.labels.encoding == "codes" and len(pixels) > 2
    flat = count_codes(in_blocks(stored.codes)) if blocks else dict(pixels)
    return Seen(index, dataset.items[index].name, image_size, (height, width), pixels, flat, stored.remarks)
