"""Files as mmsegmentation saves them: weights, and the classes and colours in their meta, with nothing of it run."""

import json
import sys
from collections import OrderedDict
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import torch
from conftest import CLASSES, NETWORK

from segablate.checkpoints import Loading, open_checkpoint
from segablate.checkpoints.network import Network
from segablate.cli import run
from segablate.weights import read_weights
from segablate.weights.classes import class_colours, class_names

PALETTE = [[128, 64, 128], [0, 0, 142], [107, 142, 35], [70, 130, 180]]
CODE = '''
class HistoryBuffer:
    """As mmengine's: values and how many of them, and a table of methods."""

    def __init__(self, values):
        import numpy
        self._log_history = numpy.array(values)
        self._statistics_methods = {"mean": HistoryBuffer.mean}

    def mean(self):
        raise RuntimeError("this must not run")

    def __setstate__(self, state):
        raise RuntimeError("this must not run")


class ConfigDict(dict):
    def __reduce__(self):
        return ConfigDict, (), None, None, iter(self.items())
'''


def meta(version: int) -> dict[str, Any]:
    """The meta of either version."""
    if version == 0:
        return {
            "mmseg_version": "0.30.0",
            "env_info": "CUDA",
            "CLASSES": list(CLASSES),
            "PALETTE": PALETTE,
            "iter": 160,
        }
    described = {"classes": CLASSES, "palette": PALETTE, "reduce_zero_label": False, "label_map": None}
    return {"cfg": "model = dict()", "iter": np.int64(160), "seed": 7, "dataset_meta": described}


@pytest.fixture
def mmengine(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """A module in mmengine's place, which is there while a file is written."""
    module = ModuleType("mmengine.logging.history_buffer")
    exec(CODE, module.__dict__)
    for name in ("mmengine", "mmengine.logging", module.__name__):
        monkeypatch.setitem(sys.modules, name, module)
    return module


def saved(path: Path, weights: dict[str, torch.Tensor], described: dict[str, Any], mmengine: ModuleType) -> Path:
    """The file of a runner: beside weights and meta the histories of a training, its configuration and optimiser."""
    history = {"train/loss": mmengine.HistoryBuffer([0.5, 0.25])}
    value = {
        "meta": described,
        "state_dict": OrderedDict(weights),
        "message_hub": {"log_scalars": OrderedDict(history), "runtime_info": OrderedDict(iter=np.float64(160))},
        "optimizer": {"state": {}, "param_groups": [{"lr": 0.01, "params": [0, 1]}]},
        "param_schedulers": [mmengine.ConfigDict(last_step=3)],
    }
    torch.save(value, path)
    for name in ("mmengine", "mmengine.logging", mmengine.__name__):
        del sys.modules[name]
    return path


@pytest.fixture
def weights() -> dict[str, torch.Tensor]:
    exec(NETWORK, code := {})
    torch.manual_seed(0)
    return code["small"](4).state_dict()


def opened(network_file: Path, path: Path, **loading: Any) -> Network:
    found = open_checkpoint(f"python:{network_file}:small(4)@{path}", Loading(device="cpu", **loading))
    assert isinstance(found, Network)
    return found


@pytest.mark.parametrize("version", [0, 1])
def test_weights_classes_and_colours(
    version: int, mmengine: ModuleType, weights: dict[str, torch.Tensor], network_file: Path
) -> None:
    path = saved(network_file.with_name("mm.pth"), weights, meta(version), mmengine)
    network = opened(network_file, path)
    assert network.classes == CLASSES
    assert network.colours == tuple(map(tuple, PALETTE))
    assert network.source.facts["classes"] == "4, from the file's meta"
    assert all(torch.equal(network.module.state_dict()[name], value) for name, value in weights.items())
    assert any("mmengine.logging.history_buffer.HistoryBuffer" in note for note in network.source.notes)
    assert "mmengine" not in sys.modules


def test_stated_classes_go_before(mmengine: ModuleType, weights: dict[str, torch.Tensor], network_file: Path) -> None:
    path = saved(network_file.with_name("mm.pth"), weights, meta(1), mmengine)
    network = opened(network_file, path, classes=("a", "b", "c", "d"))
    assert (network.classes, network.colours) == (("a", "b", "c", "d"), None)
    assert "classes" not in network.source.facts


def test_classes_are_matched_by_name(
    mmengine: ModuleType,
    weights: dict[str, torch.Tensor],
    network_file: Path,
    toy: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    turned = meta(1) | {"dataset_meta": {"classes": CLASSES[::-1], "palette": PALETTE}}
    path = saved(network_file.with_name("mm.pth"), weights, turned, mmengine)
    spec = f"python:{network_file}:small(4)@{path}"
    assert run(["evaluate", spec, f"folder:{toy}", "--device", "cpu", "--losses", "none"]) == 0
    assert "by name (their order differs)" in capsys.readouterr().out.replace("\n", " ").replace("  ", " ")
    assert run(["checkpoints", "show", spec, "--device", "cpu", "--format", "json"]) == 0
    shown = json.loads(capsys.readouterr().out)
    assert "from the file's meta" in str(shown["tables"]["facts"])
    first = shown["tables"]["classes"][0]
    assert (first["class"], first["colour"]) == ("sky", "#804080")


def test_what_else_lies_there_is_plain(
    mmengine: ModuleType, weights: dict[str, torch.Tensor], network_file: Path
) -> None:
    found = read_weights(saved(network_file.with_name("mm.pth"), weights, meta(1), mmengine))
    assert found.extras["meta"]["seed"] == 7
    assert found.extras["meta"]["cfg"] == "model = dict()"
    assert found.extras["optimizer"]["param_groups"] == [{"lr": 0.01, "params": [0, 1]}]


@pytest.mark.parametrize(
    ("described", "names", "colours"),
    [
        ({}, None, None),
        ({"meta": {"epoch": 3}}, None, None),
        ({"meta": "text"}, None, None),
        ({"meta": {"dataset_meta": None}}, None, None),
        ({"meta": {"CLASSES": None, "PALETTE": None}}, None, None),
        ({"meta": {"CLASSES": []}}, None, None),
        ({"meta": {"CLASSES": [1, 2]}}, None, None),
        ({"meta": {"CLASSES": "ab"}}, None, None),
        ({"meta": {"CLASSES": ["wall", "bed "]}}, ("wall", "bed"), None),
        ({"meta": {"CLASSES": ["a"], "PALETTE": [[1, 2, 3], [4, 5, 6]]}}, ("a",), None),
        ({"meta": {"CLASSES": ["a"], "PALETTE": [[1, 2, 300]]}}, ("a",), None),
        ({"meta": {"CLASSES": ["a"], "PALETTE": [{}]}}, ("a",), None),
        ({"meta": {"dataset_meta": {"CLASSES": ["a"], "PALETTE": ((1, 2, 3),)}}}, ("a",), ((1, 2, 3),)),
    ],
)
def test_what_is_no_class_list_is_none(described: dict[str, Any], names: object, colours: object) -> None:
    assert class_names(described) == names
    assert class_colours(described) == colours
