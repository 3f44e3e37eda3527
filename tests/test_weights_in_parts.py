"""Weights in several files: shards beside an index, distributed checkpoints of torch, and folders of libraries."""

import io
import json
import pickle
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.distributed.checkpoint as dcp
from conftest import NETWORK
from safetensors.torch import save_file
from torch import Tensor
from torch.distributed.checkpoint.filesystem import _StorageInfo
from torch.distributed.checkpoint.metadata import (
    ChunkStorageMetadata,
    Metadata,
    MetadataIndex,
    TensorProperties,
    TensorStorageMetadata,
)

from segablate.checkpoints import Loading, open_checkpoint
from segablate.errors import CheckpointError
from segablate.weights import read_weights


def weights() -> dict[str, Tensor]:
    code: dict[str, Any] = {}
    exec(NETWORK, code)
    torch.manual_seed(0)
    return dict(code["small"](4).state_dict())


STATE = weights()


def sharded(folder: Path, suffix: str = ".safetensors", stem: str = "model") -> Path:
    """Two parts and their index, as ``save_pretrained`` of transformers writes them."""
    folder.mkdir(parents=True)
    keys = list(STATE)
    parts = {f"{stem}-0000{number}-of-00002{suffix}": keys[number - 1 :: 2] for number in (1, 2)}
    for name, own in parts.items():
        part = {key: STATE[key].contiguous() for key in own}
        save_file(part, folder / name) if suffix == ".safetensors" else torch.save(part, folder / name)
    named = {key: name for name, own in parts.items() for key in own}
    index = folder / f"{stem}{suffix}.index.json"
    index.write_text(json.dumps({"metadata": {"total_size": 1}, "weight_map": named}))
    return index


def same(a: dict[str, Tensor]) -> bool:
    return a.keys() == STATE.keys() and all(torch.equal(a[key], STATE[key]) for key in a)


@pytest.mark.parametrize(
    ("suffix", "stem"),
    [
        (".safetensors", "model"),
        (".safetensors", "diffusion_pytorch_model"),
        (".bin", "pytorch_model"),
    ],
)
def test_shards_load_by_their_index_and_by_their_folder(suffix: str, stem: str, tmp_path: Path) -> None:
    index = sharded(tmp_path / "net", suffix, stem)
    for path in (index, tmp_path / "net"):
        found = read_weights(path)
        assert same(found.tensors)
        assert {file.name for file in found.files} == {file.name for file in (tmp_path / "net").iterdir()}


def test_shards_take_part_in_a_specification(network_file: Path, tmp_path: Path) -> None:
    index = sharded(tmp_path / "net")
    for place in (index, index.parent):
        opened: Any = open_checkpoint(f"python:{network_file}:small(num_classes=4)@{place}", Loading(device="cpu"))
        assert same(opened.module.state_dict())
        assert index in opened.source.files  # so that a run keeps the hash of every part
        assert index.with_name("model-00002-of-00002.safetensors") in opened.source.files
    with pytest.raises(CheckpointError, match="net holds weights, but no network; name the network, as in python:"):
        open_checkpoint(str(index.parent), Loading(device="cpu"))


def test_a_single_file_in_a_folder(tmp_path: Path) -> None:
    save_file(STATE, tmp_path / "model.safetensors")
    (tmp_path / "optimizer.bin").write_bytes(b"x")
    assert same(read_weights(tmp_path).tensors)


def test_missing_and_wrong_parts_are_named(tmp_path: Path) -> None:
    index = sharded(tmp_path / "net")
    described = json.loads(index.read_text())
    described["weight_map"]["tail.weight"] = "model-00001-of-00002.safetensors"
    index.write_text(json.dumps(described))
    with pytest.raises(CheckpointError, match=r"its parts lack tail\.weight, which the index states; copy all"):
        read_weights(index)
    index.with_name("model-00002-of-00002.safetensors").unlink()
    with pytest.raises(CheckpointError, match=r"names 2 weights files, of which model-00002.* is missing"):
        read_weights(index)
    index.write_text("{}")
    with pytest.raises(CheckpointError, match=r"index\.json: has no weight_map"):
        read_weights(index)


def test_parts_outside_the_folder_are_not_opened(tmp_path: Path) -> None:
    index = sharded(tmp_path / "net")
    index.write_text(json.dumps({"weight_map": {"w": "../secret.safetensors"}}))
    save_file({"w": torch.zeros(1)}, tmp_path / "secret.safetensors")
    with pytest.raises(CheckpointError, match="is missing; copy all of them"):
        read_weights(index)


