"""ADE20K scene parsing: 150 classes, 20 210 training and 2 000 validation images. Code 0 is void, 1..150 the classes.

::

    ADEChallengeData2016/
      images/       training/ADE_train_00000001.jpg    validation/ADE_val_00000001.jpg
      annotations/  training/ADE_train_00000001.png    validation/ADE_val_00000001.png

Zhou et al., Scene Parsing through ADE20K Dataset, CVPR 2017.
"""

from pathlib import Path

from segablate.datasets.class_lists import listed_classes
from segablate.datasets.dataset import Dataset
from segablate.datasets.layout import Layout, beneath, choose_split
from segablate.datasets.pairing import pair_folders
from segablate.errors import DatasetError

LABELS = listed_classes("ade20k", (0,))
LAYOUT = Layout((LABELS,), "images/validation/ annotations/validation/")

_FOLDERS = {"train": "training", "val": "validation"}


def splits(root: Path) -> list[str]:
    """Return the splits in `root`; "all" where images/ and annotations/ have no folders of splits."""
    masks = beneath(root, "ADEChallengeData2016") / "annotations"
    found = [split for split, folder in _FOLDERS.items() if (masks / folder).is_dir()]
    return found or ["all"] * any(masks.glob("*.png"))


def open_split(root: Path, split: str | None = None) -> Dataset:
    """Open `root` at "train" or "val" (the default), also under the folders' names "training" and "validation"."""
    present = splits(root)
    wanted = split or ("all" if present == ["all"] else "val")
    wanted = {folder: name for name, folder in _FOLDERS.items()}.get(wanted, wanted)
    split = choose_split(root, wanted, present, "folders images/validation/ and annotations/validation/")
    place = beneath(root, "ADEChallengeData2016")
    images, masks = (place / kind / _FOLDERS.get(split, "") for kind in ("images", "annotations"))
    items, notes = pair_folders(images, masks)
    if not items:
        raise DatasetError(f"{images} has no images; unpack the release there")
    return Dataset(f"ade20k:{root}", "ade20k", split, LABELS, items, notes)
