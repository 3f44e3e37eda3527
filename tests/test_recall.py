"""Recall loss against its formula pixel by pixel, the weights themselves, and the running weights."""

import math

import pytest
import torch
from scenes import VOID, scene, value_and_gradient
from torch import Tensor

from segablate.losses.ce import ce
from segablate.losses.recall import recall, recall_weights


def plain_recall(
    logits: Tensor, labels: Tensor, floor=1.0, prior_hits=0.0, prior_misses=0.0, reduction="valid"
) -> Tensor:
    """One group of images: counts by loops over classes, loss by a loop over pixels."""
    predicted, log_p = logits.argmax(1), logits.log_softmax(1)
    weights = {}
    for c in range(logits.shape[1]):
        pixels, missed = (labels == c).sum().item(), ((labels == c) & (predicted != c)).sum().item()
        below = max(pixels + prior_hits + prior_misses, floor)
        weights[c] = max(missed + prior_misses, floor) / below if below else 1.0
    total, weight_sum, count = logits.new_zeros(()), 0.0, 0
    for n, i, j in (labels != VOID).nonzero().tolist():
        label = int(labels[n, i, j])
        total = total - weights[label] * log_p[n, label, i, j]
        weight_sum, count = weight_sum + weights[label], count + 1
    divisor = {"valid": count, "all": labels.numel(), "weights": weight_sum}[reduction]
    return total / divisor if divisor else total


SETTINGS = [
    {},
    {"floor": 0},
    {"floor": 30},
    {"prior_hits": 20},
    {"prior_misses": 50},
    {"prior_hits": 5, "prior_misses": 7, "floor": 9},
]


@pytest.mark.parametrize("reduction", ["valid", "all", "weights"])
@pytest.mark.parametrize("settings", SETTINGS, ids=str)
def test_equals_the_plain_formula(settings, reduction):
    logits, labels = scene(2, 4, 10, 12)
    expected, expected_gradient = value_and_gradient(
        lambda z: plain_recall(z, labels, **settings, reduction=reduction), logits
    )
    value, gradient = value_and_gradient(lambda z: recall(z, labels, **settings, reduction=reduction), logits)
    torch.testing.assert_close(value, expected)
    torch.testing.assert_close(gradient, expected_gradient)


@pytest.mark.parametrize("reduction", ["valid", "all", "weights"])
def test_image_scope_is_the_mean_over_images_with_a_label(reduction):
    logits, labels = scene(3, 4, 10, 12)
    labels[1] = VOID
    expected = [plain_recall(logits[i : i + 1], labels[i : i + 1], reduction=reduction) for i in (0, 2)]
    value = recall(logits, labels, scope="image", reduction=reduction)
    torch.testing.assert_close(value, torch.stack(expected).mean())


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
