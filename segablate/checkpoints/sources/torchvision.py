"""A segmentation network of torchvision: ``torchvision:MODEL(...)@FILE``.

Takes every network of ``torchvision.models.segmentation``, as in ``torchvision:deeplabv3_resnet50@w.pth`` or
``torchvision:lraspp_mobilenet_v3_large(num_classes=11)@w.pth``. The file is a state dict, see :mod:`segablate.weights`;
where not stated, the number of classes and whether there is an auxiliary head are read off it. Mean and standard
deviation are those of torchvision's preset for the network. Files published by torchvision are recognised by their
SHA-256, which tells their classes.
"""

import inspect
from collections.abc import Mapping
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

from segablate.checkpoints.preprocessing import Preprocessing
from segablate.checkpoints.segmenter import Loading, Segmenter, Source
from segablate.checkpoints.specification import LibraryNetwork, check_names, literal_arguments, parse_network
from segablate.errors import CheckpointError, did_you_mean
from segablate.extras import require
from segablate.files import fingerprint

if TYPE_CHECKING:
    from torch import Tensor

HEADS = ("classifier.4.bias", "classifier.low_classifier.bias")
"""Biases of the last layers of FCN and DeepLabv3, and of LR-ASPP."""

AUXILIARY_HEAD = "aux_classifier.4.bias"

PRETRAINED = ("weights", "weights_backbone")
"""Arguments that make torchvision load its own weights; always None here."""


def open_source(text: str, loading: Loading) -> Segmenter:
    """Build the network and load its weights strictly.

    Raises MissingExtra where torchvision is missing or broken, and CheckpointError for weights that do not fit.
    """
    from segablate.checkpoints.network import prepared
    from segablate.weights import load_weights, read_weights, state_dict

    models = require("torchvision.models", "torchvision", f"torchvision:{text}")
    spec = parse_network("torchvision", text, "deeplabv3_resnet50(num_classes=11)")
    known = models.list_models(module=models.segmentation)
    if spec.name not in known:
        raise CheckpointError(f"torchvision has no segmentation network {spec.name!r}{did_you_mean(spec.name, known)}")
    published = models.get_model_weights(spec.name).DEFAULT
    path = loading.located(spec.weights) if spec.weights else _download(spec, published, loading)
    weights = read_weights(path, key=loading.key)
    tensors = state_dict(weights, strip_prefix=loading.strip_prefix)
    module = _build(models, spec, tensors)
    notes = load_weights(module, weights, loading.strip_prefix)
    preset = published.transforms()
    recognised = path.is_file() and _recognise(path, published)
    arguments = literal_arguments(spec.arguments, spec, f"{spec.name}(num_classes=11)")[1]
    found = {name: value for name, value in _read_off(tensors).items() if value}
    return prepared(
        module,
        Source(
            f"torchvision:{text}",
            weights.files,
            _facts(published, recognised),
            (*notes, *_resizing(preset, loading)),
            _call_text(spec.name, {**found, **arguments}),
            by_files=spec.weights is not None,
        ),
        loading,
        Preprocessing(mean=tuple(preset.mean), std=tuple(preset.std)),
        classes=_classes(published) if recognised else None,
    )


def open_new(text: str, loading: Loading, classes: int) -> Segmenter:
    """Build the network with random weights, for this many classes unless it states their number."""
    from segablate.checkpoints.network import prepared

    models = require("torchvision.models", "torchvision", f"torchvision:{text}")
    spec = parse_network("torchvision", text, "deeplabv3_resnet50(num_classes=11)")
    known = models.list_models(module=models.segmentation)
    if spec.name not in known:
        raise CheckpointError(f"torchvision has no segmentation network {spec.name!r}{did_you_mean(spec.name, known)}")
    _, given = literal_arguments(spec.arguments, spec, f"{spec.name}(num_classes=11)")
    arguments = {"num_classes": classes, **given}
    module = models.get_model(spec.name, **arguments, **dict.fromkeys(PRETRAINED))
    preset = models.get_model_weights(spec.name).DEFAULT.transforms()
    preprocessing = Preprocessing(mean=tuple(preset.mean), std=tuple(preset.std))
    source = Source(f"torchvision:{text}", (), {}, (), _call_text(spec.name, arguments))
    return prepared(module, source, loading, preprocessing)


