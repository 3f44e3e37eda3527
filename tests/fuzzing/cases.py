"""The case of a seed and a number: always the same, however many others there are."""

import os
import shlex
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from random import Random

from . import checkpoint_readers, command_lines, picture_readers, surroundings, text_readers
from .bombs import built
from .readers import SKIP, Reader, Target
from .text_readers import COMMAND_LINES

Change = Callable[[Path], None]


ALL = (*checkpoint_readers.READERS, *picture_readers.READERS, *text_readers.READERS)

OUTPUTS = ("file",) * 40 + ("/dev/full", "ascii", "latin-1")
"""Where standard output goes: a file, a full disk, or a terminal of another encoding."""


@dataclass(frozen=True)
class Case:
    """One input and the command that reads it.

    - `change`: damages a copy of the reader's site; `what`: how, in words.
    - `must_succeed`: one image of several is damaged and errors are to be skipped.
    """

    seed: int
    number: int
    reader: Reader
    arguments: tuple[str, ...]
    what: str
    change: Change
    output: str = "file"
    must_succeed: bool = False

    @property
    def command(self) -> str:
        """As one would type it in a copy of the site."""
        return shlex.join(["segablate", *self.arguments])


def case(seed: int, number: int) -> Case:
    """The case of this seed and number."""
    rng = Random(f"{seed}:{number}")
    reader = rng.choices(ALL, [each.weight for each in ALL])[0]
    output = rng.choice(OUTPUTS)
    if reader is COMMAND_LINES:
        arguments = tuple(command_lines.odd_command(rng))
        return Case(seed, number, reader, arguments, "an odd command line", lambda root: None, output)
    arguments = tuple(shlex.split(rng.choice(reader.commands + reader.refused)))
    what, change, content_of_one = _change(reader, rng)
    must_succeed = content_of_one and SKIP in shlex.join(arguments) and output == "file"
    return Case(seed, number, reader, arguments, what, change, output, must_succeed)


def valid(reader: Reader, command: str) -> Case:
    """A command of a reader on its input as it is."""
    return Case(0, -1, reader, tuple(shlex.split(command)), "nothing", lambda root: None, must_succeed=True)


def _change(reader: Reader, rng: Random) -> tuple[str, Change, bool]:
    """What is done to the site, in words and as a function, and whether it is to the content of one image of many."""
    count = len(reader.targets) + len(reader.edits)
    choice = rng.randrange(count)
    dice = Random(rng.random())
    if choice >= len(reader.targets):
        edit = reader.edits[choice - len(reader.targets)]
        return getattr(edit, "__name__", "edit"), partial(edit, rng=dice), False
    target = reader.targets[choice]
    path, kind = rng.choice(target.paths), rng.random()
    if kind < 0.07:
        surrounding = rng.choice(surroundings.KINDS)
        return f"{surrounding.__name__} at {path}", lambda root: surrounding(root / path), False
    if kind < 0.12 and target.bombs:
        place = rng.randrange(len(target.bombs))
        data = built(target.bombs[place])  # here, so that the time is not the program's
        return f"bomb {place} at {path}", lambda root: _write(root / path, data), target.of_many
    return f"{target.damage.__name__} of {path}", partial(_damage, target=target, path=path, rng=dice), target.of_many


def _damage(root: Path, target: Target, path: str, rng: Random) -> None:
    _write(root / path, target.damage((root / path).read_bytes(), rng))


def _write(path: Path, data: bytes) -> None:
    path.write_bytes(data)
    os.utime(path, (1_700_000_000, 1_700_000_000))
