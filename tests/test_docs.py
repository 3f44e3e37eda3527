"""The documentation says what the program does: commands run, links lead somewhere, tables are generated."""

import re
import shlex
from pathlib import Path

import pytest

from segablate.cli import run

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md")), ROOT / "sample_data" / "README.md"]


def commands() -> list[tuple[str, str]]:
    """Every ``$ segablate ...`` in a console block and every command whose output is shown, by page."""
    found = []
    for page in PAGES:
        text = page.read_text(encoding="utf-8")
        shown = re.findall(r"<!-- output: (segablate .+?) -->", text)
        for block in re.findall(r"```console\n(.*?)```", text, re.DOTALL):
            joined = block.replace("\\\n", " ")
            shown += [line[2:].partition(" # ")[0] for line in joined.splitlines() if line.startswith("$ segablate ")]
        found += [(page.name, command) for command in dict.fromkeys(shown)]
    return found


def on_sample(command: str) -> bool:
    """Whether a command needs nothing but what comes with the package."""
    words = shlex.split(command)
    foreign = re.compile(r"[\w-]+:[^=]|.*\.(ya?ml|pth|safetensors|onnx|txt)$|runs/|mydata")
    return not any(foreign.match(word) for word in words[1:] if not word.startswith("sample"))


@pytest.mark.parametrize(("page", "command"), [pair for pair in commands() if on_sample(pair[1])])
def test_commands_on_the_sample_run(
    page: str, command: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    words = shlex.split(command)[1:]
    limited = [*words, "--limit", "8"] if words[0] in ("evaluate", "ablate", "compare") and len(words) > 1 else words
    assert run(limited) == 0, capsys.readouterr().err
    assert capsys.readouterr().out


@pytest.mark.parametrize(("page", "command"), [pair for pair in commands() if not on_sample(pair[1])])
def test_other_commands_are_spelt_right(page: str, command: str, capsys: pytest.CaptureFixture[str]) -> None:
    """What they name is not here: an error may say so, but not that an option or a command does not exist."""
    words = shlex.split(command)[1:]
    assert run([*words, "--help"] if words[0] != "checkpoints" else [*words[:2], "--help"]) == 0
    printed = capsys.readouterr().out
    for word in words:
        if word.startswith("--"):
            assert word.split("=")[0] in printed, f"{page}: {command}"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_somewhere(page: Path) -> None:
    links = re.findall(r"\]\(([^)#]+)(?:#[^)]*)?\)", page.read_text(encoding="utf-8"))
    broken = [link for link in links if not link.startswith("http") and not (page.parent / link).exists()]
    assert broken == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_no_output_is_missing(page: Path) -> None:
    assert not re.search(r"<!-- output: .+? -->\n```\w*\n```", page.read_text(encoding="utf-8"))


def test_the_table_of_losses_is_generated() -> None:
    from segablate.render import render
    from segablate.tables.catalogue import losses_report

    text = (ROOT / "README.md").read_text(encoding="utf-8")
    found = re.search(r"<!-- losses -->\n(.*?)<!-- /losses -->", text, re.DOTALL)
    assert found
    table = "\n".join(line for line in render(losses_report(), "markdown").splitlines() if line.startswith("|"))
    assert found[1].strip() == table, "run python docs/refresh.py"
