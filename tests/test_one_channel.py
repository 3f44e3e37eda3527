"""A network of one channel z is two classes: losses by softmax see log σ(−z), log σ(z), those by sigmoid −z, z."""

from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch
import torch.nn.functional as F
import yaml
from torch import Tensor, nn

from segablate.ablation.sweep import Setting, Sweep
from segablate.checkpoints import open_checkpoint
from segablate.checkpoints.network import Network
from segablate.checkpoints.preprocessing import Preprocessing
from segablate.checkpoints.segmenter import Loading, Source
from segablate.datasets import Dataset, open_dataset
from segablate.evaluation.loop import evaluate
from segablate.evaluation.measures import Measures
from segablate.evaluation.results import Evaluation
from segablate.losses import get_loss, loss_names
from segablate.objective.weighted_sum import parse_objective
from segablate.training.forward import forward, forward_head
from segablate.training.objectives import evaluate_objective
from segablate.training.recipe import Recipe
from segablate.training.starting import open_start

SIZE = (40, 56)
BY_SIGMOID = [name for name in loss_names() if get_loss(name).reads({}) == "sigmoid"]


class Channel(nn.Module):
    """z is the red channel, about 0, times a factor; or what a function makes of it."""

    def __init__(self, factor: float, form: Any) -> None:
        super().__init__()
        self.factor, self.form = factor, form

    def forward(self, x: Tensor) -> Tensor:
        return self.form((x[:, :1] - 0.5) * self.factor)


def network(form: Any = lambda z: z, factor: float = 6.0, **more: Any) -> Network:
    return Network(Channel(factor, form), Preprocessing(), Source("net"), **more)


def both(z: Tensor) -> Tensor:
    return torch.cat([-z, z], 1)


@pytest.fixture
def data(tmp_path: Path) -> Dataset:
    """Three images of two classes with void; the red channel tells most of the class."""
    root = tmp_path / "binary"
    for kind in ("images", "labels"):
        (root / kind).mkdir(parents=True)
    for index in range(3):
        rng = np.random.default_rng(index)
        labels = cv2.resize(rng.integers(0, 2, (4, 5), dtype=np.uint8), SIZE[::-1], interpolation=cv2.INTER_NEAREST)
        red = labels * 120 + rng.integers(0, 130, SIZE)
        labels[rng.random(SIZE) < 0.03] = 255
        image = np.stack([np.zeros(SIZE), np.zeros(SIZE), red], 2).astype(np.uint8)
        cv2.imwrite(str(root / f"images/{index}.png"), image)
        cv2.imwrite(str(root / f"labels/{index}.png"), labels)
    described = {
        "classes": ["back", "front"],
        "void": [255],
        "splits": {"val": {"images": "images", "labels": "labels"}},
    }
    (root / "dataset.yaml").write_text(yaml.safe_dump(described))
    return open_dataset(f"folder:{root}")


def maps(data: Dataset, index: int, factor: float = 6.0) -> tuple[Tensor, Tensor]:
    """The channel z, 1 1 H W, and the labels, 1 H W, of one image."""
    sample = data.read(index)
    assert sample.image is not None
    z = (torch.from_numpy(sample.image[..., 0]).float() / 255 - 0.5) * factor
    return z[None, None], torch.from_numpy(sample.labels).long()[None]


def measured(segmenter: Any, data: Dataset, *names: str) -> Evaluation:
    losses = {name: get_loss(name) for name in names}
    reads = {name: loss.reads({}) for name, loss in losses.items()}
    return evaluate(segmenter, data, Measures(losses=losses, reads=reads))


def test_these_losses_read_by_sigmoid() -> None:
    assert {"bce", "rmi", "ssl"} <= set(BY_SIGMOID)


@pytest.mark.parametrize("name", BY_SIGMOID)
def test_losses_by_sigmoid_equal_those_of_both_logits(data: Dataset, name: str) -> None:
    one, two = (measured(network(form), data, name).values[name] for form in (lambda z: z, both))
    np.testing.assert_allclose(one, two, rtol=1e-5)


