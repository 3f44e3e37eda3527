"""Every example in the docstrings of public names is run, and the page of the documentation has all names."""

import doctest

import pytest
from generated_api import GROUPS, python_page
from public_names import examples

import segablate

EXAMPLES = dict(examples())


@pytest.mark.parametrize("name", EXAMPLES)
def test_examples_do_what_they_say(name: str) -> None:
    runner = doctest.DocTestRunner(optionflags=doctest.NORMALIZE_WHITESPACE)
    said: list[str] = []
    result = runner.run(EXAMPLES[name], out=said.append, clear_globs=False)
    assert result.failed == 0, "".join(said)
    assert result.attempted > 1


def test_what_people_call_has_an_example() -> None:
    called = {
        "evaluate",
        "compare",
        "ablate",
        "train",
        "load",
        "Scores",
        "Evaluation",
        "Comparison",
        "Ablation",
        "Training",
    }
    assert called <= EXAMPLES.keys()


def test_the_page_has_every_public_name_and_example() -> None:
    assert {name for names in GROUPS.values() for name in names} == set(segablate.__all__) - {"losses"}
    page = python_page()
    for name, test in EXAMPLES.items():
        assert all(example.source.strip() in page for example in test.examples), name
