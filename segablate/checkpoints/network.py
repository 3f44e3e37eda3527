"""The segmenter of a torch network: preprocessing, forward pass, and logits at the size of the labels."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from itertools import chain
from typing import Literal

import torch
from torch import Tensor, nn

from segablate.checkpoints.assumptions import Settled, settle
from segablate.checkpoints.channels import bands_of
from segablate.checkpoints.inference import Inference, at_size
from segablate.checkpoints.input_channels import fit_channels, wrong_channels
from segablate.checkpoints.last_convolution import CONVOLUTIONS, LastConvolution
from segablate.checkpoints.output_sizes import cut, inner, unresized, within
from segablate.checkpoints.outputs import KINDS, Range, read_output, two_channels
from segablate.checkpoints.preprocessing import Preprocessing
from segablate.checkpoints.segmenter import Capabilities, Loading, OnError, Source, described_output
from segablate.datasets.dataset import Dataset
from segablate.errors import CheckpointError, DeviceError, at, counted, thousands
from segablate.runtime import (
    Precision,
    autocast,
    counting_device,
    describe,
    exact_arithmetic,
    resolve_device,
    to_device,
)
from segablate.samples import Batch, Output, ScoreBands, ScoreKind
from segablate.user_code import exits_raised, own_output
from segablate.weights import Weights
from segablate.weights.classes import Colour, class_colours, class_names


@dataclass(frozen=True)
class Network:
    """A network with all that is needed to run it on images.

    - `module`: maps N, 3, H, W to N, K, h, w, in one of the forms of :mod:`segablate.checkpoints.outputs`.
    - `kind`: the kind of its output; one output channel is read as the score of the second of two classes.
    - `head`: the name or place of one of several outputs.
    - `inference`: windows and flips.
    - `threshold`: the probability above which a pixel is of the second of two classes, or None.
    - `assumed`: whether mean or std of `preprocessing` were assumed, not stated.
    - `colours`: one for each of `classes`, where the weights file has them.
    - `known`: the range of its outputs so far.
    """

    module: nn.Module
    preprocessing: Preprocessing
    source: Source
    kind: ScoreKind | Literal["labels"] = "softmax"
    classes: tuple[str, ...] | None = None
    class_map: Mapping[str, str | None] | None = None
    head: str | None = None
    inference: Inference = field(default_factory=Inference)
    device: torch.device = field(default_factory=lambda: torch.device("cpu"))
    precision: Precision = "fp32"
    keep_features: bool = False
    assumed: bool = False
    threshold: float | None = None
    colours: tuple[Colour, ...] | None = None
    known: Range = field(default_factory=Range, compare=False, repr=False)

    def __post_init__(self) -> None:
        """Raise CheckpointError for features together with windows or flips."""
        if self.keep_features and not self.inference.plain:
            raise CheckpointError("features need one pass over the whole image; leave out --window and --flip")

    @property
    def capabilities(self) -> Capabilities:
        """Features are available in one pass over the whole image of a network with torch convolutions."""
        features = self.inference.plain and any(isinstance(part, CONVOLUTIONS) for part in self.module.modules())
        batches = self.device.type != "cpu"
        device = str(counting_device(self.device))
        bands = max(3, *bands_of(self.preprocessing.channels))
        return Capabilities(
            scores=self.kind != "labels", features=features, device=device, batches=batches, bands=bands
        )

    def for_dataset(self, dataset: Dataset, on_error: OnError) -> "Network":
        """Return the network itself: it runs on any images."""
        return self

    @torch.no_grad()
    def __call__(self, batch: Batch) -> Output:
        """Return scores N, K, H, W float32 on the device, or label maps where the argmax is inside the network.

        Raises CheckpointError when the network fails on the images, and DeviceError when memory runs out.
        """
        images = to_device(batch.images, self.device)
        # On the CPU one image at a time: a batch saves nothing there, and may round differently.
        parts = images.split(1) if self.device.type == "cpu" else (images,)
        size = batch.samples[0].size
        with self._enough_memory(images):
            here = size == (images.shape[1], images.shape[2])
            if here and self.inference.window and self.kind != "labels" and unresized(self.preprocessing, size):
                return self._in_bands(parts)
            return self._output(parts, size)

    @contextmanager
    def _enough_memory(self, images: Tensor) -> Iterator[None]:
        try:
            yield
        except torch.OutOfMemoryError:
            raise DeviceError(
                f"{self.device} has too little memory for {counted(len(images), 'image')} of "
                f"{images.shape[1]}x{images.shape[2]}; use a smaller --batch-size, or --window"
            ) from None

    def scores(self, images: Tensor) -> Tensor:
        """Return N K H W scores, one channel as two, at the size of N H W 3 uint8 images; gradients are kept.

        Raises CheckpointError when the network fails on the images.
        """
        scores, _ = self._forward(images, {})
        return two_channels(scores, self.kind)[0] if scores.is_floating_point() and self.kind != "labels" else scores

    def _output(self, parts: tuple[Tensor, ...], size: tuple[int, int]) -> Output:
        """Run the images in parts and join the outputs, at this size."""
        notes: dict[str, None] = {}
        outputs = [self._forward(part, notes, size) for part in parts]
        scores = _joined([scores for scores, _ in outputs])
        if not scores.is_floating_point():
            if self.threshold is not None:
                raise CheckpointError("threshold needs scores, but the network returns label maps; leave it out")
            return Output("labels", predicted=scores[:, 0].cpu().numpy(), notes=tuple(notes))
        features = [features for _, features in outputs if features is not None]
        kept = _joined(features) if features else None
        assert self.kind != "labels"  # or they would be integers
        one_channel = scores.shape[1] == 1
        scores, kind = two_channels(scores, self.kind)
        return Output(
            kind, scores, features=kept, one_channel=one_channel, notes=tuple(notes), threshold=self.threshold
        )

    def _in_bands(self, parts: tuple[Tensor, ...]) -> Output:
        """Run the images in windows, row by row as the scores are read; the first row of windows now."""
        notes: dict[str, None] = {}
        begun = [self._bands(parts, notes)]
        first = next(begun[0])
        assert self.kind != "labels"
        kind = two_channels(first[..., :1, :1], self.kind)[1]
        waiting = [first]

        def each() -> Iterator[Tensor]:
            bands = chain([waiting.pop()], begun.pop()) if waiting else self._bands(parts, {})
            return (two_channels(band, self.kind)[0] for band in bands)  # type: ignore[arg-type]

        outputs = max(first.shape[1], 2)  # one channel becomes two
        bands = ScoreBands(outputs, first.device, each)
        one = first.shape[1] == 1
        return Output(kind, one_channel=one, notes=tuple(notes), bands=bands, threshold=self.threshold)

    @torch.no_grad()
    def _bands(self, parts: tuple[Tensor, ...], notes: dict[str, None]) -> Iterator[Tensor]:
        """Yield bands of rows of the scores of all images."""
        size = (parts[0].shape[1], parts[0].shape[2])
        runs = [self.inference.bands(partial(self._run, notes), self.preprocessing(part), size) for part in parts]
        with self._enough_memory(parts[0]):
            for bands in zip(*runs, strict=True):
                yield _joined(list(bands)).to(counting_device(self.device))

    def _forward(
        self, images: Tensor, notes: dict[str, None], size: tuple[int, int] | None = None
    ) -> tuple[Tensor, Tensor | None]:
        """Return the output for N, H, W, 3 uint8 images, at their size or this one, and the features if kept."""
        own = (images.shape[1], images.shape[2])
        steps, pixels = self.preprocessing, self.preprocessing(images)
        with LastConvolution(self.module, self.keep_features) as features:
            scores = self.inference(partial(self._run, notes), pixels, inner(steps, pixels, own))
        scores = within(steps, scores, own)
        kept, here = features.inputs, counting_device(self.device)
        scores = at_size(scores.to(here), size or own)
        return scores, None if kept is None else cut(kept.float().to(here), pixels.shape[-2:], steps.unpadded(own))

    def _run(self, notes: dict[str, None], pixels: Tensor) -> Tensor:
        """Return the module's output at its resolution. The module is user code: its errors become CheckpointErrors."""
        try:
            with own_output(), exits_raised(), autocast(self.device, self.precision):
                output = self.module(pixels)
        except torch.OutOfMemoryError:
            raise
        except Exception as error:
            raise CheckpointError(
                _failure(self.source.spec, pixels, error, self.preprocessing.pad_to_multiple, self.module)
            ) from error
        classes = None if self.classes is None else len(self.classes)
        scores, remarks = read_output(output, pixels.shape, self.kind, self.head, classes, self.known)
        notes.update(dict.fromkeys(remarks))
        return scores


