"""The loop counts what a plain loop counts, whatever the batches and processes, and loses nothing on bad input."""

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch
from conftest import scene, write_dataset

from segablate.checkpoints import open_checkpoint
from segablate.checkpoints.segmenter import Capabilities, Loading, Source
from segablate.datasets import Dataset, open_dataset
from segablate.errors import CheckpointError, SegablateError
from segablate.evaluation.alignment import Alignment
from segablate.evaluation.loop import evaluate
from segablate.evaluation.measures import Measures
from segablate.evaluation.results import Evaluation
from segablate.evaluation.scores import class_logits, highest_scores, in_planes
from segablate.kernels import tally
from segablate.losses import get_loss
from segablate.metrics.confusion import count_confusion
from segablate.metrics.tolerance import Tolerance
from segablate.samples import Batch, Output

CPU = Loading(device="cpu")
MEASURES = Measures({"ce": get_loss("ce")}, (Tolerance(2),))


@dataclass(frozen=True)
class Fixed:
    """A segmenter on the host that predicts class 1 everywhere."""

    source: Source = field(default_factory=lambda: Source("fixed"))
    classes: None = None
    class_map: None = None
    capabilities: Capabilities = field(default_factory=lambda: Capabilities(images=False, scores=False, on_host=True))

    def for_dataset(self, dataset: Dataset, on_error: str) -> "Fixed":
        return self

    def __call__(self, batch: Batch) -> Output:
        return Output("labels", predicted=np.ones_like(batch.labels))


def run(spec: str, data: Dataset, **options: Any) -> Evaluation:
    return evaluate(open_checkpoint(spec, CPU), data, MEASURES, **options)


def same(a: Evaluation, b: Evaluation) -> bool:
    arrays = ("image", "label", "predicted", "pixels")
    return (
        a.names == b.names
        and all(np.array_equal(getattr(a.confusion, name), getattr(b.confusion, name)) for name in arrays)
        and all(np.array_equal(a.values[loss], b.values[loss]) for loss in a.values)
        and a.boundary is not None
        and b.boundary is not None
        and all(np.array_equal(x, b.boundary.to_arrays()[name]) for name, x in a.boundary.to_arrays().items())
    )


def test_counts_and_losses_equal_a_plain_loop(toy: Path, network_spec: str) -> None:
    data = open_dataset(f"folder:{toy}")
    found = run(network_spec, data)
    module = open_checkpoint(network_spec, CPU).module  # type: ignore[attr-defined]
    for index in range(len(data)):
        image, labels = scene(index)
        with torch.inference_mode():
            scores = module(torch.from_numpy(image).permute(2, 0, 1)[None] / 255)
        predicted = scores.argmax(1)[0].numpy().astype(np.uint8)
        assert np.array_equal(found.confusion.dense(index), count_confusion(labels, predicted, 4))
        loss = torch.nn.functional.cross_entropy(scores, torch.from_numpy(labels)[None].long(), ignore_index=255)
        assert found.values["ce"][index] == pytest.approx(float(loss), rel=1e-5)
    assert found.names == data.names
    assert found.sizes.tolist() == [[24, 32]] * 6


def test_batches_and_processes_change_nothing(tmp_path: Path, network_spec: str) -> None:
    data = open_dataset(f"folder:{write_dataset(tmp_path / 'mixed', 11, ((24, 32), (17, 19), (24, 33)))}")
    reference = run(network_spec, data, batch_size=1, workers=0)
    for batch_size, workers in ((3, 0), (16, 0), (4, 2)):
        assert same(reference, run(network_spec, data, batch_size=batch_size, workers=workers))


@pytest.mark.usefixtures("processes_at_once")
def test_label_maps_are_measured_where_they_are_read(toy: Path) -> None:
    data = open_dataset(f"folder:{toy}")
    here, there = (evaluate(Fixed(), data, MEASURES, workers=workers) for workers in (0, 2))
    assert same(here, there)
    assert here.confusion.total()[:, [0, 2, 3, 4]].sum() == 0
    assert here.values == {}


def test_one_broken_image_stops_or_is_skipped(toy: Path, network_spec: str) -> None:
    (toy / "labels/val/s3.png").write_bytes((toy / "labels/val/s3.png").read_bytes()[:40])
    data = open_dataset(f"folder:{toy}")
    with pytest.raises(SegablateError, match=r"s3\.png"):
        run(network_spec, data)
    found = run(network_spec, data, on_error="skip", batch_size=4)
    assert found.names == ("s0", "s1", "s2", "s4", "s5")
    assert [skipped.name for skipped in found.skipped] == ["s3"]
    assert "s3.png" in found.skipped[0].reason


