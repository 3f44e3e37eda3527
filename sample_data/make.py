"""Make the images, labels and ``dataset.yaml`` of the sample data set: ``python sample_data/make.py [--to DIR]``.

The same on every machine, but for the odd pixel at an edge where NumPy's sines differ in their last digit: chance comes
from the names of the drives alone. ``--only NAME`` makes single frames.
"""

import argparse
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image
from scenery.canvas import CLASSES, VOID
from scenery.street import draw_frame, plan_street

HERE = Path(__file__).parent
JPEG_QUALITY = 90
COLOURS = (
    (70, 130, 180),
    (110, 100, 96),
    (128, 64, 128),
    (232, 120, 214),
    (88, 142, 46),
    (190, 150, 110),
    (245, 205, 60),
    (230, 90, 30),
    (30, 40, 170),
    (220, 20, 60),
)


@dataclass(frozen=True)
class Drives:
    """The drives of one split: their weather and number, frames in each, size of the photographs, traffic."""

    names: tuple[str, ...]
    frames: int
    size: tuple[int, int] = (128, 192)
    traffic: float = 1.0


# Validation is not quite like training: busier, more dusk, and two drives from another camera.
SPLITS = {
    "train": (
        Drives(("noon01", "noon02", "noon03", "noon04"), 8),
        Drives(("cloud01", "cloud02", "cloud03", "cloud04"), 8),
        Drives(("haze01", "haze02", "dusk01", "dusk02"), 8),
    ),
    "val": (
        Drives(("noon05", "cloud05", "haze03", "dusk03", "dusk04", "noon06"), 6, traffic=1.6),
        Drives(("cloud06", "dusk05"), 6, size=(120, 160), traffic=1.6),
    ),
}


def write_frames(folder: Path, split: str, only: list[str]) -> None:
    """Images and labels of a split; with ``only``, those of the names in it."""
    for kind in ("images", "labels"):
        (folder / kind / split).mkdir(parents=True, exist_ok=True)
    for drives in SPLITS[split]:
        for drive in drives.names:
            wanted = [k for k in range(drives.frames) if not only or f"{drive}_{k:04d}" in only]
            street = plan_street(drive, drives.size, drives.traffic)
            for k in wanted:
                photograph, codes = draw_frame(street, k)
                name = f"{split}/{drive}_{k:04d}"
                Image.fromarray(photograph).save(folder / "images" / f"{name}.jpg", quality=JPEG_QUALITY, optimize=True)
                as_palette(codes).save(folder / "labels" / f"{name}.png", optimize=True)


def as_palette(codes: np.ndarray) -> Image.Image:
    """Codes (H, W) as a PNG that shows the colours of the classes and keeps the codes."""
    image = Image.fromarray(np.ascontiguousarray(codes)).convert("L")
    palette = np.zeros((256, 3), np.uint8)
    palette[: len(COLOURS)] = COLOURS
    palette[VOID] = 0
    image.putpalette(palette.tobytes())
    return image


def describe() -> str:
    """The text of ``dataset.yaml``."""
    classes = "".join(
        f"  - {{name: {name}, code: {code}, colour: {list(colour)}}}\n"
        for code, (name, colour) in enumerate(zip(CLASSES, COLOURS, strict=True))
    )
    splits = "".join(f"  {split}: {{images: images/{split}, labels: labels/{split}}}\n" for split in SPLITS)
    return (
        f"name: sample\nclasses: # their order gives the class index\n{classes}"
        f"void: [{VOID}] # unlabelled: the hood of the camera's car, clutter, uncertain outlines\n"
        f"encoding: codes\nsplits:\n{splits}default_split: val\nlabel_suffix: .png\n"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--to", type=Path, default=HERE, help="folder to write to")
    parser.add_argument("--only", nargs="*", default=[], metavar="NAME", help="frames such as dusk01_0003")
    arguments = parser.parse_args()
    for split in SPLITS:
        write_frames(arguments.to, split, arguments.only)
    (arguments.to / "dataset.yaml").write_text(describe())


if __name__ == "__main__":
    main()
