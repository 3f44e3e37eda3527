"""Recall loss: the weights themselves, the running weights, and its limits."""

import math

import pytest
import torch
from scenes import VOID, scene
from torch import Tensor

from segablate.losses.ce import ce
from segablate.losses.recall import recall, recall_weights, running_weights


def two_classes(misses: int, pixels: int) -> tuple[Tensor, Tensor]:
    """One row: class 0 has so many pixels and misses, class 1 a single pixel that is found."""
    labels = torch.tensor([[[0] * pixels + [1]]])
    predicted = torch.tensor([1] * misses + [0] * (pixels - misses) + [1])
    logits = torch.nn.functional.one_hot(predicted, 2).double().T.view(1, 2, 1, -1)
    return logits, labels


@pytest.mark.parametrize(
    ("settings", "weight"),
    [
        ({}, 3 / 10),
        ({"floor": 0}, 3 / 10),
        ({"floor": 5}, 5 / 10),
        ({"floor": 20}, 20 / 20),
        ({"prior_hits": 10}, 3 / 20),
        ({"prior_misses": 10}, 13 / 20),
        ({"prior_hits": 5, "prior_misses": 5}, 8 / 20),
    ],
    ids=str,
)
def test_weight_of_three_misses_in_ten(settings, weight):
    logits, labels = two_classes(3, 10)
    assert recall_weights(logits, labels, **settings)[0].item() == pytest.approx(weight)


def test_floor_of_a_class_without_miss():
    logits, labels = two_classes(0, 10)
    assert recall_weights(logits, labels).tolist() == pytest.approx([0.1, 1.0])
    assert recall_weights(logits, labels, floor=0).tolist() == [0.0, 0.0]
    assert recall(logits, labels, floor=0).item() == 0
    assert recall(logits, labels, floor=0, reduction="weights").item() == 0


def test_many_prior_misses_are_cross_entropy():
    logits, labels = scene()
    torch.testing.assert_close(recall(logits, labels, prior_misses=1e12), ce(logits, labels), rtol=1e-6, atol=0)


def test_running_weights_keep_those_of_absent_classes():
    logits, labels = scene(1, 4)
    first = recall_weights(logits, labels)
    other = labels.where(labels != 2, 3)
    fresh = recall_weights(logits, other)
    second = recall_weights(logits, other, first, momentum=0.9)
    expected = 0.1 * fresh + 0.9 * first
    expected[2] = first[2]
    torch.testing.assert_close(second, expected)
    assert not second.requires_grad
    assert recall_weights(logits.half(), labels).dtype == torch.float32


def test_training_carries_weights_with_a_momentum_only():
    logits, labels = scene(1, 4)
    others, settings = scene(2, 4), {"floor": 2, "prior_hits": 3, "prior_misses": 4}
    assert running_weights(logits, labels, None, momentum=0, **settings) == {}
    first = running_weights(logits, labels, None, momentum=0.9, **settings)
    torch.testing.assert_close(first, {"weights": recall_weights(logits, labels, **settings)})
    expected = recall_weights(*others, first["weights"], momentum=0.9, **settings)
    torch.testing.assert_close(running_weights(*others, first, momentum=0.9, **settings), {"weights": expected})


def test_weights_given_are_used_in_place_of_the_counts():
    logits, labels = scene()
    ones = torch.ones(5)
    torch.testing.assert_close(recall(logits, labels, weights=ones), ce(logits, labels))
    twice = recall(logits, labels, weights=2 * ones, scope="image", reduction="weights")
    torch.testing.assert_close(twice, recall(logits, labels, weights=ones, scope="image", reduction="weights"))


def test_classes_add_up_and_absent_ones_are_undefined():
    logits, labels = scene()
    labels[labels == 1] = VOID
    parts = recall.parts(logits, labels)
    assert parts.per_class[1].isnan()
    assert math.isclose(parts.per_class.nansum().item(), parts.value.item(), rel_tol=1e-9)
