"""Report on a conversion: what was drawn of each class, and what was left out."""

from collections.abc import Iterator

from segablate.datasets.conversion import Converted
from segablate.errors import counted
from segablate.tables import Column, Report, Table


def converted_report(found: Converted, source: str, out: str) -> Report:
    """Return the report of ``segablate datasets convert``, from `source` to the folder `out`."""
    classes = found.classes
    total = sum(written.pixels for written in found.drawn.values()) + found.void_pixels
    columns = (
        Column("code", "code", "count"),
        *((Column("colour", "", "swatch"),) if classes.colours else ()),
        Column("class", "class", "text"),
        Column("images", "images", "count"),
        Column("shapes", "shapes", "count"),
        Column("share", "pixels", "share", bar=True),
    )
    rows = tuple(
        {
            "code": code,
            "class": name,
            "images": found.drawn[name].images,
            "shapes": found.drawn[name].shapes,
            "share": found.drawn[name].pixels / total,
            **({"colour": classes.colours[code]} if classes.colours else {}),
        }
        for code, name in enumerate(classes.names)
    )
    void = ({"class": "void", "code": classes.void, "share": found.void_pixels / total},) if found.void_pixels else ()
    shapes = sum(written.shapes for written in found.drawn.values())
    facts = (
        ("source", f"{source}, {found.annotations.title}"),
        ("written", ", ".join(f"{counted(count, 'image')} in {split}" for split, count in found.splits.items())),
        ("drawn", f"{counted(shapes, 'shape')}, by the rules of {found.annotations.drawing}"),
    )
    return Report(
        f"Converted to {out}", facts, (Table("classes", "Classes", columns, (*rows, *void)),), (*_notes(found, out),)
    )


def _notes(found: Converted, out: str) -> Iterator[str]:
    rest = "void" if found.classes.rest == found.classes.void else "background"
    yield f"Later shapes cover earlier ones, and holes stay holes; pixels in no shape are {rest}."
    if found.faults.found:
        yield f"Left out or odd: {'; '.join(found.faults.lines())}."
    if found.faults.undrawn:
        yield (
            f"{counted(found.faults.undrawn, 'shape')} could not be drawn: pixels there are {rest}, or of the shape "
            f"below, but void in a box that the source states."
        )
    yield from (f"{note[:1].upper()}{note[1:]}." for note in found.notes)
    links = sum(found.splits.values()) - found.copied
    if links > 0:
        yield f"{counted(links, 'image')} linked, not copied: keep their files, or pass --copy."
    yield f"Next: segablate evaluate CHECKPOINT folder:{out}"
