"""KITTI, semantic segmentation: 200 training images of about 1242x375; the 19 classes of Cityscapes.

::

    data_semantics/
      training/image_2/000000_10.png
      training/semantic/000000_10.png      label ids of Cityscapes, 0..33
      val.txt                              optional lists of images, one per line, also train.txt

There is no official split of the 200 images: "train" is all of them unless there are lists. The 200 images of testing/
are published without labels. Alhaija et al., Augmented Reality Meets Computer Vision, IJCV 2018; folders and ids as in
the development kit, www.cvlibs.net/datasets/kitti/eval_semseg.php.
"""

from pathlib import Path

from segablate.datasets.class_lists import recoded
from segablate.datasets.dataset import Dataset
from segablate.datasets.layout import Layout, beneath, choose_split
from segablate.datasets.layouts import cityscapes
from segablate.datasets.pairing import listed, pair_folders
from segablate.errors import DatasetError

LABELS = recoded(
    cityscapes.LABELS,
    dict(zip(cityscapes.LABELS.names, cityscapes.LABELS.codes, strict=True)),
    (*(cityscapes.LABELS.void or ()), 255),  # 255: license plates, -1 in 8 bits
    "kitti",
)
LAYOUT = Layout((LABELS,), "training/image_2/ training/semantic/", default_split="train")


def splits(root: Path) -> list[str]:
    """Return "train", and "val" and "test" where they have lists; none where there are no labels."""
    place = beneath(root, "data_semantics", "kitti")
    if not (place / "training" / "semantic").is_dir():
        return []
    return ["train", *(name for name in ("val", "test") if (place / f"{name}.txt").is_file())]


def open_split(root: Path, split: str | None = None) -> Dataset:
    """Open `root` at "train" (the default; all of it unless there is a ``train.txt``), or at a split with a list."""
    split = choose_split(root, split or "train", splits(root), "folders training/image_2/ and training/semantic/")
    place = beneath(root, "data_semantics", "kitti")
    items, notes = pair_folders(place / "training" / "image_2", place / "training" / "semantic")
    if (place / f"{split}.txt").is_file():
        items, repeated = listed(items, place / f"{split}.txt")
        notes = (*notes, *repeated)
    if not items:
        raise DatasetError(f"{place / 'training' / 'image_2'} has no images; unpack the release there")
    return Dataset(f"kitti:{root}", "kitti", split, LABELS, items, notes)
