"""Every start of a training: networks without weights, encoders, checkpoints; and what is written can be evaluated."""

import warnings
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from conftest import CLASSES, NETWORK, optional, write_predictions
from torch import Tensor, nn
from trainings import CPU, copied, execution, request, same, task_of, trained, write_splits

from segablate.checkpoints import open_checkpoint
from segablate.checkpoints.network import Network
from segablate.errors import CheckpointError, RecipeError, SegablateError
from segablate.training.beginning import begin
from segablate.training.fitting import activation, fitted, mean_colour
from segablate.training.loop import fit
from segablate.training.objectives import evaluate_outputs
from segablate.training.recipe import Recipe
from segablate.training.request import TrainingRequest
from segablate.training.saving import names_code_of
from segablate.training.scores import scores_of
from segablate.training.session import conclude
from segablate.training.task import Task


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Images that divide by 32."""
    return write_splits(tmp_path_factory.mktemp("data") / "toy", train=4, val=2, size=(32, 64))


def scores(network: Network, seed: int = 0) -> Tensor:
    images = torch.randint(0, 256, (2, 32, 64, 3), dtype=torch.uint8, generator=torch.Generator().manual_seed(seed))
    with torch.no_grad():
        return network.scores(images)


def carried_out(wanted: TrainingRequest, folder: Path) -> tuple[Task, Network]:
    """Train two steps; the task, and the network that what was written gives."""
    task = begin(wanted, folder)
    found = conclude(wanted, task, fit(task, execution(folder)), folder)
    opened = open_checkpoint(found.checkpoint, TRUSTING)
    assert isinstance(opened, Network)
    return task, opened


def assert_evaluates_as_trained(task: Task, opened: Network) -> None:
    torch.testing.assert_close(scores(opened), scores(task.start.network), rtol=1e-4, atol=1e-4)
    assert opened.preprocessing == task.start.network.preprocessing
    assert opened.kind == task.start.network.kind
    assert (opened.classes or CLASSES) == CLASSES


def learns(wanted: TrainingRequest, folder: Path) -> tuple[Task, Network]:
    """Carried out, with every parameter changed that should be, and written faithfully."""
    before = copied(begin(wanted, folder).start.network.module)
    task, opened = carried_out(wanted, folder)
    trained_names = {name for name, p in task.start.network.module.named_parameters() if p.requires_grad}
    after = task.start.network.module.state_dict()
    changed = {name for name in trained_names if not torch.equal(before[name], after[name])}
    assert len(changed) > 0.8 * len(trained_names)
    assert_evaluates_as_trained(task, opened)
    return task, opened


TRUSTING = replace(CPU, trust_code=True)
TWO = {"steps": 2, "rate": 1e-3}


@pytest.mark.parametrize(
    "network",
    [
        *("small", "builtin:small(width=8)", "builtin:deeplabv3(backbone='mobilenet')"),
        *("builtin:deeplabv3plus(backbone='mobilenet')", "builtin:hrnet(width=4, depth='small_v1')"),
        "builtin:hrnet_ocr(width=4, depth='small_v1')",
    ],
)
def test_networks_of_this_project_from_nothing(data: Path, tmp_path: Path, network: str) -> None:
    task, opened = learns(request(data, network, **TWO), tmp_path / "run")
    assert (tmp_path / "run/checkpoint.safetensors").is_file()
    assert opened.classes == CLASSES
    assert task.start.new == frozenset()


def test_auxiliary_heads_are_trained(data: Path, tmp_path: Path) -> None:
    network = "hrnet_ocr(width=4, depth='small_v1')"
    task = task_of(data, network, steps=1, optimiser="sgd", momentum=0, auxiliary=0.4)
    found = fit(task, execution(tmp_path / "run"))
    assert (found.auxiliary, found.left_out) == (1, 0)
    assert '"auxiliary 1"' in (tmp_path / "run/progress.jsonl").read_text()
    none = fit(task_of(data, network, steps=1, optimiser="sgd", momentum=0, auxiliary=0), execution(tmp_path / "none"))
    assert none.auxiliary == 0
    assert not same(found.module.state_dict(), none.module.state_dict())


def test_the_head_of_pspnet_learns_from_its_own_output_alone(data: Path) -> None:
    for weight in (0.4, 0.0):
        task = task_of(data, "pspnet", auxiliary=weight)
        module = task.start.network.module.train()
        found, labels, inputs = scores_of(task, task.batches.read(0))
        assert len(found.auxiliary) == (weight > 0)
        evaluate_outputs(task, found, labels, inputs, {}, 1).total.backward()
        gradients = {name: p.grad is not None for name, p in module.named_parameters()}
        assert all(given == (weight > 0) for name, given in gradients.items() if name.startswith("aux."))
        assert all(given for name, given in gradients.items() if not name.startswith("aux."))


def test_in_evaluation_mode_auxiliary_heads_return_nothing() -> None:
    from segablate.networks import get_network

    for name, more in (("pspnet", {}), ("hrnet_ocr", {"width": 4, "depth": "small_v1"})):
        network = get_network(name)(num_classes=3, **more)
        image = torch.randn(2, 3, 40, 56)
        found = network.train()(image)
        assert {key: tuple(value.shape) for key, value in found.items()} == dict.fromkeys(
            ("out", "aux"), (2, 3, 40, 56)
        )
        assert isinstance(network.eval()(image), Tensor)
    assert isinstance(get_network("pspnet")(num_classes=3, aux=False).train()(image), Tensor)


def test_networks_of_smp(data: Path, tmp_path: Path) -> None:
    optional("segmentation_models_pytorch")
    learns(request(data, 'smp:Unet("resnet18", decoder_channels=(16, 8, 8, 8, 8))', **TWO), tmp_path / "run")
    card = yaml.safe_load((tmp_path / "run/card.yaml").read_text())
    assert card["source"].startswith("smp:Unet(encoder_name='resnet18', classes=4")
    assert card["weights"] == "weights.safetensors"


@pytest.mark.parametrize("more", ["", "(aux_loss=True)"])
def test_networks_of_torchvision(data: Path, tmp_path: Path, more: str) -> None:
    optional("torchvision")
    name = "deeplabv3_mobilenet_v3_large" if more else "lraspp_mobilenet_v3_large"
    task, _ = learns(request(data, f"torchvision:{name}{more}", **TWO), tmp_path / "run")
    if more:
        assert task.start.classifier == "classifier.4"  # the auxiliary head runs last
        assert '"auxiliary 1"' in (tmp_path / "run/progress.jsonl").read_text()


def test_an_auxiliary_head_of_other_classes_is_left_out_and_told(data: Path, tmp_path: Path) -> None:
    models = optional("torchvision.models")
    module = models.get_model("deeplabv3_mobilenet_v3_large", num_classes=4, aux_loss=True, weights_backbone=None)
    module.aux_classifier[-1] = nn.Conv2d(10, 21, 1)
    torch.save(module.state_dict(), tmp_path / "w.pth")
    found = trained(data, tmp_path / "run", f"torchvision:deeplabv3_mobilenet_v3_large@{tmp_path / 'w.pth'}", **TWO)
    assert "auxiliary outputs that were not trained, as their classes are others: 1" in found.notes
    assert found.facts["auxiliary outputs"] == 0


def test_a_network_of_transformers_from_its_configuration(data: Path, tmp_path: Path) -> None:
    optional("transformers")
    from tests.hf_networks import segformer

    segformer().config.save_pretrained(tmp_path / "segformer")
    task, opened = learns(request(data, f"hf:{tmp_path / 'segformer'}", **TWO), tmp_path / "run")
    assert yaml.safe_load((tmp_path / "run/card.yaml").read_text())["source"] == "hf:hf"
    assert scores(opened).shape[1] == 4
    assert task.start.classifier.endswith("classifier")


def test_a_network_of_transformers_with_weights(data: Path, tmp_path: Path) -> None:
    optional("transformers")
    from tests.hf_networks import segformer

    torch.manual_seed(0)
    network = segformer()
    network.save_pretrained(tmp_path / "segformer")
    wanted = request(data, f"hf:{tmp_path / 'segformer'}", loading=replace(CPU, class_map=MAP), **TWO)
    task, _ = carried_out(wanted, tmp_path / "run")
    assert task.start.alignment.outputs == (3, 0, 1, 2, None)


MAP = {"sky": "sky", "road": "road", "car": "car", "tree": "tree", "void": None}


def test_a_factory_in_a_python_file(data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The path in the card is seen from the card, wherever that is evaluated."""
    (tmp_path / "nets").mkdir()
    (tmp_path / "nets/net.py").write_text(NETWORK)
    monkeypatch.chdir(tmp_path)
    learns(request(data, "python:nets/net.py:small(num_classes=4)", **TWO), Path("runs/a"))
    assert yaml.safe_load(Path("runs/a/card.yaml").read_text())["source"].startswith("python:../../nets/net.py:small(")
    card = Path("runs/a/card.yaml")
    assert names_code_of("python:nets/net.py:small(num_classes=4)@start.pth", CPU, card)
    for other in ("python:nets/net.py:other(num_classes=4)", "python:net.py:small(num_classes=4)", "small(width=4)"):
        assert not names_code_of(other, CPU, card)
    Path("runs/a/other").mkdir()
    (Path("runs/a/other") / "card.yaml").write_text("- no card")
    assert not names_code_of("python:nets/net.py:small(num_classes=4)", CPU, Path("runs/a/other/card.yaml"))
    monkeypatch.chdir("/")
    assert scores(open_checkpoint(str(tmp_path / "runs/a/card.yaml"), TRUSTING)).shape[1] == 4  # type: ignore[arg-type]


