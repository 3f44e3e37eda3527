"""The value and the gradient of every loss against its plain form in ``references``, with every hyperparameter turned.

A new loss adds ``references/x.py``; a new hyperparameter is added to the reference and turned in its ``SETTINGS``.
"""

import inspect
from collections.abc import Iterable
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import references
import torch
import torch.nn.functional as F
from references import IGNORE, complete, one_hot, reference, reference_module
from scenes import inputs_for
from scenes_of_losses import blobs
from torch import Tensor

from segablate.losses import get_loss, loss_names

Settings = dict[str, Any]
NAMES = sorted({path.stem for path in Path(references.__file__).parent.glob("[!_]*.py")})
SETTINGS: dict[str, tuple[Settings, ...]] = {name: ({}, *reference_module(name).SETTINGS) for name in NAMES}
CALLS = [(name, settings) for name in NAMES for settings in SETTINGS[name]]
TURNED = [(name, settings, knob) for name, settings in CALLS for knob in settings]
KNOBS = [(name, knob) for name in NAMES for knob in get_loss(name).knobs.values()]
SCENES = ("odd, void, absent classes", "images without labels or boundary", "two classes")


def written(name: str, settings: Settings) -> str:
    knobs = get_loss(name).knobs
    return f"{name}({', '.join(f'{key}={knobs[key].format(value)}' for key, value in settings.items())})"


every_loss = pytest.mark.parametrize("name", NAMES)
every_call = pytest.mark.parametrize(("name", "settings"), CALLS, ids=[written(*call) for call in CALLS])
every_turn = pytest.mark.parametrize(
    ("name", "settings", "knob"), TURNED, ids=[f"{written(*call)}-{knob}" for *call, knob in TURNED]
)
every_knob = pytest.mark.parametrize(("name", "knob"), KNOBS, ids=[f"{name}-{knob.name}" for name, knob in KNOBS])


@cache
def scene(title: str) -> tuple[Tensor, Tensor]:
    """Logits in float64, and labels that lie a few pixels beside the predictions."""
    n, c, h, w, void = {SCENES[0]: (2, 5, 21, 26, 0.12), SCENES[1]: (3, 3, 24, 19, 0.05)}.get(title, (1, 2, 24, 29, 0))
    logits, labels = blobs(n, c, h, w, void=void)
    labels = labels.roll(3, 2)
    if title == SCENES[0]:
        labels[labels == 4] = 3
        labels[1][labels[1] == 2] = 1
        logits[:, 0] = logits[:, 0].where(labels != 0, logits.amax(1) + 0.1)  # nothing of class 0 is missed
    if title == SCENES[1]:
        labels[1], labels[2] = IGNORE, 1
    return logits, labels


@cache
def inputs(name: str, title: str) -> dict[str, Any]:
    """Every tensor the loss takes beyond logits and labels, needed or not."""
    logits, labels = scene(title)
    given = inputs_for(get_loss(name), logits)
    generator = torch.Generator().manual_seed(3)
    if "roi" in given:
        shares = torch.rand(labels.shape, generator=generator, dtype=torch.float64)
        given["roi"] = (2 * shares - 0.5).clamp(0, 1)
    if "weights" in get_loss(name).inputs:
        given["weights"] = torch.linspace(0.3, 2, logits.shape[1], dtype=torch.float64)
    if "features" in given and title == SCENES[1]:  # finer along one side, coarser along the other
        height, width = 2 * logits.shape[2], logits.shape[3] // 2
        given["features"] = torch.randn(len(logits), 4, height, width, generator=generator, dtype=torch.float64)
    return given


def needed(name: str, settings: Settings, given: dict[str, Any]) -> dict[str, Any]:
    """The inputs without which the loss cannot be called under these settings."""
    return {key: given[key] for key in get_loss(name).needs(settings)}


def measure(function, title: str, given: dict[str, Any], settings: Settings) -> list[Tensor]:
    """The value, and the gradients at the logits and at the features; 0 where it does not depend on them."""
    logits, labels = scene(title)
    tensors = {"logits": logits} | {key: given[key] for key in given if key == "features"}
    leaves = {key: tensor.detach().clone().requires_grad_() for key, tensor in tensors.items()}
    options = given | leaves | settings
    value = function(options.pop("logits"), labels, **options)
    attached = value + 0 * sum(leaf.sum() for leaf in leaves.values())
    return [value.detach(), *torch.autograd.grad(attached, list(leaves.values()))]


def tolerance(name: str) -> float:
    return getattr(reference_module(name), "TOLERANCE", 1e-9)


