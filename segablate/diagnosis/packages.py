"""The packages of the extras: which are installed, and which of these can be imported."""

import json
import os
import re
import subprocess
import sys
from collections.abc import Mapping, Sequence
from importlib import metadata

from segablate.diagnosis import Check

_SECONDS = 120  # for one package; the first import after an installation writes its byte code

_IMPORT = """
import importlib, json, sys
for module in sys.argv[1:]:
    print(json.dumps([module, None]), flush=True)
    try:
        importlib.import_module(module)
        reason = ""
    except BaseException as error:
        reason = " ".join(str(error).split()) or type(error).__name__
    print(json.dumps([module, reason]), flush=True)
"""


def extras() -> dict[str, tuple[str, ...]]:
    """Return the packages of each extra that users install, from the metadata of the installed segablate.

    Empty where segablate runs from a folder without having been installed.
    """
    try:
        required = metadata.requires("segablate") or []
    except metadata.PackageNotFoundError:
        return {}
    found: dict[str, list[str]] = {}
    for line in required:
        named = re.fullmatch(r"([\w.-]+).*;\s*extra == ['\"]([\w-]+)['\"]", line)
        if named and named[1] != "segablate" and named[2] not in ("all", "test", "docs", "dev"):
            found.setdefault(named[2], []).append(named[1])
    return {extra: tuple(packages) for extra, packages in found.items()}


def check_packages() -> list[Check]:
    """Check each extra: whether its packages are installed, and can be imported. Imports in another process."""
    wanted = extras()
    if not wanted:
        return [Check("extras", "missing", "unknown: segablate was not installed; pip install it")]
    modules = {package: _module(package) for packages in wanted.values() for package in packages}
    broken = import_each([module for package, module in modules.items() if _version(package)])
    return [_check(extra, packages, modules, broken) for extra, packages in wanted.items()]


def import_each(modules: Sequence[str], seconds: float = _SECONDS) -> dict[str, str]:
    """Import modules in another process; return, by module, why one could not be imported: empty where it could.

    A module that ends the process or takes too long is named, and the others are still imported.
    """
    found: dict[str, str] = {}
    rest = list(modules)
    while rest:
        lines, end = _imported(rest, seconds * len(rest))
        begun = [module for module, reason in lines if reason is None]
        found |= {module: reason for module, reason in lines if reason is not None}
        if begun and begun[-1] not in found:
            found[begun[-1]] = end
        rest = [module for module in rest if module not in found] if begun else []
    return found


def _imported(modules: Sequence[str], seconds: float) -> tuple[list[tuple[str, str | None]], str]:
    """Return what a process that imports modules printed, and how it ended if it did not reach the last."""
    command = [sys.executable, "-P", "-c", _IMPORT, *modules]
    environment = os.environ | {"PYTHONWARNINGS": "ignore", "TRANSFORMERS_VERBOSITY": "error"}
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=seconds, env=environment, check=False)
        text, end = done.stdout, f"the import ends the process (exit code {done.returncode})"
    except subprocess.TimeoutExpired as error:
        text, end = error.stdout or "", f"the import takes more than {seconds:.0f} s"
        text = text.decode() if isinstance(text, bytes) else text
    return [tuple(json.loads(line)) for line in text.splitlines() if line.startswith('["')], end


def _check(extra: str, packages: Sequence[str], modules: Mapping[str, str], broken: Mapping[str, str]) -> Check:
    absent = [package for package in packages if not _version(package)]
    if absent:
        return Check(extra, "missing", f"{', '.join(absent)} not installed; pip install 'segablate[{extra}]'")
    for package in packages:
        if reason := broken.get(modules[package]):
            again = f"install a build of it for your torch: pip install --force-reinstall 'segablate[{extra}]'"
            return Check(extra, "fault", f"{package} {_version(package)} cannot be imported ({reason}); {again}")
    return Check(extra, "ok", ", ".join(f"{package} {_version(package)}" for package in packages))


def _version(package: str) -> str:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return ""


def _module(package: str) -> str:
    """Return the module that a package is imported as: that of its own name, where it brings several."""
    name = package.lower().replace("-", "_")
    try:
        files = metadata.files(package) or []
    except metadata.PackageNotFoundError:
        return name
    tops = {file.parts[0].removesuffix(".py") for file in files if file.suffix == ".py" and file.parts[0] != ".."}
    return name if name in tops or not tops else min(tops)
