"""Reports on datasets: the layouts, their classes, and the findings of a check."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

from segablate.datasets.catalogue import LayoutDescription
from segablate.datasets.checking import Finding, known_codes
from segablate.datasets.layout import Layout
from segablate.datasets.survey import Survey
from segablate.errors import counted, shorten, thousands
from segablate.labels import LabelSet
from segablate.tables import Column, Report, Table

_MOST_SIZES = 8


def layouts_report(layouts: Mapping[str, LayoutDescription], left_out: Sequence[str] = ()) -> Report:
    """Return the report of ``segablate datasets list``; `left_out`: notes on layouts that cannot be used."""
    others = any(each.package for each in layouts.values())
    columns = (
        Column("layout", "layout", "text"),
        *((Column("package", "package", "text"),) if others else ()),
        Column("classes", "classes", "text"),
        Column("split", "default split", "text"),
        Column("expects", "expects", "prose"),
    )
    rows = tuple(_layout_row(name, each, others) for name, each in layouts.items())
    notes = (
        "Usage: LAYOUT:DIRECTORY, as in cityscapes:/data/cityscapes. Details: segablate datasets show LAYOUT.",
        "Your own images and label maps: segablate datasets init DIRECTORY.",
        *left_out,
    )
    return Report("Dataset layouts", (), (Table("layouts", "Layouts", columns, rows),), notes)


def _layout_row(name: str, described: LayoutDescription, others: bool) -> dict[str, object]:
    """Return the row of a layout; `others`: whether any is of another package."""
    layout, package = described.layout, described.package or "segablate"
    sizes = dict.fromkeys(str(len(labels)) for labels in layout.label_sets) if layout else {}
    return {
        "layout": name,
        **({"package": package} if others else {}),
        "classes": (" or ".join(sizes) or "yours") if layout else "",
        "split": layout.default_split if layout else "",
        "expects": layout.expects if layout else described.problem,
    }


def classes_report(name: str, layout: Layout) -> Report:
    """Return the report of ``segablate datasets show``: the classes of a layout."""
    by_classes = {labels.names: labels for labels in reversed(layout.label_sets)}
    tables = tuple(_classes_table(labels) for labels in reversed(by_classes.values()))
    return Report(f"Classes of {name}", (), tables)


def _classes_table(labels: LabelSet) -> Table:
    columns = (
        Column("index", "index", "count"),
        *((Column("colour", "", "swatch"),) if labels.colours else ()),
        Column("class", "class", "text"),
        Column("codes", "codes in files", "text"),
    )
    rows = tuple(
        {
            "index": index,
            "class": name,
            "codes": ", ".join(map(labels.show_code, labels.codes[index])),
            **({"colour": labels.colours[index]} if labels.colours else {}),
        }
        for index, name in enumerate(labels.names)
    )
    void = "all others" if labels.void is None else ", ".join(map(labels.show_code, labels.void)) or "none"
    return Table(f"classes_{len(labels)}", counted(len(labels), "class", "classes"), columns, rows, (f"Void: {void}.",))


def check_report(found: Survey, findings: Iterable[Finding]) -> Report:
    """Return the report of ``segablate datasets check``."""
    data = found.dataset
    columns = (Column("level", "", "text"), Column("finding", "finding", "prose"))
    rows = tuple({"level": finding.level, "finding": finding.message} for finding in findings)
    facts = (
        ("dataset", f"{data.spec}, split {data.split}"),
        ("images", thousands(len(data)) if found.with_images else f"none; {counted(len(data), 'label map')}"),
        ("label set", f"{data.labels.name}, {counted(len(data.labels), 'class', 'classes')}"),
        ("sizes", _sizes(found)),
    )
    tables = (_codes_table(found), *([Table("findings", "Findings", columns, rows)] if rows else []))
    notes = (*_absent(found), *data.notes, *(() if rows else ("No findings.",)))
    return Report(f"Check of {data.spec}", facts, tables, notes)


def _sizes(found: Survey) -> str:
    counts = Counter(seen.label_size for seen in found.seen).most_common()
    listed = ", ".join(f"{height}x{width} ({thousands(count)})" for (height, width), count in counts[:_MOST_SIZES])
    return listed + (f" and {len(counts) - _MOST_SIZES} more" if len(counts) > _MOST_SIZES else "")


def _codes_table(found: Survey) -> Table:
    """Return a row for each code in use: classes in order, then void, then codes outside the label set."""
    labels, images = found.labels, found.images()
    pixels = found.pixels()
    total = sum(pixels.values())
    columns = (
        Column("code", "code", "text"),
        *((Column("colour", "", "swatch"),) if labels.colours else ()),
        Column("class", "class", "text"),
        Column("pixels", "pixels", "count"),
        Column("share", "pixels", "share", bar=True),
        Column("images", "images", "count"),
    )
    rows = tuple(
        {
            "code": labels.show_code(code),
            "class": _meaning(labels, code),
            "pixels": pixels[code],
            "share": pixels[code] / total,
            "images": images[code],
            **_colour(labels, code),
        }
        for code in sorted(pixels, key=lambda code: _order(labels, code))
    )
    void = sum(count for code, count in pixels.items() if labels.class_of(code) is None)
    notes = (f"{100 * void / total:.1f} % of the pixels are void or unknown.",) if total else ()
    return Table("codes", "Codes in use", columns, rows, notes)


def _order(labels: LabelSet, code: int) -> tuple[int, int]:
    index = labels.class_of(code)
    return (index, code) if index is not None else (len(labels) + (code not in known_codes(labels)), code)


def _meaning(labels: LabelSet, code: int) -> str:
    index = labels.class_of(code)
    if index is not None:
        return labels.names[index]
    return "void" if labels.void is None or code in labels.void else "not in the label set"


def _colour(labels: LabelSet, code: int) -> dict[str, object]:
    index = labels.class_of(code)
    return {"colour": labels.colours[index]} if labels.colours and index is not None else {}


def _absent(found: Survey) -> tuple[str, ...]:
    present = {found.labels.class_of(code) for code in found.pixels()}
    absent = [name for index, name in enumerate(found.labels.names) if index not in present]
    if not absent:
        return ()
    return (
        f"{len(absent)} of {counted(len(found.labels), 'class', 'classes')} without a labelled pixel: "
        f"{shorten(absent, 10)}.",
    )
