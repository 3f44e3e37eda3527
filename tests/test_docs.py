"""The documentation says what the program does: commands run, links resolve, excerpts and pages are generated."""

import re
import shlex
import tomllib
from pathlib import Path

import generated
import pytest
import refresh
import torch
import yaml

from segablate import __version__, limits
from segablate.cli import run
from segablate.yaml_files import YAML_BYTES

ROOT = Path(__file__).parents[1]
TEXTS = ["README.md", "CONTRIBUTING.md", "CHANGELOG.md", "SECURITY.md", "sample_data/README.md"]
GUIDES = sorted((ROOT / "docs").rglob("*.md"))
PAGES = [*map(ROOT.joinpath, TEXTS), *GUIDES]
REPOSITORY = "https://github.com/segablate/segablate/blob/main/"
every_page = pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))


def commands() -> dict[str, list[tuple[str, str | None]]]:
    """Every command in a console block or whose output is shown, with the pages and the parts they keep of it."""
    found: dict[str, list[tuple[str, str | None]]] = {}
    for page in PAGES:
        text = page.read_text(encoding="utf-8")
        shown = [(match["command"], match["keep"]) for match in refresh.BLOCK.finditer(text)]
        for block in re.findall(r"```console\n(.*?)```", text, re.DOTALL):
            lines = block.replace("\\\n", " ").splitlines()
            shown += [(line[2:].partition(" # ")[0], None) for line in lines if line.startswith("$ segablate ")]
        for command, keep in shown:
            found.setdefault(command, []).append((page.name, keep))
    return found


def on_sample(command: str) -> bool:
    """Whether a command needs nothing but what comes with the package."""
    words = shlex.split(command)
    foreign = re.compile(r"[\w-]+:[^=]|.*\.(ya?ml|pth|safetensors|onnx|txt)$|runs/|mydata")
    return not any(foreign.match(word) for word in words[1:] if not word.startswith("sample"))


def fewer(words: list[str]) -> list[str]:
    """Return the options with which a command takes less time."""
    if words[0] == "train":
        return ["--steps", "4"]
    if words[0] == "atlas":
        return ["--limit", "6", "--losses", "ce,focal,abl"]  # semeda would train its network
        return ["--limit", "6"]
    if words[0] == "search":
        return ["--rounds", "1", "--samples", "4", "--steps", "2", "--seeds", "1", "--retrain-steps", "2"]
    images = ["--limit", "8"] if words[0] in ("evaluate", "ablate", "compare") and len(words) > 1 else []
    return [*images, "--steps", "2"] if "--train" in words else images


