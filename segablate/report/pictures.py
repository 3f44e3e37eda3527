"""Embedded pictures: the image as WebP, label maps as 8-bit indexed PNG whose values are class indices.

Colours, error maps, the filter by class and the swipe are computed in the page. Void, and predictions outside the label
set, have the number of classes as their value. Above 255 classes a map is an RGB PNG: red + 256 · green.
"""

import base64
import io
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from segablate.errors import counted
from segablate.evaluation.again import Again
from segablate.evaluation.results import Evaluation
from segablate.metrics.confusion import Confusion
from segablate.render.cells import hex_colour, one_line
from segablate.report.choosing import Choice
from segablate.report.page import ImageList, Pictures

LONGEST = 1024
"""Longest side of an embedded image in pixels; label maps are embedded whole."""

_QUALITY = 80

_CELLS = 400
"""Confusions of an image that the page knows of; each leads from a cell of the matrix to the image."""

Sink = Callable[[int, Mapping[str, Any]], None]
"""Takes the data of a picture: the image and its maps as data URLs."""


def collect(
    opened: Mapping[str, Again], choice: Choice, limit: int | None, sink: Sink, advance: Callable[[int], None]
) -> Pictures:
    """Encode the chosen images of runs, by letter, hand each to `sink`, and return what the page says of them.

    `limit`: the number of images that were asked for; None for all.
    """
    runs = {letter: again.run for letter, again in opened.items()}
    images: dict[int, dict[str, Any]] = {}
    without: list[int] = []
    for index in choice.images:
        found = [again.pixels(index) for again in opened.values()]
        advance(1)
        if found[0] is None:
            continue
        maps = [each.predicted if each is not None else None for each in found]
        classes = len(next(iter(runs.values())).labels)
        image = found[0].image
        without += [index] if image is None else []
        sink(
            index,
            {
                "image": image_url(image) if image is not None else None,
                "labels": map_url(found[0].labels, classes),
                "maps": [map_url(each, classes) if each is not None else None for each in maps],
            },
        )
        images[index] = _described(index, runs, choice.scores[:, index], found[0].labels.shape)
    lists = tuple(
        ImageList(one_line(each.title), tuple((i, one_line(text)) for i, text in each.items if i in images))
        for each in choice.lists
    )
    said = [*_said(images, runs, limit), *_missing(opened, len(without), len(images))]
    return Pictures(
        colours(next(iter(runs.values()))),
        tuple(runs),
        images,
        {},
        tuple(each for each in lists if each.items),
        tuple(said),
    )


def image_url(pixels: np.ndarray) -> str:
    """Return an image, H, W, 3 uint8 RGB, as a data URL of WebP, with a longest side of at most :data:`LONGEST`."""
    from PIL import Image

    picture = Image.fromarray(pixels)
    picture.thumbnail((LONGEST, LONGEST))
    file = io.BytesIO()
    picture.save(file, "WEBP", quality=_QUALITY, method=4)
    return _data_url("image/webp", file.getvalue())


def map_url(indices: np.ndarray, classes: int) -> str:
    """Return class indices, H, W, as a data URL of PNG; see the module."""
    from PIL import Image

    file = io.BytesIO()
    if classes <= 255:
        picture = Image.fromarray(indices.astype(np.uint8), "L").convert("P")
        picture.putpalette(bytes(value for index in range(classes + 1) for value in (index, index, index)))
    else:
        wide = indices.astype(np.uint16)
        picture = Image.fromarray(np.stack([wide & 255, wide >> 8, np.zeros_like(wide)], axis=-1).astype(np.uint8))
    picture.save(file, "PNG", optimize=True, bits=8)
    return _data_url("image/png", file.getvalue())


def colours(run: Evaluation) -> tuple[tuple[str, str], ...]:
    """Return name and colour of every class; where the label set has none, hues that are far apart."""
    stated = [hex_colour(colour) for colour in run.labels.colours] or list(_hues(len(run.labels)))
    return tuple((one_line(name), colour) for name, colour in zip(run.labels.names, stated, strict=True))


_OKABE_ITO = ("#0072b2", "#e69f00", "#009e73", "#cc79a7", "#56b4e9", "#d55e00", "#f0e442")
"""Okabe and Ito, Color Universal Design, 2008: told apart with every common colour vision."""


def _hues(count: int) -> Iterator[str]:
    """Yield colours: those of Okabe and Ito, then hues by the golden angle in three lightnesses."""
    import colorsys

    yield from _OKABE_ITO[:count]
    for index in range(len(_OKABE_ITO), count):
        red, green, blue = colorsys.hls_to_rgb(index * 0.381966 % 1, (0.35, 0.55, 0.75)[index % 3], 0.6)
        yield hex_colour((round(255 * red), round(255 * green), round(255 * blue)))


def _described(index: int, runs: Mapping[str, Evaluation], scores: np.ndarray, size: Sequence[int]) -> dict[str, Any]:
    """Return what the page knows of an image: name, size, wrong pixels and largest confusions of each run."""
    first = next(iter(runs.values()))
    counts = [run.confusion.subset([index]) for run in runs.values()]
    return {
        "name": one_line(first.names[index]),
        "size": [int(size[1]), int(size[0])],
        "labelled": int(counts[0].pixels[counts[0].label < counts[0].classes].sum()),
        "wrong": [_wrong(each) for each in counts],
        "scores": [None if np.isnan(score) else round(100 * float(score), 2) for score in scores],
        "cells": [_largest(each) for each in counts],
    }


def _wrong(counts: Confusion) -> int:
    """Return the labelled pixels of an image that are predicted as another class or as none."""
    return int(counts.pixels[(counts.label < counts.classes) & (counts.label != counts.predicted)].sum())


def _largest(counts: Confusion) -> list[list[int]]:
    """Return [label, predicted, pixels] of the largest confusions of an image, hits too."""
    labelled = np.flatnonzero(counts.label < counts.classes)
    order = labelled[np.argsort(-counts.pixels[labelled], kind="stable")[:_CELLS]]
    return [[int(counts.label[i]), int(counts.predicted[i]), int(counts.pixels[i])] for i in order]


def _said(images: Mapping[int, Any], runs: Mapping[str, Evaluation], limit: int | None) -> list[str]:
    total = next(iter(runs.values())).images
    if len(images) == total:
        return [f"Embedded: {'the image' if total == 1 else 'all ' + counted(total, 'image')} of the run."]
    changed = ", the most changed" if len(runs) > 1 else ""
    which = f"in turns those with the lowest mIoU{changed}, the worst of each class, and where a confusion is largest"
    more = "" if limit is None else " All of them, in a folder: segablate report RUN --images all."
    return [f"Embedded: {len(images)} of {counted(total, 'image')}: {which}.{more}"]


def _missing(opened: Mapping[str, Again], without: int, count: int) -> list[str]:
    found = []
    if without and count:
        all_of_them = "All" if without == count else str(without)
        found.append(f"{all_of_them} of the embedded pictures are label maps without their image.")
    for letter, again in opened.items():
        found += [f"{letter}{': ' if letter else ''}{remark}" for remark in again.remarks()]
    return list(dict.fromkeys(found))


def _data_url(kind: str, data: bytes) -> str:
    return f"data:{kind};base64,{base64.b64encode(data).decode()}"
