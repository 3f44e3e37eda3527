"""What a reader of the program is to the fuzzer: a valid input, what is damaged, the commands that read it."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from random import Random

from .bombs import Bomb
from .byte_damage import Damage

Site = Callable[[Path], None]
"""Writes valid inputs into a folder."""

Edit = Callable[[Path, Random], None]
"""Damages several files of a site that belong together."""

COUNT = "--workers 0 --losses none --tolerance none"
PREDICTED = f"evaluate predictions:predicted folder:data {COUNT}"
NETWORK = "evaluate 'python:net.py:small(4)@net.pth' folder:data --workers 0"
CHECK = "datasets check folder:data --workers 0"
SCRIBBLE = "datasets scribble folder:data --out scribbled"
EDGES = "train-edges folder:data --split val --steps 2 --masks 3 --out edges.safetensors"
SKIP = "--on-error skip"

PAGES = (
    "", "--format json", "--format csv", "--format latex", "--format markdown", "--wide", "--details", "--conventions",
    "--plot plot.svg",
)  # fmt: skip
"""Options of evaluate by which names and notes go through every renderer."""


@dataclass(frozen=True)
class Target:
    """Files of a site of which one is damaged; `of_many`: an image, label map or prediction, one of several."""

    paths: tuple[str, ...]
    damage: Damage
    bombs: tuple[Bomb, ...] = ()
    of_many: bool = False


@dataclass(frozen=True)
class Reader:
    """What reads a kind of input.

    - `write`: writes its valid inputs into a folder, the site; `before`: what a case does first, in its copy of it.
    - `targets`: what is damaged; `edits`: damage to several files that belong together.
    - `commands`: one is chosen; `refused`: commands that are refused even where all is whole, after they have read it.
    - `needs`: packages without which the reader is left out; `weight`: its share of the cases.
    """

    name: str
    write: Site
    targets: tuple[Target, ...]
    commands: tuple[str, ...]
    edits: tuple[Edit, ...] = ()
    refused: tuple[str, ...] = ()
    before: Callable[[Path], None] | None = None
    needs: tuple[str, ...] = ()
    weight: int = 2
