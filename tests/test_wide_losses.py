"""Losses of more than 255 classes: 255 is a class like others, and void is 65535."""

from typing import Any

import pytest
import references
import torch
from references import reference, reference_module
from scenes import inputs_for
from test_loss_values import NAMES, assert_same
from torch import Tensor

from segablate.losses import get_loss
from segablate.samples import labels_for

CLASSES, VOID = 300, 65535
PRESENT = (255, 0, 299, 254, 256)
"""Class indices that occur; of so many classes the first was void before there were more."""


def scene() -> tuple[Tensor, Tensor]:
    """Logits 2 x 300 x 17 x 22 that favour the labels a little, and labels of five classes in blocks, some void."""
    generator = torch.Generator().manual_seed(7)
    blocks = torch.randint(0, len(PRESENT), (2, 5, 6), generator=generator)
    labels = torch.tensor(PRESENT)[blocks].repeat_interleave(4, 1).repeat_interleave(4, 2)[:, :17, :22]
    logits = torch.randn(2, CLASSES, 17, 22, generator=generator, dtype=torch.float64)
    logits.scatter_add_(1, labels.roll(2, 2).unsqueeze(1), torch.full((2, 1, 17, 22), 3.0, dtype=torch.float64))
    return logits, labels.where(torch.rand(labels.shape, generator=generator) > 0.1, VOID)


def given(name: str, logits: Tensor) -> dict[str, Any]:
    inputs = inputs_for(get_loss(name), logits)
    if "weights" in get_loss(name).inputs:
        inputs["weights"] = torch.linspace(0.3, 2, CLASSES, dtype=torch.float64)
    return inputs


def measured(function: Any, logits: Tensor, labels: Tensor, inputs: dict[str, Any]) -> list[Tensor]:
    leaf = logits.clone().requires_grad_()
    value = function(leaf, labels, **inputs)
    (gradient,) = torch.autograd.grad(value + 0 * leaf.sum(), leaf)
    return [value.detach(), gradient]


@pytest.mark.parametrize("name", NAMES)
def test_value_and_gradient_of_300_classes(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (references, *map(reference_module, NAMES)):
        monkeypatch.setattr(module, "IGNORE", VOID, raising=False)
    logits, labels = scene()
    inputs = given(name, logits)
    found, expected = (measured(function, logits, labels, inputs) for function in (get_loss(name), reference(name)))
    assert_same(name, found, expected)


@pytest.mark.parametrize("name", [name for name in NAMES if name not in ("dense_crf", "dfr")])  # take no labels
def test_void_is_nothing_and_class_255_is_something(name: str) -> None:
    loss, (logits, labels) = get_loss(name), scene()
    inputs = given(name, logits)
    of_255 = labels.where(labels == 255, VOID)
    assert loss.parts(logits, of_255, **inputs).defined
    assert not loss.parts(logits, torch.full_like(labels, VOID), **inputs).defined


def test_void_of_a_few_classes_beside_many_outputs() -> None:
    """A dataset of few classes on a checkpoint of many outputs: losses take the outputs for classes."""
    logits, labels = torch.zeros(1, 300, 1, 3), torch.tensor([[[0, 255, 3]]], dtype=torch.uint8)
    assert labels_for(logits, labels, 150).tolist() == [[[0, VOID, 3]]]
    assert labels_for(logits[:, :160], labels, 150).tolist() == [[[0, 255, 3]]]
    wide = torch.tensor([[[0, 255, VOID]]], dtype=torch.int32)
    assert labels_for(logits, wide, 300).tolist() == [[[0, 255, VOID]]]
    entropy = get_loss("ce").parts(logits, labels_for(logits, labels, 150))
    assert float(entropy.value) == pytest.approx(torch.tensor(300.0).log().item())
