"""Objectives in training: terms apart, momentum of recall, auxiliary outputs, what cannot be decomposed."""

import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from scenes import scene
from test_golden import golden, load
from torch import Tensor
from trainings import task_of, write_splits

from segablate.losses import get_loss
from segablate.objective.weighted_sum import parse_objective
from segablate.training.forward import Scores
from segablate.training.objectives import evaluate_objective, evaluate_outputs, local_terms
from segablate.training.task import Task


@pytest.fixture(scope="module")
def task(tmp_path_factory: pytest.TempPathFactory) -> Task:
    return task_of(write_splits(tmp_path_factory.mktemp("data") / "toy"), auxiliary=0.25)


def value_of(text: str, logits: Tensor, labels: Tensor, carried: Any = None, processes: int = 1) -> Any:
    return evaluate_objective(parse_objective(text), logits, labels, {}, carried or {}, processes)


def test_terms_are_apart_and_add_up() -> None:
    logits, labels = scene()
    found = value_of("ce + 0.5*dice - 0.1*focal(gamma=1) + ce", logits.requires_grad_(), labels)
    expected = {
        "ce": get_loss("ce")(logits, labels),
        "0.5*dice": 0.5 * get_loss("dice")(logits, labels),
        "-0.1*focal(gamma=1)": -0.1 * get_loss("focal")(logits, labels, gamma=1),
        "ce #2": get_loss("ce")(logits, labels),
    }
    assert list(found.terms) == list(expected)
    for name, value in expected.items():
        assert found.terms[name].item() == pytest.approx(value.item())
        assert not found.terms[name].requires_grad
    assert found.total.item() == pytest.approx(sum(value.item() for value in expected.values()))
    assert found.total.requires_grad


def test_a_share_of_a_batch_counts_as_often_as_there_are_processes() -> None:
    logits, labels = scene()
    alone, shared = value_of("ce + dice", logits, labels), value_of("ce + dice", logits, labels, processes=3)
    assert shared.terms["ce"].item() == pytest.approx(3 * alone.terms["ce"].item())
    assert shared.terms["dice"].item() == pytest.approx(alone.terms["dice"].item())


def test_which_losses_are_of_local_batches() -> None:
    assert local_terms(parse_objective("ce + lovasz + 0.5*rmi + bce + rmi + focal + recall + abl + dice + asl")) == [
        *("lovasz", "rmi", "dice", "asl")
    ]


@pytest.mark.parametrize("name", golden(lambda case: case.arrays["logits"].ndim == 5))
def test_momentum_of_recall_is_the_authors_running_weights(name: str) -> None:
    """Batch after batch as in training, against values and gradients of the authors' code."""
    case = load(name)
    knobs = ", ".join(f"{key}={value}" for key, value in case.knobs.items())
    carried: dict[str, Tensor] = {}
    for batch, (logits, labels) in enumerate(zip(case.arrays["logits"], case.arrays["labels"], strict=True)):
        leaf = logits.clone().requires_grad_()
        found = value_of(f"recall(momentum=0.5, {knobs})".replace(", )", ")"), leaf, labels, carried)
        found.total.backward()
        carried = dict(found.carried)
        torch.testing.assert_close(carried["0/weights"], case.arrays["weights"][batch])
        assert found.total.item() == pytest.approx(float(case.arrays["values"][batch]), rel=case.value_rtol)
        assert leaf.grad is not None
        error = (leaf.grad - case.arrays["grads"][batch]).abs().max()
        assert error <= case.grad_tol_of_largest * case.arrays["grads"][batch].abs().max()


