"""Arguments that several commands share: a checkpoint, a dataset, runs. Variables and ``~`` in them are expanded."""

import os
import re
from collections.abc import Iterable
from typing import Annotated

import typer

from segablate.cli.completion import checkpoints, datasets
from segablate.errors import UsageError

_VARIABLE = re.compile(r"\$(\w+|\{\w+\})")
_HOME = re.compile(r"(^|[:@=,])~(?=/|$)")
_SEPARATORS = re.compile(r"[:@=,]")


def expand(text: str | None) -> str | None:
    """Expand ``$NAME``, ``${NAME}`` and ``~`` anywhere in a specification, as where a shell was kept from it by quotes.

    A part that is the path of a file, as for a name with a ``$``, is left as it is. Raises UsageError for a variable
    that is not set.
    """
    if text is None or any(os.path.exists(part) for part in _SEPARATORS.split(text) if "$" in part):
        return text
    unset = [name for found in _VARIABLE.finditer(text) if (name := found[1].strip("{}")) not in os.environ]
    if unset:
        raise UsageError(f"{text}: the variable {unset[0]} is not set; set it, or write the path out")
    home = os.path.expanduser("~")
    return _HOME.sub(lambda found: found[1] + home, os.path.expandvars(text))


def expand_all(texts: Iterable[str] | None) -> list[str] | None:
    """Expand each of several specifications, as :func:`expand` does."""
    return None if texts is None else [str(expand(text)) for text in texts]


def checkpoint_argument(help: str = "Checkpoint, card or SOURCE:...") -> typer.models.ArgumentInfo:
    """Return the argument for a checkpoint."""
    return typer.Argument(help=help, callback=expand, autocompletion=checkpoints)


def dataset_argument(help: str = "LAYOUT:DIRECTORY, or sample.") -> typer.models.ArgumentInfo:
    """Return the argument for a dataset."""
    return typer.Argument(help=help, callback=expand, autocompletion=datasets)


Checkpoint = Annotated[str, checkpoint_argument()]
Dataset = Annotated[str, dataset_argument()]
OptionalDataset = Annotated[str | None, dataset_argument()]
