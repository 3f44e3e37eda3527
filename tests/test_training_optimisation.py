"""Groups of parameters, their learning rates, and the norm of gradients."""

import math

import pytest
import torch
from torch import nn

from segablate.training.optimisation import (
    clip_gradients,
    make_optimiser,
    optimiser_tensors,
    restore_optimiser,
    set_rate,
    undecayed_names,
)
from segablate.training.recipe import Recipe


class Norm2d(nn.Module):
    """A normalisation of a library's own."""

    def __init__(self) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.ones(4))


def network() -> nn.Module:
    """Layers of every kind, an auxiliary head among them."""
    module = nn.Module()
    module.body = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.PReLU(4), Norm2d())
    module.tokens = nn.LayerNorm(4)
    module.table = nn.Parameter(torch.zeros(2, 4))
    module.relative_bias = nn.Parameter(torch.zeros(2, 4))
    module.aux_classifier = nn.Conv2d(4, 2, 1)
    module.head = nn.Conv2d(4, 2, 1)
    return module


def settings(module: nn.Module, recipe: Recipe, new: set[str]) -> dict[str, tuple[float, float]]:
    """Learning rate and weight decay of each parameter, at a rate of 1."""
    optimiser = make_optimiser(module, recipe, new)
    set_rate(optimiser, 1.0)
    names = {id(parameter): name for name, parameter in module.named_parameters()}
    return {
        names[id(parameter)]: (group["lr"], group["weight_decay"])
        for group in optimiser.param_groups
        for parameter in group["params"]
    }


def test_norms_and_biases_are_not_decayed() -> None:
    module = network()
    assert undecayed_names(module) == {
        *("body.0.bias", "body.1.weight", "body.1.bias", "body.3.scale", "tokens.weight", "tokens.bias"),
        *("relative_bias", "aux_classifier.bias", "head.bias"),
    }
    found = settings(module, Recipe(weight_decay=0.1), set())
    assert found.keys() == dict(module.named_parameters()).keys()
    assert {name for name, (_, decay) in found.items() if decay == 0} == undecayed_names(module)
    assert {decay for _, decay in settings(module, Recipe(weight_decay=0.1, decay_norms=True), set()).values()} == {0.1}


def test_norms_are_known_in_torchscript() -> None:
    with pytest.warns(DeprecationWarning, match="torch.jit"):
        scripted = torch.jit.script(nn.Sequential(nn.Conv2d(3, 4, 1), nn.BatchNorm2d(4)))
    assert undecayed_names(scripted) == {"0.bias", "1.weight", "1.bias"}


def test_new_layers_and_auxiliary_heads_have_their_factors() -> None:
    new = {"head.weight", "head.bias", "aux_classifier.weight", "aux_classifier.bias"}
    found = settings(network(), Recipe(head_factor=10, auxiliary_factor=3), new)
    assert found["head.weight"][0] == found["head.bias"][0] == 10
    assert found["aux_classifier.weight"][0] == 30
    assert {rate for name, (rate, _) in found.items() if name not in new} == {1.0}
    others = settings(network(), Recipe(auxiliary_factor=10), set())
    assert {name for name, (rate, _) in others.items() if rate == 10} == {
        "aux_classifier.weight",
        "aux_classifier.bias",
    }


def test_what_is_fixed_is_not_trained() -> None:
    module = network()
    module.body.requires_grad_(False)
    assert not any(name.startswith("body") for name in settings(module, Recipe(), set()))


def test_sgd_with_momentum_is_the_formula() -> None:
    """v ← 0.9 v + g + λ w, w ← w - r v; without Nesterov."""
    module = nn.Linear(3, 1, bias=False)
    optimiser = make_optimiser(module, Recipe(optimiser="sgd", momentum=0.9, weight_decay=0.1), set())
    weight, velocity = module.weight.detach().double().clone(), torch.zeros(1, 3, dtype=torch.float64)
    for step in range(5):
        gradient = torch.tensor([[1.0, -2.0, 0.5]]) * (step + 1)
        module.weight.grad = gradient
        set_rate(optimiser, 0.1 * (step + 1))
        optimiser.step()
        velocity = 0.9 * velocity + gradient + 0.1 * weight
        weight = weight - 0.1 * (step + 1) * velocity
    torch.testing.assert_close(module.weight.double(), weight, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(("name", "decays"), [("adamw", "weights"), ("adam", "gradients")])
def test_adam_and_adamw_differ_in_what_decays(name: str, decays: str) -> None:
    module = nn.Linear(2, 1, bias=False)
    with torch.no_grad():
        module.weight.fill_(2.0)
    optimiser = make_optimiser(module, Recipe(optimiser=name, weight_decay=0.5), set())
    set_rate(optimiser, 0.1)
    module.weight.grad = torch.tensor([[1.0, -4.0]])
    optimiser.step()
    expected = [2 * (1 - 0.05) - 0.1, 2 * (1 - 0.05) + 0.1] if decays == "weights" else [1.9, 2.1]
    assert module.weight.tolist()[0] == pytest.approx(expected, rel=1e-5)


def test_gradients_are_clipped_by_their_norm() -> None:
    parameters = [nn.Parameter(torch.zeros(2)), nn.Parameter(torch.zeros(1))]
    parameters[0].grad, parameters[1].grad = torch.tensor([3.0, 0.0]), torch.tensor([4.0])
    clip_gradients(parameters, 10.0)
    assert parameters[1].grad.item() == 4
    clip_gradients(parameters, 1.0)
    assert math.hypot(*parameters[0].grad.tolist(), parameters[1].grad.item()) == pytest.approx(1, rel=1e-4)
    assert parameters[0].grad[0].item() == pytest.approx(0.6, rel=1e-4)


@pytest.mark.parametrize("recipe", [Recipe(), Recipe(optimiser="sgd"), Recipe(optimiser="adam", weight_decay=0)])
def test_an_optimiser_that_is_restored_goes_on_bit_for_bit(recipe: Recipe) -> None:
    def step(module: nn.Module, optimiser: torch.optim.Optimizer, number: int) -> None:
        for index, parameter in enumerate(module.parameters()):
            torch.manual_seed(100 * number + index)
            parameter.grad = torch.randn_like(parameter)
        optimiser.step()

    module, other = network(), network()
    names = {id(parameter): name for name, parameter in module.named_parameters()}
    optimiser = make_optimiser(module, recipe, set())
    for number in range(3):
        step(module, optimiser, number)
    other.load_state_dict(module.state_dict())
    restored = make_optimiser(other, recipe, set())
    kept = {name: tensor.clone() for name, tensor in optimiser_tensors(optimiser, names).items()}
    restore_optimiser(restored, {id(parameter): name for name, parameter in other.named_parameters()}, kept)
    for number in range(3, 6):
        step(module, optimiser, number)
        step(other, restored, number)
    assert all(torch.equal(a, b) for a, b in zip(module.parameters(), other.parameters(), strict=True))
