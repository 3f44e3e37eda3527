"""Annotations that other tools drew (``benchmarks/peers/annotation_tools.py``) and that `convert` must draw alike.

Made with nothing but NumPy's bit stream; their hash is recorded with the masks. They hold polygons that overlap, have
holes, cross themselves, are concave, thin, tiny, and reach beyond the image, at fractions of pixels.
"""

import base64
import hashlib
import json
from typing import Any

import numpy as np

SIZES = ((61, 83), (48, 64), (97, 130))
CLASSES = ("blob", "ring", "road")


def fingerprint(value: Any) -> str:
    """Return a hash of annotations."""
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()[:16]


def _star(rng: np.random.Generator, height: int, width: int, count: int, reach: float) -> list[list[float]]:
    """Return a polygon around a random centre, often concave, sometimes beyond the image; two decimals."""
    centre = rng.random(2) * (width, height)
    angles = np.sort(rng.random(count)) * 2 * np.pi
    radii = (0.3 + rng.random(count)) * reach
    points = centre + radii[:, None] * np.stack([np.cos(angles), np.sin(angles)], axis=1)
    return np.round(points, 2).tolist()


def _tangle(rng: np.random.Generator, height: int, width: int) -> list[list[float]]:
    """Return a polygon that crosses itself."""
    return np.round(rng.random((7, 2)) * (width, height), 2).tolist()


def _bridged(height: int, width: int) -> list[list[float]]:
    """Return a square with a square hole, as one outline that goes to the hole and back."""
    a, b, c, d = 0.1 * width, 0.9 * width, 0.15 * height, 0.85 * height
    e, f, g, h = 0.35 * width, 0.6 * width, 0.4 * height, 0.62 * height
    points = [(a, c), (b, c), (b, d), (a, d), (a, c), (e, g), (e, h), (f, h), (f, g), (e, g)]
    return [[round(x, 2), round(y, 2)] for x, y in points]


def _polygons(index: int, height: int, width: int) -> list[tuple[str, list[list[float]]]]:
    rng = np.random.default_rng([17, index])
    stars = [_star(rng, height, width, int(rng.integers(3, 14)), height / 3) for _ in range(6)]
    thin = [[3.2, 4.1], [width - 5.5, 4.6], [width - 5.5, 5.2]]
    tiny = [[10.1, 10.1], [10.6, 10.2], [10.3, 10.7]]
    return [
        ("road", _bridged(height, width)),
        *((CLASSES[number % 3], star) for number, star in enumerate(stars)),
        ("ring", _tangle(rng, height, width)),
        ("blob", thin),
        ("ring", tiny),
        ("road", _star(rng, height, width, 5, height / 5)),
    ]


def _hole_runs(height: int, width: int) -> np.ndarray:
    """Return a disc with a hole, H, W bool."""
    rows, columns = np.mgrid[:height, :width]
    distance = np.hypot(rows - 0.55 * height, columns - 0.4 * width)
    return (distance < height / 3) & (distance > height / 7)


def _counts(mask: np.ndarray) -> list[int]:
    """Return run lengths column by column, beginning with a run of False."""
    flat = np.concatenate([[False], mask.T.reshape(-1)])
    changes = np.flatnonzero(np.diff(flat)).tolist()
    return np.diff([0, *changes, mask.size]).tolist()


def _compressed(counts: list[int]) -> str:
    """Return run lengths as COCO's text: differences to the run before the last, in groups of five bits."""
    text = ""
    for place, count in enumerate(counts):
        value = count - counts[place - 2] if place > 2 else count
        more = True
        while more:
            bits = value & 31
            value >>= 5
            more = value != (-1 if bits & 16 else 0)
            text += chr((bits | 32 if more else bits) + 48)
    return text


