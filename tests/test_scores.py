"""segablate.Scores: counts of a validation loop are those of the command, and of plain loops over pixels."""

import math
import pickle
import subprocess
import sys
from collections.abc import Sequence
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from boundary_oracle import slow_f, slow_sums
from test_waiting import Waits, batch_of, form_for_a_gpu, scores_for

import segablate
from segablate import Scores
from segablate.checkpoints import open_checkpoint
from segablate.datasets import open_dataset
from segablate.errors import CheckpointError, LabelError, RunError, UsageError
from segablate.evaluation.results import load_run, to_arrays
from segablate.evaluation.session import Request, evaluate_checkpoint
from segablate.metrics.tolerance import Tolerance
from segablate.samples import Batch

CLASSES = 5
TESTS = Path(__file__).parent


def batches(images: int = 6, size: int = 2) -> list[tuple[torch.Tensor, torch.Tensor]]:
    """Logits and int64 labels in batches of this size, always the same images."""
    batch = batch_of(images)
    scores = scores_for(batch)
    labels = torch.from_numpy(batch.labels).long()
    return list(zip(scores.split(size), labels.split(size), strict=True))


def counted(parts: Sequence[tuple[Any, Any]], **options: Any) -> Scores:
    scores = Scores(CLASSES, **options)
    for logits, labels in parts:
        scores.update(logits, labels)
    return scores


def table_of(predicted: np.ndarray, labels: np.ndarray) -> np.ndarray:
    table = np.zeros((CLASSES, CLASSES), int)
    for label, guess in zip(labels.reshape(-1).tolist(), predicted.reshape(-1).tolist(), strict=True):
        if label != 255:
            table[label, guess] += 1
    return table


def test_scores_are_those_of_a_plain_loop_over_pixels() -> None:
    ((logits, labels),) = batches(size=6)
    predicted = logits.argmax(1).numpy()
    table = table_of(predicted, labels.numpy())
    hits, labelled, guessed = table.diagonal(), table.sum(1), table.sum(0)
    summary = counted(batches()).compute()
    assert np.array_equal(counted(batches()).confusion()[:-1, :-1], table)
    assert [each.iou for each in summary.classes] == pytest.approx(list(hits / (labelled + guessed - hits)))
    assert [each.recall for each in summary.classes] == pytest.approx(list(hits / labelled))
    assert [each.precision for each in summary.classes] == pytest.approx(list(hits / guessed))
    assert [each.f1 for each in summary.classes] == pytest.approx(list(2 * hits / (labelled + guessed)))
    assert summary.overall.miou == pytest.approx(np.mean(hits / (labelled + guessed - hits)))
    assert summary.overall.pixel_accuracy == pytest.approx(hits.sum() / table.sum())
    assert [each.pixels for each in summary.classes] == labelled.tolist()
    assert (summary.overall.images, summary.overall.pixels) == (6, table.sum())


def test_ece_is_that_of_fifteen_bins_of_the_confidence() -> None:
    ((logits, labels),) = batches(size=6)
    confidence, predicted = logits.softmax(1).max(1)
    valid = labels != 255
    confidence, right = confidence[valid].double(), (predicted == labels)[valid].double()
    place = (confidence * 15).ceil().long().clamp(1, 15)
    gaps = [abs(float((confidence - right)[place == bin].sum())) for bin in range(1, 16)]
    expected = sum(gaps) / len(confidence)
    assert counted(batches(), calibration="ece").compute().overall.ece == pytest.approx(expected, abs=1e-6)
    whole = counted(batches(), calibration=True).compute()
    assert whole.overall.ece == pytest.approx(expected, abs=1e-6)
    nll = torch.nn.functional.cross_entropy(logits, labels, ignore_index=255)
    assert whole.overall.nll == pytest.approx(float(nll), rel=1e-5)
    assert not math.isnan(whole.classes[0].ece)


def sample_run(limit: int) -> tuple[Any, Any]:
    """The command's evaluation of a sample checkpoint, and its scores and labels, image by image."""
    dataset = open_dataset("sample").evenly(limit)
    request = Request(losses="none", tolerances=(Tolerance(3), Tolerance.parse("0.02d")), calibration=True)
    run = evaluate_checkpoint("sample:ce", dataset, request)
    segmenter = open_checkpoint("sample:ce").for_dataset(dataset, "stop")
    samples = [dataset.read(index) for index in range(len(dataset))]
    return run, [(segmenter(Batch((sample,))).scores, sample) for sample in samples]


