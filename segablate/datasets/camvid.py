"""CamVid in SegNet's layout: 367 train, 101 val and 233 test images of 480x360, 11 classes, 8-bit codes, 11 is void.

::

    camvid/
      train/  trainannot/  train.txt
      val/    valannot/    val.txt
      test/   testannot/   test.txt

The lists hold somebody's absolute paths; they are matched with the files by base name. Without a list, all images of
the folder are taken. Brostow et al., ECCV 2008; the 11 classes are those of Badrinarayanan et al., SegNet, TPAMI 2017.
"""

from pathlib import Path, PurePosixPath

from segablate.datasets.dataset import Dataset, Item
from segablate.datasets.pairing import pair_folders, read_list
from segablate.errors import DatasetError, shorten
from segablate.labels import LabelSet

_CLASSES = {
    "sky": (128, 128, 128),
    "building": (128, 0, 0),
    "pole": (192, 192, 128),
    "road": (128, 64, 128),
    "pavement": (60, 40, 222),
    "tree": (128, 128, 0),
    "sign": (192, 128, 128),
    "fence": (64, 64, 128),
    "car": (64, 0, 128),
    "pedestrian": (64, 64, 0),
    "bicyclist": (0, 128, 192),
}

LABELS = LabelSet(
    "camvid", tuple(_CLASSES), tuple((code,) for code in range(11)), void=(11,), colours=tuple(_CLASSES.values())
)


def open_split(root: Path, split: str | None = None) -> Dataset:
    """Open `root` at "train", "val" (the default) or "test"."""
    split = split or "val"
    present = [name for name in ("train", "val", "test") if (root / name).is_dir() and (root / f"{name}annot").is_dir()]
    if split not in present:
        there = f"there are {shorten(present)}" if present else "expected folders val/ and valannot/"
        raise DatasetError(f"{root}: CamVid has no split {split!r} here; {there}")
    items, notes = pair_folders(root / split, root / f"{split}annot")
    if (root / f"{split}.txt").is_file():
        items = _listed(items, root / f"{split}.txt")
    if not items:
        raise DatasetError(f"{root}: split {split!r} is empty; put images into {split}/ and masks into {split}annot/")
    return Dataset(f"camvid:{root}", "camvid", split, LABELS, items, notes)


def _listed(items: tuple[Item, ...], path: Path) -> tuple[Item, ...]:
    by_name = {item.name: item for item in items}
    names = [PurePosixPath(entry).stem for entry in read_list(path)]
    absent = [name for name in names if name not in by_name]
    if absent:
        raise DatasetError(f"{path} names {len(absent)} images that are not there (first: {shorten(absent)})")
    return tuple(by_name[name] for name in names)
