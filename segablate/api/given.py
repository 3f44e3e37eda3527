"""The checkpoint and the dataset of a caller: a specification, a module or function; a dataset or pairs."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor, nn

from segablate.api.kept import as_label_set
from segablate.api.options import as_images, as_loading, stated_preprocessing
from segablate.api.pairs import Pairs
from segablate.checkpoints import Loading, Segmenter, Source, open_checkpoint
from segablate.checkpoints.assumptions import Settled, settle, stated_by_code
from segablate.checkpoints.inference import Inference
from segablate.checkpoints.network import Network
from segablate.checkpoints.outputs import KINDS
from segablate.checkpoints.preprocessing import Preprocessing
from segablate.checkpoints.segmenter import described_output
from segablate.datasets import Dataset, open_dataset
from segablate.datasets.merging import merge_classes
from segablate.errors import CheckpointError, UsageError
from segablate.images.pictures import LabelSize
from segablate.labels import LabelSet
from segablate.runtime import describe, resolve_device

Checkpoint = "str | Path | nn.Module | Callable[[Tensor], Any]"


@dataclass(frozen=True)
class AsGiven(Preprocessing):
    """No preprocessing: images are floating point tensors as the network takes them."""

    def __call__(self, images: Tensor) -> Tensor:
        """Convert N, H, W, C to N, C, H, W."""
        return images.permute(0, 3, 1, 2).contiguous()

    def __str__(self) -> str:
        return "none: the images are as the network takes them"


class Called(nn.Module):
    """A function from images N, C, H, W to scores, as a module without parameters."""

    def __init__(self, function: Callable[[Tensor], Any]) -> None:
        super().__init__()
        self.function = function

    def forward(self, images: Tensor) -> Any:
        """Call the function."""
        return self.function(images)


@contextmanager
def opened(checkpoint: Any, options: Mapping[str, Any], data: "Dataset | Pairs") -> Iterator[Segmenter]:
    """Yield the segmenter of a specification, a module or a function; a module is as it was afterwards.

    Raises TypeError for anything else and for an unknown option, and as :func:`open_checkpoint`.
    """
    loading = as_loading(options)
    if isinstance(checkpoint, str | Path):
        if isinstance(data, Pairs) and data.floating:
            raise UsageError(
                f"the images are floating point, but {checkpoint} preprocesses pixels of 0..255 itself; give images as "
                "uint8, or the module in place of its file"
            )
        yield open_checkpoint(str(checkpoint), loading)
        return
    if not callable(checkpoint):
        raise TypeError(f"checkpoint must be a specification, a module or a function, not {type(checkpoint).__name__}")
    module = checkpoint if isinstance(checkpoint, nn.Module) else Called(checkpoint)
    with _evaluating(module):
        yield _network(checkpoint, module, options, data)


def as_dataset(
    given: Any,
    *,
    split: str | None = None,
    limit: int | None = None,
    images: str | Path | Iterable[str] | None = None,
    label_size: "LabelSize | None" = None,
    classes: "int | Sequence[str] | LabelSet | str | Path | Mapping[str, Any] | None" = None,
    ignore_index: "int | Literal['default'] | None" = "default",
) -> "Dataset | Pairs":
    """Return the dataset of a specification with its options, or the pairs of an iterable with their classes.

    Raises UsageError for options that do not apply, and as :func:`open_dataset`.
    """
    if isinstance(given, Dataset | str | Path):
        dataset = given if isinstance(given, Dataset) else open_dataset(str(given), split)
        dataset = dataset.meeting_at(label_size)
        if classes is not None:
            if not isinstance(classes, str | Path):
                raise UsageError("classes of a dataset are its own; give a YAML file that merges or renames them")
            dataset = merge_classes(dataset, Path(classes))
        chosen = as_images(images)
        dataset = dataset if chosen is None else dataset.only(*chosen)
        return dataset if limit is None else dataset.evenly(limit)
    for name, value in (("split", split), ("images", images), ("label_size", label_size)):
        if value is not None:
            raise UsageError(f"{name} is of a dataset given by its specification; leave it out with pairs")
    if not isinstance(given, Iterable):
        raise TypeError(f"dataset must be a specification or an iterable of pairs, not {type(given).__name__}")
    if classes is None or isinstance(classes, Path | Mapping):
        raise UsageError("pairs of images and labels need classes: their number, their names, or a LabelSet")
    labels = as_label_set(classes)
    return Pairs.of(given, labels, labels.ignore if ignore_index == "default" else ignore_index, limit)


def name_of(checkpoint: Any) -> str:
    """Return the name of a checkpoint for the head of a table."""
    if isinstance(checkpoint, str | Path):
        return str(checkpoint)
    return getattr(checkpoint, "__name__", None) or type(checkpoint).__name__


def default_dataset(checkpoint: Any, dataset: Any) -> Any:
    """Return the dataset, or the sample data for a sample checkpoint. UsageError where none is given."""
    if dataset is not None:
        return dataset
    if isinstance(checkpoint, str) and checkpoint.startswith("sample:"):
        return "sample"
    raise UsageError(f"no dataset given for {name_of(checkpoint)}; give LAYOUT:DIRECTORY or pairs of images and labels")


def _network(checkpoint: Any, module: nn.Module, options: Mapping[str, Any], data: "Dataset | Pairs") -> Network:
    """Return the network of a module, which stays on its device."""
    loading = as_loading(options)
    kind = loading.output or "softmax"
    if kind not in (*KINDS, "labels"):
        raise CheckpointError(f"output is {kind!r}, but must be softmax, sigmoid, probabilities or labels")
    floating = isinstance(data, Pairs) and data.floating
    if floating and (stated := stated_preprocessing(options)):
        raise UsageError(f"{stated[0]} preprocesses pixels of 0..255, but the images are floating point; leave it out")
    settled = Settled(AsGiven()) if floating else _settled(module, loading)
    inference = Inference.parse(loading.passes())
    device = _device(module, loading.device)
    facts = {
        "preprocessing": str(settled.preprocessing),
        "output": described_output(kind, loading),
        "inference": inference.describe(kind),
        "device": f"{describe(device)}, {loading.precision}",
    }
    source = Source(name_of(checkpoint), facts=facts, notes=(settled.note,) if settled.note else ())
    return Network(
        module,
        settled.preprocessing,
        source,
        kind,  # type: ignore[arg-type]
        None,
        loading.class_map,
        loading.head,
        inference,
        device,
        loading.precision,
        assumed=settled.assumed,
        threshold=loading.checked_threshold(),
    )


def _settled(module: nn.Module, loading: Loading) -> Settled:
    """Return the preprocessing that the module states, or what is assumed, with that of the options."""
    stated = stated_by_code(module)
    start = Preprocessing.parse(stated or {})
    if stated is None:
        return settle(start, loading.preprocessing, module)
    return Settled(Preprocessing.parse(loading.preprocessing, start))


def _device(module: nn.Module, asked: str) -> torch.device:
    """Return the device of a module's parameters; of a function the one asked for, else the CPU."""
    found = next((each.device for each in module.parameters()), None)
    if found is None:
        return torch.device("cpu") if asked == "auto" else resolve_device(asked)
    if asked != "auto" and resolve_device(asked).type != found.type:
        raise UsageError(f"device is {asked!r}, but the module is on {found}; move it there, or leave out device")
    return found


@contextmanager
def _evaluating(module: nn.Module) -> Iterator[None]:
    """Put a module in evaluation mode, and back."""
    training = [part for part in module.modules() if part.training]
    module.eval()
    try:
        yield
    finally:
        for part in training:
            part.training = True
