"""Find faults, which stop an evaluation or make it wrong, and warnings in a dataset."""

import os
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from segablate.datasets.dataset import Dataset
from segablate.datasets.heaps import LOSSY_SUFFIXES, Heap, are_near, find_heaps, threshold_of
from segablate.datasets.label_sizes import alike, by
from segablate.datasets.layout import Layout
from segablate.datasets.lists import entries, read_list
from segablate.datasets.remarks import remark_notes
from segablate.datasets.survey import Seen, Size, Survey
from segablate.errors import SegablateError, counted, shorten, thousands
from segablate.files import IMAGE_SUFFIXES, LABEL_SUFFIXES, fingerprint, is_file
from segablate.labels import LabelSet

_MUCH_VOID = 0.5
_NOTES = (".json", ".txt", ".xml", ".csv", ".md", ".yaml", ".yml")


@dataclass(frozen=True)
class Finding:
    """A fault or a warning, in one sentence."""

    level: Literal["fault", "warning"]
    message: str


def check(found: Survey, others: Mapping[str, Dataset], layout: Layout) -> list[Finding]:
    """Return all findings about a dataset, faults first; `others` are its other splits, by name."""
    heaps = _heaps(found)
    findings = [
        *_unreadable(found),
        *_sizes(found),
        *(() if heaps else _unknown_codes(found)),
        *_soft(found, heaps),
        *_shifted(found),
        *_void(found, layout),
        *_remarks(found),
        *_duplicates(found.dataset, others),
        *_strays([found.dataset, *others.values()]),
        *_foreign_lists(found.dataset),
    ]
    return sorted(findings, key=lambda finding: finding.level != "fault")


def known_codes(labels: LabelSet) -> set[int]:
    """Return the codes of all classes and of void."""
    return {code for codes in labels.codes for code in codes} | set(labels.void or ())


def _unreadable(found: Survey) -> Iterator[Finding]:
    for failure in found.failures[:5]:
        yield Finding("fault", str(failure.error))
    if len(found.failures) > 5:
        yield Finding("fault", f"{counted(len(found.failures) - 5, 'more file')} cannot be read")


def _sizes(found: Survey) -> Iterator[Finding]:
    """Report label maps of another size than their image: as a fault where an evaluation would refuse them."""
    stated = found.dataset.reading.label_size
    differ = [(seen, seen.image_size) for seen in found.seen if seen.image_size not in (None, seen.label_size)]
    refused = [pair for pair in differ if stated is None and pair[1] and not alike(pair[1], pair[0].label_size)]
    faults = differ if stated == "refuse" else refused
    if faults:
        yield Finding("fault", _of_other_size(faults, len(found.seen), "refuse"))
    elif differ:
        yield Finding("warning", _of_other_size(differ, len(found.seen), stated))


def _of_other_size(pairs: Sequence[tuple[Seen, Size | None]], total: int, stated: str | None) -> str:
    first, size = pairs[0]
    exchanged = "; width and height are exchanged" if size == first.label_size[::-1] else ""
    remedy = "export both at one size, or state where they meet: --label-size label"
    if stated != "refuse":
        remedy = f"they meet at that of the {'image' if stated == 'image' else 'label map'}"
    return (
        f"size differs from the image in {len(pairs)} of {counted(total, 'label map')} (first: {first.name}, "
        f"{by(first.label_size)}, image {by(size) if size else 'unknown'}{exchanged}); {remedy}"
    )


def _unknown_codes(found: Survey) -> Iterator[Finding]:
    if found.labels.void is None:
        return
    pixels, images = found.pixels(), found.images()
    unknown = sorted(set(pixels) - known_codes(found.labels), key=lambda code: -pixels[code])
    for code in unknown[:5]:
        first = next(seen.name for seen in found.seen if code in seen.pixels)
        yield Finding(
            "fault",
            f"code {found.labels.show_code(code)} is not in label set {found.labels.name!r}: "
            f"{counted(pixels[code], 'pixel')} in {counted(images[code], 'image')} (first: {first}); map it to a class "
            f"or to void",
        )
    if len(unknown) > 5:
        hint = "; were the label maps saved as JPEG, or resized with interpolation?" if len(unknown) > 50 else ""
        yield Finding("fault", f"{counted(len(unknown) - 5, 'more code')} not in label set {found.labels.name!r}{hint}")


