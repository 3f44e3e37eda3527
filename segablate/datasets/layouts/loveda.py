"""LoveDA: land cover in 5 987 aerial images of 1024x1024, 2 522 train and 1 669 val; 7 classes, 0 is void.

::

    LoveDA/
      Train/Urban/images_png/1366.png     Train/Urban/masks_png/1366.png     0 is no data, 1..7 the classes
      Train/Rural/images_png/0.png        Train/Rural/masks_png/0.png
      Val/Urban/...                       Val/Rural/...

    loveDA/                               as mmsegmentation rearranges it
      img_dir/val/2522.png                ann_dir/val/2522.png

"val" is both domains; "val-urban" and "val-rural" are one of them. The test split is published without labels. Wang et
al., LoveDA: A Remote Sensing Land-Cover Dataset for Domain Adaptive Semantic Segmentation, NeurIPS Datasets and
Benchmarks 2021; folders as in github.com/Junjue-Wang/LoveDA.
"""

from dataclasses import replace
from pathlib import Path

from segablate.datasets.class_lists import listed_classes
from segablate.datasets.dataset import Dataset, Item
from segablate.datasets.layout import Layout, beneath, choose_split
from segablate.datasets.pairing import pair_folders
from segablate.errors import DatasetError

LABELS = listed_classes("loveda", (0,))
LAYOUT = Layout((LABELS,), "Val/Urban/images_png/ Val/Urban/masks_png/ Val/Rural/", always_void=False)

_DOMAINS = ("Urban", "Rural")


def splits(root: Path) -> list[str]:
    """Return the splits that have a folder of labels; each also with its domain where these have folders."""
    place = beneath(root, "LoveDA", "loveDA")
    found = []
    for split in ("train", "val", "test"):
        domains = [domain for domain in _DOMAINS if (place / split.title() / domain / "masks_png").is_dir()]
        if domains or (place / "ann_dir" / split).is_dir():
            found += [split, *(f"{split}-{domain.lower()}" for domain in domains)]
    return found


def open_split(root: Path, split: str | None = None) -> Dataset:
    """Open `root` at "val" (the default) or "train", or at one domain of it: "val-urban", "val-rural"."""
    split = choose_split(root, split or "val", splits(root), "folders Val/Urban/images_png/ and Val/Urban/masks_png/")
    place = beneath(root, "LoveDA", "loveDA")
    part, _, domain = split.partition("-")
    items: list[Item] = []
    notes: list[str] = []
    if (place / "ann_dir" / part).is_dir() and not (place / part.title()).is_dir():
        found, said = pair_folders(place / "img_dir" / part, place / "ann_dir" / part)
        items, notes = list(found), list(said)
    for each in (name for name in _DOMAINS if (place / part.title() / name / "masks_png").is_dir()):
        if domain in ("", each.lower()):
            folder = place / part.title() / each
            found, said = pair_folders(folder / "images_png", folder / "masks_png")
            items += [replace(item, name=f"{each.lower()}/{item.name}") for item in found]
            notes += said
    if not items:
        raise DatasetError(f"{place}: split {split!r} has no images; unpack the release there")
    return Dataset(f"loveda:{root}", "loveda", split, LABELS, tuple(items), tuple(notes))
