"""Writing what was trained, so that every other command opens it."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import Tensor

from segablate.checkpoints.network import Network
from segablate.files import write_atomically
from segablate.training.starting import Start

WEIGHTS, CARD, OWN = "weights.safetensors", "card.yaml", "checkpoint.safetensors"


def save_checkpoint(start: Start, spec: str, folder: Path, training: Mapping[str, Any]) -> Path:
    """Write the network's weights into a folder and return the file to evaluate.

    A network of this project becomes a ``.safetensors`` that describes itself; any other, weights and a card beside
    them. `training`: plain values on how it was trained.
    """
    network = start.network
    if network.source.network.startswith("builtin:"):
        return _save_own(network, folder, training)
    if network.source.network:
        _save_weights(network.module.state_dict(), folder / WEIGHTS)
        return _write_card(network, folder, network.source.network, WEIGHTS)
    return _write_card(network, folder, _save_whole(network, spec, folder), None)


def _save_own(network: Network, folder: Path, training: Mapping[str, Any]) -> Path:
    from segablate.checkpoints.sources import builtin, native

    call = builtin.parse_call(network.source.network.removeprefix("builtin:"))
    described = {
        "architecture": call.name,
        "arguments": call.arguments,
        "classes": list(network.classes or ()),
        "preprocessing": network.preprocessing.plain(),
        "output": network.kind,
        "training": dict(training),
    }
    native.save(folder / OWN, network.module.state_dict(), described)
    return folder / OWN


def _save_weights(state: Mapping[str, Tensor], path: Path) -> None:
    from safetensors.torch import save

    tensors = {name: tensor.detach().cpu().contiguous().clone() for name, tensor in state.items()}
    write_atomically(path, save(tensors))


def _save_whole(network: Network, spec: str, folder: Path) -> str:
    """Write network and weights together, as their library does; returns the source for a card."""
    from torch import nn

    module: Any = network.module
    if spec.startswith("hf:"):
        inner: Any = next(part for part in module.modules() if hasattr(part, "save_pretrained"))
        inner.save_pretrained(folder / "hf")
        return "hf:hf"
    if spec.startswith("torchscript:"):
        module.save(str(folder / "network.pt"))
        return "torchscript:network.pt"
    import torch

    assert isinstance(module, nn.Module)
    torch.save(module, folder / "network.pth")
    return "module:network.pth"


def _write_card(network: Network, folder: Path, source: str, weights: str | None) -> Path:
    import yaml

    card: dict[str, Any] = {"source": source, **({"weights": weights} if weights else {})}
    card |= {"preprocessing": network.preprocessing.plain(), "output": network.kind}
    card |= {"head": network.head} if network.head is not None else {}
    card |= {"classes": list(network.classes)} if network.classes else {}
    card |= {"class_map": dict(network.class_map)} if network.class_map else {}
    write_atomically(folder / CARD, yaml.safe_dump(card, sort_keys=False, allow_unicode=True))
    return folder / CARD
