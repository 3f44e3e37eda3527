"""The scores of segablate in a LightningModule: ``python examples/lightning_loop.py``, with ``pip install lightning``.

``Scores`` is no part of the module's state: it is filled during a validation, computed over all processes at its end,
logged, and reset.
"""

import argparse

import lightning
import torch
from bare_loop import Sample, network
from torch import Tensor
from torch.utils.data import DataLoader

import segablate

Batch = tuple[Tensor, Tensor, list[str]]


class Segmentation(lightning.LightningModule):
    """A network that is trained with cross entropy and RMI."""

    def __init__(self, labels: segablate.LabelSet) -> None:
        super().__init__()
        self.model = network(len(labels))
        self.ce, self.rmi = segablate.losses.CE(), segablate.losses.RMI(radius=2)
        self.scores = segablate.Scores(labels, tolerance=3, calibration="ece")

    def training_step(self, batch: Batch, _: int) -> Tensor:
        images, targets, _names = batch
        logits = self.model(images)
        return self.ce(logits, targets) + 0.5 * self.rmi(logits, targets)

    def validation_step(self, batch: Batch, _: int) -> None:
        images, targets, _names = batch
        self.scores.update(self.model(images), targets)

    def on_validation_epoch_end(self) -> None:
        summary = self.scores.compute()
        self.log_dict({f"val/{name}": value for name, value in summary.as_dict().items()})
        self.scores.reset()

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.AdamW(self.parameters(), lr=3e-3)


def main(epochs: int, limit: int | None) -> dict[str, float]:
    lightning.seed_everything(0)
    train, val = Sample("train"), Sample("val")
    if limit is not None:
        train.data, val.data = train.data.evenly(limit), val.data.evenly(limit)
    trainer = lightning.Trainer(
        max_epochs=epochs, accelerator="cpu", logger=False, enable_checkpointing=False, enable_progress_bar=False
    )
    module = Segmentation(val.data.labels)
    trainer.fit(module, DataLoader(train, batch_size=8, shuffle=True), DataLoader(val, batch_size=8))
    return {name: float(value) for name, value in trainer.callback_metrics.items()}


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--epochs", type=int, default=3)
    parser.add_argument("--limit", type=int, help="Use N images of each split.")
    options = parser.parse_args()
    numbers = main(options.epochs, options.limit)
    print(f"mIoU {numbers['val/miou']:.3f}, bF {numbers['val/boundary_f_3']:.3f}, ECE {numbers['val/ece']:.3f}")
