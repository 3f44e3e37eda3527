"""A small network, a 3x3 convolution of three colours to four classes, as an ONNX file that torch had no part in."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

RNG = np.random.default_rng(7)
WEIGHT = RNG.normal(size=(4, 3, 3, 3)).astype(np.float32)
"""Classes, colours, 3, 3."""
BIAS = RNG.normal(size=4).astype(np.float32)


def write_onnx(
    path: Path,
    shape: Sequence[int | str | None] = ("n", 3, "h", "w"),
    *,
    form: str = "scores",
    dtype: str = "FLOAT",
    beside: bool = False,
    inputs: int = 1,
) -> Path:
    """The convolution as ONNX.

    `form`: scores, half (at half the size), last (N, H, W, K), argmax (N, H, W), two (outputs "first" and "twice").
    A `shape` with the colours last is transposed inside. `dtype`: of the input; `beside`: the weights in another file.
    """
    import onnx
    from onnx import TensorProto, helper, numpy_helper

    graph_input = helper.make_tensor_value_info("image", getattr(TensorProto, dtype), list(shape))
    spare = [helper.make_tensor_value_info(f"spare{i}", TensorProto.FLOAT, [1]) for i in range(inputs - 1)]
    nodes, at = [], "image"
    if dtype != "FLOAT":
        nodes, at = [*nodes, helper.make_node("Cast", [at], ["real"], to=TensorProto.FLOAT)], "real"
    if shape[3] == 3:
        nodes, at = [*nodes, helper.make_node("Transpose", [at], ["turned"], perm=[0, 3, 1, 2])], "turned"
    stride = 2 if form == "half" else 1
    nodes.append(helper.make_node("Conv", [at, "weight", "bias"], ["first"], pads=[1] * 4, strides=[stride] * 2))
    endings = {
        "last": [helper.make_node("Transpose", ["first"], ["turned_back"], perm=[0, 2, 3, 1])],
        "argmax": [helper.make_node("ArgMax", ["first"], ["labels"], axis=1, keepdims=0)],
        "two": [helper.make_node("Add", ["first", "first"], ["twice"])],
    }
    nodes += endings.get(form, [])
    rank = 3 if form == "argmax" else 4
    kind = TensorProto.INT64 if form == "argmax" else TensorProto.FLOAT
    names = ["first", "twice"] if form == "two" else [nodes[-1].output[0]]
    outputs = [helper.make_tensor_value_info(name, kind, [None] * rank) for name in names]
    weights = [numpy_helper.from_array(WEIGHT, "weight"), numpy_helper.from_array(BIAS, "bias")]
    graph = helper.make_graph(nodes, "net", [graph_input, *spare], outputs, weights)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    more: dict[str, Any] = {"save_as_external_data": True, "location": f"{path.name}.data", "size_threshold": 0}
    onnx.save(model, str(path), **(more if beside else {}))
    return path
