"""What a new card is of: the specification given, or, for weights without a network, one that names a network."""

from dataclasses import dataclass

from segablate.checkpoints import open_checkpoint, source_of
from segablate.checkpoints.bare_weights import read_bare
from segablate.checkpoints.segmenter import Loading
from segablate.errors import CheckpointError

_UNNAMED = "python:FILE.py:FUNCTION()"


@dataclass(frozen=True)
class CardSubject:
    """The specification that a card is written for.

    - `note`: how it was found, where it is not the one given; `unnamed`: whether its network is still to be filled in.
    """

    spec: str
    note: str = ""
    unnamed: bool = False


def subject_of(spec: str, loading: Loading) -> CardSubject:
    """Return what a card for a specification is of. Runs no code of the checkpoint.

    Raises CheckpointError for a card, for files that hold no weights, and for what is neither a file nor a source.
    """
    source = source_of(spec, loading)
    if source is not None and source.name == "card":
        raise CheckpointError(f"{spec} is a card already; edit it, or give the checkpoint that it names")
    bare = read_bare(spec, loading)
    if bare is None:
        if source is None:
            open_checkpoint(spec, loading)
        return CardSubject(spec)
    without = f"{spec} holds weights, but no network"
    if bare.found is None:
        return CardSubject(f"{_UNNAMED}@{spec}", without, unnamed=True)
    alike = f"{without}; they look like {bare.found.name}"
    if bare.found.spec is None or not bare.tried:
        return CardSubject(f"{_UNNAMED}@{spec}", alike, unnamed=True)
    return CardSubject(bare.found.spec, f"{alike}, and its keys all fit")
