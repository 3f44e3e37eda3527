"""Record which functions of the program each test calls, and how long it takes.

A mutation is then tried on the tests that call the changed function alone, the quick ones first. Calls in other
processes are not seen; code at the level of a module is tried on all tests of its part.
"""

import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from types import CodeType, FrameType
from typing import Any

import pytest


class Recorder:
    """A pytest plugin: calls of functions below `root`/segablate per test that passes, as ``file:qualified name``."""

    def __init__(self, root: Path) -> None:
        self.prefix = f"{root}/"
        self.ours: dict[CodeType, str | None] = {}
        self.called: set[str] = set()
        self.tests: dict[str, dict[str, Any]] = {}
        self.left: set[str] = set()

    def trace(self, frame: FrameType, event: str, argument: object) -> None:
        code = frame.f_code
        if code not in self.ours:
            file = code.co_filename
            inside = file.startswith(f"{self.prefix}segablate/")
            self.ours[code] = f"{file.removeprefix(self.prefix)}:{code.co_qualname}" if inside else None
        if name := self.ours[code]:
            self.called.add(name)

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_protocol(self, item: pytest.Item) -> Iterator[None]:
        self.called = set()
        start = time.monotonic()
        threading.settrace(self.trace)
        sys.settrace(self.trace)
        try:
            return (yield)
        finally:
            sys.settrace(None)
            threading.settrace(None)  # type: ignore[arg-type]
            spent = time.monotonic() - start  # with that of processes it starts
            self.tests[item.nodeid] = {"seconds": round(spent, 3), "calls": sorted(self.called)}

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.failed or report.skipped:
            self.left.add(report.nodeid)

    @property
    def passed(self) -> dict[str, dict[str, Any]]:
        """Return seconds and calls of the tests that passed."""
        return {name: found for name, found in self.tests.items() if name not in self.left}


class Selection:
    """A pytest plugin: run only the tests of these names, in this order, and keep the first that fails."""

    def __init__(self, names: list[str]) -> None:
        self.place = {name: place for place, name in enumerate(names)}
        self.failed = ""

    def pytest_collection_modifyitems(self, config: pytest.Config, items: list[pytest.Item]) -> None:
        kept = [item for item in items if item.nodeid in self.place]
        items[:] = sorted(kept, key=lambda item: self.place[item.nodeid])

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.failed and not self.failed:
            self.failed = report.nodeid

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        if report.failed and not self.failed:
            self.failed = report.nodeid
