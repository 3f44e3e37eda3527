"""Find the columns of images and label maps in a saved Hugging Face dataset, and the names of its classes."""

from collections.abc import Collection, Mapping
from typing import Any, NamedTuple

from segablate.errors import DatasetError, did_you_mean, shorten

IMAGES = ("image", "images", "img", "pixel_values", "jpg")
"""Usual names of image columns."""

MAPS = (
    *("label", "labels", "label_map", "annotation", "annotations", "mask", "masks", "gt", "ground_truth", "png"),
    *("segmentation", "segmentation_mask", "segmentation_map", "semantic_segmentation", "semantic_mask", "semantic"),
)
"""Usual names of label map columns."""


class Columns(NamedTuple):
    """Names of the image column and the label map column."""

    images: str
    maps: str


def find_columns(features: Mapping[str, Any], image: str | None, label: str | None) -> Columns:
    """Return the columns stated as `image` and `label`; find the others by type and usual name.

    `features` are those of ``dataset_info.json``. Raises DatasetError when a column is missing or ambiguous.
    """
    encoded = [name for name, feature in features.items() if _kind(feature) == "Image"]
    matrices = [name for name, feature in features.items() if _is_matrix(feature)]
    for name, able, what in ((image, encoded, "images"), (label, [*encoded, *matrices], "label maps")):
        if name is not None and name not in able:
            raise DatasetError(f"has no column {name!r} of {what}{did_you_mean(name, able)}")
    maps = label or _choose("label maps", "label", [*encoded, *matrices], MAPS, (*IMAGES, image), features)
    images = image or _choose("images", "image", [name for name in encoded if name != maps], IMAGES, MAPS, features)
    return Columns(images, maps)


def class_names(feature: Any) -> list[str] | None:
    """Return the class names of a ClassLabel, also one inside lists; None for other features."""
    if _kind(feature) == "ClassLabel":
        return feature.get("names")
    inner = _inner(feature)
    return class_names(inner) if inner is not None else None


def _choose(
    what: str,
    key: str,
    able: list[str],
    usual: Collection[str],
    others: Collection[str | None],
    features: Mapping[str, Any],
) -> str:
    named = [name for name in able if name.lower() in usual]
    left = named or [name for name in able if name.lower() not in others and name not in others]
    if len(left) == 1:
        return left[0]
    among = f"could be in {shorten(left, 10)}" if left else f"are in none of its columns ({shorten(features, 10)})"
    raise DatasetError(
        f"the {what} {among}; state {key}_column in a dataset.yaml there, or save the dataset with a column {key!r}"
    )


def _kind(feature: Any) -> str | None:
    return feature.get("_type") if isinstance(feature, dict) else None


def _inner(feature: Any) -> Any:
    """Return the feature inside a list, as any version of the library writes it."""
    if isinstance(feature, list):
        return feature[0] if feature else None
    return feature.get("feature") if isinstance(feature, dict) else None


def _is_matrix(feature: Any) -> bool:
    """Tell whether a feature is a matrix of integers."""
    if _kind(feature) == "Array2D":
        return True
    innermost = _inner(_inner(feature))
    return _kind(innermost) in ("ClassLabel", "Value") and "float" not in str(innermost.get("dtype", ""))
