"""Folders by the files in them.

Documented: SavedModel (tensorflow.org/guide/saved_model), Core ML packages (apple.github.io/coremltools), Orbax
(orbax.readthedocs.io, "Checkpoint format"), DeepSpeed (deepspeed.readthedocs.io, "Model Checkpointing"), adapters of
PEFT (huggingface.co/docs/peft, "PEFT checkpoint format").
"""

import os
from pathlib import Path

from segablate.errors import shorten
from segablate.weights.recognition.description import ORIGINAL, Recognised, Sample, onnx_beside, quoted, through_tf2onnx

WEIGHTS = (".pth", ".pt", ".ckpt", ".safetensors", ".onnx", ".tflite", ".pt2", ".bin", ".tar")


def recognise_folder(folder: Path) -> Recognised | None:
    """Return what a folder holds, or None."""
    try:
        names = set(os.listdir(folder))
    except OSError:
        return None
    return _of_tensorflow(folder, names) or _of_others(folder, names) or _by_suffixes(folder, names)


def single_weights(folder: Path) -> str:
    """Say which files in a folder may be the weights."""
    found = sorted(name for name in os.listdir(folder) if name.lower().endswith(WEIGHTS))
    return f"give the file with the weights: {shorten(found, 4)}" if found else "give the file with the weights"


def _of_tensorflow(folder: Path, names: set[str]) -> Recognised | None:
    if "saved_model.pb" in names:
        remedy = through_tf2onnx(f"--saved-model {quoted(folder)}", folder)
        return Recognised("a TensorFlow SavedModel", remedy)
    if "model.json" in names and any(name.startswith("group1-shard") for name in names):
        return Recognised(
            "a network of TensorFlow.js",
            "convert the SavedModel or Keras model that it was made from by python -m tf2onnx.convert",
        )
    if any(name.endswith(".index") for name in names) and any(".data-0000" in name for name in names):
        return Recognised(
            "a TensorFlow checkpoint, which holds no network",
            "load it in TensorFlow, save the model by tf.saved_model.save(model, FOLDER), and convert it by python -m "
            "tf2onnx.convert --saved-model FOLDER --output net.onnx",
        )
    return None


def _of_others(folder: Path, names: set[str]) -> Recognised | None:
    if "Manifest.json" in names and (folder / "Data" / "com.apple.CoreML").is_dir():
        return Recognised("a Core ML network (.mlpackage)", ORIGINAL)
    if "coremldata.bin" in names:
        return Recognised("a compiled Core ML network (.mlmodelc)", ORIGINAL)
    if names & {"manifest.ocdbt", "_CHECKPOINT_METADATA", "_METADATA"}:
        return Recognised(
            "a checkpoint of Orbax (JAX, Flax)",
            "export the function with its parameters by jax2tf as a SavedModel, and convert that by python -m "
            "tf2onnx.convert --saved-model FOLDER --output net.onnx",
        )
    if "zero_to_fp32.py" in names or any(name.endswith("_optim_states.pt") for name in names):
        target = folder.with_name(f"{folder.name}-fp32")
        start = folder if "zero_to_fp32.py" in names else folder.parent
        script = quoted(start / "zero_to_fp32.py")
        return Recognised(
            "a checkpoint of DeepSpeed",
            f"join it by python {script} {quoted(start)} {quoted(target)}, and give that folder",
        )
    if "adapter_config.json" in names:
        return Recognised(
            "an adapter of PEFT, which holds no whole network",
            "merge it by model.merge_and_unload(), save it by save_pretrained, and write hf:FOLDER",
        )
    return None


def _by_suffixes(folder: Path, names: set[str]) -> Recognised | None:
    """Recognise folders, such as those that Ultralytics exports, by the kind of the first file with a known suffix."""
    for name in sorted(names):
        if name.endswith(".pdmodel") or (name.endswith(".json") and f"{Path(name).stem}.pdiparams" in names):
            target = onnx_beside(folder)
            return Recognised(
                "a network of PaddlePaddle",
                f"convert it by paddle2onnx --model_dir {quoted(folder)} --model_filename {name} --params_filename "
                f"{Path(name).stem}.pdiparams --save_file {target}, and evaluate {target}",
            )
        beginning = Sample.of(folder / name) if name.endswith((".xml", ".param")) else None
        if beginning and b"<net" in beginning.head[:400] and b"<layers>" in beginning.head:
            return Recognised("a network of OpenVINO (IR)", ORIGINAL)
        if beginning and beginning.head.startswith(b"7767517"):
            return Recognised("a network of ncnn", ORIGINAL)
    return None
