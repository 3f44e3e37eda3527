"""What the parts run on: label maps, scores and batches of synthetic scenes, and networks."""

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from scenes import scene_pair
from torch import Tensor, nn

from on_gpu.rows import Setting
from segablate.evaluation.alignment import Alignment
from segablate.evaluation.measures import Measures
from segablate.evaluation.score_measures import measure_readings
from segablate.evaluation.score_reading import read_scores
from segablate.labels import LabelSet
from segablate.losses import get_loss
from segablate.metrics.tolerance import Tolerance
from segablate.samples import Batch, Output, Sample

CLASSES = 19
PLAIN = Alignment(tuple(range(CLASSES)), CLASSES)
LABELS = LabelSet("scenes", tuple(f"class {code}" for code in range(CLASSES)), tuple((c,) for c in range(CLASSES)))


def pairs(setting: Setting, images: int) -> tuple[np.ndarray, np.ndarray]:
    """Return labels and predictions, (N, H, W) uint8 each."""
    each = [scene_pair(*setting.size, CLASSES, seed) for seed in range(images)]
    labels, predicted = (np.stack(maps) for maps in zip(*each, strict=True))
    return labels, predicted


def scores_of(predicted: np.ndarray, device: torch.device) -> Tensor:
    """Return scores N, K, H, W float32 whose highest is mostly the prediction; some are equal."""
    favour = torch.from_numpy(predicted).to(device).long()
    generator = torch.Generator(device).manual_seed(0)
    noise = torch.randn((len(predicted), CLASSES, *predicted.shape[1:]), generator=generator, device=device)
    return noise.scatter_add_(1, favour[:, None], torch.full_like(favour, 3).float()[:, None]).mul_(8).round_().div_(8)


def batch_of(labels: np.ndarray) -> Batch:
    """Return samples with grey images."""
    image = np.full((*labels.shape[1:], 3), 127, np.uint8)
    return Batch(tuple(Sample(index, f"s{index}", image, each, "0" * 16) for index, each in enumerate(labels)))


def default_measures() -> Measures:
    """Return what `evaluate` measures of a network by default: confusion, boundary F at 3 px, calibration, ce."""
    return Measures({"ce": get_loss("ce")}, (Tolerance(3),), calibration=True)


def measure(batch: Batch, scores: Tensor) -> list[Any]:
    """Measure a batch as `evaluate` does."""
    readings = read_scores(batch, Output("softmax", scores), PLAIN, default_measures())
    return list(measure_readings(readings, LABELS, default_measures()))


def deeplab(setting: Setting) -> tuple[nn.Module, str]:
    """Return a DeepLabv3 with a ResNet-50 and random weights, and whose it is: torchvision's where that loads."""
    build, whose = _torchvisions() or (_own, "this package's, output stride 8")
    return build().to(setting.device).eval(), whose


def _torchvisions() -> tuple[Callable[[], nn.Module], str] | None:
    try:
        from torchvision.models import segmentation
    except (ImportError, RuntimeError):  # one built for another torch does not load
        return None

    class Maps(nn.Module):
        """The network without its dictionary."""

        def __init__(self) -> None:
            super().__init__()
            self.network = segmentation.deeplabv3_resnet50(weights=None, weights_backbone=None, num_classes=CLASSES)

        def forward(self, images: Tensor) -> Tensor:
            return self.network(images)["out"]

    return Maps, "torchvision's"


def _own() -> nn.Module:
    from segablate.networks.deeplabv3 import deeplabv3

    return deeplabv3(CLASSES, "resnet50", output_stride=8)
