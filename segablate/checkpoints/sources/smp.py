"""A network of segmentation_models_pytorch: ``smp:Unet(...)@FILE``, ``smp:DIR``.

Every architecture of the library with literal arguments, as in ``smp:Unet(encoder_name="resnet34", classes=11)@w.pth``,
or a folder that its ``save_pretrained`` wrote. The weights are a state dict, see :mod:`segablate.weights`; ``classes``,
where not stated, is read off it. ``encoder_weights`` is never loaded: it only selects the constants that normalise
pixels. Where an architecture needs sides divisible by the stride of its encoder, images are padded to that.
"""

import inspect
import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

from segablate.checkpoints.channels import MOST_BANDS
from segablate.checkpoints.encoder_constants import encoder_constants
from segablate.checkpoints.hf_files import read_json
from segablate.checkpoints.preprocessing import Preprocessing
from segablate.checkpoints.segmenter import Loading, Segmenter, Source
from segablate.checkpoints.specification import LibraryNetwork, check_names, literal_arguments, parse_network
from segablate.errors import CheckpointError, at, did_you_mean
from segablate.extras import require

if TYPE_CHECKING:
    from torch import nn

HEADS = ("segmentation_head.0.bias", "segmentation_head.head.4.bias")
"""The last layer: of all architectures but DPT, and of DPT."""

KINDS = {
    **dict.fromkeys((None, "identity", "logsoftmax"), "softmax"),
    **dict.fromkeys(("sigmoid", "softmax", "softmax2d"), "probabilities"),
}
"""The kind of a network's output by its ``activation``."""

CONFIGURATION = "config.json"
WEIGHTS = ("model.safetensors", "pytorch_model.bin")

OLD_NAMES = {"decoder_use_batchnorm", "psp_use_batchnorm"}
"""Arguments of earlier versions, which the library still takes."""

FILES_OF_TIMM = {"cache_dir", "checkpoint_path", "pretrained", "pretrained_cfg", "pretrained_cfg_overlay"}
"""Arguments by which timm's encoders open or download files of their own."""


@dataclass(frozen=True)
class LibraryArguments:
    """A network to build: its architecture, its arguments, and its files, the weights first."""

    spec: str
    architecture: str
    arguments: Mapping[str, Any]
    files: tuple[Path, ...]

    @property
    def encoder(self) -> str:
        return str(self.arguments["encoder_name"])


def open_source(text: str, loading: Loading) -> Segmenter:
    """Build the network and load its weights strictly.

    Raises MissingExtra where the library is missing or broken, and CheckpointError for weights that do not fit.
    """
    from segablate.checkpoints.input_channels import input_channels
    from segablate.checkpoints.network import prepared
    from segablate.weights import count_classes, load_weights, read_weights, state_dict

    require("torchvision", "smp", f"smp:{text}")  # first: the library needs it, and the error shall name it
    smp = require("segmentation_models_pytorch", "smp", f"smp:{text}")
    plan = _parse(smp, text, loading) if _is_call(smp, text, loading) else _read_folder(text, loading)
    weights = read_weights(plan.files[0], key=loading.key)
    stripped = state_dict(weights, strip_prefix=loading.strip_prefix)
    plan = _complete(smp, plan, count_classes(stripped, HEADS))
    module = _build(smp, plan)
    notes = load_weights(module, weights, loading.strip_prefix)
    preprocessing, origin = encoder_constants(smp, plan.encoder, plan.arguments.get("encoder_weights"))
    overridden = loading.preprocessing.keys() & {"mean", "std"}
    overridden = overridden or input_channels(module) != 3
    facts = {"network": _call(smp, plan), **({} if overridden else {"mean and std": origin})}
    return prepared(
        module,
        Source(plan.spec, (*weights.files, *plan.files[1:]), facts, notes, f"smp:{_call(smp, plan)}"),
        loading,
        _with_size(module, preprocessing),
        KINDS[plan.arguments.get("activation")],
    )


