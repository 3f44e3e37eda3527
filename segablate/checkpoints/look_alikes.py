"""The network whose weights a state dict seems to hold, by distinctive keys, and the specification that loads it."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from segablate.checkpoints.encoder_names import count, encoder_name
from segablate.networks import fitting_networks
from segablate.weights.recognition.description import quoted

Shapes = Mapping[str, tuple[int, ...]]


@dataclass(frozen=True)
class LookAlike:
    """A network that weights look like: its name, and the specification to try, or what to do where there is none."""

    name: str
    spec: str | None
    advice: str = ""


SMP = {
    "decoder.blocks.x_0_0.conv1.0.weight": "UnetPlusPlus",
    "decoder.center.top_conv.weight": "MAnet",
    "decoder.blocks.0.block.0.0.weight": "Linknet",
    "decoder.p5.weight": "FPN",
    "decoder.psp.blocks.0.pool.1.0.weight": "PSPNet",
    "decoder.aspp.convs.0.0.weight": "DeepLabV3",
    "decoder.0.convs.0.0.weight": "DeepLabV3",
    "decoder.aspp.0.convs.0.0.weight": "DeepLabV3Plus",
    "decoder.fpa.branch1.1.conv.weight": "PAN",
    "decoder.feature_norms.0.weight": "UPerNet",
    "decoder.mlp_stage.0.linear.weight": "Segformer",
    "decoder.projection_blocks.0.project.0.weight": "DPT",
    "decoder.blocks.0.conv1.0.weight": "Unet",
}
"""Architectures of segmentation_models_pytorch by a key of their decoders."""

OTHERS = (
    (r"decode_head\.(conv_seg|linear_c|linear_pred|convs)\b.*", r"backbone\.", "mmsegmentation"),
    (r"(segformer|mask2former|maskformer|beit|dpt|mobilevit|upernet)\.", "", "transformers"),
    (r"model\.\d+\.(conv|cv1|m)\.", "", "ultralytics"),
    (r"(fc|head|heads\.head|classifier|head\.fc|classifier\.\d)\.weight", "", "classifier"),
)
"""Networks of other libraries: keys that are there, both of them, and the library."""

ADVICE = {
    "mmsegmentation": (
        "a network of mmsegmentation",
        "write python:FILE.py:FUNCTION()@{file}, with a function that builds the network by mmseg.apis.init_model",
    ),
    "transformers": (
        "a network of transformers",
        "put its config.json and preprocessor_config.json beside it as a folder, and write hf:FOLDER",
    ),
    "ultralytics": ("a YOLO network", "export the .pt file that Ultralytics wrote by yolo export format=onnx"),
    "classifier": (
        "a classification network, without a decoder",
        "give those of a segmentation network; or, if they are, name it, as in python:FILE.py:FUNCTION()@{file}",
    ),
}


def look_alikes(shapes: Shapes, path: Path) -> list[LookAlike]:
    """Return the networks that a state dict of these shapes looks like, the likeliest first."""
    return [*_in_folder(path), *_of_smp(shapes, path), *_of_torchvision(shapes, path), *_own(shapes, path)] or _others(
        shapes, path
    )


def _in_folder(path: Path) -> list[LookAlike]:
    """Recognise weights in a folder of ``save_pretrained``, which describes the network."""
    folder = path if path.is_dir() else path.parent
    config = folder / "config.json"
    text = config.read_text("utf-8", "replace")[:100_000] if config.is_file() else ""
    if '"_model_class"' in text:
        return [LookAlike("a folder of segmentation_models_pytorch", f"smp:{folder}")]
    return [LookAlike("a folder of transformers", f"hf:{folder}")] if '"model_type"' in text else []


def _of_smp(shapes: Shapes, path: Path) -> list[LookAlike]:
    architecture = next((name for key, name in SMP.items() if key in shapes), None)
    if architecture is None or not any(key.startswith("segmentation_head.") for key in shapes):
        return []
    name = f"{architecture} of segmentation_models_pytorch"
    encoder = encoder_name(shapes)
    if encoder is None:
        return [LookAlike(name, None, f'write smp:{architecture}(encoder_name="...")@{path}, with its encoder')]
    return [LookAlike(f"{name} with encoder {encoder}", f'smp:{architecture}(encoder_name="{encoder}")@{path}')]


def _of_torchvision(shapes: Shapes, path: Path) -> list[LookAlike]:
    if "classifier.cbr.0.weight" in shapes:
        found = "lraspp_mobilenet_v3_large"
    elif "backbone.conv1.weight" in shapes or "backbone.0.0.weight" in shapes:
        head = "deeplabv3" if "classifier.0.convs.0.0.weight" in shapes else "fcn"
        depth = {6: "resnet50", 23: "resnet101"}.get(count(shapes, r"backbone\.layer3\.(\d+)\."))
        backbone = depth if "backbone.conv1.weight" in shapes else "mobilenet_v3_large"
        found = f"{head}_{backbone}" if backbone and "classifier.4.weight" in shapes else ""
    else:
        found = ""
    return [LookAlike(f"{found} of torchvision", f"torchvision:{found}@{path}")] if found else []


def _own(shapes: Shapes, path: Path) -> list[LookAlike]:
    return [LookAlike(f"{name} of segablate", f"builtin:{name}@{path}") for name in fitting_networks(shapes)]


def _others(shapes: Shapes, path: Path) -> list[LookAlike]:
    for present, also, library in OTHERS:
        sides = 2 if library == "classifier" else None  # a linear layer: a convolution may be the head of a map
        fitting = any(re.match(present, key) and len(shape) == (sides or len(shape)) for key, shape in shapes.items())
        if fitting and any(re.match(also, key) for key in shapes):
            name, advice = ADVICE[library]
            return [LookAlike(name, None, advice.format(file=quoted(path)))]
    return []
