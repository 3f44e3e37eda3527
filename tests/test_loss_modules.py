"""Losses as modules of torch: values and gradients of the losses, reductions, smoothing and weights, compilation."""

import pickle
import warnings
from typing import Any

import pytest
import torch
import torch.nn.functional as F

import segablate
from segablate import losses
from segablate.errors import KnobError
from segablate.losses import get_loss, loss_names
from segablate.objective.modules import class_names

CLASSES = 4
WEIGHTS = [0.5, 2.0, 1.0, 3.0]


def scene() -> tuple[torch.Tensor, torch.Tensor, dict[str, Any]]:
    """Logits, labels with void, and the inputs of losses by name."""
    random = torch.Generator().manual_seed(0)
    logits = torch.randn(2, CLASSES, 24, 32, generator=random)
    labels = torch.randint(0, CLASSES, (2, 3, 4), generator=random).repeat_interleave(8, 1).repeat_interleave(8, 2)
    labels[:, :3] = 255
    shapes = ((CLASSES, 8), (8, 8), (8, 2))
    inputs = {
        "image": 255 * torch.rand(2, 3, 24, 32, generator=random),
        "features": torch.randn(2, 6, 6, 8, generator=random),
        "edge_net": tuple(
            (torch.randn(out, of, 3, 3, generator=random), torch.randn(out, generator=random)) for of, out in shapes
        ),
    }
    return logits, labels, inputs


def value_and_gradient(call: Any, logits: torch.Tensor, labels: torch.Tensor, given: Any) -> tuple[Any, Any]:
    """The value, and its gradients at the logits and, where there are any, the features."""
    leaves = [each.clone().requires_grad_() for each in (logits, *([given["features"]] if "features" in given else []))]
    given = {**given, "features": leaves[1]} if len(leaves) > 1 else given
    value = call(leaves[0], labels, **given)
    return value.detach(), torch.autograd.grad(value, leaves, allow_unused=True, materialize_grads=True)


def test_every_loss_has_a_class() -> None:
    assert sorted(class_names().values()) == sorted(loss_names())
    assert set(class_names()) <= set(losses.__all__)
    assert class_names()["DenseCRF"] == "dense_crf"
    with pytest.raises(AttributeError, match="no attribute 'RMIs'; did you mean 'RMI'"):
        losses.RMIs  # noqa: B018


@pytest.mark.parametrize("name", class_names())
def test_a_module_computes_the_loss_also_compiled_as_one_graph(name: str) -> None:
    logits, labels, inputs = scene()
    module = getattr(losses, name)()
    given = {key: value for key, value in inputs.items() if key in module.needs}
    value, gradient = value_and_gradient(get_loss(class_names()[name]), logits, labels, given)
    found = value_and_gradient(module, logits, labels, given)
    torch.testing.assert_close(found, (value, gradient), rtol=0, atol=0)
    torch._dynamo.reset()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of torch's compiler
        compiled = torch.compile(module, fullgraph=True, backend="eager")
        found = value_and_gradient(compiled, logits, labels, given)
        with torch.no_grad():
            torch.testing.assert_close(compiled(logits, labels, **given), value, rtol=1e-5, atol=1e-7)
    torch.testing.assert_close(found, (value, gradient), rtol=1e-5, atol=1e-7)


def test_a_loss_that_is_one_operator_compiles_through_autograd() -> None:
    logits, labels, _ = scene()
    torch._dynamo.reset()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        found = value_and_gradient(
            torch.compile(losses.RMI(radius=2), fullgraph=True, backend="aot_eager"), logits, labels, {}
        )
    torch.testing.assert_close(found, value_and_gradient(losses.RMI(radius=2), logits, labels, {}))


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
@pytest.mark.parametrize("weights", [None, WEIGHTS])
def test_cross_entropy_is_that_of_torch(smoothing: float, weights: list[float] | None) -> None:
    logits, labels, _ = scene()
    module = losses.CE(label_smoothing=smoothing, weights=weights)
    tensor = None if weights is None else torch.tensor(weights)
    options: dict[str, Any] = {"ignore_index": 255, "label_smoothing": smoothing}
    torch.testing.assert_close(module(logits, labels), F.cross_entropy(logits, labels, tensor, **options))
    for reduction in ("sum", "none"):
        module = losses.CE(label_smoothing=smoothing, weights=weights, reduction=reduction)
        expected = F.cross_entropy(logits, labels, tensor, reduction=reduction, **options)
        torch.testing.assert_close(module(logits, labels), expected)


