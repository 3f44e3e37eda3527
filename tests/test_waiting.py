"""On a GPU the host waits once for a batch: for the copy of all its sums. Measures there equal those on the CPU."""

import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import replace
from itertools import count
from typing import Any

import numpy as np
import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from segablate import Scores
from segablate.checkpoints import outputs
from segablate.checkpoints.inference import Inference
from segablate.checkpoints.network import Network
from segablate.checkpoints.preprocessing import Preprocessing
from segablate.checkpoints.segmenter import Source
from segablate.evaluation import score_reading
from segablate.evaluation.alignment import Alignment
from segablate.evaluation.clock import TimedSegmenter
from segablate.evaluation.measures import Measures
from segablate.evaluation.results import ImageRecord
from segablate.evaluation.score_measures import measure_readings
from segablate.evaluation.score_reading import read_scores
from segablate.evaluation.scores import whole_scores
from segablate.kernels import tally
from segablate.labels import IGNORE, LabelSet
from segablate.losses import get_loss
from segablate.metrics import calibration_on_device
from segablate.metrics.probability_bins import bins_of, ends_of_bins
from segablate.metrics.tolerance import Tolerance
from segablate.runtime import to_host
from segablate.samples import Batch, Output, Sample

CLASSES, SIZE = 5, (37, 50)
PLAIN = Alignment(tuple(range(CLASSES)), CLASSES)

WAITING = (
    "_local_scalar_dense",
    "nonzero",
    "_unique2",
    "unique_dim",
    "unique_consecutive",
    "bincount",
    "masked_select",
)
"""Operations whose result has a size or is a number that only the GPU knows."""


def default(**further: Any) -> Measures:
    return Measures({"ce": get_loss("ce")}, (Tolerance(3),), calibration=True, **further)


