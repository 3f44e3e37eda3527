"""Run one tool on the cases of ``tests/peer_cases.py`` and write its results to ``tests/golden/peers``.

The scripts beside this file run in environments of their own, since the tools need conflicting versions; the docstring
of each names what to install. None of them needs segablate. Where a tool is not a package, a script takes single
functions from a checkout by its path: :func:`functions_of`.
"""

import ast
import json
import math
import sys
import warnings
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT / "tests"))

from peer_cases import VOID, Case, boundary_cases, region_cases  # noqa: E402

__all__ = ["VOID", "Case", "boundary_cases", "functions_of", "record", "region_cases"]

Values = Mapping[str, Any]


def record(peer: str, version: str, cases: Iterable[Case], run: Callable[[Case], Values]) -> None:
    """Write what ``run`` returns for each case, numbers and lists by name, or the first line of its exception."""
    found = {case.name: {"maps": case.fingerprint, **_outcome(run, case)} for case in cases}
    path = ROOT / "tests" / "golden" / "peers" / f"{peer}.json"
    lines = ",\n".join(f"  {json.dumps(name)}: {json.dumps(values)}" for name, values in found.items())
    head = f'"peer": {json.dumps(peer)}, "version": {json.dumps(version)}'
    path.write_text(f'{{{head}, "cases": {{\n{lines}\n}}}}\n', encoding="utf-8")
    print(f"{path.relative_to(ROOT)}: {len(found)} cases, {sum('raises' in v for v in found.values())} of them raise")


def functions_of(file: Path, names: Iterable[str], given: Mapping[str, Any]) -> dict[str, Any]:
    """Return functions and classes of a source file, by name, with the globals ``given`` and without decorators."""
    nodes = [
        node
        for node in ast.parse(file.read_text(encoding="utf-8")).body
        if isinstance(node, ast.FunctionDef | ast.ClassDef) and node.name in set(names)
    ]
    for node in nodes:
        node.decorator_list = []
    space = dict(given)
    exec(compile(ast.Module(nodes, []), str(file), "exec"), space)
    return {name: space[name] for name in names}


def _outcome(run: Callable[[Case], Values], case: Case) -> Values:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return {name: _plain(value) for name, value in run(case).items()}
    except Exception as error:  # what a tool raises is part of its result
        return {"raises": f"{type(error).__name__}: {error}".splitlines()[0][:120]}


def _plain(value: Any) -> Any:
    """Return plain numbers to 11 decimals, two more than are compared; nan becomes null, for strict JSON."""
    values = np.asarray(value, np.float64)
    if values.ndim:
        return [_plain(entry) for entry in values]
    return None if math.isnan(values) else round(float(values), 11)
