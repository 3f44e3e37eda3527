"""Every loss trains, also those that take the image, features, an edge network or a region beside logits and labels."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor
from trainings import copied, execution, task_of, write_splits

from segablate.edges import Training, edge_network_for
from segablate.errors import SegablateError
from segablate.losses import get_loss, loss_names
from segablate.training.loop import fit
from segablate.training.scores import scores_of

OBJECTIVES = {"feature_consistency": "ce + feature_consistency(radius=2)", "dfr": "ce + 0.3*dfr(radius=2)"}


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_splits(tmp_path_factory.mktemp("data") / "toy", train=4)


@pytest.fixture(autouse=True)
def quick_edges(monkeypatch: pytest.MonkeyPatch) -> None:
    """An edge network that is trained for two steps."""
    monkeypatch.setattr(
        "segablate.edges.edge_network_for",
        lambda dataset, **more: edge_network_for(dataset, Training(steps=2, batch=2, side=16), **more),
    )


def seen(data: Path, network: str = "small(width=4)", **fields: Any) -> tuple[Any, Tensor, dict[str, Any], Any]:
    """Scores, labels and inputs of the first step, and its batch."""
    task = task_of(data, network, **fields)
    batch = task.batches.read(0)
    task.start.network.module.train()
    return *scores_of(task, batch), batch


@pytest.mark.parametrize("name", loss_names())
def test_every_loss_trains(data: Path, tmp_path: Path, name: str) -> None:
    """A step under each published objective is finite and changes the weights."""
    objective = OBJECTIVES.get(name, get_loss(name).objective)
    task = task_of(data, objective=objective, steps=2, batch=2)
    before = copied(task.start.network.module)
    found = fit(task, execution(tmp_path / "run"))
    assert (found.broken, found.skipped) == (0, 0)
    after = found.module.state_dict()
    assert all(tensor.isfinite().all() for tensor in after.values())
    assert sum(not torch.equal(before[name], after[name]) for name, _ in found.module.named_parameters()) > 30


def test_the_image_is_the_view_in_colours(data: Path) -> None:
    _, _, inputs, batch = seen(data, objective="ce + 1e-8*dense_crf", scale=(0.5, 1.5), flip=0.5, crop=(20, 20))
    assert inputs["image"].dtype == torch.float32
    assert np.array_equal(inputs["image"].permute(0, 2, 3, 1).numpy(), batch.images)


def test_padding_is_outside_the_region(data: Path) -> None:
    _, labels, inputs, batch = seen(data, objective="ce + 1e-8*dense_crf", crop=(32, 40))
    assert inputs["roi"].shape == labels.shape
    assert np.array_equal(inputs["roi"].bool().numpy(), batch.inside)
    assert inputs["roi"].sum() == 2 * 24 * 32
    _, _, whole, _ = seen(data, objective="ce + 1e-8*dense_crf")
    assert "roi" not in whole


def test_padding_has_no_say_in_a_loss_of_a_region(data: Path) -> None:
    """The colour of the padding changes nothing of the dense CRF."""
    values = []
    for colour in ((0, 0, 0), (255, 0, 255)):
        scores, labels, inputs, _ = seen(data, objective="dense_crf", crop=(24, 48), pad_colour=colour, auxiliary=0)
        logits = torch.linspace(-2, 2, scores.logits.numel()).view_as(scores.logits)
        values.append(get_loss("dense_crf")(logits, labels, **inputs).item())
    assert values[0] == pytest.approx(values[1], rel=1e-6)
    assert values[0] != 0


def test_features_are_what_the_classifier_sees(data: Path) -> None:
    task = task_of(data, objective=OBJECTIVES["feature_consistency"], projection=0)
    module: Any = task.start.network.module.eval()
    found, _, inputs = scores_of(task, task.batches.read(0))
    assert inputs["features"].shape == (2, 4, 12, 16)
    assert inputs["features"].requires_grad
    coarse = module.classifier(inputs["features"])
    whole = torch.nn.functional.interpolate(coarse, (24, 32), mode="bilinear", align_corners=False)
    torch.testing.assert_close(whole, found.logits)


def test_the_edge_network_takes_surplus_outputs(data: Path, tmp_path: Path) -> None:
    """Five outputs for four classes: the edges of the fifth count nothing."""
    scores, labels, inputs, _ = seen(data, "small(width=4, num_classes=5)", objective="ce + semeda")
    assert scores.logits.shape[1] == 5
    assert inputs["edge_net"][0][0].shape[1] == 5
    moved = scores.logits.detach().clone()
    assert get_loss("semeda")(moved, labels, edge_net=inputs["edge_net"]).isfinite()
    found = fit(
        task_of(data, "small(width=4, num_classes=5)", objective="ce + semeda", steps=2), execution(tmp_path / "run")
    )
    assert found.broken == 0


def test_which_edge_network_it_was_is_told(data: Path) -> None:
    (note,) = [note for note in task_of(data, objective="ce + semeda").start.notes if "semeda" in note]
    assert "edge network" in note
    assert "split train" in note


def test_features_that_the_network_does_not_give(data: Path, tmp_path: Path) -> None:
    (tmp_path / "net.py").write_text(
        "import torch\n\n\ndef net():\n    return Net()\n\n\nclass Net(torch.nn.Module):\n"
        "    def __init__(self):\n        super().__init__()\n"
        "        self.weight = torch.nn.Parameter(torch.rand(4, 3))\n\n"
        "    def forward(self, x):\n        return torch.einsum('kc,nchw->nkhw', self.weight, x)\n"
    )
    with pytest.raises(SegablateError, match=r"needs the features, which .* does not") as caught:
        task_of(data, f"python:{tmp_path / 'net.py'}:net()", objective="ce + feature_consistency")
    assert "\n" not in str(caught.value)
    found = fit(task_of(data, f"python:{tmp_path / 'net.py'}:net()", steps=2), execution(tmp_path / "run"))
    assert found.broken == 0  # without a convolution, it trains all the same


def test_a_loss_of_the_users_own(data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "own.py").write_text(
        "def brier(logits, labels, *, power: float = 2.0):\n"
        "    valid = labels != 255\n"
        "    target = (labels[:, None] == __import__('torch').arange(logits.shape[1]).view(1, -1, 1, 1)).float()\n"
        "    return ((logits.softmax(1) - target).abs() ** power).sum(1)[valid].mean()\n"
    )
    objective = f"ce + 0.5*python:{tmp_path / 'own.py'}:brier(power=1)"
    found = fit(task_of(data, objective=objective), execution(tmp_path / "run"))
    assert found.broken == 0
    assert f"0.5*python:{tmp_path / 'own.py'}:brier(power=1)" in (tmp_path / "run/progress.jsonl").read_text()
