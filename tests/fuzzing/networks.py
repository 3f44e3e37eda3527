"""Valid checkpoints of every format, for the four classes of the toy dataset."""

import json
import warnings
from pathlib import Path

import torch
import yaml
from conftest import CLASSES
from torch import nn

from .pictures import LABELS, as_npz, network, scene, write_pictures


def write_weights(root: Path) -> None:
    """State dicts for ``net.py``: of torch, of the torch before 1.6 (which holds addresses) and of safetensors."""
    from safetensors.torch import save_file

    write_pictures(root)
    state = network().state_dict()
    torch.save({"model": state, "epoch": 3, "best": (0.5, "a")}, root / "nested.pth")
    torch.save(state, root / "legacy.pth", _use_new_zipfile_serialization=False)
    save_file(state, root / "net.safetensors")
    torch.save(nn.Conv2d(3, 4, 1), root / "whole.pth")


def write_native(root: Path) -> None:
    """A file of the project's own, and weights for a network that it knows."""
    from segablate.checkpoints.preprocessing import Preprocessing
    from segablate.checkpoints.sources.native import save
    from segablate.networks import get_network

    write_pictures(root)
    torch.manual_seed(0)
    module = get_network("small")(4, width=4)
    described = {
        "architecture": "small",
        "arguments": {"num_classes": 4, "width": 4},
        "classes": list(CLASSES),
        "preprocessing": Preprocessing().plain(),
        "output": "softmax",
        "training": {"objective": "ce"},
    }
    save(root / "own.safetensors", module.state_dict(), described)
    torch.save(module.state_dict(), root / "small.pth")


def write_onnx(root: Path) -> None:
    """ONNX, with its weights inside and in a file beside it."""
    import exported_networks

    write_pictures(root)
    exported_networks.write_onnx(root / "net.onnx")
    exported_networks.write_onnx(root / "beside.onnx", beside=True)


def write_tflite(root: Path) -> None:
    """TFLite, of floats and of integers."""
    import tflite_networks

    write_pictures(root)
    tflite_networks.write_tflite(root / "net.tflite")
    tflite_networks.write_tflite(root / "integers.tflite", quantised=("INT8", (1 / 255, -128), (0.1, 0)))


def write_torchscript(root: Path) -> None:
    """A traced network."""
    write_pictures(root)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.jit.save(torch.jit.trace(nn.Conv2d(3, 4, 3, padding=1), torch.zeros(1, 3, 8, 8)), root / "net.ts")


def write_program(root: Path) -> None:
    """A program of ``torch.export``."""
    write_pictures(root)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        program = torch.export.export(nn.Conv2d(3, 4, 3, padding=1), (torch.zeros(1, 3, 24, 32),))
        torch.export.save(program, root / "net.pt2")


def write_card(root: Path) -> None:
    """A card for ``net.py``, and one with little in it."""
    write_pictures(root)
    card = {
        "source": "python:net.py:small(4)",
        "weights": "net.pth",
        "preprocessing": {
            "channels": "bgr", "scale": "1/255", "mean": [0.1, 0.2, 0.3], "std": [1, 1, 1], "divisor": 1.0,
            "resize": [24, 32], "pad_to_multiple": 8,
        },
        "output": "softmax",
        "head": None,
        "inference": {"window": [24, 32], "stride": 16, "flip": True},
        "classes": list(CLASSES),
        "class_map": {name: name for name in CLASSES},
        "key": None,
        "strip_prefix": None,
    }  # fmt: skip
    (root / "card.yaml").write_text(yaml.safe_dump(card, sort_keys=False))
    (root / "short.yaml").write_text("source: python:net.py:small(4)\nweights: net.pth\n")


def write_hf(root: Path) -> None:
    """A folder of transformers, with an image processor."""
    import hf_networks

    write_pictures(root)
    hf_networks.transformers.utils.logging.disable_progress_bar()
    torch.manual_seed(0)
    hf_networks.segformer().save_pretrained(root / "hf")
    name, settings = hf_networks.PROCESSORS["segformer"]
    hf_networks.processor(name)(**settings).save_pretrained(root / "hf")


def write_smp(root: Path) -> None:
    """A folder of segmentation_models_pytorch."""
    import segmentation_models_pytorch as smp
    from safetensors.torch import save_file

    write_pictures(root)
    torch.manual_seed(0)
    arguments = {"encoder_name": "tu-test_resnet", "decoder_channels": [8, 8, 8, 8, 8], "in_channels": 3, "classes": 4}
    (root / "smp").mkdir()
    save_file(smp.Unet(**arguments, encoder_weights=None).state_dict(), root / "smp/model.safetensors")
    said = {"_model_class": "Unet", **arguments, "encoder_weights": None, "activation": None}
    (root / "smp/config.json").write_text(json.dumps(said))


def write_predictions(root: Path) -> None:
    """Predictions as label maps in several formats, and as scores."""
    write_pictures(root)
    kinds = {name: LABELS[name] for name in ("palette", "npy", "mat", "tif", "gif")} | {"npz": (".npz", as_npz)}
    for name, (suffix, writer) in kinds.items():
        (root / name).mkdir()
        for index in range(3):
            (root / name / f"s{index}{suffix}").write_bytes(writer(scene(index)[1] % 4))
