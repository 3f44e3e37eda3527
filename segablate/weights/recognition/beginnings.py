"""Files that are known by their first or last bytes.

Documented: HDF5 (docs.hdfgroup.org, "Superblock"), Keras's attributes (keras/src/legacy/saving/legacy_h5_format.py),
FlatBuffers identifiers at bytes 4..8 (``TFL3`` in tensorflow/compiler/mlir/lite/schema/schema.fbs, ``ORTM`` in
onnxruntime/core/flatbuffers/schema/ort.fbs, ``ET12`` in executorch/schema/program.fbs), GGUF (ggml/docs/gguf.md), the
index of TensorFlow checkpoints (tensorflow/core/lib/io/format.h, kTableMagicNumber), MATLAB's files ("MAT-File
Format"), archives (the magic numbers of their formats), Paddle's parameters (paddle/fluid/framework/lod_tensor.cc,
SerializeToStream). TensorRT documents no layout: its plans begin with ``ptrt`` or ``ftrt``, and Ultralytics writes the
length of a JSON text and that text before them (ultralytics/engine/exporter.py).
"""

import json
import re

from segablate.weights.recognition.description import (
    ORIGINAL,
    Recognised,
    Sample,
    onnx_beside,
    opened_as,
    quoted,
    through_tf2onnx,
)

ARCHIVES = (
    (0, b"\x1f\x8b", "compressed with gzip"),
    (0, b"BZh", "compressed with bzip2"),
    (0, b"\xfd7zXZ\0", "compressed with xz"),
    (0, b"\x28\xb5\x2f\xfd", "compressed with Zstandard"),
    (0, b"7z\xbc\xaf\x27\x1c", "a 7z archive"),
    (0, b"Rar!\x1a\x07", "a RAR archive"),
)

PICTURES = ((b"\x89PNG\r\n\x1a\n", "a PNG image"), (b"\xff\xd8\xff", "a JPEG image"), (b"%PDF-", "a PDF document"))

TABLE_END = b"\x57\xfb\x80\x8b\x24\x75\x47\xdb"
"""The last bytes of the index of a TensorFlow checkpoint."""

PLANS = (b"ptrt", b"ftrt")


def by_beginning(sample: Sample) -> Recognised | None:
    """Return the kind of a file with a magic number, or None."""
    return (
        _mistaken(sample)
        or _hdf5(sample)
        or _flatbuffer(sample)
        or _tensorrt(sample)
        or _checkpoint_of_tensorflow(sample)
        or _others(sample)
    )


def _mistaken(sample: Sample) -> Recognised | None:
    for place, magic, name in ARCHIVES:
        if sample.head[place:].startswith(magic):
            return Recognised(name, "unpack it first")
    for magic, name in PICTURES:
        if sample.head.startswith(magic):
            return Recognised(name, "give the weights; for a folder of predicted label maps, write predictions:FOLDER")
    return None


def _hdf5(sample: Sample) -> Recognised | None:
    if sample.head.startswith(b"MATLAB 7.3") or sample.head.startswith(b"MATLAB 5.0"):
        remedy = f'for a network, export it in MATLAB by exportONNXNetwork(net, "{sample.path.stem}.onnx")'
        return Recognised("a MATLAB file (.mat)", f"{remedy}; for label maps, write predictions:FOLDER")
    if not sample.head.startswith(b"\x89HDF\r\n\x1a\n"):
        return None
    keras = sample.holds(b"keras_version") or sample.holds(b"layer_names")
    if sample.holds(b"model_config"):
        return Recognised("a Keras model in HDF5", through_tf2onnx(f"--keras {quoted(sample.path)}", sample.path))
    if keras or sample.path.name.endswith(".weights.h5"):
        return Recognised(
            "a file of Keras weights, without their network",
            "load them into the Keras model by model.load_weights, and export it by "
            'model.export("net.onnx", format="onnx")',
        )
    return Recognised("an HDF5 file", 'if it is of Keras, export the model by model.export("net.onnx", format="onnx")')


def _flatbuffer(sample: Sample) -> Recognised | None:
    identifier = sample.head[4:8]
    if identifier == b"TFL3":
        if sample.holds(b"edgetpu-custom-op"):
            return Recognised(
                "a TFLite file compiled for the Edge TPU",
                "evaluate the .tflite file that edgetpu_compiler was given, the one without _edgetpu in its name",
            )
        return opened_as("a TFLite network", "tflite", sample.path)
    if identifier == b"ORTM":
        return opened_as("a network in ONNX Runtime's format", "onnx", sample.path)
    if identifier[:2] == b"ET" and identifier[2:].isdigit():
        return Recognised("an ExecuTorch program", ORIGINAL)
    if sample.path.suffix.lower() == ".mnn" or _is_mnn(sample.head):
        return Recognised("a network of MNN", ORIGINAL)
    return None


