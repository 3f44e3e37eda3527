"""Name what cannot be converted, and what converts it."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from segablate.datasets.conversion.source import Source
from segablate.errors import SegablateError, counted, shorten
from segablate.files import IMAGE_SUFFIXES, is_folder, read_bytes, shortened
from segablate.images.header import read_header

READ = "labelme, COCO (instances, stuff), YOLO segmentation and CVAT for images"

_SLICES = "save its slices as images and label maps, one PNG each"
_FILES = {
    (".nii", ".nii.gz", ".hdr"): ("volumes (NIfTI)", f"{_SLICES}, e.g. with nibabel"),
    (".mhd", ".mha"): ("volumes (MetaImage)", f"{_SLICES}, e.g. with SimpleITK"),
    (".nrrd", ".nhdr"): ("volumes (NRRD)", f"{_SLICES}, e.g. with pynrrd"),
    (".dcm", ".dicom"): ("DICOM slices or volumes", f"{_SLICES}, e.g. with pydicom or dcm2niix"),
    (".svs", ".ndpi", ".mrxs", ".scn"): ("whole-slide images", "cut them into tiles, e.g. with OpenSlide"),
    (".czi", ".lif", ".nd2", ".oib"): ("microscopy stacks", "save each plane as PNG, e.g. with bioio or Fiji"),
    (".zip", ".tar", ".gz", ".tgz", ".7z", ".rar"): ("an archive", "unpack it, then convert the folder"),
    (".parquet", ".arrow"): ("a Hugging Face dataset", "open it as it is: hf:DIRECTORY"),
    (".tfrecord", ".tfrecords", ".record"): ("TFRecords", "write images and label maps, e.g. with tensorflow"),
    (".h5", ".hdf5", ".npz"): ("arrays", "save each label map as .npy or PNG"),
    (".shp", ".gpkg", ".kml"): ("vector maps", "burn them into label maps, e.g. with gdal_rasterize"),
    (".mat",): ("MATLAB files", "read as label maps where each holds one matrix: segablate datasets init"),
}

_XML = {
    b"<annotation": (
        "Pascal VOC XML, boxes without outlines",
        "segmentation needs outlines or masks; label maps of VOC are read as voc2012:DIRECTORY",
    ),
    b"<ASAP_Annotations": ("ASAP annotations of slides", "draw them with ASAP's multiresolution tools"),
    b"<Annotations MicronsPerPixel": ("ImageScope annotations of slides", "draw them with OpenSlide or QuPath"),
    b"<gt": ("an XML file of PAGE or of another tool", "export it as COCO"),
}

_EXPORT = "export it as COCO"


def what_it_is(source: Source) -> str:
    """Return the message for a source of no known format: what it is, and what converts it."""
    where = shortened(source.path)
    for what, remedy in _candidates(source):
        return f"{where}: cannot be converted, as it holds {what}; {remedy}"
    return f"{where}: holds no annotations that are read: {READ}"


def _candidates(source: Source) -> Iterator[tuple[str, str]]:
    for path, value in source.first_json():
        named = json_kind(value)
        if named:
            yield f"{named[0]} ({path.name})", named[1]
    files = source.files(*{suffix for suffixes in _FILES for suffix in suffixes})
    for suffixes, named in _FILES.items():
        found = [path.name for path in files if path.name.lower().endswith(suffixes)]
        if found:
            yield f"{named[0]} ({shorten(found, 1)})", named[1]
    for path in source.files(".xml")[:20]:
        start = read_bytes(path)[:4096].tobytes()
        for mark, named in _XML.items():
            if mark in start:
                yield f"{named[0]} ({path.name})", named[1]
    yield from _images(source)
    for path in source.files(".json", ".ndjson", ".jsonl", ".xml", ".csv")[:1]:
        yield f"a file of an unknown form ({path.name})", f"export it as COCO; read are {READ}"


def _images(source: Source) -> Iterator[tuple[str, str]]:
    """Yield stacks of several pages, and pictures that may be label maps already."""
    pictures = source.files(*IMAGE_SUFFIXES)
    for path in pictures[:20]:
        try:
            pages = read_header(read_bytes(path), path).frames
        except SegablateError:
            continue
        if pages > 1:
            yield (
                f"stacks ({path.name}: {counted(pages, 'page')})",
                "save each page as an image and a label map, one PNG each",
            )
    if pictures and not source.files(".json", ".xml", ".csv", ".ndjson"):
        folder = source.path if is_folder(source.path) else Path(source.path).parent
        yield (
            f"images and no annotations (first: {pictures[0].name})",
            f"label maps are read as they are: segablate datasets init {folder}",
        )


def json_kind(value: Any) -> tuple[str, str] | None:
    """Return the tool that wrote a JSON value, and what converts it; None for an unknown one."""
    for has, named in _JSON:
        try:
            if has(value):
                return named
        except (TypeError, AttributeError, KeyError, IndexError):
            continue
    return None


def _first(value: Any) -> dict[str, Any]:
    """Return the first entry of a list or of an object of objects, or nothing."""
    entries = value if isinstance(value, list) else list(value.values())
    return entries[0] if entries and isinstance(entries[0], dict) else {}


def _has(value: Any, *keys: str) -> bool:
    return isinstance(value, dict) and all(key in value for key in keys)


_JSON = (
    (
        lambda value: _has(value, "images", "annotations") and "segments_info" in value["annotations"][0],
        ("COCO panoptic annotations", "with their PNG files they are read as coco-stuff:DIRECTORY"),
    ),
    (
        lambda value: _has(value, "images", "annotations") and "caption" in value["annotations"][0],
        ("COCO captions", "segmentation needs instances_*.json or stuff_*.json"),
    ),
    (
        lambda value: _has(_first(value), "image_id", "category_id"),
        ("COCO results, which are predictions", "add images and categories, as in the annotations"),
    ),
    (
        lambda value: "_via_img_metadata" in value or _has(_first(value), "filename", "regions"),
        ("a project of VGG Image Annotator (VIA)", "in VIA: Annotation > Export Annotations (COCO format)"),
    ),
    (
        lambda value: _has(value, "objects", "size") or _has(value, "classes", "projectType"),
        ("annotations of Supervisely", "export them as COCO there (Export to COCO), or as images and masks"),
    ),
    (
        lambda value: any(
            key in _first(value) for key in ("data_row", "Labeled Data", "DataRow ID")
        ) or _has(value, "data_row"),
        ("an export of Labelbox", "convert it to COCO with labelbox's labelbox-converters"),
    ),
    (
        lambda value: _has(_first(value), "annotations", "data"),
        ("an export of Label Studio", "export it there as COCO, or as Brush labels to PNG"),
    ),
    (
        lambda value: _has(value, "imgHeight", "imgWidth", "objects"),
        ("polygons of Cityscapes", "its label maps are *_labelIds.png: cityscapes:DIRECTORY"),
    ),
    (
        lambda value: ("labels" in _first(value) and "name" in _first(value)) or _has(value, "frames", "name"),
        ("labels of BDD100K or Scalabel", "its label maps are below labels/sem_seg/masks: bdd100k:DIRECTORY"),
    ),
    (
        lambda value: _has(value, "type", "features"),
        ("GeoJSON", "burn it into label maps, e.g. with gdal_rasterize or rasterio.features.rasterize"),
    ),
    (lambda value: _has(value, "assets", "tags"), ("a project of VoTT", f"{_EXPORT} or as Pascal VOC masks")),
    (lambda value: _has(value, "items", "categories"), ("a Datumaro dataset", "datum convert -f coco")),
    (lambda value: _has(value, "labels", "tasks"), ("a project of CVAT", "export it as 'CVAT for images' or COCO")),
    (lambda value: _has(value, "labels", "channel_names"), ("dataset.json of nnU-Net", "segablate datasets init")),
)  # fmt: skip
