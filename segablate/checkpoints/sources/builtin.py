"""A network of this package, for weights as its authors' code saves them: ``builtin:NAME(...)@FILE``.

As in ``builtin:hrnet_ocr@weights.pth`` or ``builtin:deeplabv3plus(output_stride=8)@weights.pth``; the names are those
of :mod:`segablate.networks`. Arguments that follow from the weights (number of classes, depth, width) are read off
them; a stated argument takes precedence. Pixels are preprocessed as by the authors, unless options override that.
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
"""Prefixes of the keys of a loss that was a submodule in training."""


class Call(NamedTuple):
    """The network of a specification, and its arguments by name."""

    name: str
    arguments: dict[str, Any]


def open_source(text: str, loading: Loading) -> Segmenter:
    """Build the network of the weights and load them strictly. Raises CheckpointError where they do not fit."""
    from segablate.checkpoints.network import prepared, with_classes_of
    from segablate.networks import preprocessing_of
    from segablate.weights import load_strictly, read_weights, state_dict

    spec = parse_network("builtin", text, "pspnet(layers=101)")
    if spec.weights is None:
        raise CheckpointError(f"{spec} has no weights; add @FILE, as in {spec}@weights.pth")
    call = _parse_call(spec)
    path = loading.located(spec.weights)
    weights = read_weights(path, key=loading.key)
    tensors = state_dict(weights, strip_prefix=loading.strip_prefix, names=_usual_names(call.name))
    tensors, notes = _without_training(tensors, str(path))
    with at(path):
        call = _complete(call, tensors)
    module = _build(call)
    notes = (*weights.notes, *notes, *load_strictly(module, tensors, str(path)))
    written = f"builtin:{_call_text(call)}"
    source = Source(f"builtin:{text}", weights.files, {"network": _call_text(call)}, notes, written, by_files=True)
    preprocessing = Preprocessing.parse(preprocessing_of(call.name))
    return with_classes_of(weights, prepared(module, source, loading, preprocessing))


def open_new(text: str, loading: Loading, classes: int) -> Segmenter:
    """Build the network with random weights, for this many classes unless it states their number."""
    from segablate.checkpoints.network import prepared
    from segablate.networks import get_network, preprocessing_of

    spec = parse_network("builtin", text, "pspnet(layers=101)")
    call = _parse_call(spec)
    bound = inspect.signature(get_network(call.name)).bind(**{"num_classes": classes, **call.arguments})
    bound.apply_defaults()
    call = Call(call.name, bound.arguments)
    source = Source(f"builtin:{text}", (), {"network": _call_text(call)}, (), f"builtin:{_call_text(call)}")
    return prepared(_build(call), source, loading, Preprocessing.parse(preprocessing_of(call.name)))


def parse_call(written: str) -> Call:
    """Parse ``NAME(argument=value, ...)``. Raises CheckpointError for an unknown network or argument."""
    return _parse_call(parse_network("builtin", written, "pspnet(layers=101)"))


def _parse_call(spec: LibraryNetwork) -> Call:
    """Bind the arguments of a specification to their names. Raises CheckpointError where they do not fit."""
    from segablate.networks import get_network

    signature = inspect.signature(get_network(spec.name))
    places, named = literal_arguments(spec.arguments, spec, f"{spec.name}(num_classes=11)")
    try:
        return Call(spec.name, signature.bind_partial(*places, **named).arguments)
    except TypeError as error:
        raise CheckpointError(f"{spec}: {error}; {spec.name} takes {', '.join(signature.parameters)}") from None


def _complete(call: Call, tensors: "dict[str, Tensor]") -> Call:
    """Return the call with every argument: stated, else read off the weights, else the default."""
    from segablate.networks import get_network, read_arguments

    inferred = read_arguments(call.name, {key: tuple(value.shape) for key, value in tensors.items() if value.ndim})
    bound = inspect.signature(get_network(call.name)).bind(**{**inferred, **call.arguments})
    bound.apply_defaults()
    return Call(call.name, bound.arguments)


def _build(call: Call) -> "nn.Module":
    from segablate.networks import get_network

    try:
        return get_network(call.name)(**call.arguments)
    except (RuntimeError, TypeError, ValueError) as error:
        raise CheckpointError(f"{_call_text(call)} cannot be built: {' '.join(str(error).split())}") from error


def _usual_names(name: str) -> list[str]:
    """Return the keys of a network with default arguments, which tell wrappers' prefixes from its own names."""
    import torch

    from segablate.networks import get_network

    with torch.device("meta"):
        network: nn.Module = get_network(name)(num_classes=1)
    return list(network.state_dict())


def _without_training(tensors: "dict[str, Tensor]", where: str) -> "tuple[dict[str, Tensor], list[str]]":
    """Remove the tensors of a loss, and return a note on them."""
    surplus = [key for key in tensors if key.startswith(OF_TRAINING)]
    kept = {key: value for key, value in tensors.items() if key not in surplus}
    return kept, [f"{where}: {shorten(surplus)} belongs to the training loss and was not loaded"] if surplus else []


def _call_text(call: Call) -> str:
    return f"{call.name}({', '.join(f'{name}={value!r}' for name, value in call.arguments.items())})"
