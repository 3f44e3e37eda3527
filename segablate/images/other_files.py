"""Name files that are no label maps for what they are, and what makes label maps of them."""

import json
import os
import re
from collections import Counter
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from segablate.errors import SegablateError, counted
from segablate.files import visible_files
from segablate.text_files import read_text

_CONVERT = "`segablate datasets convert {} NEW_FOLDER` draws label maps from them"
_SLICES = "save each slice as an image and a label map (PNG), with nibabel or SimpleITK"

_BY_SUFFIX = {
    **dict.fromkeys((".nii", ".mha", ".mhd", ".nrrd", ".mgz"), ("volume", _SLICES)),
    **dict.fromkeys((".dcm", ".dicom"), ("DICOM file", _SLICES.replace("nibabel or SimpleITK", "pydicom"))),
    **dict.fromkeys((".h5", ".hdf5"), ("HDF5 file", "save each label map as PNG or .npy, with h5py")),
    **dict.fromkeys(
        (".pkl", ".pickle"), ("pickle file", "it may run code when read: save each label map as PNG or .npy")
    ),
    **dict.fromkeys((".pt", ".pth"), ("torch file", "save each label map as PNG or .npy")),
    ".npz": (".npz archive", "save each label map alone, as .npy"),
    ".zarr": ("Zarr array", "save each label map as PNG or .npy"),
    ".parquet": ("Parquet table", "open a dataset of images in it as hf:DIRECTORY"),
    ".tfrecord": ("TFRecord", "save each label map as PNG"),
    ".lmdb": ("LMDB", "save each label map as PNG"),
    ".svg": ("drawing", "draw it to PNG at the size of its image, without smoothing"),
    **dict.fromkeys((".shp", ".geojson", ".gpkg", ".kml"), ("vector map", "rasterise it, with gdal_rasterize")),
}
"""What files of a suffix hold, and what to do."""

_TEXTS = (".json", ".txt", ".xml")
_MOST = 200
"""Files of a kind whose content is looked at."""

_YOLO = re.compile(r"\d+((\s+-?[\d.eE+-]+)+)")


def what_is_there(folder: Path) -> str | None:
    """Return a message that names the commonest kind of files below a folder that are no images; None without any."""
    suffixes = tuple({*_BY_SUFFIX, *_TEXTS, ".gz"})
    kinds = Counter(kind for path in visible_files(folder, suffixes)[: 10 * _MOST] if (kind := kind_of(path)))
    if not kinds:
        return None
    (what, remedy), _ = kinds.most_common(1)[0]
    number = counted(kinds[what, remedy], what, _plural(what))
    return f"{folder}: holds {number}, which segablate does not evaluate; {remedy.format(folder)}"


def _plural(what: str) -> str:
    """Return the plural of "YOLO file of polygons", "volume"."""
    return what.replace("file", "files", 1) if "file" in what else what + "s"


def kind_of(path: Path) -> tuple[str, str] | None:
    """Return what a file holds and what to do with it, with {} for its folder; None for images and unknown files."""
    suffix = os.path.splitext(path.name.removesuffix(".gz"))[1].lower()
    if suffix in _BY_SUFFIX:
        return _BY_SUFFIX[suffix]
    try:
        return _READERS[suffix](read_text(path)) if suffix in _READERS and path.suffix.lower() == suffix else None
    except (SegablateError, ValueError, RecursionError):
        return None


def _json(text: str) -> tuple[str, str]:
    content: Any = json.loads(text)
    if isinstance(content, dict) and "shapes" in content:
        return "labelme file", _CONVERT
    if isinstance(content, dict) and "annotations" in content and "images" in content:
        return "COCO file", _CONVERT
    if isinstance(content, list) and _has(content, "segmentation"):
        return "COCO results file", "save each prediction as a label map (PNG), or as scores (.npz)"
    if isinstance(content, dict) and any(_has([value], "regions") for value in content.values()):
        return "VIA file of polygons", "export it as COCO, which `segablate datasets convert {} NEW_FOLDER` draws"
    return "unknown JSON file", "save label maps as PNG, or export polygons as COCO or labelme"


def _has(entries: Iterable[Any], key: str) -> bool:
    return any(isinstance(entry, dict) and key in entry for entry in entries)


def _yolo(text: str) -> tuple[str, str] | None:
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    found = [_YOLO.fullmatch(line) for line in lines]
    if not lines or not all(found):
        return None
    counts = {len(match[1].split()) for match in found if match}
    if all(count >= 6 and count % 2 == 0 for count in counts):
        return "YOLO file of polygons", _CONVERT
    return ("YOLO file of boxes", "boxes are no masks: export segmentations") if counts == {4} else None


def _xml(text: str) -> tuple[str, str]:
    if "<polygon" in text or "<mask" in text:
        return "CVAT file", _CONVERT
    if "<bndbox" in text:
        return "XML file of boxes", "boxes are no masks: export segmentations"
    return "unknown XML file", "save label maps as PNG"


_READERS: dict[str, Callable[[str], tuple[str, str] | None]] = {".json": _json, ".txt": _yolo, ".xml": _xml}
