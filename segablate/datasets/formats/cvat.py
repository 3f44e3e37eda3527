"""CVAT for images: one XML file, with polygons, boxes, ellipses and masks.

::

    source/
      annotations.xml      <image name="a.jpg" width="64" height="48"> <polygon label="road" points="1.0,2.0;..."/>
      images/a.jpg         also below images/SUBSET/

Shapes are drawn as CVAT's own export of masks draws them: polygons and boxes by pycocotools, ellipses by OpenCV, a
shape of higher z_order over those below, and of one z_order a later over an earlier one; without a z_order that can be
read it is 0, and counted. Polylines, points, cuboids
and skeletons have no inside and are left out. The format is described in CVAT's manual, "CVAT for images 1.1".
"""

import math
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from xml.etree.ElementTree import Element

import numpy as np

from segablate.datasets.conversion.names import dataset_name
from segablate.datasets.conversion.rasters import checked_points, filled, outline
from segablate.datasets.conversion.shapes import Annotated, Annotations, Faults, Flaw, Shape
from segablate.datasets.conversion.source import Source, read_xml
from segablate.datasets.conversion.splits import ALL, split_of
from segablate.errors import DatasetError
from segablate.labels import Colour

TITLE = "CVAT for images"

_OTHERS = ("polyline", "points", "cuboid", "skeleton")


def find(source: Source) -> list[Path]:
    """Return the XML files whose root is that of CVAT."""
    found = []
    for path in source.files(".xml"):
        with open(path, "rb") as file:
            start = file.read(4096)
        if b"<annotations" in start:
            found.append(path)
    return found


def read(files: Sequence[Path], source: Source) -> Annotations:
    """Read the images of each file, in order. Raises DatasetError for annotations of videos."""
    faults, classes, images = Faults(), dict[str, Colour | None](), list[Annotated]()
    for path in files:
        root = read_xml(path)
        if root.find("track") is not None:
            raise DatasetError(
                f"{path}: annotations of a video, which name no images; export them from CVAT as 'CVAT for images'"
            )
        classes |= {_text(label, "name"): _colour(label) for label in root.iterfind("meta//labels/label")}
        for image in root.iterfind("image"):
            try:
                images.append(_image(image, path, faults))
            except (KeyError, ValueError):
                faults.add("image", "without name, width or height", path.name)
    used = {shape.label for image in images for shape in image.shapes if shape.label}
    classes = classes or dict.fromkeys(sorted(used))
    return Annotations(TITLE, "CVAT (pycocotools, OpenCV)", classes, tuple(images), faults)


def _text(element: Element, key: str) -> str:
    return (element.findtext(key) or "").strip()


def _colour(label: Element) -> Colour | None:
    try:
        red, green, blue = bytes.fromhex(_text(label, "color").removeprefix("#"))
    except ValueError:
        return None
    return red, green, blue


def _image(image: Element, path: Path, faults: Faults) -> Annotated:
    file = image.attrib["name"]
    subset = image.get("subset") or ""
    size = (int(image.attrib["height"]), int(image.attrib["width"]))
    split = split_of(f"{subset}/{file}") if split_of(f"{subset}/{file}") != ALL else subset.lower() or ALL
    shapes = []
    for element in image:
        if element.tag in _MASKS:
            shapes.append(_shape(element, file, faults))
        elif element.tag in _OTHERS:
            faults.add(element.tag.removesuffix("s"), "without an inside", file)
    files = (f"images/{subset}/{file}", f"images/{file}", f"{subset}/{file}", file)
    return Annotated(dataset_name(file, split), split, files, path.parent, tuple(shapes), size, file)


def _shape(element: Element, file: str, faults: Faults) -> Shape:
    """Return the shape of an element; its other numbers are read when it is drawn, so that a bad one is counted."""
    order, flaw = _order(element.get("z_order"))
    if flaw:
        faults.add("shape", flaw, file)
    return Shape(element.get("label") or None, partial(_draw, element), order)


def _order(stated: str | None) -> tuple[float, str]:
    """Return the order of a shape, and what is wrong with its z_order, if anything."""
    if stated is None or not stated.strip():
        return 0.0, "without z_order, drawn as of z_order 0"
    try:
        order = float(stated)
    except ValueError:
        order = math.nan
    if not math.isfinite(order):
        return 0.0, "whose z_order is no number, drawn as of z_order 0"
    return order, "" if order.is_integer() else "whose z_order is no whole number, but counts as written"


def _draw(element: Element, height: int, width: int) -> np.ndarray:
    try:
        return _MASKS[element.tag](element, height, width)
    except (KeyError, ValueError, OverflowError):
        raise Flaw("with missing or malformed numbers") from None


def _polygon(element: Element, height: int, width: int) -> np.ndarray:
    points = [[float(value) for value in pair.split(",")] for pair in element.attrib["points"].split(";")]
    return outline(points, height, width)


def _box(element: Element, height: int, width: int) -> np.ndarray:
    """Return a box, turned about its centre by its rotation in degrees."""
    left, top, right, bottom = (float(element.attrib[key]) for key in ("xtl", "ytl", "xbr", "ybr"))
    angle = math.radians(float(element.get("rotation") or 0))
    centre = np.array([(left + right) / 2, (top + bottom) / 2])
    turn = np.array([[math.cos(angle), math.sin(angle)], [-math.sin(angle), math.cos(angle)]])
    corners = np.array([[left, top], [right, top], [right, bottom], [left, bottom]])
    return outline((corners - centre) @ turn + centre if angle else corners, height, width)


def _ellipse(element: Element, height: int, width: int) -> np.ndarray:
    import cv2

    x, y, across, down = (float(element.attrib[key]) for key in ("cx", "cy", "rx", "ry"))
    checked_points([[x - across, y - down], [x + across, y + down]], height, width, 2)
    canvas = np.zeros((height, width), np.uint8)
    angle = float(element.get("rotation") or 0)
    cv2.ellipse(canvas, (round(x), round(y)), (round(abs(across)), round(abs(down))), angle, 0, 360, 1, thickness=-1)
    return canvas.astype(bool)


def _mask(element: Element, height: int, width: int) -> np.ndarray:
    """Return run lengths inside a box, row by row, that begin with a run outside the mask."""
    left, top, across, down = (int(element.attrib[key]) for key in ("left", "top", "width", "height"))
    lengths = np.array([int(value) for value in element.attrib["rle"].split(",")])
    if across < 1 or down < 1 or min(left, top) < 0 or left + across > width or top + down > height:
        raise Flaw("whose box is not inside the image")
    if (lengths < 0).any() or lengths.sum() > across * down:
        raise Flaw("whose runs do not fit their box")
    mask = np.zeros((height, width), bool)
    mask[top : top + down, left : left + across] = filled(lengths, across * down).reshape(down, across)
    return mask


_MASKS = {"polygon": _polygon, "box": _box, "ellipse": _ellipse, "mask": _mask}