@pytest.mark.parametrize("name", ["CE", "BCE", "Focal"])
def test_the_mean_is_that_of_the_labelled_pixels(name: str) -> None:
    logits, labels, _ = scene()
    each = getattr(losses, name)(reduction="none")(logits, labels)
    valid = labels != 255
    assert each.shape == labels.shape
    assert not each[~valid].any()
    torch.testing.assert_close(getattr(losses, name)()(logits, labels), each[valid].mean())
    torch.testing.assert_close(getattr(losses, name)(reduction="sum")(logits, labels), each.sum())
    leaf = logits.clone().requires_grad_()
    getattr(losses, name)(reduction="none")(leaf, labels).sum().backward()
    assert leaf.grad is not None
    assert leaf.grad.isfinite().all()


def test_weighted_focal_loss_is_the_mean_of_weighted_pixels() -> None:
    logits, labels, _ = scene()
    valid = labels != 255
    p = logits.softmax(1).gather(1, labels.where(valid, 0)[:, None])[:, 0][valid]
    expected = (torch.tensor(WEIGHTS)[labels[valid]] * -((1 - p) ** 2) * p.log()).mean()
    torch.testing.assert_close(losses.Focal(weights=WEIGHTS)(logits, labels), expected)


def test_weighted_dice_and_lovasz_are_means_of_weighted_classes() -> None:
    logits, labels, _ = scene()
    valid = (labels != 255)[:, None]
    p, y = logits.softmax(1) * valid, F.one_hot(labels.where(valid[:, 0], 0), CLASSES).permute(0, 3, 1, 2) * valid
    each = 1 - (2 * (p * y).sum((0, 2, 3)) + 1) / (p.sum((0, 2, 3)) + y.sum((0, 2, 3)) + 1)
    torch.testing.assert_close(losses.Dice(weights=WEIGHTS)(logits, labels), (torch.tensor(WEIGHTS) * each).mean())
    plain = get_loss("lovasz").parts(logits, labels).per_class
    assert plain is not None
    expected = (torch.tensor(WEIGHTS) * plain).mean()
    torch.testing.assert_close(losses.Lovasz(weights=WEIGHTS)(logits, labels), expected)
    absent = labels.where(labels != 3, 255)
    plain = get_loss("dice").parts(logits, absent).per_class
    assert plain is not None
    expected = (torch.tensor(WEIGHTS) * plain.float())[:3].mean()
    torch.testing.assert_close(losses.Dice(weights=WEIGHTS)(logits, absent), expected)


def test_half_precision_is_computed_in_float32() -> None:
    logits, labels, _ = scene()
    half = logits.bfloat16()
    with torch.autocast("cpu", torch.bfloat16):
        torch.testing.assert_close(losses.Dice()(half, labels), losses.Dice()(half.float(), labels))


def test_weights_are_saved_moved_and_pickled_with_the_module() -> None:
    module = losses.CE(weights=WEIGHTS)
    assert module.state_dict()["weights"].tolist() == WEIGHTS
    assert module.double().weights.dtype == torch.float64
    again = pickle.loads(pickle.dumps(losses.RMI(radius=2)))
    logits, labels, _ = scene()
    assert torch.equal(again(logits, labels), losses.RMI(radius=2)(logits, labels))
    assert (repr(again), repr(losses.CE(weights=WEIGHTS, label_smoothing=0.1))) == (
        "RMI(radius=2)",
        "CE(label_smoothing=0.1, weights)",
    )


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: losses.RMI(radius=30), "radius is 30, but must be"),
        (lambda: losses.RMI(radios=3), "did you mean 'radius'"),
        (lambda: losses.RMI(reduction="none"), "rmi has no reduction 'none': its definition leaves no choice"),
        (lambda: losses.CE(reduction="max"), "must be 'mean', 'sum' or 'none'"),
        (lambda: losses.BCE(weights=[1.0]), "bce has no class weights"),
        (lambda: losses.CE(weights=[1.0] * 5)(*scene()[:2]), "weights of ce has 5 values for 4 outputs"),
        (lambda: losses.DenseCRF()(*scene()[:2]), "dense_crf needs image beside logits and labels"),
        (lambda: losses.CE()(*scene()[:2], image=1), "ce takes no 'image'"),
    ],
)
def test_what_is_wrong_is_one_clear_line(make: Any, message: str) -> None:
    with pytest.raises(KnobError, match=message):
        make()
    with pytest.raises(ValueError, match="takes logits N C H W and labels N H W"):
        segablate.losses.CE()(scene()[0], scene()[1][0])