def test_nothing_left_is_an_error(toy: Path, network_spec: str) -> None:
    for path in (toy / "labels/val").iterdir():
        path.write_bytes(b"")
    with pytest.raises(SegablateError, match=r"no image of 6 could be measured; first: .*s0\.png"):
        run(network_spec, open_dataset(f"folder:{toy}"), on_error="skip")


def test_nan_logits_name_the_image(toy: Path, network_file: Path) -> None:
    weights = network_file.with_suffix(".pth")
    state = torch.load(weights)
    state["norm.running_var"][0] = -1  # the square root of a negative variance
    torch.save(state, weights)
    with pytest.raises(
        CheckpointError, match="the output of the network is NaN for s0; check its weights and preprocessing"
    ):
        run(f"python:{network_file}:small(4)@{weights}", open_dataset(f"folder:{toy}"))


def test_a_failing_image_does_not_take_its_batch_along(toy: Path, network_file: Path) -> None:
    spec = f"python:{network_file}:strict()@{network_file.with_suffix('.pth')}"
    for name, size in (("s6", (16, 32)), ("s7", (32, 16))):
        image, labels = scene(7, size)
        cv2.imwrite(str(toy / f"images/val/{name}.png"), image)
        cv2.imwrite(str(toy / f"labels/val/{name}.png"), labels)
    data = open_dataset(f"folder:{toy}")
    with pytest.raises(CheckpointError, match=r"fails on images of 24x32: .*pass --pad-to-multiple 32"):
        run(spec, data)
    found = run(spec, data, on_error="skip")
    assert found.names == ("s6", "s7")
    assert len(found.skipped) == 6
    padded = evaluate(
        open_checkpoint(spec, Loading(device="cpu", preprocessing={"pad_to_multiple": 16})), data, MEASURES
    )
    assert padded.images == 8


def test_fewer_outputs_than_classes(toy: Path, network_file: Path) -> None:
    exec(network_file.read_text(), code := {})
    torch.save(code["small"](3).state_dict(), network_file.with_suffix(".pth"))
    with pytest.raises(CheckpointError, match="has 3 outputs but 'toy' has 4 classes; choose the dataset"):
        run(f"python:{network_file}:small(3)@{network_file.with_suffix('.pth')}", open_dataset(f"folder:{toy}"))


def test_more_outputs_than_classes_are_misses(toy: Path, network_file: Path) -> None:
    exec(network_file.read_text(), code := {})
    torch.manual_seed(1)
    network = code["small"](7)
    network.head.bias.data[5] += 100  # always an output outside the label set
    torch.save(network.state_dict(), network_file.with_suffix(".pth"))
    found = run(f"python:{network_file}:small(7)@{network_file.with_suffix('.pth')}", open_dataset(f"folder:{toy}"))
    total = found.confusion.total()
    assert total[:, :4].sum() == 0
    assert total[:, 4].sum() == 6 * 24 * 32
    assert any(
        "7 outputs for 4 classes: the last 3 outputs have no class in the label set" in note for note in found.notes
    )


def test_semeda_sees_nothing_of_outputs_outside_the_label_set(toy: Path, network_file: Path) -> None:
    exec(network_file.read_text(), code := {})
    network = code["small"](7)
    network.head.bias.data[4:] -= 1e4  # never predicted, so that softmaxes over 4 and over 7 outputs agree
    torch.save(network.state_dict(), network_file.with_suffix(".pth"))
    wide = open_checkpoint(f"python:{network_file}:small(7)@{network_file.with_suffix('.pth')}", CPU)
    state = {key: value[:4] if key.startswith("head") else value for key, value in network.state_dict().items()}
    torch.save(state, network_file.with_suffix(".pth"))
    narrow = open_checkpoint(f"python:{network_file}:small(4)@{network_file.with_suffix('.pth')}", CPU)
    torch.manual_seed(0)
    shapes = ((16, 4), (32, 16), (2, 32))
    layers = tuple((torch.randn(*shape, 3, 3) / 9, torch.randn(shape[0]) / 9) for shape in shapes)
    measures = Measures({"semeda": get_loss("semeda")}, inputs={"edge_net": layers})
    data = open_dataset(f"folder:{toy}")
    values = [evaluate(segmenter, data, measures).values["semeda"] for segmenter in (wide, narrow)]
    assert np.isfinite(values[0]).all()
    assert np.allclose(*values, rtol=1e-5)


