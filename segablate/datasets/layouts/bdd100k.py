"""BDD100K, semantic segmentation: 7 000 train and 1 000 val images of 1280x720; the 19 classes of Cityscapes.

::

    bdd100k/
      images/10k/val/7d06fefd-f7be05a6.jpg
      labels/sem_seg/masks/val/7d06fefd-f7be05a6.png      train ids 0..18, 255 is void

    bdd100k/                                              the older release
      seg/images/val/7d06fefd-f7be05a6.jpg
      seg/labels/val/7d06fefd-f7be05a6_train_id.png

The test split is published without labels. Yu et al., BDD100K: A Diverse Driving Dataset for Heterogeneous Multitask
Learning, CVPR 2020; folders as in the documentation of the release, doc.bdd100k.com/format.html.
"""

from pathlib import Path

from segablate.datasets.class_lists import recoded
from segablate.datasets.dataset import Dataset
from segablate.datasets.layout import Layout, beneath, choose_split
from segablate.datasets.layouts import cityscapes
from segablate.datasets.pairing import pair_folders
from segablate.errors import DatasetError

LABELS = recoded(
    cityscapes.LABELS, {name: (index,) for index, name in enumerate(cityscapes.LABELS.names)}, (255,), "bdd100k"
)
LAYOUT = Layout((LABELS,), "images/10k/val/ labels/sem_seg/masks/val/")


def splits(root: Path) -> list[str]:
    """Return the splits that have a folder of labels."""
    return [split for split in ("train", "val", "test") if _folders(root, split)[1].is_dir()]


def open_split(root: Path, split: str | None = None) -> Dataset:
    """Open `root` at "val" (the default) or "train"."""
    split = choose_split(root, split or "val", splits(root), "folders images/10k/val/ and labels/sem_seg/masks/val/")
    images, masks, suffix = _folders(root, split)
    items, notes = pair_folders(images, masks, label_suffix=suffix)
    if not items:
        raise DatasetError(f"{images} has no images; unpack the 10K images there")
    return Dataset(f"bdd100k:{root}", "bdd100k", split, LABELS, items, notes)


def _folders(root: Path, split: str) -> tuple[Path, Path, str]:
    """Return the folders of images and label maps of a split, and the suffix of the label maps."""
    place = beneath(root, "bdd100k")
    older = place / "seg" if (place / "seg").is_dir() else place
    if (older / "labels" / split).is_dir() and not (place / "labels" / "sem_seg").is_dir():
        return older / "images" / split, older / "labels" / split, "_train_id.png"
    return place / "images" / "10k" / split, place / "labels" / "sem_seg" / "masks" / split, ".png"