def test_a_factory_in_a_module(data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "own_nets.py").write_text(NETWORK)
    monkeypatch.chdir(tmp_path)
    learns(request(data, "python:own_nets:small(num_classes=4)", **TWO), tmp_path / "run")
    assert yaml.safe_load((tmp_path / "run/card.yaml").read_text())["source"] == "python:own_nets:small(num_classes=4)"


def test_fine_tuning_a_sample_checkpoint(tmp_path: Path) -> None:
    from segablate.datasets import open_dataset

    wanted = TrainingRequest("sample:ce", open_dataset("sample", "train"), Recipe(**TWO, batch=2), loading=CPU)
    task, opened = carried_out(wanted, tmp_path / "run")
    torch.testing.assert_close(scores(opened), scores(task.start.network), rtol=1e-4, atol=1e-4)
    start = open_checkpoint("sample:ce", CPU)
    assert isinstance(start, Network)
    assert 0 < (scores(opened) - scores(start)).abs().mean() < 2
    assert opened.classes == start.classes


def written_card(folder: Path, **entries: Any) -> Path:
    """A card of a network in the folder, in OpenCV's order with a last divisor, as ESPNet's."""
    folder.mkdir(exist_ok=True)
    (folder / "net.py").write_text(NETWORK)
    found: dict[str, Any] = {}
    exec(NETWORK, found)
    torch.manual_seed(0)
    torch.save(found["small"](5).state_dict(), folder / "w.pth")
    stated = {"channels": "bgr", "scale": 1, "mean": [110.3, 108.4, 105.0], "std": [72.1, 72.7, 69.9], "divisor": 255}
    card = {"source": "python:net.py:small(num_classes=5)", "weights": "w.pth", "preprocessing": stated}
    card |= {"classes": [*CLASSES, "void"], **entries}
    (folder / "card.yaml").write_text(yaml.safe_dump(card))
    return folder / "card.yaml"