def test_class_logits_put_classes_first_and_join_what_means_one_class() -> None:
    scores = torch.randn(2, 5, 3, 4, dtype=torch.float64)
    logits = class_logits(scores, "softmax", Alignment((1, None, 0, 1, None), 2))
    assert torch.equal(logits[:, 0], scores[:, 2])
    assert torch.allclose(logits.softmax(1)[:, 1], scores.softmax(1)[:, [0, 3]].sum(1))
    assert torch.equal(logits[:, 2:], scores[:, [1, 4]])
    assert class_logits(scores, "softmax", Alignment((0, 1, None, None, None), 2)) is scores
    probabilities = scores.softmax(1)
    assert torch.allclose(
        class_logits(probabilities, "probabilities", Alignment((0, 1, 2, 3, 4), 5)).exp(), probabilities
    )


def test_what_is_counted_on_a_device_is_what_the_host_counts(
    toy: Path, network_spec: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = open_dataset(f"folder:{toy}")
    measures = Measures({}, (Tolerance(2),), boundary_iou=Tolerance(3))
    host = evaluate(open_checkpoint(network_spec, CPU), data, measures)
    monkeypatch.setattr(tally, "on_gpu", lambda tensor: True)
    device = evaluate(open_checkpoint(network_spec, CPU), data, measures)
    assert same(device, host)
    assert host.statistics["boundary_iou"].any()
    assert np.array_equal(device.statistics["boundary_iou"], host.statistics["boundary_iou"])


@pytest.mark.gpu
def test_cuda_counts_as_the_cpu_does(toy: Path, network_spec: str) -> None:
    data = open_dataset(f"folder:{toy}")
    cuda = evaluate(open_checkpoint(network_spec, Loading(device="cuda")), data, MEASURES)
    cpu = run(network_spec, data)
    assert np.abs(cuda.confusion.total() - cpu.confusion.total()).sum() <= 2
    assert np.allclose(cuda.values["ce"], cpu.values["ce"], rtol=1e-4)


@pytest.mark.data
def test_the_published_camvid_scores(real_data: Path, tmp_path: Path) -> None:
    import yaml

    from segablate.metrics.confusion import class_counts, mean_iou, mean_recall, pixel_accuracy

    card = yaml.safe_load(Path("examples/espnet_camvid.yaml").read_text())
    card["source"] = card["source"].replace("espnet.py", str(Path("examples/espnet.py").resolve()))
    card["weights"] = str((real_data / "checkpoints/espnet_p_2_q_8_camvid.pth").resolve())
    (tmp_path / "card.yaml").write_text(yaml.safe_dump(card))
    found = evaluate(
        open_checkpoint(str(tmp_path / "card.yaml"), replace(CPU, trust_code=True)),
        open_dataset(f"camvid:{real_data / 'camvid'}"),
        Measures(),
    )
    counts = class_counts(found.confusion).total()
    with_void = class_counts(found.confusion, void_as_error=True).total()
    scores = [mean_iou(counts), mean_recall(counts), pixel_accuracy(counts), mean_iou(with_void)]
    assert [100 * float(score) for score in scores] == pytest.approx([70.103, 79.709, 92.683, 68.681], abs=0.005)


@pytest.mark.parametrize("kind", [torch.float32, torch.float64, torch.float16], ids=str)
@pytest.mark.parametrize("outputs", [1, 2, 12])
def test_rows_are_read_in_planes_whatever_the_layout_of_the_scores(outputs: int, kind: torch.dtype) -> None:
    scores = torch.randn(2, outputs, 13, 17, generator=torch.Generator().manual_seed(1)).to(kind)
    beside = scores.to(memory_format=torch.channels_last)
    part = torch.cat([scores, scores], dim=3)[..., 17:]
    for given in (scores, beside, part, scores.flip(2).flip(2), scores.mT.contiguous().mT):
        rows = in_planes(given[1][:, 3:11])
        assert rows.is_contiguous()
        assert torch.equal(rows, scores[1][:, 3:11])


def test_the_highest_score_is_the_argmax_the_first_of_equals() -> None:
    scores = torch.randint(0, 4, (2, 5, 13, 17), generator=torch.Generator().manual_seed(1)).float()
    scores[0, 2, 3, 4] = float("nan")
    alignment = Alignment((1, 0, None, 2, 0), 3)
    predicted, highest = highest_scores(scores, alignment)
    known = ~highest.isnan()
    assert (~known).nonzero().tolist() == [[0, 3, 4]]
    assert torch.equal(highest[known], scores.amax(1)[known])
    assert torch.equal(predicted[known], torch.tensor([1, 0, 255, 2, 0], dtype=torch.uint8)[scores.argmax(1)][known])
