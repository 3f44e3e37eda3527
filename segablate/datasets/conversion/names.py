"""Names of images in the written dataset, from whatever paths annotation tools store."""

from pathlib import PurePosixPath

from segablate.datasets.conversion.splits import split_in


def dataset_name(path: str, split: str) -> str:
    """Return a path inside the folder of its split and without suffix: ``a`` for ``images/val/a.jpg``.

    Nothing in it leads out of the folder or is hidden.
    """
    parts = [part for part in path.replace("\\", "/").split("/") if part not in ("", ".", "..")]
    if path.startswith(("/", "\\")) or any(part.endswith(":") for part in parts[:1]):
        parts = parts[-1:]
    parts = [f"_{part}" if part.startswith(".") else part for part in parts] or ["image"]
    folders = parts[:-1]
    above = [
        place
        for place, folder in enumerate(folders)
        if folder == "images" or split in (folder.lower(), split_in(folder))
    ]
    return PurePosixPath(*parts[max(above, default=-1) + 1 :]).with_suffix("").as_posix()
