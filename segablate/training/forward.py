"""A network's forward pass in training: logits of the classes, auxiliary outputs, features."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from segablate.checkpoints.inference import at_size
from segablate.checkpoints.outputs import channels_first, choose_scores, two_channels
from segablate.errors import CheckpointError
from segablate.evaluation.scores import class_logits
from segablate.runtime import autocast
from segablate.training.heads import head_logits
from segablate.training.starting import Start, seen_by_classifier
from segablate.user_code import exits_raised, own_output


@dataclass(frozen=True)
class Scores:
    """What a network returns for a batch of views.

    - `logits`: N K H W float32, the classes of the dataset first, at the size of the views; `auxiliary`: more of them.
    - `features`: N D h w float32, what the classifier sees, where they were asked for.
    - `left_out`: the number of auxiliary outputs whose channels are not those of the main one.
    - `one_channel`: whether the logits are two classes made of one channel, see :func:`segablate.samples.logits_for`.
    """

    logits: Tensor
    auxiliary: tuple[Tensor, ...] = ()
    features: Tensor | None = None
    left_out: int = 0
    one_channel: bool = False


def forward(start: Start, images: Tensor, *, auxiliary: bool, features: bool) -> Scores:
    """Run the network on N H W 3 uint8 views. Raises CheckpointError where it fails on them."""
    network, size = start.network, (images.shape[1], images.shape[2])
    pixels = replace(network.preprocessing, resize=None)(images).contiguous(memory_format=torch.channels_last)
    seeing = seen_by_classifier(network, start.classifier, features)
    with autocast(network.device, network.precision), seeing as seen:
        output = _run(start, pixels)
    main, _ = choose_scores(output, network.head)
    others = _others(output, main) if auxiliary else []
    fitting = [other for other in others if other.shape[1] == main.shape[1]]
    (logits, one_channel), *more = (_logits(start, scores, pixels, size) for scores in (main, *fitting))
    kept, left_out = seen[-1].float() if seen else None, len(others) - len(fitting)
    return Scores(logits, tuple(each for each, _ in more), kept, left_out, one_channel)


def _run(start: Start, pixels: Tensor) -> Any:
    try:
        with own_output(), exits_raised():
            return start.network.module(pixels)
    except torch.OutOfMemoryError:
        raise
    except Exception as error:
        reason = " ".join(str(error).split())[:200] or type(error).__name__
        raise CheckpointError(
            f"{start.network.source.spec} fails on {len(pixels)} views of {pixels.shape[2]}x{pixels.shape[3]} in "
            f"training: {reason}; try another --crop or --batch"
        ) from error


def forward_head(start: Start, features: Tensor, size: tuple[int, int]) -> Scores:
    """Run the classifier alone on features N D h w; `size`: height and width of the labels."""
    logits, one_channel = _classes(start, head_logits(start.network, start.classifier, features, size))
    return Scores(logits, (), features, one_channel=one_channel)


def _logits(start: Start, scores: Tensor, pixels: Tensor, size: tuple[int, int]) -> tuple[Tensor, bool]:
    """Return the logits of the classes, N K H W float32, of one output, and whether it has one channel."""
    scores = scores[:, None] if scores.ndim == 3 else scores
    arranged, _ = channels_first(scores, (pixels.shape[2], pixels.shape[3]), len(start.alignment.outputs))
    whole = at_size(arranged.float(), (pixels.shape[2], pixels.shape[3]))[..., : size[0], : size[1]]
    return _classes(start, whole)


def _classes(start: Start, scores: Tensor) -> tuple[Tensor, bool]:
    """Return the logits N K' H W of the classes from outputs N K H W, and whether these have one channel."""
    assert start.network.kind != "labels"  # or there were no scores to train
    both, kind = two_channels(scores, start.network.kind)
    logits = class_logits(both, kind, start.alignment)
    return logits, scores.shape[1] == 1 and logits.shape[1] == 2


def _others(output: Any, main: Tensor) -> list[Tensor]:
    """The maps that a network returns beside the main one."""
    values = output.values() if isinstance(output, Mapping) else output if isinstance(output, list | tuple) else ()
    maps = [value for value in values if isinstance(value, Tensor) and value.ndim == main.ndim]
    return [value for value in maps if value is not main]