def test_fine_tuning_by_a_card(data: Path, tmp_path: Path) -> None:
    """A foreign network in a foreign colour order, with an output for void beside the classes."""
    card = written_card(tmp_path / "net", inference={"window": [32, 32], "flip": True})
    task, opened = carried_out(request(data, str(card), loading=TRUSTING, **TWO), tmp_path / "run")
    assert task.start.alignment.outputs == (0, 1, 2, 3, None)
    whole = replace(opened, inference=task.start.network.inference)
    torch.testing.assert_close(scores(whole), scores(task.start.network), rtol=1e-4, atol=1e-4)
    assert opened.preprocessing == task.start.network.preprocessing
    assert opened.classes == (*CLASSES, "void")
    assert (opened.inference.window, opened.inference.flip) == ((32, 32), True)
    assert fitted(Recipe(), opened.preprocessing).pad_colour == (105, 108, 110)


def test_fine_tuning_torchscript(data: Path, tmp_path: Path) -> None:
    torch.manual_seed(0)
    network = nn.Sequential(nn.Conv2d(3, 8, 3, padding=1), nn.BatchNorm2d(8), nn.ReLU(), nn.Conv2d(8, 4, 1))
    script = f"torchscript:{tmp_path / 'net.pt'}"
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", r"`torch\.jit\.\w+` is deprecated")
        torch.jit.save(torch.jit.script(network), str(tmp_path / "net.pt"))
        task, opened = learns(request(data, script, loading=TRUSTING, **TWO), tmp_path / "run")
    assert task.start.classifier == ""
    assert opened.source.facts["card of"] == "torchscript:network.pt"
    with pytest.raises(RecipeError, match="the classifier is not seen in this network; train it with --part full"):
        task_of(data, script, part="head", loading=TRUSTING)
    with pytest.raises(RecipeError, match="the classifier is not seen in this network"):
        task_of(data, script, part="head", keep_head=True, loading=TRUSTING)


