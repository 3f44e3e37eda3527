"""Text files: descriptions of networks, pointers and pages in the place of weights.

Documented: pointers of git-lfs (git-lfs/docs/spec.md), OpenVINO's IR (docs.openvino.ai, "OpenVINO IR format"), ncnn's
``.param`` (ncnn wiki, "param and model file structure": the first line is 7767517), Paddle's PIR (paddle/fluid/
pir/serialize_deserialize), TensorFlow.js (tensorflow/tfjs-converter), Caffe (src/caffe/proto/caffe.proto).
"""

import re

from segablate.weights.recognition.beginnings import paddle_remedy
from segablate.weights.recognition.description import ORIGINAL, Recognised, Sample, onnx_beside

PRINTABLE = frozenset(range(32, 256)) | frozenset(b"\t\n\r\f")


def by_text(sample: Sample) -> Recognised | None:
    """Return the kind of a text file, or None."""
    head = sample.head
    if sample.path.suffix == ".bin" and not PRINTABLE.issuperset(head):
        return _beside(sample)
    if not PRINTABLE.issuperset(head[:1024]):
        return None
    return _pointer(sample) or _description(sample)


def _pointer(sample: Sample) -> Recognised | None:
    head, start = sample.head, sample.head.lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    if head.startswith(b"version https://git-lfs.github.com/spec/"):
        return Recognised("a git-lfs pointer, not the weights", "run git lfs pull")
    if start.startswith((b"<!doctype html", b"<html")):
        return Recognised("a web page, not the weights", "download the file itself")
    if start.startswith(b"<?xml") and (b"<error>" in start[:400] or b"accessdenied" in start):
        return Recognised(
            "the error of a download, not the weights", "open it in an editor, and download the file again"
        )
    return None


def _description(sample: Sample) -> Recognised | None:
    head, name = sample.head, sample.path.name
    if re.match(rb"\s*(<\?xml[^>]*>\s*)?(<!--.*?-->\s*)*<net\b", head, re.DOTALL) and b"<layers>" in head:
        return Recognised("a network of OpenVINO (IR)", ORIGINAL)
    if head.startswith(b"7767517"):
        return Recognised("the description of a network of ncnn or PNNX", ORIGINAL)
    if re.match(rb'\s*\{\s*"base_code"\s*:\s*\{\s*"magic"\s*:\s*"pir"', head):
        parameters = f"{sample.path.stem}.pdiparams"
        remedy = paddle_remedy(sample, name, parameters, onnx_beside(sample.path))
        return Recognised("a network of PaddlePaddle (PIR)", remedy)
    if re.search(rb'"format"\s*:\s*"(graph|layers)-model"', head) or b'"modelTopology"' in head[:400]:
        return Recognised(
            "a network of TensorFlow.js",
            "convert the SavedModel or Keras model that it was made from by python -m tf2onnx.convert",
        )
    if re.search(rb"^(layers?|input_param|input_dim)\s*[:{]", head, re.MULTILINE) and name.endswith(".prototxt"):
        return Recognised("the description of a network of Caffe", ORIGINAL)
    if re.match(rb"\s*node\s*\{", head) and name.endswith(".pbtxt"):
        return Recognised("a TensorFlow graph as text", "write it in binary form, and convert that by tf2onnx")
    return None


def _beside(sample: Sample) -> Recognised | None:
    """Return the kind of raw weights, which nothing but the description beside them tells."""
    if (xml := sample.path.with_suffix(".xml")).is_file():
        described = Sample.of(xml)
        found = _description(described) if described else None
        return Recognised(f"the file of weights of {xml.name}, a network of OpenVINO (IR)", ORIGINAL) if found else None
    for param in (sample.path.with_suffix(".param"), sample.path.with_name(f"{sample.path.stem}.ncnn.param")):
        described = Sample.of(param)
        if described and described.head.startswith(b"7767517"):
            return Recognised(f"the file of weights of {param.name}, a network of ncnn", ORIGINAL)
    return None