def _is_mnn(head: bytes) -> bool:
    """Return whether a FlatBuffer without identifier has the random UUID of MNN (schema/default/MNN.fbs, mnn_uuid)."""
    root = int.from_bytes(head[:4], "little")
    return (
        8 <= root <= 64 and re.search(rb"\x24\0\0\0[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}\0", head[:512]) is not None
    )


def _tensorrt(sample: Sample) -> Recognised | None:
    length = int.from_bytes(sample.head[:4], "little")
    described = sample.head[4 : 4 + length] if length < len(sample.head) else b""
    if not sample.head.startswith(PLANS) and not (described and sample.head[4 + length :].startswith(PLANS)):
        return None
    if _is_of_ultralytics(described):
        return Recognised(
            "a TensorRT engine of Ultralytics",
            "it runs only on the GPU and version it was built for: export its .pt file by yolo export model=FILE.pt "
            "format=onnx, and evaluate the .onnx file",
        )
    return Recognised(
        "a TensorRT engine",
        "it runs only on the GPU and version it was built for: evaluate the .onnx file that it was built from",
    )


def _is_of_ultralytics(described: bytes) -> bool:
    try:
        return isinstance(json.loads(described), dict)
    except ValueError:
        return False


def _checkpoint_of_tensorflow(sample: Sample) -> Recognised | None:
    name = sample.path.name
    if sample.tail.endswith(TABLE_END) or name.endswith(".ckpt.index") or ".data-00000-of-0000" in name:
        return Recognised(
            "a part of a TensorFlow checkpoint, which holds no network",
            "load it in TensorFlow, save the model by tf.saved_model.save(model, FOLDER), and convert it by python -m "
            "tf2onnx.convert --saved-model FOLDER --output net.onnx",
        )
    return None


def _others(sample: Sample) -> Recognised | None:
    head, path = sample.head, sample.path
    if head.startswith(b"GGUF"):
        return Recognised("a GGUF file", "give the PyTorch or safetensors weights that it was quantised from")
    if head.startswith(b"RKNN"):
        return Recognised("a network of RKNN", ORIGINAL)
    if head.startswith(b"\x93NUMPY"):
        return Recognised("a NumPy array", "give a .npz file with one array for each key of the state_dict")
    if head[257:262] == b"ustar" and b"storages" not in head[:100] and b"sys_info" not in head[:100]:
        return Recognised("a tar archive", "unpack it first")
    if _is_flax(head):
        return Recognised(
            "a file of Flax parameters (MessagePack)",
            "export the function with its parameters by jax2tf as a SavedModel, and convert that by python -m "
            "tf2onnx.convert --saved-model FOLDER --output net.onnx",
        )
    if path.suffix.lower() == ".pdiparams" or (head[:16] == bytes(16) and b"\x08" in head[20:21]):
        target = onnx_beside(path)
        model = f"{path.stem}.pdmodel" if path.with_suffix(".pdmodel").exists() else f"{path.stem}.json"
        return Recognised("a file of PaddlePaddle's parameters", paddle_remedy(sample, model, path.name, target))
    return None


def paddle_remedy(sample: Sample, model: str, parameters: str, target: str) -> str:
    """Return the remedy of converting by paddle2onnx."""
    return (
        f"convert it by paddle2onnx --model_dir {quoted(sample.path.parent)} --model_filename {model} "
        f"--params_filename {parameters} --save_file {target}, and evaluate {target}"
    )


def _is_flax(head: bytes) -> bool:
    """Return whether a file begins with a map whose first key is text, as flax.serialization writes parameters.

    MessagePack (github.com/msgpack/msgpack, spec.md): 0x80..0x8f and 0xde begin a map, 0xa0..0xbf and 0xd9 text;
    flax writes arrays as extension 1 (flax/serialization.py).
    """
    begins = 0x81 <= head[0] <= 0x8F or head[:1] == b"\xde"
    place = 3 if head[:1] == b"\xde" else 1
    text = head[place : place + 1]
    return (
        begins
        and (b"\xa1" <= text <= b"\xbf" or text == b"\xd9")
        and any(mark in head for mark in (b"\xc7", b"\xc8", b"\xc9"))
    )