def _heaps(found: Survey) -> tuple[Heap, ...]:
    lossy = any(item.labels.suffix.lower() in LOSSY_SUFFIXES for item in found.dataset.items[:1])
    return find_heaps(found.values(), lossy) if found.labels.encoding == "codes" else ()


def _soft(found: Survey, heaps: Sequence[Heap]) -> Iterator[Finding]:
    """Report label maps that were compressed with loss or smoothed: many values around a few codes."""
    pixels, peaks = found.pixels(), [heap.peak for heap in heaps]
    if not heaps:
        yield from _near(found)
        return
    first = next(seen.name for seen in found.seen if not set(seen.pixels) <= set(peaks))
    share = sum(count for code, count in pixels.items() if code not in peaks) / sum(pixels.values())
    what = (
        f"lossy or soft masks: {counted(len(pixels), 'value')} around {shorten(peaks, 8)}, {100 * share:.1f} % of the "
        f"pixels with others (first: {first})"
    )
    if found.labels.void is None or set(pixels) <= known_codes(found.labels):
        yield Finding("warning", f"{what}; the classes in dataset.yaml divide them")
        return
    first_of = threshold_of(tuple(heaps))[-1]
    divided = f"threshold: {first_of} with two classes, or " if len(heaps) == 2 else ""
    yield Finding(
        "fault",
        f"{what}, not in label set {found.labels.name!r}; state {divided}ranges such as code: {first_of}..255, or save "
        f"the masks as PNG without smoothing",
    )


def _near(found: Survey) -> Iterator[Finding]:
    """Report codes near one another in JPEG, which may mix them; few enough that they make no heaps."""
    labels, codes = found.labels, sorted(found.pixels())[:256]
    colours = labels.encoding == "colours"
    if found.dataset.items[0].labels.suffix.lower() in LOSSY_SUFFIXES and are_near(codes, colours=colours):
        near = f"{'colours' if colours else 'codes'} near one another ({shorten(map(labels.show_code, codes))})"
        yield Finding("warning", f"label maps in JPEG, which changes values, and {near}; save them as PNG")


def _shifted(found: Survey) -> Iterator[Finding]:
    """Report codes that all fit once 1 is added or subtracted (in 8 or 16 bits), and do not fit as they are."""
    known, present = known_codes(found.labels), set(found.pixels())
    if found.labels.encoding == "colours" or found.labels.void is None or present <= known:
        return
    values = 256 if max(present) < 256 else 65536
    for step, change in ((1, "too high: subtract 1"), (-1, "too low: add 1")):
        if all((code - step) % values in known for code in present):
            yield Finding("fault", f"all codes are one {change}, and all fit label set {found.labels.name!r}")


def _void(found: Survey, layout: Layout) -> Iterator[Finding]:
    void = {seen.name: _void_pixels(found.labels, seen) for seen in found.seen}
    total = sum(sum(seen.pixels.values()) for seen in found.seen)
    if layout.always_void and found.seen and not any(void.values()):
        yield Finding(
            "warning",
            "no pixel is void, but the official label maps have void pixels; was void turned into a class?",
        )
    empty = [seen.name for seen in found.seen if void[seen.name] == sum(seen.pixels.values())]
    if empty:
        yield Finding(
            "warning", f"{counted(len(empty), 'label map')} without a labelled pixel (first: {shorten(empty)})"
        )
    if sum(void.values()) > _MUCH_VOID * total and not found.dataset.split.endswith("-scribble"):
        yield Finding(
            "warning", f"{100 * sum(void.values()) / total:.0f} % of the pixels are void; are classes missing?"
        )


def _void_pixels(labels: LabelSet, seen: Seen) -> int:
    return sum(count for code, count in seen.pixels.items() if labels.class_of(code) is None)


def _remarks(found: Survey) -> Iterator[Finding]:
    """Report choices made in reading: orientations, transparency, palettes without the class colours."""
    names, remarks = [seen.name for seen in found.seen], [seen.remarks for seen in found.seen]
    for note in remark_notes(names, remarks, found.dataset.described):
        yield Finding("warning", note)