def prepared(
    module: nn.Module,
    source: Source,
    loading: Loading,
    preprocessing: Preprocessing = Preprocessing(),  # noqa: B008, a frozen value
    kind: str = "softmax",
    classes: tuple[str, ...] | None = None,
    *,
    assume: str | None = None,
) -> Network:
    """Return the module on its device, in evaluation mode, with the checkpoint's settings overridden by `loading`.

    `assume`: the normalisation to assume where `preprocessing` has no mean and std of the checkpoint, and to say so in
    a note; None where it has them.
    """
    device = resolve_device(loading.device)
    exact_arithmetic(device)
    autocast(device, loading.precision)  # an impossible precision is refused before anything runs
    kind = loading.output or kind
    if kind not in (*KINDS, "labels"):
        raise CheckpointError(f"output is {kind!r}, but must be softmax, sigmoid, probabilities or labels")
    fitted = fit_channels(module, loading.preprocessing, preprocessing)
    if assume is None and not fitted.dropped:
        settled = Settled(Preprocessing.parse(loading.preprocessing, fitted.start))
    else:
        settled = settle(fitted.start, loading.preprocessing, module, assume or "none")
    preprocessing = settled.preprocessing
    with at(source.spec):
        preprocessing.refuse_constants_of_pixels()
    inference = Inference.parse(loading.passes())
    parameters = sum(parameter.numel() for parameter in module.parameters())
    facts = {
        **source.facts,
        **({"parameters": thousands(parameters)} if parameters else {}),  # other runtimes expose none
        "preprocessing": str(preprocessing),
        "output": described_output(kind, loading),
        "inference": inference.describe(kind),
        "device": f"{describe(device)}, {loading.precision}",
    }
    for parameter in module.parameters():  # one by one: a TorchScript module has no requires_grad_
        parameter.requires_grad_(False)
    return Network(
        module.to(device).eval(),
        preprocessing,
        replace(source, facts=facts, notes=(*source.notes, *filter(None, [fitted.note, settled.note]))),
        kind,
        loading.classes or classes,
        loading.class_map,
        loading.head,
        inference,
        device,
        loading.precision,
        assumed=settled.assumed,
        threshold=loading.checked_threshold(),
    )


def with_classes_of(weights: Weights, network: Network) -> Network:
    """Return the network with the class names and colours of the weights file, unless it has names already."""
    names = class_names(weights.extras)
    if network.classes is not None or names is None:
        return network
    colours = class_colours(weights.extras)
    facts = {**network.source.facts, "classes": f"{len(names)}, from the file's meta"}
    return replace(network, classes=names, colours=colours, source=replace(network.source, facts=facts))


def _joined(parts: list[Tensor]) -> Tensor:
    """Join along the batch; a single part is not copied."""
    return parts[0] if len(parts) == 1 else torch.cat(parts)


def _failure(spec: str, pixels: Tensor, error: Exception, multiple: int | None, module: nn.Module) -> str:
    reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
    remedy = wrong_channels(module, pixels.shape[1], str(error))
    if remedy:
        pass
    elif multiple and any(side % multiple for side in pixels.shape[-2:]):
        remedy = f"; the sides of a --window must divide by {multiple} too"
    elif not multiple and "--" not in reason and ("size" in reason.lower() or "shape" in reason.lower()):
        remedy = "; if its sides must divide by 32, pass --pad-to-multiple 32"
    return f"{spec} fails on images of {pixels.shape[2]}x{pixels.shape[3]}: {reason}{remedy}"
