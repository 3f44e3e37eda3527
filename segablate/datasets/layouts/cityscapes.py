"""Cityscapes: 2 975 train and 500 val images of 2048x1024; 19 of the 34 label ids are classes, the others are void.

::

    cityscapes/
      leftImg8bit/val/frankfurt/frankfurt_000000_000294_leftImg8bit.png
      gtFine/val/frankfurt/frankfurt_000000_000294_gtFine_labelIds.png
      gtFine/val/frankfurt/frankfurt_000000_000294_gtFine_labelTrainIds.png    read where labelIds are absent
      gtCoarse/train_extra/...                                                 the split train_extra

Train ids are 0..18 in the order of the label ids, 255 is void. The test split is published without labels: all of it is
void. Cordts et al., The Cityscapes Dataset, CVPR 2016.
"""

from pathlib import Path

from segablate.datasets.class_lists import listed_classes, recoded
from segablate.datasets.dataset import Dataset
from segablate.datasets.layout import Layout, choose_split, subfolders
from segablate.datasets.pairing import pair_folders
from segablate.errors import DatasetError

LABELS = listed_classes("cityscapes", (0, 1, 2, 3, 4, 5, 6, 9, 10, 14, 15, 16, 18, 29, 30))
TRAIN_IDS = recoded(LABELS, {name: (index,) for index, name in enumerate(LABELS.names)}, (255,), "cityscapes")
LAYOUT = Layout((LABELS, TRAIN_IDS), "leftImg8bit/val/CITY/ gtFine/val/CITY/")


def splits(root: Path) -> list[str]:
    """Return the splits that have a folder of labels."""
    return [split for split in ("train", "val", "test", "train_extra") if (_truth(root, split) / split).is_dir()]


def open_split(root: Path, split: str | None = None) -> Dataset:
    """Open `root` at "train", "val" (the default), "test" or "train_extra" (coarse labels)."""
    split = choose_split(root, split or "val", splits(root), "folders leftImg8bit/val/ and gtFine/val/")
    truth = _truth(root, split)
    encoding = _encoding(truth, split)
    items, notes = pair_folders(
        root / "leftImg8bit" / split,
        truth / split,
        image_suffix="_leftImg8bit.png",
        label_suffix=f"_{truth.name}_{encoding}.png",
    )
    if not items:
        raise DatasetError(f"{root}: leftImg8bit/{split}/CITY/ has no *_leftImg8bit.png; unpack the release there")
    train_ids = encoding == "labelTrainIds"
    notes = (*notes, "labels are read from train ids, as there are no label ids") if train_ids else notes
    return Dataset(f"cityscapes:{root}", "cityscapes", split, TRAIN_IDS if train_ids else LABELS, items, notes)


def _truth(root: Path, split: str) -> Path:
    return root / ("gtCoarse" if split == "train_extra" else "gtFine")


def _encoding(truth: Path, split: str) -> str:
    """Return "labelIds", or "labelTrainIds" where the first city with labels has only these."""
    for city in subfolders(truth / split):
        names = [path.name for path in (truth / split / city).iterdir()]
        for encoding in ("labelIds", "labelTrainIds"):
            if any(name.endswith(f"_{encoding}.png") for name in names):
                return encoding
    return "labelIds"
