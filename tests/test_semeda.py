"""SEMEDA on images of a few pixels, its parts by layer, and networks that do not fit."""

import pytest
import torch
import torch.nn.functional as F
from references import reference
from references.semeda import SETTINGS
from scenes_of_losses import blobs, golden, gradient_of

from segablate.errors import KnobError
from segablate.losses.semeda import semeda


def edge_net(classes, dtype=torch.float64):
    generator = torch.Generator().manual_seed(3)
    sizes = ((16, classes), (32, 16), (2, 32))
    return [
        (
            torch.randn(outputs, inputs, 3, 3, generator=generator, dtype=dtype) / (3 * inputs**0.5),
            torch.randn(outputs, generator=generator, dtype=dtype) / 3,
        )
        for outputs, inputs in sizes
    ]


@pytest.mark.parametrize("setting", SETTINGS, ids=str)
@pytest.mark.parametrize("size", [(2, 3), (1, 1)], ids=str)
def test_equals_the_network_on_both_where_its_reach_is_wider(setting, size):
    logits, labels = blobs(2, 5, *size)
    plain = gradient_of(reference("semeda"), logits, labels, edge_net=edge_net(5), **setting)
    ours = gradient_of(semeda, logits, labels, edge_net=edge_net(5), **setting)
    torch.testing.assert_close(ours, plain, rtol=1e-10, atol=1e-13)


@pytest.mark.parametrize("name", ["semeda_tiny_2x3", "semeda_all_ignored"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_reference_case(name, dtype):
    case = golden(name)
    layers = [(case.arrays[f"edge_w{i}"], case.arrays[f"edge_b{i}"]) for i in (1, 2, 3)]
    value, gradient = gradient_of(semeda, case.logits.to(dtype), case.labels, edge_net=layers)
    assert value == pytest.approx(case.meta["value"], rel=1e-6)
    torch.testing.assert_close(
        gradient.double(), case.gradient, rtol=0, atol=5e-6 * case.gradient.abs().max().item() or 1e-30
    )
    terms = semeda.parts(case.logits.to(dtype), case.labels, edge_net=layers).facts
    wanted = case.arrays["value_layers"].tolist()
    assert [terms[f"layer_{i}"] for i in (1, 2, 3)] == pytest.approx(wanted, rel=1e-6)


def test_layers_that_do_not_count_are_not_computed():
    logits, labels = blobs(1, 4, 8, 9)
    parts = semeda.parts(logits, labels, edge_net=edge_net(4), layer_weights=(0, 1, 0))
    assert list(parts.facts) == ["layer_1", "layer_2"]
    assert parts.facts["layer_2"] == pytest.approx(parts.value.item())


def test_no_layer_counts():
    logits, labels = blobs(1, 4, 8, 9)
    value, gradient = gradient_of(semeda, logits, labels, edge_net=edge_net(4), layer_weights=(0, 0, 0))
    assert value == 0
    assert (gradient == 0).all()


def test_a_perfect_prediction_scores_zero():
    labels = blobs(1, 4, 8, 9)[1]
    logits = 1e4 * F.one_hot(labels, 4).movedim(3, 1).float()
    assert semeda(logits, labels, edge_net=edge_net(4, torch.float32)) == pytest.approx(0, abs=1e-6)


def test_sums_add_up_over_images():
    logits, labels = blobs(2, 4, 12, 14, void=0.1)
    each = [semeda.parts(logits[i : i + 1], labels[i : i + 1], edge_net=edge_net(4)) for i in range(2)]
    layers, pixels = (sum(part.sums[name] for part in each) for name in ("layers", "pixels"))
    whole = semeda(logits, labels, edge_net=edge_net(4)).item()
    assert (layers / pixels).sum().item() == pytest.approx(whole, rel=1e-12)


def test_no_gradient_flows_into_the_network():
    logits, labels = blobs(1, 4, 8, 9)
    layers = [(weight.requires_grad_(), bias.requires_grad_()) for weight, bias in edge_net(4)]
    semeda(logits.requires_grad_(), labels, edge_net=layers).backward()
    assert all(tensor.grad is None for pair in layers for tensor in pair)


def test_networks_that_do_not_fit_are_refused():
    logits, labels = blobs(1, 4, 8, 9)
    with pytest.raises(KnobError, match="the edge network is for 7 classes but the logits have 4; train one"):
        semeda(logits, labels, edge_net=edge_net(7))
    with pytest.raises(KnobError, match=r"give three \(weight, bias\) pairs of 3x3 convolutions"):
        semeda(logits, labels, edge_net=edge_net(4)[:2])
    first, second, third = edge_net(4)
    with pytest.raises(KnobError, match="give three"):
        semeda(logits, labels, edge_net=[first, third, second])
    with pytest.raises(KnobError, match="semeda needs edge_net beside logits and labels"):
        semeda(logits, labels)
