"""Zip archives by their members.

Documented: ``.keras`` in keras/src/saving/saving_lib.py, TorchScript in torch/csrc/jit/serialization, ``.pt2`` in
torch/export/pt2_archive, model archives in TorchServe's model-archiver.
"""

from segablate.archives import member_names
from segablate.errors import counted, shorten
from segablate.weights.recognition.description import Recognised, Sample, opened_as, quoted, through_tf2onnx

WEIGHTS = (".pth", ".pt", ".ckpt", ".safetensors", ".onnx", ".tflite", ".bin", ".h5", ".pb", ".mlmodel", ".tar", ".zip")
"""Suffixes of files that people put into zip archives."""


def by_members(sample: Sample) -> Recognised | None:
    """Return the kind of a zip archive other than those of torch.save and numpy.savez, or None."""
    if not sample.head.startswith(b"PK"):
        return None
    names = member_names(sample.path)
    if not names:
        return None  # damaged, which its reader says
    plain = {name.partition("/")[2] or name for name in names} | set(names)
    if {"metadata.json", "config.json", "model.weights.h5"} <= plain:
        return Recognised("a Keras model (.keras)", through_tf2onnx(f"--keras {quoted(sample.path)}", sample.path))
    if "constants.pkl" in plain:
        return opened_as("a TorchScript archive", "torchscript", sample.path)
    if "archive_format" in plain or "serialized_exported_program.json" in plain:
        return opened_as("a program of torch.export", "pt2", sample.path)
    if "data.pkl" in plain or all(name.endswith(".npy") for name in names):
        return None
    if any(name.endswith("saved_model.pb") for name in names):
        return Recognised("a zip archive with a TensorFlow SavedModel", "unpack it, and give the folder")
    if any(name.endswith("com.apple.CoreML/model.mlmodel") for name in names):
        return Recognised("a zip archive with a Core ML package", "unpack it, and give the folder")
    wanted = [name for name in names if name.lower().endswith(WEIGHTS)]
    files = f"; give one of {shorten(wanted)}" if wanted else ""
    return Recognised(f"a zip archive of {counted(len(names), 'file')}, but not of torch.save", f"unpack it{files}")
