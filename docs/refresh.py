"""Refresh what the documentation takes from the program: ``python docs/refresh.py [--generated] [PAGE ...]``.

Generated from the program's own descriptions, in a few seconds (``--generated`` stops here):

- ``docs/reference/cli.md``, ``docs/reference/losses.md`` and ``docs/reference/python.md``;
- the list of losses, between ``<!-- losses -->`` and ``<!-- /losses -->``.

The output of commands, which are run. The fence follows right under the comment::

    <!-- output: segablate compare | keep: headline, Scores -->
    ```text
    ...
    ```

``keep`` names the parts of the output to show, in any order: ``headline``, ``head`` (title and facts), one fact by its
name, a table by its heading up to the first comma, semicolon or colon (``Losses``), ``notes`` (the last ones). Without
it the whole output is shown. A name that the output does not have is an error. What a page needs first is made by
``<!-- prepare: segablate evaluate ... -->``.

The screenshots of ``docs/how-to/report.md``, see ``docs/screenshots.py``, with that page.

Commands run in a temporary folder in which ``data`` is the folder that SEGABLATE_DATA names and ``examples`` that of
the repository. Without SEGABLATE_DATA, commands that need it are left as they are. One command is run once, however
many pages show it.
"""

import os
import re
import shlex
import subprocess
import sys
import tempfile
from collections.abc import Collection
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
PREPARE = re.compile(r"<!-- prepare: (?P<command>[^\n]+?) -->")
LOSSES = re.compile(r"(?<=<!-- losses -->\n).*?(?=<!-- /losses -->)", re.DOTALL)
BLOCK = re.compile(
    r"(?P<comment><!-- output: (?P<command>[^\n]+?)(?: \| keep: (?P<keep>[^\n]+?))? -->\n)```(?P<kind>\w*)\n.*?```",
    re.DOTALL,
)


def parts(output: str) -> dict[str, str]:
    """Cut the output of a command into its parts by name, in order: headline, head, each table, notes.

    The headline stands first and last; it is one part.

    A part starts with its heading after an empty line. A paragraph that starts with a table's columns (they are two
    spaces apart, or indented) continues the table above: it was too wide for the page.
    """
    head, *paragraphs = re.split(r"\n\n+", output.strip("\n"))
    found: dict[str, str] = {}
    if len(paragraphs) > 1 and paragraphs[-1] == head:
        found["headline"] = head
        head, *paragraphs = paragraphs[:-1]
    found["head"] = head
    for paragraph in paragraphs:
        first = paragraph.partition("\n")[0]
        if first.startswith("· "):
            name = "notes"
        elif re.search(r"^ |  ", first):
            name = next(reversed(found))
        else:
            name = re.split("[,;:]", first)[0]
        found[name] = f"{found[name]}\n\n{paragraph}" if name in found else paragraph
    return found


def facts(head: str) -> dict[str, str]:
    """Cut title and facts into the facts by name, each with the lines on which it continues."""
    found: dict[str, str] = {}
    for line in head.splitlines()[1:]:
        if line.startswith(" ") and found:
            found[next(reversed(found))] += f"\n{line}"
        else:
            found[line.partition("  ")[0]] = line
    return found


def excerpt(output: str, keep: str | None) -> str:
    """Return the parts of an output that ``keep`` names, in the order of the output; ValueError for an unknown name."""
    if keep is None:
        return output
    tables = parts(output)
    lines = facts(tables["head"])
    wanted = [name.strip() for name in keep.split(",")]
    if unknown := [name for name in wanted if name not in tables and name not in lines]:
        raise ValueError(f"keep: no part is called {unknown[0]!r}; parts: {', '.join([*tables, *lines])}")
    kept = [] if "head" in wanted else ["\n".join(text for name, text in lines.items() if name in wanted)]
    kept += [text for name, text in tables.items() if name in wanted and name != "headline"]
    kept = [tables["headline"], *kept] if "headline" in wanted else kept
    return "\n\n".join(filter(None, kept))


