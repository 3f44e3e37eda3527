"""Simulate scribbles from full label maps: strokes along the middle of regions, all else void.

A stroke is a random stretch of the longest path in the skeleton of a connected region of one class.
"""

import zlib
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from segablate.datasets.dataset import Dataset
from segablate.errors import DatasetError
from segablate.files import atomic_folder, is_file, is_folder, writing
from segablate.images.label_maps import write_label_map
from segablate.labels import LabelSet, ignored_in


@dataclass(frozen=True)
class Strokes:
    """The shape of the strokes.

    - `width`: width of a stroke, in pixels.
    - `shortest`: least length of a stroke, as a share of the middle line; the length is uniform between it and 1.
    - `smallest`: regions of fewer pixels get no stroke, unless their class has no larger region.
    """

    width: int = 3
    shortest: float = 0.5
    smallest: int = 100


def scribble(labels: np.ndarray, seed: int | list[int], strokes: Strokes = Strokes()) -> np.ndarray:
    """Return `labels` (H, W class indices) with all but a stroke in each region void; equal for equal seeds.

    Every labelled class keeps at least one stroke, and no stroke leaves its region.
    """
    from skimage.measure import label, regionprops  # slow to import, and only needed here

    rng = np.random.default_rng(seed)
    result = np.full_like(labels, ignored_in(labels))
    for index in np.unique(labels[labels != ignored_in(labels)]):
        regions = regionprops(label(labels == index, connectivity=1))
        largest = max(region.area for region in regions)
        for region in regions:
            if region.area >= min(strokes.smallest, largest):
                result[region.slice][_stroke(region.image, rng, strokes)] = index
    return result


def write_scribbles(dataset: Dataset, out: Path, seed: int = 0, strokes: Strokes = Strokes()) -> float:
    """Write a label PNG for each image, in the dataset's codes; return the share of labelled pixels that is left.

    `out` gets ``NAME.png`` for each name, and exists only after all are written. The strokes of an image depend on the
    seed and its name, not on other images. Raises DatasetError when `out` exists or the label set has no void, and
    what reading a label file raises.
    """
    if is_file(out) or is_folder(out):
        raise DatasetError(f"{out} already exists; remove it, or choose another folder with --out")
    refuse_unwritable(dataset.labels)
    drawn = labelled = 0
    with writing(out), atomic_folder(out) as folder:
        for index, name in enumerate(dataset.names):
            full = dataset.read(index, image=False).labels
            strokes_only = scribble_of(name, full, seed, strokes)
            write_label_map(folder / f"{name}.png", dataset.labels.encode(strokes_only))
            drawn += int((strokes_only != ignored_in(strokes_only)).sum())
            labelled += int((full != ignored_in(full)).sum())
    return drawn / max(labelled, 1)


def scribble_of(name: str, labels: np.ndarray, seed: int = 0, strokes: Strokes = Strokes()) -> np.ndarray:
    """Return the scribbles of the image of this name: they depend on seed and name, not on other images."""
    return scribble(labels, [seed, zlib.crc32(name.encode("utf-8", "surrogatepass"))], strokes)


def refuse_unwritable(labels: LabelSet) -> None:
    """Raise DatasetError for a label set without a void code that fits a PNG: most pixels of a scribble are void."""
    if labels.void == ():
        raise DatasetError(
            f"label set {labels.name!r} has no code for void, which most pixels of a scribble have; "
            f"add one in dataset.yaml"
        )
    if labels.void is not None and labels.stored_void not in labels.void:
        raise DatasetError(
            f"void {labels.void[0]} of label set {labels.name!r} does not fit a PNG; add "
            f"{labels.stored_void} to void in dataset.yaml"
        )


def _stroke(region: np.ndarray, rng: np.random.Generator, strokes: Strokes) -> np.ndarray:
    """Return the pixels (h, w bool) of a random stretch of the middle line, widened within the region (h, w bool)."""
    rows, columns = _middle_line(region)
    share = rng.uniform(strokes.shortest, 1)
    count = max(round(share * len(rows)), 1)
    start = rng.integers(len(rows) - count + 1)
    line = np.zeros(region.shape, np.uint8)
    line[rows[start : start + count], columns[start : start + count]] = 1
    pen = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (strokes.width, strokes.width))
    return (cv2.dilate(line, pen) > 0) & region


def _middle_line(region: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return rows and columns of the longest shortest path in the skeleton of a connected region, from end to end."""
    from skimage.graph import MCP_Geometric
    from skimage.morphology import skeletonize

    padded = np.pad(region, 1)  # the border of the image is background
    skeleton = skeletonize(padded)
    paths = MCP_Geometric(np.where(skeleton, 1.0, -1.0))  # negative costs are never entered
    end = tuple(np.argwhere(skeleton)[0])
    for _ in range(2):  # from any point to the farthest end, and from there to the other
        start = end
        lengths, _ = paths.find_costs([start])
        end = np.unravel_index(np.where(np.isfinite(lengths), lengths, -1).argmax(), lengths.shape)
    line = np.array(paths.traceback(end)) - 1
    return line[:, 0], line[:, 1]