def coco() -> dict[str, Any]:
    """Return COCO annotations: polygons alone and in groups, run lengths as numbers and as text, a crowd."""
    annotations: list[dict[str, Any]] = []
    images = []
    for number, (height, width) in enumerate(SIZES):
        images.append({"id": number + 7, "file_name": f"{number}.png", "height": height, "width": width})
        flat = [(label, [round(value, 2) for point in points for value in point]) for label, points in
                _polygons(number, height, width)]  # fmt: skip
        groups: list[tuple[str, Any, int]] = [(label, [points], 0) for label, points in flat[:-3]]
        groups.insert(3, ("blob", [flat[-1][1], flat[-2][1], flat[-3][1]], 0))
        counts = _counts(_hole_runs(height, width))
        runs = counts if number != 1 else _compressed(counts)
        groups.insert(5, ("ring", {"size": [height, width], "counts": runs}, int(number == 2)))
        for label, segmentation, crowd in groups:
            note = {"image_id": number + 7, "category_id": 10 + 5 * CLASSES.index(label), "iscrowd": crowd}
            annotations.append({"id": len(annotations) + 1, "segmentation": segmentation, **note})
    categories = [{"id": 10 + 5 * index, "name": name} for index, name in enumerate(CLASSES)]
    return {"images": images, "annotations": annotations, "categories": categories}


def labelme() -> dict[str, dict[str, Any]]:
    """Return labelme files by name: polygons, every other shape, a hole that is a later shape, a stored mask."""
    found = {}
    for number, (height, width) in enumerate(SIZES):
        shapes = [_labelme(label, "polygon", points) for label, points in _polygons(number, height, width)]
        others = [
            _labelme("road", "rectangle", [[width * 0.7, height * 0.9], [width * 0.4, height * 0.55]]),
            _labelme("ring", "circle", [[width * 0.5, height * 0.5], [width * 0.6, height * 0.7]]),
            _labelme("_background_", "circle", [[width * 0.5, height * 0.5], [width * 0.52, height * 0.58]]),
            _labelme("blob", "line", [[2.5, 3.5], [width * 0.8, height * 0.3]]),
            _labelme("road", "linestrip", [[2.0, height - 4.0], [width * 0.3, height * 0.8], [width - 2.0, 9.0]]),
            _labelme("ring", "point", [[width * 0.25, height * 0.25]]),
            _labelme("blob", "oriented_rectangle", [[60, 3], [70, 8], [66, 16], [56, 11]]),
        ]
        shapes[4:4] = others[:3]
        shapes += others[3:] if number else []
        if number == 2:
            shapes.append(_stored_mask())
        found[f"{number}.json"] = {
            "version": "5.5.0", "flags": {}, "shapes": shapes, "imagePath": f"{number}.png", "imageData": None,
            "imageHeight": height, "imageWidth": width,
        }  # fmt: skip
    return found


def _labelme(label: str, kind: str, points: list[list[float]]) -> dict[str, Any]:
    return {"label": label, "points": points, "group_id": None, "shape_type": kind, "flags": {}}


def _stored_mask() -> dict[str, Any]:
    """Return a mask as labelme stores it: a PNG between two points. The PNG is written out, as encoders differ."""
    import struct
    import zlib

    rows = np.indices((9, 14)).sum(axis=0) % 3 == 0
    packed = b"".join(b"\0" + np.packbits(row).tobytes() for row in rows)
    parts = [(b"IHDR", struct.pack(">IIBBBBB", 14, 9, 1, 0, 0, 0, 0)), (b"IDAT", zlib.compress(packed)), (b"IEND", b"")]
    png = b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data)) for name, data in parts
    )
    shape = _labelme("road", "mask", [[100.0, 70.0], [113.0, 78.0]])
    return {**shape, "mask": base64.b64encode(png).decode()}


def yolo() -> dict[str, list[tuple[int, list[float]]]]:
    """Return lines of YOLO by file name: class, then shares of width and height."""
    found = {}
    for number, (height, width) in enumerate(SIZES):
        lines = []
        for label, points in _polygons(number, height, width):
            shares = np.clip(np.array(points) / (width, height), 0, 1).round(6)
            lines.append((CLASSES.index(label), shares.reshape(-1).tolist()))
        found[f"{number}.txt"] = lines
    return found
