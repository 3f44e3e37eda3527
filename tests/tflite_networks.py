"""The same convolution as a TFLite file, put together from the tables of the format."""

from pathlib import Path
from typing import Any

import numpy as np
from conftest import optional
from exported_networks import BIAS, WEIGHT

flatbuffers, schema = optional("flatbuffers"), optional("ai_edge_litert.schema_py_generated")

TYPES = schema.TensorType
SCALE = 1 / 40
"""Of quantised weights."""

Quantisation = tuple[float, int]
"""Scale and zero point."""


def quantised_weight() -> np.ndarray:
    """The weights as multiples of the scale, classes, 3, 3, colours, in -127..127."""
    return np.rint(WEIGHT.transpose(0, 2, 3, 1) / SCALE).clip(-127, 127).astype(np.int8)


def write_tflite(
    path: Path,
    size: tuple[int, int] = (24, 32),
    *,
    dynamic: bool = False,
    argmax: bool = False,
    quantised: tuple[str, Quantisation, Quantisation] | None = None,
) -> Path:
    """N, H, W, 3 to N, H, W, 4, or with `argmax` to N, H, W.

    `quantised`: UINT8 or INT8, and scale and zero point of input and output.
    """
    sides, moving = [1, *size], [1, -1, -1] if dynamic else None
    kind = getattr(TYPES, quantised[0]) if quantised else TYPES.FLOAT32
    of_image, of_scores = quantised[1:] if quantised else (None, None)
    tensors = [
        tensor("image", [*sides, 3], kind, of_image, moving=moving),
        *(weights_of_integers(quantised[0], quantised[1][0]) if quantised else weights()),
        tensor("scores", [*sides, 4], kind, of_scores, moving=moving),
    ]
    operators = [(schema.BuiltinOperator.CONV_2D, convolution())]
    if argmax:
        axis = tensor("axis", [1], TYPES.INT32, values=np.array([3], np.int32))
        tensors += [axis, tensor("labels", sides, TYPES.INT64, moving=moving)]
        operators += [(schema.BuiltinOperator.ARG_MAX, largest())]
    path.write_bytes(packed(tensors, operators))
    return path


def tensor(
    name: str,
    shape: list[int],
    kind: int,
    quantisation: Quantisation | None = None,
    *,
    values: np.ndarray | None = None,
    moving: list[int] | None = None,
) -> tuple[Any, np.ndarray | None]:
    """A tensor and its values, where it is a constant; `moving`: its first sides as they may vary."""
    made = schema.TensorT()
    made.name, made.shape, made.type = name, shape, kind
    made.shapeSignature = [*moving, *shape[3:]] if moving else None
    if quantisation:
        made.quantization = schema.QuantizationParametersT()
        made.quantization.scale, made.quantization.zeroPoint = [quantisation[0]], [quantisation[1]]
    return made, values


def weights() -> list[tuple[Any, np.ndarray | None]]:
    weight = np.ascontiguousarray(WEIGHT.transpose(0, 2, 3, 1))
    kind = TYPES.FLOAT32
    return [tensor("weight", list(weight.shape), kind, values=weight), tensor("bias", [4], kind, values=BIAS)]


def weights_of_integers(kind: str, scale_of_image: float) -> list[tuple[Any, np.ndarray | None]]:
    zero = 128 if kind == "UINT8" else 0
    weight = (quantised_weight().astype(np.int16) + zero).astype(kind.lower())
    scale = scale_of_image * SCALE
    bias = np.rint(BIAS / scale).astype(np.int32)
    return [
        tensor("weight", list(weight.shape), getattr(TYPES, kind), (SCALE, zero), values=weight),
        tensor("bias", [4], TYPES.INT32, (scale, 0), values=bias),
    ]


def convolution() -> Any:
    made = schema.OperatorT()
    made.inputs, made.outputs = [0, 1, 2], [3]
    made.builtinOptionsType, made.builtinOptions = schema.BuiltinOptions.Conv2DOptions, schema.Conv2DOptionsT()
    made.builtinOptions.padding = schema.Padding.SAME
    made.builtinOptions.strideH = made.builtinOptions.strideW = 1
    made.builtinOptions.dilationHFactor = made.builtinOptions.dilationWFactor = 1
    return made


def largest() -> Any:
    made = schema.OperatorT()
    made.inputs, made.outputs = [3, 4], [5]
    made.builtinOptionsType, made.builtinOptions = schema.BuiltinOptions.ArgMaxOptions, schema.ArgMaxOptionsT()
    made.builtinOptions.outputType = TYPES.INT64
    return made


def packed(tensors: list[tuple[Any, np.ndarray | None]], operators: list[tuple[int, Any]]) -> bytes:
    """The file of a graph from its first tensor to its last."""
    model, graph = schema.ModelT(), schema.SubGraphT()
    model.version, model.subgraphs, model.buffers, model.operatorCodes = 3, [graph], [schema.BufferT()], []
    for made, values in tensors:
        made.buffer = 0
        if values is not None:
            made.buffer = len(model.buffers)
            model.buffers.append(schema.BufferT())
            model.buffers[-1].data = np.frombuffer(values.tobytes(), np.uint8)
    for place, (code, operator) in enumerate(operators):
        operator.opcodeIndex = place
        known = schema.OperatorCodeT()
        known.builtinCode = known.deprecatedBuiltinCode = code
        known.version = 3  # the first with int8
        model.operatorCodes.append(known)
    graph.tensors = [made for made, _ in tensors]
    graph.inputs, graph.outputs, graph.operators = [0], [len(tensors) - 1], [operator for _, operator in operators]
    builder = flatbuffers.Builder(1024)
    builder.Finish(model.Pack(builder), b"TFL3")
    return bytes(builder.Output())
