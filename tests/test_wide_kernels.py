"""Kernels and measures of more than 255 classes, where class 255 is labelled and predicted, against the plain forms."""

from typing import Any

import numpy as np
import pytest
import torch
from test_waiting import assert_same, form_for_a_gpu
from wide_sets import VOID, label_map

from segablate.evaluation.alignment import Alignment
from segablate.evaluation.measures import Measures
from segablate.evaluation.results import ImageRecord, collect
from segablate.evaluation.score_measures import measure_readings
from segablate.evaluation.score_reading import read_scores
from segablate.kernels import (
    bands,
    bands_reference,
    boundary,
    boundary_dense,
    boundary_device,
    boundary_reference,
    confusion,
    error_kinds,
    error_kinds_reference,
)
from segablate.labels import LabelSet
from segablate.losses import get_loss
from segablate.metrics.bands import BANDS, band_map, band_maps_on_device, count_by_distance, nested_bands
from segablate.metrics.boundary import count_boundaries, merge
from segablate.metrics.calibration import count_calibration
from segablate.metrics.confusion import Confusion
from segablate.metrics.conventions.boundaries import BOUNDARIES
from segablate.metrics.tolerance import Tolerance
from segablate.metrics.trimap import COUNTS, count_trimap
from segablate.samples import Batch, Output, Sample

Maps = tuple[np.ndarray, np.ndarray]

both = pytest.mark.parametrize("classes", [256, 300, 847])


def pair(classes: int, seed: int = 0) -> Maps:
    """Labels with class 255, the last class and void; predictions of these, of no class, and void's own index."""
    labels, rng = label_map(seed, classes), np.random.default_rng([classes, seed])
    other = rng.choice([255, classes - 1, classes, 65534, VOID, 0], (11, 15)).repeat(4, 0).repeat(4, 1)
    predicted = np.where(rng.random(labels.shape) < 0.4, other, np.where(labels == VOID, 255, labels))
    return labels, predicted.astype(np.uint16)


def equal(found: Any, expected: Any) -> None:
    for one, other in zip(found, expected, strict=True):
        np.testing.assert_array_equal(one, other)


@both
def test_confusion(classes: int, monkeypatch: pytest.MonkeyPatch) -> None:
    labels, predicted = pair(classes)
    expected = confusion.count_confusion_plainly(labels, predicted, classes)
    found = confusion.count_confusion(labels, predicted, classes)
    np.testing.assert_array_equal(found, expected)
    assert found.shape == (classes + 1, classes + 1)
    assert found[255, 255] == ((labels == 255) & (predicted == 255)).sum() > 0
    assert found[classes].sum() == (labels == VOID).sum() > 0
    tensors = [torch.from_numpy(values.astype(np.int32))[None] for values in (labels, predicted)]
    np.testing.assert_array_equal(confusion.count_confusion_of_batch(*tensors, classes)[0], expected)
    form_for_a_gpu(monkeypatch)
    np.testing.assert_array_equal(confusion.count_confusion_of_batch(*tensors, classes)[0], expected)


@both
@pytest.mark.parametrize("reach", [4, 25, 150])
def test_boundary_distances(classes: int, reach: int) -> None:
    labels, predicted = pair(classes)
    expected = boundary_reference.boundary_distances(labels, predicted, classes, reach)
    assert 255 in expected.class_index
    equal(boundary.boundary_distances(labels, predicted, classes, reach), expected)
    known = boundary.boundary_map(labels, labels)
    assert known.dtype == np.uint16
    equal(boundary.boundary_distances(labels, predicted, classes, reach, known), expected)
    tensors = [torch.from_numpy(values.astype(np.int32)) for values in (labels, predicted)]
    equal(boundary_device.boundary_distances_on_device(*tensors, classes, reach), expected)
    equal(boundary_device.search(*tensors, classes, reach), expected)
    if reach <= boundary_dense.REACH:
        table = boundary_dense.boundary_tables(*(tensor[None] for tensor in tensors), classes, reach)[0]
        equal(boundary_dense.unpacked(table.numpy(), reach), expected)


