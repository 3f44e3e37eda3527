"""Prose that users read avoids words that are no words of the field, or that say nothing.

The documentation is checked, and the docstrings, help texts and messages of the program.
"""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
DOCUMENTS = [*sorted(ROOT.glob("*.md")), *sorted((ROOT / "docs").rglob("*.md")), ROOT / "sample_data" / "README.md"]
SOURCES = sorted((ROOT / "segablate").rglob("*.py"))
GENERATED = "<!-- Generated"

AVOID = {
    r"\bshown\b": "significant; printed, in the table",
    r"\bdraws (of|with)\b|\bdrawn (together|anew)\b": "bootstrap replicates; resampled",
    r"^of pixels$|\bpixel share\b": "pixels (%)",
    r"\bfound/wanted\b": "the two numbers by their names",
    r"\b(lie|lies|lay|lain|lying)\b": "is, are",
    r"\bgives\b": "returns, prints, computes",
    r"\b(is|as|what was) said\b": "states, prints",
    r"\bon the disk\b": "in files, in a folder",
    r"\bexpanded for few\b": "widened for the small sample",
    r"\ba last division\b": "divisor applied after mean and std",
    r"\bwith commas\b": "comma-separated",
    r"\bfreed of\b": "constant subtracted from the value",
    r"\bwithout remainder\b": "all keys must match",
    r"\bby looking\b": "by inspecting the folder",
    r"\ball of them, or all of one\b": "List the losses, or show one in detail.",
    r"\bonly so many\b|\bso many (pixels|images)\b": "N images; within that distance",
    r"\bas often right as\b": "calibration: does confidence match accuracy?",
    r"^--wide shows\b": "--wide adds: ...",
    r"\bfour of five such\b": "N images can detect ... (80 % power)",
    r"\bas small as that seen\b": "... would need about N images",
    r"\bwhich dataset is\b": "No dataset given. Usage: ...",
    r"^of (weights|the strokes)\b": "Random seed for ...",
    r"\bwhere the weights are in the file\b": "Key path to the weights, e.g. model.state_dict",
    r"^it, ": "a sentence with a subject",
    r"\b1 (images|pixels|classes)\b": "the singular",
}
"""What to avoid, as regular expressions (of one paragraph or string, in any case), and what to write instead."""


def faults(text: str) -> list[str]:
    """What a paragraph should not say, and what it could."""
    found = [(re.search(pattern, text, re.IGNORECASE), better) for pattern, better in AVOID.items()]
    return [f"{match[0]!r} in {text[:80]!r}; write: {better}" for match, better in found if match]


def paragraphs(markdown: str) -> Iterator[str]:
    """The prose of a page: paragraphs and table cells, without code, comments and addresses."""
    text = re.sub(r"```.*?```|<!--.*?-->", "\n\n", markdown, flags=re.DOTALL)
    text = re.sub(r"`[^`]+`", "", text)
    text = re.sub(r"\]\([^)]+\)", "]", text)
    for part in re.split(r"\n\s*\n|\||\n(?=- |#)", text):
        if words := " ".join(part.split()):
            yield words


def strings(source: str) -> Iterator[str]:
    """The strings of a program that may be prose: those of two words and more, their paragraphs apart."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            for part in re.split(r"\n\s*\n", node.value):
                if " " in (words := " ".join(re.sub(r"`[^`]+`", "", part).split())):
                    yield words


COUNTED = re.compile(
    r" (batches|cells|channels|classes|codes|colours|files|images|label maps|masks|outputs|pairs|pixels|runs|seeds"
    r"|settings|steps|tensors|trainings)\b"
)
"""What is counted, as the text after a number."""

PLANS = ("training/sweep.py",)
"""Files whose numbers are compared with those that earlier versions wrote."""


def uncounted(source: str) -> Iterator[str]:
    """Return the f-strings in which a length stands before a plural: of 1, the text is wrong."""
    for node in ast.walk(ast.parse(source)):
        for value, text in zip(node.values, node.values[1:], strict=False) if isinstance(node, ast.JoinedStr) else ():
            if isinstance(value, ast.FormattedValue) and isinstance(text, ast.Constant) and COUNTED.match(text.value):
                names = {part.id for part in ast.walk(value.value) if isinstance(part, ast.Name)}
                if names & {"len", "thousands"} and not all(name.isupper() for name in names - {"len", "thousands"}):
                    yield f"{{{ast.unparse(value.value)}}}{text.value}"


@pytest.mark.parametrize("page", DOCUMENTS, ids=lambda page: str(page.relative_to(ROOT)))
def test_documents_avoid_these_words(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    if text.startswith(GENERATED):
        return  # the words are the program's
    text = re.sub(r"<!-- losses -->.*?<!-- /losses -->", "", text, flags=re.DOTALL)
    assert [fault for part in paragraphs(text) for fault in faults(part)] == []


def test_the_program_avoids_these_words() -> None:
    found = {
        str(source.relative_to(ROOT)): [fault for part in strings(source.read_text("utf-8")) for fault in faults(part)]
        for source in SOURCES
    }
    assert {source: said for source, said in found.items() if said} == {}


def test_numbers_before_plurals_are_counted() -> None:
    found = {str(source.relative_to(ROOT / "segablate")): [*uncounted(source.read_text("utf-8"))] for source in SOURCES}
    assert {source: said for source, said in found.items() if said and source not in PLANS} == {}


def percents(source: str) -> Iterator[str]:
    """Return the values that f-strings write in the format of percentages, which sets no space before the sign."""
    for node in ast.walk(ast.parse(source)):
        if not isinstance(node, ast.FormattedValue) or node.format_spec is None:
            continue
        if ast.unparse(node.format_spec).rstrip("'\"").endswith("%"):
            yield ast.unparse(node.value)


def test_a_space_is_before_the_percent_sign() -> None:
    found = {str(source.relative_to(ROOT)): [*percents(source.read_text("utf-8"))] for source in SOURCES}
    assert {source: said for source, said in found.items() if said} == {}
    assert [*percents('f"{x:.1%} {100 * y:.1f} %"')] == ["x"]


def test_lengths_before_plurals_are_found() -> None:
    program = 'f"of {len(x)} images, {thousands(n)} pixels; at most {len(LETTERS)} runs, {counted(n)} images"'
    assert [*uncounted(program)] == ["{len(x)} images, ", "{thousands(n)} pixels; at most "]


def words_at_fault(parts: Iterator[str]) -> list[str]:
    return [fault.partition(" in ")[0] for part in parts for fault in faults(part)]


def test_words_are_found_in_the_prose_of_a_page() -> None:
    page = "A file\nlies here, `lies`, [x](lies.md).\n\n```text\nit gives\n```\n<!-- gives -->\n\n| a | with commas |\n"
    assert words_at_fault(paragraphs(page)) == ["'lies'", "'with commas'"]


def test_words_are_found_in_the_strings_of_a_program() -> None:
    program = 'KEY = "shown"\n\n\ndef lies(n):\n    """Say what is\n    shown."""\n    return f"{n} gives nothing"\n'
    assert words_at_fault(strings(program)) == ["'shown'", "'gives'"]
