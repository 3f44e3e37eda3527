"""The pinned versions are those of what segablate declares, and within what it supports."""

import tomllib
from itertools import chain
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
DECLARED = [*PROJECT["dependencies"], *chain.from_iterable(PROJECT["optional-dependencies"].values())]


def pins() -> dict[str, str]:
    """The version of each package in constraints.txt."""
    lines = (ROOT / "constraints.txt").read_text().splitlines()
    found = [line.split("==") for line in lines if line and not line.startswith("#")]
    assert len({name for name, _ in found}) == len(found)
    return {canonicalize_name(name): version for name, version in found}


@pytest.mark.parametrize("declared", [text for text in DECLARED if not text.startswith("segablate[")])
def test_constraints_pin_each_dependency_to_a_supported_version(declared: str) -> None:
    requirement = Requirement(declared)
    assert pins()[canonicalize_name(requirement.name)] in requirement.specifier
