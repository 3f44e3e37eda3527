"""Names of images in the written dataset, from whatever paths annotation tools store."""

from pathlib import PurePosixPath


def dataset_name(path: str) -> str:
    """Return a relative path without suffix, in which nothing leads out of the folder or is hidden."""
    parts = [part for part in path.replace("\\", "/").split("/") if part not in ("", ".", "..")]
    if path.startswith(("/", "\\")) or any(part.endswith(":") for part in parts[:1]):
        parts = parts[-1:]
    parts = [f"_{part}" if part.startswith(".") else part for part in parts]
    return PurePosixPath(*parts).with_suffix("").as_posix() if parts else "image"
