"""The loop: skipped and broken steps, divergence, the best weights, states and what resumes from them."""

import copy
import json
import os
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import save
from torch import Tensor, nn
from trainings import CPU, SIZE, blank_labels, copied, execution, request, same, task_of, trained, write_splits

from segablate.checkpoints import open_checkpoint
from segablate.datasets import open_dataset
from segablate.errors import DivergedError, Interrupted, RecipeError, RunError
from segablate.training import trainer as trainer_module
from segablate.training.forward import forward, forward_head
from segablate.training.loop import fit, validations
from segablate.training.session import TrainingExecution, finished, train
from segablate.training.states import read_state, write_state
from segablate.training.task import Trained
from segablate.training.trainer import PATIENCE, Trainer

MOVING: dict[str, Any] = {"scale": (0.5, 2.0), "flip": 0.5, "crop": (16, 16), "brightness": 0.2, "steps": 8}


@pytest.fixture
def data(tmp_path: Path) -> Path:
    return write_splits(tmp_path / "toy")


def course(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / "progress.jsonl").read_text().splitlines()]


def broken_in(monkeypatch: pytest.MonkeyPatch, steps: Callable[[int], bool]) -> None:
    """Make the loss of some steps, counted from 0, infinite."""
    evaluate = trainer_module.evaluate_outputs
    number = -1

    def counted(*arguments: Any) -> Any:
        nonlocal number
        number += 1
        value = evaluate(*arguments)
        return replace(value, total=value.total * float("inf")) if steps(number) else value

    monkeypatch.setattr(trainer_module, "evaluate_outputs", counted)


def stopped_after(monkeypatch: pytest.MonkeyPatch, step: int, error: BaseException) -> None:
    """Let a training fail when this many steps are done."""
    keep = Trainer._keep

    def failing(self: Trainer, due: bool) -> None:
        keep(self, due)
        if self.step == step:
            raise error

    monkeypatch.setattr(Trainer, "_keep", failing)


def test_a_step_is_the_optimiser_on_the_objective(data: Path, tmp_path: Path) -> None:
    """Against a plain loop of torch over the same batches."""
    task = task_of(data, optimiser="sgd", rate=0.1, weight_decay=0.01, schedule="poly", clip=0.5, steps=5)
    module = task.start.network.module
    plain = copy.deepcopy(module).train()
    decayed = [p for n, p in plain.named_parameters() if p.ndim > 1]
    others = [p for n, p in plain.named_parameters() if p.ndim == 1]
    optimiser = torch.optim.SGD([{"params": decayed}, {"params": others, "weight_decay": 0}], 0.1, 0.9, 0, 0.01)
    for step in range(5):
        batch = task.batches.read(step)
        pixels = task.start.network.preprocessing(torch.from_numpy(batch.images))
        labels = torch.from_numpy(batch.labels).long()
        loss = nn.functional.cross_entropy(plain(pixels), labels, ignore_index=255)
        optimiser.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(plain.parameters(), 0.5)
        for group in optimiser.param_groups:
            group["lr"] = 0.1 * (1 - step / 5) ** 0.9
        optimiser.step()
    found = fit(task, execution(tmp_path / "run"))
    for name, value in plain.state_dict().items():
        torch.testing.assert_close(found.module.state_dict()[name], value, rtol=1e-4, atol=1e-5)


def test_two_trainings_give_the_same_bytes(data: Path, tmp_path: Path) -> None:
    first, second = (Path(trained(data, tmp_path / name, **MOVING).checkpoint).read_bytes() for name in "ab")
    assert first == second
    other = Path(trained(data, tmp_path / "c", seed=1, **MOVING).checkpoint).read_bytes()
    assert other != first


def test_neither_workers_nor_states_nor_validations_change_a_number(data: Path, tmp_path: Path) -> None:
    plain = trained(data, tmp_path / "plain", **MOVING)
    wanted = replace(request(data, **MOVING), holdout=open_dataset(f"folder:{data}", "val"))
    busy = train(wanted, tmp_path / "busy", TrainingExecution(workers=2, state_every=0, validate_every=1))
    weights = [open_checkpoint(each.checkpoint, CPU).module.state_dict() for each in (plain, busy)]  # type: ignore[attr-defined]
    assert same(*weights)
    assert list(busy.facts["validation"]) == [str(step) for step in range(1, 9)]


