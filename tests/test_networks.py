"""The networks the package ships."""

import subprocess
import sys

import pytest
import torch
from torch import nn

from segablate.errors import CheckpointError
from segablate.networks import get_network, network_names, read_arguments
from segablate.networks.small import small

# A checkpoint is loaded by these names: a change here makes every saved one unreadable.
TENSORS_OF_SMALL = {"stem": 18, "encoder": 24, "deep": 12 + 4 * 12 + 2, "middle": 12, "fine": 24, "classifier": 2}


@pytest.fixture
def network() -> nn.Module:
    torch.manual_seed(0)
    return small(num_classes=10).eval()


def test_names_are_found_and_give_the_function():
    assert "small" in network_names()
    assert list(network_names()) == sorted(network_names())
    assert get_network("small") is small


def test_every_name_gives_a_network():
    for name in network_names():
        with torch.device("meta"):  # nothing is filled with random values
            network = get_network(name)(num_classes=3)
        assert isinstance(network, nn.Module)
        shapes = {key: tuple(value.shape) for key, value in network.state_dict().items()}
        assert read_arguments(name, shapes)["num_classes"] == 3


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("smal", r"no network is called 'smal'; did you mean 'small'\?"),
        ("xyz", "no network is called 'xyz'; available: deeplabv3"),
    ],
)
def test_unknown_name(name: str, message: str):
    with pytest.raises(CheckpointError, match=message):
        get_network(name)


def test_looking_for_names_does_not_import_torch():
    program = (
        "import sys; from segablate.networks import network_names; network_names(); assert 'torch' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", program], check=True)


@pytest.mark.parametrize("size", [(1, 1), (1, 2), (2, 1), (3, 5), (7, 8), (17, 33), (31, 64), (128, 192)])
def test_logits_have_the_size_of_the_image(network: nn.Module, size: tuple[int, int]):
    with torch.inference_mode():
        logits = network(torch.randn(2, 3, *size))
    assert logits.shape == (2, 10, *size)
    assert logits.isfinite().all()


@pytest.mark.parametrize("classes", [1, 2, 19])
def test_one_logit_a_class(classes: int):
    assert small(classes).eval()(torch.zeros(1, 3, 9, 9)).shape == (1, classes, 9, 9)


def test_an_image_does_not_depend_on_its_batch(network: nn.Module):
    images = torch.randn(3, 3, 24, 40)
    with torch.inference_mode():
        torch.testing.assert_close(network(images)[1:2], network(images[1:2]), rtol=1e-4, atol=1e-5)


def test_the_same_seed_gives_the_same_weights(network: nn.Module):
    torch.manual_seed(0)
    again = small(num_classes=10)
    assert all(
        torch.equal(a, b) for a, b in zip(network.state_dict().values(), again.state_dict().values(), strict=True)
    )


def test_size_and_names_of_the_weights(network: nn.Module):
    assert 60_000 < sum(p.numel() for p in network.parameters()) < 120_000
    count = {part: sum(key.split(".")[0] == part for key in network.state_dict()) for part in TENSORS_OF_SMALL}
    assert count == TENSORS_OF_SMALL
    assert sum(count.values()) == len(network.state_dict())


def test_the_last_convolution_is_the_classifier(network: nn.Module):
    name, last = [(n, m) for n, m in network.named_modules() if isinstance(m, nn.Conv2d)][-1]
    assert (name, last.kernel_size, last.out_channels) == ("classifier", (1, 1), 10)


def test_width_scales_the_network():
    narrow, wide = (sum(p.numel() for p in small(10, width=w).parameters()) for w in (8, 16))
    assert 2.5 * narrow < wide < 4 * narrow


def test_every_weight_learns():
    torch.manual_seed(0)
    network = small(num_classes=4)
    network(torch.randn(2, 3, 33, 47)).square().mean().backward()
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in network.parameters())
