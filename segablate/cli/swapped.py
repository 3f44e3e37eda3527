"""Arguments in the place of others: a dataset for a checkpoint, a URL, a Python file, two checkpoints."""

import ast
import os
import shlex
from collections.abc import Sequence
from pathlib import Path

from segablate.errors import UsageError

_HUB = "https://huggingface.co/"


def is_dataset(word: str) -> bool:
    """Return whether a word can only be a dataset: ``sample``, or a layout with its directory."""
    from segablate.checkpoints import checkpoint_sources
    from segablate.datasets import dataset_layouts

    name, colon, rest = word.partition(":")
    if word == "sample":
        return True
    return name in dataset_layouts() and bool(colon) and name not in checkpoint_sources() and bool(rest)


def is_checkpoint(word: str) -> bool:
    """Return whether a word can only be a checkpoint: a source with its rest, or a file that a source opens."""
    from segablate.checkpoints import by_suffix, checkpoint_sources
    from segablate.datasets import dataset_layouts

    name, colon, rest = word.partition(":")
    if name == "sample":
        return bool(rest)
    if colon and name in checkpoint_sources():
        return bool(rest) and name not in dataset_layouts()
    return Path(word).suffix in {*by_suffix(), ".pth", ".pt"} and os.path.isfile(word)


def refuse_swapped(command: str, checkpoint: str, dataset: str | None) -> None:
    """Raise UsageError, with the command line that was meant, for arguments that stand in the place of others.

    :param command: what stands before the checkpoint, such as ``evaluate`` or ``ablate rmi``.
    """
    refuse_empty(checkpoint, "checkpoint")
    refuse_url(checkpoint)
    refuse_python(checkpoint)
    if dataset is None:
        if is_dataset(checkpoint):
            raise UsageError(
                f"{checkpoint} is a dataset, but the checkpoint comes first. "
                f"Usage: segablate {command} CHECKPOINT {shlex.quote(checkpoint)}"
            )
        return
    refuse_empty(dataset, "dataset")
    refuse_url(dataset)
    if is_checkpoint(dataset):
        if is_dataset(checkpoint) or _is_plain_folder(checkpoint):
            place = checkpoint if is_dataset(checkpoint) else f"folder:{checkpoint}"
            line = shlex.join(["segablate", *command.split(), dataset, place])
            raise UsageError(f"{dataset} is a checkpoint, which comes before the dataset; write: {line}")
        if is_checkpoint(checkpoint):
            line = shlex.join(["segablate", "compare", checkpoint, dataset, "--on", "DATASET"])
            raise UsageError(f"both {checkpoint} and {dataset} are checkpoints; write: {line}")
    _refuse_apart(command, checkpoint, dataset)


def refuse_dataset(word: str) -> None:
    """Raise UsageError for what can only be a dataset, in the place of a checkpoint alone."""
    if is_dataset(word):
        raise UsageError(f"{word} is a dataset, not a checkpoint; write: segablate datasets check {shlex.quote(word)}")


def refuse_empty(word: str, what: str) -> None:
    """Raise UsageError for an empty word, as of a variable of the shell that is not set."""
    if not word.strip():
        raise UsageError(f"the {what} is an empty word; is a variable of the shell not set?")


def refuse_datasets(names: Sequence[str], on: str | None) -> None:
    """Raise UsageError, with the command line that was meant, for a dataset among the runs of ``compare``."""
    given = [name for name in names if is_dataset(name)]
    if given and on is None:
        line = shlex.join(["segablate", "compare", *(name for name in names if name not in given), "--on", given[0]])
        raise UsageError(f"{given[0]} is a dataset, which compare takes as an option; write: {line}")


def refuse_url(word: str) -> None:
    """Raise UsageError for a URL: nothing is downloaded, but by the libraries of a hub."""
    if not word.lower().startswith(("http://", "https://", "s3://", "gs://", "ftp://")):
        return
    if word.startswith(_HUB) and len(parts := word.removeprefix(_HUB).strip("/").split("/")) == 2:
        raise UsageError(f"{word}: write hf:{'/'.join(parts)} --allow-download, or download it and give its folder")
    raise UsageError(f"{word}: files are not downloaded; download it, and give the path of the file")


def refuse_python(word: str) -> None:
    """Raise UsageError for a Python file in the place of a checkpoint, with the functions in it. Runs nothing."""
    if ":" in word or not word.endswith(".py"):
        return
    found = _functions(Path(word))
    name = found[0] if found else "FUNCTION"
    others = f" (also in the file: {', '.join(found[1:6])})" if len(found) > 1 else ""
    raise UsageError(
        f"{word} is Python; name the function or class that builds the network, and the weights: "
        f"python:{word}:{name}()@WEIGHTS{others}"
    )


def _functions(path: Path) -> list[str]:
    """Return the public functions and classes that a Python file defines; none where it cannot be read."""
    try:
        tree = ast.parse(path.read_bytes())
    except (OSError, SyntaxError, ValueError):
        return []
    named = [node for node in tree.body if isinstance(node, ast.FunctionDef | ast.ClassDef)]
    return [node.name for node in named if not node.name.startswith("_")]


def _is_plain_folder(word: str) -> bool:
    return ":" not in word and os.path.isdir(word)


def _refuse_apart(command: str, checkpoint: str, dataset: str) -> None:
    """Raise UsageError for a layout and its directory as two words, in either order."""
    from segablate.datasets import dataset_layouts

    names = [name for name in dataset_layouts() if name != "sample"]
    for layout, place in ((dataset, checkpoint), (checkpoint, dataset)):
        if layout in names and _is_plain_folder(place) and not (Path(place) / "config.json").is_file():
            line = f"segablate {command} CHECKPOINT {shlex.quote(f'{layout}:{place}')}"
            raise UsageError(f"{layout} and {place} are one argument, and the checkpoint is another; write: {line}")
