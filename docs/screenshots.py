"""Screenshots of pages for the documentation, in a headless Chromium: ``docs/images/report-*.png``.

Made by ``docs/refresh.py`` from the sample data, where playwright and a Chromium are installed. A picture has a palette
of 256 colours, so that it stays small.
"""

import shutil
from collections.abc import Callable
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).parent / "images"
HEIGHT = 860
COLOURS = 256

COMMANDS = {
    "evaluation": "segablate evaluate --report evaluation.html",
    "comparison": "segablate compare --report comparison.html",
    "ablation": "segablate ablate rmi --radius 1,2,3,5 --no-cost --report ablation.html",
}
"""The command that writes each page."""


@dataclass(frozen=True)
class Shot:
    """A screenshot: of which page, how wide, in light or dark, and from which element on."""

    page: str
    width: int
    scheme: str
    start: str = "body"

    @property
    def name(self) -> str:
        """The name of its file."""
        part = "" if self.start == "body" else f"-{self.start.strip('#')}"
        return f"report-{self.page}{part}-{self.width}-{self.scheme}.png"


SHOTS = (
    *(Shot("evaluation", width, scheme) for width in (1280, 400) for scheme in ("light", "dark")),
    Shot("comparison", 1280, "light"),
    Shot("comparison", 1280, "dark", "#pictures"),
    Shot("comparison", 400, "light", "#pictures"),
    Shot("comparison", 400, "dark"),
    Shot("ablation", 1280, "dark"),
    Shot("ablation", 1280, "light"),
    Shot("ablation", 400, "light"),
)


def chromium() -> str | None:
    """Return the path of an installed Chromium."""
    return shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")


def take(folder: Path, output_of: Callable[[str], str]) -> None:
    """Write all screenshots of the pages that the commands write into a folder; none where there is no browser."""
    try:
        from playwright.sync_api import sync_playwright
    except ImportError:
        print("screenshots are left as they are: pip install playwright")
        return
    if chromium() is None:
        print("screenshots are left as they are: there is no Chromium")
        return
    for command in COMMANDS.values():
        output_of(command)
    FOLDER.mkdir(exist_ok=True)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium(), args=["--no-sandbox"])
        for shot in SHOTS:
            taken = _taken(browser, folder / f"{shot.page}.html", shot)
            (FOLDER / shot.name).write_bytes(small(taken, photograph=shot.start == "#pictures"))
        browser.close()


def _taken(browser: Any, page: Path, shot: Shot) -> bytes:
    size = {"width": shot.width, "height": HEIGHT}
    tab = browser.new_page(viewport=size, color_scheme=shot.scheme)
    tab.goto(page.as_uri())
    tab.wait_for_function("current !== null")
    tab.evaluate("start => document.querySelector(start).scrollIntoView()", shot.start)
    tab.wait_for_timeout(500)
    taken = tab.screenshot()
    tab.close()
    return taken


def small(picture: bytes, *, photograph: bool) -> bytes:
    """Return a PNG with few colours; of a photograph those of most pixels, else the most different ones."""
    from PIL import Image

    file = BytesIO()
    method = Image.Quantize.MEDIANCUT if photograph else Image.Quantize.MAXCOVERAGE
    Image.open(BytesIO(picture)).convert("RGB").quantize(COLOURS, method).save(file, "PNG", optimize=True)
    return file.getvalue()
