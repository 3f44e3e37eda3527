"""A training loop in plain PyTorch with a loss and the scores of segablate: ``python examples/bare_loop.py``.

Trains a tiny network on the sample data, validates after every epoch with mIoU, boundary F and ECE, saves what the best
epoch saw as runs, and compares the first epoch with the last on the same images.
"""

import argparse
import tempfile
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset

import segablate


class Sample(Dataset):
    """The sample data as images 3 H W in 0..1, labels H W with void 255, and names, cut to the smallest size."""

    def __init__(self, split: str) -> None:
        self.data = segablate.open_dataset("sample", split)

    def __len__(self) -> int:
        return len(self.data)

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor, str]:
        sample = self.data.read(index)
        assert sample.image is not None
        image, labels = torch.from_numpy(sample.image[:120, :160]), torch.from_numpy(sample.labels[:120, :160])
        return image.permute(2, 0, 1) / 255, labels, sample.name


def network(classes: int) -> nn.Module:
    """Return a network of three convolutions, at a quarter of the size."""
    return nn.Sequential(
        nn.Conv2d(3, 24, 5, stride=2, padding=2),
        nn.ReLU(),
        nn.Conv2d(24, 32, 5, stride=2, padding=2),
        nn.ReLU(),
        nn.Conv2d(32, classes, 1),
        nn.Upsample(scale_factor=4, mode="bilinear"),
    )


def main(epochs: int, limit: int | None, folder: Path) -> segablate.Comparison:
    torch.manual_seed(0)
    train, val = Sample("train"), Sample("val")
    if limit is not None:
        train.data, val.data = train.data.evenly(limit), val.data.evenly(limit)
    labels = val.data.labels
    model = network(len(labels))
    criterion = segablate.losses.CE(label_smoothing=0.05)
    optimiser = torch.optim.AdamW(model.parameters(), lr=3e-3)
    scores = segablate.Scores(labels, tolerance=3, calibration=True, per_image=True)
    for epoch in range(epochs):
        model.train()
        for images, targets, _ in DataLoader(train, batch_size=8, shuffle=True):
            optimiser.zero_grad()
            criterion(model(images), targets).backward()
            optimiser.step()
        model.eval()
        scores.reset()
        with torch.no_grad():
            for images, targets, names in DataLoader(val, batch_size=8):
                scores.update(model(images), targets, names)
        overall = scores.compute().overall
        print(f"epoch {epoch}: mIoU {overall.miou:.3f}, bF {overall.boundary_f['3']:.3f}, ECE {overall.ece:.3f}")
        scores.as_run(folder / f"epoch-{epoch}", name=f"epoch {epoch}", dataset="sample")
    return segablate.compare(folder / "epoch-0", folder / f"epoch-{epochs - 1}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--epochs", type=int, default=3)
    parser.add_argument("--limit", type=int, help="Use N images of each split.")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as place:
        print(main(options.epochs, options.limit, Path(place)).verdict)
