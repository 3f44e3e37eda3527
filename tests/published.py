"""Networks as their authors' repositories save them: names and shapes of the tensors, filled by a rule.

``golden/networks.json.gz`` holds, by case: the network and arguments, name and shape of every tensor in the authors'
state dict, and logits of the authors' network, filled by the same rule, on the same image, at every eighth pixel.
"""

import gzip
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from zlib import crc32

import numpy as np
import torch
from torch import Tensor

STEP = 8
CASES: dict[str, Any] = json.loads(gzip.decompress((Path(__file__).parent / "golden/networks.json.gz").read_bytes()))


def image(height: int = 41, width: int = 57) -> np.ndarray:
    """H, W, 3 uint8."""
    return np.random.RandomState(0).randint(0, 256, (height, width, 3)).astype(np.uint8)


def filled(name: str, shape: list[int]) -> Tensor:
    """A tensor that depends on its name and shape alone, of a size that keeps logits within a few units."""
    if name.endswith("num_batches_tracked"):
        return torch.tensor(7)
    values = np.random.RandomState(crc32(name.encode())).uniform(-1, 1, shape)
    if len(shape) > 1:
        values *= np.sqrt(6 / np.prod(shape[1:]))
    elif name.endswith("running_var"):
        values = 1 + values / 2
    else:
        values = (0.5 if name.endswith("weight") else 0) + values / 10
    return torch.from_numpy(values.astype(np.float32))


def state(case: str) -> dict[str, Tensor]:
    """The state dict of a case."""
    return {name: filled(name, shape) for name, shape in CASES[case]["tensors"].items()}


def saved(case: str, tensors: Mapping[str, Tensor]) -> dict[str, Any]:
    """What the authors of a network give to ``torch.save``."""
    network = CASES[case]["network"]
    if network == "pspnet":
        return {"epoch": 50, "state_dict": {f"module.{key}": value for key, value in tensors.items()}, "optimizer": {}}
    if network == "deeplabv3plus_rmi":
        whole = {f"model.{key}": value for key, value in tensors.items()}
        return {"global_step": 30_000, "state_dict": whole, "optimizer": {}}
    if network.startswith("deeplab"):
        return {"cur_itrs": 30_000, "model_state": dict(tensors), "optimizer_state": {}, "best_score": 0.7}
    classes = CASES[case]["arguments"]["num_classes"]
    whole = {f"model.{key}": value for key, value in tensors.items()} | {"loss.criterion.weight": torch.ones(classes)}
    return whole if network == "hrnet" else {"epoch": 484, "best_mIoU": 0.8, "state_dict": whole, "optimizer": {}}