def _duplicates(dataset: Dataset, others: Mapping[str, Dataset]) -> Iterator[Finding]:
    """Report images of equal content within the split, or shared with a split that is not a part or variant of it."""
    splits = {dataset.split: dataset} | {
        split: other for split, other in others.items() if split not in dataset.split and dataset.split not in split
    }
    alike = _same_content(splits)
    within = [names for names in (group.get(dataset.split, []) for group in alike) if len(names) > 1]
    if within:
        images = f"{counted(len(within), 'image is', 'images are')} in this split under several names"
        yield Finding("warning", f"{images} (first: {shorten(within[0])})")
    for split in list(splits)[1:]:
        shared = [group for group in alike if dataset.split in group and split in group]
        if shared:
            pair = f"{shared[0][dataset.split][0]}, there {shared[0][split][0]}"
            yield Finding(
                "fault", f"{counted(len(shared), 'image')} also in split {split!r} (first: {pair}); remove from one"
            )


def _same_content(splits: Mapping[str, Dataset]) -> list[dict[str, list[str]]]:
    """Group images of equal bytes: for each group the names by split. Only files of equal length are hashed."""
    by_length = defaultdict(list)
    for split, dataset in splits.items():
        for item in dataset.items:
            if is_file(item.image) and item.image != item.labels:
                by_length[item.image.stat().st_size].append((split, item))
    groups: dict[str, dict[str, list[str]]] = defaultdict(lambda: defaultdict(list))
    for equal in by_length.values():
        for split, item in equal if len(equal) > 1 else ():
            groups[fingerprint(item.image)][split].append(item.name)
    return [group for group in groups.values() if sum(map(len, group.values())) > 1]


def _strays(datasets: Iterable[Dataset]) -> Iterator[Finding]:
    """Report label maps that belong to no image of any split, and files of other kinds in the same folders."""
    items = [item for dataset in datasets for item in dataset.items]
    used = {path for item in items for path in (item.image, *item.label_files)}
    stems = {Path(item.name).name for item in items}
    endings = {item.labels.name.removeprefix(Path(item.name).name) for item in items}
    masks = {item.labels.parent for item in items}
    spare, strange = [], []
    for path in _beside(used):
        if path.suffix.lower() not in (*IMAGE_SUFFIXES, *LABEL_SUFFIXES, *_NOTES):
            strange.append(path.name)
        elif path.parent in masks:
            spare += [path.name for ending in endings if path.name.endswith(ending) and not _belongs(path, stems)]
    if spare:
        yield Finding(
            "warning", f"{counted(len(spare), 'label map')} without an image (first: {shorten(sorted(spare))})"
        )
    if strange:
        yield Finding(
            "warning", f"{counted(len(strange), 'stray file')} among the data (first: {shorten(sorted(strange))})"
        )


def _beside(used: set[Path]) -> Iterator[Path]:
    """Yield the visible files that are in the folders of the used ones and not used."""
    for folder in {path.parent for path in used}:
        if folder.is_dir():
            yield from (
                path
                for path in folder.iterdir()
                if not path.name.startswith(".") and path not in used and path.is_file()
            )


def _belongs(path: Path, stems: set[str]) -> bool:
    """Tell whether a file name starts with an item's name and a full stop or underscore: labels in another encoding."""
    cuts = [place for place, letter in enumerate(path.name) if letter in "._"]
    return any(path.name[:cut] in stems for cut in cuts)


def _foreign_lists(dataset: Dataset) -> Iterator[Finding]:
    root = Path(dataset.spec.partition(":")[2])
    if root == Path():
        return
    for path in sorted({*root.glob("*.txt"), *root.glob("ImageSets/**/*.txt")}):
        try:
            lines = read_list(path)
        except SegablateError:
            continue
        foreign = [line for line in lines if line.startswith("/") and not any(map(os.path.exists, entries(line)))]
        if foreign:
            yield Finding(
                "warning",
                f"{path.name}: paths of another machine on {thousands(len(foreign))} of {counted(len(lines), 'line')} "
                f"(first: {list(entries(foreign[0]))[-1]}); images are found by base name",
            )
