"""The identity of an evaluation: everything that decides its numbers, as plain values.

Two evaluations of one identity have the same result. Options that change no number, such as workers, batch size and the
index of a GPU, are left out.
"""

import hashlib
import inspect
import json
import re
import sys
from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from dataclasses import fields, is_dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from segablate.checkpoints.segmenter import Loading, Segmenter
from segablate.datasets.catalogue import layout_package
from segablate.datasets.dataset import Dataset
from segablate.files import fingerprint
from segablate.metrics.tolerance import Tolerance
from segablate.objective.catalogue import plugin_losses
from segablate.objective.loss import Loss
from segablate.plugins import package_of
from segablate.user_modules import SITES, installed, loaded_modules

if TYPE_CHECKING:
    from segablate.evaluation.loop import PreparedEvaluation

FORMAT = 1
"""Increased when counts change their meaning."""

_HARMLESS = ("device", "folder", "trust_code", "allow_download", "card")
_PACKAGE = Path(__file__).parents[1]


def identity_of(work: "PreparedEvaluation", loading: Loading) -> dict[str, Any]:
    """Return the identity as plain values, in sections, so that a message can name what differs.

    Image files are not part of it: they are identified one by one by :meth:`Dataset.stamp`.
    """
    segmenter, dataset, measures, facts = work.segmenter, work.dataset, work.measures, work.facts
    options = {name: value for name, value in _fields(loading).items() if name not in _HARMLESS}
    measured = {name: value for name, value in _fields(measures).items() if name not in ("predictions", "probe")}
    described = {
        "format": FORMAT,
        "checkpoint": {
            **facts["checkpoint"],
            "files of one name": _namesakes(segmenter.source.files),
            "device": re.sub(r"cuda:\d+", "cuda", facts["checkpoint"].get("device", "none")),
            "classes": segmenter.classes,
            "class map": segmenter.class_map,
            "options": options,
            "notes": segmenter.source.notes,
        },
        "dataset": {**facts["dataset"], **dataset_identity(dataset)},
        "measures": measured,
        "code": _own_code(work),
        "versions": facts["versions"],
    }
    packages = loss_packages(measures.losses.values()) | layout_packages(dataset)
    if packages or "package" in facts["checkpoint"]:
        described["packages"] = {**packages, "checkpoint": facts["checkpoint"].get("package", "")}
    return json.loads(json.dumps(plain(described)))


def loss_packages(losses: Iterable[Loss]) -> dict[str, str]:
    """Return package, version and code of the losses that other packages bring, by ``loss NAME``."""
    known = plugin_losses()
    return {f"loss {loss.name}": package_of(known[loss.name]) for loss in losses if loss.name in known}


def layout_packages(dataset: Dataset) -> dict[str, str]:
    """Return package, version and code of the dataset's layout where another package brings it, by ``layout NAME``."""
    package = layout_package(dataset.layout)
    return {f"layout {dataset.layout}": package} if package else {}


def dataset_identity(dataset: Dataset) -> dict[str, Any]:
    """Return what decides the numbers of a dataset beside the contents of its files."""
    return {
        "name": dataset.spec,
        "split": dataset.split,
        "labels": dataset.labels,
        "images named": _digest(dataset.names),
        "notes": dataset.notes,
        "reading": [dataset.source, dataset.reading],
    }


def stamps_of(dataset: Dataset, images: bool) -> dict[str, str]:
    """Return the stamps of the files that are read, by image name; `images`: whether images are read too."""
    return {name: dataset.stamp(index, image=images) for index, name in enumerate(dataset.names)}


def environment() -> str:
    """Return 16 hexadecimal digits that identify this program's code and the versions of all installed packages."""
    own = sorted(_PACKAGE.rglob("*.py"))
    places = [Path(place or ".") for place in sys.path]
    outside = [place for place in places if not SITES & set(place.parts[:-1])]  # a package may bring others along
    packages = {path.name for place in outside for path in place.glob("*.dist-info")}
    return _digest([*map(fingerprint, own), *sorted(packages)])


def _namesakes(files: Collection[Path]) -> dict[str, str]:
    """Return the SHA-256 of files that share a name, which the facts, keyed by name, cannot tell apart."""
    names = Counter(path.name for path in files)
    return {str(path): fingerprint(path) for path in files if names[path.name] > 1}


def _own_code(work: "PreparedEvaluation") -> dict[str, str]:
    """Return the SHA-256 of all loaded Python files of the user where the network or a loss comes from one of them."""
    functions = _forwards(work.segmenter) if work.segmenter.capabilities.images else []
    functions += [loss.function for loss in work.measures.losses.values()]
    codes = [getattr(inspect.unwrap(function), "__code__", None) for function in functions]
    used = _own({code.co_filename for code in codes if code is not None})
    loaded = {getattr(module, "__file__", None) or "" for module in loaded_modules()} if used else ()
    return {str(path): fingerprint(path) for path in sorted(used | _own(loaded))}


def _forwards(segmenter: Segmenter) -> list[Any]:
    """Return the forward functions of the modules of a network."""
    from segablate.checkpoints.network import Network

    modules = segmenter.module.modules() if isinstance(segmenter, Network) else ()
    return [inspect.getattr_static(type(part), "forward") for part in modules]


def _own(files: Iterable[str]) -> set[Path]:
    paths = {Path(file).resolve() for file in files if file.endswith(".py")}
    return {path for path in paths if path.is_file() and not installed(path)}


def plain(value: Any) -> Any:
    """Return a value as JSON can hold it: functions by name, arrays by a hash, tolerances as they are written."""
    if value is None or isinstance(value, str | int | float | bool):
        return value
    if isinstance(value, Mapping):
        return {str(key): plain(each) for key, each in value.items()}
    if isinstance(value, set | frozenset):
        return sorted(map(str, value))
    if isinstance(value, list | tuple):
        return [plain(each) for each in value]
    if hasattr(value, "detach"):
        value = value.detach().cpu().numpy()
    if hasattr(value, "tobytes"):
        return f"{value.dtype} {list(value.shape)} {hashlib.sha256(value.tobytes()).hexdigest()[:16]}"
    if isinstance(value, Tolerance):
        return str(value)
    if is_dataclass(value) and not isinstance(value, type):
        return {type(value).__qualname__: plain(_fields(value))}
    if isinstance(value, partial):  # its repr holds an address, which differs in every process
        return [plain(value.func), plain(value.args), plain(value.keywords)]
    if callable(value) and hasattr(value, "__qualname__"):
        return f"{value.__module__}.{value.__qualname__}"
    return str(value)


def _fields(value: Any) -> dict[str, Any]:
    return {field.name: getattr(value, field.name) for field in fields(value)}


def _digest(lines: Iterable[str]) -> str:
    return hashlib.sha256("\n".join(lines).encode("utf-8", "surrogatepass")).hexdigest()[:16]
