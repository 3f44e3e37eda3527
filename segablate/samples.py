"""The data of an evaluation: a :class:`Sample` from files, a :class:`Batch` for the network, its :class:`Output`.

Arrays on the host are numpy, so that label maps can be evaluated without torch.
"""

from dataclasses import dataclass
from enum import IntFlag
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from segablate.labels import ignore_index

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from torch import Tensor, device

ScoreKind = Literal["softmax", "sigmoid", "probabilities"]
"""Kind of the scores of a checkpoint: logits for softmax, logits for sigmoid, or probabilities."""


class Remark(IntFlag):
    """What reading an image or label map had to choose or leave out; the texts are in :mod:`segablate.datasets`."""

    NONE = 0
    TURNED = 1
    NOT_TURNED = 2
    TRANSPARENT = 4
    NOT_A_NUMBER = 8
    INKS = 16
    OTHER_COLOURS = 32
    OVERLAPPING = 64
    SCORES_RESIZED = 128
    LABELS_RESIZED = 256
    ONLY_ALPHA = 512


@dataclass(frozen=True)
class Sample:
    """A labelled image.

    - `image`: uint8 RGB, H, W, 3, with a fourth band where the network takes it, or None where only labels are needed;
      of the size of the labels, but where image and label map differ.
    - `labels`: H, W class indices, of :func:`segablate.labels.index_type`: uint8 with 255 for void up to 255 classes,
      else uint16 with 65535.
    - `label_hash`: 16 hexadecimal digits of the SHA-256 of the label file.
    - `remarks`: choices made in reading the files.
    """

    index: int
    name: str
    image: np.ndarray | None
    labels: np.ndarray
    label_hash: str
    remarks: Remark = Remark.NONE

    @property
    def size(self) -> tuple[int, int]:
        """Return height and width in pixels."""
        return self.labels.shape[0], self.labels.shape[1]

    @property
    def image_size(self) -> tuple[int, int]:
        """Return height and width of the image; those of the labels where it was not read."""
        return self.size if self.image is None else (self.image.shape[0], self.image.shape[1])

    @property
    def image_at_labels(self) -> np.ndarray | None:
        """Return the image at the size of the labels: bilinear, averaged where it shrinks."""
        if self.image is None or self.image_size == self.size:
            return self.image
        import cv2

        shrinks = self.size[0] < self.image_size[0]
        return cv2.resize(self.image, self.size[::-1], interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR)


@dataclass(frozen=True)
class Batch:
    """Samples of equal size, also of their images."""

    samples: tuple[Sample, ...]

    @property
    def images(self) -> np.ndarray:
        """Return the images, N, H, W, 3 uint8 RGB, or N, H, W, 4 with a fourth band."""
        return stacked([sample.image for sample in self.samples if sample.image is not None])

    @property
    def labels(self) -> np.ndarray:
        """Return the labels, N, H, W class indices."""
        return stacked([sample.labels for sample in self.samples])


def stacked(arrays: list[np.ndarray]) -> np.ndarray:
    """Stack arrays; a single one is not copied.

    A reshape keeps the strides by which torch knows channels-last images; those of an axis by None are 0.
    """
    return arrays[0].reshape(1, *arrays[0].shape) if len(arrays) == 1 else np.stack(arrays)


@dataclass(frozen=True)
class ScoreBands:
    """Scores that are computed as they are read, from a network that runs in windows; memory holds one band.

    - `outputs`: K; `device`: where they are computed.
    - `each`: returns the bands anew, N, K, h, W float tensors of consecutive rows from the top, each valid until the
      next is asked for.
    """

    outputs: int
    device: "device"
    each: "Callable[[], Iterator[Tensor]]"


@dataclass(frozen=True)
class Output:
    """The output of a checkpoint for a batch.

    - `scores`: N, K, H, W float tensor at label resolution, on the device, or None where only labels are known.
    - `bands`: in place of `scores`, where they are computed as they are read.
    - `kind`: kind of the scores, or "labels" for predicted classes alone.
    - `predicted`: N, H, W uint8 or wider integers on the host, where there are no scores: class indices of the dataset,
      or output indices of a network with a built-in argmax; any other value is outside the label set.
    - `alternative`: N, H, W, as `predicted`, in another encoding of the files, where one fits all values.
    - `foreign`: N, 8, 3 int64, the commonest values of each file that are no classes (upper and lower 32 bits), and
      their pixels; or zeros.
    - `features`: N, D, h, w float tensor, input of the network's last convolution, where there is one.
    - `one_channel`: whether the scores are two classes made of one channel z: log σ(−z), log σ(z).
    - `notes`: how an ambiguous output of the network was interpreted.
    - `threshold`: of two classes, the probability above which a pixel is of the second; None: of the higher score.
    - `narrowed`: (N,) int64, of scores in files: pixels with one that is beyond the range of float32.
    """

    kind: ScoreKind | Literal["labels"]
    scores: "Tensor | None" = None
    predicted: np.ndarray | None = None
    alternative: np.ndarray | None = None
    foreign: np.ndarray | None = None
    features: "Tensor | None" = None
    one_channel: bool = False
    notes: tuple[str, ...] = ()
    bands: ScoreBands | None = None
    threshold: float | None = None
    narrowed: np.ndarray | None = None

    @property
    def outputs(self) -> int | None:
        """Return the number K of outputs; None where there are no scores."""
        if self.bands is not None:
            return self.bands.outputs
        return None if self.scores is None else self.scores.shape[1]

    @property
    def device(self) -> "device":
        """Return the device of the scores."""
        assert self.bands is not None or self.scores is not None
        return self.scores.device if self.bands is None else self.bands.device  # type: ignore[union-attr]


@dataclass(frozen=True)
class LossInputs:
    """The arguments of losses for one image: logits, labels and further inputs.

    - `logits`: 1, K, H, W float; the first `classes` channels are the classes of the dataset.
    - `labels`: 1, H, W int64, see :func:`labels_for`; `label_map`: those of the sample, on the host, H, W.
    - `inputs`: further arguments of losses, by name: `image` (1, 3, H, W float, 0..255), `features`, `edge_net`.
    - `one_channel`: whether the logits are log σ(−z), log σ(z) of one channel z of the checkpoint.
    - `index`: the place of the image in the dataset.
    """

    logits: "Tensor"
    labels: "Tensor"
    label_map: np.ndarray
    classes: int
    inputs: dict[str, Any]
    one_channel: bool = False
    index: int = 0

    def read_by(self, activation: str, logits: "Tensor | None" = None) -> "Tensor":
        """Return the logits (those given, or its own) for losses of this activation; see :func:`logits_for`."""
        return logits_for(activation, self.logits if logits is None else logits, self.one_channel)


def labels_for(logits: "Tensor", labels: "Tensor", classes: int) -> "Tensor":
    """Return labels N, H, W of this many classes as a loss must see them: int64, with void as that of the outputs.

    Losses take the outputs of logits N, K, H, W for the classes, of which there may be fewer.
    """
    labels, ignore, expected = labels.long(), ignore_index(classes), ignore_index(logits.shape[1])
    return labels if ignore == expected else labels.where(labels != ignore, expected)


def logits_for(activation: str, logits: "Tensor", one_channel: bool) -> "Tensor":
    """Return logits N, K, H, W as a loss must see them whose `activation` is softmax or sigmoid.

    Logits of one channel z are log σ(−z), log σ(z), whose softmax is σ(−z), σ(z) and whose difference is z. Losses by
    sigmoid must see −z, z.
    """
    return logits - logits.flip(1) if one_channel and activation == "sigmoid" else logits
