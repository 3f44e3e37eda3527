"""Run the commands whose output the documentation shows, and put in what they print: ``python docs/refresh.py``.

A block to refresh looks like this, the fence right under the comment::

    <!-- output: segablate evaluate -->
    ```text
    ...
    ```

What has to be there first is made by ``<!-- prepare: segablate evaluate ... -->``; the table of losses stands between
``<!-- losses -->`` and ``<!-- /losses -->``.

Commands run in a folder of their own, in which ``data`` is the folder that SEGABLATE_DATA names and ``examples`` is
that of the repository; those that need ``data`` are left as they are where it is not set.
"""

import os
import re
import shlex
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
PREPARE = re.compile(r"<!-- prepare: (?P<command>[^\n]+?) -->")
LOSSES = re.compile(r"(?<=<!-- losses -->\n).*?(?=<!-- /losses -->)", re.DOTALL)
BLOCK = re.compile(r"(?P<comment><!-- output: (?P<command>[^\n]+?) -->\n)```(?P<kind>\w*)\n.*?```", re.DOTALL)


def workplace(folder: Path) -> Path | None:
    """Make a folder look as the documentation assumes; the real data's place, where there is one."""
    data = os.environ.get("SEGABLATE_DATA")
    (folder / "examples").mkdir()
    for file in (ROOT / "examples").iterdir():
        if file.suffix in (".py", ".yaml"):
            (folder / "examples" / file.name).write_bytes(file.read_bytes())
    if data is None:
        return None
    real = Path(data).resolve()
    (folder / "data").symlink_to(real)
    for weights in (real / "checkpoints").iterdir():
        (folder / "examples" / weights.name).symlink_to(weights)
    return real


def printed(command: str, folder: Path) -> str:
    """Standard output of a command; stops with its error where it fails."""
    words = shlex.split(command)
    program = [sys.executable, "-m", "segablate"] if words[0] == "segablate" else [sys.executable]
    environment = {**os.environ, "COLUMNS": "100", "PYTHONPATH": str(ROOT)}
    with tempfile.TemporaryDirectory() as cache:  # each command as if it were the first
        environment["SEGABLATE_CACHE"] = cache
        found = subprocess.run(
            [*program, *words[1:]], cwd=folder, env=environment, capture_output=True, text=True, check=False
        )
    if found.returncode:
        raise SystemExit(f"{command}\n{found.stderr}")
    return "\n".join(line.rstrip() for line in found.stdout.rstrip().splitlines())


def refresh(page: Path, folder: Path, data: Path | None) -> None:
    """Put the output of every command of a page into its block."""
    text = page.read_text(encoding="utf-8")
    for match in PREPARE.finditer(text):
        if data is not None or "data/" not in match["command"]:
            printed(match["command"], folder)
    table = [
        line for line in printed("segablate losses list --format markdown", folder).splitlines() if line[:1] == "|"
    ]
    text = LOSSES.sub(lambda _: "\n".join(table) + "\n", text)

    def replaced(match: re.Match[str]) -> str:
        if data is None and re.search(r"data/|flipped|drive512|runs/", match["command"]):
            return match[0]
        print(f"{page.name}: {match['command']}", file=sys.stderr)
        return f"{match['comment']}```{match['kind']}\n{printed(match['command'], folder)}\n```"

    page.write_text(BLOCK.sub(replaced, text), encoding="utf-8")


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as place:
        real = workplace(Path(place))
        for page in [Path(name).resolve() for name in sys.argv[1:]] or PAGES:
            refresh(page, Path(place), real)
