"""The example of a foreign network: its shape, its names, and (with the real data) its weights."""

import importlib.util
import os
from pathlib import Path

import pytest
import torch
import yaml
from torch import nn

EXAMPLES = Path(__file__).parents[1] / "examples"


def espnet(num_classes: int) -> nn.Module:
    spec = importlib.util.spec_from_file_location("espnet_example", EXAMPLES / "espnet.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.espnet(num_classes=num_classes)


def saved_names(network: nn.Module) -> dict[str, tuple[int, ...]]:
    """Names and shapes as an old torch saved them, before batch norm counted its batches."""
    state = network.state_dict()
    return {key: tuple(value.shape) for key, value in state.items() if not key.endswith("num_batches_tracked")}


@pytest.mark.parametrize("num_classes", [12, 5])
def test_logits_have_the_size_of_the_image(num_classes):
    with torch.inference_mode():
        logits = espnet(num_classes).eval()(torch.zeros(2, 3, 40, 64))
    assert logits.shape == (2, num_classes, 40, 64)


def test_names_and_shapes_of_the_state_dict():
    names = saved_names(espnet(12))
    assert len(names) == 189
    assert names["encoder.level1.conv.weight"] == (16, 3, 3, 3)
    assert names["encoder.level2_0.d16.conv.weight"] == (12, 12, 3, 3)
    assert names["encoder.level2_0.act.weight"] == (64,)
    assert names["encoder.level3.7.bn.act.weight"] == (128,)
    assert names["encoder.classifier.conv.weight"] == (12, 256, 1, 1)
    assert names["combine_l2_l3.1.d1.conv.weight"] == (4, 2, 3, 3)
    assert names["up_l3.0.weight"] == (12, 12, 2, 2)
    assert names["conv.conv.weight"] == (12, 31, 3, 3)
    assert not [key for key in names if key.endswith("conv.bias")]


def test_the_input_reaches_every_level():
    network = espnet(12).eval()
    image = torch.rand(1, 3, 16, 16, requires_grad=True)
    network(image).square().sum().backward()
    assert [name for name, weight in network.named_parameters() if weight.grad is None] == []


def test_the_card_names_the_factory_and_twelve_outputs():
    card = yaml.safe_load((EXAMPLES / "espnet_camvid.yaml").read_text(encoding="utf-8"))
    assert card["source"] == "python:espnet.py:espnet(num_classes=12)"
    assert len(card["classes"]) == 12
    assert card["classes"][-1] == "void"
    assert card["preprocessing"]["channels"] == "bgr"
    assert len(card["preprocessing"]["mean"]) == len(card["preprocessing"]["std"]) == 3


@pytest.mark.data
@pytest.mark.skipif("SEGABLATE_DATA" not in os.environ, reason="SEGABLATE_DATA does not point to the real data")
def test_the_published_weights_load_strictly():
    from segablate.weights import load_strictly, read_weights, state_dict

    path = Path(os.environ["SEGABLATE_DATA"]) / "checkpoints" / "espnet_p_2_q_8_camvid.pth"
    network = espnet(12)
    weights = read_weights(path)
    tensors = state_dict(weights)
    assert {key: tuple(value.shape) for key, value in tensors.items()} == saved_names(network)
    load_strictly(network, tensors, path.name)
    assert torch.equal(network.state_dict()["br.weight"], tensors["br.weight"])
