"""Vessel probabilities of W-Net on DRIVE as its authors compute them, for ``segablate evaluate predictions:...``.

::

    python examples/prepare_drive.py DRIVE/test drive_test --native
    python examples/predict_drive.py drive_test examples/wnet_drive.pth drive_test/wnet
    segablate evaluate predictions:drive_test/wnet folder:drive_test --threshold 0.4333

0.4333 is the threshold of the highest Dice on all twenty images of DRIVE/training, prepared and predicted likewise.

Each image is resized to 512×512 (Pillow, bilinear); the probabilities of the image and of its three mirror images are
averaged, not their logits; the mean is resized to the size of the image by cubic splines, clipped to its range, and
rounded to 8 bits. ``--flip both`` averages logits and resizes them bilinearly: 0.01 less AUC and 0.1 less Dice.
"""

import sys
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from scipy import ndimage

SIDE = 512
MIRRORS = ((), (-1,), (-2,), (-2, -1))


def main(dataset: Path, weights: Path, target: Path) -> None:
    """Write ``NUMBER.npz`` with the probability of vessel, 1 x H x W, for every image of the dataset."""
    sys.path.insert(0, str(Path(__file__).parent))
    from wnet import wnet

    network = wnet().eval()
    network.load_state_dict(torch.load(weights, map_location="cpu", weights_only=False)["model_state_dict"])
    target.mkdir(parents=True, exist_ok=True)
    for path in sorted((dataset / "images").glob("*.png")):
        with Image.open(path) as picture:
            probabilities = as_published(network, picture.convert("RGB"))
        np.savez_compressed(target / f"{path.stem}.npz", probabilities=probabilities[None])


def as_published(network: torch.nn.Module, image: Image.Image) -> np.ndarray:
    """Return the probability of vessel, H x W float32 in steps of 1/255."""
    small = np.asarray(image.resize((SIDE, SIDE), Image.Resampling.BILINEAR), np.float32) / 255
    pixels = torch.from_numpy(small.transpose(2, 0, 1).copy())[None]
    with torch.inference_mode():
        mirrored = [network(pixels.flip(axes)).sigmoid().flip(axes) for axes in MIRRORS]
    mean = torch.cat(mirrored).double().mean(dim=0)[0].numpy()  # 512 512
    factors = (image.height / SIDE, image.width / SIDE)
    large = ndimage.zoom(mean, factors, order=3, mode="mirror", grid_mode=True)
    return (np.rint(large.clip(mean.min(), mean.max()) * 255) / 255).astype(np.float32)


if __name__ == "__main__":
    if len(sys.argv) != 4:
        sys.exit("usage: python predict_drive.py DATASET WEIGHTS OUT")
    main(*map(Path, sys.argv[1:]))
