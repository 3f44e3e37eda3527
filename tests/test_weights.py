"""Weights from every format, wherever in the file they are; and what is said of files that hold none."""

from collections import OrderedDict, defaultdict
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from segablate.errors import CheckpointError
from segablate.weights import read_weights, state_dict
from segablate.weights.formats import Format
from segablate.weights.rebuilding import Storage, StorageType
from segablate.weights.torchfiles import _LegacyStorages

DTYPES = [
    *(torch.float64, torch.float32, torch.float16, torch.bfloat16, torch.int64, torch.int32, torch.int16, torch.int8),
    *(torch.uint8, torch.bool, torch.complex64, torch.complex128, torch.uint16, torch.float8_e4m3fn),
]


def small_network() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.Conv2d(4, 2, 1))


def save(value: object, path: Path, legacy: bool) -> Path:
    torch.save(value, path, _use_new_zipfile_serialization=not legacy)
    return path


def equal(left: dict[str, torch.Tensor], right: dict[str, torch.Tensor]) -> bool:
    """Same names in the same order, same types, same values."""
    same = ((left[key], right[key]) for key in right)
    return list(left) == list(right) and all(a.dtype == b.dtype and torch.equal(a, b) for a, b in same)


both = pytest.mark.parametrize("legacy", [False, True], ids=["zip", "legacy"])


@both
def test_a_bare_state_dict(tmp_path, legacy):
    expected = small_network().state_dict()
    weights = read_weights(save(expected, tmp_path / "w.pth", legacy))
    assert equal(weights.tensors, expected)
    assert weights.format is (Format.TORCH_LEGACY if legacy else Format.TORCH)
    assert (weights.extras, weights.notes) == ({}, ())


def test_safetensors_and_its_metadata(tmp_path):
    expected = small_network().state_dict()
    save_file(expected, tmp_path / "w.safetensors", metadata={"architecture": "small"})
    weights = read_weights(tmp_path / "w.safetensors")
    assert equal(weights.tensors, {key: expected[key] for key in weights.tensors})
    assert weights.tensors.keys() == expected.keys()
    assert weights.format is Format.SAFETENSORS
    assert weights.extras == {"architecture": "small"}


@both
@pytest.mark.parametrize("dtype", DTYPES, ids=lambda dtype: str(dtype).removeprefix("torch."))
def test_every_type_of_element(tmp_path, legacy, dtype):
    values = torch.arange(-3, 5).to(dtype).reshape(2, 4)
    found = read_weights(save({"w": values}, tmp_path / "w.pth", legacy)).tensors["w"]
    assert found.dtype == dtype
    assert torch.equal(found.view(torch.uint8), values.view(torch.uint8))


@both
def test_views_empty_tensors_scalars_and_shared_memory(tmp_path, legacy):
    whole = torch.arange(24.0).reshape(4, 6)
    expected = {
        "whole": whole,
        "transposed": whole.T,
        "middle": whole[1:3, 2:5],
        "scalar": torch.tensor(2.5),
        "empty": torch.empty(0, 7),
        "expanded": whole[:1].expand(1, 6),
    }
    found = read_weights(save(expected, tmp_path / "w.pth", legacy)).tensors
    assert equal(found, expected)
    assert found["transposed"].stride() == (1, 6)
    assert found["transposed"].data_ptr() == found["whole"].data_ptr()


@both
def test_parameters_and_subclasses_become_plain_tensors(tmp_path, legacy):
    class Marked(torch.Tensor):
        pass

    attributed = nn.Parameter(torch.ones(2))
    attributed.decay = False  # type: ignore[attr-defined]
    value = {"parameter": nn.Parameter(torch.ones(3)), "attributed": attributed}
    found = read_weights(save(value, tmp_path / "w.pth", legacy)).tensors
    assert {type(tensor) for tensor in found.values()} == {torch.Tensor}
    assert not any(tensor.requires_grad for tensor in found.values())
    assert torch.equal(found["parameter"], torch.ones(3))
    assert torch.equal(found["attributed"], torch.ones(2))


@both
@pytest.mark.parametrize("protocol", range(2, 6))
def test_every_pickle_protocol(tmp_path, legacy, protocol):
    value = {
        "state_dict": small_network().state_dict(),
        "sizes": [torch.Size([2, 3]), (1, 2, 3, 4)],
        "d": defaultdict(int),
    }
    torch.save(value, tmp_path / "w.pth", pickle_protocol=protocol, _use_new_zipfile_serialization=not legacy)
    weights = read_weights(tmp_path / "w.pth")
    assert equal(weights.tensors, value["state_dict"])
    assert weights.extras["sizes"] == [(2, 3), (1, 2, 3, 4)]


