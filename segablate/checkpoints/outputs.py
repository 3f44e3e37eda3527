"""What networks return, in the forms that are out there, brought into two: scores N, K, h, w and label maps N, 1, h, w.

Several heads, lists of scales, channels last, one channel without its axis, an argmax inside the network. What was read
into an output, where it could have been meant otherwise, is said in a note.
"""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from segablate.errors import CheckpointError, shorten
from segablate.labels import IGNORE
from segablate.samples import ScoreKind

KINDS: tuple[ScoreKind, ...] = ("softmax", "sigmoid", "probabilities")
"""What scores can be."""

_STRIDES = (2, 4, 8, 16, 32)

EXPECTED = "expected a tensor N x classes x height x width"


def read_output(
    output: Any, images: torch.Size, kind: str, head: str | None = None, classes: int | None = None
) -> tuple[Tensor, tuple[str, ...]]:
    """What a network returned for images of shape N, 3, H, W: scores float32, or label maps uint8, and notes on it.

    `kind`: what it is said to give; `head`: which of several outputs; `classes`: how many there are, where known.
    Raises CheckpointError where there is no such output, and where it is not what it is said to be.
    """
    chosen, of_many = choose_scores(output, head)
    arranged, of_layout = channels_first(_four_axes(chosen, images[0]), (images[2], images[3]), classes)
    if kind == "labels" or not arranged.is_floating_point():
        inside = "" if kind == "labels" else "the network gives label maps, not scores: its argmax is inside"
        return _label_maps(arranged), tuple(filter(None, (of_many, of_layout, inside)))
    scores = arranged.float()
    return scores, tuple(filter(None, (of_many, of_layout, _note_on_range(scores, kind))))


def choose_scores(output: Any, head: str | None = None) -> tuple[Tensor, str]:
    """The tensor in what a network returned, and a note where others lie beside it; CheckpointError when there is none.

    Of a dictionary "out" or "logits", or its one map; of a list the first. `head` is a name, or a place from 0.
    """
    heads = _heads(output)
    if heads is None:
        if head is not None:
            raise CheckpointError(f"the network has one output, and no head {head!r}; leave out --head")
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
    """The name of a head that is given by name, or by place from 0; CheckpointError when there is no such head."""
    if head in heads:
        return head
    if head.removeprefix("-").isdigit() and -len(heads) <= int(head) < len(heads):
        return heads[int(head)]
    raise CheckpointError(f"the network has no head {head!r}; there is {shorten(heads, 12)}")


def channels_first(
    output: Tensor, size: tuple[int, int], classes: int | None = None, usually_last: bool = False
) -> tuple[Tensor, str]:
    """N, K, h, w of an output in this order or N, h, w, K, and a note where both are possible.

    Height and width are the axes that go best with those of the images, `size`; where both orders could be, the number
    of classes tells, where it is known, and where both go equally well, `usually_last`.
    """
    n, one, two, three = output.shape
    first, last = _fit((two, three), size), _fit((one, two), size)
    if first and last and classes is not None and (one == classes) != (three == classes):
        first, last = int(one == classes), int(three == classes)
    turned = last > first or (last == first > 0 and usually_last)
    order = "last" if turned else "first"
    note = (
        f"the network's output {n}x{one}x{two}x{three} could have its channels first or last, and was read as channels "
        f"{order}; a card that states the classes settles it"
        if first == last > 0
        else ""
    )
    return output.permute(0, 3, 1, 2) if turned else output, note


def two_channels(scores: Tensor, kind: ScoreKind) -> tuple[Tensor, ScoreKind]:
    """One channel for two classes becomes both: log σ(−z), log σ(z), or 1 − p, p; and what the scores are then.

    Of these two logits the softmax is σ(−z), σ(z), whatever the one was meant for.
    """
    if scores.shape[1] != 1:
        return scores, kind
    if kind == "probabilities":
        return torch.cat([1 - scores, scores], dim=1), kind
    return torch.cat([functional.logsigmoid(-scores), functional.logsigmoid(scores)], dim=1), "softmax"


def _heads(output: Any) -> dict[str, Any] | None:
    """What a network returned by name, or by place; None for what is not several."""
    if isinstance(output, Mapping):
        return {str(name): value for name, value in output.items()}
    if isinstance(output, list | tuple):
        return {str(place): value for place, value in enumerate(output)}
    return {"logits": output.logits} if hasattr(output, "logits") else None


def _tensor(chosen: Any) -> Tensor:
    if not isinstance(chosen, Tensor) or chosen.ndim not in (3, 4):
        form = tuple(chosen.shape) if isinstance(chosen, Tensor) else type(chosen).__name__
        raise CheckpointError(f"the network returns {form}; {EXPECTED}")
    return chosen


def _note_on_heads(heads: Mapping[str, Any]) -> str:
    if len(heads) < 2:
        return ""
    forms = [
        f"{name}: {'x'.join(map(str, value.shape)) if isinstance(value, Tensor) else type(value).__name__}"
        for name, value in heads.items()
    ]
    return f"the network returns {len(heads)} outputs ({shorten(forms, 4)}); the first is taken, --head takes another"


def _four_axes(output: Tensor, images: int) -> Tensor:
    """N, H, W, of one channel, with an axis for it."""
    if output.ndim == 4:
        return output
    if len(output) != images:
        raise CheckpointError(f"the network returns {tuple(output.shape)} for a batch of {images}; {EXPECTED}")
    return output[:, None]


def _fit(sides: tuple[int, int], size: tuple[int, int]) -> int:
    """How well sides go with those of the images.

    3 where they are the same, 2 at the strides that networks have, 1 in proportion but for a pixel, else 0.
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
    """N, 1, h, w uint8 of class indices; what is none is 255."""
    if output.shape[1] != 1:
        what = "scores" if output.is_floating_point() else f"integers ({str(output.dtype).removeprefix('torch.')})"
        raise CheckpointError(f"the network returns {what} of {output.shape[1]} channels, which are no label maps")
    if output.is_floating_point() and not bool((output == output.round()).all()):
        raise CheckpointError("the network returns numbers that are not whole, which are no label maps")
    indices = output.long()
    return torch.where((indices >= 0) & (indices < IGNORE), indices, IGNORE).to(torch.uint8)


def _note_on_range(scores: Tensor, kind: str) -> str:
    """A note on scores that look like probabilities; CheckpointError for probabilities that are none."""
    low, high = (float(value) for value in scores.aminmax())
    if kind == "probabilities" and (low < -1e-3 or high > 1 + 1e-3):
        raise CheckpointError(
            f"the network is said to give probabilities, but its values are {low:.3g} to {high:.3g}; "
            f"pass --output softmax or --output sigmoid"
        )
    if kind == "probabilities" or not 0 <= low < high <= 1:
        return ""
    return (
        f"all values of the network lie in 0..1, but were read as {kind} logits; if they are probabilities, pass "
        f"--output probabilities"
    )
