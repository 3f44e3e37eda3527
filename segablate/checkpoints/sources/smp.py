"""Networks of segmentation_models_pytorch: ``smp:Unet(...)@FILE``, ``smp:DIR``.

Every architecture of the library with literal arguments, as in ``smp:Unet(encoder_name="resnet34", classes=11)@w.pth``,
or a folder that its ``save_pretrained`` wrote. The weights are a state dict, see :mod:`segablate.weights`; ``classes``,
where not stated, is read off it. ``encoder_weights`` is never loaded: it only says by which constants pixels are
normalised. Where an architecture takes only sides that divide by the stride of its encoder, images are padded to that.
"""

import inspect
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

from segablate.checkpoints.encoder_constants import encoder_constants
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
"""What a network gives, by its ``activation``."""

CONFIGURATION = "config.json"
WEIGHTS = ("model.safetensors", "pytorch_model.bin")

OLD_NAMES = {"decoder_use_batchnorm", "psp_use_batchnorm"}
"""Arguments of earlier versions, which the library still takes."""


@dataclass(frozen=True)
class LibraryArguments:
    """A network to be built: its architecture, its arguments, and the files it comes from, the weights first."""

    spec: str
    architecture: str
    arguments: Mapping[str, Any]
    files: tuple[Path, ...]

    @property
    def encoder(self) -> str:
        return str(self.arguments["encoder_name"])