def batch_of(images: int, size: tuple[int, int] = SIZE, classes: int = CLASSES) -> Batch:
    rng = np.random.default_rng(3)
    samples = []
    for index in range(images):
        labels = np.kron(rng.integers(0, classes, (-(-size[0] // 8), -(-size[1] // 9))), np.ones((8, 9)))
        labels = labels[: size[0], : size[1]].astype(np.uint8)
        labels[rng.random(size) < 0.04] = IGNORE
        image = rng.integers(0, 256, (*size, 3), dtype=np.uint8)
        samples.append(Sample(index, f"s{index}", image, labels, "0" * 16))
    return Batch(tuple(samples))


def scores_for(batch: Batch, outputs: int = CLASSES) -> torch.Tensor:
    """Moderately good scores, with equal ones."""
    target = torch.from_numpy(batch.labels).long().clamp(max=outputs - 1)
    favour = torch.nn.functional.one_hot(target, outputs).permute(0, 3, 1, 2)
    noise = torch.randn(favour.shape, generator=torch.Generator().manual_seed(5))
    return ((2 * favour + 2 * noise) * 4).round().div(4)


def measured(batch: Batch, output: Output, measures: Measures, alignment: Alignment = PLAIN) -> list[ImageRecord]:
    names = tuple("abcde"[: alignment.classes])
    labels = LabelSet("toy", names, tuple((code,) for code in range(len(names))))
    return list(measure_readings(read_scores(batch, output, alignment, measures), labels, measures))


def form_for_a_gpu(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(tally, "on_gpu", lambda tensor: True)


class Waits(TorchDispatchMode):
    """Records operations for which the host waits for a GPU."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        name = func._schema.name.removeprefix("aten::")
        places = args[1] if name in ("index", "index_put", "index_put_") else ()
        masks = any(place is not None and place.dtype in (torch.bool, torch.uint8) for place in places)
        moved = name == "_to_copy" and (kwargs or {}).get("device") not in (None, args[0].device)
        if name in WAITING or masks or moved:
            self.found.append(name)
        return func(*args, **(kwargs or {}))


@contextmanager
def counted_copies(patch: pytest.MonkeyPatch) -> Iterator[list[int]]:
    """Count calls of to_host; outside it nothing may read a tensor on the host."""
    copies: list[int] = []
    reading = {name: getattr(torch.Tensor, name) for name in ("numpy", "tolist", "cpu")}

    def refuse(*given: object, **_: object) -> None:
        raise AssertionError("the host reads a tensor beside the one copy")

    def copy(tensors: Any) -> Any:
        copies.append(len(tensors))
        with pytest.MonkeyPatch.context() as allowed:
            for name, method in reading.items():
                allowed.setattr(torch.Tensor, name, method)
            return to_host(tensors)

    patch.setattr(score_reading, "to_host", copy)
    for name in reading:
        patch.setattr(torch.Tensor, name, refuse)
    yield copies


@pytest.mark.parametrize(
    "further", [{}, {"boundary_iou": Tolerance(3)}, {"tolerances": (Tolerance(1), Tolerance(5))}], ids=str
)
def test_nothing_is_waited_for_but_one_copy(further: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    batch = batch_of(3)
    output = Output("softmax", scores_for(batch))
    measures = replace(default(), **further)
    form_for_a_gpu(monkeypatch)
    with monkeypatch.context() as patch, counted_copies(patch) as copies, Waits() as waits:
        measured(batch, output, measures)
    assert (waits.found, copies) == ([], [3])


def test_waits_are_noticed() -> None:
    values = torch.arange(4)
    with Waits() as waits:
        float(values.sum())
        values.nonzero()
        values[values > 1]
        values.unique()
        torch.bincount(values)
        values.masked_select(values > 2)
        values[torch.tensor([0, 2])]
    expected = ["_local_scalar_dense", "nonzero", "index", "_unique2", "bincount", "masked_select"]
    assert waits.found == expected


@pytest.mark.parametrize(
    "alignment",
    [PLAIN, Alignment((1, 0, None, 2, 3, 4, 4), CLASSES), Alignment((0, 1, 2, 3, 4, None), CLASSES)],
    ids=["plain", "mapped", "leading"],
)
@pytest.mark.parametrize("kind", ["softmax", "sigmoid", "probabilities"])
@pytest.mark.parametrize("cells", [1, 100, 1 << 22])
def test_the_form_for_a_gpu_counts_as_that_of_the_host(
    alignment: Alignment, kind: str, cells: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    batch = batch_of(2)
    scores = scores_for(batch, len(alignment.outputs))
    scores = scores.softmax(1) if kind == "probabilities" else scores
    output = Output(kind, scores)  # type: ignore[arg-type]
    measures = default(boundary_iou=Tolerance(3))
    host = measured(batch, output, measures, alignment)
    form_for_a_gpu(monkeypatch)
    monkeypatch.setattr(tally, "_CELLS", cells)
    monkeypatch.setattr(calibration_on_device, "_AT_ONCE", min(2 * cells, 2 * 37 * 50))
    assert_same(measured(batch, output, measures, alignment), host)


def test_of_two_classes_the_ranking_too(monkeypatch: pytest.MonkeyPatch) -> None:
    batch = batch_of(2, classes=2)
    output, alignment = Output("softmax", scores_for(batch, 2)), Alignment((0, 1), 2)
    host = measured(batch, output, default(), alignment)
    assert "score_bins" in host[0].statistics
    form_for_a_gpu(monkeypatch)
    assert_same(measured(batch, output, default(), alignment), host)


@pytest.mark.parametrize("size", [(1, 1), (1, 30), (30, 1), (3, 2)])
def test_small_images(size: tuple[int, int], monkeypatch: pytest.MonkeyPatch) -> None:
    batch = batch_of(2, size)
    output = Output("softmax", scores_for(batch))
    host = measured(batch, output, default())
    form_for_a_gpu(monkeypatch)
    assert_same(measured(batch, output, default()), host)


@pytest.mark.parametrize("tolerance", [3, 9])
def test_losses_of_the_whole_map_and_infinite_scores(tolerance: float, monkeypatch: pytest.MonkeyPatch) -> None:
    """Losses are computed before it is known that a score is infinite; then the image is read again."""
    batch = batch_of(3)
    scores = scores_for(batch)
    scores[1, 2, 5, 7], scores[1, 3, 6, 7] = float("inf"), -float("inf")
    names = ("ce", "dice", "rmi", "lovasz", "abl")
    measures = Measures({name: get_loss(name) for name in names}, (Tolerance(tolerance),), calibration=True)
    host = measured(batch, Output("softmax", scores), measures)
    form_for_a_gpu(monkeypatch)
    found = measured(batch, Output("softmax", scores), measures)
    assert [int(one.statistics["infinite"]) for one in found] == [0, 2, 0]
    assert_same(found, host)
    assert all(np.isfinite(list(one.values.values())).all() for one in found)


def assert_same(found: list[ImageRecord], host: list[ImageRecord]) -> None:
    """Counts are equal; sums of calibration as well, but for what a softmax of another block of rows rounds."""
    for one, other in zip(found, host, strict=True):
        np.testing.assert_array_equal(one.confusion.dense(0), other.confusion.dense(0))
        assert one.values.keys() == other.values.keys()
        for name, value in one.values.items():
            assert value == pytest.approx(other.values[name], rel=1e-6, abs=5e-8, nan_ok=True), name
        assert_same_boundaries(one, other)
        assert one.statistics.keys() == other.statistics.keys()
        for name, array in one.statistics.items():
            assert array.dtype == other.statistics[name].dtype, name
            np.testing.assert_allclose(array, other.statistics[name], rtol=1e-6, atol=1e-5, err_msg=name)


def assert_same_boundaries(one: ImageRecord, other: ImageRecord) -> None:
    assert one.boundary is not None
    assert other.boundary is not None
    for name, column in one.boundary.to_arrays().items():
        np.testing.assert_array_equal(column, other.boundary.to_arrays()[name], err_msg=name)


def test_bins_end_where_they_do_on_the_host() -> None:
    ends = torch.from_numpy(ends_of_bins())
    near = (ends[:, None] + torch.arange(-4, 5)).flatten()
    values = torch.cat([near, torch.randint(0, 2**24 + 1, (100_000,)).float(), torch.tensor([0.0, 1.0, 2.0**24])])
    assert torch.equal(torch.bucketize(values, ends), bins_of(values))
    assert torch.equal(bins_of(ends), torch.arange(14))
    assert torch.equal(bins_of(ends + 1), torch.arange(1, 15))


def test_the_path_of_a_gpu_waits_nowhere_and_mixes_no_devices(monkeypatch: pytest.MonkeyPatch) -> None:
    """Tensors that have a device and a shape but no values: what needs a value, or a tensor elsewhere, raises."""
    form_for_a_gpu(monkeypatch)
    monkeypatch.setattr(torch, "autocast", lambda *device, **options: nullcontext())
    monkeypatch.setattr(torch.Tensor, "pin_memory", lambda tensor: tensor)
    monkeypatch.setattr(score_reading, "to_host", lambda tensors: [shaped(named) for named in tensors])
    batch = batch_of(2)
    alignments = (PLAIN, Alignment((1, 0, None, 2, 3, 4, 4), CLASSES), Alignment((0, 1), 2))
    for alignment in alignments:
        scores = torch.empty(2, len(alignment.outputs), *SIZE, device="meta")
        for kind in ("softmax", "sigmoid", "probabilities"):
            output = Output(kind, scores)  # type: ignore[arg-type]
            (first, _) = measured(batch, output, default(boundary_iou=Tolerance(3)), alignment)
            assert first.confusion.dense(0).shape == (alignment.classes + 1,) * 2
            assert first.boundary is not None


def test_a_network_on_a_gpu_waits_nowhere(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.Tensor, "pin_memory", lambda tensor: tensor)
    monkeypatch.setattr(outputs, "_tensor", lambda chosen: chosen)  # which refuses tensors without values
    whole, windows = (replace(network("meta"), inference=inference) for inference in (Inference(), Inference((16, 16))))
    for segmenter in (whole, windows):
        segmenter.known.outside = True
        assert whole_scores(segmenter(batch_of(2))).shape == (2, CLASSES, *SIZE)


def shaped(named: dict[str, torch.Tensor]) -> dict[str, np.ndarray]:
    assert all(tensor.is_meta for tensor in named.values())
    kinds = {name: str(tensor.dtype).removeprefix("torch.") for name, tensor in named.items()}
    return {name: np.zeros(tuple(tensor.shape), kinds[name]) for name, tensor in named.items()}


def network(device: str = "cpu") -> Network:
    torch.manual_seed(0)
    module = torch.nn.Conv2d(3, CLASSES, 3, padding=1).to(device)
    return Network(module, Preprocessing(mean=(0.5, 0.4, 0.3)), Source("n"), device=torch.device(device))


def test_a_network_waits_until_a_value_was_seen_outside_the_range_of_probabilities() -> None:
    batch, segmenter = batch_of(2), network()
    with Waits() as waits:
        segmenter(batch)
        assert waits.found  # the first time
        waits.found.clear()
        segmenter(batch)
    assert waits.found == []


def test_times_on_a_gpu_are_read_at_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    read: list[int] = []
    moments = count()

    class Event:
        def __init__(self, enable_timing: bool) -> None:
            assert enable_timing

        def record(self, stream: object) -> None:
            self.moment = next(moments)

        def synchronize(self) -> None:
            read.append(self.moment)

        def elapsed_time(self, end: "Event") -> float:
            return 30.0 * (end.moment - self.moment)

    monkeypatch.setattr(torch.cuda, "Event", Event)
    monkeypatch.setattr(torch.cuda, "current_stream", lambda device: device)
    timed = TimedSegmenter(_on_cuda(network()))
    for _ in range(3):
        timed(batch_of(2))
    assert read == []
    assert timed.facts(2) == {"timing": {"milliseconds per image": pytest.approx(15), "batch size": 2}}
    assert read == [1, 3, 5]


def _on_cuda(segmenter: Network) -> Any:
    """A segmenter that says it runs on a GPU."""

    class Claims:
        capabilities = replace(segmenter.capabilities, device="cuda:0")

        def __call__(self, batch: Batch) -> Output:
            return segmenter(batch)

    return Claims()


@pytest.mark.gpu
def test_cuda_waits_once_for_a_batch() -> None:
    """Also by its own count; copies to the GPU are asynchronous."""
    batch, segmenter, measures = batch_of(4, (256, 512)), network("cuda"), default()
    for _ in range(2):
        measured(batch, segmenter(batch), measures)
    assert waits_of(lambda: measured(batch, segmenter(batch), measures)) < 2


def waits_of(run: Callable[[], object]) -> int:
    """Return the number of warnings of torch about synchronising operations during a run."""
    torch.cuda.synchronize()
    with warnings.catch_warnings(record=True) as found:
        warnings.simplefilter("always")
        torch.cuda.set_sync_debug_mode("warn")
        try:
            run()
        finally:
            torch.cuda.set_sync_debug_mode("default")
    return sum("called a synchronizing CUDA operation" in str(warning.message) for warning in found)


@pytest.mark.gpu
@pytest.mark.parametrize(
    "options", [{}, {"tolerance": 3, "calibration": True, "per_image": True}], ids=["plain", "all"]
)
def test_cuda_scores_wait_for_nothing_and_count_as_the_cpu_does(options: dict[str, Any]) -> None:
    batch = batch_of(4, (256, 512))
    logits, labels = scores_for(batch), torch.from_numpy(np.stack([sample.labels for sample in batch.samples])).long()
    there, host = Scores(CLASSES, **options), Scores(CLASSES, **options)
    maps = logits.cuda(), labels.cuda()
    for _ in range(2):
        there.update(*maps)
    assert waits_of(lambda: there.update(*maps)) == 0
    for _ in range(3):
        host.update(logits, labels)
    assert np.array_equal(there.confusion(), host.confusion())
    found, expected = there.compute().as_dict(), host.compute().as_dict()
    assert found == pytest.approx(expected, rel=1e-5, nan_ok=True)


@pytest.mark.gpu
@pytest.mark.parametrize("kind", ["softmax", "sigmoid"])
def test_cuda_measures_as_the_cpu_does(kind: str) -> None:
    batch, measures = batch_of(3, (120, 200)), default(boundary_iou=Tolerance(3))
    scores = scores_for(batch)
    host = measured(batch, Output(kind, scores), measures)  # type: ignore[arg-type]
    found = measured(batch, Output(kind, scores.cuda()), measures)  # type: ignore[arg-type]
    for one, other in zip(found, host, strict=True):
        np.testing.assert_array_equal(one.confusion.dense(0), other.confusion.dense(0))
        assert_same_boundaries(one, other)
        for name in ("bands", "boundary_iou"):
            np.testing.assert_array_equal(one.statistics[name], other.statistics[name], err_msg=name)
        assert one.values["ce"] == pytest.approx(other.values["ce"], rel=1e-5)