@dataclass
class Workplace:
    """A folder that looks as the documentation assumes, and what commands have printed in it so far."""

    folder: Path
    data: Path | None
    outputs: dict[str, str] = field(default_factory=dict)

    def output_of(self, command: str) -> str:
        """Return the standard output of a command, run once; stop with its error where it fails."""
        if command not in self.outputs:
            print(command, file=sys.stderr)
            self.outputs[command] = self._run(shlex.split(command))
        return self.outputs[command]

    def _run(self, words: list[str]) -> str:
        program = [sys.executable, "-m", "segablate"] if words[0] == "segablate" else [sys.executable]
        environment = {**os.environ, "COLUMNS": "100", "PYTHONPATH": str(ROOT)}
        with tempfile.TemporaryDirectory() as cache:  # each command as if it were the first
            environment["SEGABLATE_CACHE"] = cache
            found = subprocess.run(
                [*program, *words[1:]], cwd=self.folder, env=environment, capture_output=True, text=True, check=False
            )
        if found.returncode:
            raise SystemExit(f"{shlex.join(words)}\n{found.stderr}")
        return "\n".join(line.rstrip() for line in found.stdout.rstrip().splitlines())


def open_workplace(folder: Path) -> Workplace:
    """Fill a folder with the examples and, where SEGABLATE_DATA is set, with the real data and checkpoints."""
    (folder / "examples").mkdir()
    for file in (ROOT / "examples").iterdir():
        if file.suffix in (".py", ".yaml"):
            (folder / "examples" / file.name).write_bytes(file.read_bytes())
    if "SEGABLATE_DATA" not in os.environ:
        return Workplace(folder, None)
    real = Path(os.environ["SEGABLATE_DATA"]).resolve()
    (folder / "data").symlink_to(real)
    for weights in (real / "checkpoints").iterdir():
        (folder / "examples" / weights.name).symlink_to(weights)
    return Workplace(folder, real)


def refresh_outputs(page: Path, workplace: Workplace) -> None:
    """Run the commands of a page and put what they print into its blocks."""
    text = page.read_text(encoding="utf-8")
    made: set[str] = set()
    for match in PREPARE.finditer(text):
        if workplace.data is None and needs_data(match["command"]):
            made.add(shlex.split(match["command"])[-1])
        else:
            workplace.output_of(match["command"])

    def replaced(match: re.Match[str]) -> str:
        if workplace.data is None and needs_data(match["command"], made):
            return match[0]
        try:
            shown = excerpt(workplace.output_of(match["command"]), match["keep"])
        except ValueError as error:
            raise SystemExit(f"{page.relative_to(ROOT)}: {match['command']}: {error}") from None
        return f"{match['comment']}```{match['kind']}\n{shown}\n```"

    page.write_text(BLOCK.sub(replaced, text), encoding="utf-8")


def needs_data(command: str, made: Collection[str] = ()) -> bool:
    """Whether a command reads the real data, or what was ``made`` from it."""
    return any(name in command for name in ("data/", *made))


def refresh_generated() -> None:
    """Write the generated pages, and the list of losses wherever it stands."""
    from generated import losses_table, pages

    for page, text in pages().items():
        (ROOT / "docs" / page).write_text(text, encoding="utf-8")
    table = losses_table()
    for page in PAGES:
        text = page.read_text(encoding="utf-8")
        page.write_text(LOSSES.sub(lambda _: table, text), encoding="utf-8")


def main(arguments: list[str]) -> None:
    """Refresh the generated pages, and the outputs of the pages named or of all."""
    from screenshots import take

    sys.path.insert(0, str(ROOT))
    refresh_generated()
    if "--generated" in arguments:
        return
    with tempfile.TemporaryDirectory() as folder:
        workplace = open_workplace(Path(folder))
        for page in [Path(name).resolve() for name in arguments] or PAGES:
            refresh_outputs(page, workplace)
            if page.name == "report.md":
                take(Path(folder), workplace.output_of)


if __name__ == "__main__":
    main(sys.argv[1:])
