"""CamVid: the 11 classes of SegNet's release, or the original 701 frames with 32 colours mapped to these 11.

::

    camvid/                               SegNet: 367 train, 101 val, 233 test images of 480x360
      train/  trainannot/  train.txt      8-bit codes 0..10, 11 is void
      val/    valannot/    val.txt
      test/   testannot/   test.txt

    camvid/                               original: 701 frames of 960x720
      701_StillsRaw_full/0001TP_006690.png
      LabeledApproved_full/0001TP_006690_L.png
      val.txt                             optional lists; without them there is the split "all"

    camvid/                               original, split into folders
      train/  train_labels/  val/  val_labels/  test/  test_labels/

Lists may have absolute paths of another machine; files are found by base name. Without a list, a split is all images of
its folder. Brostow et al., ECCV 2008; the 11 classes and which of the 32 colours belong to each follow
Badrinarayanan et al., SegNet, TPAMI 2017.
"""

from pathlib import Path

from segablate.datasets.dataset import Dataset
from segablate.datasets.layout import Layout, choose_split, first_folder
from segablate.datasets.pairing import listed, pair_folders
from segablate.errors import DatasetError
from segablate.labels import LabelSet, pack_colour

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

_ORIGINAL = {
    "sky": [(128, 128, 128)],
    # building, archway, bridge, tunnel, wall
    "building": [(128, 0, 0), (192, 0, 128), (0, 128, 64), (64, 0, 64), (64, 192, 0)],
    "pole": [(192, 192, 128), (0, 0, 64)],  # column or pole, traffic cone
    "road": [(128, 64, 128), (128, 0, 192), (192, 0, 64)],  # road, lane markings (drivable or not)
    "pavement": [(0, 0, 192), (64, 192, 128), (128, 128, 192)],  # sidewalk, parking block, road shoulder
    "tree": [(128, 128, 0), (192, 192, 0)],  # tree, other vegetation
    "sign": [(192, 128, 128), (128, 128, 64), (0, 64, 64)],  # sign or symbol, text, traffic light
    "fence": [(64, 64, 128)],
    # car, SUV or pick-up, truck or bus, train, other moving
    "car": [(64, 0, 128), (64, 128, 192), (192, 128, 192), (192, 64, 128), (128, 64, 64)],
    # pedestrian, child, cart or luggage or pram, animal
    "pedestrian": [(64, 64, 0), (192, 128, 64), (64, 0, 192), (64, 128, 64)],
    "bicyclist": [(0, 128, 192), (192, 0, 192)],  # bicyclist, motorcycle or scooter
}

ORIGINAL = LabelSet(
    "camvid",
    tuple(_CLASSES),
    tuple(tuple(map(pack_colour, _ORIGINAL[name])) for name in _CLASSES),
    void=(pack_colour((0, 0, 0)),),
    colours=tuple(_CLASSES.values()),
    encoding="colours",
)

LAYOUT = Layout((LABELS, ORIGINAL), "val/ valannot/, or 701_StillsRaw_full/ LabeledApproved_full/")

_FRAMES, _APPROVED = "701_StillsRaw_full", "LabeledApproved_full"


def splits(root: Path) -> list[str]:
    """Return the splits in `root`, by folder or, for the original frames, by list."""
    folders = [name for name in ("train", "val", "test") if (root / name).is_dir() and _masks(root, name)]
    if folders or not (root / _FRAMES).is_dir():
        return folders
    return [name for name in ("train", "val", "test") if (root / f"{name}.txt").is_file()] or ["all"]


def open_split(root: Path, split: str | None = None) -> Dataset:
    """Open `root` at "train", "val" (the default) or "test"; at "all" where the original frames have no lists."""
    present = splits(root)
    split = choose_split(root, split or ("all" if present == ["all"] else "val"), present, "folders val/ and valannot/")
    masks = _masks(root, split)
    original = masks is None or masks.name != f"{split}annot"
    images, masks = (root / split, masks) if masks else (root / _FRAMES, root / _APPROVED)
    items, notes = pair_folders(images, masks, label_suffix="_L.png" if original else ".png")
    if (root / f"{split}.txt").is_file():
        items, repeated = listed(items, root / f"{split}.txt")
        notes = (*notes, *repeated)
    if not items:
        raise DatasetError(
            f"{root}: split {split!r} is empty; put images into {images.name}/, masks into {masks.name}/"
        )
    return Dataset(f"camvid:{root}", "camvid", split, ORIGINAL if original else LABELS, items, notes)


def _masks(root: Path, split: str) -> Path | None:
    return first_folder((root / f"{split}annot", root / f"{split}_labels"))
