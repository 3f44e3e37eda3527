"""COCO-Stuff 164k: 171 classes, 118 287 train and 5 000 val images; and COCO panoptic, 133 classes.

::

    coco/
      images/val2017/000000000139.jpg                 or val2017/
      annotations/val2017/000000000139.png            or stuffthingmaps/val2017/: codes 0..181 with gaps, 255 is void
      annotations/val2017/000000000139_labelTrainIds.png     read where there are no others: 0..170, 255 is void
      annotations/panoptic_val2017/000000000139.png   segment ids as colours, 0 is void
      annotations/panoptic_val2017.json               the category of each segment

"val" reads the maps of things and stuff, or the panoptic ones where there are no others; "val-panoptic" reads these.
Both have the same 80 things, but panoptic has 53 classes of stuff instead of 91. Caesar et al., COCO-Stuff,
CVPR 2018; Kirillov et al., Panoptic Segmentation, CVPR 2019.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from segablate.datasets.class_lists import listed_classes, recoded
from segablate.datasets.dataset import Dataset, ImageAndLabelFiles, Item
from segablate.datasets.layout import Layout, choose_split, first_folder
from segablate.datasets.pairing import pair_folders, require_labels
from segablate.errors import DatasetError, LabelError, at, counted
from segablate.images.label_maps import LabelFile
from segablate.images.pictures import Picture, Reading
from segablate.text_files import read_json

LABELS = listed_classes("coco_stuff", (255,))
TRAIN_IDS = recoded(LABELS, {name: (index,) for index, name in enumerate(LABELS.names)}, (255,), "coco_stuff")
PANOPTIC = listed_classes("coco_panoptic", (0,))
LAYOUT = Layout((LABELS, PANOPTIC), "images/val2017/ annotations/val2017/, or panoptic_val2017.json")

_PANOPTIC = "-panoptic"
_TRAIN_IDS = "_labelTrainIds.png"
_JSON_BYTES = 2**30
"""Most bytes of the file of segments; that of the train split has 400 MB."""


@dataclass(frozen=True)
class Panoptic:
    """Reads label files whose colours are segment ids: red + 256 green + 65536 blue.

    `segments`: for each item's name the ids of its segments, ascending, and their categories.
    """

    segments: dict[str, tuple[np.ndarray, np.ndarray]]

    def image(self, item: Item, reading: Reading) -> Picture:
        """Decode the image file."""
        return ImageAndLabelFiles().image(item, reading)

    def labels(self, item: Item, reading: Reading) -> LabelFile:
        """Read the label file; its values are the category of each pixel."""
        file = ImageAndLabelFiles().labels(item, reading)
        colours = file.coloured()
        if colours.ndim != 3:
            raise LabelError(f"{item.labels}: has one channel, but panoptic maps hold segment ids as RGB colours")
        found = colours[..., 0] + (colours[..., 1].astype(np.int32) << 8) + (colours[..., 2].astype(np.int32) << 16)
        ids, categories = self.segments[item.name]
        places = np.searchsorted(ids, found).clip(max=len(ids) - 1)
        strange = ids[places] != found
        if strange.any():
            raise LabelError(
                f"{item.labels}: segment {int(found[strange][0])} at {counted(int(strange.sum()), 'pixel')} is not in "
                f"the JSON file; take both from one release"
            )
        return LabelFile(file.data, categories[places], remarks=file.remarks)


def splits(root: Path) -> list[str]:
    """Return the splits in `root`."""
    plain = [split for split in ("train", "val") if _maps(root, split)]
    panoptic = [split for split in ("train", "val") if _json(root, split).is_file()]
    return [*(plain or panoptic), *(split + _PANOPTIC for split in panoptic)]


def open_split(root: Path, split: str | None = None) -> Dataset:
    """Open `root` at "val" (the default), "train", "val-panoptic" or "train-panoptic"."""
    split = choose_split(
        root, split or "val", splits(root), "annotations/val2017/ or annotations/panoptic_val2017.json"
    )
    part = split.removesuffix(_PANOPTIC)
    images = first_folder((root / "images" / f"{part}2017", root / f"{part}2017"))
    if images is None:
        raise DatasetError(f"{root}: neither images/{part}2017 nor {part}2017 exists; unpack the images there")
    maps = _maps(root, part)
    if split.endswith(_PANOPTIC) or maps is None:
        return _open_panoptic(root, split, images, _json(root, part))
    train_ids = not any(path for path in maps.glob("*.png") if not path.name.endswith(_TRAIN_IDS))
    if train_ids:
        items, notes = pair_folders(images, maps, label_suffix=_TRAIN_IDS)
    else:
        items, notes = pair_folders(images, maps, unused=_TRAIN_IDS)
    return Dataset(f"coco-stuff:{root}", "coco-stuff", split, TRAIN_IDS if train_ids else LABELS, items, notes)


def _maps(root: Path, part: str) -> Path | None:
    return first_folder(root / folder / f"{part}2017" for folder in ("annotations", "stuffthingmaps"))


def _json(root: Path, part: str) -> Path:
    return root / "annotations" / f"panoptic_{part}2017.json"


def _open_panoptic(root: Path, split: str, images: Path, path: Path) -> Dataset:
    with at(path):
        described = read_json(path, _JSON_BYTES)
    try:
        names = {image["id"]: image["file_name"] for image in described["images"]}
        entries = [(names[entry["image_id"]], entry) for entry in described["annotations"]]
        segments = {Path(name).stem: _categories(entry["segments_info"]) for name, entry in entries}
        masks = path.with_suffix("")
        items = tuple(Item(Path(name).stem, images / name, masks / entry["file_name"]) for name, entry in entries)
    except (ValueError, KeyError, TypeError, AttributeError, OverflowError, RecursionError) as error:
        raise DatasetError(f"{path}: not a panoptic annotation file ({error!r}); unpack it again") from None
    twice = len(items) - len(segments)
    if twice:
        raise DatasetError(f"{path}: {counted(twice, 'image')} annotated more than once; unpack it again")
    require_labels(items)
    labels = "labels are panoptic: 133 classes"
    return Dataset(f"coco-stuff:{root}", "coco-stuff", split, PANOPTIC, items, (labels,), Panoptic(segments))


def _categories(segments: list[dict[str, int]]) -> tuple[np.ndarray, np.ndarray]:
    """Return ids, ascending, and categories of the segments of one image; id 0 is category 0, void."""
    pairs = sorted({0: 0, **{segment["id"]: segment["category_id"] for segment in segments}}.items())
    ids, categories = zip(*pairs, strict=True)
    return np.array(ids, np.int32), np.array(categories, np.uint8)
