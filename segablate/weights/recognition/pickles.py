"""Pickled objects of other libraries, by the names in the first bytes of a pickle; nothing is unpickled.

A pickle names classes as text (docs.python.org, ``pickletools``): ``GLOBAL`` up to protocol 3, two strings and
``STACK_GLOBAL`` from protocol 4 on. Ultralytics pickles its networks as ``ultralytics.nn.tasks.*Model``
(ultralytics/engine/trainer.py), YOLOv5 as ``models.yolo.*``, fastai's ``Learner.export`` the learner.
"""

import re
from pickletools import genops

from segablate.archives import damage_named, opened_zip
from segablate.errors import SegablateError
from segablate.weights.recognition.description import Recognised, Sample, quoted

PICKLE_BYTES = 1 << 24
"""Most bytes of the pickle of a zip archive that are searched."""

OPERATIONS = 200
"""Most instructions of a pickle that are looked at for its first name."""

_NEXT = rb"(?:\n|\x94?\x8c.)"
"""What is between module and class: the line break of ``GLOBAL``, or the head of a short string."""

_ULTRALYTICS = re.compile(rb"ultralytics\.nn\.\w+" + _NEXT + rb"(\w+Model)\b", re.DOTALL)
_YOLOV5 = re.compile(rb"\bmodels\.yolo" + _NEXT + rb"\w*Model\b|cmodels\.yolo\n\w*Model\b", re.DOTALL)
_FASTAI = re.compile(rb"fastai\.[\w.]+" + _NEXT + rb"Learner\b", re.DOTALL)

NO_NETWORKS = ("sklearn", "joblib", "xgboost", "lightgbm", "catboost", "pandas", "scipy")
FRAMEWORKS = ("keras", "tensorflow", "paddle", "jax", "flax", "mxnet", "chainer")


def by_pickle(sample: Sample) -> Recognised | None:
    """Return what a pickle or a file of torch.save holds, where that is an object of a known library; else None."""
    if sample.head.startswith(b"PK"):
        pickle = _member(sample)
        return _of_torch(pickle, sample) if pickle else None
    if sample.head[:1] != b"\x80":
        return None
    if sample.holds(b"StructuredToParameterName@@"):
        return Recognised(
            "a file of PaddlePaddle's parameters (.pdparams), without their network",
            "load them into the network, write it by paddle.jit.save(network, 'out/net', input_spec=[...]), and "
            "convert that by paddle2onnx",
        )
    if found := _of_torch(sample.head, sample):
        return found
    name = first_name(sample.head)
    library = name.partition(".")[0]
    if library in NO_NETWORKS:
        return Recognised(f"a pickled {name}, not a segmentation network", "give the weights of one")
    if library in FRAMEWORKS:
        return Recognised(f"a pickled {name}", "export the network to ONNX with its own library")
    return None


def first_name(pickle: bytes) -> str:
    """Return the first class or function that a pickle names, or an empty text."""
    texts: list[str] = []
    try:
        for number, (opcode, argument, _) in enumerate(genops(pickle)):
            if opcode.name in ("GLOBAL", "INST"):
                return str(argument).replace(" ", ".")
            if opcode.name == "STACK_GLOBAL":
                return ".".join(texts[-2:])
            if isinstance(argument, str):
                texts.append(argument)
            if number == OPERATIONS:
                break
    except (ValueError, IndexError, UnicodeDecodeError):
        pass
    return ""


def _of_torch(pickle: bytes, sample: Sample) -> Recognised | None:
    if found := _ULTRALYTICS.search(pickle):
        return _of_ultralytics(found[1].decode("ascii", "replace"), sample)
    if _YOLOV5.search(pickle):
        command = f"python export.py --weights {quoted(sample.path)} --include onnx"
        return Recognised("a checkpoint of YOLOv5, a pickled network", f"export it in its repository by {command}")
    if _FASTAI.search(pickle):
        return Recognised(
            "a learner of fastai", "save its network's weights by torch.save(learn.model.state_dict(), 'weights.pth')"
        )
    return None


def _of_ultralytics(name: str, sample: Sample) -> Recognised:
    kind = f"a checkpoint of Ultralytics, a pickled {name}"
    if name != "SemanticSegmentationModel":
        return Recognised(
            f"{kind}, which has no class for each pixel",
            "give one of task=semantic, or write its masks as label maps and evaluate predictions:FOLDER",
        )
    target = quoted(sample.path.with_suffix(".onnx"))
    return Recognised(kind, f"export it by yolo export model={quoted(sample.path)} format=onnx, and evaluate {target}")


def _member(sample: Sample) -> bytes:
    """Return the beginning of the pickle in a file of torch.save."""
    try:
        with damage_named(), opened_zip(sample.path) as archive:
            names = [name for name in archive.namelist() if name.count("/") <= 1 and name.endswith("data.pkl")]
            if not names:
                return b""
            with archive.open(names[0]) as member:
                return member.read(PICKLE_BYTES)
    except SegablateError:
        return b""