def open_source(text: str, loading: Loading) -> Segmenter:
    """Build the network and load its weights strictly. MissingExtra without the library, or where it does not load."""
    from segablate.checkpoints.network import prepared
    from segablate.weights import count_classes, load_strictly, read_weights, state_dict

    require("torchvision", "smp", f"smp:{text}")  # its encoders need it: the error is to name what is broken
    smp = require("segmentation_models_pytorch", "smp", f"smp:{text}")
    plan = _written(smp, text, loading) if _is_written(smp, text, loading) else _saved(text, loading)
    weights = read_weights(plan.files[0], key=loading.key)
    stripped = state_dict(weights, strip_prefix=loading.strip_prefix)
    plan = _completed(smp, plan, count_classes(stripped, HEADS))
    module = _build(smp, plan)
    tensors = state_dict(weights, strip_prefix=loading.strip_prefix, names=module.state_dict().keys())
    notes = (*weights.notes, *load_strictly(module, tensors, str(plan.files[0])))
    preprocessing, whence = encoder_constants(smp, plan.encoder, plan.arguments.get("encoder_weights"))
    overridden = loading.preprocessing.keys() & {"mean", "std"}
    facts = {"network": _call(smp, plan), **({} if overridden else {"mean and std": whence})}
    return prepared(
        module,
        Source(plan.spec, plan.files, facts, notes, f"smp:{_call(smp, plan)}"),
        loading,
        _fitting(module, preprocessing),
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
    plan = _completed(smp, _stated(smp, spec, text, ()), classes)
    module = _build(smp, plan)
    preprocessing, _ = encoder_constants(smp, plan.encoder, plan.arguments.get("encoder_weights"))
    source = Source(plan.spec, (), {"network": _call(smp, plan)}, (), f"smp:{_call(smp, plan)}")
    return prepared(module, source, loading, _fitting(module, preprocessing), KINDS[plan.arguments.get("activation")])


def _architectures(smp: ModuleType) -> dict[str, Any]:
    return {architecture.__name__: architecture for architecture in smp.MODEL_ARCHITECTURES_MAPPING.values()}


def _signature(architecture: Any) -> inspect.Signature:
    """How an architecture is built. Of the class itself, some Pythons give the signature of its ``__new__``."""
    whole = inspect.signature(architecture.__init__)
    return whole.replace(parameters=list(whole.parameters.values())[1:])


def _is_written(smp: ModuleType, text: str, loading: Loading) -> bool:
    """Whether a specification writes a network out; otherwise it is a folder."""
    if loading.located(text).is_dir():
        return False
    return "(" in text or "@" in text or text in _architectures(smp)


def _written(smp: ModuleType, text: str, loading: Loading) -> LibraryArguments:
    spec = parse_network("smp", text, 'Unet(encoder_name="resnet34", classes=11)')
    if spec.name not in _architectures(smp):
        near = did_you_mean(spec.name, _architectures(smp))
        raise CheckpointError(f"segmentation_models_pytorch has no architecture {spec.name!r}{near}")
    if spec.weights is None:
        raise CheckpointError(f"{spec} names no weights; add @FILE, as in {spec}@weights.pth")
    return _stated(smp, spec, text, (loading.located(spec.weights),))


def _stated(smp: ModuleType, spec: LibraryNetwork, text: str, files: tuple[Path, ...]) -> LibraryArguments:
    """The arguments that a specification states, by name. CheckpointError where the architecture takes others."""
    positional, named = literal_arguments(spec.arguments, spec, f'{spec.name}("resnet34", classes=11)')
    signature = _signature(_architectures(smp)[spec.name])
    try:
        signature.bind_partial(*positional, **named)
    except TypeError as error:
        raise CheckpointError(f"{spec} cannot be built: {error}") from None
    arguments = dict(zip(signature.parameters, positional, strict=False)) | named
    return LibraryArguments(f"smp:{text}", spec.name, arguments, files)


def _saved(text: str, loading: Loading) -> LibraryArguments:
    """What a folder of ``save_pretrained`` says of itself."""
    folder = _folder(text, loading)
    with at(folder):
        found = [folder / name for name in WEIGHTS if (folder / name).is_file()]
        if not (folder / CONFIGURATION).is_file() or not found:
            raise CheckpointError(f"save_pretrained writes {CONFIGURATION} and {WEIGHTS[0]}, which are not both here")
        try:
            said = json.loads((folder / CONFIGURATION).read_text(encoding="utf-8"))
            architecture = said["_model_class"]
        except (ValueError, LookupError, TypeError):
            raise CheckpointError(
                f"{CONFIGURATION} does not name a network of segmentation_models_pytorch (_model_class); for one of "
                f"transformers, write hf:{text}"
            ) from None
    arguments = {name: value for name, value in said.items() if not name.startswith("_")}
    return LibraryArguments(f"smp:{text}", str(architecture), arguments, (found[0], folder / CONFIGURATION))


def _folder(text: str, loading: Loading) -> Path:
    """The folder on the disk or, where that is allowed, from the hub."""
    folder = loading.located(text)
    if folder.is_dir():
        return folder
    if not loading.allow_download:
        raise CheckpointError(
            f"{folder}: there is no such folder; give one that save_pretrained wrote, or a network as in "
            f'smp:Unet(encoder_name="resnet34", classes=11)@FILE (--allow-download looks on the hub)'
        )
    hub = require("huggingface_hub", "smp", f"smp:{text}")
    try:
        return Path(hub.snapshot_download(text, allow_patterns=[CONFIGURATION, *WEIGHTS]))
    except Exception as error:
        raise CheckpointError(f"smp:{text} cannot be fetched: {' '.join(str(error).split())[:200]}") from error


def _completed(smp: ModuleType, plan: LibraryArguments, classes: int | None) -> LibraryArguments:
    """The plan with the number of classes in the weights, where it states none, and its arguments checked."""
    architectures = _architectures(smp)
    if plan.architecture not in architectures:
        near = did_you_mean(plan.architecture, architectures)
        raise CheckpointError(f"segmentation_models_pytorch has no architecture {plan.architecture!r}{near}")
    known = _signature(architectures[plan.architecture]).parameters
    defaults = {"encoder_name": known["encoder_name"].default, **({"classes": classes} if classes else {})}
    plan = replace(plan, arguments={**defaults, **plan.arguments})
    with at(plan.spec):
        _check_encoder(smp, plan)
        if plan.encoder in smp.encoders.encoders:  # others hand what they do not know on to timm, which checks it
            check_names(plan.arguments, {*known, *OLD_NAMES} - {"kwargs"}, plan.architecture)
        if (channels := plan.arguments.get("in_channels", 3)) != 3:
            raise CheckpointError(f"in_channels is {channels!r}, but images have 3 channels")
        if (activation := plan.arguments.get("activation")) not in list(KINDS):
            raise CheckpointError(
                f"activation is {activation!r}, which gives neither logits nor probabilities; leave it out, "
                f"as the weights are the same without"
            )
    return plan


def _check_encoder(smp: ModuleType, plan: LibraryArguments) -> None:
    """CheckpointError for an unknown encoder, be it one of timm's names for what lies on a hub, or unknown weights."""
    own = smp.encoders.encoders
    if plan.encoder in own:
        known, weights = own[plan.encoder]["pretrained_settings"], plan.arguments.get("encoder_weights")
        if weights is not None and weights not in list(known):
            raise CheckpointError(
                f"encoder_weights is {weights!r}, but must be one of {', '.join(known)}, by which pixels are normalised"
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
            part.dim = 1  # what torch takes for four dimensions, with a warning
    return module


def _fitting(module: Any, preprocessing: Preprocessing) -> Preprocessing:
    """With the sizes that the network takes: of a fixed side, or dividing by the stride of its encoder."""
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
    """``Unet(encoder_name='resnet34', classes=11)``: the arguments that are not the library's defaults."""
    known = _signature(_architectures(smp)[plan.architecture]).parameters
    usual = {name: parameter.default for name, parameter in known.items() if name not in ("encoder_name", "classes")}
    usual |= {"encoder_weights": plan.arguments.get("encoder_weights")}  # those are not loaded
    said = {name: value for name, value in plan.arguments.items() if name not in usual or value != usual[name]}
    return f"{plan.architecture}({', '.join(f'{name}={value!r}' for name, value in said.items())})"
