"""DRIVE as W-Net was trained on it: the field of view of each image, at 512×512, as a folder dataset.

::

    python examples/prepare_drive.py DRIVE/training drive512
    segablate evaluate examples/wnet.yaml folder:drive512 --trust-code

Staal et al., Ridge-based vessel segmentation in color images of the retina, TMI 2004. Images 21 to 36 are the split
train and 37 to 40 the split val, as W-Net's authors divide them. Every pixel counts: those outside the field of view
are background.
"""

import sys
from pathlib import Path

import numpy as np
import yaml
from PIL import Image

SIDE = 512
FIRST_OF_VAL = 37
DESCRIPTION = {
    "name": "drive512",
    "classes": [
        {"name": "background", "code": 0, "colour": [0, 0, 0]},
        {"name": "vessel", "code": 255, "colour": [255, 255, 255]},
    ],
    "void": [],
    "default_split": "val",
}


def main(source: Path, target: Path) -> None:
    """Write images, labels and ``dataset.yaml`` of all images found in ``source``."""
    splits: dict[str, list[str]] = {}
    for path in sorted((source / "images").glob("*_training.tif")):
        number = path.name.partition("_")[0]
        image, labels = prepared(path, one(source, f"*manual/{number}_*.gif"), one(source, f"mask/{number}_*.gif"))
        for folder, picture in (("images", image), ("labels", labels)):
            (target / folder).mkdir(parents=True, exist_ok=True)
            picture.save(target / folder / f"{number}.png")
        splits.setdefault("val" if int(number) >= FIRST_OF_VAL else "train", []).append(number)
    if not splits:
        sys.exit(f"{source}: there is no images/*_training.tif; give the folder of DRIVE's training images")
    for split, numbers in splits.items():
        (target / f"{split}.txt").write_text("\n".join(numbers) + "\n", encoding="utf-8")
    described = {split: {"images": "images", "labels": "labels", "list": f"{split}.txt"} for split in splits}
    (target / "dataset.yaml").write_text(yaml.safe_dump(DESCRIPTION | {"splits": described}), encoding="utf-8")


def prepared(image: Path, labels: Path, mask: Path) -> tuple[Image.Image, Image.Image]:
    """Both cropped to the bounding box of the field of view; the image is resized bilinearly, labels to the nearest."""
    inside = np.asarray(read(mask, "L")) > 0
    rows, columns = np.flatnonzero(inside.any(axis=1)), np.flatnonzero(inside.any(axis=0))
    box = (int(columns[0]), int(rows[0]), int(columns[-1]) + 1, int(rows[-1]) + 1)
    vessels = Image.fromarray(np.where(inside, np.asarray(read(labels, "L")), 0).astype(np.uint8))
    return (
        read(image, "RGB").crop(box).resize((SIDE, SIDE), Image.Resampling.BILINEAR),
        vessels.crop(box).resize((SIDE, SIDE), Image.Resampling.NEAREST),
    )


def read(path: Path, mode: str) -> Image.Image:
    """The picture in a file, as grey ("L") or "RGB"."""
    with Image.open(path) as picture:
        return picture.convert(mode)


def one(folder: Path, pattern: str) -> Path:
    """The one file of that pattern."""
    found = list(folder.glob(pattern))
    if len(found) != 1:
        sys.exit(f"{folder}: expected one file {pattern}, found {len(found)}")
    return found[0]


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit("usage: python prepare_drive.py DRIVE/training OUT")
    main(Path(sys.argv[1]), Path(sys.argv[2]))