def assert_same(name: str, found: Iterable[Tensor], expected: Iterable[Tensor]) -> None:
    """Up to the tolerance of the loss, relative to the largest entry of each tensor."""
    for ours, theirs in zip(found, expected, strict=True):
        largest = theirs.nan_to_num(0).abs().amax().item()
        torch.testing.assert_close(ours, theirs, rtol=0, atol=tolerance(name) * largest + 1e-15, equal_nan=True)


@pytest.mark.parametrize("title", SCENES)
@every_call
def test_value_and_gradient(name: str, settings: Settings, title: str):
    given = inputs(name, title)
    without = needed(name, settings, given)
    for tensors in (given, without) if without.keys() < given.keys() else (given,):
        expected = measure(reference(name), title, tensors, settings)
        assert_same(name, measure(get_loss(name), title, tensors, settings), expected)


@every_call
def test_values_of_classes(name: str, settings: Settings):
    plain = getattr(reference_module(name), "by_class", None)
    for title in SCENES:
        given, tensors = inputs(name, title), scene(title)
        found = get_loss(name).parts(*tensors, **given, **settings).per_class
        assert (found is None) is (plain is None)
        if plain is not None and found is not None:
            assert_same(name, [found.double()], [plain(*tensors, **complete(name, settings) | given)])


@every_loss
def test_value_in_single_precision(name: str):
    for title in SCENES:
        logits, labels = scene(title)
        given = {key: each.float() if isinstance(each, Tensor) else each for key, each in inputs(name, title).items()}
        expected = reference(name)(logits, labels, **inputs(name, title)).item()
        assert get_loss(name)(logits.float(), labels, **given).item() == pytest.approx(expected, rel=1e-4)


def test_every_loss_has_a_reference():
    assert set(NAMES) == set(loss_names())


@every_loss
def test_reference_has_the_same_hyperparameters(name: str):
    parameters = inspect.signature(reference(name)).parameters
    for knob in get_loss(name).knobs.values():
        assert parameters[knob.name].default == knob.default
    assert get_loss(name).inputs <= parameters.keys()


@every_knob
def test_every_hyperparameter_is_turned(name: str, knob: Any):
    """To every word of a choice, to yes, no and none where there are such, and to two numbers."""
    if knob.training:
        return  # it has no effect on one batch
    values = {settings.get(knob.name, knob.default) for settings in SETTINGS[name]}
    assert set(knob.range.words) <= values
    assert not knob.kind.nullable or None in values
    numbers = {value for value in values if value != knob.default and not isinstance(value, str | None)}
    assert knob.kind.number is str or ({False, True} <= values if knob.kind.number is bool else len(numbers) > 1)


@every_loss
def test_scenes_give_a_value(name: str):
    assert any(reference(name)(*scene(title), **inputs(name, title)).abs() > 1e-3 for title in SCENES)


@every_turn
def test_turning_changes_the_reference(name: str, settings: Settings, knob: str):
    """A setting that no scene can tell from the default would compare nothing."""
    back = {key: value for key, value in settings.items() if key != knob}
    for title in SCENES:
        given = {key: value for key, value in inputs(name, title).items() if key != "weights"}
        turned, other = (measure(reference(name), title, given, each) for each in (settings, back))
        for a, b in zip(turned, other, strict=True):
            if (a - b).abs().max() > 100 * tolerance(name) * a.abs().max():
                return
    pytest.fail(f"{knob}={settings[knob]} changes nothing")


def test_references_agree_with_torch():
    """Where torch has the loss itself."""
    logits, labels = scene(SCENES[0])
    expected = F.cross_entropy(logits, labels, ignore_index=IGNORE)
    torch.testing.assert_close(reference("ce")(logits, labels), expected, rtol=1e-12, atol=0)
    maps, target = (each.movedim(1, 3)[labels != IGNORE] for each in (logits, one_hot(logits, labels)))
    expected = F.binary_cross_entropy_with_logits(maps, target)
    torch.testing.assert_close(reference("bce")(logits, labels, classes="mean"), expected, rtol=1e-12, atol=0)


@pytest.mark.parametrize("name", ["bce", "ce", "dice", "focal", "lovasz"])
def test_one_labelled_class_of_several_is_enough(name: str):
    logits = torch.randn(1, 4, 5, 6, generator=torch.Generator().manual_seed(0))
    labels = torch.full((1, 5, 6), IGNORE)
    assert not get_loss(name).parts(logits, labels).defined
    labels[0, 2, 3] = 1
    assert get_loss(name).parts(logits, labels).defined
