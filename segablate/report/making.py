"""From runs and their report to a page in a file, or in a folder with all its pictures."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from segablate.checkpoints.segmenter import Loading
from segablate.evaluation.again import open_again
from segablate.evaluation.inputs import Display, silent
from segablate.evaluation.origin import origin_of
from segablate.evaluation.results import Evaluation
from segablate.files import atomic_folder, write_atomically, writing
from segablate.report.choosing import Choice, choose
from segablate.report.page import Page, Pictures
from segablate.report.pictures import Sink, collect
from segablate.report.privacy import privacy
from segablate.report.sections import Embedded, sections_of
from segablate.report.subject import Subject
from segablate.report.verdicts import convention_of, verdict_of
from segablate.report.writing import html_of, picture_script

IMAGES = 60
"""Images of a page unless another number is asked for."""

_KINDS = {"evaluation": "Evaluation", "comparison": "Comparison", "ablation": "Ablation"}


@dataclass(frozen=True)
class Making:
    """How a page is made.

    - `path`: the file, or with `images` None (all of them) the folder; `paths`: whether absolute paths stand in it.
    - `loading`: device and trust with which checkpoints are opened again; `on`: a dataset in place of that of the runs.
    - `command`: the command line that makes the page; `display`: shows the progress.
    """

    path: Path
    images: int | None = IMAGES
    paths: bool = False
    loading: Loading = Loading()  # noqa: RUF009, a frozen value
    on: str | None = None
    command: str = ""
    display: Display = silent


def make_page(subject: Subject, making: Making) -> list[str]:
    """Write the page of a subject; return what could not be embedded, in sentences.

    Raises Unwritable where the file or folder cannot be written.
    """
    choice = _choice(subject, making)
    with writing(making.path):
        if making.images is None:
            with atomic_folder(making.path) as folder:
                pictures = _pictures(subject, choice, making, _writer(folder / "pictures"))
                page = _page(subject, making, choice, pictures)
                (folder / "index.html").write_bytes(html_of(page, in_folder=True))
        else:
            found: dict[int, Mapping[str, Any]] = {}
            pictures = _pictures(subject, choice, making, found.__setitem__)
            pictures = replace(pictures, data=found) if pictures else None
            write_atomically(making.path, html_of(_page(subject, making, choice, pictures)))
    return [*pictures.said[1:]] if pictures else []


def _writer(folder: Path) -> Sink:
    """Return what writes each picture as a script in a new folder."""
    folder.mkdir()

    def write(index: int, data: Mapping[str, Any]) -> None:
        (folder / f"{index}.js").write_text(picture_script(index, data), encoding="ascii")

    return write


def _choice(subject: Subject, making: Making) -> Choice | None:
    if not subject.runs:
        return None
    return choose(list(subject.runs.values()), making.images, void_as_error=subject.void_as_error)


def _pictures(subject: Subject, choice: Choice | None, making: Making, sink: Sink) -> Pictures | None:
    if choice is None or making.images == 0:
        return None
    opened = {x: open_again(run, making.loading, on=making.on) for x, run in subject.runs.items()}
    with making.display(len(choice.images), "collecting pictures") as advance:
        found = collect(opened, choice, making.images, sink, advance)
    if subject.kind != "ablation":
        return found
    return replace(found, said=(f"{found.said[0]} Predictions are of the fixed checkpoint.", *found.said[1:]))


def _page(subject: Subject, making: Making, choice: Choice | None, pictures: Pictures | None) -> Page:
    hiding = privacy(_paths_of(subject, making), show=making.paths)
    embedded = Embedded(pictures.images, _cells(pictures)) if pictures else Embedded()
    report = hiding.report(subject.report)
    above, below = sections_of(replace(subject, report=report), choice, embedded)
    facts = [(name, value) for name, value in report.facts if name not in ("verdict", "convention")]
    return Page(
        kind=_KINDS[subject.kind],
        title=report.title,
        verdict=hiding.text(verdict_of(subject)),
        convention=convention_of(subject),
        sections=above,
        pictures=replace(pictures, said=tuple(map(hiding.text, pictures.said))) if pictures else None,
        further=below,
        provenance=[*facts, *((name, hiding.text(value)) for name, value in _provenance(subject, making))],
        notes=report.notes,
    )


def _cells(pictures: Pictures) -> set[tuple[int, int]]:
    return {
        (label, predicted)
        for image in pictures.images.values()
        for cells in image["cells"]
        for label, predicted, _ in cells
    }


def _provenance(subject: Subject, making: Making) -> list[tuple[str, str]]:
    """Return what was run beyond the facts of the report: hashes, versions, and command lines."""
    found: list[tuple[str, str]] = []
    for letter, run in subject.runs.items():
        of = f" of {letter}" if letter else ""
        files = run.facts["checkpoint"].get("files", {})
        found += [(f"SHA-256{of}", f"{name} {digest}") for name, digest in files.items()]
        if run.facts.get("command"):
            found.append((f"command{of}", str(run.facts["command"])))
    versions = {f"{package} {version}" for run in subject.runs.values() for package, version in _versions(run)}
    found += [("versions", ", ".join(sorted(versions)))] if versions else []
    if subject.command and all(value != subject.command for _, value in found):
        found.append(("command", subject.command))
    return [*found, ("page", making.command)] if making.command and making.command != subject.command else found


def _versions(run: Evaluation) -> list[tuple[str, str]]:
    return list(run.facts.get("versions", {}).items())


def _paths_of(subject: Subject, making: Making) -> list[str]:
    """Return the absolute paths that texts of the page may contain."""
    found = [str(making.path.absolute().parent)]
    for run in subject.runs.values():
        origin = origin_of(run) or {}
        found += [part for key in ("folder", "predictions") if (part := str(origin.get(key, "")))]
        found += [part for key in ("dataset", "checkpoint") for part in _rooted(str(origin.get(key, "")))]
    return found


def _rooted(spec: str) -> list[str]:
    """Return the absolute paths in a specification: what follows a colon, an @ or nothing."""
    return [part.partition("?")[0] for part in spec.replace("@", ":").split(":") if part.startswith("/")]
