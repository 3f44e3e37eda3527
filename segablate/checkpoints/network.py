"""A torch network as a segmenter: preprocessing, forward pass, and logits at the size of the labels."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from segablate.checkpoints.inference import Inference
from segablate.checkpoints.preprocessing import Preprocessing
from segablate.checkpoints.segmenter import Loading, OnError, Source
from segablate.datasets.dataset import Dataset
from segablate.errors import CheckpointError, DeviceError, thousands
from segablate.runtime import Precision, autocast, describe, exact_arithmetic, resolve_device
from segablate.samples import Batch, Kind, Output

KINDS: tuple[Kind, ...] = ("softmax", "sigmoid", "probabilities")


@dataclass(frozen=True)
class Network:
    """A network with all that is needed to run it on images.

    - `module`: gives N, K, h, w for N, 3, H, W: a tensor, a dictionary with "out" or "logits", or a list whose first
      entry is taken.
    - `kind`: what it gives; one output channel is read as the score of the second of two classes.
    - `inference`: windows and flips.
    """

    module: nn.Module
    preprocessing: Preprocessing
    source: Source
    kind: Kind = "softmax"
    classes: tuple[str, ...] | None = None
    class_map: Mapping[str, str | None] | None = None
    inference: Inference = field(default_factory=Inference)
    device: torch.device = field(default_factory=lambda: torch.device("cpu"))
    precision: Precision = "fp32"
    keep_features: bool = False
    on_host: bool = False
    needs_images: bool = True

    def __post_init__(self) -> None:
        """Raises CheckpointError where features are asked for that would be those of one window."""
        if self.keep_features and not self.inference.plain:
            raise CheckpointError("features are those of one pass over the whole image; leave out --window and --flip")

    def for_dataset(self, dataset: Dataset, on_error: OnError) -> "Network":
        """A network runs on any images."""
        return self

    @torch.inference_mode()
    def __call__(self, batch: Batch) -> Output:
        """Scores N, K, H, W float32 on the device. Raises CheckpointError when the network fails on the images."""
        images = torch.from_numpy(batch.images).to(self.device)
        # On the CPU one image at a time: a batch saves nothing there, and may round differently.
        parts = images.split(1) if self.device.type == "cpu" else (images,)
        try:
            outputs = [self._forward(part) for part in parts]
            features = [output.features for output in outputs if output.features is not None]
            scores = _joined([output.scores for output in outputs if output.scores is not None])
            return Output(outputs[0].kind, scores, features=_joined(features) if features else None)
        except torch.OutOfMemoryError:
            raise DeviceError(
                f"{self.device} has not enough memory for {len(images)} images of "
                f"{images.shape[2]}x{images.shape[1]}; use a smaller --batch-size, or --window"
            ) from None

    def _forward(self, images: Tensor) -> Output:
        """Scores at the size of the images, and the features where they are kept, of N, H, W, 3 uint8 images."""
        size = (images.shape[1], images.shape[2])
        pixels = self.preprocessing(images)
        unpadded = self.preprocessing.unpadded(size)
        with autocast(self.device, self.precision), _LastConvolution(self.module, self.keep_features) as features:
            scores = self.inference(self._run, pixels, unpadded)
        scores, kind = two_channels(scores, self.kind)
        if scores.shape[-2:] != size:
            scores = functional.interpolate(scores, size, mode="bilinear", align_corners=False)
        kept = features.inputs
        return Output(kind, scores, features=None if kept is None else _cut(kept.float(), pixels.shape[-2:], unpadded))

    def _run(self, pixels: Tensor) -> Tensor:
        """The module's scores, at its resolution. The module is not ours: whatever it raises is the user's to see."""
        try:
            output = self.module(pixels)
        except torch.OutOfMemoryError:
            raise
        except Exception as error:
            raise CheckpointError(_failure(self.source.spec, pixels, error)) from error
        return choose_scores(output).float()


def prepared(
    module: nn.Module,
    source: Source,
    loading: Loading,
    preprocessing: Preprocessing = Preprocessing(),  # noqa: B008, a frozen value
    kind: str = "softmax",
    classes: tuple[str, ...] | None = None,
) -> Network:
    """The module on its device, in evaluation mode: what the checkpoint says of itself, overridden by `loading`."""
    device = resolve_device(loading.device)
    exact_arithmetic(device)
    autocast(device, loading.precision)  # an impossible precision is refused before anything runs
    kind = loading.output or kind
    if kind not in KINDS:
        raise CheckpointError(f"output is {kind!r}, but must be softmax, sigmoid or probabilities")
    preprocessing = Preprocessing.parse(loading.preprocessing, preprocessing)
    inference = Inference.parse({"window": loading.window, "stride": loading.stride, "flip": loading.flip})
    facts = {
        **source.facts,
        "parameters": thousands(sum(parameter.numel() for parameter in module.parameters())),
        "preprocessing": str(preprocessing),
        "output": kind,
        "inference": inference.describe(kind),
        "device": f"{describe(device)}, {loading.precision}",
    }
    for parameter in module.parameters():  # one by one: a TorchScript module has no requires_grad_
        parameter.requires_grad_(False)
    return Network(
        module.to(device).eval(),
        preprocessing,
        replace(source, facts=facts),
        kind,
        loading.classes or classes,
        loading.class_map,
        inference,
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


def two_channels(scores: Tensor, kind: Kind) -> tuple[Tensor, Kind]:
    """One channel for two classes becomes both: log σ(−z), log σ(z), or 1 − p, p; and what the scores are then.

    Of these two logits the softmax is σ(−z), σ(z), whatever the one was meant for.
    """
    if scores.shape[1] != 1:
        return scores, kind
    if kind == "probabilities":
        return torch.cat([1 - scores, scores], dim=1), kind
    return torch.cat([functional.logsigmoid(-scores), functional.logsigmoid(scores)], dim=1), "softmax"


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


def _joined(parts: list[Tensor]) -> Tensor:
    """Along the batch; a single part is not copied."""
    return parts[0] if len(parts) == 1 else torch.cat(parts)


def _failure(spec: str, pixels: Tensor, error: Exception) -> str:
    reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
    remedy = (
        "; if its sides must divide by 32, pass --pad-to-multiple 32"
        if "size" in reason.lower() or "shape" in reason.lower()
        else ""
    )
    return f"{spec} fails on images of {pixels.shape[3]}x{pixels.shape[2]}: {reason}{remedy}"