def test_a_batch_without_a_labelled_pixel_is_skipped_and_counted(data: Path, tmp_path: Path) -> None:
    blank_labels(data, *(f"train{index}" for index in range(5)))
    task = task_of(data, batch=2, steps=6)
    one = [bool((task.batches.read(step).labels != 255).any()) for step in range(6)]
    assert 0 < sum(one) < 6
    found = fit(task, execution(tmp_path / "run"))
    assert found.skipped == 6 - sum(one)
    assert [entry["step"] for entry in course(tmp_path / "run")] == [step + 1 for step in range(6) if one[step]]


def test_nothing_is_learnt_from_a_skipped_batch(data: Path, tmp_path: Path) -> None:
    blank_labels(data, *(f"train{index}" for index in range(6)))
    task = task_of(data)
    before = copied(task.start.network.module)
    found = fit(task, execution(tmp_path / "run"))
    assert found.skipped == 6
    assert same(before, found.module.state_dict())


def test_the_summary_counts_skipped_steps(data: Path, tmp_path: Path) -> None:
    blank_labels(data, *(f"train{index}" for index in range(5)))
    assert trained(data, tmp_path / "run").facts["batches without a label"] > 0


def test_a_step_whose_loss_is_not_finite_is_skipped_and_counted(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    broken_in(monkeypatch, lambda step: step in (2, 4))
    found = fit(task_of(data), execution(tmp_path / "run"))
    assert found.broken == 2
    assert all(tensor.isfinite().all() for tensor in found.module.state_dict().values())


def test_no_update_comes_from_a_loss_that_is_not_finite(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    broken_in(monkeypatch, lambda step: True)
    task = task_of(data, steps=5)
    before = copied(task.start.network.module)
    found = fit(task, execution(tmp_path / "run"))
    weights = {name for name, _ in found.module.named_parameters()}
    after = found.module.state_dict()
    assert same({name: before[name] for name in weights}, {name: after[name] for name in weights})


def test_a_loss_that_stays_infinite_is_a_divergence(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    broken_in(monkeypatch, lambda step: step >= 7)
    with pytest.raises(DivergedError, match=r"^diverged at step 8 of 40: the loss was not finite in 10 steps in a row"):
        fit(task_of(data, steps=40), execution(tmp_path / "run"))
    assert course(tmp_path / "run")[-1] == {"step": 7 + PATIENCE, "diverged": 8}


@pytest.mark.parametrize("optimiser", ["adamw", "sgd"])
def test_a_rate_that_diverges_leaves_the_last_finite_weights(data: Path, tmp_path: Path, optimiser: str) -> None:
    fields = {"rate": 1e6, "optimiser": optimiser, "steps": 60, "schedule": "constant", "weight_decay": 1.0}
    wanted = replace(request(data, **fields), holdout=open_dataset(f"folder:{data}", "val"))
    with pytest.raises(DivergedError, match=r"diverged at step \d+ of 60: .* use a smaller --rate.*holds the weights"):
        train(wanted, tmp_path / "run", TrainingExecution(state_every=0))
    found = finished(tmp_path / "run")
    assert found is not None
    assert found.facts["diverged"].startswith("diverged at step")
    assert found.facts["taken after step"] < 60
    module = open_checkpoint(found.checkpoint, CPU).module  # type: ignore[attr-defined]
    assert all(tensor.isfinite().all() for tensor in module.state_dict().values())
    assert not list((tmp_path / "run").glob("state-*"))
    with pytest.raises(DivergedError, match="diverged at step"):  # asked again, it says the same
        train(wanted, tmp_path / "run", TrainingExecution(state_every=0))


def test_weights_that_break_at_the_very_end_are_a_divergence(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    task = task_of(data)

    def spoil(step: int, numbers: Mapping[str, float]) -> None:
        if step == 6:
            with torch.no_grad():
                next(task.start.network.module.parameters()).fill_(float("nan"))

    with pytest.raises(DivergedError, match="diverged at step 6 of 6: weights are not finite"):
        fit(task, execution(tmp_path / "run", progress=spoil))
    assert all(tensor.isfinite().all() for tensor in task.start.network.module.state_dict().values())


@pytest.mark.parametrize("objective", ["ce", "recall(momentum=0.9)"])
@pytest.mark.parametrize("step", [1, 4, 7])
def test_a_training_that_fails_and_goes_on_ends_in_the_same_bytes(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, objective: str, step: int
) -> None:
    fields = {**MOVING, "objective": objective}
    whole = trained(data, tmp_path / "whole", **fields)
    wanted, often = request(data, **fields), TrainingExecution(state_every=0, validate_every=0)
    with monkeypatch.context() as patch:
        stopped_after(patch, step, ValueError("power cut"))
        with pytest.raises(ValueError, match="power cut"):
            train(wanted, tmp_path / "run", often)
    again = train(wanted, tmp_path / "run", often)
    assert Path(again.checkpoint).read_bytes() == Path(whole.checkpoint).read_bytes()
    lines = [entry["step"] for entry in course(tmp_path / "run")]
    assert lines == sorted(set(lines)) == list(range(1, 9))
    assert course(tmp_path / "run") == course(tmp_path / "whole")


def test_steps_after_the_last_state_are_done_again(data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The state of step 0 is the only one: the course does not have the lost steps twice."""
    whole = trained(data, tmp_path / "whole", **MOVING)
    wanted, rarely = request(data, **MOVING), TrainingExecution(validate_every=0)
    with monkeypatch.context() as patch:
        stopped_after(patch, 5, ValueError("power cut"))
        with pytest.raises(ValueError, match="power cut"):
            train(wanted, tmp_path / "run", rarely)
    with open(tmp_path / "run/progress.jsonl", "a") as file:
        file.write('{"step": 6, "lo')  # cut in the middle of a line
    again = train(wanted, tmp_path / "run", rarely)
    assert Path(again.checkpoint).read_bytes() == Path(whole.checkpoint).read_bytes()
    assert [entry["step"] for entry in course(tmp_path / "run")] == list(range(1, 9))


def test_counts_go_on_too(data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    blank_labels(data, *(f"train{index}" for index in range(5)))
    whole = fit(task_of(data, steps=9), execution(tmp_path / "whole"))
    with monkeypatch.context() as patch:
        stopped_after(patch, 5, ValueError("power cut"))
        with pytest.raises(ValueError, match="power cut"):
            fit(task_of(data, steps=9), execution(tmp_path / "run", state_every=0))
    assert fit(task_of(data, steps=9), execution(tmp_path / "run", state_every=0)).skipped == whole.skipped > 0


def test_broken_steps_in_a_row_go_on_too(data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patch:
        broken_in(patch, lambda step: step >= 3)
        stopped_after(patch, 8, ValueError("power cut"))
        with pytest.raises(ValueError, match="power cut"):
            fit(task_of(data, steps=40), execution(tmp_path / "run", state_every=0))
    broken_in(monkeypatch, lambda step: True)
    with pytest.raises(DivergedError, match="diverged at step 4 of 40: the loss was not finite in 10 steps"):
        fit(task_of(data, steps=40), execution(tmp_path / "run", state_every=0))


def interrupted(data: Path, folder: Path, monkeypatch: pytest.MonkeyPatch, step: int = 5, **fields: Any) -> None:
    """A training of 8 steps that stops after some, with a state after every step."""
    with monkeypatch.context() as patch:
        stopped_after(patch, step, KeyboardInterrupt())
        with pytest.raises(Interrupted, match=r"^interrupted; .* holds the training up to its last state: go on with"):
            train(request(data, **{**MOVING, **fields}), folder, TrainingExecution(state_every=0, validate_every=0))


def test_the_last_two_states_are_kept(data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    interrupted(data, tmp_path / "run", monkeypatch)
    assert sorted(path.stem for path in (tmp_path / "run").glob("state-*")) == ["state-000000004", "state-000000005"]


def test_a_folder_in_the_place_of_a_state_is_left(data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    interrupted(data, tmp_path / "run", monkeypatch)
    for name in ("state-000000001.safetensors", "best-000000001.safetensors", "features-a.npy"):
        (tmp_path / "run" / name).mkdir()
    assert Path(trained(data, tmp_path / "run", **MOVING).checkpoint).is_file()
    assert (tmp_path / "run/state-000000001.safetensors").is_dir()


def test_a_damaged_state_falls_back_to_the_one_before(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = trained(data, tmp_path / "whole", **MOVING)
    interrupted(data, tmp_path / "run", monkeypatch)
    last = tmp_path / "run/state-000000005.safetensors"
    last.write_bytes(last.read_bytes()[:-10])
    again = train(request(data, **MOVING), tmp_path / "run", TrainingExecution(state_every=0, validate_every=0))
    assert Path(again.checkpoint).read_bytes() == Path(whole.checkpoint).read_bytes()
    assert [entry["step"] for entry in course(tmp_path / "run")] == list(range(1, 9))


def edit_state(path: Path, edit: Callable[[dict[str, Any], dict[str, torch.Tensor]], object]) -> None:
    """Change the description and the tensors of a state."""
    with safe_open(str(path), "pt") as file:
        described = json.loads(file.metadata()["segablate_training"])
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    edit(described, tensors)
    path.write_bytes(save(tensors, {"segablate_training": json.dumps(described)}))


def _cut(tensors: dict[str, torch.Tensor], part: str) -> None:
    name = next(name for name in tensors if name.startswith(part) and tensors[name].ndim == 4)
    tensors[name] = tensors[name][:1]


EDITS: dict[str, Callable[[dict[str, Any], dict[str, torch.Tensor]], object]] = {
    "'seconds' is 'x', but must be a number": lambda d, t: d["facts"].update(seconds="x"),
    "has no 'best'": lambda d, t: d["facts"].pop("best"),
    "validation is not by step": lambda d, t: d["facts"].update(validation={"x": 0.5}),
    "'best' is 5": lambda d, t: d["facts"].update(best=5),
    "state of the optimiser": lambda d, t: t.update(
        {f"{next(n for n in t if n.endswith('_buffer'))}/x": torch.ones(1)}
    ),
    "shape of the optimiser": lambda d, t: _cut(t, "optimiser/"),
    "size mismatch": lambda d, t: _cut(t, "module/"),
    "Missing key": lambda d, t: t.pop(next(name for name in t if name.startswith("module/"))),
}


@pytest.mark.parametrize("message", EDITS)
def test_an_edited_state_is_refused(data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, message: str) -> None:
    fields = {**MOVING, "optimiser": "sgd"}
    interrupted(data, tmp_path / "run", monkeypatch, **fields)
    edit_state(tmp_path / "run/state-000000005.safetensors", EDITS[message])
    with pytest.raises(RunError, match=f"its last state does not fit the network .*{message[:20]}"):
        train(request(data, **fields), tmp_path / "run", TrainingExecution(validate_every=0))


@pytest.mark.parametrize(
    ("edit", "message"),
    [
        ({"steps": "x"}, "'steps' is 'x', but must be a whole number"),
        ({"notes": 5}, "'notes' is 5, but must be a list"),
        ({"validation": {"x": 1}}, "'validation' is not by step"),
        ({"checkpoint": None}, "'checkpoint' is None, but must be text"),
    ],
)
def test_an_edited_summary_is_refused(data: Path, tmp_path: Path, edit: dict[str, Any], message: str) -> None:
    trained(data, tmp_path / "run")
    path = tmp_path / "run/training.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **edit}))
    with pytest.raises(RunError, match=rf"training\.json is damaged \(.*{message}\); remove .* and train again"):
        trained(data, tmp_path / "run")


def test_no_whole_state_is_an_error(data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    interrupted(data, tmp_path / "run", monkeypatch)
    for state in (tmp_path / "run").glob("state-*"):
        state.write_bytes(b"")
    with pytest.raises(RunError, match=r"run: none of the 2 states is whole; remove the folder and train again"):
        train(request(data, **MOVING), tmp_path / "run", TrainingExecution(validate_every=0))


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"rate": 0.02}, r" \(recipe rate: 0\.01 is now 0\.02\)"),
        ({"seed": 1}, r" \(seed: 0 is now 1\)"),
        ({"objective": "ce + dice"}, r" \(objective: ce is now ce \+ dice\)"),
        ({"network": "small(width=5)"}, r" \(network: small\(width=4\) is now small\(width=5\)\)"),
        ({"part": "head"}, r" \(.*part: full is now head\)"),
        ({"loading": replace(CPU, precision="bf16")}, ""),
    ],
)
def test_other_options_are_refused_with_what_changed(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, changes: dict[str, Any], told: str
) -> None:
    interrupted(data, tmp_path / "run", monkeypatch)
    other = request(data, **{**MOVING, **changes})
    with pytest.raises(
        RunError, match=rf"run holds a training under other options or of other data{told}; choose another --save"
    ):
        train(other, tmp_path / "run", TrainingExecution(validate_every=0))


def test_other_data_is_refused(data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    interrupted(data, tmp_path / "run", monkeypatch)
    os.utime(data / "labels/train/train0.png", (1, 1))
    with pytest.raises(RunError, match="under other options or of other data"):
        train(request(data, **MOVING), tmp_path / "run", TrainingExecution(validate_every=0))


def test_a_finished_training_is_not_done_again(data: Path, tmp_path: Path) -> None:
    first = trained(data, tmp_path / "run")
    stamp = Path(first.checkpoint).stat().st_mtime_ns
    assert trained(data, tmp_path / "run").facts["identity"] == first.facts["identity"]
    trusting = replace(CPU, trust_code=True)  # as the error of an untrusted checkpoint advises
    assert trained(data, tmp_path / "run", loading=trusting).facts["identity"] == first.facts["identity"]
    assert Path(first.checkpoint).stat().st_mtime_ns == stamp
    with pytest.raises(
        RunError, match=r"run holds another training \(recipe rate: .* is now 0\.5\); choose another --sa"
    ):
        trained(data, tmp_path / "run", rate=0.5)
    (tmp_path / "run/training.json").write_text("{")
    with pytest.raises(RunError, match=r"training\.json is damaged .*; remove .*run and train again"):
        trained(data, tmp_path / "run")


def scored(scores: list[float]) -> Callable[[nn.Module], float]:
    """A validation that gives these values in turn, and remembers the weights."""
    found = iter(scores)
    return lambda module: next(found)


@pytest.mark.parametrize(("scores", "best"), [([0.1, 0.5, 0.2, 0.5], 2), ([float("nan"), 0.1, 0.3, 0.2], 3)])
def test_the_best_weights_are_kept(data: Path, tmp_path: Path, scores: list[float], best: int) -> None:
    weights: list[dict[str, Tensor]] = []

    def validate(module: nn.Module) -> float:
        assert not module.training
        weights.append(copied(module))
        return scores[len(weights) - 1]

    task = task_of(data, steps=4, keep="best", holdout=open_dataset(f"folder:{data}", "val"))
    found = fit(task, execution(tmp_path / "run", validate=validate, validate_every=1))
    assert found.step == best
    assert same(found.module.state_dict(), weights[best - 1])
    assert not same(weights[0], weights[3])


def test_the_last_weights_are_kept_unless_asked(data: Path, tmp_path: Path) -> None:
    task = task_of(data, steps=4)
    found = fit(task, execution(tmp_path / "run", validate=scored([0.9, 0.1, 0.1, 0.1]), validate_every=1))
    assert found.step == 4
    assert not list((tmp_path / "run").glob("best-*"))


@pytest.mark.parametrize("stop", [2, 3, 5])
def test_the_best_weights_survive_a_failure(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, stop: int
) -> None:
    """Scores come from the weights, so that both trainings see the same; states are written at the best alone."""

    def validate(module: nn.Module) -> float:
        return float(module.state_dict()["classifier.weight"].double().abs().sum() * 1e6 % 1)

    fields = {**MOVING, "keep": "best", "holdout": open_dataset(f"folder:{data}", "val")}
    options = {"validate": validate, "validate_every": 1, "state_every": 1e9}
    whole = fit(task_of(data, **fields), execution(tmp_path / "whole", **options))
    with monkeypatch.context() as patch:
        stopped_after(patch, stop, ValueError("power cut"))
        with pytest.raises(ValueError, match="power cut"):
            fit(task_of(data, **fields), execution(tmp_path / "run", **options))
    again = fit(task_of(data, **fields), execution(tmp_path / "run", **options))
    assert again.step == whole.step
    assert again.validation == whole.validation
    assert same(again.module.state_dict(), whole.module.state_dict())


def test_the_best_needs_validations(data: Path, tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match=r"--keep best needs a hold-out of the train split; pass --holdout 0\.1"):
        trained(data, tmp_path / "run", keep="best")
    held = replace(request(data, keep="best"), holdout=open_dataset(f"folder:{data}", "val"))
    with pytest.raises(RecipeError, match="--keep best needs validations; leave out --validate-every 0"):
        train(held, tmp_path / "run", TrainingExecution(validate_every=0))


def test_another_pace_of_validations_is_another_training_where_the_best_is_kept(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    held = replace(request(data, keep="best"), holdout=open_dataset(f"folder:{data}", "val"))
    with monkeypatch.context() as patch:
        stopped_after(patch, 3, KeyboardInterrupt())
        with pytest.raises(Interrupted):
            train(held, tmp_path / "run", TrainingExecution(validate_every=1))
    with pytest.raises(RunError, match="under other options"):
        train(held, tmp_path / "run", TrainingExecution(validate_every=2))
    train(held, tmp_path / "run", TrainingExecution(validate_every=1))


def test_validation_is_the_evaluation(data: Path, tmp_path: Path) -> None:
    from segablate.evaluation.session import Execution, Request, evaluate_checkpoint
    from segablate.metrics.confusion import class_counts, mean_iou

    val = open_dataset(f"folder:{data}", "val")
    found = train(replace(request(data), holdout=val), tmp_path / "run", TrainingExecution(validate_every=4))
    assert list(found.facts["validation"]) == ["4", "6"]
    evaluated = evaluate_checkpoint(found.checkpoint, val, Request(losses="none"), CPU, Execution())
    assert found.facts["validation"]["6"] == float(mean_iou(class_counts(evaluated.confusion).total()))


def test_a_network_that_breaks_is_not_validated(data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    broken_in(monkeypatch, lambda step: step == 2)
    found = fit(task_of(data), execution(tmp_path / "run", validate=scored([0.1] * 5), validate_every=1))
    assert list(found.validation) == [1, 2, 4, 5, 6]
    assert {"step": 3, "validation mIoU": None} in course(tmp_path / "run")


def full_disk(name: str) -> Callable[..., None]:
    def write(path: Path, data: bytes | str) -> None:
        if name in path.name:
            raise OSError(28, "No space left on device")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data.encode() if isinstance(data, str) else data)

    return write


@pytest.mark.parametrize(
    ("file", "where", "message"),
    [
        (
            "state-000000003",
            "states",
            r"run: a state cannot be written \(No space left on device\); make room, then go on",
        ),
        (
            "best-000000003",
            "course",
            r"best-000000003\.safetensors cannot be written \(No space left on device\); make room",
        ),
        (
            "checkpoint",
            "checkpoint",
            r"run cannot be written to \(No space left on device\); make room, then go on with",
        ),
        (
            "training.json",
            "session",
            r"run cannot be written to \(No space left on device\); make room, then go on with",
        ),
    ],
)
def test_a_full_disk_is_one_line_and_nothing_is_lost(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, file: str, where: str, message: str
) -> None:
    fields = {**MOVING, "keep": "best", "holdout": open_dataset(f"folder:{data}", "val")}
    often = TrainingExecution(state_every=0, validate_every=1)
    rising = iter(range(1000))
    monkeypatch.setattr(trainer_module.Trainer, "_whole", lambda self: True)
    monkeypatch.setattr("segablate.training.session.validator", lambda *a: lambda module: float(next(rising)))
    whole = train(request(data, **fields), tmp_path / "whole", often)
    modules = {
        "states": "segablate.training.states",
        "course": "segablate.training.course",
        "checkpoint": "segablate.checkpoints.sources.native",
        "session": "segablate.training.session",
    }
    with monkeypatch.context() as patch:
        patch.setattr(f"{modules[where]}.write_atomically", full_disk(file))
        with pytest.raises(RunError, match=message) as caught:
            train(request(data, **fields), tmp_path / "run", often)
    assert "\n" not in str(caught.value)
    again = train(request(data, **fields), tmp_path / "run", often)
    assert Path(again.checkpoint).read_bytes() == Path(whole.checkpoint).read_bytes()


def test_a_course_that_cannot_be_written(data: Path, tmp_path: Path) -> None:
    task = task_of(data)
    (tmp_path / "run/progress.jsonl").mkdir(parents=True)
    with pytest.raises(RunError, match=r"progress\.jsonl cannot be written \(Is a directory\); make room, then go on"):
        fit(task, execution(tmp_path / "run"))


def test_mixed_precision_on_the_cpu(data: Path, tmp_path: Path) -> None:
    """bfloat16 where autocast has it, float32 weights; near the training in float32."""
    half = {"loading": replace(CPU, precision="bf16"), **MOVING}
    plain = fit(task_of(data, **MOVING), execution(tmp_path / "plain"))
    seen: list[torch.dtype] = []
    task = task_of(data, **half)
    hook = task.start.network.module.classifier.register_forward_hook(lambda m, i, o: seen.append(o.dtype))  # type: ignore[union-attr]
    found = fit(task, execution(tmp_path / "half"))
    hook.remove()
    assert set(seen) == {torch.bfloat16}
    for name, tensor in found.module.state_dict().items():
        other = plain.module.state_dict()[name]
        assert tensor.dtype == other.dtype
        if name.endswith("weight"):
            assert not torch.equal(tensor, other)
            assert (tensor - other).abs().max() < 0.1


def test_states_hold_the_scale_of_gradients(data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As half precision on a GPU needs it; here with a scaler of the CPU."""
    monkeypatch.setattr(
        torch.amp, "GradScaler", lambda *a, **k: torch.amp.grad_scaler.GradScaler("cpu", 8.0, growth_interval=3)
    )
    whole = fit(task_of(data, **MOVING), execution(tmp_path / "whole"))
    with monkeypatch.context() as patch:
        stopped_after(patch, 4, ValueError("power cut"))
        with pytest.raises(ValueError, match="power cut"):
            fit(task_of(data, **MOVING), execution(tmp_path / "run", state_every=0))
    task = task_of(data, **MOVING)
    state = read_state(tmp_path / "run", task.identity)
    assert state is not None
    assert state.facts["scaler"]["scale"] == 16
    assert state.facts["scaler"]["_growth_tracker"] == 1
    again = fit(task, execution(tmp_path / "run", state_every=0))
    assert same(again.module.state_dict(), whole.module.state_dict())


def test_dropout_comes_from_the_seed_and_the_step(data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    task = task_of(data)
    masks: list[Tensor] = []
    task.start.network.module.classifier.register_forward_pre_hook(  # type: ignore[union-attr]
        lambda part, inputs: masks.append(torch.rand(8))
    )
    fit(task, execution(tmp_path / "run"))
    torch.rand(100)
    other = task_of(data)
    again: list[Tensor] = []
    other.start.network.module.classifier.register_forward_pre_hook(  # type: ignore[union-attr]
        lambda part, inputs: again.append(torch.rand(8))
    )
    fit(other, execution(tmp_path / "again"))
    assert all(torch.equal(one, two) for one, two in zip(masks, again, strict=True))
    assert len({mask[0].item() for mask in masks}) == 6


def test_states_are_written_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from segablate.training.states import State

    state = State(3, {"a": torch.ones(2)}, {}, facts={"seconds": 1.0})
    write_state(tmp_path, state, "me")

    def cut(handle: int) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", cut)
        with pytest.raises(OSError, match="No space left"):
            write_state(tmp_path, replace(state, step=4), "me")
    found = read_state(tmp_path, "me")
    assert found is not None
    assert (found.step, found.facts) == (3, {"seconds": 1.0})
    assert [path.name for path in tmp_path.iterdir()] == ["state-000000003.safetensors"]


def test_ten_validations_unless_asked() -> None:
    assert [validations(total, None) for total in (1, 10, 95, 3000)] == [1, 1, 10, 300]
    assert validations(95, 7) == 7
    assert validations(95, 0) == 0


def test_frozen_batch_norm_stays(data: Path, tmp_path: Path) -> None:
    task = task_of(data, norm="frozen")
    before = copied(task.start.network.module)
    after = fit(task, execution(tmp_path / "run", validate=scored([0.1] * 6), validate_every=1)).module
    norms = [name for name, part in after.named_modules() if isinstance(part, nn.BatchNorm2d)]
    kept = {name: tensor for name, tensor in after.state_dict().items() if name.rpartition(".")[0] in norms}
    assert same(kept, {name: before[name] for name in kept})
    assert not torch.equal(after.state_dict()["classifier.weight"], before["classifier.weight"])


def test_momentum_of_batch_norm(data: Path, tmp_path: Path) -> None:
    slow, usual = (
        fit(task_of(data, steps=1, **more), execution(tmp_path / name)).module.state_dict()["stem.0.1.running_mean"]
        for name, more in (("slow", {"norm_momentum": 0.01}), ("usual", {}))
    )
    torch.testing.assert_close(10 * slow, usual)


def test_only_the_head_is_trained(data: Path, tmp_path: Path) -> None:
    task = task_of(data, "small(width=4)", part="head", keep_head=True)
    before = copied(task.start.network.module)
    after = fit(task, execution(tmp_path / "run")).module.state_dict()
    changed = {name for name in after if not torch.equal(after[name], before[name])}
    assert changed == {"classifier.weight", "classifier.bias"}


ENDING_IN_A_CONVOLUTION = """
from torch import nn


def net():
    return nn.Sequential(nn.Conv2d(3, 8, 3, 2, 1), nn.ReLU(), nn.Conv2d(8, 4, 1))
"""


def test_a_head_in_half_precision_returns_what_its_network_does(data: Path, tmp_path: Path) -> None:
    (tmp_path / "net.py").write_text(ENDING_IN_A_CONVOLUTION)
    half = replace(CPU, precision="bf16", trust_code=True)
    task = task_of(data, f"python:{tmp_path / 'net.py'}:net", part="head", keep_head=True, loading=half)
    batch = task.batches.read(0)
    assert batch.features is not None
    with torch.no_grad():
        alone = forward_head(task.start, torch.from_numpy(batch.features), SIZE).logits
        whole = forward(task.start, torch.from_numpy(batch.images.copy()), auxiliary=False, features=False).logits
    assert torch.equal(alone, whole)
    assert not torch.equal(alone, alone.bfloat16().float()), "enlarging is in full precision"


def test_what_came_of_it_is_told(data: Path, tmp_path: Path) -> None:
    shown: list[tuple[int, dict[str, float]]] = []
    found = fit(
        task_of(data, objective="ce + 0.5*dice"),
        execution(
            tmp_path / "run",
            progress=lambda step, numbers: shown.append((step, dict(numbers))),
            validate=scored([0.25, 0.5]),
            validate_every=3,
        ),
    )
    assert isinstance(found, Trained)
    assert dict(found.validation) == {3: 0.25, 6: 0.5}
    assert [step for step, numbers in shown if "loss" in numbers] == [1, 2, 3, 4, 5, 6]
    assert (3, {"mIoU": 0.25}) in shown
    for entry in course(tmp_path / "run"):
        if "loss" in entry:
            assert entry["loss"] == pytest.approx(sum(entry["terms"].values()), rel=1e-6)
            assert list(entry["terms"]) == ["ce", "0.5*dice"]
            assert entry["rate"] > 0
