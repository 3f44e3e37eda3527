"""A network written here, for weights as its authors' code saves them: ``builtin:NAME(...)@FILE``.

As in ``builtin:hrnet_ocr@weights.pth`` or ``builtin:deeplabv3plus(output_stride=8)@weights.pth``; the names are those
of :mod:`segablate.networks`. What the weights tell of the arguments (number of classes, depth, width) is read off
them; an argument that is stated goes before. Pixels are preprocessed as the authors do, unless options say otherwise.
"""

import inspect
from typing import TYPE_CHECKING, Any, NamedTuple

from segablate.checkpoints.preprocessing import Preprocessing
from segablate.checkpoints.segmenter import Loading, Segmenter, Source
from segablate.checkpoints.specification import LibraryNetwork, literal_arguments, parse_network
from segablate.errors import CheckpointError, at, shorten

if TYPE_CHECKING:
    from torch import Tensor, nn

OF_TRAINING = ("loss.", "criterion.")
"""Beginnings of the names of what a loss holds, saved along where it was a part of the module that was trained."""


class Call(NamedTuple):
    """The network of a specification, and the arguments stated there."""

    name: str
    arguments: dict[str, Any]


def open_source(text: str, loading: Loading) -> Segmenter:
    """Build the network that the weights are of, and load them strictly. CheckpointError where they do not fit."""
    from segablate.checkpoints.network import prepared, with_classes_of
    from segablate.networks import preprocessing_of
    from segablate.weights import load_strictly, read_weights, state_dict

    spec = parse_network("builtin", text, "pspnet(layers=101)")
    if spec.weights is None:
        raise CheckpointError(f"{spec} names no weights; add @FILE, as in {spec}@weights.pth")
    call = _stated(spec)
    path = loading.located(spec.weights)
    weights = read_weights(path, key=loading.key)
    tensors = state_dict(weights, strip_prefix=loading.strip_prefix, names=_usual_names(call.name))
    tensors, notes = _without_training(tensors, str(path))
    with at(path):
        call = _completed(call, tensors)
    module = _built(call)
    notes = (*weights.notes, *notes, *load_strictly(module, tensors, str(path)))
    written = f"builtin:{_written(call)}"
    source = Source(f"builtin:{text}", (path,), {"network": _written(call)}, notes, written)
    preprocessing = Preprocessing.parse(preprocessing_of(call.name))
    return with_classes_of(weights, prepared(module, source, loading, preprocessing))


def open_new(text: str, loading: Loading, classes: int) -> Segmenter:
    """Build the network with random weights, for this many classes unless it states their number."""
    from segablate.checkpoints.network import prepared
    from segablate.networks import get_network, preprocessing_of

    spec = parse_network("builtin", text, "pspnet(layers=101)")
    call = _stated(spec)
    bound = inspect.signature(get_network(call.name)).bind(**{"num_classes": classes, **call.arguments})
    bound.apply_defaults()
    call = Call(call.name, bound.arguments)
    source = Source(f"builtin:{text}", (), {"network": _written(call)}, (), f"builtin:{_written(call)}")
    return prepared(_built(call), source, loading, Preprocessing.parse(preprocessing_of(call.name)))


def parse_call(written: str) -> Call:
    """Take ``NAME(argument=value, ...)`` apart. CheckpointError for an unknown network or argument."""
    return _stated(parse_network("builtin", written, "pspnet(layers=101)"))


def _stated(spec: LibraryNetwork) -> Call:
    """The call of a specification, with its arguments by name. CheckpointError where the network takes others."""
    from segablate.networks import get_network

    signature = inspect.signature(get_network(spec.name))
    places, named = literal_arguments(spec.arguments, spec, f"{spec.name}(num_classes=11)")
    try:
        return Call(spec.name, signature.bind_partial(*places, **named).arguments)
    except TypeError as error:
        raise CheckpointError(f"{spec}: {error}; {spec.name} takes {', '.join(signature.parameters)}") from None


def _completed(call: Call, tensors: "dict[str, Tensor]") -> Call:
    """The call with every argument: as stated, else as the weights tell, else the default."""
    from segablate.networks import get_network, read_arguments

    told = read_arguments(call.name, {key: tuple(value.shape) for key, value in tensors.items() if value.ndim})
    bound = inspect.signature(get_network(call.name)).bind(**{**told, **call.arguments})
    bound.apply_defaults()
    return Call(call.name, bound.arguments)


def _built(call: Call) -> "nn.Module":
    from segablate.networks import get_network

    try:
        return get_network(call.name)(**call.arguments)
    except (RuntimeError, TypeError, ValueError) as error:
        raise CheckpointError(f"{_written(call)} cannot be built: {' '.join(str(error).split())}") from error


def _usual_names(name: str) -> list[str]:
    """Names of the tensors of a network in its usual form, by which wrappers' prefixes are known from its own names."""
    import torch

    from segablate.networks import get_network

    with torch.device("meta"):
        network: nn.Module = get_network(name)(num_classes=1)
    return list(network.state_dict())


def _without_training(tensors: "dict[str, Tensor]", where: str) -> "tuple[dict[str, Tensor], list[str]]":
    """The tensors without those of a loss, and a note on these."""
    surplus = [key for key in tensors if key.startswith(OF_TRAINING)]
    kept = {key: value for key, value in tensors.items() if key not in surplus}
    return kept, [f"{where}: {shorten(surplus)} is of the loss in training, and was left out"] if surplus else []


def _written(call: Call) -> str:
    return f"{call.name}({', '.join(f'{name}={value!r}' for name, value in call.arguments.items())})"
