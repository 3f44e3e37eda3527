"""A torch network as a segmenter: preprocessing, forward pass, and logits at the size of the labels."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from segablate.checkpoints.preprocessing import Preprocessing
from segablate.checkpoints.segmenter import Loading, Source
from segablate.errors import CheckpointError, DeviceError
from segablate.runtime import Precision, autocast, describe, exact_arithmetic, resolve_device
from segablate.samples import Batch, Kind, Output

KINDS: tuple[Kind, ...] = ("softmax", "sigmoid", "probabilities")


@dataclass(frozen=True)
class Network:
    """A network with all that is needed to run it on images.

    - `module`: gives N, K, h, w for N, 3, H, W: a tensor, a dictionary with "out" or "logits", or a list whose first
      entry is taken.
    - `kind`: what it gives; one output channel is read as the score of the second of two classes.
    """

    module: nn.Module
    preprocessing: Preprocessing
    source: Source
    kind: Kind = "softmax"
    classes: tuple[str, ...] | None = None
    class_map: Mapping[str, str | None] | None = None
    device: torch.device = field(default_factory=lambda: torch.device("cpu"))
    precision: Precision = "fp32"
    keep_features: bool = False
    on_host: bool = False

    @torch.inference_mode()
    def __call__(self, batch: Batch) -> Output:
        """Scores N, K, H, W float32 on the device. Raises CheckpointError when the network fails on the images."""
        images = torch.from_numpy(batch.images).to(self.device)
        try:
            # On the CPU one image at a time: a batch saves nothing there, and may round differently.
            parts = images.split(1) if self.device.type == "cpu" else (images,)
            outputs = [self._forward(part) for part in parts]
        except torch.OutOfMemoryError:
            raise DeviceError(
                f"{self.device} has not enough memory for {len(images)} images of {_size(images)}; "
                f"use a smaller --batch-size, or --window"
            ) from None
        except RuntimeError as error:
            raise CheckpointError(_failure(self.source.spec, images, error)) from error
        scores = torch.cat([scores for scores, _ in outputs])
        features = [features for _, features in outputs if features is not None]
        return Output(self.kind, scores, features=torch.cat(features) if features else None)

    def _forward(self, images: Tensor) -> tuple[Tensor, Tensor | None]:
        """Scores at the size of the images, and the features where they are kept, of N, H, W, 3 uint8 images."""
        size = (images.shape[1], images.shape[2])
        pixels = self.preprocessing(images)
        with autocast(self.device, self.precision), _LastConvolution(self.module, self.keep_features) as features:
            output = self.module(pixels)
        scores = _two_channels(choose_scores(output).float(), self.kind)
        unpadded = self.preprocessing.unpadded(size)
        scores = _cut(scores, pixels.shape[-2:], unpadded)
        if scores.shape[-2:] != size:
            scores = functional.interpolate(scores, size, mode="bilinear", align_corners=False)
        kept = features.inputs
        return scores, None if kept is None else _cut(kept.float(), pixels.shape[-2:], unpadded)


def prepared(
    module: nn.Module, source: Source, preprocessing: Preprocessing, kind: str, loading: Loading, **names: Any
) -> Network:
    """The module on its device, in evaluation mode, with the overrides of `loading`; `names`: classes, class_map."""
    device = resolve_device(loading.device)
    exact_arithmetic(device)
    autocast(device, loading.precision)  # an impossible precision is refused before anything runs
    kind = loading.output or kind
    if kind not in KINDS:
        raise CheckpointError(f"output is {kind!r}, but must be softmax, sigmoid or probabilities")
    preprocessing = Preprocessing.parse(loading.preprocessing, preprocessing)
    parameters = sum(parameter.numel() for parameter in module.parameters())
    facts = {
        **source.facts,
        "parameters": f"{parameters:,}".replace(",", " "),
        "preprocessing": str(preprocessing),
        "output": kind,
        "device": f"{describe(device)}, {loading.precision}",
    }
    return Network(
        module.to(device).eval().requires_grad_(False),
        preprocessing,
        replace(source, facts=facts),
        kind,
        loading.classes or names.get("classes"),
        loading.class_map or names.get("class_map"),
        device,
        loading.precision,
    )


def choose_scores(output: Any) -> Tensor:
    """The N, K, h, w tensor in what a network returned; CheckpointError when there is none."""
    chosen = output
    if isinstance(chosen, Mapping):
        named = [chosen[key] for key in ("out", "logits") if key in chosen]
        if not named:
            raise CheckpointError(
                f"the network returns a dictionary with {', '.join(map(str, chosen))}, not out or logits"
            )
        chosen = named[0]
    elif isinstance(chosen, list | tuple):
        chosen = chosen[0] if len(chosen) else None
    elif hasattr(chosen, "logits"):
        chosen = chosen.logits
    if not isinstance(chosen, Tensor) or chosen.ndim != 4:
        form = tuple(chosen.shape) if isinstance(chosen, Tensor) else type(chosen).__name__
        raise CheckpointError(f"the network returns {form}; expected a tensor N x classes x height x width")
    return chosen


def _two_channels(scores: Tensor, kind: Kind) -> Tensor:
    """One channel for two classes becomes both: log σ(−z), log σ(z), or 1 − p, p."""
    if scores.shape[1] != 1:
        return scores
    if kind == "probabilities":
        return torch.cat([1 - scores, scores], dim=1)
    return torch.cat([functional.logsigmoid(-scores), functional.logsigmoid(scores)], dim=1)


def _cut(scores: Tensor, padded: tuple[int, ...], unpadded: tuple[int, int]) -> Tensor:
    """Cut what belongs to padding off scores at any resolution."""
    if tuple(padded) == unpadded:
        return scores
    height, width = (
        round(side * inner / outer) for side, inner, outer in zip(scores.shape[-2:], unpadded, padded, strict=True)
    )
    return scores[..., : max(height, 1), : max(width, 1)]


class _LastConvolution:
    """While active, remembers the input of the convolution that ran last: the features before the classifier."""

    def __init__(self, module: nn.Module, active: bool) -> None:
        kinds = (nn.Conv2d, nn.ConvTranspose2d)
        self.inputs: Tensor | None = None
        self._convolutions = [part for part in module.modules() if isinstance(part, kinds)] if active else []
        self._hooks: list[Any] = []

    def __enter__(self) -> "_LastConvolution":
        self._hooks = [part.register_forward_pre_hook(self._remember) for part in self._convolutions]
        return self

    def __exit__(self, *error: object) -> None:
        for hook in self._hooks:
            hook.remove()

    def _remember(self, module: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        self.inputs = inputs[0]


def _size(images: Tensor) -> str:
    return f"{images.shape[2]}x{images.shape[1]}"


def _failure(spec: str, images: Tensor, error: RuntimeError) -> str:
    reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
    remedy = (
        "; if its sides must divide by 32, pass --pad-to-multiple 32"
        if "size" in reason.lower() or "shape" in reason.lower()
        else ""
    )
    return f"{spec} fails on images of {_size(images)}: {reason}{remedy}"