@both
@pytest.mark.parametrize("width", [1, 3])
def test_bands_and_kinds_of_errors(classes: int, width: int, monkeypatch: pytest.MonkeyPatch) -> None:
    labels, predicted = pair(classes)
    expected = bands_reference.count_boundary_bands(labels, predicted, classes, width)
    np.testing.assert_array_equal(bands.count_boundary_bands(labels, predicted, classes, width), expected)
    tensors = [torch.from_numpy(values.astype(np.int32)) for values in (labels, predicted)]
    np.testing.assert_array_equal(bands.count_boundary_bands_on_device(*tensors, classes, width), expected)
    form_for_a_gpu(monkeypatch)
    np.testing.assert_array_equal(bands.count_boundary_bands_on_device(*tensors, classes, width), expected)
    kinds = error_kinds_reference.count_error_kinds(labels, predicted, classes, width)
    np.testing.assert_array_equal(error_kinds.count_error_kinds(labels, predicted, classes, width), kinds)
    assert expected[:, 255].all()
    assert kinds[..., 255].any()


def narrowed(labels: np.ndarray, predicted: np.ndarray) -> tuple[Maps, np.ndarray]:
    """The same maps with their classes numbered anew, in uint8, and the classes of the new numbers."""
    values = np.unique([labels, predicted])
    values = values[values < 300]
    table = np.full(VOID + 1, 254, np.uint8)
    table[values], table[VOID] = np.arange(len(values)), 255
    return (table[labels], table[predicted]), values


def test_measures_that_see_no_numbers_are_those_of_the_classes_renumbered() -> None:
    labels, predicted = pair(300)
    (few, found), values = narrowed(labels, predicted)
    np.testing.assert_array_equal(band_map(nested_bands(labels)), band_map(nested_bands(few)))
    on_device = band_maps_on_device(torch.from_numpy(labels.astype(np.int32))[None])[0]
    np.testing.assert_array_equal(on_device, band_map(nested_bands(few)))
    distances = count_by_distance(nested_bands(labels), labels, predicted)
    np.testing.assert_array_equal(distances, count_by_distance(nested_bands(few), few, found))
    wide = count_trimap(labels, predicted, 300, widths=(1, 4))
    narrow = count_trimap(few, found, len(values), widths=(1, 4))
    np.testing.assert_array_equal(wide[COUNTS][..., values], narrow[COUNTS])
    for convention in BOUNDARIES:
        sums = convention.count(labels, predicted, 300, (Tolerance(2),))
        expected = convention.count(few, found, len(values), (Tolerance(2),))
        np.testing.assert_array_equal(sums[..., values], expected)
        assert sums.sum() == expected.sum()


def test_boundary_counts_survive_saving() -> None:
    counts = merge([count_boundaries(*pair(847, seed), 847, (Tolerance(3),)) for seed in range(2)])
    again = type(counts).from_arrays(counts.to_arrays())
    assert again.rows["class_index"].dtype == counts.rows["class_index"].dtype == np.uint16
    assert {255, 846} <= set(again.rows["class_index"].tolist())
    np.testing.assert_array_equal(again.rows["class_index"], counts.rows["class_index"])


def readings_of(batch: Batch, scores: torch.Tensor, alignment: Alignment, measures: Measures) -> list[ImageRecord]:
    names = tuple(f"class {k}" for k in range(alignment.classes))
    labels = LabelSet("wide", names, tuple((code,) for code in range(len(names))))
    return list(measure_readings(read_scores(batch, Output("softmax", scores), alignment, measures), labels, measures))


def batch_with_scores(outputs: int) -> tuple[Batch, torch.Tensor]:
    samples = tuple(Sample(i, f"s{i}", None, label_map(i, 300), "0" * 16) for i in range(2))
    target = torch.from_numpy(np.stack([sample.labels for sample in samples]).astype(np.int64))
    noise = torch.randn(2, outputs, *target.shape[1:], generator=torch.Generator().manual_seed(5))
    favour = torch.nn.functional.one_hot(target.where(target != VOID, 255), outputs).permute(0, 3, 1, 2)
    return Batch(samples), ((4 * favour + noise) * 4).round() / 4


