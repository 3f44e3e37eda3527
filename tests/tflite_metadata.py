"""Metadata written into TFLite files as tflite-support does: a table in a buffer, label files in a zip behind it."""

import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from tflite_networks import flatbuffers, schema

Fields = dict[int, Any]
"""Values by the number of the field in the schema: text, int (8 bits), floats, a mapping (a table), or mappings."""


def with_metadata(
    path: Path, mean: Sequence[float], std: Sequence[float], labels: Sequence[str] | None, name: str = "labels.txt"
) -> Path:
    """Add mean and std of the input, and a label file of the output, named even where `labels` is None."""
    normalisation = {0: 1, 1: {0: list(mean), 1: list(std)}}
    tensor_in, tensor_out = {0: "image", 4: [normalisation]}, {0: "scores", 6: [{0: name, 2: 2}]}
    content = written({0: "net", 3: [{2: [tensor_in], 3: [tensor_out]}]}, b"M001")
    model = schema.ModelT.InitFromObj(schema.Model.GetRootAs(bytearray(path.read_bytes()), 0))
    buffer, entry = schema.BufferT(), schema.MetadataT()
    buffer.data = np.frombuffer(content, np.uint8)
    entry.name, entry.buffer = "TFLITE_METADATA", len(model.buffers)
    model.buffers.append(buffer)
    model.metadata = [entry]
    builder = flatbuffers.Builder(0)
    builder.Finish(model.Pack(builder), b"TFL3")
    path.write_bytes(bytes(builder.Output()))
    if labels is not None:
        with zipfile.ZipFile(path, "a") as archive:
            archive.writestr(name, "\n".join(labels))
    return path


def written(fields: Fields, mark: bytes) -> bytes:
    """Return a file whose root is this table."""
    builder = flatbuffers.Builder(0)
    builder.Finish(_table(builder, fields), mark)
    return bytes(builder.Output())


def _table(builder: Any, fields: Fields) -> int:
    children = {number: _child(builder, value) for number, value in fields.items() if not isinstance(value, int)}
    builder.StartObject(max(fields) + 1)
    for number, value in fields.items():
        if isinstance(value, int):
            builder.PrependUint8Slot(number, value, 0)
        else:
            builder.PrependUOffsetTRelativeSlot(number, children[number], 0)
    return builder.EndObject()


def _child(builder: Any, value: Any) -> int:
    if isinstance(value, str):
        return builder.CreateString(value)
    if isinstance(value, dict):
        return _table(builder, value)
    if isinstance(value[0], float):
        return builder.CreateNumpyVector(np.array(value, np.float32))
    places = [_table(builder, entry) for entry in value]
    builder.StartVector(4, len(places), 4)
    for place in reversed(places):
        builder.PrependUOffsetTRelative(place)
    return builder.EndVector()
