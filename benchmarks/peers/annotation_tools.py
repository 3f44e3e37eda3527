"""Record the masks of annotation tools on the cases of ``tests/annotation_cases.py``.

``python benchmarks/peers/annotation_tools.py``, with pycocotools==2.0.11, labelme==6.3.1 and ultralytics==8.3.0 or
later; writes ``tests/golden/peers/annotations.npz``. It does not need segablate.
"""

import sys
from importlib.metadata import version
from pathlib import Path

import numpy as np

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT / "tests"))

import annotation_cases as cases  # noqa: E402


def coco() -> dict[str, np.ndarray]:
    """Draw by ``COCO.annToMask``, in the order of the annotations; code 0 is in no annotation."""
    from pycocotools.coco import COCO

    peer = COCO()
    peer.dataset = cases.coco()
    peer.createIndex()
    maps = {}
    for image in peer.dataset["images"]:
        labels = np.zeros((image["height"], image["width"]), np.uint8)
        for note in peer.loadAnns(peer.getAnnIds(imgIds=image["id"])):
            labels[peer.annToMask(note) > 0] = 1 + [c["id"] for c in peer.dataset["categories"]].index(
                note["category_id"]
            )
        maps[f"coco/{image['file_name']}"] = labels
    return maps


def labelme() -> dict[str, np.ndarray]:
    """Draw by ``labelme.utils.shapes_to_label``, with stored masks decoded as labelme does when it opens a file."""
    from labelme import utils

    codes = {"_background_": 0, **{name: index + 1 for index, name in enumerate(cases.CLASSES)}}
    maps = {}
    for name, file in cases.labelme().items():
        shapes = [
            {**shape, "mask": utils.img_b64_to_arr(shape["mask"]).astype(bool)} if "mask" in shape else shape
            for shape in file["shapes"]
        ]
        labels, _ = utils.shapes_to_label((file["imageHeight"], file["imageWidth"]), shapes, codes)
        maps[f"labelme/{name}"] = labels.astype(np.uint8)
    return maps


def yolo() -> dict[str, np.ndarray]:
    """Draw by ``ultralytics.data.utils.polygon2mask``, line by line."""
    from ultralytics.data.utils import polygon2mask

    maps = {}
    for (name, lines), (height, width) in zip(cases.yolo().items(), cases.SIZES, strict=True):
        labels = np.zeros((height, width), np.uint8)
        for number, values in lines:
            points = np.array(values).reshape(1, -1, 2) * (width, height)
            labels[polygon2mask((height, width), list(points), color=1) > 0] = 1 + number
        maps[f"yolo/{name}"] = labels
    return maps


if __name__ == "__main__":
    path = ROOT / "tests" / "golden" / "peers" / "annotations.npz"
    kept = dict(np.load(path)) if path.is_file() else {}
    for draw, package in ((coco, "pycocotools"), (labelme, "labelme"), (yolo, "ultralytics")):
        name = draw.__name__
        if not sys.argv[1:] or name in sys.argv[1:]:
            kept |= draw()
            kept[f"{name}_cases"] = np.array(cases.fingerprint(getattr(cases, name)()))
            kept[f"{name}_by"] = np.array(f"{package} {version(package)}")
    np.savez_compressed(path, **kept)
    print(f"{path.relative_to(ROOT)}: {sum(values.ndim == 2 for values in kept.values())} maps")
