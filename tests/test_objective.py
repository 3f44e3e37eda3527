"""Objectives: read, printed, computed; refused with the column of what is wrong."""

import copy
import pickle
import re
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from scenes import scene

from segablate.errors import KnobError, ObjectiveError, UserCodeError
from segablate.losses import get_loss
from segablate.losses.ce import ce
from segablate.losses.rmi import rmi
from segablate.objective.weighted_sum import Objective, WeightedTerm, parse_objective, published_objective

USER_LOSSES = """
import torch
from typing import Annotated
from segablate.losses import loss
from segablate.objective.ranges import Range

def brier(logits, labels, *, power: Annotated[float, Range(1, 4, help="of the difference")] = 2, scale=1.0):
    return scale * (1 - logits.softmax(1).amax(1)).pow(power).mean()

def per_pixel(logits, labels):
    return logits.sum(1)

@loss(paper="mine")
def marked(logits, labels, *, gamma=1):
    \"\"\"Mine.\"\"\"
    return gamma * logits.mean()

number = 3
"""


@pytest.fixture
def user_file(tmp_path, monkeypatch) -> Path:
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "my_losses.py"
    path.write_text(USER_LOSSES)
    return path


@pytest.mark.parametrize(
    ("text", "printed"),
    [
        ("ce", "ce"),
        (" ce+ 0.5 *rmi( radius = 3,stride=4 ) ", "ce + 0.5*rmi(radius=3, stride=4)"),
        ("ce + 0.5*rmi(radius=3, stride=4) + 2*cpg", "ce + 0.5*rmi(radius=3, stride=4) + 2*cpg"),
        ("1.0*ce", "ce"),
        ("-ce - 1e-8*focal(alpha=none)", "-1*ce - 1e-08*focal(alpha=none)"),
        ("cpg(width=all) + cpg(width=3)", "cpg(width=all) + cpg(width=3)"),
        ("rmi(pool='max', void=\"drop\")", "rmi(pool=max, void=drop)"),
        ("ce()", "ce"),
        (".5*bce(extra=1) + .5*rmi", "0.5*bce(extra=1) + 0.5*rmi"),
    ],
)
def test_reads_and_prints(text, printed):
    objective = parse_objective(text)
    assert str(objective) == printed
    assert parse_objective(printed) == objective


@pytest.mark.parametrize(
    ("text", "error", "message"),
    [
        ("", ObjectiveError, "column 1: expected a loss, as in ce + 0.5*rmi(radius=3), found the end"),
        ("ce +", ObjectiveError, "column 5: expected a loss, as in ce + 0.5*rmi(radius=3), found the end"),
        ("ce rmi", ObjectiveError, "column 4: expected '+' between two terms, found 'r'"),
        ("ce + 0.5rmi", ObjectiveError, "column 9: expected '*' between the weight 0.5 and its term, found 'r'"),
        ("2*(ce + rmi)", ObjectiveError, "column 3: expected a loss, as in ce + 0.5*rmi(radius=3), found '('"),
        ("ce + rim", ObjectiveError, "column 6: no loss is called 'rim'; did you mean 'rmi'?"),
        ("rmi(radus=3)", KnobError, "column 5: rmi has no hyperparameter 'radus'; did you mean 'radius'?"),
        ("rmi(3)", ObjectiveError, "column 5: expected a hyperparameter of rmi, as in radius=3, or ')', found '3'"),
        ("rmi(radius)", ObjectiveError, "column 11: expected '=' and a value after radius, found ')'"),
        ("rmi(radius=)", ObjectiveError, "column 12: expected a value of radius, a whole number between 1 and 10"),
        ("rmi(radius=3", ObjectiveError, "column 13: expected ',' or ')', found the end"),
        ("rmi(radius=3, radius=4)", ObjectiveError, "radius is set twice"),
        ("ce + rmi(radius=30)", KnobError, "column 17: radius is 30, but must be between 1 and 10"),
        ("rmi(pool=mux)", KnobError, "column 10: pool is 'mux', but must be 'avg' or 'max'"),
        ("python:nowhere.f", UserCodeError, "column 1: python:nowhere cannot be imported: it is not installed"),
        ("python:nowhere", UserCodeError, "'python:nowhere' is no function; write python:package.module:name"),
        ("ce + python:no/such.py:f", UserCodeError, "column 6: no/such.py: no such Python file"),
    ],
)
def test_errors_point_at_the_place(text, error, message):
    with pytest.raises(error, match=re.escape(message)) as caught:
        parse_objective(text)
    assert str(caught.value).startswith(f"objective {text!r}, column ")
    assert "\n" not in str(caught.value)


def test_value_is_the_weighted_sum():
    logits, labels = scene()
    objective = parse_objective("ce - 0.5*rmi(radius=2) + 2*ce")
    torch.testing.assert_close(objective(logits, labels), 3 * ce(logits, labels) - 0.5 * rmi(logits, labels, radius=2))


