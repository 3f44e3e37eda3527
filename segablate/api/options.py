"""Arguments of the public API as the layers below take them."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any, Literal, TypedDict

from segablate.checkpoints import Loading
from segablate.checkpoints.preprocessing import Preprocessing
from segablate.errors import UsageError, did_you_mean
from segablate.metrics.tolerance import Tolerance
from segablate.objective.written_lists import joined

Tolerances = float | str | Tolerance | Sequence[float | str | Tolerance]
"""Tolerances in pixels (``3``) or as a share of the diagonal (``"0.0075d"``), one or several; () or "none": none."""


class LoadingOptions(TypedDict, total=False):
    """How a checkpoint is opened, in the words of the command line; each overrides the checkpoint's card.

    - `device`: ``"auto"``, ``"cpu"``, ``"cuda"``; `precision`: ``"fp32"``, ``"bf16"``, ``"fp16"``.
    - `channels`: ``"rgb"``, ``"bgr"``, ``"grey"`` or bands by number, ``"4,3,2"``.
    - `scale`, `mean`, `std`, `divisor`, `resize`, `pad_to_multiple`: preprocessing of pixels of 0..255; `normalise`:
      mean and std by name, ``"imagenet"`` (assumed where none is stated), ``"none"`` or ``"0.5"``.
    - `output`: ``"softmax"``, ``"sigmoid"``, ``"probabilities"`` or ``"labels"``; `head`: one of several outputs.
    - `window`, `stride`: sliding window, a side or height and width in pixels; `flip`, `quarter_turns`: average with
      the mirrored or turned image; `threshold`: the probability above which a pixel is of the second of two classes.
    - `class_map`: the class of the dataset for each class of the checkpoint; `key`, `strip_prefix`: of the weights.
    - `trust_code`: run code that the file holds; `allow_download`: let a library download from its hub.
    """

    device: str
    precision: Literal["fp32", "bf16", "fp16"]
    channels: str
    scale: str | float
    mean: Sequence[float]
    std: Sequence[float]
    divisor: float
    resize: tuple[int, int] | int
    pad_to_multiple: int
    normalise: Literal["imagenet", "none", "0.5"]
    output: Literal["softmax", "sigmoid", "probabilities", "labels"]
    head: str
    window: int | tuple[int, int]
    stride: int | tuple[int, int]
    flip: bool | str
    quarter_turns: bool
    threshold: float
    class_map: Mapping[str, str | None]
    key: str
    strip_prefix: str
    trust_code: bool
    allow_download: bool


_OWN = {"preprocessing", "classes", "folder", "card"}


def as_loading(options: Mapping[str, Any]) -> Loading:
    """Return the options for loading from keywords. Raises TypeError for an unknown one, with the nearest."""
    own = {field.name for field in fields(Loading)} - _OWN
    pixels = {*_of_pixels()}
    for name in options:
        if name not in own | pixels:
            raise TypeError(f"no option is called {name!r}{did_you_mean(name, sorted(own | pixels))}")
    sides = {name: _sides(options[name]) for name in ("window", "stride") if options.get(name) is not None}
    loading: dict[str, Any] = {name: value for name, value in options.items() if name in own} | sides
    return Loading(**loading, preprocessing={name: _listed(value) for name, value in options.items() if name in pixels})


def stated_preprocessing(options: Mapping[str, Any]) -> list[str]:
    """Return the options that state how pixels are preprocessed."""
    return [name for name in _of_pixels() if name in options]


def _of_pixels() -> list[str]:
    return [*(field.name for field in fields(Preprocessing)), "normalise"]


def as_tolerances(given: Tolerances) -> tuple[Tolerance, ...]:
    """Return tolerances from numbers of pixels, texts such as ``"3,0.0075d"`` and lists of these, each once.

    Raises KnobError for one that is malformed or out of range.
    """
    if isinstance(given, str):
        parts: Sequence[float | str | Tolerance] = [part for part in given.split(",") if part.strip() != "none"]
    else:
        parts = [given] if isinstance(given, int | float | Tolerance) else list(given)
    return tuple(dict.fromkeys(as_tolerance(each) for each in parts))


def as_tolerance(given: float | str | Tolerance) -> Tolerance:
    """Return one tolerance from a number of pixels or a text."""
    if isinstance(given, Tolerance):
        return given
    return Tolerance.parse(given) if isinstance(given, str) else Tolerance(given)


def as_list(given: str | Iterable[str] | None) -> str | None:
    """Return names as the layers below take them, separated by commas; None stays None, and no name is "none"."""
    if given is None or isinstance(given, str):
        return given
    return joined(given) or "none"


def as_images(given: str | Path | Iterable[str] | None) -> tuple[Sequence[str], str] | None:
    """Return the names of images, from a text file or an iterable, and what names them."""
    from segablate.datasets.lists import read_list

    if given is None:
        return None
    if isinstance(given, str | Path):
        return read_list(Path(given)), str(given)
    return list(given), "images"


def one_of(name: str, value: Any, known: Sequence[Any]) -> None:
    """Raise UsageError for a value that is none of those known."""
    if value not in known:
        raise UsageError(f"{name} is {value!r}, but must be {', '.join(map(repr, known[:-1]))} or {known[-1]!r}")


def _sides(value: Any) -> tuple[int, int]:
    return (value, value) if isinstance(value, int) else (int(value[0]), int(value[1]))


def _listed(value: Any) -> Any:
    return list(value) if isinstance(value, tuple) else value