def test_fine_tuning_a_pickled_module(data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "pickled_nets.py").write_text(NETWORK)
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    import pickled_nets  # type: ignore[import-not-found]

    torch.save(pickled_nets.small(4), tmp_path / "net.pth")
    learns(request(data, f"module:{tmp_path / 'net.pth'}", loading=TRUSTING, **TWO), tmp_path / "run")


@pytest.mark.parametrize("form", ["out", "list", "logits"])
def test_outputs_in_every_form(data: Path, tmp_path: Path, form: str) -> None:
    (tmp_path / "net.py").write_text(NETWORK)
    network = f"python:{tmp_path / 'net.py'}:small(num_classes=4, form={form!r})"
    task, _ = learns(request(data, network, **TWO), tmp_path / "run")
    assert task.start.classifier == "head"


def encoder(folder: Path) -> Path:
    """Weights of the small network with one tensor that has another shape, and one that has no place."""
    torch.manual_seed(9)
    from segablate.networks.small import small

    state = {f"module.{name}": tensor for name, tensor in small(7, width=4).state_dict().items()}
    torch.save({"state_dict": {**state, "module.fc.weight": torch.zeros(3)}}, folder / "encoder.pth")
    return folder / "encoder.pth"


def test_an_encoder_from_a_file(data: Path, tmp_path: Path) -> None:
    task = task_of(data, encoder=encoder(tmp_path), head_factor=10)
    stored = torch.load(tmp_path / "encoder.pth")["state_dict"]
    state = task.start.network.module.state_dict()
    assert torch.equal(state["stem.0.0.weight"], stored["module.stem.0.0.weight"])
    assert task.start.new == {"classifier.weight", "classifier.bias"}
    (note,) = task.start.notes
    assert note.startswith(f"{len(state) - 2} of {len(state)} tensors start from encoder.pth, the others from random")
    assert note.endswith("left out: classifier.weight, classifier.bias, fc.weight")
    other = task_of(data, encoder=encoder(tmp_path), seed=1)
    assert not torch.equal(other.start.network.module.state_dict()["classifier.weight"], state["classifier.weight"])


