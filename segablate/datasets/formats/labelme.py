"""labelme: one JSON file for each image, with polygons, rectangles, circles, lines, points and masks.

::

    source/
      a.json       the shapes of a.jpg, which its imagePath names; without the file, its imageData
      labels.txt   optional: the order of the classes, one name per line

Shapes are drawn as labelme's own ``shapes_to_label`` draws them, in their order: a hole is a later shape of another
label. Shapes of a group are one object, of one class, and are drawn alike. ``__ignore__`` is void, and so is the box
around the points of a shape of unknown type or with a stored mask that cannot be read. X-AnyLabeling and others write
this format too.
"""

import math
from base64 import b64decode
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from segablate.datasets.conversion.names import dataset_name
from segablate.datasets.conversion.rasters import box, checked_points
from segablate.datasets.conversion.shapes import Annotated, Annotations, Faults, Flaw, Shape, Size
from segablate.datasets.conversion.source import Source, is_labelme
from segablate.datasets.conversion.splits import ALL, split_in, split_of
from segablate.errors import SegablateError
from segablate.images.label_maps import decode_label_file
from segablate.text_files import MalformedText, read_text

TITLE = "labelme"

_VOID = "__ignore__"
_LINE_WIDTH, _POINT_RADIUS = 10, 5
_POLYGONS = ("polygon", "rectangle", "oriented_rectangle", "rotation")
_POINTS = {"circle": 2, "line": 2, "linestrip": 2, "point": 1, "points": 1, "mask": 2}


def find(source: Source) -> list[Path]:
    """Return the JSON files, if one of the first is of labelme."""
    return source.files(".json") if any(is_labelme(value) for _, value in source.first_json()) else []


def read(files: Sequence[Path], source: Source) -> Annotations:
    """Read the shapes of each file, in order."""
    faults, images = Faults(), []
    for path in files:
        try:
            value = source.json(path)
        except SegablateError:
            faults.add("JSON file", "that cannot be parsed", path.name)
            continue
        if is_labelme(value):
            images.append(_image(path, value, source))
        else:
            faults.add("JSON file", "of another format", path.name)
    used = {shape.label for image in images for shape in image.shapes if shape.label}
    listed = _listed(source.folder / "labels.txt")
    names = listed or sorted(used)
    return Annotations(
        TITLE,
        "labelme (PIL.ImageDraw)",
        dict.fromkeys(name for name in names if name != _VOID),
        tuple(images),
        faults,
        frozenset({_VOID} & used),
    )


def draw(kind: str, values: Any, height: int, width: int) -> np.ndarray:
    """Return the mask of a shape, H, W bool, from its kind and points. Raises Flaw for one that cannot be drawn."""
    from PIL import Image, ImageDraw

    points = checked_points(values, height, width, _POINTS.get(kind, 2 if kind == "rectangle" else 3))
    corners: list[Any] = [tuple(point) for point in points.tolist()]
    canvas = Image.new("L", (width, height))
    pen = ImageDraw.Draw(canvas)
    if kind == "circle":
        pen.ellipse(_around(points[0], math.dist(*corners[:2])), outline=1, fill=1)
    elif kind == "rectangle" and len(corners) == 2:
        pen.rectangle((*points.min(axis=0).tolist(), *points.max(axis=0).tolist()), outline=1, fill=1)
    elif kind in ("line", "linestrip"):
        pen.line(corners, fill=1, width=_LINE_WIDTH)
    elif kind in ("point", "points"):
        for point in points:
            pen.ellipse(_around(point, _POINT_RADIUS), outline=1, fill=1)
    elif kind in _POLYGONS:
        pen.polygon(corners, outline=1, fill=1)
    else:
        raise Flaw(f"of the unknown type {kind!r}")
    return np.asarray(canvas, bool)


def _around(centre: np.ndarray, radius: float) -> tuple[float, float, float, float]:
    x, y = centre.tolist()
    return x - radius, y - radius, x + radius, y + radius


def _stored(shape: dict[str, Any], height: int, width: int) -> np.ndarray:
    """Return the mask of a shape that is stored as a picture between its two points, H, W bool."""
    points = checked_points(shape.get("points"), height, width, 2)
    (left, top), (right, bottom) = points.astype(int).tolist()[:2]
    try:
        inside = decode_label_file(np.frombuffer(b64decode(shape["mask"]), np.uint8), "mask").values != 0
    except (SegablateError, ValueError, TypeError, KeyError):
        raise Flaw("whose stored mask cannot be read") from None
    mask = np.zeros((height, width), bool)
    if inside.ndim != 2 or min(left, top) < 0 or mask[top : bottom + 1, left : right + 1].shape != inside.shape:
        raise Flaw("whose stored mask is of another size than its box")
    mask[top : bottom + 1, left : right + 1] = inside
    return mask


def _shape(stored: Any) -> Shape:
    if not isinstance(stored, dict):
        return Shape(None, partial(draw, "polygon", None))
    kind = str(stored.get("shape_type") or "polygon")
    label = str(stored["label"]) if stored.get("label") not in (None, "") else None
    points = stored.get("points")
    mask = partial(_stored, stored) if kind == "mask" else partial(draw, kind, points)
    known = kind != "mask" and (kind in _POINTS or kind in _POLYGONS)
    return Shape(label, mask, extent=None if known else partial(box, points))


def _image(path: Path, value: dict[str, Any], source: Source) -> Annotated:
    below = path.relative_to(source.folder).as_posix()
    split = split_of(below) if source.path != path else split_in(path.parent.name) or ALL
    file = str(value.get("imagePath") or "")
    size: Size | None = None
    if all(isinstance(value.get(key), int) and value[key] > 0 for key in ("imageHeight", "imageWidth")):
        size = (value["imageHeight"], value["imageWidth"])
    embedded = partial(_embedded, path, source) if value.get("imageData") else None
    shapes = tuple(map(_shape, value["shapes"]))
    return Annotated(dataset_name(below, split), split, (file,), path.parent, shapes, size, path.name, embedded)


def _embedded(path: Path, source: Source) -> bytes:
    """Return the image in a file. Raises Flaw for one that is no base64."""
    try:
        return b64decode(source.json(path)["imageData"])
    except (ValueError, TypeError):
        raise Flaw("whose imageData cannot be read") from None


def _listed(path: Path) -> list[str]:
    """Return the names in a list of classes; none where there is no list that can be read."""
    try:
        return [line.strip() for line in read_text(path).splitlines() if line.strip()]
    except MalformedText:
        return []