@both
@pytest.mark.parametrize("key", ["state_dict", "model_state_dict", "model", "net", "network", "params"])
def test_the_usual_keys_are_found_and_plain_values_kept(tmp_path, legacy, key):
    expected = small_network().state_dict()
    optimizer = torch.optim.Adam(small_network().parameters()).state_dict()
    value = {
        "epoch": 3,
        key: expected,
        "optimizer": optimizer,
        "meta": {"CLASSES": ("road", "car")},
        "best": torch.ones(1),
    }
    weights = read_weights(save(value, tmp_path / "w.pth", legacy))
    assert equal(weights.tensors, expected)
    assert weights.extras["epoch"] == 3
    assert weights.extras["meta"] == {"CLASSES": ("road", "car")}
    assert "best" not in weights.extras


def test_several_sets_of_weights_ask_for_a_key(tmp_path):
    a, b = {"w": torch.zeros(2)}, {"w": torch.ones(2)}
    path = save({"model": {"state_dict": a}, "ema": b}, tmp_path / "w.pth", legacy=False)
    with pytest.raises(CheckpointError, match=r"2 sets of weights \('ema' of 1, 'model\.state_dict' of 1\).*--key"):
        read_weights(path)
    assert equal(read_weights(path, key="ema").tensors, b)
    assert equal(read_weights(path, key="model").tensors, a)
    assert equal(read_weights(path, key="model.state_dict").tensors, a)
    with pytest.raises(CheckpointError, match=r"it has no key 'emma' .*did you mean 'ema'"):
        read_weights(path, key="emma")


def test_the_same_weights_under_two_keys_are_one_set(tmp_path):
    shared = {"w": torch.zeros(2)}
    path = save({"model": shared, "state_dict": shared}, tmp_path / "w.pth", legacy=False)
    assert equal(read_weights(path).tensors, shared)


def test_unusual_keys_are_named(tmp_path):
    path = save(
        {"gan": {"a.b": {"w": torch.zeros(2)}}, "other": {"v": torch.ones(1)}}, tmp_path / "w.pth", legacy=False
    )
    with pytest.raises(CheckpointError, match=r"'other' of 1, 'gan\.a\.b' of 1; choose one with --key"):
        read_weights(path)
    assert list(read_weights(path, key="gan.a.b").tensors) == ["w"]


def test_entries_that_are_no_tensors_are_noted(tmp_path):
    path = save({"state_dict": {"w": torch.zeros(1), "head._extra_state": None}}, tmp_path / "w.pth", legacy=False)
    weights = read_weights(path)
    assert list(weights.tensors) == ["w"]
    assert weights.notes == (f"{path}: entries that are no tensors were not loaded: 1 (head._extra_state)",)


def test_prefixes_are_those_of_the_file_until_state_dict(tmp_path):
    path = save({"module.model.w": torch.zeros(1)}, tmp_path / "w.pth", legacy=False)
    weights = read_weights(path)
    assert list(weights.tensors) == ["module.model.w"]
    assert list(state_dict(weights)) == ["w"]
    assert list(state_dict(weights, names=["model.w"])) == ["model.w"]
    assert list(state_dict(weights, strip_prefix="module.")) == ["model.w"]
    with pytest.raises(
        CheckpointError, match=r"w\.pth: no key begins with 'modul\.' \(--strip-prefix\); did you mean 'module\.'"
    ):
        state_dict(weights, strip_prefix="modul.")


def test_old_python_wrote_ordered_dictionaries_as_lists_of_pairs(tmp_path):
    class Old(OrderedDict):
        def __reduce__(self):
            return OrderedDict, ([[key, value] for key, value in self.items()],)

    found = read_weights(save(Old(w=torch.ones(2)), tmp_path / "w.pth", legacy=True)).tensors
    assert equal(found, {"w": torch.ones(2)})


def test_a_view_of_a_storage_in_the_old_format_starts_and_ends_where_it_states():
    storages = _LegacyStorages(limit=100)
    floats = StorageType(torch.float32)
    whole = storages.persistent(("storage", floats, "0", "cpu", 8, None))
    part = storages.persistent(("storage", floats, "0", "cpu", 8, ("1", 2, 3)))
    assert isinstance(whole, Storage)
    assert isinstance(part, Storage)
    whole.memory[:] = bytes(range(32))
    assert bytes(part.memory) == bytes(range(8, 20))
