"""Protocol buffers, which have no magic number, by the fields of their outermost message.

Documented: the encoding (protobuf.dev, "Encoding"), and the messages in onnx/onnx.proto3 (ModelProto),
saved_model.proto and graph.proto of tensorflow/core (SavedModel, GraphDef), coremltools/mlmodel/format/Model.proto,
framework.proto of paddle/fluid/framework (ProgramDesc) and caffe/proto/caffe.proto (NetParameter).
"""

import mmap
from collections.abc import Iterator
from typing import NamedTuple

from segablate.weights.recognition.beginnings import paddle_remedy
from segablate.weights.recognition.description import (
    ORIGINAL,
    Recognised,
    Sample,
    onnx_beside,
    opened_as,
    quoted,
    through_tf2onnx,
)

MOST_FIELDS = 50_000
"""Most fields of a message that are looked at: a node of a graph is one field."""

COREML_NETWORKS = range(200, 4000)
"""Field numbers of the kinds of networks in Core ML's Model: 500 neuralNetwork, 502 mlProgram, 202 pipeline, ..."""


class Field(NamedTuple):
    """A field of a message: its number, its value where it is a number, and where its bytes are."""

    number: int
    value: int | None
    start: int
    end: int


class NotAMessage(Exception):
    """Bytes that are no message."""


Buffer = mmap.mmap | bytes


def by_messages(sample: Sample) -> Recognised | None:
    """Return the kind of a protocol buffer, or None."""
    if sample.head[0] not in (0x08, 0x0A):  # field 1, a number or bytes
        return None
    with sample.path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as buffer:
        try:
            fields = list(_fields(buffer, 0, len(buffer)))
            return _model(sample, buffer, fields) or _graph(sample, buffer, fields)
        except NotAMessage:
            return None


def _model(sample: Sample, buffer: Buffer, fields: list[Field]) -> Recognised | None:
    """Recognise messages that begin with a version."""
    numbers = {field.number for field in fields}
    if fields[0].value is None:
        return None
    if {7, 8} <= numbers and numbers <= {*range(1, 9), 14, 20, 25, 26}:
        return opened_as("an ONNX network", "onnx", sample.path)
    if any(number in COREML_NETWORKS for number in numbers) and 2 in numbers:
        return Recognised("a Core ML network (.mlmodel)", ORIGINAL)
    if numbers == {1, 2} and fields[0].value == 1:
        folder = sample.path.parent
        return Recognised(
            "the graph of a TensorFlow SavedModel", through_tf2onnx(f"--saved-model {quoted(folder)}", folder)
        )
    return None


def _graph(sample: Sample, buffer: Buffer, fields: list[Field]) -> Recognised | None:
    """Recognise messages that begin with a list of nodes, blocks or layers, or a name."""
    numbers = {field.number for field in fields}
    first = fields[0]
    if first.value is not None:
        return None
    if 100 in numbers or (numbers <= {1, 2, 3, 4, 5, 6, 7, 8, 100} and 2 in numbers and _is_text(buffer, first)):
        return Recognised("a file of Caffe weights (.caffemodel)", ORIGINAL)
    inner = list(_fields(buffer, first.start, first.end))
    if [field.number for field in inner[:2]] == [1, 2] and inner[0].value == 0 and numbers <= {1, 2, 3, 4, 5}:
        path = sample.path
        remedy = paddle_remedy(sample, path.name, f"{path.stem}.pdiparams", onnx_beside(path))
        return Recognised("a network of PaddlePaddle", remedy)
    if inner and inner[0].number == 1 and inner[0].value is None and numbers <= {1, 2, 3, 4, 5}:
        ends = _ends(buffer, [field for field in fields if field.number == 1])
        options = f"--graphdef {quoted(sample.path)} {ends}"
        return Recognised("a frozen graph of TensorFlow", through_tf2onnx(options, sample.path))
    return None


def _ends(buffer: Buffer, nodes: list[Field]) -> str:
    """Return the options of tf2onnx for inputs and outputs of a graph: placeholders, and nodes that no other reads."""
    names, inputs, read = [], [], set[str]()
    for node in nodes:
        parts = {1: "", 2: ""}
        for field in _fields(buffer, node.start, node.end):
            if field.number in parts:
                parts[field.number] = _text(buffer, field)
            elif field.number == 3:
                read.add(_text(buffer, field).lstrip("^").partition(":")[0])
        names.append(parts[1])
        if parts[2] == "Placeholder":
            inputs.append(parts[1])
    outputs = [name for name in names if name not in read and name not in inputs]
    given, taken = (",".join(f"{name}:0" for name in found[:4]) or "NAME:0" for found in (inputs, outputs))
    return f"--inputs {given} --outputs {taken}"


def _is_text(buffer: Buffer, field: Field) -> bool:
    return field.end - field.start < 200 and all(32 <= byte < 127 for byte in buffer[field.start : field.end])


def _text(buffer: Buffer, field: Field) -> str:
    text = bytes(buffer[field.start : min(field.end, field.start + 200)]).decode("utf-8", "replace")
    return "".join(letter if letter.isprintable() and letter not in " '\"$`\\;&|<>" else "?" for letter in text)


def _fields(buffer: Buffer, start: int, end: int) -> Iterator[Field]:
    """Yield the fields of a message. Raises NotAMessage where the bytes are none."""
    for _ in range(MOST_FIELDS):
        if start == end:
            return
        key, start = _varint(buffer, start, end)
        number, kind = key >> 3, key & 7
        value = None
        if kind == 0:
            value, stop = _varint(buffer, start, end)
        elif kind == 2:
            length, start = _varint(buffer, start, end)
            stop = start + length
        else:
            stop = start + {1: 8, 5: 4}.get(kind, end)
        if number == 0 or stop > end:
            raise NotAMessage
        yield Field(number, value, start, stop)
        start = stop


def _varint(buffer: Buffer, start: int, end: int) -> tuple[int, int]:
    """Return a number of 7 bits a byte, lowest first, and where it ends."""
    value = 0
    for place in range(start, min(start + 10, end)):
        value |= (buffer[place] & 0x7F) << 7 * (place - start)
        if buffer[place] < 0x80:
            return value, place + 1
    raise NotAMessage
