"""SYNTHIA-RAND-CITYSCAPES: 9 400 rendered images of 1280x760; 16 of Cityscapes' 19 classes.

::

    RAND_CITYSCAPES/
      RGB/0000000.png
      GT/LABELS/0000000.png      16-bit RGB PNG: the class id is in the first channel, the instance in the second

There is no official split: "train" is all of it. Ros et al., The SYNTHIA Dataset, CVPR 2016; the 16 classes shared with
Cityscapes are those of the domain-adaptation literature since Zhang et al., Curriculum Domain Adaptation, ICCV 2017.
"""

from dataclasses import dataclass, replace
from pathlib import Path

from segablate.datasets.class_lists import recoded
from segablate.datasets.dataset import Dataset, ImageAndLabelFiles, Item
from segablate.datasets.layout import Layout, beneath, choose_split
from segablate.datasets.layouts import cityscapes
from segablate.datasets.pairing import listed, pair_folders
from segablate.errors import DatasetError
from segablate.images.label_maps import LabelFile
from segablate.images.pictures import Picture, Reading

_CODES = {
    "sky": (1,),
    "building": (2,),
    "road": (3,),
    "sidewalk": (4,),
    "fence": (5,),
    "vegetation": (6,),
    "pole": (7,),
    "car": (8,),
    "traffic sign": (9,),
    "person": (10,),
    "bicycle": (11,),
    "motorcycle": (12,),
    "traffic light": (15,),
    "rider": (17,),
    "bus": (19,),
    "wall": (21,),
}
_OTHERS = (0, 13, 14, 16, 18, 20, 22)  # void, parking slot, road work, terrain, truck, train, lane marking

LABELS = recoded(cityscapes.LABELS, _CODES, _OTHERS, "synthia")
LAYOUT = Layout((LABELS,), "RGB/ GT/LABELS/", default_split="train")


@dataclass(frozen=True)
class FirstChannel:
    """Reads label files whose first channel is the class."""

    def image(self, item: Item, reading: Reading) -> Picture:
        """Decode the image file."""
        return ImageAndLabelFiles().image(item, reading)

    def labels(self, item: Item, reading: Reading) -> LabelFile:
        """Read the label file; its values are the codes in its first channel."""
        file = ImageAndLabelFiles().labels(item, reading)
        return replace(file, values=file.values[..., 0]) if file.values.ndim == 3 else file


def splits(root: Path) -> list[str]:
    """Return "train", and "val" and "test" where they have lists."""
    root = beneath(root, "RAND_CITYSCAPES")
    return ["train", *(name for name in ("val", "test") if (root / f"{name}.txt").is_file())]


def open_split(root: Path, split: str | None = None) -> Dataset:
    """Open `root` at "train" (the default; all of it unless there is a ``train.txt``), or at a split with a list."""
    split = choose_split(root, split or "train", splits(root), "folders RGB/ and GT/LABELS/")
    place = beneath(root, "RAND_CITYSCAPES")
    items, notes = pair_folders(place / "RGB", place / "GT" / "LABELS")
    if (place / f"{split}.txt").is_file():
        items, repeated = listed(items, place / f"{split}.txt")
        notes = (*notes, *repeated)
    if not items:
        raise DatasetError(f"{place / 'RGB'} has no images; unpack the release there")
    return Dataset(f"synthia:{root}", "synthia", split, LABELS, items, notes, FirstChannel())
