"""The projection that gives losses their features: trained along, in the states, and not in the checkpoint."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from trainings import CPU, copied, execution, request, same, task_of, trained, write_splits

from segablate.checkpoints import open_checkpoint
from segablate.datasets.supervision import supervised
from segablate.errors import Interrupted, RecipeError, RunError, UsageError
from segablate.networks.small import small
from segablate.objective.weighted_sum import parse_objective
from segablate.training.loop import fit
from segablate.training.planning import Row, ceiling, refuse_untrained
from segablate.training.scores import scores_of
from segablate.training.session import TrainingExecution, train
from segablate.training.states import read_state, write_state
from segablate.training.trainer import Trainer

DFR = "ce + 0.3*dfr(radius=2) + feature_consistency(radius=2)"
NAME = "segablate projection.weight"


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_splits(tmp_path_factory.mktemp("data") / "toy", train=4, size=(32, 64))


def test_losses_see_a_linear_map_of_what_the_classifier_sees(data: Path) -> None:
    found = {}
    for channels in (0, 16, 3):
        task = task_of(data, objective=DFR, projection=channels)
        task.start.network.module.eval()
        found[channels] = scores_of(task, task.batches.read(0))[2]["features"]
        if task.projection is not None:
            mixed = torch.einsum("dc,nchw->ndhw", task.projection.weight[:, :, 0, 0], found[0])  # type: ignore[index]
            torch.testing.assert_close(found[channels], mixed)
    assert [tuple(found[channels].shape) for channels in (0, 16, 3)] == [
        (2, 4, 16, 32),
        (2, 16, 16, 32),
        (2, 3, 16, 32),
    ]


def test_there_is_none_where_no_loss_needs_features_or_the_classifier_alone_is_trained(data: Path) -> None:
    assert task_of(data, objective="ce").projection is None
    assert task_of(data, objective="ce + 0.3*dfr(combine=shallow)").projection is None
    head = task_of(data, objective=DFR, part="head", projection=8)
    assert head.projection is None
    assert [note for note in head.start.notes if "changed nothing" in note] == [
        "feature_consistency trains features, fixed before the classifier: it changed nothing"
    ]


def test_features_alone_do_not_train_a_classifier(data: Path) -> None:
    with pytest.raises(RecipeError, match=r"'feature_consistency' trains features alone, .*\(--part full\)"):
        task_of(data, objective="feature_consistency", part="head")


def test_rows_that_train_a_classifier_alike_are_refused() -> None:
    def rows(*texts: str) -> list[Row]:
        return [Row(text, parse_objective(text)) for text in texts]

    refuse_untrained(rows("ce", DFR, "ce + 0.3*dfr(radius=3) + feature_consistency", "2*ce"))
    refuse_untrained([*rows(DFR), ceiling(rows(DFR)[0])])
    for alike in ((DFR, "ce + 0.3*dfr(radius=2)"), (DFR, DFR.replace("consistency(radius=2)", "consistency"))):
        with pytest.raises(UsageError, match="trains the classifier as"):
            refuse_untrained(rows("ce", *alike))


def test_a_projection_without_effect_is_a_note(data: Path) -> None:
    def idle(**fields: Any) -> list[str]:
        return [note for note in task_of(data, **fields).start.notes if "had no effect" in note]

    assert idle(objective="ce", projection=8) == ["projection=8 had no effect: no loss of 'ce' takes features"]
    assert idle(objective=DFR, part="head", projection=0) == [
        "projection=0 had no effect: the classifier alone was trained, from features that are fixed"
    ]
    for fields in ({"projection": 16}, {"objective": DFR, "projection": 8}, {"objective": DFR, "projection": 0}):
        assert idle(**fields) == []


def test_its_weights_come_from_the_seed_and_those_of_the_network_do_not_know_it(data: Path) -> None:
    first, again, other = (task_of(data, objective=DFR, seed=seed) for seed in (0, 0, 1))
    assert same(first.projection.state_dict(), again.projection.state_dict())  # type: ignore[union-attr]
    assert not same(first.projection.state_dict(), other.projection.state_dict())  # type: ignore[union-attr]
    without = task_of(data, objective="ce")
    assert same(first.start.network.module.state_dict(), without.start.network.module.state_dict())


def test_it_is_trained_along_and_leaves_no_trace_in_the_checkpoint(data: Path, tmp_path: Path) -> None:
    task = task_of(data, objective=DFR)
    assert task.projection is not None
    before = copied(task.projection)
    found = fit(task, execution(tmp_path / "run"))
    assert not same(before, task.projection.state_dict())
    result = trained(data, tmp_path / "whole", objective=DFR)
    tensors = load_file(result.checkpoint)
    assert tensors.keys() == small(4, 4).state_dict().keys()
    assert same(tensors, found.module.state_dict())
    assert any("4 channels before 'classifier' projected to 16" in note for note in result.notes)
    opened = open_checkpoint(result.checkpoint, CPU)
    views = torch.randint(0, 256, (1, 32, 64, 3), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        expected = replace(task.start.network, module=found.module).scores(views)
        torch.testing.assert_close(opened.scores(views), expected)  # type: ignore[attr-defined]


@pytest.mark.parametrize("optimiser", ["adamw", "sgd"])
def test_a_resumed_training_ends_in_the_same_bytes(data: Path, tmp_path: Path, optimiser: str) -> None:
    wanted = request(data, objective=DFR, optimiser=optimiser, crop=(24, 24), flip=0.5)
    whole = train(wanted, tmp_path / "whole", TrainingExecution(validate_every=0))

    def stop(step: int, numbers: object) -> None:
        if step == 4:
            raise KeyboardInterrupt

    with pytest.raises(Interrupted):
        train(wanted, tmp_path / "parts", TrainingExecution(state_every=0, validate_every=0, progress=stop))
    assert max(path.name for path in (tmp_path / "parts").glob("state-*")) == "state-000000003.safetensors"
    parts = train(wanted, tmp_path / "parts", TrainingExecution(validate_every=0))
    assert Path(parts.checkpoint).read_bytes() == Path(whole.checkpoint).read_bytes()


def test_states_hold_it_and_its_optimiser(data: Path, tmp_path: Path) -> None:
    task = task_of(data, objective=DFR)
    fit(task, execution(tmp_path / "run"))
    state = read_state(tmp_path / "run", task.identity)
    assert state is not None
    assert task.projection is not None
    assert same(state.projection, task.projection.state_dict())
    assert {f"{NAME}/{key}" for key in ("step", "exp_avg", "exp_avg_sq")} <= state.optimiser.keys()
    assert not any("projection" in name for name in state.module)
    write_state(tmp_path / "run", replace(state, step=5, projection={}), task.identity)
    (tmp_path / "run/state-000000006.safetensors").unlink()
    with pytest.raises(RunError, match="its last state does not fit the network"):
        fit(task_of(data, objective=DFR), execution(tmp_path / "run"))


def factors(data: Path, folder: Path, network: str, **changes: object) -> dict[str, float]:
    trainer = Trainer(task_of(data, network, objective=DFR, head_factor=10.0, **changes), execution(folder))
    return {
        trainer.names[id(parameter)]: group["factor"]
        for group in trainer.optimiser.param_groups
        for parameter in group["params"]
    }


def test_its_learning_rate_is_that_of_new_layers(data: Path, tmp_path: Path) -> None:
    start = trained(data, tmp_path / "start", steps=1).checkpoint
    tuned = factors(data, tmp_path / "a", start)
    assert tuned.pop(NAME) == 10.0
    assert set(tuned.values()) == {1.0}
    assert set(factors(data, tmp_path / "b", "small(width=4)").values()) == {1.0}
    encoded = factors(data, tmp_path / "c", "small(width=4)", encoder=Path(start))
    assert encoded[NAME] == 10.0


@pytest.mark.filterwarnings("ignore:`torch.jit:DeprecationWarning")
def test_a_network_whose_classifier_is_not_seen(data: Path, tmp_path: Path) -> None:
    scripted = torch.jit.script(small(4, 4))
    scripted.save(str(tmp_path / "net.pt"))  # type: ignore[no-untyped-call]
    with pytest.raises(RecipeError, match=r"needs the features, which torchscript:.* leave out dfr, feature_consist"):
        task_of(data, f"torchscript:{tmp_path / 'net.pt'}", objective=DFR, loading=replace(CPU, trust_code=True))


def test_a_vision_transformer_from_its_configuration(data: Path, tmp_path: Path, offline: None) -> None:
    """SegFormer without weights, from scribbles: its features are those before the decoder's classifier."""
    from tests.hf_networks import segformer

    segformer().config.save_pretrained(tmp_path / "segformer")
    dataset, source = supervised(request(data).dataset, "scribble")
    changes = {"dataset": dataset, "labels": source, "objective": DFR, "steps": 2, "rate": 1e-3}
    task = task_of(data, f"hf:{tmp_path / 'segformer'}", **changes)
    assert task.start.classifier.endswith("decode_head.classifier")
    before = copied(task.start.network.module)
    fit(task, execution(tmp_path / "run"))
    assert not same(before, task.start.network.module.state_dict())
    found = trained(data, tmp_path / "whole", f"hf:{tmp_path / 'segformer'}", **changes)
    saved, own = load_file(tmp_path / "whole/hf/model.safetensors"), task.start.network.module.state_dict()
    assert sum(tensor.numel() for tensor in saved.values()) == sum(tensor.numel() for tensor in own.values())
    assert any("channels before" in note for note in found.notes)