def test_momentum_of_recall_by_hand() -> None:
    """Two classes; w = FN/N with a floor of 1 pixel, w̄ ← 0.25 w + 0.75 w̄ for the classes that are labelled."""
    first = torch.tensor([[[0, 0, 0, 0, 1, 1]]])
    second = torch.tensor([[[0, 0, 0, 0, 0, 255]]])
    predicted = [[0, 0, 0, 1, 0, 0], [1, 1, 1, 1, 0, 0]]
    batches = [(10.0 * torch.nn.functional.one_hot(torch.tensor([[row]]), 2).permute(0, 3, 1, 2)) for row in predicted]
    one = value_of("recall(momentum=0.75)", batches[0], first)
    assert one.carried["0/weights"].tolist() == [1 / 4, 1]
    two = value_of("recall(momentum=0.75)", batches[1], second, one.carried)
    assert two.carried["0/weights"].tolist() == pytest.approx([0.25 * 4 / 5 + 0.75 / 4, 1])
    miss = math.log1p(math.exp(10))
    hit = math.log1p(math.exp(-10))
    assert two.total.item() == pytest.approx((0.25 * 4 / 5 + 0.75 / 4) * (4 * miss + hit) / 5, rel=1e-5)


def test_without_momentum_nothing_is_carried() -> None:
    logits, labels = scene()
    assert value_of("recall + ce", logits, labels).carried == {}
    assert value_of("recall(weights=1:2:3:4:5, momentum=0.5)", logits, labels).carried == {}


def test_auxiliary_outputs_have_the_same_objective_with_a_weight(task: Task) -> None:
    (logits, labels), (other, _) = scene(c=4), scene(c=4, seed=3, moved=2)
    own = replace(task, objective=parse_objective("recall(momentum=0.5) + dice"))
    found = evaluate_outputs(own, Scores(logits, (other, logits)), labels, {}, {}, 1)
    main, aside = (value_of("recall(momentum=0.5) + dice", each, labels) for each in (logits, other))
    assert found.total.item() == pytest.approx(1.25 * main.total.item() + 0.25 * aside.total.item())
    assert found.terms["auxiliary 1"].item() == pytest.approx(0.25 * aside.total.item())
    assert set(found.carried) == {"0/0/weights", "1/0/weights", "2/0/weights"}
    torch.testing.assert_close(found.carried["1/0/weights"], aside.carried["0/weights"])
    next_one = evaluate_outputs(own, Scores(logits, (other,)), labels, {}, found.carried, 1)
    expected = value_of("recall(momentum=0.5) + dice", other, labels, aside.carried)
    assert next_one.terms["auxiliary 1"].item() == pytest.approx(0.25 * expected.total.item())


def test_auxiliary_outputs_may_have_an_objective_of_their_own(task: Task) -> None:
    logits, labels = scene(c=4)
    own = replace(task, objective=parse_objective("dice"), auxiliary=parse_objective("ce"))
    found = evaluate_outputs(own, Scores(logits, (logits,)), labels, {}, {}, 1)
    ce, dice = get_loss("ce")(logits, labels), get_loss("dice")(logits, labels)
    assert found.total.item() == pytest.approx((dice + 0.25 * ce).item())


def test_matrices_that_cannot_be_decomposed_make_a_loss_that_is_no_number(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(self: Any, logits: Tensor, labels: Tensor, **inputs: Any) -> Tensor:
        return torch.linalg.cholesky(torch.full((2, 2), float("nan"))).sum()

    monkeypatch.setattr("segablate.objective.weighted_sum.WeightedTerm.__call__", broken)
    logits, labels = scene()
    found = value_of("rmi", logits.requires_grad_(), labels)
    assert found.total.isnan()
    found.total.backward()


def test_class_weights_of_auxiliary_outputs(tmp_path: Path) -> None:
    data = write_splits(tmp_path / "toy")
    own = {"class_weights": "median", "auxiliary_objective": "ce + dice"}
    opened = task_of(data, **own)
    assert opened.auxiliary is not None
    assert opened.auxiliary.terms[0].settings == opened.objective.terms[0].settings
    assert np.isfinite(opened.auxiliary.terms[0].settings["weights"]).all()
    other = task_of(data, class_weights="median", auxiliary_objective="dice")
    assert str(other.auxiliary) == "dice"
