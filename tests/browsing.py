"""A headless Chromium for the tests of pages, with what it complains about."""

import json
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from conftest import chromium


@dataclass
class Tab:
    """A page in the browser: playwright's, and the messages of its console, errors, and requests."""

    page: Any
    messages: list[str] = field(default_factory=list)
    requests: list[str] = field(default_factory=list)

    def open(self, path: Path, fragment: str = "") -> None:
        """Open a file, and wait for its first picture, where it has pictures."""
        self.page.goto(f"file://{path.resolve()}{fragment}")
        if self.page.locator("#about").count() and self.about["lists"]:
            self.settle()

    @property
    def about(self) -> dict[str, Any]:
        return json.loads(self.page.locator("#about").text_content())

    def settle(self, name: str | None = None) -> None:
        """Wait for a picture, of this name, to be on the stage with its count."""
        script = "name => current !== null && current.index === state.list.images[state.place]"
        script += " && (name === null || document.querySelector('#viewer-picture-name').textContent === name)"
        script += " && document.querySelector('#viewer-picture-count').dataset.wrong"
        self.page.wait_for_function(script, arg=name)

    def on_stage(self) -> str:
        """The name of the picture on the stage."""
        return self.page.locator("#viewer-picture-name").text_content()

    def count(self) -> tuple[list[int | None], list[int]]:
        """The numbers of wrong pixels that the page counted, and those of the run."""
        line = self.page.locator("#viewer-picture-count")
        return json.loads(line.get_attribute("data-wrong")), json.loads(line.get_attribute("data-run"))

    def stage(self) -> str:
        """The pixels of the stage, as a data URL."""
        return self.page.evaluate("document.querySelector('#viewer-stage').toDataURL()")


class Browser:
    """A Chromium; pages are opened in tabs of their own."""

    def __init__(self, browser: Any) -> None:
        self._browser = browser

    @contextmanager
    def tab(self, width: int = 1280, scheme: str = "light", scripts: bool = True) -> Iterator[Tab]:
        """Open a tab of a width, in light or dark, with or without scripts."""
        context = self._browser.new_context(
            viewport={"width": width, "height": 900}, color_scheme=scheme, java_script_enabled=scripts, offline=True
        )
        page = context.new_page()
        tab = Tab(page)
        page.set_default_timeout(20_000)
        page.on("console", lambda message: tab.messages.append(message.text))
        page.on("pageerror", lambda error: tab.messages.append(str(error)))
        page.on("dialog", lambda dialog: tab.messages.append(f"dialog: {dialog.message}") or dialog.dismiss())
        page.on("request", lambda request: tab.requests.append(request.url))
        yield tab
        context.close()


@contextmanager
def started() -> Iterator[Browser]:
    """Start Chromium."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium(), args=["--no-sandbox"])
        yield Browser(browser)
        browser.close()


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    """One Chromium for all tests of a session."""
    with started() as found:
        yield found


def axe_source(folder: Path) -> str:
    """The source of axe-core, fetched by npm into a folder; the test is skipped where it cannot be."""
    if shutil.which("npm") is None:
        pytest.skip("no npm to fetch axe-core with")
    command = ["npm", "install", "--no-save", "--no-audit", "--no-fund", "--ignore-scripts", "axe-core@4"]
    try:
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False, timeout=120)
    except subprocess.TimeoutExpired:
        pytest.skip("npm cannot fetch axe-core within two minutes")
    script = folder / "node_modules/axe-core/axe.min.js"
    if done.returncode or not script.is_file():
        pytest.skip(f"npm cannot fetch axe-core: {done.stderr.strip().splitlines()[-1:]}")
    return script.read_text(encoding="utf-8")
