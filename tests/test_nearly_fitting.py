"""Weights that nearly fit: what trainers save around a network, and the options that messages name, tried.

The forms are those of the libraries at the versions named; where one is installed here, it writes the file.
"""

import pickle
import re
import shlex
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from conftest import NETWORK, optional
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel

from segablate.checkpoints import Loading, open_checkpoint
from segablate.errors import CheckpointError
from segablate.weights import load_strictly

State = dict[str, Tensor]


def network(seed: int = 0) -> nn.Module:
    code: dict[str, Any] = {}
    exec(NETWORK, code)
    torch.manual_seed(seed)
    return code["small"](4)


GOOD, OTHER = network(0), network(1)
STATE, RAW = GOOD.state_dict(), OTHER.state_dict()


def under(prefix: str, state: State = STATE) -> State:
    return {prefix + key: value for key, value in state.items()}


def inside(part: str) -> State:
    """``head._orig_mod.weight``: a wrapped submodule."""
    return {key.replace("head.", f"head.{part}.").replace("body.", f"body.{part}."): v for key, v in STATE.items()}


def lightning(state: State, **more: object) -> dict[str, object]:
    return {"epoch": 3, "state_dict": state, "pytorch-lightning_version": "2.6.6", **more}


ONE = torch.tensor(1)
LOADS: dict[str, tuple[object, str]] = {
    "averaged of torch.optim.swa_utils": (AveragedModel(GOOD).state_dict(), "n_averaged"),
    "EMA of torchvision's references, alone": ({"model_ema": AveragedModel(GOOD).state_dict()}, "n_averaged"),
    "EMA of ema-pytorch 0.8, alone": (
        {**under("ema_model."), "initted": torch.tensor(True), "step": ONE},
        "ema_model.",
    ),
    "EMA of mmengine 0.10, alone": ({"ema_state_dict": {**under("module."), "steps": ONE}}, "steps"),
    "EMA of timm, alone": (under("module."), ""),
    "averaged by Lightning 2.6": (
        lightning(under("model."), current_model_state=under("model.", RAW), averaging_state={"n_averaged": ONE}),
        "--key current_model_state",
    ),
    "SWA of Lightning": (
        lightning(
            under("model."), callbacks={"StochasticWeightAveraging": {"average_model_state": under("model.", RAW)}}
        ),
        "--key callbacks.StochasticWeightAveraging.average_model_state",
    ),
    "EMA of mmcv 1.x beside": (
        {**STATE, **{f"ema_{key.replace('.', '_')}": value for key, value in RAW.items()}},
        "--strip-prefix ema_",
    ),
    "loss with weights": (lightning({**under("model."), "criterion.weight": torch.ones(4)}), "criterion.weight"),
    "loss inside the network": ({**STATE, "head.loss_decode.class_weight": torch.ones(4)}, "head.loss_decode"),
    "metric with NaN": (
        lightning({**under("model."), "val_iou.confmat": torch.full((4, 4), torch.nan)}),
        "val_iou.confmat",
    ),
    "metrics without a prefix": ({**STATE, "valMetrics.acc": torch.zeros(3)}, "valMetrics.acc"),
    "state of layers": ({**STATE, "body._extra_state": torch.zeros(7)}, "body._extra_state"),
    "counts of thop": ({**STATE, "body.total_ops": torch.zeros(1), "total_params": torch.zeros(1)}, "body.total_ops"),
    "another head": ({**STATE, "aux_classifier.0.weight": torch.ones(4, 8)}, "aux_classifier.0.weight"),
    "a prefix of its own": (lightning({**under("segmenter."), "step": ONE}), "'segmenter.' were loaded"),
    "compiled": (under("_orig_mod."), ""),
    "compiled inside": (inside("_orig_mod"), ""),
    "activation checkpointing inside": (inside("_checkpoint_wrapped_module"), ""),
    "FSDP inside": (inside("_fsdp_wrapped_module"), ""),
    "data parallel inside": (inside("module"), ""),
    "compiled under DDP under Lightning": (under("model._orig_mod.module."), ""),
    "NumPy arrays": ({key: value.numpy() for key, value in STATE.items()}, ""),
    "NumPy arrays in Fortran order": ({key: np.array(value.numpy(), order="F") for key, value in STATE.items()}, ""),
    "a list with the optimiser": ([STATE, {"lr": 0.1}], ""),
    "averaged parameters of torch_ema beside": (
        {"model": STATE, "ema": {"decay": 0.9, "num_updates": 3, "shadow_params": list(RAW.values())}},
        "ema.shadow_params",
    ),
}
"""What is saved, and a part of the note that must be there; an empty text: no note."""


def opened(path: Path, spec: str, **options: Any) -> tuple[State, tuple[str, ...]]:
    found: Any = open_checkpoint(spec, Loading(device="cpu", **options))
    return found.module.state_dict(), tuple(note for note in found.source.notes if path.name in note)


@pytest.fixture
def spec(network_file: Path) -> str:
    return f"python:{network_file}:small(num_classes=4)@{network_file.with_name('w.pth')}"


def path_of(spec: str) -> Path:
    return Path(spec.rpartition("@")[2])


def same(a: State, b: State) -> bool:
    return all(torch.equal(a[key], b[key]) for key in b)


@pytest.mark.parametrize("name", LOADS)
def test_weights_load_at_the_first_command(name: str, spec: str) -> None:
    value, note = LOADS[name]
    torch.save(value, path_of(spec))
    state, notes = opened(path_of(spec), spec)
    assert same(state, STATE)
    assert any(note in found for found in notes) if note else notes == ()