def open_new(text: str, loading: Loading, classes: int) -> Segmenter:
    """Build the network with random weights, for this many classes unless it states their number."""
    from segablate.checkpoints.network import prepared

    require("torchvision", "smp", f"smp:{text}")
    smp = require("segmentation_models_pytorch", "smp", f"smp:{text}")
    spec = parse_network("smp", text, 'Unet(encoder_name="resnet34", classes=11)')
    if spec.name not in _architectures(smp):
        near = did_you_mean(spec.name, _architectures(smp))
        raise CheckpointError(f"segmentation_models_pytorch has no architecture {spec.name!r}{near}")
    plan = _complete(smp, _bind(smp, spec, text, ()), classes)
    module = _build(smp, plan)
    preprocessing, _ = encoder_constants(smp, plan.encoder, plan.arguments.get("encoder_weights"))
    source = Source(plan.spec, (), {"network": _call(smp, plan)}, (), f"smp:{_call(smp, plan)}")
    return prepared(module, source, loading, _with_size(module, preprocessing), KINDS[plan.arguments.get("activation")])


def _architectures(smp: ModuleType) -> dict[str, Any]:
    return {architecture.__name__: architecture for architecture in smp.MODEL_ARCHITECTURES_MAPPING.values()}


def _signature(architecture: Any) -> inspect.Signature:
    """Return the signature of ``__init__``; of the class, some Pythons return the signature of ``__new__``."""
    whole = inspect.signature(architecture.__init__)
    return whole.replace(parameters=list(whole.parameters.values())[1:])


def _is_call(smp: ModuleType, text: str, loading: Loading) -> bool:
    """Return whether a specification is a call of an architecture; otherwise it is a folder."""
    if loading.located(text).is_dir():
        return False
    return "(" in text or "@" in text or text in _architectures(smp)


def _parse(smp: ModuleType, text: str, loading: Loading) -> LibraryArguments:
    spec = parse_network("smp", text, 'Unet(encoder_name="resnet34", classes=11)')
    if spec.name not in _architectures(smp):
        near = did_you_mean(spec.name, _architectures(smp))
        raise CheckpointError(f"segmentation_models_pytorch has no architecture {spec.name!r}{near}")
    if spec.weights is None:
        raise CheckpointError(f"{spec} has no weights; add @FILE, as in {spec}@weights.pth")
    return _bind(smp, spec, text, (loading.located(spec.weights),))


def _bind(smp: ModuleType, spec: LibraryNetwork, text: str, files: tuple[Path, ...]) -> LibraryArguments:
    """Bind the arguments of a specification to their names. Raises CheckpointError where they do not fit."""
    positional, named = literal_arguments(spec.arguments, spec, f'{spec.name}("resnet34", classes=11)')
    signature = _signature(_architectures(smp)[spec.name])
    try:
        signature.bind_partial(*positional, **named)
    except TypeError as error:
        raise CheckpointError(f"{spec} cannot be built: {error}") from None
    arguments = dict(zip(signature.parameters, positional, strict=False)) | named
    return LibraryArguments(f"smp:{text}", spec.name, arguments, files)


def _read_folder(text: str, loading: Loading) -> LibraryArguments:
    """Read the configuration in a folder of ``save_pretrained``."""
    folder = _folder(text, loading)
    with at(folder):
        found = [folder / name for name in WEIGHTS if (folder / name).is_file()]
        if not (folder / CONFIGURATION).is_file() or not found:
            raise CheckpointError(
                f"{CONFIGURATION} or {WEIGHTS[0]} is missing; give a folder written by save_pretrained"
            )
        with at(CONFIGURATION):
            described = read_json(folder / CONFIGURATION)
        architecture = described.get("_model_class")
        if not isinstance(architecture, str):
            raise CheckpointError(
                f"{CONFIGURATION} has no _model_class, a network of segmentation_models_pytorch; for one of "
                f"transformers, write hf:{text}"
            )
    arguments = {name: value for name, value in described.items() if not name.startswith("_")}
    return LibraryArguments(f"smp:{text}", architecture, arguments, (found[0], folder / CONFIGURATION))


def _folder(text: str, loading: Loading) -> Path:
    """Return the folder, downloaded from the hub where that is allowed."""
    folder = loading.located(text)
    if folder.is_dir():
        return folder
    if not loading.allow_download:
        raise CheckpointError(
            f"{folder}: no such folder; give one written by save_pretrained, or a network as in "
            f'smp:Unet(encoder_name="resnet34", classes=11)@FILE (--allow-download looks on the hub)'
        )
    hub = require("huggingface_hub", "smp", f"smp:{text}")
    try:
        return Path(hub.snapshot_download(text, allow_patterns=[CONFIGURATION, *WEIGHTS]))
    except Exception as error:
        raise CheckpointError(f"smp:{text} cannot be downloaded: {' '.join(str(error).split())[:200]}") from error