def test_an_encoder_is_found_under_its_prefix(data: Path, tmp_path: Path) -> None:
    torch.manual_seed(3)
    from segablate.networks import get_network

    whole = get_network("deeplabv3")(num_classes=4, backbone="mobilenet")
    inner = {n.removeprefix("backbone."): t for n, t in whole.state_dict().items() if n.startswith("backbone.")}
    torch.save(inner, tmp_path / "encoder.pth")
    task = task_of(data, "deeplabv3(backbone='mobilenet')", encoder=tmp_path / "encoder.pth")
    state = task.start.network.module.state_dict()
    assert all(torch.equal(state[f"backbone.{name}"], tensor) for name, tensor in inner.items())
    assert all(not name.startswith("backbone") for name in task.start.new)


def test_an_encoder_that_does_not_fit(data: Path, tmp_path: Path) -> None:
    torch.save({"a": torch.zeros(3), "b": torch.zeros(3)}, tmp_path / "other.pth")
    with pytest.raises(CheckpointError, match=r"other\.pth: no tensor of its 2 fits the network by name and shape"):
        task_of(data, encoder=tmp_path / "other.pth")


def test_new_weights_come_from_the_seed(data: Path) -> None:
    first, again, other = (copied(task_of(data, seed=seed).start.network.module) for seed in (0, 0, 1))
    assert same(first, again)
    assert not same(first, other)


def test_the_classifier_starts_anew_from_the_seed(data: Path, tmp_path: Path) -> None:
    found = trained(data, tmp_path / "run", steps=1).checkpoint
    stored = copied(open_checkpoint(found, CPU).module)  # type: ignore[attr-defined]
    starts = {
        name: copied(task_of(data, found, part="head", **more).start.network.module)
        for name, more in {"a": {}, "again": {}, "other": {"seed": 1}, "kept": {"keep_head": True}}.items()
    }
    assert same(starts["a"], starts["again"])
    assert same(starts["kept"], stored)
    weights = {name: state["classifier.weight"] for name, state in starts.items()}
    assert not torch.equal(weights["a"], weights["other"])
    assert not torch.equal(weights["a"], weights["kept"])
    for state in starts.values():
        body = {name: tensor for name, tensor in state.items() if not name.startswith("classifier.")}
        assert same(body, {name: stored[name] for name in body})


def test_mean_and_deviation_are_in_colours(data: Path, tmp_path: Path) -> None:
    """RGB in 0..255, whatever scale and order the network has."""
    stated = {"mean": (100.0, 103.0, 106.0), "std": (75.0, 77.0, 76.0)}
    plain = task_of(data, **stated).start.network.preprocessing
    foreign = task_of(data, str(written_card(tmp_path / "net")), loading=TRUSTING, **stated).start.network.preprocessing
    image = torch.tensor([[[[100, 103, 106], [175, 180, 182]]]], dtype=torch.uint8)
    for found, order in ((plain, [0, 1, 2]), (foreign, [2, 1, 0])):
        expected = torch.tensor([[0.0, 1.0]] * 3)[order]
        torch.testing.assert_close(found(image)[0, :, 0], expected, rtol=1e-4, atol=1e-4)
        assert mean_colour(found) == (100, 103, 106)


def test_padding_has_the_mean_colour_of_the_network(data: Path) -> None:
    task = task_of(data, crop=(48, 80))
    batch = task.batches.read(0)
    assert batch.inside is not None
    assert set(batch.images[~batch.inside].ravel()) == {115}  # 0.45 of 255
    assert task_of(data, crop=(48, 80), pad_colour=(1, 2, 3)).recipe.pad_colour == (1, 2, 3)


def test_images_are_resized_as_for_an_evaluation(data: Path, tmp_path: Path) -> None:
    card = written_card(tmp_path / "net", preprocessing={"resize": [16, 24]})
    task = task_of(data, str(card), loading=TRUSTING)
    assert task.batches.read(0).images.shape[1:3] == (16, 24)
    shorter = task_of(data, str(written_card(tmp_path / "net", preprocessing={"resize": 20})), loading=TRUSTING)
    assert (shorter.recipe.resize, shorter.recipe.shorter) == (None, 20)
    own = task_of(data, str(card), loading=TRUSTING, resize=(32, 32))
    assert own.batches.read(0).images.shape[1:3] == (32, 32)
    assert own.start.network.preprocessing.resize == (32, 32)


