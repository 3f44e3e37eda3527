"""The page as data, which the templates turn into HTML."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from segablate.report.charts import Chart
from segablate.report.grid import Grid
from segablate.report.matrix import Matrix

_SHORT = {
    "classes": "Classes",
    "matrix": "Confusion",
    "curve": "Boundaries",
    "bands": "By distance",
    "image_scores": "Images",
    "pairs": "Pairs",
    "agreement": "Rank correlation",
    "fixed": "Fixed checkpoint",
}


@dataclass(frozen=True)
class Section:
    """A part of the page: a heading, charts, a table, and sentences on both.

    - `name`: its anchor; `folded`: tables that are closed until asked for, by the heading of each.
    """

    name: str
    title: str
    charts: tuple[Chart, ...] = ()
    grid: Grid | None = None
    matrices: tuple[Matrix, ...] = ()
    notes: tuple[str, ...] = ()
    folded: tuple[tuple[str, Grid], ...] = ()

    @property
    def short(self) -> str:
        """The title in a word or two, for the list of the sections."""
        return _SHORT.get(self.name) or self.title.partition(",")[0].partition(";")[0]


@dataclass(frozen=True)
class ImageList:
    """Images in an order that has a reason: `title`, and (image, caption) of each; `images` index those of the run."""

    title: str
    items: tuple[tuple[int, str], ...]


@dataclass(frozen=True)
class Pictures:
    """Embedded images.

    - `classes`: names and colours; `runs`: the letter of each run, or an empty name for a single one.
    - `images`: by image of the run: name, size, wrong pixels of each run, and its data (see :mod:`.pictures`).
    - `lists`: orders in which they are looked at; `said`: which and how many, and what was not found.
    """

    classes: tuple[tuple[str, str], ...]
    runs: tuple[str, ...]
    images: Mapping[int, Mapping[str, Any]]
    data: Mapping[int, Mapping[str, Any]]
    lists: tuple[ImageList, ...]
    said: tuple[str, ...]


@dataclass(frozen=True)
class Page:
    """A whole page.

    - `kind`: evaluation, comparison or ablation; `verdict`: the result in a sentence; `convention`: how it was counted.
    - `sections` above the pictures, `further` below them; `provenance`: (name, value) of what was run.
    """

    kind: str
    title: str
    verdict: str
    convention: str
    sections: Sequence[Section]
    pictures: Pictures | None
    further: Sequence[Section]
    provenance: Sequence[tuple[str, str]]
    notes: Sequence[str] = ()