@pytest.mark.parametrize(("suffix", "kind"), [("model_type", "hf"), ("_model_class", "smp")])
def test_bare_weights_in_a_folder_of_a_library_name_its_source(suffix: str, kind: str, tmp_path: Path) -> None:
    save_file(STATE, tmp_path / "model.safetensors")
    (tmp_path / "config.json").write_text(json.dumps({suffix: "segformer"}))
    with pytest.raises(CheckpointError, match=rf"holds weights, but no network; they look like .*{kind}:{tmp_path}"):
        open_checkpoint(str(tmp_path / "model.safetensors"), Loading(device="cpu"))


@pytest.mark.filterwarnings("ignore:torch.distributed is")
def test_a_distributed_checkpoint_of_torch(network_file: Path, tmp_path: Path) -> None:
    value = {"model": STATE, "optimizer": {"state": {"exp_avg": torch.ones(3)}}, "epoch": 3}
    dcp.save(value, checkpoint_id=str(tmp_path / "step-3"), no_dist=True)
    found = read_weights(tmp_path / "step-3")
    assert same(found.tensors)
    assert {file.name for file in found.files} == {".metadata", "__0_0.distcp"}
    opened: Any = open_checkpoint(
        f"python:{network_file}:small(num_classes=4)@{tmp_path / 'step-3'}", Loading(device="cpu")
    )
    assert same(opened.module.state_dict())


WHOLE = torch.arange(24.0).reshape(6, 4)


def in_chunks(folder: Path, cuts: list[tuple[int, int]], name: str = "__0_0.distcp", **more: object) -> Path:
    """A tensor in chunks of rows, as several processes write it; the bytes are those of torch's own classes."""
    folder.mkdir()
    data, places, chunks = b"", {}, []
    for start, stop in cuts:
        stream = io.BytesIO()
        torch.save(WHOLE[start:stop].clone(), stream)
        offset, size = torch.Size([start, 0]), torch.Size([stop - start, 4])
        places[MetadataIndex("w", offset, None)] = _StorageInfo(name, len(data), len(stream.getvalue()), **more)  # type: ignore[arg-type]
        chunks.append(ChunkStorageMetadata(offset, size))
        data += stream.getvalue()
    described = TensorStorageMetadata(TensorProperties.create_from_tensor(WHOLE), WHOLE.size(), chunks)
    metadata = Metadata({"w": described}, {"w": ("w",)}, places)
    (folder / ".metadata").write_bytes(pickle.dumps(metadata))
    (folder / "__0_0.distcp").write_bytes(data)
    return folder


def test_chunks_are_joined(tmp_path: Path) -> None:
    folder = in_chunks(tmp_path / "a", [(4, 6), (0, 3), (3, 4)])
    assert torch.equal(read_weights(folder).tensors["w"], WHOLE)


def test_chunks_must_cover_the_tensor(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="the chunks of w do not cover it"):
        read_weights(in_chunks(tmp_path / "a", [(0, 3), (4, 6)]))


def test_files_of_chunks_lie_in_the_folder(tmp_path: Path) -> None:
    folder = in_chunks(tmp_path / "a", [(0, 6)], "../b.distcp")
    (folder / "__0_0.distcp").rename(tmp_path / "b.distcp")  # there, and whole
    with pytest.raises(CheckpointError, match=r"names 1 file, of which \.\./b\.distcp is missing"):
        read_weights(folder)


def test_compressed_chunks_are_refused_with_what_joins_them(tmp_path: Path) -> None:
    folder = in_chunks(tmp_path / "a", [(0, 6)], transform_descriptors=["zstd"])
    with pytest.raises(CheckpointError, match=rf"format_utils dcp_to_torch {folder} weights\.pth"):
        read_weights(folder)


def test_metadata_runs_nothing(tmp_path: Path) -> None:
    folder = in_chunks(tmp_path / "a", [(0, 6)])
    (folder / ".metadata").write_bytes(b"cos\nsystem\n(S'touch " + str(tmp_path / "ran").encode() + b"'\ntR.")
    with pytest.raises(CheckpointError, match="describes no tensors"):
        read_weights(folder)
    assert not (tmp_path / "ran").exists()