def test_bce_is_that_of_torch(data: Dataset) -> None:
    values = measured(network(), data, "bce", "ce").values
    for index in range(3):
        z, labels = maps(data, index)
        valid = labels != 255
        expected = F.binary_cross_entropy_with_logits(z[:, 0][valid], labels[valid].float()).item()
        assert values["bce"][index] == pytest.approx(2 * expected, rel=1e-5)  # the sum over two classes
        assert values["ce"][index] == pytest.approx(expected, rel=1e-5)


def test_a_perfect_network_has_no_binary_cross_entropy(data: Dataset) -> None:
    right = measured(perfect_network(data), data, "bce").values["bce"]
    assert right.max() < 1e-6


def perfect_network(data: Dataset) -> Any:
    """A segmenter whose z is 20 or −20, as the labels are."""
    planes = [(labels == 1).float() * 40 - 20 for _, labels in (maps(data, index) for index in range(3))]
    taken = iter(planes)
    return network(lambda z: next(taken)[:, None])


def test_probabilities_of_one_channel_too(data: Dataset) -> None:
    one = measured(network(torch.sigmoid, kind="probabilities"), data, *BY_SIGMOID).values
    two = measured(network(both), data, *BY_SIGMOID).values
    for name in BY_SIGMOID:
        np.testing.assert_allclose(one[name], two[name], rtol=1e-4)


def test_outputs_in_another_order_too(data: Dataset) -> None:
    one = network(lambda z: -z, classes=("front", "back"))
    values, expected = measured(one, data, *BY_SIGMOID).values, measured(network(both), data, *BY_SIGMOID).values
    for name in BY_SIGMOID:
        np.testing.assert_allclose(values[name], expected[name], rtol=1e-5)


def test_scores_in_files_too(data: Dataset, tmp_path: Path) -> None:
    folder = tmp_path / "scores"
    folder.mkdir()
    for index in range(3):
        np.savez(folder / f"{index}.npz", logits=maps(data, index)[0][0].numpy())
    stored = measured(open_checkpoint(f"predictions:{folder}", Loading(device="cpu")), data, "bce")
    np.testing.assert_allclose(stored.values["bce"], measured(network(both), data, "bce").values["bce"], rtol=1e-5)


@pytest.mark.parametrize("kind", ["softmax", "sigmoid", "probabilities"])
def test_the_note_says_what_it_was_trained_for(data: Dataset, kind: str) -> None:
    form = torch.sigmoid if kind == "probabilities" else torch.clone
    (note,) = measured(network(form, kind=kind), data, "bce", "ce", "rmi").notes
    assert note == "the checkpoint has one channel z, trained for sigmoid; losses by sigmoid (bce, rmi) see (−z, z)"
    assert not any("trained for" in note for note in measured(network(form, kind=kind), data, "ce").notes)


def test_two_channels_are_read_as_before(data: Dataset) -> None:
    assert (
        "bce reads the logits by sigmoid, but the checkpoint was trained for softmax"
        in measured(network(both), data, "bce").notes
    )


def test_calibration_and_classes_are_those_of_the_probabilities(data: Dataset) -> None:
    one = evaluate(network(), data, Measures(calibration=True))
    two = evaluate(network(lambda z: both(z) / 2), data, Measures(calibration=True))
    assert one.confusion.total().tolist() == two.confusion.total().tolist()
    np.testing.assert_allclose(one.statistics["proper"], two.statistics["proper"], rtol=1e-5)


SETTINGS = (Setting({}, "baseline"), Setting({"probability": "softmax"}, "probability=softmax"))