@pytest.mark.parametrize("command", list(filter(on_sample, commands())))
def test_commands_on_the_sample_run(
    command: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Run each on a few images, and find in its output the parts that pages keep."""
    monkeypatch.chdir(tmp_path)
    words = shlex.split(command)[1:]
    assert run([*words, *fewer(words)]) == 0, capsys.readouterr().err
    output = capsys.readouterr().out
    for page, keep in commands()[command]:
        assert refresh.excerpt(output, keep), page


@pytest.mark.parametrize("command", [command for command in commands() if not on_sample(command)])
def test_other_commands_are_spelt_right(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    """What they name is not here: an error may say so, but not that an option or a command does not exist."""
    words = shlex.split(command)[1:]
    assert run([*words, "--help"] if words[0] != "checkpoints" else [*words[:2], "--help"]) == 0
    printed = capsys.readouterr().out
    for word in words:
        if word.startswith("--"):
            assert word.split("=")[0] in printed, commands()[command]


@pytest.fixture(scope="module")
def options() -> dict[str, str]:
    """The options of each command in one string; of `ablate` and of any other group, those of all its commands."""
    found: dict[str, str] = {"": "--version --install-completion --help"}
    for command in generated.commands():
        named = " ".join(option.names for option in command.options)
        group = command.path.partition(" ")[0]
        found[group] = f"{found.get(group, '')} {named} --help".lstrip()
        found[command.path] = f"{named} --help"
    return found


@every_page
def test_commands_in_the_text_exist(page: Path, options: dict[str, str]) -> None:
    prose = re.sub(r"```.*?```", "", page.read_text(encoding="utf-8"), flags=re.DOTALL)
    for code in re.findall(r"`segablate ([^`]+)`", prose):
        words = [] if code.startswith("--") else code.split()
        path = next((path for path in (" ".join(words[:2]), " ".join(words[:1])) if path in options), None)
        assert path is not None, code
        if code.startswith("ablate python:"):
            continue  # its options are those of the function
        assert set(re.findall(r"(?<![\w-])--[a-z][a-z-]*", code)) <= set(re.findall(r"--[a-z-]+", options[path])), code


@every_page
def test_links_resolve(page: Path) -> None:
    """Links to files of the repository, also by their address there, and to headings in them."""
    text = page.read_text(encoding="utf-8")
    links = [link.replace(REPOSITORY, f"{ROOT}/") for link in re.findall(r"\]\(([^)\s]+)\)", text)]
    for link in links:
        if link.startswith("http"):
            continue
        place, _, anchor = link.partition("#")
        target = page.parent / place if place else page
        assert target.exists(), link
        assert not anchor or anchor in anchors(target), link


def anchors(page: Path) -> set[str]:
    """The anchors that headings get."""
    headings = re.findall(r"^#+ (.+)$", page.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).strip().replace(" ", "-") for heading in headings}


@every_page
def test_blocks_hold_the_parts_they_keep(page: Path) -> None:
    for match in refresh.BLOCK.finditer(page.read_text(encoding="utf-8")):
        block = match[0].partition("```")[2].partition("\n")[2].removesuffix("```").strip("\n")
        assert block, match["command"]
        for name in (match["keep"] or "").split(", "):
            assert re.search(rf"^{re.escape(name)}([ ,;:]|$)", block, re.MULTILINE) or name in (
                "headline",
                "head",
                "notes",
            ), name


OUTPUT = """\
a run
verdict  no difference,
         as far as is known
dataset  sample

Scores
measure    value
────────────────
mIoU       63.81
· A note.

measure    further
──────────────────
mIoU          1.00

    columns that start
    with an empty one

Classes
class   IoU
───────────
road   95.4

· the last note
"""


def test_an_excerpt_is_cut_by_headings() -> None:
    assert list(refresh.parts(OUTPUT)) == ["head", "Scores", "Classes", "notes"]
    scores = OUTPUT[OUTPUT.index("Scores") : OUTPUT.index("\n\nClasses")]
    assert refresh.excerpt(OUTPUT, "Scores") == scores
    verdict = "verdict  no difference,\n         as far as is known"
    assert refresh.excerpt(OUTPUT, "Scores, verdict") == f"{verdict}\n\n{scores}"
    assert refresh.excerpt(OUTPUT, "notes, head").endswith("dataset  sample\n\n· the last note")
    assert refresh.excerpt(OUTPUT, None) == OUTPUT
    framed = f"the headline\nin two lines\n\n{OUTPUT}\nthe headline\nin two lines\n"
    assert list(refresh.parts(framed)) == ["headline", "head", "Scores", "Classes", "notes"]
    assert refresh.excerpt(framed, "headline, verdict") == f"the headline\nin two lines\n\n{verdict}"
    with pytest.raises(ValueError, match=r"no part is called 'Score'; parts: head, Scores, Classes, notes, verdict"):
        refresh.excerpt(OUTPUT, "Score")


@pytest.mark.parametrize("page", [page for page in PAGES if "from segablate" in page.read_text(encoding="utf-8")])
def test_python_that_imports_segablate_runs(page: Path) -> None:
    logits, labels = torch.randn(1, 3, 16, 16, requires_grad=True), torch.randint(0, 3, (1, 16, 16))
    for code in re.findall(r"```python\n(.*?)```", page.read_text(encoding="utf-8"), re.DOTALL):
        if "segablate" in code:
            exec(code, {"logits": logits, "labels": labels})


def test_security_states_the_limits() -> None:
    text = " ".join((ROOT / "SECURITY.md").read_text(encoding="utf-8").split())
    structure = (
        f"{limits.STRUCTURE_FACTOR} times the bytes of the file and {limits.STRUCTURE_START >> 20} MiB in memory"
    )
    for stated in (
        f"{limits.PIXEL_BYTES >> 30} GiB decoded",
        f"{structure}, and {limits.STRUCTURE_SECONDS:g} s of processor time",
        f"**Text**: {limits.TEXT_BYTES >> 20} MiB, YAML {YAML_BYTES >> 20} MiB",
        f"The directory of a zip archive has {limits.DIRECTORY_BYTES >> 20} MiB",
    ):
        assert stated in text
    rest = (limits.PIXEL_BYTES % 2**30, limits.STRUCTURE_START % 2**20, limits.TEXT_BYTES % 2**20, YAML_BYTES % 2**20)
    assert set(rest) == {0}


def test_generated_pages_are_those_of_the_program() -> None:
    for page, text in generated.pages().items():
        assert (ROOT / "docs" / page).read_text(encoding="utf-8") == text, "run python docs/refresh.py --generated"
    for page in PAGES:
        for found in refresh.LOSSES.findall(page.read_text(encoding="utf-8")):
            assert found == generated.losses_table(), "run python docs/refresh.py --generated"
    assert refresh.LOSSES.search((ROOT / "README.md").read_text(encoding="utf-8"))


@pytest.mark.parametrize("command", list(generated.commands()), ids=lambda command: command.path)
def test_the_reference_has_the_options_of_help(
    command: generated.Command, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COLUMNS", "400")
    assert run([*command.path.split(), "--help"]) == 0
    in_help = set(re.findall(r"(?<![\w-])--[a-z][a-z-]*", capsys.readouterr().out)) - {"--help"}
    described = " ".join(f"{option.names} {option.meaning}" for option in command.options)
    assert set(re.findall(r"(?<![\w-])--[a-z][a-z-]*", described)) == in_help


@pytest.mark.parametrize("page", GUIDES, ids=lambda page: str(page.relative_to(ROOT)))
def test_a_page_opens_with_whom_it_is_for(page: Path) -> None:
    heading, opening, *_ = page.read_text(encoding="utf-8").removeprefix(generated.NOTICE).strip().split("\n\n")
    assert heading.startswith("# ")
    assert opening.startswith("For ")


def test_every_page_is_in_the_navigation() -> None:
    listed = re.findall(r"[\w/-]+\.md", str(yaml.safe_load((ROOT / "mkdocs.yml").read_text(encoding="utf-8"))["nav"]))
    assert sorted(listed) == sorted(str(page.relative_to(ROOT / "docs")) for page in GUIDES)


def test_the_readme_is_read_in_one_sitting() -> None:
    assert len((ROOT / "README.md").read_text(encoding="utf-8").splitlines()) <= 265


def test_versions_agree() -> None:
    """The package, its metadata, the citation and the newest heading of the changelog."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["version"]
    cited = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))["version"]
    logged = re.search(r"^## (\S+)", (ROOT / "CHANGELOG.md").read_text(encoding="utf-8"), re.MULTILINE)
    assert logged
    assert {project, cited, logged[1]} == {__version__}
