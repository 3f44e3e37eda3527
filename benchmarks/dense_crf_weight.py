"""The weight of dense_crf at another size: ``python benchmarks/dense_crf_weight.py DATASET HEIGHTxWIDTH``.

The loss is a sum over all pairs of pixels, so that a weight is for one size. The published one (1.44e-8, crops of 513
at scale 0.5, sigma_xy 100) is carried over by the sum of the kernel over all pairs, on the same images: once with a
shorter side of 513, cropped to 513x513, and once at HEIGHTxWIDTH, cropped to ``--crop``, with a sigma_xy that is the
same share of the shorter side.
"""

import argparse
import time

import cv2
import numpy as np
import torch

from segablate.datasets import open_dataset
from segablate.losses import get_loss

PUBLISHED, SIDE, SIGMA = 1.44e-8, 513, 100.0


def resized(image: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Return an image H W 3 at another height and width."""
    shrinks = size[0] < image.shape[0]
    return cv2.resize(image, size[::-1], interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR)


def pairs(image: np.ndarray, sigma_xy: float, scale: float) -> float:
    """Return the sum of the kernel over all pairs of pixels of an image H W 3."""
    pixels = torch.from_numpy(image).permute(2, 0, 1)[None].float()  # 1 3 H W
    logits, labels = torch.zeros(1, 2, *image.shape[:2]), torch.zeros(1, *image.shape[:2], dtype=torch.int64)
    with torch.no_grad():
        parts = get_loss("dense_crf").parts(logits, labels, image=pixels, sigma_xy=sigma_xy, scale=scale)
    return float(parts.sums["pairs"])


def main() -> None:
    """Print the sums and the weight."""
    parser = argparse.ArgumentParser()
    parser.add_argument("dataset")
    parser.add_argument("size")
    parser.add_argument("--split", default="train")
    parser.add_argument("--crop", default=None, help="HEIGHTxWIDTH of a central crop; none: all")
    parser.add_argument("--scale", type=float, default=0.5)
    parser.add_argument("--images", type=int, default=4)
    given = parser.parse_args()
    torch.set_num_threads(1)
    height, width = map(int, given.size.split("x"))
    crop = tuple(map(int, given.crop.split("x"))) if given.crop else (height, width)
    sigma = round(SIGMA * min(height, width) / SIDE)
    data, ratios = open_dataset(given.dataset, given.split).evenly(given.images), []
    for index in range(len(data)):
        image = data.read(index).image
        assert image is not None
        factor = SIDE / min(image.shape[:2])
        large = resized(image, (round(image.shape[0] * factor), round(image.shape[1] * factor)))
        begun = time.perf_counter()
        published = pairs(central(large, (SIDE, SIDE)), SIGMA, 0.5)
        ours = pairs(central(resized(image, (height, width)), crop), sigma, given.scale)
        ratios.append(published / ours)
        print(f"{data.names[index]}: {published:.3g} at 513x513, {ours:.3g} here; {time.perf_counter() - begun:.1f} s")
    weight = PUBLISHED * float(np.exp(np.mean(np.log(ratios))))
    print(f"weight {weight:.2g} with sigma_xy={sigma}, scale={given.scale:g}")


def central(image: np.ndarray, size: tuple[int, ...]) -> np.ndarray:
    """Return the central crop of an image H W 3."""
    top, left = ((side - crop) // 2 for side, crop in zip(image.shape, size, strict=False))
    return np.ascontiguousarray(image[top : top + size[0], left : left + size[1]])


if __name__ == "__main__":
    main()
