"""The preprocessing constants of the encoders of segmentation_models_pytorch, known without a download.

The library keeps the constants of its own encoders beside their ImageNet weights on a hub; those of timm's encoders
come with timm. All take RGB in 0..1.
"""

from types import ModuleType

from segablate.checkpoints.preprocessing import Preprocessing

IMAGENET = Preprocessing(mean=(0.485, 0.456, 0.406), std=(0.229, 0.224, 0.225))

INCEPTION = Preprocessing(mean=(0.5, 0.5, 0.5), std=(0.5, 0.5, 0.5))
"""Networks that Google trained, and those trained with adversarial examples (AdvProp)."""

DUAL_PATH = Preprocessing.parse({"mean": [124 / 255, 117 / 255, 104 / 255], "std": 1 / (0.0167 * 255)})
"""Dual path networks, trained on 0..255 with one factor, 0.0167."""

_BY_NAME = {
    "dpn": DUAL_PATH,
    "inception": INCEPTION,
    "timm-tf_efficientnet_lite": INCEPTION,
    "xception": INCEPTION,
}


def encoder_constants(smp: ModuleType, name: str, pretrained: object) -> tuple[Preprocessing, str]:
    """Return the preprocessing of an encoder's pretrained weights, and where it comes from.

    `pretrained` is the library's name for those weights (``encoder_weights``); None is taken as "imagenet".
    """
    if name.startswith("tu-"):
        return _constants_of_timm(smp, name)
    if pretrained == "advprop":
        return INCEPTION, f"those of {name}'s AdvProp weights"
    found = next((constants for start, constants in _BY_NAME.items() if name.startswith(start)), IMAGENET)
    return found, f"those of {name}'s ImageNet weights"


def _constants_of_timm(smp: ModuleType, name: str) -> tuple[Preprocessing, str]:
    try:
        known = smp.encoders.get_preprocessing_params(name)
    except ValueError:
        return IMAGENET, f"ImageNet's, since timm has none for {name}"
    values = {"channels": known["input_space"], "mean": known["mean"], "std": known["std"]}
    scale = "1/255" if known["input_range"][1] == 1 else "1"
    return Preprocessing.parse({**values, "scale": scale}), f"timm's for {name}"
