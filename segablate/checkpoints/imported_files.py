"""The Python files that a file imports from its folder, found by reading their text; nothing is run."""

import ast
from collections.abc import Iterator, Sequence
from pathlib import Path


def files_of(module: str, folders: Sequence[Path]) -> tuple[Path, ...]:
    """Return the files of a module, by its dotted name or as a ``.py`` file, and those that they import from `folders`.

    A module that is not in the folders is an installed one, or missing: it has no files here. Imports whose name is
    computed when the code runs are not found.
    """
    start = [Path(module)] if module.endswith(".py") else list(_files_named(module, folders))
    found: dict[Path, None] = {}
    todo = [path for path in start if path.is_file()]
    while todo:
        path = todo.pop(0)
        if path not in found:
            found[path] = None
            todo += _imported(path, folders)
    return tuple(found)


def _imported(path: Path, folders: Sequence[Path]) -> Iterator[Path]:
    """Yield the files in the folders that the imports of a file name, also those inside functions."""
    try:
        tree = ast.parse(path.read_bytes())
    except (OSError, SyntaxError, ValueError, RecursionError, MemoryError):
        return  # Python will not run it either
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield from _files_named(alias.name, folders)
        elif isinstance(node, ast.ImportFrom):
            above = (
                [path.resolve().parents[min(node.level, len(path.resolve().parents)) - 1]] if node.level else folders
            )
            for alias in node.names:
                yield from _files_named(".".join(filter(None, (node.module, alias.name))), above)


def _files_named(name: str, folders: Sequence[Path]) -> Iterator[Path]:
    """Yield the files of a dotted name that are in the folders: those of its packages, and its own."""
    words = name.split(".")
    for folder in folders:
        for length in range(1, len(words) + 1):
            place = folder.joinpath(*words[:length])
            yield from (file for file in (place / "__init__.py", place.with_suffix(".py")) if file.is_file())