@pytest.mark.parametrize(
    ("kind", "text", "expected"),
    [
        *(("softmax", "ce", "softmax"), ("softmax", "0.5*bce(extra=1) + 0.5*rmi", "sigmoid")),
        *(("sigmoid", "ce + dice", "softmax"), ("softmax", "ce + rmi", "softmax"), ("sigmoid", "ce + rmi", "sigmoid")),
        *(("probabilities", "bce", "probabilities"), ("softmax", "rmi(probability=softmax)", "softmax")),
    ],
)
def test_the_checkpoint_says_by_which_activation_it_was_trained(kind: Any, text: str, expected: str) -> None:
    from segablate.objective.weighted_sum import parse_objective

    assert activation(kind, parse_objective(text)) == expected


def test_the_activation_is_in_the_file(data: Path, tmp_path: Path) -> None:
    found = trained(data, tmp_path / "run", objective="0.5*bce(extra=1) + 0.5*rmi", **TWO)
    opened = open_checkpoint(found.checkpoint, CPU)
    assert isinstance(opened, Network)
    assert opened.kind == "sigmoid"


@pytest.mark.parametrize(
    ("network", "message"),
    [
        (
            "small(num_classes=3)",
            r"small\(num_classes=3\) has 3 outputs but 'toy' has 4 classes; .*start the network anew with",
        ),
        ("smal", r"no such file|names no network"),
        ("builtin:deeplabv3(depth=3)", "deeplabv3 takes num_classes, backbone"),
        ("predictions:FOLDER", r"predictions:.* has no weights to train; give a checkpoint of torch, or a network"),
        ("python:FILE:not_a_network()", r"returns int; expected a torch\.nn\.Module"),
        ("python:FILE:broken()", r"raises ValueError: no such layer"),
    ],
)
def test_what_cannot_be_trained(data: Path, tmp_path: Path, network: str, message: str) -> None:
    (tmp_path / "net.py").write_text(NETWORK)
    if "FOLDER" in network:
        write_predictions(tmp_path / "maps", 2, (32, 64))
    spec = network.replace("FILE", str(tmp_path / "net.py")).replace("FOLDER", str(tmp_path / "maps"))
    with pytest.raises(SegablateError, match=message) as caught:
        task_of(data, spec)
    assert "\n" not in str(caught.value)


def test_onnx_is_refused(data: Path, tmp_path: Path) -> None:
    optional("onnx")
    optional("onnxruntime")
    from tests.exported_networks import write_onnx

    write_onnx(tmp_path / "net.onnx")
    with pytest.raises(CheckpointError, match=r"net\.onnx has no weights to train; give a checkpoint of torch"):
        task_of(data, str(tmp_path / "net.onnx"))


def test_views_that_the_network_does_not_take(data: Path, tmp_path: Path) -> None:
    (tmp_path / "net.py").write_text(NETWORK)
    task = task_of(data, f"python:{tmp_path / 'net.py'}:strict(num_classes=4)", crop=(30, 30))
    with pytest.raises(
        CheckpointError, match=r"fails on 2 views of 30x30 in training: .*; try another --crop or --batch"
    ):
        fit(task, execution(tmp_path / "run"))


def test_surplus_outputs_of_a_network_of_this_project(data: Path, tmp_path: Path) -> None:
    """Six outputs for four classes: the file names none, and is matched by place again."""
    task, opened = carried_out(request(data, "small(num_classes=6)", **TWO), tmp_path / "run")
    assert opened.classes is None
    torch.testing.assert_close(scores(opened), scores(task.start.network), rtol=1e-4, atol=1e-4)
