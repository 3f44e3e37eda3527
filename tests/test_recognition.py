"""What a file is, is said from its bytes: its name, and what turns it into something that is read.

The fixtures are written here, byte by byte, as the formats' own sources say (see the docstrings of
``segablate/weights/recognition``). The files of the tools themselves were compared by hand: Keras 3.15 and TensorFlow
2.21, coremltools 9, OpenVINO 2026.4, MNN 3.6, PaddlePaddle 3.3, Ultralytics 8.4, Flax 0.12, Orbax 0.12, gguf 0.19.
"""

import io
import json
import pickle
import re
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch
from conftest import write_dataset

from segablate.cli import run
from segablate.errors import CheckpointError
from segablate.weights import read_weights
from segablate.weights.recognition import recognise

HDF5 = b"\x89HDF\r\n\x1a\n" + bytes(88)
TABLE_END = bytes.fromhex("57fb808b247547db")


def varint(value: int) -> bytes:
    out = b""
    while value > 0x7F:
        out, value = out + bytes([value & 0x7F | 0x80]), value >> 7
    return out + bytes([value])


def number(field: int, value: int) -> bytes:
    return varint(field << 3) + varint(value)


def block(field: int, value: bytes) -> bytes:
    return varint(field << 3 | 2) + varint(len(value)) + value


def node(name: str, operation: str, *read: str) -> bytes:
    """A node of a TensorFlow graph: name, operation, inputs."""
    return block(
        1, block(1, name.encode()) + block(2, operation.encode()) + b"".join(block(3, r.encode()) for r in read)
    )


def zipped(*names: str) -> bytes:
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w") as archive:
        for name in names:
            archive.writestr(name, b"x")
    return data.getvalue()


def object_of(module: str, name: str, protocol: bytes = b"\x80\x02") -> bytes:
    return protocol + f"c{module}\n{name}\n)\x81.".encode()


def torch_zip(pickled: bytes) -> bytes:
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w") as archive:
        archive.writestr("net/data.pkl", pickled)
        archive.writestr("net/version", b"3\n")
    return data.getvalue()


def engine(described: bytes = b"") -> bytes:
    return (len(described).to_bytes(4, "little") + described if described else b"") + b"ftrt" + bytes(64)


FROZEN = (
    node("image", "Placeholder") + node("w", "Const") + node("out", "Conv2D", "image", "w") + block(4, number(1, 22))
)
ONNX = number(1, 9) + block(2, b"pytorch") + block(7, block(2, b"main")) + block(8, number(2, 17))
COREML = number(1, 4) + block(2, block(1, block(1, b"image"))) + block(500, block(1, b"layer"))
SAVED = number(1, 1) + block(2, block(1, b"meta"))
PADDLE = block(1, number(1, 0) + number(2, (1 << 64) - 1) + block(3, block(1, b"w"))) + block(4, number(1, 0))
CAFFE = block(1, b"net") + block(100, block(1, b"conv1"))
MNN = b"\x20\0\0\0" + bytes(84) + b"\x24\0\0\0" + b"585067de-65c1-4de8-a1ff-092450f7bce0\0" + bytes(30)
FLAX = b"\x81\xa6params\x81\xa4Conv\x81\xa6kernel\xc7\x09\x01\x93\x90\xa7float32\xc4\0"

