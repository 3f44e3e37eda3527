"""What a benchmark ran on, since ratios differ between kinds of processor."""

import os
import platform
from importlib.metadata import version
from pathlib import Path

PACKAGES = ("numpy", "torch", "opencv-python-headless")


def processor() -> str:
    """Return the name of the processor and the number of cores."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        name = next(line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        name = platform.processor() or platform.machine()
    return f"{name}, {os.cpu_count()} cores"


def setting() -> dict[str, str]:
    """Return the processor, and the versions of this program and of what computes."""
    versions = {name: version(name) for name in PACKAGES}
    return {
        "processor": processor(),
        "segablate": version("segablate"),
        "python": platform.python_version(),
        **versions,
    }


def described() -> str:
    """Return :func:`setting` as a line."""
    return ", ".join(f"{name} {value}" for name, value in setting().items())
