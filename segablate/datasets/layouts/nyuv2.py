"""NYU Depth v2: 795 train and 654 test images of 640x480, with 40 or 13 classes.

::

    nyuv2/                                    exported PNG: codes 0..39 (0..12), 255 is void
      image/test/00001.png  seg40/test/00001.png  seg13/test/00001.png

    nyuv2/                                    exported PNG: codes 1..40 (1..13), 0 is void
      test/rgb/0001.png  test/labels_40/0001.png  test/labels_13/0001.png

    nyuv2/
      nyu_depth_v2_labeled.mat                the labelled release (MATLAB 7.3; needs h5py): codes 1..894, 0 is void

"test" has 40 classes and "test-13" has 13, made from the 40 where there are no label maps of 13. Silberman et al., ECCV
2012; the 40 classes and the split follow Gupta et al., CVPR 2013, the 13 classes Couprie et al., ICLR 2013.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from segablate.datasets.class_lists import class_rows, listed_classes, read_numbers, recoded
from segablate.datasets.dataset import Dataset, Item
from segablate.datasets.layout import Layout, choose_split
from segablate.datasets.pairing import pair_folders
from segablate.errors import DatasetError
from segablate.extras import require
from segablate.files import Unreadable
from segablate.images.label_maps import LabelFile
from segablate.images.pictures import Picture, Reading
from segablate.labels import LabelSet

_ROWS = class_rows("nyu40")
_OF_13 = {row["name"]: row["of13"] for row in _ROWS}
_NAMES_13 = tuple(sorted(set(_OF_13.values())))
_MAT = "nyu_depth_v2_labeled.mat"
_IMAGES = 1449
_FEW = "-13"

LABELS = listed_classes("nyu40", (0,))


def _joined(labels: LabelSet) -> LabelSet:
    """Merge the 40 classes into 13, in alphabetical order as published; each has the colour of its first class."""
    members = [[index for index, name in enumerate(labels.names) if _OF_13[name] == few] for few in _NAMES_13]
    codes = tuple(tuple(code for index in row for code in labels.codes[index]) for row in members)
    return LabelSet("nyu13", _NAMES_13, codes, labels.void, tuple(labels.colours[row[0]] for row in members))


LABELS_13 = _joined(LABELS)
LAYOUT = Layout((LABELS, LABELS_13), f"image/test/ seg40/test/, test/rgb/ test/labels_40/, or {_MAT}", "test")


@dataclass(frozen=True)
class Arrays:
    """Reads images (N, 3, W, H in HDF5) and labels (N, W, H) from the single file of the release."""

    path: Path

    def image(self, item: Item, reading: Reading) -> Picture:
        """Read one image, H, W, 3 uint8 RGB."""
        pixels = np.ascontiguousarray(self._read("images", item).T)
        if pixels.ndim != 3 or pixels.shape[-1] != 3 or pixels.dtype != np.uint8 or not pixels.size:
            raise Unreadable(f"{self.path}: images are {pixels.dtype} of shape {pixels.shape}; copy the file again")
        return Picture(pixels)

    def labels(self, item: Item, reading: Reading) -> LabelFile:
        """Read one label map, H, W uint16 of 0..894."""
        codes = np.ascontiguousarray(self._read("labels", item).T)
        if codes.ndim != 2 or codes.dtype.kind not in "iu" or not codes.size:
            raise Unreadable(f"{self.path}: labels are {codes.dtype} of shape {codes.shape}; copy the file again")
        return LabelFile(codes.tobytes(), codes)

    def _read(self, key: str, item: Item) -> np.ndarray:
        h5py = require("h5py", "mat", f"reading {self.path.name}")
        try:
            with h5py.File(self.path, "r") as file:
                return np.asarray(file[key][int(item.name) - 1])
        except (OSError, KeyError, ValueError, IndexError, TypeError, RuntimeError) as error:
            raise Unreadable(
                f"{self.path}: not the labelled release of NYU Depth v2 ({error}); copy it again"
            ) from None


def splits(root: Path) -> list[str]:
    """Return the splits in `root`: "train" and "test" with 40 classes, "train-13" and "test-13" with 13."""
    parts = [part for part in ("train", "test") if (root / _MAT).is_file() or _folders(root, part)]
    return [*parts, *(part + _FEW for part in parts)]


def open_split(root: Path, split: str | None = None) -> Dataset:
    """Open `root` at "test" (the default) or "train", with 40 classes; at "test-13" or "train-13" with 13."""
    split = choose_split(root, split or "test", splits(root), f"image/test/ and seg40/test/, or {_MAT}")
    part, few = split.removesuffix(_FEW), split.endswith(_FEW)
    if (root / _MAT).is_file():
        return _open_release(root, split, _official(part), few)
    images, masks = _folders(root, part, few)[0]
    items, notes = pair_folders(images, masks)
    if not items:
        raise DatasetError(f"{images} has no images; export the release there")
    return Dataset(f"nyuv2:{root}", "nyuv2", split, _exported(masks, few), items, notes)


def _folders(root: Path, part: str, few: bool = False) -> list[tuple[Path, Path]]:
    """Return the existing pairs of folders of images and label maps, those with 13 classes first if `few`."""
    pairs = []
    for count in ("13", "40") if few else ("40",):
        pairs.append((root / "image" / part, root / f"seg{count}" / part))
        pairs.append((root / part / "rgb", root / part / f"labels_{count}"))
    return [pair for pair in pairs if pair[1].is_dir()]


def _exported(masks: Path, few: bool) -> LabelSet:
    """Return the label set of a folder: `seg*` has codes from 0 and void 255, `labels_*` codes from 1 and void 0."""
    from_one = masks.name.startswith("labels_")
    void = (0,) if from_one else (255,)
    few_in_files = (masks.name if from_one else masks.parent.name).endswith("13")
    labels = LABELS_13 if few_in_files else LABELS
    codes = {name: (index + from_one,) for index, name in enumerate(labels.names)}
    found = recoded(labels, codes, void, labels.name)
    return _joined(found) if few and not few_in_files else found


def _open_release(root: Path, split: str, numbers: list[int], few: bool) -> Dataset:
    codes: dict[str, list[int]] = {name: [] for name in LABELS.names}
    for raw, index in enumerate(read_numbers("nyu894"), start=1):
        codes[LABELS.names[index - 1]].append(raw)
    labels = recoded(LABELS, {name: tuple(found) for name, found in codes.items()}, (0,), LABELS.name)
    path = root / _MAT
    items = tuple(Item(f"{number:05d}", path, path) for number in numbers)
    labels = _joined(labels) if few else labels
    return Dataset(f"nyuv2:{root}", "nyuv2", split, labels, items, source=Arrays(path))


def _official(part: str) -> list[int]:
    """Return the numbers, from 1, of the images of an official split."""
    test = set(read_numbers("nyu_test"))
    return [number for number in range(1, _IMAGES + 1) if (number in test) == (part == "test")]