@pytest.mark.parametrize("size", [1, 3])
def test_counts_equal_those_of_the_command(tmp_path: Path, size: int) -> None:
    run, outputs = sample_run(3)
    scores = Scores(run.labels, tolerance="3,0.02d", calibration=True, per_image=True)
    for first in range(0, 3, size):
        chosen = outputs[first : first + size]
        labels = torch.stack([torch.from_numpy(sample.labels) for _, sample in chosen])
        scores.update(torch.cat([logits for logits, _ in chosen]), labels, [sample.name for _, sample in chosen])
    ours, theirs = to_arrays(load_run(scores.as_run(tmp_path / "run"))), to_arrays(run)
    assert ours.keys() == theirs.keys()
    for name in theirs.keys() - {"label_hashes"}:
        assert ours[name].dtype == theirs[name].dtype
        np.testing.assert_array_equal(ours[name], theirs[name], name)


def test_label_maps_count_as_their_logits() -> None:
    maps = [(logits.argmax(1), labels) for logits, labels in batches()]
    ours, theirs = (counted(parts, tolerance=3, per_image=True).evaluation() for parts in (maps, batches()))
    one, other = to_arrays(ours.run), to_arrays(theirs.run)
    assert one.keys() == other.keys()
    assert all(np.array_equal(one[name], other[name]) for name in one)


@pytest.mark.parametrize(
    ("kind", "ignore"),
    [
        (kind, ignore)
        for kind in (torch.uint8, torch.int16, torch.int32, torch.int64)
        for ignore in (255, -1, 0)
        if ignore >= 0 or kind != torch.uint8
    ],
)
def test_labels_of_any_integer_type_and_any_ignored_code(kind: torch.dtype, ignore: int) -> None:
    labels = torch.tensor([[[0, 1, 2, 3]]])
    labels = torch.where(labels == 3, ignore, labels).to(kind)
    scores = Scores(4, ignore_index=ignore)
    scores.update(torch.tensor([[[0, 1, 1, 2]]]), labels)
    overall = scores.compute().overall
    left_out = int((labels == ignore).sum())
    assert overall.pixels == 4 - left_out
    assert overall.pixel_accuracy == pytest.approx({0: 1 / 2}.get(ignore, 2 / 3))


def test_predictions_outside_the_classes_are_wrong() -> None:
    scores = Scores(3)
    scores.update(np.array([[0, 7, -1, 300]]), np.array([[0, 1, 2, 255]]))
    assert scores.compute().overall.pixel_accuracy == pytest.approx(1 / 3)
    scores.reset()
    scores.update(torch.tensor([[[0.0]], [[0.0]], [[0.0]], [[1.0]]]), torch.tensor([[0]]))  # a fourth channel
    assert scores.compute().overall.pixel_accuracy == 0


def test_boundary_scores_are_those_of_the_oracle() -> None:
    ((logits, labels),) = batches(size=6)
    pairs = [(labels[i].numpy().astype(np.uint8), logits[i].argmax(0).numpy().astype(np.uint8)) for i in range(6)]
    found = [each.boundary_f["2"] for each in counted(batches(), tolerance=2).compute().classes]
    sums = sum(slow_sums(*pair, CLASSES, 2) for pair in pairs)
    assert found == pytest.approx([slow_f(*sums[:, index]) for index in range(CLASSES)])


def test_batches_of_any_size_in_any_order_count_alike() -> None:
    options = {"tolerance": (1, "0.05d"), "calibration": True}
    one = counted(batches(size=1), **options).compute()
    assert one == counted(batches(size=4), **options).compute()
    assert one == counted(batches(size=2)[::-1], **options).compute()


@pytest.mark.parametrize("per_image", [False, True])
def test_merged_scores_are_those_of_one(per_image: bool) -> None:
    options = {"tolerance": 3, "calibration": True, "per_image": per_image}
    whole, parts = counted(batches(), **options), [counted([part], **options) for part in batches()]
    assert (parts[0] + parts[1] + parts[2]).compute() == whole.compute()
    assert sum(parts).compute() == whole.compute()  # type: ignore[union-attr]
    assert parts[2].merge(parts[0], parts[1]).compute() == whole.compute()
    assert parts[0].compute() != whole.compute(), "the others are not changed"


