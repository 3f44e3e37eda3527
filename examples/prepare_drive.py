"""DRIVE as W-Net was trained on it, or as its authors measure it, as a folder dataset.

::

    python examples/prepare_drive.py DRIVE/training drive512
    segablate evaluate examples/wnet.yaml folder:drive512 --trust-code
    python examples/prepare_drive.py DRIVE/test drive_test --native

Staal et al., Ridge-based vessel segmentation in color images of the retina, TMI 2004. Images 21 to 36 are the split
train and 37 to 40 the split val, as W-Net's authors divide them; those of DRIVE/test are the split test. Images are
cropped to the bounding box of the field of view. At 512×512 every pixel counts: those outside the field of view are
background. With ``--native`` images keep their size, and pixels outside the field of view are void.
"""

import sys
from pathlib import Path

import numpy as np
import yaml
from PIL import Image

SIDE = 512
FIRST_OF_VAL = 37
OUTSIDE = 128
"""The code of pixels outside the field of view, which are void."""

DESCRIPTION = {
    "name": "drive512",
    "classes": [
        {"name": "background", "code": 0, "colour": [0, 0, 0]},
        {"name": "vessel", "code": 255, "colour": [255, 255, 255]},
    ],
    "void": [],
    "default_split": "val",
}


def main(source: Path, target: Path, native: bool = False) -> None:
    """Write images, labels and ``dataset.yaml`` of all images found in ``source``."""
    splits: dict[str, list[str]] = {}
    for path in sorted((source / "images").glob("*_t*.tif")):
        number, _, kind = path.stem.partition("_")
        files = (
            path,
            one(source, f"*1*manual*/{number}_*.gif", f"manual/{number}_*.gif"),
            one(source, f"mask/{number}_*.gif"),
        )
        image, labels = (cropped if native else prepared)(*files)
        for folder, picture in (("images", image), ("labels", labels)):
            (target / folder).mkdir(parents=True, exist_ok=True)
            picture.save(target / folder / f"{number}.png")
        split = "test" if kind == "test" else "val" if int(number) >= FIRST_OF_VAL else "train"
        splits.setdefault(split, []).append(number)
    if not splits:
        sys.exit(f"{source}: there is no images/*_training.tif or images/*_test.tif; give DRIVE/training or DRIVE/test")
    for split, numbers in splits.items():
        (target / f"{split}.txt").write_text("\n".join(numbers) + "\n", encoding="utf-8")
    described = {split: {"images": "images", "labels": "labels", "list": f"{split}.txt"} for split in splits}
    own = {"name": "drive", "void": [OUTSIDE]} if native else {}
    first = {} if DESCRIPTION["default_split"] in splits else {"default_split": next(iter(splits))}
    (target / "dataset.yaml").write_text(
        yaml.safe_dump(DESCRIPTION | own | first | {"splits": described}), encoding="utf-8"
    )


def prepared(image: Path, labels: Path, mask: Path) -> tuple[Image.Image, Image.Image]:
    """Both cropped to the bounding box of the field of view; the image is resized bilinearly, labels to the nearest."""
    inside, box = field_of_view(mask)
    vessels = Image.fromarray(np.where(inside, np.asarray(read(labels, "L")), 0).astype(np.uint8))
    return (
        read(image, "RGB").crop(box).resize((SIDE, SIDE), Image.Resampling.BILINEAR),
        vessels.crop(box).resize((SIDE, SIDE), Image.Resampling.NEAREST),
    )


def cropped(image: Path, labels: Path, mask: Path) -> tuple[Image.Image, Image.Image]:
    """Both cropped to the bounding box of the field of view, in which all else is void."""
    inside, box = field_of_view(mask)
    vessels = Image.fromarray(np.where(inside, np.asarray(read(labels, "L")), OUTSIDE).astype(np.uint8))
    return read(image, "RGB").crop(box), vessels.crop(box)


def field_of_view(mask: Path) -> tuple[np.ndarray, tuple[int, int, int, int]]:
    """Pixels in the field of view, and its bounding box: left, upper, right, lower."""
    inside = np.asarray(read(mask, "L")) > 0
    rows, columns = np.flatnonzero(inside.any(axis=1)), np.flatnonzero(inside.any(axis=0))
    return inside, (int(columns[0]), int(rows[0]), int(columns[-1]) + 1, int(rows[-1]) + 1)


def read(path: Path, mode: str) -> Image.Image:
    """The picture in a file, as grey ("L") or "RGB"."""
    with Image.open(path) as picture:
        return picture.convert(mode)


def one(folder: Path, *patterns: str) -> Path:
    """The one file of these patterns."""
    found = [path for pattern in patterns for path in folder.glob(pattern)]
    if len(found) != 1:
        sys.exit(f"{folder}: expected one file {' or '.join(patterns)}, found {len(found)}")
    return found[0]


if __name__ == "__main__":
    if len(sys.argv) not in (3, 4) or sys.argv[3:] not in ([], ["--native"]):
        sys.exit("usage: python prepare_drive.py DRIVE/training|DRIVE/test OUT [--native]")
    main(Path(sys.argv[1]), Path(sys.argv[2]), native=len(sys.argv) == 4)
