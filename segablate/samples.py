"""What flows through an evaluation: a :class:`Sample` from disk, a :class:`Batch` for the network, its :class:`Output`.

Arrays on the host are numpy, so that label maps can be evaluated without torch.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

if TYPE_CHECKING:
    from torch import Tensor

ScoreKind = Literal["softmax", "sigmoid", "probabilities"]
"""What the scores of a checkpoint are: logits for a softmax, logits for a sigmoid each, or probabilities."""


@dataclass(frozen=True)
class Sample:
    """One labelled image.

    - `image`: H, W, 3 uint8 RGB, or None where only labels are needed.
    - `labels`: H, W uint8 class indices, 255 void.
    - `label_hash`: 16 hexadecimal digits of the SHA-256 of the label file.
    """

    index: int
    name: str
    image: np.ndarray | None
    labels: np.ndarray
    label_hash: str

    @property
    def size(self) -> tuple[int, int]:
        """Height and width in pixels."""
        return self.labels.shape[0], self.labels.shape[1]


@dataclass(frozen=True)
class Batch:
    """Samples of one size."""

    samples: tuple[Sample, ...]

    @property
    def images(self) -> np.ndarray:
        """N, H, W, 3 uint8 RGB."""
        return np.stack([sample.image for sample in self.samples if sample.image is not None])

    @property
    def labels(self) -> np.ndarray:
        """N, H, W uint8, 255 void."""
        return np.stack([sample.labels for sample in self.samples])


@dataclass(frozen=True)
class Output:
    """What a checkpoint gives for a batch.

    - `scores`: N, K, H, W float tensor at label resolution, on the device, or None where only labels are known.
    - `kind`: what the scores are.
    - `predicted`: N, H, W uint8 on the host, where there are no scores: class indices of the dataset, or from a network
      with its argmax inside, outputs of it; a value that is none lies outside the label set.
    - `alternative`: N, H, W uint8, as `predicted`: the files read in another encoding, where one fits all values.
    - `features`: N, D, h, w input of the network's last convolution, where there is one.
    - `one_channel`: whether the scores are two classes made of one channel z of the network: log σ(−z), log σ(z).
    - `notes`: how what the network returned was read, where it could have been meant otherwise.
    """

    kind: ScoreKind | Literal["labels"]
    scores: "Tensor | None" = None
    predicted: np.ndarray | None = None
    alternative: np.ndarray | None = None
    features: "Tensor | None" = None
    one_channel: bool = False
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class LossInputs:
    """One image as losses see it: the output of a checkpoint, its classes first, and what lies beside it.

    - `logits`: 1, K, H, W float; the first `classes` channels are the classes of the dataset.
    - `labels`: 1, H, W int64, 255 void; `label_map`: the same on the host, H, W uint8.
    - `inputs`: what losses may take beyond these, by name: `image` (1, 3, H, W float, 0..255), `features`, `edge_net`.
    - `one_channel`: whether the logits are log σ(−z), log σ(z) of one channel z of the network.
    """

    logits: "Tensor"
    labels: "Tensor"
    label_map: np.ndarray
    classes: int
    inputs: dict[str, Any]
    one_channel: bool = False

    def read_by(self, activation: str, logits: "Tensor | None" = None) -> "Tensor":
        """Return the logits as a loss must see them that reads by softmax or sigmoid; those given, or its own.

        Of one channel z a softmax sees log σ(−z), log σ(z), whose difference is z; a sigmoid sees −z, z.
        """
        logits = self.logits if logits is None else logits
        return logits - logits.flip(1) if self.one_channel and activation == "sigmoid" else logits
