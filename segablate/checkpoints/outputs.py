"""Conversion of what networks return to scores N, K, h, w or label maps N, 1, h, w.

Handles several heads, lists of scales, channels last, one channel without its axis, and an argmax inside the network.
Where an output is ambiguous, a note says how it was read.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from segablate.checkpoints.narrowing import in_float32
from segablate.errors import CheckpointError, counted, shorten
from segablate.labels import IGNORE, WIDE_IGNORE
from segablate.samples import ScoreKind

KINDS: tuple[ScoreKind, ...] = ("softmax", "sigmoid", "probabilities")
"""The kinds of scores."""

_STRIDES = (2, 4, 8, 16, 32)


@dataclass
class Range:
    """Whether a logit of a network has been outside 0..1."""

    outside: bool = False


EXPECTED = "expected a tensor N x classes x height x width"


def read_output(
    output: Any,
    images: torch.Size,
    kind: str,
    head: str | None = None,
    classes: int | None = None,
    known: Range | None = None,
) -> tuple[Tensor, tuple[str, ...]]:
    """Convert the output for images of shape N, 3, H, W to float32 scores or label maps, with notes.

    `kind`: the kind of output stated; `head`: the name or place of one of several outputs; `classes`: their number, or
    None; `known`: the range of earlier outputs of the network, to which this one adds. Raises CheckpointError where
    there is no such output, and where it is not of the kind stated.
    """
    chosen, of_many = choose_scores(output, head)
    chosen = chosen if torch.is_grad_enabled() else chosen.detach()
    arranged, of_layout = channels_first(_four_axes(chosen, images[0]), (images[2], images[3]), classes)
    if kind == "labels" or not arranged.is_floating_point():
        inside = "" if kind == "labels" else "the network returns label maps, not scores: its argmax is inside"
        return _label_maps(arranged), tuple(filter(None, (of_many, of_layout, inside)))
    scores = in_float32(arranged)
    return scores, tuple(filter(None, (of_many, of_layout, _note_on_range(scores, kind, known or Range()))))


def choose_scores(output: Any, head: str | None = None) -> tuple[Tensor, str]:
    """Choose one tensor of an output, and return it with a note on the others.

    Of a dictionary: "out", "logits", or its only map; of a list: the first. `head` is a name, or a place from 0. Raises
    CheckpointError when there is no such tensor.
    """
    heads = _heads(output)
    if heads is None:
        if head is not None:
            raise CheckpointError(f"the network has a single output, not a head {head!r}; leave out --head")
        return _tensor(output), ""
    if head is not None:
        return _tensor(heads[chosen_head(list(heads), head)]), ""
    if isinstance(output, list | tuple):
        return _tensor(next(iter(heads.values()), None)), _note_on_heads(heads)
    maps = [name for name, value in heads.items() if isinstance(value, Tensor) and value.ndim >= 3]
    names = [name for name in ("out", "logits") if name in heads] or (maps if len(maps) == 1 else [])
    if not names:
        raise CheckpointError(
            f"the network returns a dictionary with {', '.join(heads)}, not out or logits; choose one with --head"
        )
    return _tensor(heads[names[0]]), ""


def chosen_head(heads: list[str], head: str) -> str:
    """Return the name of the head given by name, or by place from 0. Raises CheckpointError when there is none."""
    if head in heads:
        return head
    if head.removeprefix("-").isdigit() and -len(heads) <= int(head) < len(heads):
        return heads[int(head)]
    raise CheckpointError(f"the network has no head {head!r}; available: {shorten(heads, 12)}")


def channels_first(
    output: Tensor, size: tuple[int, int], classes: int | None = None, usually_last: bool = False
) -> tuple[Tensor, str]:
    """Return an output N, K, h, w or N, h, w, K as N, K, h, w, with a note where both orders are possible.

    Height and width are the axes that match those of the images, `size`, best. Where both orders match, the number of
    classes decides if it is known, and then `usually_last`.
    """
    n, one, two, three = output.shape
    first, last = _fit((two, three), size), _fit((one, two), size)
    if first and last and classes is not None and (one == classes) != (three == classes):
        first, last = int(one == classes), int(three == classes)
    turned = last > first or (last == first > 0 and usually_last)
    order = "last" if turned else "first"
    note = (
        f"the network's output {n}x{one}x{two}x{three} could have its channels first or last, and was read as channels "
        f"{order}; state the classes in a card to decide"
        if first == last > 0
        else ""
    )
    return output.permute(0, 3, 1, 2) if turned else output, note


def two_channels(scores: Tensor, kind: ScoreKind) -> tuple[Tensor, ScoreKind]:
    """Expand one channel to two classes, log σ(−z), log σ(z) or 1 − p, p, and return the kind of these scores.

    The softmax of the two logits is σ(−z), σ(z).
    """
    if scores.shape[1] != 1:
        return scores, kind
    if kind == "probabilities":
        return torch.cat([1 - scores, scores], dim=1), kind
    return torch.cat([functional.logsigmoid(-scores), functional.logsigmoid(scores)], dim=1), "softmax"


def _heads(output: Any) -> dict[str, Any] | None:
    """Return the outputs by name or by place, or None for a single output."""
    if isinstance(output, Mapping):
        return {str(name): value for name, value in output.items()}
    if isinstance(output, list | tuple):
        return {str(place): value for place, value in enumerate(output)}
    return {"logits": output.logits} if hasattr(output, "logits") else None


def _tensor(chosen: Any) -> Tensor:
    if not isinstance(chosen, Tensor) or chosen.ndim not in (3, 4):
        form = tuple(chosen.shape) if isinstance(chosen, Tensor) else type(chosen).__name__
        raise CheckpointError(f"the network returns {form}; {EXPECTED}")
    odd = "a complex tensor" if chosen.is_complex() else "a tensor without values" if chosen.is_meta else ""
    odd = odd or ("a sparse tensor" if chosen.layout != torch.strided else "")
    if odd:
        raise CheckpointError(f"the network returns {odd}; expected a dense one of floats, or integers")
    return chosen


def _note_on_heads(heads: Mapping[str, Any]) -> str:
    if len(heads) < 2:
        return ""
    forms = [
        f"{name}: {'x'.join(map(str, value.shape)) if isinstance(value, Tensor) else type(value).__name__}"
        for name, value in heads.items()
    ]
    return (
        f"the network returns {counted(len(heads), 'output')} ({shorten(forms, 4)}); the first is used; choose "
        f"another with --head"
    )


def _four_axes(output: Tensor, images: int) -> Tensor:
    """Return an output N, H, W with an axis for its one channel. CheckpointError for another N, and without pixels."""
    if len(output) != images or not output.numel():
        raise CheckpointError(f"the network returns {tuple(output.shape)} for a batch of {images}; {EXPECTED}")
    return output if output.ndim == 4 else output[:, None]


def _fit(sides: tuple[int, int], size: tuple[int, int]) -> int:
    """Rate how well an output's sides match those of the images.

    Returns 3 for the same sides, 2 at a stride that networks have, 1 for the same proportions within a pixel, else 0.
    """
    (high, wide), (height, width) = sides, size
    if sides == size:
        return 3
    down = ((height // stride, width // stride) for stride in _STRIDES)
    up = ((-(-height // stride), -(-width // stride)) for stride in _STRIDES)
    if sides in (*down, *up):
        return 2
    return int(abs(high * width - wide * height) <= max(height, width))


def _label_maps(output: Tensor) -> Tensor:
    """Return class indices N, 1, h, w, with 255 for values that are none; int32 with 65535 where there are more."""
    if output.shape[1] != 1:
        what = "scores" if output.is_floating_point() else f"integers ({str(output.dtype).removeprefix('torch.')})"
        raise CheckpointError(
            f"the network returns {what} of {counted(output.shape[1], 'channel')}, which is not a label map"
        )
    if output.is_floating_point() and not bool((output == output.round()).all()):
        raise CheckpointError("the network returns numbers that are not whole; a label map has class indices")
    indices = output.long()
    within = (indices >= 0) & (indices < WIDE_IGNORE)
    if bool((within & (indices >= IGNORE)).any()):
        return indices.where(within, WIDE_IGNORE).int()
    return indices.where(within, IGNORE).to(torch.uint8)


def _note_on_range(scores: Tensor, kind: str, known: Range) -> str:
    """Return a note on logits that look like probabilities. Raises CheckpointError for probabilities outside 0..1."""
    if kind != "probabilities" and known.outside:
        return ""  # without a look at the values, for which the host would wait for a GPU
    corner = scores[..., 0, 0]
    if kind != "probabilities" and bool(((corner < 0) | (corner > 1)).any()):
        known.outside = True
        return ""  # as nearly always, at the price of one pixel
    low, high = (float(value) for value in (scores.detach().min(), scores.detach().max()))
    if kind == "probabilities" and (low < -1e-3 or high > 1 + 1e-3):
        raise CheckpointError(
            f"the output is stated to be probabilities, but its values are {low:.3g} to {high:.3g}; "
            f"pass --output softmax or --output sigmoid"
        )
    known.outside = low < 0 or high > 1
    if kind == "probabilities" or not 0 <= low < high <= 1:
        return ""
    return (
        f"all values of the network are in 0..1, but were read as {kind} logits; if they are probabilities, pass "
        f"--output probabilities"
    )