@pytest.mark.parametrize("per_image", [False, True])
def test_scores_pickle_and_go_through_torch_save(per_image: bool) -> None:
    options = {"tolerance": 3, "calibration": True, "per_image": per_image}
    scores = counted(batches(), **options)
    assert pickle.loads(pickle.dumps(scores)).compute() == scores.compute()
    buffer = BytesIO()
    torch.save(scores.state_dict(), buffer)
    buffer.seek(0)
    again = Scores(CLASSES, **options)
    again.load_state_dict(torch.load(buffer, weights_only=True))
    assert again.compute() == scores.compute()
    again.update(*batches()[0])
    assert again.compute().overall.images == 8
    with pytest.raises(RunError, match="count something else; create these with the same arguments"):
        Scores(CLASSES).load_state_dict(scores.state_dict())


def test_reset_forgets_everything() -> None:
    scores = counted(batches(), per_image=True, tolerance=3)
    scores.reset()
    assert math.isnan(scores.compute().overall.miou)
    assert scores.compute().overall.images == 0
    assert repr(scores) == "Scores(5 classes, 0 images)"
    with pytest.raises(RunError, match="nothing was counted yet"):
        scores.evaluation()


def test_scores_that_count_other_things_are_not_merged() -> None:
    with pytest.raises(RunError, match="count different things"):
        Scores(3) + Scores(4)
    with pytest.raises(RunError, match="count different things"):
        Scores(3).merge(Scores(3, tolerance=3))
    with pytest.raises(TypeError, match="only Scores can be merged, not int"):
        Scores(3).merge(3)  # type: ignore[arg-type]


def test_a_named_image_counts_once_and_only_with_equal_results() -> None:
    logits, labels = batches()[0]
    first, second = Scores(CLASSES, per_image=True, tolerance=1), Scores(CLASSES, per_image=True, tolerance=1)
    first.update(logits, labels, ["a", "b"])
    second.update(logits[1:], labels[1:], ["b"])  # as DistributedSampler pads
    assert (first + second).compute() == first.compute()
    with pytest.raises(RunError, match=r"image 'a' was counted before; call reset\(\)"):
        first.update(logits[:1], labels[:1], ["a"])
    third = Scores(CLASSES, per_image=True, tolerance=1)
    third.update(logits[1:].flip(1), labels[1:], ["b"])
    with pytest.raises(RunError, match="image 'b' was counted twice, with different results"):
        first + third
    with pytest.raises(ValueError, match="pass per_image=True to Scores"):
        Scores(CLASSES).update(logits, labels, ["a", "b"])
    with pytest.raises(ValueError, match="names must be 2 texts"):
        first.update(logits, labels, ["c"])


def test_conventions_by_name_are_those_of_the_counts() -> None:
    logits, labels = batches(size=6)[0]
    scores = counted(batches(), per_image=True)
    assert scores.under("segablate").miou == pytest.approx(scores.compute().overall.miou)
    ious = []
    for guess, label in zip(logits.argmax(1).numpy(), labels.numpy(), strict=True):
        table = table_of(guess, label)
        hits, labelled = table.diagonal(), table.sum(1)
        union = labelled + table.sum(0) - hits
        ious.append(np.mean([hits[c] / union[c] for c in range(CLASSES) if labelled[c]]))
    assert scores.under("monai").miou == pytest.approx(np.mean(ious))
    with pytest.raises(UsageError, match="monai is a mean over images; pass per_image=True"):
        counted(batches()).under("monai")
    assert counted(batches()).under("smp").miou == pytest.approx(scores.under("smp").miou)
    with pytest.raises(UsageError, match="no convention is called 'mmsegg'; did you mean 'mmseg'"):
        scores.under("mmsegg")
    with pytest.raises(UsageError, match="davis has boundaries of its own"):
        scores.under("davis")


def test_which_conventions_average_over_images() -> None:
    from segablate.api.conventions import averages_images
    from segablate.metrics.conventions import REGIONS, VOIDS

    found = {each.name for each in (*REGIONS, *VOIDS) if averages_images(each)}
    assert found == {"torchmetrics-mean-iou", "torchmetrics-one-hot", "monai", "monai-keep-empty", "kornia", "nnunet"}


