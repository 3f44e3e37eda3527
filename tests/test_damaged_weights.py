"""Files that hold no weights, or hold them damaged: what is said of each, in one line."""

import io
import os
import pickle
import random
import tarfile
import zipfile
from contextlib import suppress

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from segablate.errors import CheckpointError, SegablateError
from segablate.weights import read_weights


def zip_of(records: dict[str, bytes], compression: int = zipfile.ZIP_STORED) -> bytes:
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w", compression) as archive:
        for name, record in records.items():
            archive.writestr(name, record)
    return data.getvalue()


def tar() -> bytes:
    data = io.BytesIO()
    with tarfile.open(fileobj=data, mode="w") as archive:
        archive.addfile(tarfile.TarInfo("storages"))
    return data.getvalue()


def saved(value: object, legacy: bool = False) -> bytes:
    data = io.BytesIO()
    torch.save(value, data, _use_new_zipfile_serialization=not legacy)
    return data.getvalue()


def torchscript() -> bytes:
    return zip_of({"net/data.pkl": b"", "net/constants.pkl": b"", "net/code/__torch__.py": b""})


WEIGHTS = {"w": torch.arange(2000.0)}
SPARSE = {"w": torch.eye(3).to_sparse()}

MALFORMED = {
    "empty": (b"", "this is empty; download or copy it again"),
    "text": (b"these are my weights\n", "this is a text file, not the weights"),
    "lfs": (
        b"version https://git-lfs.github.com/spec/v1\noid sha256:12\n",
        "this is a git-lfs pointer.*run git lfs pull",
    ),
    "html": (b"\n<!DOCTYPE html><html>", "this is a web page, not the weights"),
    "gzip": (b"\x1f\x8b\x08\x00", "compressed with gzip; unpack it"),
    "hdf5": (b"\x89HDF\r\n\x1a\n\x00", "this is an HDF5 file"),
    "noise": (bytes(range(7)) * 9, "of no known format: neither of torch.save nor safetensors"),
    "tar": (tar(), "in the tar format of the first torch"),
    "plain pickle": (pickle.dumps({"a": 1}), "it holds no named tensors"),
    "cut zip": (saved(WEIGHTS)[:-200], "damaged or cut short"),
    "cut legacy": (
        saved(WEIGHTS, legacy=True)[:-200],
        "this (ends early|declares more values than it has bytes); download",
    ),
    "cut in the pickle": (saved({**WEIGHTS, "n": [0] * 9000}, legacy=True)[:9000], "damaged or cut short"),
    "foreign zip": (zip_of({"a.txt": b"a"}), "a zip archive of 1 file, but not of torch.save; unpack it"),
    "torchscript": (torchscript(), "this is a TorchScript archive; write torchscript:.*w.pth"),
    "cut safetensors": ((64).to_bytes(8, "little") + b'{"w":', "damaged or cut short"),
    "no tensors": (saved({"epoch": 3}), "it holds no named tensors"),
    "by number": (saved({3: WEIGHTS}), "under none of the usual keys; found: '3' of 1; choose one with --key 3"),
    "nested": (
        saved({"a": {"b": {"c": {"d": {"e": WEIGHTS}}}}}),
        r"found: 'a\.b\.c\.d\.e' of 1; choose one with --key",
    ),
    "one tensor": (saved(torch.zeros(2)), "it holds no named tensors"),
    "a list": (saved([torch.zeros(2)]), "it holds no named tensors"),
    "sparse": (saved(SPARSE), "it holds a sparse tensor, which is not read; save it again as a dense"),
    "module": (saved(nn.Conv2d(1, 1, 1)), "a whole pickled torch.nn.modules.conv.Conv2d.*runs code.*--trust-code"),
    "old module": (
        saved(nn.Conv2d(1, 1, 1), legacy=True),
        "a whole pickled torch.nn.modules.conv.Conv2d.*--trust-code",
    ),
    "module inside": (saved({"model": nn.ReLU(), "epoch": 2}), "a whole pickled torch.nn.modules.activation.ReLU"),
}


@pytest.mark.filterwarnings("ignore:Couldn't retrieve source code")
@pytest.mark.parametrize("name", MALFORMED)
def test_files_without_weights_are_one_clear_line(tmp_path, name):
    content, message = MALFORMED[name]
    path = tmp_path / "w.pth"
    path.write_bytes(content)
    with pytest.raises(CheckpointError, match=message) as raised:
        read_weights(path)
    assert str(raised.value).startswith(f"{path}: ")
    assert "\n" not in str(raised.value)


def test_directories_and_files_that_are_not_there(tmp_path):
    with pytest.raises(CheckpointError, match="this is a folder; give the file"):
        read_weights(tmp_path)
    with pytest.raises(CheckpointError, match="no such file; check the path"):
        read_weights(tmp_path / "w.pth")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_files_that_may_not_be_read(tmp_path):
    path = tmp_path / "w.pth"
    path.write_bytes(saved(WEIGHTS))
    path.chmod(0)
    with pytest.raises(CheckpointError, match=r"cannot be read \(Permission denied\)"):
        read_weights(path)


@pytest.mark.parametrize("kind", ["pipe", "device"])
def test_what_has_no_end_is_not_read(tmp_path, kind):
    os.mkfifo(tmp_path / "w.pth") if kind == "pipe" else (tmp_path / "w.pth").symlink_to("/dev/zero")
    with pytest.raises(CheckpointError, match="this is a device or a pipe; give the file with the weights"):
        read_weights(tmp_path / "w.pth")


def test_names_that_are_not_utf8(tmp_path):
    stem = str(tmp_path / os.fsdecode(b"m\xfcnchen"))
    for ending, save in ((".pth", torch.save), (".safetensors", save_file)):
        save(WEIGHTS, tmp_path / f"w{ending}")
        (tmp_path / f"w{ending}").rename(f"{stem}{ending}")
    assert torch.equal(read_weights(f"{stem}.pth").tensors["w"], WEIGHTS["w"])
    with pytest.raises(SegablateError, match="safetensors opens no file whose path is not UTF-8; rename it"):
        read_weights(f"{stem}.safetensors")


def test_a_flipped_bit_in_a_zip_archive_is_noticed(tmp_path):
    data = bytearray(saved(WEIGHTS))
    data[data.index(WEIGHTS["w"].numpy().tobytes()) + 5] ^= 1
    (tmp_path / "w.pth").write_bytes(data)
    with pytest.raises(CheckpointError, match=r"damaged or cut short \(Bad CRC-32"):
        read_weights(tmp_path / "w.pth")


@pytest.mark.parametrize("kind", ["zip", "legacy", "safetensors"])
def test_damage_of_any_kind_is_a_checkpoint_error(tmp_path, kind):
    path = tmp_path / "w.pth"
    tensors = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4)).state_dict()
    if kind == "safetensors":
        save_file(tensors, path)
    else:
        path.write_bytes(saved({"state_dict": tensors, "meta": {"CLASSES": ["a"]}}, kind == "legacy"))
    data, generator = path.read_bytes(), random.Random(0)
    readable = 0
    for _ in range(60):
        damaged = bytearray(data)
        for _ in range(generator.choice([1, 1, 3])):
            damaged[generator.randrange(len(damaged))] = generator.randrange(256)
        path.write_bytes(damaged[: generator.choice([None, None, generator.randrange(len(damaged))])])
        with suppress(CheckpointError):
            read_weights(path)
            readable += 1
    assert readable < 45
