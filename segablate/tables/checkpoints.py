"""Tables of the sources of checkpoints, and of the properties of one checkpoint."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from segablate.checkpoints import Segmenter, SourceDescription
from segablate.files import fingerprint
from segablate.tables import Column, Report, Table

if TYPE_CHECKING:
    from segablate.checkpoints.unopened import Unopened


def sources_report(sources: Mapping[str, SourceDescription], left_out: Sequence[str] = ()) -> Report:
    """Build the page of ``segablate checkpoints list``; `left_out`: notes on sources that cannot be used."""
    others = any(source.package for source in sources.values())
    columns = (
        Column("source", "source", "text", wide=True),
        Column("form", "specification", "prose"),
        *((Column("package", "package", "text"),) if others else ()),
        Column("what", "description", "prose"),
    )
    rows = tuple(
        {
            "source": name,
            "form": source.form,
            **({"package": source.package or "segablate"} if others else {}),
            "what": source.what,
        }
        for name, source in sources.items()
    )
    notes = (
        "Options such as --mean, --window and --class-map override the settings of a checkpoint.",
        "A card keeps such settings: segablate checkpoints init SPEC writes a draft.",
        *left_out,
    )
    return Report("Sources of checkpoints", (), (Table("sources", "Sources", columns, rows),), notes)


def checkpoint_report(segmenter: "Segmenter | Unopened", outputs: int | None) -> Report:
    """Build the page of ``segablate checkpoints show``; `outputs`: the number of outputs, or None."""
    from segablate.checkpoints.network import Network
    from segablate.checkpoints.unopened import Unopened

    source = segmenter.source
    facts = {"outputs": "unknown" if outputs is None else str(outputs), **source.facts}
    rows = [{"fact": name, "value": value} for name, value in facts.items()]
    rows += [{"fact": "file", "value": f"{path.name}, SHA-256 {fingerprint(path)}"} for path in source.files]
    columns = (Column("fact", "", "text"), Column("value", "value", "prose"))
    tables = [Table("facts", "Facts", columns, tuple(rows))]
    if segmenter.classes:
        colours = segmenter.colours if isinstance(segmenter, Network | Unopened) else None
        tables.append(_classes_table(segmenter.classes, segmenter.class_map or {}, colours))
    return Report(source.spec, (), tuple(tables), source.notes)


def _classes_table(
    classes: tuple[str, ...], class_map: Mapping[str, str | None], colours: tuple[tuple[int, int, int], ...] | None
) -> Table:
    columns = (
        Column("output", "output", "count"),
        *((Column("colour", "", "swatch"),) if colours else ()),
        Column("class", "class", "text"),
        *((Column("means", "class in the dataset", "text"),) if class_map else ()),
    )
    rows = tuple(
        {
            "output": output,
            **({"colour": colours[output]} if colours else {}),
            "class": name,
            **({"means": class_map.get(name, name) or "outside the label set"} if class_map else {}),
        }
        for output, name in enumerate(classes)
    )
    return Table("classes", "Classes", columns, rows)
