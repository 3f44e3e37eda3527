"""PASCAL VOC 2012: 21 classes with background, 1 464 train and 1 449 val images; palette PNG, 255 is void.

::

    VOC2012/                                     also below VOCdevkit/
      JPEGImages/2007_000033.jpg
      SegmentationClass/2007_000033.png
      SegmentationClassAug/2008_000019.png       10 582 images with the labels of SBD, grey PNG
      ImageSets/Segmentation/train.txt  val.txt  trainval.txt  trainaug.txt
      scribble_annotation/pascal_2012/2007_000032.xml     ScribbleSup; also pascal_2012_scribble/, XML or PNG

Splits whose name ends in "aug" read SegmentationClassAug; "train-scribble" reads the scribbles of the split "train",
drawn three pixels wide, with all else void. Without lists, all label maps are one split, "all", also in a directory of
label maps alone; without JPEGImages, label maps can still be compared with predictions. Everingham et al.,
IJCV 2010; Hariharan et al., Semantic Contours from Inverse Detectors, ICCV 2011; Lin et al., ScribbleSup, CVPR 2016.
"""

from dataclasses import dataclass
from pathlib import Path
from xml.etree import ElementTree

import numpy as np

from segablate.datasets.class_lists import listed_classes
from segablate.datasets.dataset import Dataset, ImageAndLabelFiles, Item, ItemReader
from segablate.datasets.layout import Layout, beneath, choose_split, first_folder
from segablate.datasets.lists import find_listed, read_list
from segablate.datasets.pairing import NO_IMAGES
from segablate.errors import DatasetError, at, counted, shorten
from segablate.files import Unreadable, read_bytes, visible_files
from segablate.images.label_maps import LabelFile
from segablate.images.pictures import Picture, Reading
from segablate.labels import IGNORE
from segablate.limits import TEXT_BYTES, check_pixels

LABELS = listed_classes("voc2012", (255,))
LAYOUT = Layout((LABELS,), "JPEGImages/ SegmentationClass/ ImageSets/Segmentation/val.txt")

_MASKS, _AUGMENTED = "SegmentationClass", "SegmentationClassAug"
_SCRIBBLES = ("scribble_annotation/pascal_2012", "pascal_2012_scribble")
_SUFFIX = "-scribble"
_WIDTH = 3


@dataclass(frozen=True)
class Scribbles:
    """Reads strokes from XML: for each a class and points, joined by lines."""

    def image(self, item: Item, reading: Reading) -> Picture:
        """Decode the image file."""
        return ImageAndLabelFiles().image(item, reading)

    def labels(self, item: Item, reading: Reading) -> LabelFile:
        """Read the file and draw its strokes, H, W uint8 class codes."""
        data = read_bytes(item.labels, TEXT_BYTES).tobytes()
        try:
            with at(item.labels):
                return LabelFile(data, _draw(ElementTree.fromstring(data)))
        except (ElementTree.ParseError, ValueError, TypeError, AttributeError, OverflowError) as error:
            raise Unreadable(f"{item.labels}: not a scribble file ({error}); replace it") from None


def splits(root: Path) -> list[str]:
    """Return the names of the lists, or "all" without lists; each also with "-scribble" where there are scribbles."""
    place = _place(root)
    lists = place / "ImageSets" / "Segmentation"
    named = sorted(path.stem for path in lists.glob("*.txt")) if lists.is_dir() else []
    if not named and (first_folder((place / _MASKS, place / _AUGMENTED)) or any(place.glob("*.png"))):
        named = ["all"]
    return [*named, *(name + _SUFFIX for name in named if _scribbles(place))]


def open_split(root: Path, split: str | None = None) -> Dataset:
    """Open `root` at a list of ImageSets/Segmentation: "val" (the default), "train", "trainaug", "train-scribble"."""
    present = splits(root)
    split = choose_split(
        root, split or ("all" if present == ["all"] else "val"), present, "ImageSets/Segmentation/val.txt"
    )
    place = _place(root)
    folder = _labels_folder(place, split)
    suffix = ".xml" if any(folder.glob("*.xml")) else ".png"
    names, repeated = _names(place, folder, split.removesuffix(_SUFFIX), suffix)
    items = tuple(Item(name, place / "JPEGImages" / f"{name}.jpg", folder / f"{name}{suffix}") for name in names)
    if not items:
        raise DatasetError(f"{root}: split {split!r} is empty; add image names to its list")
    source: ItemReader = Scribbles() if suffix == ".xml" else ImageAndLabelFiles()
    return Dataset(f"voc2012:{root}", "voc2012", split, LABELS, items, (*_notes(place, folder), *repeated), source)


def _place(root: Path) -> Path:
    return beneath(beneath(root, "VOCdevkit"), "VOC2012")


def _labels_folder(place: Path, split: str) -> Path:
    scribbles = _scribbles(place)
    if split.endswith(_SUFFIX) and scribbles:
        return scribbles
    if not first_folder((place / _MASKS, place / _AUGMENTED)):
        return place
    augmented = split.replace("_", "").endswith("aug") or not (place / _MASKS).is_dir()
    return place / (_AUGMENTED if augmented else _MASKS)


def _scribbles(place: Path) -> Path | None:
    return first_folder(place / folder for folder in _SCRIBBLES)


def _names(place: Path, folder: Path, split: str, suffix: str) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return the names in the list of a split, or those of all label files without a list; and notes.

    Some lists of the augmented set have paths instead of names.
    """
    path = place / "ImageSets" / "Segmentation" / f"{split}.txt"
    present = [file.stem for file in visible_files(folder, (suffix,))]
    if not path.is_file():
        return tuple(present), ()
    found = find_listed(read_list(path), present)
    if found.absent:
        count = counted(len(found.absent), "name")
        raise DatasetError(f"{path}: {count} without a label map in {folder} (first: {shorten(found.absent)})")
    return found.names, found.notes(path.name)


def _notes(place: Path, folder: Path) -> tuple[str, ...]:
    notes = []
    if not (place / "JPEGImages").is_dir():
        notes.append(NO_IMAGES)
    if folder.name != _MASKS and folder != place:
        notes.append(f"labels are read from {folder.name}")
    return tuple(notes)


def _draw(annotation: ElementTree.Element) -> np.ndarray:
    import cv2

    height, width = (int(annotation.findtext(f"size/{side}") or "") for side in ("height", "width"))
    check_pixels(height, width)
    labels = np.full((height, width), IGNORE, np.uint8)
    for stroke in annotation.iter("polygon"):
        code = LABELS.index((stroke.findtext("tag") or "").strip())
        points = [[int(point.findtext(axis) or "") for axis in ("X", "Y")] for point in stroke.iter("point")]
        cv2.polylines(labels, [np.array(points, np.int32)], False, code, _WIDTH)
    return labels
