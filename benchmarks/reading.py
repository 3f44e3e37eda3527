"""Images per second of reading each layout, relative to reading the same files with OpenCV alone.

::

    python benchmarks/reading.py [--images 48] [--repeats 3] [LAYOUT ...]

Each layout is written in the size and encoding of its release (smooth regions with grain, so that files are about as
large as real ones) and read with two workers: checked, decoded, mapped to classes, hashed, and passed to this process.
OpenCV alone is ``cv2.imread`` of image and labels, in two processes that return nothing, and in one. The three take
turns; the best of the repeats counts. Ratios are ours over OpenCV's: above 1 favours this program, the goal is 0.8.
"""

import argparse
import json
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path

import cv2
import numpy as np
from PIL import Image
from rich.console import Console
from rich.table import Table

from segablate.datasets import Dataset, open_dataset
from segablate.datasets.reading import Failure, ahead_in_threads
from segablate.labels import IGNORE, LabelSet

WORKERS = 2


def scene(size: tuple[int, int], labels: LabelSet, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Return an image (H, W, 3) and codes of smooth regions, with void between some of them."""
    rng = np.random.default_rng(seed)
    height, width = size
    coarse = cv2.resize(rng.random((height // 40, width // 40), np.float32), (width, height))
    classes = (coarse * len(labels)).astype(np.uint8).clip(max=len(labels) - 1)
    colours = rng.integers(0, 256, (len(labels), 3))
    grain = cv2.GaussianBlur(rng.normal(0, 12, (*size, 3)).astype(np.float32), (0, 0), 1.2)
    image = np.clip(colours[classes] + grain, 0, 255).astype(np.uint8)
    if labels.void:
        classes[(coarse * 29 % 1) < 0.05] = IGNORE
    return image, labels.encode(classes)


def write(path: Path, pixels: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(path), pixels)


def write_palette(path: Path, codes: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    picture = Image.fromarray(codes).convert("P")
    picture.putpalette([value * 7 % 256 for value in range(768)])
    picture.save(path)


def first_channel(path: Path, codes: np.ndarray) -> None:
    write(path, np.stack([np.zeros_like(codes), codes // 3, codes], axis=-1).astype(np.uint16))


Layout = tuple[tuple[int, int], str, str, Callable[[Path, np.ndarray], None]]
LAYOUTS: dict[str, Layout] = {
    "ade20k": ((512, 683), "images/validation/{}.jpg", "annotations/validation/{}.png", write),
    "camvid": ((360, 480), "val/{}.png", "valannot/{}.png", write),
    "cityscapes": (
        (1024, 2048),
        "leftImg8bit/val/ulm/{}_leftImg8bit.png",
        "gtFine/val/ulm/{}_gtFine_labelIds.png",
        write,
    ),
    "coco-stuff": ((480, 640), "images/val2017/{}.jpg", "annotations/val2017/{}.png", write),
    "hf": ((375, 500), "JPEGImages/{}.jpg", "SegmentationClass/{}.png", write_palette),
    "nyuv2": ((480, 640), "image/test/{}.png", "seg40/test/{}.png", lambda path, codes: write(path, codes - 1)),
    "synthia": ((760, 1280), "RGB/{}.png", "GT/LABELS/{}.png", first_channel),
    "voc2012": ((375, 500), "JPEGImages/{}.jpg", "SegmentationClass/{}.png", write_palette),
}


def make(layout: str, root: Path, images: int) -> tuple[Dataset, list[tuple[str, str]]]:
    """Write a split of a layout; return its dataset and its image and label files. "hf" is made of VOC's files."""
    from segablate.datasets import layout_module

    size, image_name, label_name, write_labels = LAYOUTS[layout]
    kind = "voc2012" if layout == "hf" else layout
    for number in range(images):
        image, codes = scene(size, layout_module(kind).LAYOUT.label_sets[0], number)
        write(root / image_name.format(f"{number:06d}"), image)
        write_labels(root / label_name.format(f"{number:06d}"), codes)
    data = open_dataset(f"{kind}:{root}")
    paths = [(str(item.image), str(item.labels)) for item in data.items]
    return saved(data, root / "saved") if layout == "hf" else data, paths


def saved(data: Dataset, root: Path) -> Dataset:
    """Save the same images and label maps with ``save_to_disk`` of Hugging Face's `datasets`."""
    import datasets

    rows = {"image": [str(item.image) for item in data.items], "label": [str(item.labels) for item in data.items]}
    features = datasets.Features({column: datasets.Image() for column in rows})
    datasets.disable_progress_bars()
    datasets.Dataset.from_dict(rows, features=features).save_to_disk(root)
    (root / "id2label.json").write_text(json.dumps(dict(enumerate(data.labels.names))))
    return open_dataset(f"hf:{root}")


def ours(data: Dataset) -> float:
    """Return the seconds per sample of a second pass, when the workers are already running."""
    indices = [index % len(data) for index in range(2 * len(data))]
    with ahead_in_threads(data.read, indices, WORKERS) as samples:
        return seconds(samples, len(data))


def decode(paths: tuple[str, str]) -> None:
    for path in paths:
        assert cv2.imread(path, cv2.IMREAD_UNCHANGED) is not None


def opencv(paths: list[tuple[str, str]], processes: int) -> float:
    """Return the seconds of ``cv2.imread`` per pair of the same files, measured the same way."""
    cv2.setNumThreads(1)
    if processes == 1:
        return seconds(map(decode, paths * 2), len(paths))
    with ProcessPoolExecutor(processes, initializer=partial(cv2.setNumThreads, 1)) as pool:
        return seconds(pool.map(decode, paths * 2), len(paths))


def seconds(results: Iterator[object], count: int) -> float:
    """Return the seconds per result, over the last `count` of them."""
    start = 0.0
    for number, result in enumerate(results, start=1):
        assert not isinstance(result, Failure), result.error
        if number == count:
            start = time.perf_counter()
    return (time.perf_counter() - start) / count


def measure(layout: str, images: int, repeats: int) -> tuple[float, float, float]:
    """Return images per second: ours with two workers, OpenCV in two processes, OpenCV in one."""
    with tempfile.TemporaryDirectory() as folder:
        data, paths = make(layout, Path(folder), images)
        turns = [(ours(data), opencv(paths, WORKERS), opencv(paths, 1)) for _ in range(repeats)]
    first, second, third = (1 / min(column) for column in zip(*turns, strict=True))
    return first, second, third


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("layouts", nargs="*", default=list(LAYOUTS), help="all by default")
    parser.add_argument("--images", type=int, default=48)
    parser.add_argument("--repeats", type=int, default=3)
    options = parser.parse_args()
    table = Table("layout", "size", "images/s", "OpenCV, two", "ratio", "OpenCV, one", "ratio", title="Reading")
    for layout in options.layouts:
        rate, two, one = measure(layout, options.images, options.repeats)
        height, width = LAYOUTS[layout][0]
        numbers = f"{rate:.0f}", f"{two:.0f}", f"{rate / two:.2f}", f"{one:.0f}", f"{rate / one:.2f}"
        table.add_row(layout, f"{width}x{height}", *numbers)
    Console().print(table)


if __name__ == "__main__":
    main()