CHOICES: dict[str, tuple[object, str]] = {
    "torchvision's references": ({"model": RAW, "model_ema": AveragedModel(GOOD).state_dict()}, "--key model_ema"),
    "timm": ({"state_dict": RAW, "state_dict_ema": STATE, "metric": 0.5}, "--key state_dict_ema"),
    "mmengine 0.10": (
        {"state_dict": STATE, "ema_state_dict": under("module.", RAW), "meta": {"mmengine_version": "0.10.7"}},
        "--key state_dict",
    ),
    "EMA in a Lightning module": (
        lightning({**under("model.", RAW), **under("ema_model."), "ema_model.num_updates": ONE}),
        "--strip-prefix ema_model.",
    ),
    "ema-pytorch 0.8": (
        {**under("online_model.", RAW), **under("ema_model."), "initted": torch.tensor(True), "step": ONE},
        "--strip-prefix ema_model.",
    ),
    "LitEma of latent diffusion": (
        {
            **under("model.", RAW),
            **{f"model_ema.{key.replace('.', '')}": value for key, value in STATE.items()},
            "model_ema.decay": torch.tensor(0.99),
            "model_ema.num_updates": ONE,
        },
        "--strip-prefix model_ema.",
    ),
    "student and teacher": ({"student": under("module.", RAW), "teacher": under("module.")}, "--key teacher"),
    "two in a list": ([RAW, STATE], "--key 1"),
}
"""Two sets of weights, and the option that loads the right one."""


@pytest.mark.parametrize("name", CHOICES)
def test_every_option_that_a_message_names_works(name: str, spec: str) -> None:
    value, right = CHOICES[name]
    torch.save(value, path_of(spec))
    with pytest.raises(CheckpointError) as raised:
        opened(path_of(spec), spec)
    message = str(raised.value)
    options = re.findall(r"--(?:key|strip-prefix) [\w.]+", message)
    assert right in options, message
    assert len(options) == 2
    for option in options:
        flag, value = shlex.split(option)
        state, _ = opened(path_of(spec), spec, **{flag.removeprefix("--").replace("-", "_"): value})
        assert same(state, STATE if option == right else RAW), option
    assert ("mmengine saves the averaged weights as state_dict" in message) == name.startswith("mmengine")


@pytest.mark.parametrize(("name", "options"), [("EMA of mmcv 1.x beside", {"strip_prefix": "ema_"})])
def test_the_second_set_that_a_note_names_loads(name: str, options: dict[str, str], spec: str) -> None:
    torch.save(LOADS[name][0], path_of(spec))
    assert same(opened(path_of(spec), spec, **options)[0], RAW)


def test_the_files_of_timm_itself(spec: str) -> None:
    optional("timm")
    from timm.utils.model import get_state_dict
    from timm.utils.model_ema import ModelEmaV3

    averaged = ModelEmaV3(GOOD)
    saved = {"state_dict": get_state_dict(OTHER), "state_dict_ema": get_state_dict(averaged)}
    torch.save(saved, path_of(spec))
    with pytest.raises(CheckpointError, match="--key state_dict or --key state_dict_ema"):
        opened(path_of(spec), spec)
    assert same(opened(path_of(spec), spec, key="state_dict_ema")[0], STATE)


@pytest.mark.parametrize(
    "more", [{}, {"decay": 0.99, "min_decay": 0.0, "optimization_step": 3}], ids=["torch_ema", "diffusers"]
)
def test_averaged_parameters_without_names(more: dict[str, object], spec: str) -> None:
    torch.save({"shadow_params": list(STATE.values()), **more}, path_of(spec))
    with pytest.raises(
        CheckpointError, match=r"'shadow_params' have no names; copy .*ema\.copy_to\(network\.parameters"
    ):
        opened(path_of(spec), spec)


@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
def test_pickles_of_arrays(protocol: int, spec: str) -> None:
    arrays = {key: np.asarray(value.numpy(), order="C") for key, value in STATE.items()}
    path_of(spec).write_bytes(pickle.dumps({"model": arrays, "author": "me"}, protocol))
    state, notes = opened(path_of(spec), spec)
    assert same(state, STATE)
    assert notes == ()


def test_archives_of_arrays(spec: str) -> None:
    with path_of(spec).open("wb") as file:
        np.savez(file, **{key: value.numpy() for key, value in STATE.items()})  # type: ignore[arg-type]
    assert same(opened(path_of(spec), spec)[0], STATE)


def test_arrays_of_objects_are_refused(spec: str) -> None:
    torch.save({**STATE, "head.bias": np.array([print, None])}, path_of(spec))
    with pytest.raises(CheckpointError, match=r"w\.pth: it holds an array of \w+, which is not read; save numbers"):
        opened(path_of(spec), spec)


def test_tensors_written_by_pickle_are_no_damage(spec: str) -> None:
    path_of(spec).write_bytes(pickle.dumps(dict(STATE)))
    with pytest.raises(CheckpointError, match=r"written by pickle\.dump, not by torch\.save; .* with torch\.save$"):
        opened(path_of(spec), spec)


def layers(number: int) -> nn.Module:
    found = nn.Module()
    for index in range(number):
        setattr(found, f"layer{index}", nn.Conv2d(2, 2, 1))
    return found


@pytest.mark.parametrize(
    "build",
    [layers, lambda number: nn.Sequential(*(nn.Conv2d(2, 2, 1) for _ in range(number)))],
    ids=["numbered names", "numbers"],
)
def test_weights_of_a_deeper_network_are_refused(build: Callable[[int], nn.Module]) -> None:
    with pytest.raises(CheckpointError, match=r"2 keys not in the network .*; build the network as it was when"):
        load_strictly(build(2), build(3).state_dict(), "w.pth")
    load_strictly(build(3), build(3).state_dict(), "w.pth")