@pytest.mark.parametrize("gradients", [True, False])
def test_each_setting_of_an_ablation_reads_by_its_own_activation(data: Dataset, gradients: bool) -> None:
    sweep = Sweep(get_loss("rmi"), SETTINGS, parse_objective("0.5*bce(extra=1) + 0.5*rmi"), gradients)
    probed = evaluate(network(), data, Measures(probe=sweep)).probed
    for index in range(3):
        z, labels = maps(data, index)
        pixel = 0.5 * get_loss("bce")(both(z), labels, extra=1).item()
        by_sigmoid = get_loss("rmi")(both(z), labels).item()
        by_softmax = get_loss("rmi")(both(z) / 2, labels, probability="softmax").item()
        np.testing.assert_allclose(probed["term"][index], [by_sigmoid, by_softmax], rtol=1e-5)
        assert probed["pixel"][index] == pytest.approx(pixel, rel=1e-5)
        assert probed["objective"][index][0] == pytest.approx(pixel + 0.5 * by_sigmoid, abs=1e-6)


@pytest.mark.parametrize("name", BY_SIGMOID)
def test_gradients_of_an_ablation_are_those_at_the_channel(data: Dataset, name: str) -> None:
    """At both logits they are those at z, with its sign: √2 times as long, for cross entropy too."""
    loss = get_loss(name)
    sweep = Sweep(loss, SETTINGS[:1], parse_objective(name))
    probed = evaluate(network(), data, Measures(probe=sweep)).probed
    for index in range(3):
        z, labels = maps(data, index)
        at_z = gradient(lambda z, labels=labels: loss(both(z), labels), z)
        of_entropy = gradient(lambda z, labels=labels: get_loss("ce")(both(z) / 2, labels), z)
        assert probed["norm"][index, 0] == pytest.approx(2**0.5 * at_z.norm().item(), rel=1e-4)
        assert probed["ce_norm"][index] == pytest.approx(2**0.5 * of_entropy.norm().item(), rel=1e-4)
        cosine = F.cosine_similarity(at_z.flatten(), of_entropy.flatten(), dim=0).item()
        assert probed["cosine"][index, 0] == pytest.approx(cosine, abs=1e-4)


def test_training_shows_losses_by_sigmoid_the_channel_itself(data: Dataset, tmp_path: Path) -> None:
    """Value and gradient of a step, of whole networks and of the classifier on features that are kept."""
    objective = parse_objective("bce + 0.5*rmi + ce")
    start = open_start(network_file(tmp_path), data, Recipe(), Loading(device="cpu"), 0)
    sample = data.read(0)
    images, labels = torch.from_numpy(sample.image)[None], torch.from_numpy(sample.labels).long()[None]
    z = start.network.module(start.network.preprocessing(images))
    expected = (
        get_loss("bce")(both(z), labels) + 0.5 * get_loss("rmi")(both(z), labels) + get_loss("ce")(both(z) / 2, labels)
    )
    whole = forward(start, images, auxiliary=False, features=True)
    assert whole.features is not None
    for scores in (whole, forward_head(start, whole.features.detach(), SIZE)):
        value = evaluate_objective(objective, scores.logits, labels, {}, {}, 1, one_channel=scores.one_channel).total
        assert value.item() == pytest.approx(expected.item(), rel=1e-5)
        weight = dict(start.network.module.named_parameters())["head.weight"]
        ours, theirs = (torch.autograd.grad(each, weight, retain_graph=True)[0] for each in (value, expected))
        torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-6)


def network_file(folder: Path) -> str:
    """A network of one channel, one convolution after another, with random weights."""
    (folder / "one.py").write_text(
        "from torch import nn\n\n\nclass One(nn.Module):\n    def __init__(self):\n        super().__init__()\n"
        "        self.first, self.head = nn.Conv2d(3, 4, 3, padding=1), nn.Conv2d(4, 1, 1)\n\n"
        "    def forward(self, x):\n        return self.head(self.first(x).relu())\n"
    )
    torch.manual_seed(0)
    weights = {"first": nn.Conv2d(3, 4, 3), "head": nn.Conv2d(4, 1, 1)}
    torch.save(nn.ModuleDict(weights).state_dict(), folder / "one.pth")
    return f"python:{folder}/one.py:One()@{folder}/one.pth"


def gradient(function: Any, z: Tensor) -> Tensor:
    leaf = z.clone().requires_grad_()
    return torch.autograd.grad(function(leaf), leaf)[0]