ORIGINAL = r"no tool converts it back: export the network that it was made from to ONNX"
FILES: dict[str, tuple[str, bytes, str, str]] = {
    "Keras HDF5": (
        "net.h5",
        HDF5 + b"keras_version model_config",
        "a Keras model in HDF5",
        "--keras FILE --output DIR/net.onnx",
    ),
    "Keras weights": ("a.weights.h5", HDF5 + b"layers", "a file of Keras weights, without", r"model\.load_weights"),
    "HDF5": ("net.h5", HDF5, "an HDF5 file", r"model\.export\("),
    "Keras": (
        "net.keras",
        zipped("metadata.json", "config.json", "model.weights.h5"),
        r"a Keras model \(\.keras\)",
        "--keras FILE",
    ),
    "Core ML": ("net.mlmodel", COREML, r"a Core ML network \(\.mlmodel\)", ORIGINAL),
    "frozen graph": (
        "net.pb",
        FROZEN,
        "a frozen graph of TensorFlow",
        "--graphdef FILE --inputs image:0 --outputs out:0 --output",
    ),
    "SavedModel's graph": (
        "saved_model.pb",
        SAVED,
        "the graph of a TensorFlow SavedModel",
        "--saved-model DIR --output",
    ),
    "TensorFlow checkpoint": (
        "model.ckpt-3.index",
        bytes(40) + TABLE_END,
        "a part of a TensorFlow checkpoint",
        r"tf\.saved_model\.save",
    ),
    "OpenVINO": (
        "net.xml",
        b'<?xml version="1.0"?>\n<net name="a" version="11">\n<layers>',
        r"a network of OpenVINO \(IR\)",
        ORIGINAL,
    ),
    "TensorRT": ("net.engine", engine(), "a TensorRT engine;", r"evaluate the \.onnx file that it was built from"),
    "TensorRT of Ultralytics": (
        "n.engine",
        engine(b'{"task": "semantic"}'),
        "a TensorRT engine of Ultralytics",
        "yolo export",
    ),
    "MNN": ("net.mnn", MNN, "a network of MNN", ORIGINAL),
    "MNN by its bytes": ("net.bin", MNN, "a network of MNN", ORIGINAL),
    "Paddle": (
        "net.pdmodel",
        PADDLE,
        "a network of PaddlePaddle",
        "--model_filename net.pdmodel --params_filename net.pdiparams",
    ),
    "Paddle PIR": (
        "net.json",
        b'{"base_code":{"magic":"pir","version":4}}',
        r"a network of PaddlePaddle \(PIR\)",
        "--model_filename net.json",
    ),
    "Paddle's parameters": (
        "net.pdiparams",
        bytes(16) + b"\4\0\0\0\x08\5\x10\x08",
        "a file of PaddlePaddle's parameters",
        "paddle2onnx",
    ),
    "Paddle's state": (
        "net.pdparams",
        pickle.dumps({"w": 1, "StructuredToParameterName@@": {}}),
        r"\.pdparams",
        r"paddle\.jit\.save",
    ),
    "Edge TPU": (
        "n_edgetpu.tflite",
        b"\x1c\0\0\0TFL3" + bytes(40) + b"edgetpu-custom-op",
        "compiled for the Edge TPU",
        "without _edgetpu",
    ),
    "Ultralytics": (
        "best.pt",
        torch_zip(object_of("ultralytics.nn.tasks", "SemanticSegmentationModel")),
        "a pickled SemanticSegmentationModel",
        "yolo export model=FILE format=onnx, and evaluate DIR/best.onnx",
    ),
    "Ultralytics, instances": (
        "best.pt",
        torch_zip(object_of("ultralytics.nn.tasks", "SegmentationModel")),
        "which has no class for each pixel",
        "task=semantic",
    ),
    "YOLOv5": (
        "best.pt",
        torch_zip(object_of("models.yolo", "SegmentationModel")),
        "a checkpoint of YOLOv5",
        r"python export\.py --weights FILE --include onnx",
    ),
    "fastai": (
        "export.pkl",
        torch_zip(object_of("fastai.learner", "Learner")),
        "a learner of fastai",
        r"torch\.save\(learn\.model\.state_dict",
    ),
    "scikit-learn": (
        "a.pkl",
        object_of("sklearn.ensemble._forest", "RandomForestClassifier"),
        r"a pickled sklearn\.ensemble\._forest\.RandomForestClassifier",
        "not a segmentation network",
    ),
    "scikit-learn, protocol 4": (
        "a.pkl",
        b"\x80\x04\x8c\x0bsklearn.svm\x8c\x03SVC\x93)\x81.",
        r"a pickled sklearn\.svm\.SVC",
        "give the weights",
    ),
    "ncnn": ("net.param", b"7767517\n3 3\nInput in0 0 1 in0\n", "of a network of ncnn or PNNX", ORIGINAL),
    "Caffe": ("net.caffemodel", CAFFE, "a file of Caffe weights", ORIGINAL),
    "Caffe's description": (
        "net.prototxt",
        b'name: "a"\nlayer {\n  name: "c"\n}\n',
        "the description of a network of Caffe",
        ORIGINAL,
    ),
    "Flax": ("net.msgpack", FLAX, "a file of Flax parameters", "jax2tf"),
    "GGUF": ("net.gguf", b"GGUF\3\0\0\0" + bytes(20), "a GGUF file", "weights that it was quantised from"),
    "MATLAB": (
        "net.mat",
        b"MATLAB 5.0 MAT-file".ljust(128),
        "a MATLAB file",
        r"exportONNXNetwork\(net, \"net\.onnx\"\)",
    ),
    "ExecuTorch": ("net.pte", b"\x30\0\0\0ET12" + bytes(30), "an ExecuTorch program", ORIGINAL),
    "RKNN": ("net.rknn", b"RKNN" + bytes(30), "a network of RKNN", ORIGINAL),
    "TensorFlow.js": (
        "model.json",
        b'{"format": "graph-model", "modelTopology": {}}',
        r"a network of TensorFlow\.js",
        "tf2onnx",
    ),
    "ONNX as weights": ("net.onnx", ONNX, "an ONNX network", "write onnx:FILE"),
    "TFLite as weights": ("net.tflite", b"\x1c\0\0\0TFL3" + bytes(40), "a TFLite network", "write tflite:FILE"),
    "TorchScript": (
        "net.pt",
        zipped("net/data.pkl", "net/constants.pkl", "net/version"),
        "a TorchScript archive",
        "write torchscript:FILE",
    ),
    "torch.export": (
        "net.bin",
        zipped("net/archive_format", "net/models/model.json"),
        r"a program of torch\.export",
        "write pt2:FILE",
    ),
    "git-lfs": (
        "w.pth",
        b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n",
        "a git-lfs pointer",
        "git lfs pull",
    ),
    "web page": (
        "w.pth",
        b"\n<!DOCTYPE html><html><title>Sign in</title>",
        "a web page, not the weights",
        "download the file itself",
    ),
    "refused download": (
        "w.pth",
        b'<?xml version="1.0"?><Error><Code>AccessDenied</Code></Error>',
        "the error of a download",
        "download the file again",
    ),
    "zip": (
        "a.zip",
        zipped("runs/best.pth", "runs/log.txt"),
        r"a zip archive of 2 files, but not of torch\.save",
        r"unpack it; give one of runs/best\.pth",
    ),
    "tar": ("a.tar", b"a/b".ljust(257, b"\0") + b"ustar\0" + bytes(300), "a tar archive", "unpack it"),
    "gzip": ("a.pth.gz", b"\x1f\x8b\x08\0", "compressed with gzip", "unpack it"),
    "7z": ("a.7z", b"7z\xbc\xaf\x27\x1c\0\4", "a 7z archive", "unpack it"),
    "picture": ("a.png", b"\x89PNG\r\n\x1a\n\0", "a PNG image", "predictions:FOLDER"),
}
"""Name, bytes, what it is called, and what to do; FILE and DIR stand for its path and folder."""


