"""The scores of segablate with Accelerate: ``accelerate launch examples/accelerate_loop.py``.

Every process counts what it saw; ``compute`` adds all of them. Images are named, so that those with which a sampler
pads the last batch count once. The scores are saved and restored with the state of the training.
"""

import argparse
import tempfile
from pathlib import Path

import torch
from accelerate import Accelerator
from bare_loop import Sample, network
from torch.utils.data import DataLoader

import segablate


def main(epochs: int, limit: int | None, folder: Path) -> segablate.Summary:
    accelerator = Accelerator(cpu=True)
    torch.manual_seed(0)
    train, val = Sample("train"), Sample("val")
    if limit is not None:
        train.data, val.data = train.data.evenly(limit), val.data.evenly(limit)
    labels = val.data.labels
    model = network(len(labels))
    optimiser = torch.optim.AdamW(model.parameters(), lr=3e-3)
    model, optimiser, batches, held_out = accelerator.prepare(
        model, optimiser, DataLoader(train, batch_size=8, shuffle=True), DataLoader(val, batch_size=8)
    )
    criterion = segablate.losses.Dice()
    scores = segablate.Scores(labels, tolerance=3, per_image=True)
    accelerator.register_for_checkpointing(scores)
    for epoch in range(epochs):
        model.train()
        for images, targets, _ in batches:
            optimiser.zero_grad()
            accelerator.backward(criterion(model(images), targets))
            optimiser.step()
        model.eval()
        scores.reset()
        with torch.no_grad():
            for images, targets, names in held_out:
                scores.update(model(images), targets, names)
        summary = scores.compute()
        accelerator.print(f"epoch {epoch}: mIoU {summary.overall.miou:.3f} over {summary.overall.images} images")
    accelerator.save_state(str(folder / "state"))
    scores.reset()
    accelerator.load_state(str(folder / "state"))
    return scores.compute()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--epochs", type=int, default=3)
    parser.add_argument("--limit", type=int, help="Use N images of each split.")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as place:
        main(options.epochs, options.limit, Path(place))
