"""The Parquet files of a dataset as downloaded from the Hugging Face hub: which splits they are, and their columns."""

import fnmatch
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from segablate.datasets.parquet_rows import stated_features
from segablate.errors import DatasetError, SegablateError, at, counted, shorten
from segablate.files import is_file, is_folder, visible_files
from segablate.text_files import read_text
from segablate.yaml_files import parse_yaml

CARD = "README.md"

_PART = re.compile(r"(?P<split>.+?)-\d+-of-\d+(-[0-9a-f]+)?")
_NUMBERED = re.compile(r"\d+|part-?\d+.*")
_DEFAULT = "default"


def hub_root(root: Path) -> Path:
    """Return the folder of a snapshot: `root`, or the newest snapshot where that is a repository in the hub's cache."""
    snapshots = root / "snapshots"
    if not is_folder(snapshots):
        return root
    named = root / "refs" / "main"
    if is_file(named):
        with at(named):
            stated = snapshots / read_text(named).strip()
        if is_folder(stated):
            return stated
    found = sorted((path for path in snapshots.iterdir() if path.is_dir()), key=lambda path: path.stat().st_mtime)
    return found[-1] if found else root


def hub_splits(root: Path) -> dict[str, list[Path]]:
    """Return the files of each split, in order: as the card states, or else by their names and folders.

    Splits of the card's default configuration, or of the only one, have their own names; those of others are called
    ``CONFIG/SPLIT``. Empty where there are no Parquet files.
    """
    files = visible_files(root, (".parquet",))
    if not files:
        return {}
    return _stated(root, files) or _by_names(root, files)


def features_of(root: Path, files: list[Path]) -> dict[str, Any]:
    """Return the features of a split as in ``dataset_info.json``: from its first file, or the card, or the columns."""
    stated, columns = stated_features(files[0])
    if stated:
        return stated
    infos = _card(root).get("dataset_info")
    for info in infos if isinstance(infos, list) else [infos]:
        listed = info.get("features") if isinstance(info, dict) else None
        found = dict(filter(None, map(_named, listed))) if isinstance(listed, list) else {}
        if found and set(found) <= set(columns):
            return {**columns, **found}
    return columns


def _card(root: Path) -> dict[str, Any]:
    """Return the mapping at the head of the card; empty where there is none that can be read."""
    if not is_file(root / CARD):
        return {}
    try:
        text = read_text(root / CARD)
        head = re.match(r"---\s*\n(.*?)\n---\s*(\n|$)", text, re.DOTALL)
        value = parse_yaml(head[1]) if head else {}
    except SegablateError:
        return {}
    return value if isinstance(value, dict) else {}


def _stated(root: Path, files: list[Path]) -> dict[str, list[Path]]:
    """Return the splits that the card lists under ``configs``."""
    configs = [entry for entry in _card(root).get("configs") or [] if isinstance(entry, dict)]
    default = next((entry for entry in configs if entry.get("default")), None) or next(
        (entry for entry in configs if entry.get("config_name") == _DEFAULT), configs[0] if len(configs) == 1 else None
    )
    below = {path.relative_to(root).as_posix(): path for path in files}
    found: dict[str, list[Path]] = {}
    for config in configs:
        for split, patterns in _patterns(config.get("data_files")):
            name = split if config is default else f"{config.get('config_name')}/{split}"
            chosen = [path for pattern in patterns for key, path in below.items() if fnmatch.fnmatchcase(key, pattern)]
            if chosen:
                found[name] = list(dict.fromkeys(chosen))
    return found


def _patterns(data_files: Any) -> Iterator[tuple[str, list[str]]]:
    """Yield splits and patterns of their files, in each form that a card may state them in."""
    if isinstance(data_files, str):
        yield "train", [data_files]
    elif isinstance(data_files, dict):
        yield from ((str(split), _list(paths)) for split, paths in data_files.items())
    elif isinstance(data_files, list):
        plain = [path for path in data_files if isinstance(path, str)]
        if plain:
            yield "train", plain
        for entry in data_files:
            if isinstance(entry, dict) and "split" in entry:
                yield str(entry["split"]), _list(entry.get("path"))


def _list(paths: Any) -> list[str]:
    return [str(path).removeprefix("./") for path in (paths if isinstance(paths, list) else [paths])]


def _by_names(root: Path, files: list[Path]) -> dict[str, list[Path]]:
    """Return the splits in names: ``data/train-00000-of-00002``, ``CONFIG/train/0000`` or ``train``."""
    found: dict[tuple[str, str], list[Path]] = {}
    for path in files:
        folders = [folder for folder in path.relative_to(root).parts[:-1] if folder != "data"]
        part = _PART.fullmatch(path.stem)
        if part:
            split = part["split"]
        elif _NUMBERED.fullmatch(path.stem) and folders:
            split = folders.pop().removeprefix("partial-")
        else:
            split = "train" if _NUMBERED.fullmatch(path.stem) else path.stem
        found.setdefault(("/".join(folders), split), []).append(path)
    configs = {config for config, _ in found}
    default = _DEFAULT if _DEFAULT in configs else "" if "" in configs else next(iter(configs))
    several = len(configs) > 1
    return {
        split if config == default or not several else f"{config}/{split}": paths
        for (config, split), paths in found.items()
    }


def _named(entry: Any) -> tuple[str, Any] | None:
    """Return name and feature, as in ``dataset_info.json``, of an entry of the card's features."""
    if not isinstance(entry, dict) or "name" not in entry:
        return None
    return str(entry["name"]), _feature(entry)


def _feature(entry: Mapping[str, Any]) -> Any:
    for key in ("list", "sequence"):
        if key in entry:
            inner = entry[key]
            return [_feature(inner) if isinstance(inner, dict) else _feature({"dtype": inner})]
    kind = entry.get("dtype", entry)
    if kind == "image":
        return {"_type": "Image"}
    label = kind.get("class_label") if isinstance(kind, dict) else None
    if isinstance(label, dict):
        names = label.get("names")
        if isinstance(names, dict):
            names = [str(names[key]) for key in sorted(names, key=lambda key: int(key) if str(key).isdigit() else 0)]
        return {"_type": "ClassLabel", "names": names}
    if isinstance(kind, dict) and "array2_d" in kind:
        return {"_type": "Array2D"}
    return {"_type": "Value", "dtype": str(kind)}


def require_split(splits: Mapping[str, list[Path]], name: str, root: Path) -> list[Path]:
    """Return the files of a split. Raises DatasetError where parts of it are missing: a download that was cut off."""
    files = splits[name]
    stated = {int(count[1]) for path in files if (count := re.search(r"-of-(\d+)", path.stem))}
    if len(stated) == 1 and len(files) < max(stated):
        raise DatasetError(
            f"{root}: split {name!r} has {len(files)} of {counted(max(stated), 'file')} "
            f"({shorten(p.name for p in files)}); download the others"
        )
    return files