def _complete(smp: ModuleType, plan: LibraryArguments, classes: int | None) -> LibraryArguments:
    """Add the number of classes in the weights where none is stated, and check the arguments."""
    architectures = _architectures(smp)
    if plan.architecture not in architectures:
        near = did_you_mean(plan.architecture, architectures)
        raise CheckpointError(f"segmentation_models_pytorch has no architecture {plan.architecture!r}{near}")
    known = _signature(architectures[plan.architecture]).parameters
    defaults = {"encoder_name": known["encoder_name"].default, **({"classes": classes} if classes else {})}
    plan = replace(plan, arguments={**defaults, **plan.arguments})
    with at(plan.spec):
        if files := FILES_OF_TIMM & plan.arguments.keys():
            raise CheckpointError(f"{min(files)} names further weights, which are not loaded; leave it out")
        _check_encoder(smp, plan)
        if plan.encoder in smp.encoders.encoders:  # others pass unknown arguments to timm, which checks them
            check_names(plan.arguments, {*known, *OLD_NAMES} - {"kwargs"}, plan.architecture)
        channels = plan.arguments.get("in_channels", 3)
        if not isinstance(channels, int) or not 1 <= channels <= MOST_BANDS:
            raise CheckpointError(f"in_channels is {channels!r}, but images have 1 to {MOST_BANDS} bands")
        if (activation := plan.arguments.get("activation")) not in list(KINDS):
            raise CheckpointError(
                f"activation is {activation!r}, which returns neither logits nor probabilities; leave it out: "
                f"the weights are the same without"
            )
    return plan


def _check_encoder(smp: ModuleType, plan: LibraryArguments) -> None:
    """Raise CheckpointError for an unknown encoder or unknown ``encoder_weights``."""
    own = smp.encoders.encoders
    if plan.encoder in own:
        known, weights = own[plan.encoder]["pretrained_settings"], plan.arguments.get("encoder_weights")
        if weights is not None and weights not in list(known):
            raise CheckpointError(
                f"encoder_weights is {weights!r}, but must be one of {', '.join(known)}, which select the normalisation"
            )
        return
    if plan.encoder.startswith("timm-"):
        return  # names of earlier versions, which the library translates
    timm = require("timm", "smp", plan.spec)
    if not plan.encoder.startswith("tu-") or not timm.is_model(plan.encoder.removeprefix("tu-")):
        known = [*own, *(f"tu-{name}" for name in timm.list_models())]
        raise CheckpointError(f"no encoder is called {plan.encoder!r}{did_you_mean(plan.encoder, known)}")


def _build(smp: ModuleType, plan: LibraryArguments) -> "nn.Module":
    from torch import nn

    try:
        module = _architectures(smp)[plan.architecture](**{**plan.arguments, "encoder_weights": None})
    except Exception as error:
        raise CheckpointError(f"{plan.spec} cannot be built: {' '.join(str(error).split())[:200]}") from error
    for part in module.modules():
        if isinstance(part, nn.Softmax | nn.LogSoftmax) and part.dim is None:
            part.dim = 1  # torch's choice for four dimensions, which it warns about
    return module


def _with_size(module: Any, preprocessing: Preprocessing) -> Preprocessing:
    """Add the size that the network needs: fixed, or divisible by the stride of its encoder."""
    fixed = next((part.img_size for part in module.encoder.modules() if getattr(part, "strict_img_size", False)), None)
    if fixed:
        return replace(preprocessing, resize=tuple(fixed))
    if not module.requires_divisible_input_shape:
        return preprocessing
    stride = module.encoder.output_stride
    if hasattr(module.encoder, "output_strides"):  # DPT's, which resamples the features of a ViT to 1/4, 1/8, ...
        stride = math.lcm(stride, 2 ** (len(module.encoder.output_strides) + 1))
    return replace(preprocessing, pad_to_multiple=stride)


def _call(smp: ModuleType, plan: LibraryArguments) -> str:
    """Write the network as ``Unet(encoder_name='resnet34', classes=11)``, without the library's defaults."""
    known = _signature(_architectures(smp)[plan.architecture]).parameters
    usual = {name: parameter.default for name, parameter in known.items() if name not in ("encoder_name", "classes")}
    usual |= {"encoder_weights": plan.arguments.get("encoder_weights")}  # never loaded
    stated = {name: value for name, value in plan.arguments.items() if name not in usual or value != usual[name]}
    return f"{plan.architecture}({', '.join(f'{name}={value!r}' for name, value in stated.items())})"