def test_gradient_flows():
    logits, labels = scene()
    leaf = logits.requires_grad_()
    parse_objective("0.5*bce(extra=1) + 0.5*rmi + cpg")(leaf, labels).backward()
    assert leaf.grad is not None
    assert leaf.grad.abs().sum() > 0


def test_inputs_go_to_the_terms_that_take_them():
    logits, labels = scene()
    weights = torch.rand(5, generator=torch.Generator().manual_seed(0))
    expected = get_loss("bce")(logits, labels) + get_loss("recall")(logits, labels, weights=weights)
    torch.testing.assert_close(parse_objective("bce + recall")(logits, labels, weights=weights), expected)


def test_class_weights_are_written_like_a_hyperparameter():
    logits, labels = scene()
    weights = (1.0, 0.5, 2.0, 1.0, 3.0)
    objective = parse_objective("ce(weights=1:0.5:2:1:3) + recall")
    assert str(objective) == "ce(weights=1:0.5:2:1:3) + recall"
    plain = torch.nn.functional.cross_entropy(logits, labels, torch.tensor(weights).to(logits), ignore_index=255)
    torch.testing.assert_close(objective(logits, labels), plain + get_loss("recall")(logits, labels))
    assert str(parse_objective("ce").with_settings("ce", {"weights": weights})) == "ce(weights=1:0.5:2:1:3)"
    with pytest.raises(KnobError, match="weights of ce has 6 values for 5 outputs"):
        parse_objective("ce(weights=1:1:1:1:1:1)")(logits, labels)
    with pytest.raises(KnobError, match="has no hyperparameter 'weights'"):
        parse_objective("rmi(weights=1:2)")


def test_settings_can_be_exchanged():
    objective = published_objective(rmi).with_settings("rmi", {"radius": 5})
    assert str(objective) == "0.5*bce(extra=1) + 0.5*rmi(radius=5)"
    assert str(objective.with_settings("rmi", {"radius": 2, "pool": "max"}).terms[1]) == "0.5*rmi(radius=2, pool=max)"
    with pytest.raises(KnobError, match="radius is 11"):
        objective.with_settings("rmi", {"radius": 11})
    with pytest.raises(KnobError, match="rmi has no hyperparameter 'radus'"):
        objective.with_settings("rmi", {"radus": 1})


def test_survives_copying():
    objective = parse_objective("ce + 0.5*rmi(radius=2)")
    assert pickle.loads(pickle.dumps(objective)) == objective
    assert copy.deepcopy(objective) == objective
    assert Objective((WeightedTerm(1.0, ce),)) == parse_objective("ce")


def test_a_users_function_is_a_term(user_file):
    logits, labels = scene()
    objective = parse_objective(f"ce + 2*python:{user_file.name}:brier(power=3, scale=0.5)")
    assert str(objective) == f"ce + 2*python:{user_file.name}:brier(power=3, scale=0.5)"
    expected = ce(logits, labels) + (1 - logits.softmax(1).amax(1)).pow(3).mean()
    torch.testing.assert_close(objective(logits, labels), expected)
    assert get_loss("python:my_losses.brier").knobs["power"].range.high == 4
    assert get_loss("python:my_losses.marked").paper == "mine"
    assert get_loss("python:my_losses.marked")(logits, labels, gamma=2) == 2 * logits.mean()
    parts = get_loss("python:my_losses.brier").parts(logits, torch.full_like(labels, 255))
    assert parts.defined is False


def test_a_users_mistakes_are_named(user_file):
    logits, labels = scene()
    with pytest.raises(KnobError, match="power is 9, but must be between 1 and 4"):
        parse_objective("python:my_losses.brier(power=9)")
    with pytest.raises(UserCodeError, match="my_losses has no function 'bryer'; did you mean 'brier'"):
        get_loss("python:my_losses.bryer")
    with pytest.raises(UserCodeError, match="my_losses has no function 'number'"):
        get_loss("python:my_losses.number")
    with pytest.raises(KnobError, match=r"per_pixel returns a tensor of shape \(2, 40, 48\); a loss must return one"):
        get_loss("python:my_losses.per_pixel")(logits, labels)


def test_a_broken_module_is_one_line_with_its_place(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "broken_losses.py").write_text("import not_installed_anywhere\n")
    with pytest.raises(UserCodeError, match="the module 'not_installed_anywhere' it needs is not installed"):
        get_loss("python:broken_losses:f")
    (tmp_path / "failing_losses.py").write_text("number = 1\nratio = number / 0\n")
    with pytest.raises(UserCodeError, match=r"ZeroDivisionError: .* \(failing_losses.py, line 2\) when imported"):
        get_loss("python:failing_losses:f")


def test_objective_module_does_not_import_torch():
    code = "import sys; import segablate.objective.weighted_sum; assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)
