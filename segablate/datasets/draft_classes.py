"""Draft the classes of a description: from what label maps hold, and from files that name the classes."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from segablate.datasets.dataset import Item
from segablate.datasets.heaps import threshold_of
from segablate.datasets.inspecting import Inspected, inspect
from segablate.datasets.named_classes import ISPRS, NamedClasses, find_names, folders_above
from segablate.datasets.planes import as_mask
from segablate.datasets.split_search import Split
from segablate.errors import counted, shorten
from segablate.images.label_maps import read_label_file
from segablate.labels import Colour, pack_colour

_BY_ISPRS = "; names by the colours of the ISPRS benchmark (Potsdam, Vaihingen)"
_BACKGROUND = ("background", "bg", "back")


@dataclass(frozen=True)
class Drafted:
    """The classes of a description, a line of YAML each; further lines; and what was found, for a summary."""

    classes: tuple[str, ...]
    lines: tuple[str, ...]
    summary: str


@dataclass(frozen=True)
class Entry:
    """A class: its name, its code (or packed colour) and a colour for display."""

    name: str
    code: int
    colour: Colour | None = None


def draft_classes(splits: Sequence[Split], items: Sequence[Item], root: Path) -> Drafted:
    """Draft the classes of label maps, of which the `items` are inspected. Raises as :func:`inspect`."""
    if splits[0].classes:
        return _of_masks(splits[0], items)
    found = inspect([item.labels for item in items])
    named = find_names(folders_above([split.masks for split in splits], root))
    if found.heaps:
        return _of_heaps(found, named)
    entries, void, source = _named(found, named, items[0].labels)
    encoding = found.encoding
    stated = "rest" if void is None else f"[{', '.join(map(str, void))}]"
    comment = "codes without a label" if void is not None else "colours at edges, of no class"
    summary = f"{counted(found.values, encoding.removesuffix('s'))} in the label maps"
    if found.stray:
        summary += (
            f", {len(found.codes)} of which fill regions; the others ({100 * found.stray:.1f} % of the pixels) are void"
        )
    if found.doubtful:
        summary += ", near one another in files compressed with loss: check them, or save the label maps as PNG"
    return Drafted(
        tuple(_line(entry, encoding) for entry in entries),
        (f"void: {stated} # {comment}", f"encoding: {encoding}"),
        summary + source,
    )


def _of_masks(split: Split, items: Sequence[Item]) -> Drafted:
    """Draft classes that have masks of their own, and one for pixels in no mask, where there are any."""
    classes = sorted(split.classes, key=lambda each: each[0].lower() not in _BACKGROUND)
    lines = [f"{{name: {_quoted(name)}, masks: {_quoted(pattern)}}}" for name, pattern in classes]
    if any(not _covered(item) for item in items):
        lines.insert(0, "{name: background} # pixels in no mask")
    files = sum(len(item.parts) for item in items)
    return Drafted(
        tuple(lines),
        ("void: [255]", "encoding: codes"),
        f"{counted(files, 'mask')} of {counted(len(classes), 'class', 'classes')}",
    )


def _covered(item: Item) -> bool:
    """Tell whether every pixel of an item is in a mask."""
    masks = [as_mask(read_label_file(path), path.suffix) for path in item.label_files]
    return len({mask.shape for mask in masks}) == 1 and bool(np.logical_or.reduce(masks).all())


def _of_heaps(found: Inspected, named: Sequence[NamedClasses]) -> Drafted:
    """Draft a class for each heap of values: two by a threshold, more by ranges."""
    bounds = threshold_of(found.heaps)
    names, source = _names_of_heaps(found, named)
    end = 255 if found.heaps[-1].high < 256 else 65535
    spread = " and ".join(f"{heap.low}..{heap.high}" for heap in found.heaps)
    what = f"{counted(found.values, 'value')} in {counted(len(found.heaps), 'heap')}, {spread}"
    if len(bounds) == 1:
        lines = tuple(_quoted(name) for name in names)
        more = (f"threshold: {bounds[0]} # {what}: soft edges or compression", "encoding: codes")
        return Drafted(lines, more, f"{what} (soft edges or compression), divided at {bounds[0]}{source}")
    ends = zip([0, *bounds], [*(bound - 1 for bound in bounds), end], strict=True)
    lines = tuple(
        f"{{name: {_quoted(name)}, code: {low}..{high}}}" for name, (low, high) in zip(names, ends, strict=True)
    )
    more = (f"void: [] # {what}: soft edges or compression", "encoding: codes")
    return Drafted(lines, more, f"{what} (soft edges or compression){source}")


def _names_of_heaps(found: Inspected, named: Sequence[NamedClasses]) -> tuple[list[str], str]:
    for each in named:
        if each.encoding == "codes" and len(each.names) == len(found.heaps):
            return list(each.names.values()), f"; names from {each.path.name}"
    return _usual_names(found.codes, [heap.peak for heap in found.heaps]), ""


def _usual_names(codes: Sequence[int], numbers: Sequence[int]) -> list[str]:
    return ["background", "foreground"] if len(codes) == 2 else [f"class_{number}" for number in numbers]


def _named(
    found: Inspected, named: Sequence[NamedClasses], mask: Path
) -> tuple[list[Entry], tuple[int, ...] | None, str]:
    """Return the classes and void codes, named by the first file that fits; and which that is, or why none does."""
    palette = _palette(mask) if found.encoding == "codes" else {}
    for each in named:
        fitting = _fitting(found, each, palette)
        if fitting is not None:
            entries, void = fitting
            return entries, void, f"; names from {each.path.name}"
    if found.encoding == "colours" and len(found.codes) > 2 and set(found.codes) <= set(ISPRS):
        return [Entry(name, code) for code, name in ISPRS.items() if code in found.codes], found.void, _BY_ISPRS
    numbers = found.codes if found.encoding == "codes" else range(len(found.codes))
    names = _usual_names(found.codes, list(numbers)) if not found.void else [f"class_{number}" for number in numbers]
    entries = [Entry(name, code, palette.get(code)) for name, code in zip(names, found.codes, strict=True)]
    return entries, found.void, f"; {named[0].path.name} does not fit: {_misfit(found, named[0])}" if named else ""


def _misfit(found: Inspected, named: NamedClasses) -> str:
    """Say why a file of names does not fit the label maps."""
    if named.encoding != found.encoding:
        return f"it names {named.encoding}, and the label maps hold {found.encoding}"
    colours = found.encoding == "colours"
    if left := [code for code in found.codes if code not in named.names and code not in named.void]:
        shown = (f"({code >> 16}, {code >> 8 & 255}, {code & 255})" if colours else code for code in left)
        return f"it has no {'colour' if colours else 'code'} {shorten(shown)}"
    return "it has a name twice"


def _fitting(
    found: Inspected, named: NamedClasses, palette: dict[int, Colour]
) -> tuple[list[Entry], tuple[int, ...] | None] | None:
    """Return the classes of a file if every code in use is one of its own, or void; None otherwise."""
    names = named.names
    if named.encoding == "colours" and found.encoding == "codes":
        codes = {pack_colour(colour): code for code, colour in palette.items() if code in found.codes}
        names = {codes[colour]: name for colour, name in names.items() if colour in codes}
    elif named.encoding != found.encoding:
        return None
    if named.listed and len(found.codes) == len(names) == 2 and found.codes[0] == 0:
        names = dict(zip(found.codes, names.values(), strict=True))  # 0 and 255, of two names
    if set(found.codes) - {*names, *named.void} == {0} and not set(map(str.lower, names.values())) & {*_BACKGROUND}:
        names = {0: _BACKGROUND[0], **names}  # black or 0, which many tools do not list
    if not set(found.codes) <= {*names, *named.void} or len(set(names.values())) < len(names):
        return None
    void = None if found.void is None else tuple(dict.fromkeys((*named.void, *found.void)))
    void = void if void is None else tuple(code for code in void if code not in names)
    return [Entry(name, code, palette.get(code)) for code, name in names.items()], void


def _line(entry: Entry, encoding: str) -> str:
    """Return the line of a class."""
    name, code = _quoted(entry.name), entry.code
    if encoding == "colours":
        return f"{{name: {name}, colour: [{code >> 16}, {code >> 8 & 255}, {code & 255}]}}"
    colour = f", colour: {list(entry.colour)}" if entry.colour else ""
    return f"{{name: {name}, code: {code}{colour}}}"


def _quoted(text: str) -> str:
    """Return a name for YAML: plain where it can be nothing but text."""
    plain = text.isidentifier() and text.lower() not in ("y", "n", "yes", "no", "on", "off", "true", "false", "null")
    return text if plain else json.dumps(text, ensure_ascii=False)


def _palette(mask: Path) -> dict[int, Colour]:
    """Return the colours of a palette image, by code; empty for other files."""
    palette = read_label_file(mask).palette
    entries = [] if palette is None else palette.tolist()
    return {code: (red, green, blue) for code, (red, green, blue) in enumerate(entries)}
