"""A network's forward pass in training: logits of the classes, auxiliary outputs, features."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from segablate.checkpoints.inference import at_size
from segablate.checkpoints.network import LastConvolution
from segablate.checkpoints.outputs import channels_first, choose_scores, two_channels
from segablate.errors import CheckpointError
from segablate.evaluation.score_measures import class_logits
from segablate.runtime import autocast
from segablate.training.heads import head_logits
from segablate.training.starting import Start


@dataclass(frozen=True)
class Scores:
    """What a network gives for a batch of views.

    - `logits`: N K H W float32, the classes of the dataset first, at the size of the views; `auxiliary`: more of them.
    - `features`: N D h w, what the classifier sees, where they were asked for.
    - `one_channel`: whether the logits are two classes made of one channel, see :func:`segablate.samples.logits_for`.
    """

    logits: Tensor
    auxiliary: tuple[Tensor, ...]
    features: Tensor | None
    one_channel: bool = False


def forward(start: Start, images: Tensor, *, auxiliary: bool, features: bool) -> Scores:
    """Run the network on N H W 3 uint8 views. Raises CheckpointError where it fails on them."""
    network, size = start.network, (images.shape[1], images.shape[2])
    preprocessing = replace(network.preprocessing, resize=None)
    pixels = preprocessing(images).contiguous(memory_format=torch.channels_last)
    with autocast(network.device, network.precision), LastConvolution(network.module, features) as last:
        try:
            output = network.module(pixels)
        except torch.OutOfMemoryError:
            raise
        except Exception as error:
            reason = " ".join(str(error).split())[:200] or type(error).__name__
            raise CheckpointError(
                f"{network.source.spec} fails on views of {size[0]}x{size[1]} in training: {reason}; try another --crop"
            ) from error
    main, _ = choose_scores(output, network.head)
    others = _auxiliary(output, main) if auxiliary else ()
    (logits, one_channel), *more = (_logits(start, scores, pixels, size) for scores in (main, *others))
    kept = last.inputs.float() if features and last.inputs is not None else None
    return Scores(logits, tuple(each for each, _ in more), kept, one_channel)


def forward_head(start: Start, features: Tensor, size: tuple[int, int]) -> Scores:
    """Run the classifier alone on features N D h w; `size`: height and width of the labels."""
    logits, one_channel = _of_classes(start, head_logits(start, features, size))
    return Scores(logits, (), features, one_channel)


def _logits(start: Start, scores: Tensor, pixels: Tensor, size: tuple[int, int]) -> tuple[Tensor, bool]:
    """Return the logits of the classes, N K H W float32, of one output, and whether it has one channel."""
    scores = scores[:, None] if scores.ndim == 3 else scores
    arranged, _ = channels_first(scores, (pixels.shape[2], pixels.shape[3]), len(start.alignment.outputs))
    whole = at_size(arranged.float(), (pixels.shape[2], pixels.shape[3]))[..., : size[0], : size[1]]
    return _of_classes(start, whole)


def _of_classes(start: Start, scores: Tensor) -> tuple[Tensor, bool]:
    both, kind = two_channels(scores, start.network.kind if start.network.kind != "labels" else "softmax")
    logits = class_logits(both, kind, start.alignment)
    return logits, scores.shape[1] == 1 and logits.shape[1] == 2


def _auxiliary(output: Any, main: Tensor) -> tuple[Tensor, ...]:
    """The other outputs of as many channels as the main one."""
    values = output.values() if isinstance(output, Mapping) else output if isinstance(output, list | tuple) else ()
    tensors = [value for value in values if isinstance(value, Tensor) and value.ndim == main.ndim]
    return tuple(value for value in tensors if value is not main and value.shape[1] == main.shape[1])
