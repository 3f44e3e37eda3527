"""Every example in the docstrings of public names is run, and the page of the documentation has all names."""

import doctest

import pytest
from generated_api import GROUPS, LOSSES, python_page
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


def test_the_example_of_the_modules_does_what_it_says() -> None:
    code = LOSSES.partition("```pycon\n")[2].partition("```")[0]
    said: list[str] = []
    test = doctest.DocTestParser().get_doctest(code, {}, "losses", None, 0)
    result = doctest.DocTestRunner().run(test, out=said.append)
    assert result.failed == 0, "".join(said)
    assert result.attempted > 3


def test_what_people_call_has_an_example() -> None:
    results = {"OverallScores", "ClassScores", "ConventionScores", "ImageScores", "Difference", "ClassDifference"}
    results |= {"SettingScores", "SavedReport", "LoadingOptions"}  # in the examples of what returns or takes them
    assert set(segablate.__all__) - {"losses"} - results <= EXAMPLES.keys()


def test_the_page_has_every_public_name_and_example() -> None:
    assert {name for names in GROUPS.values() for name in names} == set(segablate.__all__) - {"losses"}
    page = python_page()
    for name, test in EXAMPLES.items():
        assert all(line in page for example in test.examples for line in example.source.splitlines()), name
