"""Translation of a Hugging Face image processor, ``preprocessor_config.json``, to :class:`Preprocessing`."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from segablate.checkpoints.hf_files import read_json
from segablate.checkpoints.preprocessing import Preprocessing
from segablate.errors import CheckpointError, at
from segablate.plain_values import check

FILES = ("preprocessor_config.json", "processor_config.json")
"""The image processor alone, or together with a tokenizer."""

Size = tuple[int, int]
"""Height and width."""

_RESAMPLING = {2: "pillow-bilinear", 3: "pillow-bicubic"}
"""Resampling by Pillow's constants."""

_SHORTER_SIDE = ("mobilevit", "mobilenet_v2", "maskformer", "mask2former", "oneformer", "eomt")
"""Model types whose processors mean the shorter side by one number; the others mean a square."""


_WHOLE, _NUMBER = (int, None), (float, None)
_SHAPE = {
    "size?": (*_WHOLE, [int], dict.fromkeys(("height?", "width?", "shortest_edge?", "longest_edge?"), _WHOLE)),
    "max_size?": _WHOLE,
    "size_divisor?": _WHOLE,
    "ensure_multiple_of?": _WHOLE,
    "resample?": _WHOLE,
    "rescale_factor?": _NUMBER,
}
"""What is computed with here; :class:`Preprocessing` checks the rest."""


@dataclass(frozen=True)
class ImageProcessor:
    """The preprocessing of an image processor.

    - `window`: side of the squares into which it cuts an image along its longer side, or None.
    - `notes`: differences between this program and the processor.
    - `stated`: whether there is a processor, which states mean and std or that there are none.
    """

    preprocessing: Preprocessing
    window: int | None = None
    notes: tuple[str, ...] = ()
    stated: bool = True


def read_image_processor(folder: Path, model_type: str, input_size: Size | None) -> ImageProcessor:
    """Read the image processor saved in a folder.

    `input_size`: the only height and width that the network takes, or None. Without a file, images are resized to that,
    and no mean and std are stated. Raises CheckpointError when the file cannot be read.
    """
    path = processor_file(folder)
    if path is None:
        return ImageProcessor(Preprocessing(resize=input_size), notes=(f"there is no {FILES[0]}",), stated=False)
    with at(path):
        described = read_json(path)
        found = check(described.get("image_processor", described), _SHAPE, "the image processor")
        return _translate(found, model_type, input_size)


def processor_file(folder: Path) -> Path | None:
    """Return the file that describes the image processor, or None."""
    return next((folder / name for name in FILES if (folder / name).is_file()), None)


def _translate(described: dict[str, Any], model_type: str, input_size: Size | None) -> ImageProcessor:
    values = {**_colours(described), **_resizing(described, model_type)}
    notes = []
    if described.get("do_center_crop"):
        notes.append("the image processor's centre crop is left out: the whole image is evaluated")
    if described.get("do_split_image") and isinstance(values.get("resize"), int):
        notes.append("images longer than 2:1 are cut into squares at other places than by the image processor")
        return ImageProcessor(Preprocessing.parse(values), values["resize"], tuple(notes))
    if described.get("keep_aspect_ratio"):
        notes.append(
            "images are resized to a square, which the network needs; the image processor keeps the aspect ratio"
        )
    multiple = described.get("size_divisor") or 1
    match values.get("resize"):
        case None:
            values["resize"] = input_size
        case [height, width]:
            values["resize"] = [-(-height // multiple) * multiple, -(-width // multiple) * multiple]
        case _ if input_size:
            values["pad_to_multiple"] = input_size[0]
            notes.append("images are padded to a square with the mean colour, and the padding is cut off the scores")
        case _ if multiple > 1:
            values["pad_to_multiple"] = multiple
            notes.append(f"sides are padded to a multiple of {multiple}, to which the image processor stretches them")
    return ImageProcessor(Preprocessing.parse(values), None, tuple(notes))


def _colours(described: dict[str, Any]) -> dict[str, Any]:
    """Return `scale`, and `mean`, `std` and `channels` where the processor sets them."""
    values: dict[str, Any] = {"scale": _scale(described)}
    if described.get("do_normalize"):
        values |= {"mean": described.get("image_mean", 0.0), "std": described.get("image_std", 1.0)}
    if described.get("do_flip_channel_order"):  # the last step: the constants are in the order before it
        values |= {key: row[::-1] for key, row in values.items() if isinstance(row, list)} | {"channels": "bgr"}
    return values


def _scale(described: dict[str, Any]) -> str:
    if described.get("do_rescale") is False:
        return "1"
    factor = described.get("rescale_factor") or 1 / 255
    return "1/255" if abs(factor * 255 - 1) < 1e-6 else str(factor)


def _resizing(described: dict[str, Any], model_type: str) -> dict[str, Any]:
    """Return `resize`, `longest` and `resample`; nothing where the processor does not resize."""
    size = described.get("size")
    if not described.get("do_resize") or size is None:
        return {}
    if isinstance(size, int):
        shorter = model_type.startswith(_SHORTER_SIDE)
        size = {"shortest_edge": size, "longest_edge": described.get("max_size")} if shorter else [size, size]
    values: dict[str, Any] = {"resample": _RESAMPLING.get(described.get("resample", 2), "pillow-bicubic")}
    match size:
        case [int(), int()]:
            return {**values, "resize": size}
        case {"shortest_edge": int(side)}:
            return {**values, "resize": side, "longest": size.get("longest_edge")}
        case {"height": int(height), "width": int(width)}:
            step = described.get("ensure_multiple_of") or 1
            return {**values, "resize": [round(height / step) * step, round(width / step) * step]}
    raise CheckpointError(
        f"size is {size!r}; expected height and width, or shortest_edge; correct it to the size used in training"
    )