def _call_text(name: str, arguments: Mapping[str, Any]) -> str:
    return f"torchvision:{name}({', '.join(f'{key}={value!r}' for key, value in arguments.items())})"


def _read_off(tensors: "Mapping[str, Tensor]") -> dict[str, Any]:
    """Return the arguments that a state dict determines."""
    from segablate.weights import count_classes

    return {
        "num_classes": count_classes(tensors, HEADS),
        "aux_loss": any("aux_classifier." in key for key in tensors),
    }


def _build(models: ModuleType, spec: LibraryNetwork, tensors: "Mapping[str, Tensor]") -> Any:
    """Build the network without weights, for the classes and the auxiliary head of the state dict."""
    from segablate.weights import count_classes

    positional, given = literal_arguments(spec.arguments, spec, f"{spec.name}(num_classes=11)")
    known = inspect.signature(models.get_model_builder(spec.name)).parameters
    known = [name for name, parameter in known.items() if parameter.kind is not parameter.VAR_KEYWORD]
    if positional:
        raise CheckpointError(f"{spec}: arguments must be named, as in {spec.name}(num_classes={positional[0]!r})")
    check_names(given, known, spec)
    for name in PRETRAINED:
        if given.get(name) is not None:
            raise CheckpointError(f"{spec}: the weights come from the file; leave out {name}={given[name]!r}")
    read_off = {name: value for name, value in _read_off(tensors).items() if name in known}
    try:
        module = models.get_model(spec.name, **{**read_off, **given, **dict.fromkeys(PRETRAINED)})
    except Exception as error:
        raise CheckpointError(f"{spec} cannot be built: {' '.join(str(error).split())[:200]}") from error
    _fit_auxiliary(module, count_classes(tensors, [AUXILIARY_HEAD]))
    return module


def _fit_auxiliary(module: Any, classes: int | None) -> None:
    """Set the number of classes of the auxiliary head, which takes no part in evaluation.

    Networks with an exchanged classifier often keep the auxiliary head of 21 classes.
    """
    from torch import nn

    head = getattr(module, "aux_classifier", None)
    if head is not None and classes is not None and head[-1].out_channels != classes:
        head[-1] = nn.Conv2d(head[-1].in_channels, classes, 1)


def _download(spec: LibraryNetwork, published: Any, loading: Loading) -> Path:
    """Download torchvision's own weights to torch's cache. Raises CheckpointError unless that is allowed."""
    import torch

    if not loading.allow_download:
        raise CheckpointError(
            f"{spec} has no weights; add @FILE, as in {spec}@weights.pth, or pass --allow-download to download "
            f"torchvision's own {published.name}"
        )
    try:
        published.get_state_dict(check_hash=True)
    except (OSError, RuntimeError) as error:
        raise CheckpointError(f"{published.url} cannot be downloaded: {' '.join(str(error).split())}") from error
    return Path(torch.hub.get_dir(), "checkpoints", published.url.rpartition("/")[2])


def _recognise(path: Path, published: Any) -> bool:
    """Return whether a file is the published one, whose name ends in the first digits of its SHA-256."""
    beginning = Path(published.url).stem.rpartition("-")[2]
    return fingerprint(path).startswith(beginning)


def _facts(published: Any, recognised: bool) -> dict[str, str]:
    return {"published as": f"torchvision {published}"} if recognised else {}


def _resizing(preset: Any, loading: Loading) -> tuple[str, ...]:
    """Return a note on the resizing of torchvision's preset, which is not applied here."""
    if loading.preprocessing.get("resize"):
        return ()
    side = preset.resize_size[0]
    return (f"torchvision's preset resizes the shorter side of an image to {side}; here images keep their size",)


def _classes(published: Any) -> tuple[str, ...]:
    """Return the class names, with "background" as in PASCAL VOC."""
    return tuple(name.strip("_") for name in published.meta["categories"])