@pytest.mark.parametrize("surplus", [0, 3])
def test_scores_are_read_on_a_gpu_as_on_the_host(surplus: int, monkeypatch: pytest.MonkeyPatch) -> None:
    batch, scores = batch_with_scores(300 + surplus)
    alignment = Alignment((*range(300), *[None] * surplus), 300)
    losses = {name: get_loss(name) for name in ("ce", "dice", "rmi")}
    measures = Measures(losses, (Tolerance(3),), True, boundary_iou=Tolerance(2), error_kinds=Tolerance(2))
    host = readings_of(batch, scores, alignment, measures)
    chosen = scores.argmax(1).numpy()
    for record, sample, predicted in zip(host, batch.samples, np.minimum(chosen, 300), strict=True):
        expected = confusion.count_confusion_plainly(sample.labels, predicted.astype(np.uint16), 300)
        np.testing.assert_array_equal(record.confusion.dense(0), expected)
        assert expected[255, 255] > 100
        assert np.isfinite(list(record.values.values())).all()
    assert host[0].statistics["bands"].shape == (len(BANDS), 2)
    form_for_a_gpu(monkeypatch)
    assert_same(readings_of(batch, scores, alignment, measures), host)


def test_calibration_counts_class_255_and_leaves_void_out() -> None:
    batch, scores = batch_with_scores(300)
    labels, predicted = batch.samples[0].labels, scores[0].argmax(0).numpy().astype(np.uint16)
    maps = (labels, predicted, band_map(nested_bands(labels)))
    tensors = [torch.from_numpy(values.astype(np.int32)) for values in maps]
    found = count_calibration(scores[0], "softmax", (tensors[0], tensors[1], tensors[2]), 300)
    p, valid = scores[0].double().softmax(0).numpy(), labels != VOID
    pixels, right, confidence = found["reliability"].sum((0, 1))
    assert (pixels, right) == (valid.sum(), (valid & (labels == predicted)).sum())
    assert confidence == pytest.approx(p.max(0)[valid].sum(), rel=1e-5)
    gaps = [(p[k] - (labels == k))[valid].sum() for k in range(300)]
    np.testing.assert_allclose(found["class_gaps"].sum(1), gaps, atol=1e-2)
    assert abs(gaps[255]) > 1


def test_few_classes_of_many_outputs() -> None:
    """The outputs that have a class are 290 to 299; all measures but of losses see ten classes in bytes."""
    batch, scores = batch_with_scores(300)
    few = tuple(
        Sample(s.index, s.name, None, np.where(s.labels == VOID, 255, s.labels % 10).astype(np.uint8), "0" * 16)
        for s in batch.samples
    )
    alignment = Alignment((*[None] * 290, *range(10)), 10)
    (record, _) = readings_of(Batch(few), scores, alignment, Measures({"ce": get_loss("ce")}, (Tolerance(3),), True))
    own = torch.cat([scores[:1, 290:], scores[:1, :290]], dim=1)
    target = torch.from_numpy(few[0].labels.astype(np.int64))[None]
    expected = torch.nn.functional.cross_entropy(own, target, ignore_index=255)
    assert record.values["ce"] == pytest.approx(expected.item(), rel=1e-5)
    assert record.confusion.label.dtype == np.uint8


def test_records_hold_no_table_of_all_pairs() -> None:
    """A dense table of 847 classes takes 5.7 MB an image."""
    batch, scores = batch_with_scores(847)
    alignment = Alignment(tuple(range(847)), 847)
    records = readings_of(batch, scores, alignment, Measures({}, (Tolerance(3),), True))
    arrays = [value for record in records for value in vars(record.confusion).values() if isinstance(value, np.ndarray)]
    assert sum(array.nbytes for array in arrays) < 200_000
    assert records[0].confusion.label.dtype == np.uint16
    whole = collect(records, LabelSet("wide", tuple(map(str, range(847))), tuple((k,) for k in range(847))), facts={})
    np.testing.assert_array_equal(whole.confusion.dense(1), records[1].confusion.dense(0))
    assert whole.confusion.total().sum() == 2 * 44 * 60


def test_counts_join_in_order() -> None:
    tables = [confusion.count_confusion(*pair(300, seed), 300) for seed in range(3)]
    parts = [Confusion.from_dense(some, 300) for some in (tables[:2], [], tables[2:])]
    joined, expected = Confusion.joined(parts, 300), Confusion.from_dense(tables, 300)
    assert joined.images == 3
    for name in ("image", "label", "predicted", "pixels"):
        np.testing.assert_array_equal(getattr(joined, name), getattr(expected, name))
        assert getattr(joined, name).dtype == getattr(expected, name).dtype
    assert Confusion.joined([], 300).images == 0
