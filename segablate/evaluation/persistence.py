"""The files that an evaluation reads and writes beside its inputs."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from segablate.errors import Interrupted, SegablateError, UsageError
from segablate.runtime import team

if TYPE_CHECKING:
    from segablate.evaluation.pieces import Pieces


@dataclass(frozen=True)
class Persistence:
    """The files that an evaluation reads and writes beside its inputs.

    - `cache`: take an unchanged evaluation from the cache, and store a new one there.
    - `save`: the run folder to write; pieces are written beside it meanwhile; `resume`: continue from these.
    - `predictions`: a new folder for the predicted label maps; `errors`: for error maps and overlays.
    """

    cache: bool = True
    save: Path | None = None
    resume: bool = False
    predictions: Path | None = None
    errors: Path | None = None

    @property
    def writes(self) -> bool:
        """Whether something is written for every image, so that each has to be predicted again."""
        return self.predictions is not None or self.errors is not None

    def refuse_early(self) -> None:
        """Raise before the work what would fail after it."""
        from segablate.evaluation.pieces import refuse_partial
        from segablate.evaluation.runs import refuse_existing

        for taken in (self.save, self.predictions, self.errors):
            if taken is not None:
                refuse_existing(taken)
        if self.save is not None:
            refuse_partial(self.save, self.resume)
        elif self.resume:
            raise UsageError("--resume continues an interrupted run; name the run, as in: --save RUN --resume")
        if self.resume and self.writes:
            option = "--write-predictions" if self.predictions is not None else "--write-errors"
            raise UsageError(f"{option} needs every image again; leave out that option or --resume")
        given = [path.absolute() for path in (self.save, self.predictions, self.errors) if path is not None]
        if len(set(given)) < len(given):
            raise UsageError("--save, --write-predictions and --write-errors each need a folder of their own")


@contextmanager
def new_folder(path: Path) -> Iterator[Path]:
    """Yield a new folder that appears at `path` once it is complete. Raises Unwritable."""
    from segablate.files import atomic_folder, writing

    with writing(path), atomic_folder(path) as folder:
        yield folder


@contextmanager
def to_be_resumed(keeping: Persistence, pieces: "Pieces | None") -> Iterator[None]:
    """Add to the error that ends a run that it can be resumed; without pieces, leave no folder behind."""
    from segablate.evaluation.pieces import remove_pieces

    try:
        yield
    except (KeyboardInterrupt, SegablateError) as error:
        if keeping.save is None or pieces is None:
            raise
        if not pieces.found():
            if team().size == 1:
                remove_pieces(keeping.save)
            raise
        if isinstance(error, KeyboardInterrupt):
            raise Interrupted(f"interrupted; {pieces.folder} holds what was measured; continue with --resume") from None
        error.args = (f"{error}; then continue with --resume",)
        raise
