"""The encoder of segmentation_models_pytorch whose weights a state dict holds, told by its keys and shapes.

The tables are of the library's ``encoders/`` (0.5): blocks of ResNets, widths and numbers of blocks of EfficientNets
and Mix Transformers, layers of DenseNets and VGGs.
"""

import re
from collections.abc import Mapping

Shapes = Mapping[str, tuple[int, ...]]

RESNETS = {
    ((2, 2, 2, 2), False): "resnet18",
    ((3, 4, 6, 3), False): "resnet34",
    ((3, 4, 6, 3), True): "resnet50",
    ((3, 4, 23, 3), True): "resnet101",
    ((3, 8, 36, 3), True): "resnet152",
}
"""Names by the blocks of the four stages, and whether these are bottlenecks."""

EFFICIENTNETS = {(32, 16): 0, (32, 23): 1, (40, 26): 3, (48, 32): 4, (48, 39): 5, (56, 45): 6, (64, 55): 7}
"""Numbers of names by the width of the stem and the number of blocks; b2 is b1 with a wider head."""

TRANSFORMERS = {(32, 2): 0, (64, 2): 1, (64, 6): 2, (64, 18): 3, (64, 27): 4, (64, 40): 5}
"""Numbers of names by the width of the first stage and the blocks of the third."""

DENSENETS = {24: 121, 36: 161, 32: 169, 48: 201}
"""Names by the layers of the third block."""

VGGS = {8: 11, 10: 13, 13: 16, 16: 19}
"""Names by the number of convolutions."""


def encoder_name(shapes: Shapes, prefix: str = "encoder.") -> str | None:
    """Return the library's name of the encoder under a prefix, or None for one that is not told by its keys."""
    own = {key.removeprefix(prefix): shape for key, shape in shapes.items() if key.startswith(prefix)}
    readers = (_resnet, _efficientnet, _transformer, _of_features)
    return next((name for reader in readers if (name := reader(own))), None)


def count(shapes: Shapes, pattern: str) -> int:
    """Count the different numbers that the group of a pattern takes at the beginnings of keys."""
    return len({found[1] for key in shapes if (found := re.match(pattern, key))})


def _resnet(own: Shapes) -> str | None:
    if "layer1.0.conv1.weight" not in own or "conv1.weight" not in own or "layer1.0.se_module.fc1.weight" in own:
        return None
    blocks = tuple(count(own, rf"layer{stage}\.(\d+)\.") for stage in range(1, 5))
    bottleneck = "layer1.0.conv3.weight" in own
    if bottleneck and own["layer1.0.conv2.weight"][1] != own["layer1.0.conv1.weight"][0]:
        return {(3, 4, 6, 3): "resnext50_32x4d", (3, 4, 23, 3): "resnext101_32x8d"}.get(blocks)  # type: ignore[arg-type]
    return RESNETS.get((blocks, bottleneck))  # type: ignore[arg-type]


def _efficientnet(own: Shapes) -> str | None:
    if "_conv_stem.weight" not in own:
        return None
    number = EFFICIENTNETS.get((own["_conv_stem.weight"][0], count(own, r"_blocks\.(\d+)\.")))
    if number == 1 and own.get("_conv_head.weight", (0,))[0] == 1408:
        number = 2
    return None if number is None else f"efficientnet-b{number}"


def _transformer(own: Shapes) -> str | None:
    if "patch_embed1.proj.weight" not in own:
        return None
    number = TRANSFORMERS.get((own["patch_embed1.proj.weight"][0], count(own, r"block3\.(\d+)\.")))
    return None if number is None else f"mit_b{number}"


def _of_features(own: Shapes) -> str | None:
    if "features.denseblock1.denselayer1.conv1.weight" in own:
        layers = DENSENETS.get(count(own, r"features\.denseblock3\.denselayer(\d+)\."))
        return layers and f"densenet{layers}"  # type: ignore[return-value]
    if "features.18.0.weight" in own and "features.1.conv.0.0.weight" in own:
        return "mobilenet_v2"
    if own.get("features.0.weight", ())[1:] == (3, 3, 3):
        convolutions = sum(key.startswith("features.") and len(shape) == 4 for key, shape in own.items())
        layers = VGGS.get(convolutions)
        norm = "_bn" if any(key.endswith("running_mean") for key in own) else ""
        return layers and f"vgg{layers}{norm}"  # type: ignore[return-value]
    return None
