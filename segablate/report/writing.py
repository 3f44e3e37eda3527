"""Templates and a page's data -> the text of HTML.

Jinja2 escapes every value. The page allows no network: its Content-Security-Policy names the hashes of the one style
sheet and the one script, and images from data URLs; a folder's pictures are scripts beside it.
"""

import base64
import hashlib
import json
import re
from collections.abc import Mapping
from functools import cache
from importlib.resources import files
from typing import Any

from jinja2 import Environment, FunctionLoader, StrictUndefined
from markupsafe import Markup

from segablate import __version__
from segablate.render.cells import one_line
from segablate.report.page import Page, Pictures

MARK = b'<meta name="generator" content="segablate '
"""What every page has, by which one of an earlier call is told from other files."""

_WITHIN_NUMBER = re.compile(r"(?<=\d) (?=\d{3}(?!\d))")

_STYLES = ("page.css", "tables.css", "charts.css", "viewer.css")
_SCRIPTS = ("tables.js", "pictures.js", "layers.js", "viewer.js", "start.js")


def html_of(page: Page, *, in_folder: bool = False) -> bytes:
    """Return the page as UTF-8; `in_folder`: pictures are scripts in a folder beside it."""
    style = "".join(map(_text, _STYLES))
    script = "".join(map(_text, _SCRIPTS)) if page.pictures else _text("tables.js")
    text = (
        _environment()
        .get_template("page.html")
        .render(
            page=page,
            policy=_policy(style, script, in_folder=in_folder),
            style=Markup(style),
            script=Markup(script),
            about=_json(_about(page.pictures, in_folder=in_folder)) if page.pictures else None,
            data={index: _json(data) for index, data in page.pictures.data.items()} if page.pictures else {},
            version=__version__,
        )
    )
    return text.encode("utf-8", "backslashreplace")


def picture_script(index: int, data: Mapping[str, Any]) -> str:
    """Return the script that hands the data of a picture to the page."""
    return f"segablatePicture({index},{_json(data)});\n"


def _about(pictures: Pictures, *, in_folder: bool) -> dict[str, Any]:
    """Return what the script knows of the pictures."""
    return {
        "classes": [{"name": name, "colour": colour} for name, colour in pictures.classes],
        "runs": list(pictures.runs),
        "images": {str(index): dict(image) for index, image in pictures.images.items()},
        "lists": [{"title": each.title, "images": [index for index, _ in each.items]} for each in pictures.lists],
        "folder": in_folder,
    }


def _policy(style: str, script: str, *, in_folder: bool) -> str:
    neighbours = " 'self' file:" if in_folder else ""
    parts = (
        "default-src 'none'",
        f"style-src {_hash(style)}",
        f"script-src {_hash(script)}{neighbours}",
        "img-src data: blob:",
        "base-uri 'none'",
        "form-action 'none'",
    )
    return "; ".join(parts)


def _hash(text: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"


def _json(value: Any) -> Markup:
    """Return JSON that may stand in a script element: no character in it can end the element."""
    text = json.dumps(value, separators=(",", ":"))
    return Markup(text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026"))


@cache
def _text(name: str) -> str:
    return files("segablate.report").joinpath("templates", name).read_text(encoding="utf-8")


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=FunctionLoader(_text),
        autoescape=True,
        undefined=StrictUndefined,
        finalize=_plain,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["unbroken"] = _unbroken
    return environment


def _unbroken(sentence: str) -> str:
    """Return a sentence in which no line is broken inside a number, as in 1 204."""
    return _WITHIN_NUMBER.sub("\u202f", sentence)


def _plain(value: Any) -> Any:
    """Return texts in one line, without control characters; markup of the templates as it is."""
    return one_line(value) if isinstance(value, str) and not isinstance(value, Markup) else value
