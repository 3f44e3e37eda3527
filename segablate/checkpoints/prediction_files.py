"""Finding the prediction of each image in a folder by a pattern, and reporting missing and unused files."""

import hashlib
import posixpath
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path, PurePosixPath

from segablate.archives import DamagedArchive, damage_named, opened_zip
from segablate.checkpoints.segmenter import OnError, Source
from segablate.datasets.dataset import Dataset
from segablate.errors import CheckpointError, counted, did_you_mean, shorten, thousands
from segablate.files import LABEL_SUFFIXES, Unreadable, fingerprint, is_file, visible_files
from segablate.images.other_files import what_is_there
from segablate.limits import TooLarge

SCORE_SUFFIX = ".npz"
SUFFIXES = (*LABEL_SUFFIXES, SCORE_SUFFIX)

_FIELD = re.compile(r"\{(\w*)\}")
_FIELDS = ("name", "stem", "parent")


@dataclass(frozen=True)
class PredictionFiles:
    """A folder and the pattern of its file names.

    In `pattern`, ``{name}`` stands for the name of an image (its path in the split without suffixes), ``{stem}`` for
    the last part of it and ``{parent}`` for what comes before. `stated`: whether the user stated it.
    """

    folder: Path
    pattern: str
    stated: bool = True

    @property
    def suffix(self) -> str:
        """The suffix that all files have."""
        return PurePosixPath(self.pattern).suffix.lower()

    @cached_property
    def visible(self) -> tuple[str, ...]:
        """The files of all suffixes that predictions may have, as paths below the folder: there may be many."""
        return tuple(path.relative_to(self.folder).as_posix() for path in visible_files(self.folder, SUFFIXES))

    @property
    def present(self) -> list[str]:
        """Those of `visible` that could be predictions: they end as the pattern does."""
        ending = self.pattern[max(match.end() for match in _FIELD.finditer(self.pattern)) :]
        return [name for name in self.visible if posixpath.basename(name).endswith(ending.split("/")[-1])]

    def path(self, name: str) -> Path:
        """Return the path of the prediction for the image `name`."""
        whole = PurePosixPath(name)
        parts = {"name": name, "stem": whole.name, "parent": whole.parent.as_posix()}
        return self.folder / _FIELD.sub(lambda match: parts[match[1]], self.pattern)

    def described(self, source: Source, dataset: Dataset, on_error: OnError) -> Source:
        """Return `source` with facts and notes on these files for a dataset.

        Raises CheckpointError when predictions are missing, unless such images are to be skipped and some exist.
        """
        there = {name: str(path) for name in dataset.names if is_file(path := self.path(name))}
        missing = [name for name in dataset.names if name not in there]
        if missing and (on_error == "stop" or not there):
            self._refuse(missing, len(dataset))
        known = set(there.values())
        spare = [name for name in self.present if str(self.folder / name) not in known]
        notes = (
            (f"unused predictions, of images not evaluated: {thousands(len(spare))} ({shorten(spare)})",)
            if spare
            else ()
        )
        notes += () if self.stated else _not_read(self, len(there))
        facts = {
            **source.facts,
            "predictions": f"{counted(len(there), 'file')} {self.pattern}, SHA-256 {self.identity(map(Path, known))}",
        }
        return replace(source, facts=facts, notes=(*source.notes, *notes))

    def identity(self, paths: Iterable[Path]) -> str:
        """Return 16 hexadecimal digits that identify names and contents, independent of their order.

        Label maps are read for it, which is cheap beside decoding them. Score files are not: their archives list
        the sizes and checksums of their arrays.
        """
        entries = sorted(f"{path.relative_to(self.folder).as_posix()} {_content(path)}" for path in paths)
        return hashlib.sha256("\n".join(entries).encode("utf-8", "surrogatepass")).hexdigest()[:16]

    def _refuse(self, missing: Sequence[str], images: int) -> None:
        first = self.path(missing[0])
        remedy = "add them, or pass --on-error skip"
        if len(missing) == images and (pattern := self._guessed(missing[0])):
            remedy = f"if they are named otherwise, give the pattern, as in 'predictions:{self.folder}?name={pattern}'"
        raise CheckpointError(
            f"{self.folder}: no prediction for {thousands(len(missing))} of {counted(images, 'image')} "
            f"({shorten(missing)}; first expected: {first}); {remedy}"
        )

    def _guessed(self, name: str) -> str | None:
        """Guess a pattern by which some file would be the prediction for the image `name`, or return None."""
        whole = PurePosixPath(name)
        near = [path for path in map(PurePosixPath, self.visible) if whole.name in path.name]
        if not near:
            return None
        found = min(near, key=lambda path: len(path.name))
        stem = found.name.replace(whole.name, "{stem}")
        nested = found.parent == whole.parent and len(found.parts) > 1
        return f"{{parent}}/{stem}" if nested else (found.parent / stem).as_posix()