def test_bad_input_is_one_clear_line() -> None:
    scores = Scores(3)
    logits, labels = torch.zeros(2, 3, 4, 4), torch.zeros(2, 4, 4, dtype=torch.long)
    with pytest.raises(ValueError, match="labels must be class indices of an integer type, not float32"):
        scores.update(logits, labels.float())
    with pytest.raises(ValueError, match="predictions are 2 3 4 4 but labels are 2 8 8; resize the logits"):
        scores.update(logits, torch.zeros(2, 8, 8, dtype=torch.long))
    with pytest.raises(ValueError, match=r"logits N K H W or classes N H W, not torch.int64 of 2 3 4 4"):
        scores.update(logits.long(), labels)
    with pytest.raises(ValueError, match="logits have 2 channels, too few for 3 classes"):
        scores.update(logits[:, :2], labels)
    with pytest.raises(LabelError, match=r"image 1: 16 pixels with a code outside 0..2 \(void is 255\)"):
        scores.update(logits, torch.stack([labels[0], labels[0] + 7]))
    with pytest.raises(CheckpointError, match="image 0: the logits are NaN"):
        scores.update(logits * math.nan, labels)
    with pytest.raises(ValueError, match="calibration needs logits, but predicted are classes"):
        Scores(3, calibration=True).update(labels, labels)
    assert scores.compute().overall.images == 0, "nothing of a refused batch is counted"
    with pytest.raises(TypeError, match="predicted must be a tensor or an array of numbers, not str"):
        scores.update("road", labels)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"classes": 0}, "has 0 classes"),
        ({"classes": "road"}, "give a list of names"),
        ({"classes": ["a", "a"]}, "class names must differ"),
        ({"classes": 3, "tolerance": "3x"}, "tolerance is '3x'"),
        ({"classes": 3, "tolerance": -1}, "must be between 0 and 1000"),
        ({"classes": 3, "calibration": "brier"}, "must be True, False or 'ece'"),
        ({"classes": 3, "output": "logits"}, "must be 'softmax', 'sigmoid' or 'probabilities'"),
    ],
)
def test_bad_options_are_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises((segablate.SegablateError, ValueError), match=message):
        Scores(**options)


def test_one_channel_is_two_classes() -> None:
    one, two = Scores(2, output="sigmoid"), Scores(2)
    z = torch.tensor([[[[-3.0, 0.5, 2.0]]]])
    labels = torch.tensor([[[0, 0, 1]]])
    one.update(z, labels)
    two.update(torch.cat([-z, z], dim=1), labels)
    assert one.compute().overall.miou == two.compute().overall.miou == pytest.approx(0.5)


@pytest.mark.parametrize("kind", [torch.float16, torch.bfloat16, torch.float64])
def test_scores_of_any_precision_and_layout(kind: torch.dtype) -> None:
    ((logits, labels),) = batches(size=6)
    half = logits.to(kind).to(memory_format=torch.channels_last)
    assert counted([(half, labels)]).compute() == counted([(logits.to(kind).float(), labels)]).compute()


def test_infinite_scores_are_large_ones() -> None:
    logits = torch.tensor([[[[math.inf]], [[0.0]]]])
    scores = Scores(2, calibration=True)
    scores.update(logits, torch.tensor([[[0]]]))
    overall = scores.compute().overall
    assert (overall.miou, overall.ece, overall.nll) == (1, 0, 0)


def test_an_update_leaves_no_trace_on_its_tensors_and_on_torch() -> None:
    logits, labels = batches()[0]
    logits = logits.clone().requires_grad_()
    before = logits.detach().clone()
    counted([(logits * 1, labels)], tolerance=3, calibration=True)
    assert torch.equal(logits, before)
    assert torch.is_grad_enabled()
    with torch.inference_mode():
        counted([(before * 1, labels)], calibration=True)
    with torch.autocast("cpu", torch.bfloat16):
        assert (
            counted([(before, labels)], calibration=True).compute()
            == counted([(before, labels)], calibration=True).compute()
        )


def test_a_compiled_model_and_loop_are_counted() -> None:
    model = torch.nn.Conv2d(3, CLASSES, 1)
    images, labels = torch.randn(2, 3, 37, 50), batches()[0][1]
    compiled = torch.compile(model, backend="eager")
    scores = Scores(CLASSES, calibration=True)
    with torch.no_grad():
        step = torch.compile(lambda images, labels: scores.update(compiled(images), labels), backend="eager")
        step(images, labels)
        assert scores.compute() == counted([(model(images), labels)], calibration=True).compute()


