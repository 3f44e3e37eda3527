"""Versions, devices, and the folders that are written to."""

import os
import platform
from importlib import metadata
from pathlib import Path

from segablate import __version__
from segablate.diagnosis import Check
from segablate.errors import counted
from segablate.files import cache_folder, config_folder, shortened

_NEEDED = ("torch", "numpy", "opencv-python-headless", "scikit-image", "scipy", "pillow", "safetensors")


def check_versions() -> list[Check]:
    """Return the versions of this program, Python, and the packages it needs."""
    system = f"{platform.system()} {platform.machine()}"
    found = [Check("segablate", "ok", __version__), Check("Python", "ok", f"{platform.python_version()}, {system}")]
    for package in _NEEDED:
        try:
            found.append(Check(package, "ok", metadata.version(package)))
        except metadata.PackageNotFoundError:  # another build, such as opencv-python, may bring the same module
            found.append(Check(package, "missing", "not installed under this name"))
    return found


def check_devices() -> list[Check]:
    """Return the devices that torch finds, and the number of its threads and of cores."""
    import torch

    threads, cores = torch.get_num_threads(), len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else 0
    found = [Check("cpu", "ok", f"{counted(cores or os.cpu_count() or 1, 'core')}, {counted(threads, 'torch thread')}")]
    for gpu in range(torch.cuda.device_count()):
        facts = torch.cuda.get_device_properties(gpu)
        found.append(Check(f"cuda:{gpu}", "ok", f"{facts.name}, {facts.total_memory / 2**30:.0f} GiB"))
    if not torch.cuda.is_available():
        built = torch.version.cuda is not None
        why = "torch finds no GPU or driver" if built else "this torch is built without CUDA"
        found.append(Check("cuda", "missing", why))
    if torch.backends.mps.is_available():
        found.append(Check("mps", "ok", "Apple GPU"))
    return found


def check_folders() -> list[Check]:
    """Check that the folders of the cache and of trusted code can be written, and measure the cache."""
    cache = cache_folder()
    files = [path for path in cache.rglob("*") if path.is_file()] if cache.is_dir() else []
    size = sum(path.stat().st_size for path in files) / 2**20
    return [
        _writable("cache", cache, f"{counted(len(files), 'file')}, {size:.1f} MiB"),
        _writable("configuration", config_folder(), "trusted code"),
    ]


def _writable(name: str, folder: Path, detail: str) -> Check:
    there = next(place for place in (folder, *folder.parents) if place.exists())
    if not (there.is_dir() and os.access(there, os.W_OK)):
        variable = "SEGABLATE_CACHE" if name == "cache" else "SEGABLATE_CONFIG"
        return Check(name, "fault", f"{shortened(folder)} cannot be written; set {variable} to another folder")
    return Check(name, "ok", f"{shortened(folder)}: {detail}")
