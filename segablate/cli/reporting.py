"""Pages: of saved runs, and of what `evaluate`, `compare` and `ablate` have just computed (``--report``)."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from segablate.cli.invocation import command_line
from segablate.errors import UsageError

if TYPE_CHECKING:
    from segablate.checkpoints import Loading
    from segablate.report.subject import Subject

ReportOption = Annotated[
    Path | None,
    typer.Option(
        metavar="PAGE.html",
        help="Write an HTML page with charts and pictures; an earlier page is replaced, no other file.",
        rich_help_panel="Output",
    ),
]

_SUFFIXES = (".html", ".htm")


def refuse_page(page: Path | None) -> None:
    """Raise before the work for a page that could not be written after it.

    UsageError for one that is no HTML file, and Unwritable where a file is there that is no page of this program.
    """
    if page is None:
        return
    if page.suffix.lower() not in _SUFFIXES:
        raise UsageError(f"--report {page} must end in .html")
    if page.is_dir():
        raise UsageError(f"--report {page} is a folder; name a file")
    _refuse_other(page)


def parse_images(text: str) -> int | None:
    """Parse --images: a number of images; None: all."""
    if text == "all":
        return None
    if not (text.isascii() and text.isdecimal()):
        raise UsageError(f"--images is {text!r}, but must be a number of images, or all")
    return int(text)


def page_of_runs(
    names: Sequence[str], out: Path | None, images: int | None, loading: "Loading", *, on: str | None, paths: bool
) -> None:
    """Write the page of saved runs and print where. A SegablateError for what is no run, or cannot be written."""
    from segablate.report.subject import read_subject

    target = _target(out, images)
    replaced = ", in place of the page that was there" if target.exists() else ""
    write_report(read_subject([Path(name) for name in names]), target, loading, images, on=on, paths=paths)
    typer.echo(f"{target if images is not None else target / 'index.html'} written{replaced}")


def write_report(
    subject: "Subject",
    path: Path,
    loading: "Loading",
    images: int | None = 60,
    *,
    on: str | None = None,
    paths: bool = False,
) -> None:
    """Write a page; what it could not embed is a note on standard error."""
    from segablate.render import progress
    from segablate.report.making import Making, make_page

    for said in make_page(subject, Making(path, images, paths, loading, on, command_line(), progress)):
        typer.echo(f"note: {said}", err=True)


def _target(out: Path | None, images: int | None) -> Path:
    """Return the file, or for all images the folder, to write."""
    from segablate.evaluation.runs import refuse_existing

    if images is None:
        folder = out or Path("report")
        if folder.suffix.lower() in _SUFFIXES:
            raise UsageError(f"-o {folder} is a file, but --images all writes a folder; as in: -o {folder.stem}")
        refuse_existing(folder)
        return folder
    page = out or Path("report.html")
    if page.suffix.lower() not in _SUFFIXES:
        raise UsageError(f"-o {page} must end in .html; a folder is written with --images all")
    if page.is_dir():
        raise UsageError(f"-o {page} is a folder; name a file")
    _refuse_other(page)
    return page


def _refuse_other(page: Path) -> None:
    """Raise Unwritable where a file is there that is no page of this program."""
    from segablate.files import refuse_foreign
    from segablate.report.writing import MARK

    refuse_foreign(page, MARK, "page")