def test_on_a_gpu_an_update_waits_for_nothing_and_counts_alike(monkeypatch: pytest.MonkeyPatch) -> None:
    logits, labels = batches()[0]
    options = {"tolerance": 3, "calibration": True, "per_image": True}
    maps = [(logits.argmax(1), labels)]
    expected = [counted([(logits, labels)], **options), counted(maps, tolerance=3, per_image=True)]
    form_for_a_gpu(monkeypatch)
    with Waits() as waits:
        found = [counted([(logits, labels)], **options), counted(maps, tolerance=3, per_image=True)]
    assert waits.found == []
    for ours, theirs in zip(found, expected, strict=True):
        one, other = to_arrays(ours.evaluation().run), to_arrays(theirs.evaluation().run)
        assert all(np.array_equal(one[name], other[name]) for name in other)


def test_on_a_gpu_what_is_wrong_is_told_when_it_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("segablate.evaluation.copying.Copy.done", property(lambda self: False))
    form_for_a_gpu(monkeypatch)
    scores = Scores(3)
    scores.update(torch.zeros(1, 3, 4, 4), torch.full((1, 4, 4), 9))
    with pytest.raises(LabelError, match="image 0: 16 pixels with a code outside"):
        scores.compute()
    scores.update(torch.full((1, 3, 4, 4), math.nan), torch.zeros(1, 4, 4, dtype=torch.long))
    with pytest.raises(CheckpointError, match="NaN"):
        scores.compute()


def test_checksums_tell_label_maps_apart_and_do_not_depend_on_the_batch() -> None:
    from segablate.kernels.checksum import checksums

    maps = torch.from_numpy(batch_of(3).labels)
    together = checksums(maps)
    assert torch.equal(together, torch.cat([checksums(each[None]) for each in maps]))
    moved = maps[:1].clone()
    moved[0, 0, 0], moved[0, 0, 8] = maps[0, 0, 8], (maps[0, 0, 0] + 1) % 3
    turned = maps[:1].reshape(1, 50, 37)
    found = [tuple(each.tolist()) for each in (*together, checksums(moved)[0], checksums(turned)[0])]
    assert len(set(found)) == 5


PROCESSES = """
import sys, torch, torch.distributed as dist
sys.path[:0] = [{tests!r}, {root!r}]
from test_scores import batches, Scores, CLASSES

rank = int(sys.argv[1])
dist.init_process_group("gloo", init_method="file://{folder}/meet", rank=rank, world_size=2)
scores = Scores(CLASSES, tolerance=3, calibration=True, per_image=True)
for place, (logits, labels) in enumerate(batches(images=6, size=1)):
    if place % 2 == rank or place == 0:  # image 0 is seen by both, as DistributedSampler pads
        scores.update(logits, labels, [f"i{{place}}"])
own = scores.compute(distributed=False).overall.images
print(own, int(scores.confusion().sum()), scores.under("torchmetrics").miou, repr(scores.compute()))
scores.as_run("{folder}/run")
dist.destroy_process_group()
"""


def test_two_processes_count_what_one_counts(tmp_path: Path) -> None:
    script = tmp_path / "loop.py"
    script.write_text(PROCESSES.format(tests=str(TESTS), root=str(TESTS.parent), folder=tmp_path))
    started = [
        subprocess.Popen([sys.executable, str(script), str(rank)], stdout=subprocess.PIPE, text=True) for rank in (0, 1)
    ]
    said = [process.communicate(timeout=600)[0].strip() for process in started]
    whole = counted(batches(images=6), tolerance=3, calibration=True)
    one = f"{int(whole.confusion().sum())} {whole.under('torchmetrics').miou} {whole.compute()!r}"
    assert said == [f"3 {one}", f"4 {one}"]
    run = load_run(tmp_path / "run")
    assert sorted(run.names) == [f"i{place}" for place in range(6)]


def test_a_writer_gets_every_number() -> None:
    class Writer:
        def __init__(self) -> None:
            self.given: dict[str, tuple[float, int]] = {}

        def add_scalar(self, tag: str, value: float, step: int) -> None:
            self.given[tag] = value, step

    writer, scores = Writer(), counted(batches(), tolerance="0.0075d")
    summary = scores.log_to(writer, 7)
    assert writer.given["val/miou"] == (summary.overall.miou, 7)
    assert writer.given["val/boundary_f_0_0075d"] == (summary.overall.boundary_f["0.0075d"], 7)
    assert writer.given["val/iou/class 2"] == (summary.classes[2].iou, 7)
    assert "val/ece" not in writer.given, "an undefined number is left out"
