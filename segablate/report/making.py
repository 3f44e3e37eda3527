"""From runs and their report to a page in a file, or in a folder with all its pictures."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from segablate.checkpoints.segmenter import Loading
from segablate.evaluation.again import Again, open_again
from segablate.evaluation.inputs import Display, silent
from segablate.evaluation.origin import origin_of
from segablate.evaluation.results import Evaluation
from segablate.files import atomic_folder, write_atomically, writing
from segablate.report.choosing import Choice, choose
from segablate.report.page import Page, Pictures
from segablate.report.pictures import Embedding, collect
from segablate.report.privacy import Privacy, privacy
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
    hiding = privacy(_paths_of(subject, making), show=making.paths)
    with writing(making.path):
        if making.images is not None:
            found: dict[int, Mapping[str, Any]] = {}
            page = _page(subject, making, hiding, found.__setitem__)
            pictures = replace(page.pictures, data=found) if page.pictures else None
            write_atomically(making.path, html_of(replace(page, pictures=pictures)))
        else:
            with atomic_folder(making.path) as folder:
                (folder / "pictures").mkdir()

                def write(index: int, data: Mapping[str, Any]) -> None:
                    (folder / "pictures" / f"{index}.js").write_text(picture_script(index, data), encoding="ascii")

                page = _page(subject, making, hiding, write)
                (folder / "index.html").write_bytes(html_of(page, in_folder=True))
    return [*page.pictures.said[1:]] if page.pictures else []


def _page(subject: Subject, making: Making, hiding: Privacy, sink: Any) -> Page:
    choice, pictures = None, None
    runs = subject.runs
    if runs:
        choice = choose(list(runs.values()), making.images, void_as_error=subject.void_as_error)
        pictures = _pictures(runs, choice, making, hiding, sink)
    embedded = Embedded(pictures.images, _cells(pictures)) if pictures else Embedded()
    report = hiding.report(subject.report)
    above, below = sections_of(replace(subject, report=report), choice, embedded)
    facts = dict(report.facts)
    facts.pop("verdict", None)
    facts.pop("convention", None)
    if pictures and subject.kind == "ablation":
        said = f"{pictures.said[0]} Predictions are those of the fixed checkpoint."
        pictures = replace(pictures, said=(said, *pictures.said[1:]))
    return Page(
        kind=_KINDS[subject.kind],
        title=report.title,
        verdict=hiding.text(verdict_of(subject)),
        convention=convention_of(subject),
        sections=above,
        pictures=pictures if pictures and (pictures.images or pictures.said) else None,
        further=below,
        provenance=[*facts.items(), *((n, hiding.text(v)) for n, v in _provenance(subject, making))],
        notes=report.notes,
    )


def _pictures(runs: Mapping[str, Evaluation], choice: Choice, making: Making, hiding: Privacy, sink: Any) -> Pictures:
    opened: dict[str, Again] = {x: open_again(run, making.loading, on=making.on) for x, run in runs.items()}
    with making.display(len(choice.images), "collecting pictures") as advance:
        return collect(opened, choice, Embedding(making.images, hiding.text), sink, advance)


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
