"""Writing what was trained, so that every other command opens it."""

import os
from collections.abc import Callable, Mapping
from dataclasses import asdict, replace
from io import BytesIO
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from segablate.checkpoints.network import Network
from segablate.checkpoints.segmenter import Loading
from segablate.checkpoints.sources import builtin, native, python
from segablate.files import Unreadable, write_atomically
from segablate.limits import TooLarge
from segablate.text_files import MalformedText
from segablate.training.starting import Start
from segablate.user_modules import UserImports
from segablate.yaml_files import read_yaml

WEIGHTS, CARD, OWN = "weights.safetensors", "card.yaml", "checkpoint.safetensors"


def save_checkpoint(start: Start, folder: Path, training: Mapping[str, Any]) -> Path:
    """Write the network's weights into a folder and return the file to evaluate.

    A network of this project becomes a ``.safetensors`` that describes itself; any other, weights and a card beside
    them. `training`: plain values on how it was trained. OSError where the disk is full.
    """
    network, source = start.network, start.network.source.network
    if source.startswith("builtin:") and start.inference.plain:
        return _save_own(network, folder, training)
    if source:
        _save_weights(network.module.state_dict(), folder / WEIGHTS)
        return _write_card(start, folder, _seen_from(source, folder), WEIGHTS)
    return _write_card(start, folder, _save_whole(network, folder), None)


def names_code_of(network: str, loading: Loading, checkpoint: Path) -> bool:
    """Return whether the card of a training names the Python code of the network that was asked for, and no other."""
    if not network.startswith("python:") or checkpoint.name != CARD:
        return False
    spec = python.parse_spec(network.removeprefix("python:"))
    if spec.module.endswith(".py"):
        spec = replace(spec, module=str(loading.located(spec.module)))
    try:
        card = read_yaml(checkpoint)
    except (MalformedText, TooLarge, Unreadable):
        return False
    return isinstance(card, dict) and card.get("source") == _seen_from(str(spec), checkpoint.parent)


def _save_own(network: Network, folder: Path, training: Mapping[str, Any]) -> Path:
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


def _seen_from(source: str, folder: Path) -> str:
    """The source of a card in this folder: the path of a Python file is seen from there."""
    if not source.startswith("python:"):
        return source
    spec = python.parse_spec(source.removeprefix("python:"))
    if not spec.module.endswith(".py"):
        return source
    return str(replace(spec, module=Path(os.path.relpath(spec.module, folder)).as_posix()))


def _save_whole(network: Network, folder: Path) -> str:
    """Write network and weights together, as their library does; returns the source for a card."""
    module: Any = network.module
    if isinstance(module, torch.jit.ScriptModule):
        write_atomically(folder / "network.pt", _bytes(module, torch.jit.save))
        return "torchscript:network.pt"
    inner: Any = next((part for part in module.modules() if hasattr(part, "save_pretrained")), None)
    if inner is not None:
        inner.save_pretrained(folder / "hf")
        return "hf:hf"
    with UserImports([Path.cwd()]).active():  # where its classes were found
        write_atomically(folder / "network.pth", _bytes(module, torch.save))
    return "module:network.pth"


def _bytes(module: Any, save: Callable[[Any, BytesIO], object]) -> bytes:
    """What a library writes, so that it is written whole or not at all."""
    buffer = BytesIO()
    save(module, buffer)
    return buffer.getvalue()


def _write_card(start: Start, folder: Path, source: str, weights: str | None) -> Path:
    import yaml

    network = start.network
    card: dict[str, Any] = {"source": source, **({"weights": weights} if weights else {})}
    card |= {"preprocessing": network.preprocessing.plain(), "output": network.kind}
    card |= {"head": network.head} if network.head is not None else {}
    card |= {} if start.inference.plain else {"inference": _plain(asdict(start.inference))}
    card |= {"classes": list(network.classes)} if network.classes else {}
    card |= {"class_map": dict(network.class_map)} if network.class_map else {}
    write_atomically(folder / CARD, yaml.safe_dump(card, sort_keys=False, allow_unicode=True))
    return folder / CARD


def _plain(values: Mapping[str, Any]) -> dict[str, Any]:
    return {name: list(value) if isinstance(value, tuple) else value for name, value in values.items()}