def find_files(folder: Path, pattern: str | None) -> PredictionFiles:
    """Return the folder with its pattern, by default the image's name with the first suffix of SUFFIXES that occurs.

    Raises CheckpointError when there is no such folder, when it holds no predictions, and for an invalid pattern.
    """
    if not folder.is_dir():
        raise CheckpointError(f"{folder} is not a folder; give the one that holds the predictions")
    if pattern is not None:
        _check(pattern)
        return PredictionFiles(folder, pattern)
    present = {path.suffix.lower() for path in visible_files(folder, SUFFIXES)}
    if not present:
        raise CheckpointError(_what_else(folder))
    return PredictionFiles(folder, "{name}" + next(suffix for suffix in SUFFIXES if suffix in present), stated=False)


def _not_read(files: PredictionFiles, count: int) -> tuple[str, ...]:
    """Return a note on files of another suffix beside the `count` that are read."""
    others = [path.name for path in map(PurePosixPath, files.visible) if path.suffix.lower() != files.suffix]
    if not others:
        return ()
    return (
        f"predictions are read from {counted(count, f'{files.suffix} file')}; not from {len(others)} others "
        f"({shorten(others)}); name={{name}}SUFFIX decides otherwise",
    )


def _what_else(folder: Path) -> str:
    """Return a message on a folder without predictions: what it holds, and what is expected."""
    expected = "expected label maps (.png, .npy) or scores (.npz)"
    lossy = visible_files(folder, (".jpg", ".jpeg", ".webp"))
    if lossy:
        return (
            f"{folder}: holds {counted(len(lossy), 'file')} in a format that changes values when it compresses (first: "
            f"{lossy[0].name}); {expected}: save them again"
        )
    return what_is_there(folder) or f"{folder} holds no predictions; {expected}"


def _check(pattern: str) -> None:
    used = _FIELD.findall(pattern)
    for name in used:
        if name not in _FIELDS:
            raise CheckpointError(f"name={pattern}: no field is called {{{name}}}{did_you_mean(name, _FIELDS)}")
    if not {"name", "stem"} & set(used):
        raise CheckpointError(f"name={pattern} names one file for all images; it must contain {{stem}} or {{name}}")
    if PurePosixPath(pattern).suffix.lower() not in SUFFIXES:
        raise CheckpointError(f"name={pattern} must end in {shorten(SUFFIXES, 20)}, as in {{stem}}_pred.png")


def _content(path: Path) -> str:
    if path.suffix.lower() == SCORE_SUFFIX:
        try:
            with damage_named(), opened_zip(path) as archive:
                return " ".join(f"{entry.filename}:{entry.file_size}:{entry.CRC:08x}" for entry in archive.infolist())
        except (DamagedArchive, TooLarge):
            pass  # reported when it is read
    try:
        return fingerprint(path)
    except Unreadable:
        return "unreadable"  # reported when it is read