def expected(text: str, path: Path) -> str:
    return text.replace("FILE", re.escape(str(path))).replace("DIR", re.escape(str(path.parent)))


@pytest.mark.parametrize("name", FILES)
def test_files_are_named_with_what_helps(name: str, tmp_path: Path) -> None:
    file, content, kind, remedy = FILES[name]
    path = tmp_path / file
    path.write_bytes(content)
    with pytest.raises(CheckpointError) as raised:
        read_weights(path)
    message = str(raised.value)
    assert message.startswith(f"{path}: this is ")
    assert re.search(kind, message), message
    assert re.search(expected(remedy, path), message), message
    assert "damaged" not in message
    assert "\n" not in message


ALONE = [name for name, (file, *_) in FILES.items() if not file.endswith((".onnx", ".tflite", ".pth"))]


@pytest.mark.parametrize("name", [*ALONE, "Edge TPU"])
def test_the_first_command_names_them_too(name: str, tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    file, content, kind, _ = FILES[name]
    (tmp_path / file).write_bytes(content)
    assert run(["checkpoints", "show", str(tmp_path / file)]) == 1
    error = capsys.readouterr().err
    assert re.search(kind, " ".join(error.split())), error


def folder_of(tmp_path: Path, **files: bytes) -> Path:
    for name, content in files.items():
        path = tmp_path / "net" / name.replace("__", "/")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    return tmp_path / "net"


FOLDERS: dict[str, tuple[dict[str, bytes], str, str]] = {
    "SavedModel": (
        {"saved_model.pb": SAVED, "variables__variables.index": b"x"},
        "a TensorFlow SavedModel",
        "--saved-model FILE --output FILE.onnx",
    ),
    "Core ML": (
        {"Manifest.json": b"{}", "Data__com.apple.CoreML__model.mlmodel": COREML},
        r"\(\.mlpackage\)",
        ORIGINAL,
    ),
    "OpenVINO": ({"net.xml": FILES["OpenVINO"][1], "net.bin": b"\0\1"}, "a network of OpenVINO", ORIGINAL),
    "ncnn": ({"model.ncnn.param": b"7767517\n1 1\n", "model.ncnn.bin": b"\0"}, "a network of ncnn", ORIGINAL),
    "Paddle": (
        {"inference.pdmodel": PADDLE, "inference.pdiparams": b"\0"},
        "a network of PaddlePaddle",
        "paddle2onnx --model_dir FILE",
    ),
    "Orbax": ({"_METADATA": b"{}", "manifest.ocdbt": b"x"}, "a checkpoint of Orbax", "jax2tf"),
    "TensorFlow checkpoint": (
        {"model.ckpt-1.index": b"x", "model.ckpt-1.data-00000-of-00001": b"x"},
        "a TensorFlow checkpoint",
        r"tf\.saved_model",
    ),
    "TensorFlow.js": ({"model.json": b"{}", "group1-shard1of1.bin": b"x"}, r"TensorFlow\.js", "tf2onnx"),
    "DeepSpeed": (
        {"zero_to_fp32.py": b"", "latest": b"global_step3"},
        "a checkpoint of DeepSpeed",
        "python FILE/zero_to_fp32.py FILE FILE-fp32",
    ),
    "PEFT": (
        {"adapter_config.json": b"{}", "adapter_model.safetensors": b"x"},
        "an adapter of PEFT",
        "merge_and_unload",
    ),
    "files": (
        {"best.ckpt": b"x", "last.ckpt": b"x", "log.txt": b"x"},
        "this is a folder",
        r"give the file with the weights: best\.ckpt, last\.ckpt",
    ),
}


@pytest.mark.parametrize("name", FOLDERS)
def test_folders_are_named_with_what_helps(name: str, tmp_path: Path) -> None:
    files, kind, remedy = FOLDERS[name]
    path = folder_of(tmp_path, **files)
    with pytest.raises(CheckpointError) as raised:
        read_weights(path)
    assert re.search(kind, str(raised.value)), str(raised.value)
    assert re.search(expected(remedy, path), str(raised.value)), str(raised.value)


def test_raw_weights_are_told_by_what_is_beside_them(tmp_path: Path) -> None:
    folder = folder_of(
        tmp_path, **{"a.xml": FILES["OpenVINO"][1], "a.bin": b"\x3c\0\1", "b.param": b"7767517\n", "b.bin": b"\0\7"}
    )
    for name, kind in (("a.bin", "weights of a.xml, a network of OpenVINO"), ("b.bin", "weights of b.param")):
        with pytest.raises(CheckpointError, match=kind):
            read_weights(folder / name)


@pytest.mark.parametrize("source", ["onnx", "tflite", "torchscript", "module", "pt2"])
def test_named_sources_say_what_a_file_is(source: str, tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    (tmp_path / "net.h5").write_bytes(FILES["Keras HDF5"][1])
    dataset = write_dataset(tmp_path / "toy", 1)
    assert run(["evaluate", f"{source}:{tmp_path / 'net.h5'}", f"folder:{dataset}", "--trust-code"]) == 1
    assert "net.h5: this is a Keras model in HDF5; convert it by" in " ".join(capsys.readouterr().err.split())


@pytest.mark.filterwarnings("ignore:`torch.jit.script` is deprecated")
def test_what_is_read_is_not_recognised_as_anything_else(tmp_path: Path) -> None:
    torch.save({"w": torch.zeros(3)}, tmp_path / "a.pth")
    torch.save({"w": torch.zeros(3)}, tmp_path / "b.pth", _use_new_zipfile_serialization=False)
    (tmp_path / "c.safetensors").write_bytes(b"\x10" + bytes(7) + json.dumps({"w": {}}).encode())
    (tmp_path / "d.npz").write_bytes(zipped("w.npy", "b.npy"))
    for name in ("a.pth", "b.pth", "c.safetensors", "d.npz", "nosuch.pth"):
        assert recognise(tmp_path / name) is None, name
    torch.jit.script(torch.nn.ReLU()).save(str(tmp_path / "e.pt"))
    assert recognise(tmp_path / "e.pt").source == "torchscript"  # type: ignore[union-attr]


@pytest.mark.parametrize("cut", [1, 2, 5, 9, 17])
@pytest.mark.parametrize("content", [FROZEN, ONNX, COREML, PADDLE, SAVED, FLAX, CAFFE], ids=str)
def test_cut_messages_are_refused_in_one_line(cut: int, content: bytes, tmp_path: Path) -> None:
    (tmp_path / "net.pb").write_bytes(content[:-cut])
    with pytest.raises(CheckpointError, match=r"net\.pb: this is "):
        read_weights(tmp_path / "net.pb")


@pytest.mark.parametrize("name", FILES)
def test_mutated_files_are_refused_in_one_line(name: str, tmp_path: Path) -> None:
    rng = np.random.default_rng(len(name))
    file, content, *_ = FILES[name]
    for _ in range(25):
        changed = bytearray(content)
        for place in rng.integers(len(content), size=3):
            changed[place] ^= 1 << int(rng.integers(8))
        (tmp_path / file).write_bytes(changed[: rng.integers(1, len(content) + 1)])
        with pytest.raises(CheckpointError) as raised:
            read_weights(tmp_path / file)
        assert "\n" not in str(raised.value)
