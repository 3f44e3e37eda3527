"""Confusion counts against plain loops, and every published number of one real confusion matrix."""

import numpy as np
import pytest

from segablate.labels import IGNORE
from segablate.metrics.confusion import (
    Confusion,
    class_counts,
    count_confusion,
    f1,
    frequency_weighted_iou,
    iou,
    kappa,
    mean_iou,
    mean_recall,
    pixel_accuracy,
    precision,
    recall,
)
from segablate.metrics.conventions import Convention, convention_named, scores_under

# ESPNet on a split of CamVid: rows label 0..11 (11 void), columns prediction 0..11 (11 lies outside the label set).
CAMVID = np.array(
    [
        [6530629, 41806, 15414, 0, 5, 242746, 4821, 1, 959, 15, 4, 34582],
        [68930, 7814025, 121704, 3469, 208808, 546800, 150979, 129475, 109807, 128711, 3384, 620640],
        [23195, 104220, 183054, 560, 25771, 46882, 5991, 2842, 2901, 17046, 503, 60930],
        [11, 2107, 3861, 9934244, 352768, 29, 2, 2078, 46031, 1571, 2213, 45746],
        [1, 22048, 10653, 219326, 3411307, 1537, 7, 2856, 7796, 10602, 1101, 44623],
        [154730, 373609, 13686, 590, 5862, 3469725, 33734, 67539, 25811, 10677, 1384, 373548],
        [9931, 139196, 10754, 101, 200, 24389, 192225, 541, 7715, 1861, 451, 19248],
        [1131, 144701, 5581, 707, 35633, 42768, 223, 95518, 16829, 10727, 159, 122830],
        [2918, 126707, 3063, 36656, 3079, 12069, 9362, 441, 1372678, 5756, 1556, 24839],
        [25, 12961, 3455, 951, 9469, 504, 156, 246, 6342, 176360, 5355, 39408],
        [0, 1740, 975, 3231, 2750, 423, 48, 59, 2637, 12699, 40348, 11310],
        [58152, 231954, 19123, 40485, 110664, 165863, 9870, 31422, 57596, 59436, 3775, 755043],
    ],
    np.int64,
)
DROPPED = class_counts(Confusion.from_dense([CAMVID], 11)).total()


@pytest.mark.parametrize(
    ("scores", "expected"),
    [
        (iou, [91.57, 71.85, 27.61, 93.22, 77.95, 63.68, 31.41, 13.99, 75.18, 38.77, 43.70]),
        (recall, [95.05, 78.88, 38.63, 95.61, 91.41, 76.58, 47.27, 20.03, 85.84, 69.10, 52.94]),
        (precision, [96.16, 88.97, 49.18, 97.40, 84.11, 79.08, 48.35, 31.67, 85.82, 46.90, 71.47]),
    ],
)
def test_published_scores_per_class(scores, expected: list[float]) -> None:

    np.testing.assert_allclose(100 * scores(DROPPED), expected, atol=0.005)


@pytest.mark.parametrize(
    ("name", "expected"), [("segablate", 57.175), ("void-as-error", 55.649), ("void-as-class", 53.151)]
)
def test_published_readings_of_void(name: str, expected: float) -> None:
    convention = convention_named(name)
    assert isinstance(convention, Convention)
    found = scores_under(convention, Confusion.from_dense([CAMVID], 11))
    assert 100 * found.miou == pytest.approx(expected, abs=0.0005)
    assert found.iou.shape == (11,)


@pytest.mark.parametrize(
    ("score", "expected"),
    [(mean_iou, 57.175), (mean_recall, 68.303), (pixel_accuracy, 85.798), (frequency_weighted_iou, 78.902)],
)
def test_published_scores_of_the_set(score, expected: float) -> None:
    assert 100 * float(score(DROPPED)) == pytest.approx(expected, abs=0.0005)


def test_void_as_false_positives() -> None:
    counts = class_counts(Confusion.from_dense([CAMVID], 11), void_as_error=True).total()
    assert 100 * float(mean_iou(counts)) == pytest.approx(55.649, abs=0.0005)


def test_void_as_a_class() -> None:
    table = np.zeros((13, 13), np.int64)
    table[:12, :12] = CAMVID
    counts = class_counts(Confusion.from_dense([table], 12)).total()
    assert 100 * float(mean_iou(counts)) == pytest.approx(53.151, abs=0.0005)


def test_a_published_report_of_two_classes() -> None:
    table = np.zeros((3, 3), np.int64)
    table[:2, :2] = [[3895256, 65238], [134513, 443136]]
    counts = class_counts(Confusion.from_dense([table], 2)).total()
    assert recall(counts)[::-1] == pytest.approx([0.767137, 0.983528], abs=5e-7)
    assert precision(counts)[1] == pytest.approx(0.871673, abs=5e-7)
    assert f1(counts)[1] == pytest.approx(0.816071, abs=5e-7)
    assert float(pixel_accuracy(counts)) == pytest.approx(0.955984, abs=5e-7)  # reported there as "Jaccard"
    assert iou(counts)[1] == pytest.approx(0.689291, abs=5e-7)


def plain_count(labels: np.ndarray, predicted: np.ndarray, classes: int) -> np.ndarray:
    table = np.zeros((classes + 1, classes + 1), np.int64)
    for label, prediction in zip(labels.ravel().tolist(), predicted.ravel().tolist(), strict=True):
        table[classes if label == IGNORE else label, min(prediction, classes)] += 1
    return table


@pytest.mark.parametrize("classes", [1, 2, 11, 171, 255])
def test_counts_equal_a_plain_loop(classes: int) -> None:
    rng = np.random.default_rng(classes)
    labels = rng.integers(0, classes, (31, 17)).astype(np.uint8)
    labels[rng.random(labels.shape) < 0.2] = IGNORE
    predicted = rng.integers(0, 256, labels.shape).astype(np.uint8)
    assert np.array_equal(count_confusion(labels, predicted, classes), plain_count(labels, predicted, classes))


def test_sparse_counts_keep_every_image() -> None:
    rng = np.random.default_rng(0)
    tables = [rng.integers(0, 3, (5, 5)) for _ in range(7)] + [np.zeros((5, 5), np.int64)]
    confusion = Confusion.from_dense(tables, 4)
    assert confusion.images == 8
    for image, table in enumerate(tables):
        assert np.array_equal(confusion.dense(image), table)
    assert np.array_equal(confusion.total(), sum(tables))
    assert np.array_equal(confusion.subset([7, 2]).dense(1), tables[2])
    for void_as_error in (False, True):
        per_image = class_counts(confusion, void_as_error=void_as_error)
        for image, table in enumerate(tables):
            rows = table if void_as_error else table[:-1]
            assert per_image.hits[image].tolist() == np.diag(table)[:-1].tolist()
            assert per_image.labelled[image].tolist() == table[:-1].sum(axis=1).tolist()
            assert per_image.predicted[image].tolist() == rows[:, :-1].sum(axis=0).tolist()


def test_undefined_is_nan_never_zero_or_one() -> None:
    table = np.zeros((5, 5), np.int64)
    table[0, 0], table[1, 3], table[1, 4] = 6, 2, 1  # class 2 nowhere; class 3 only predicted; class 1 never found
    counts = class_counts(Confusion.from_dense([table], 4)).total()
    np.testing.assert_array_equal(iou(counts), [1, 0, np.nan, 0])
    np.testing.assert_array_equal(recall(counts), [1, 0, np.nan, np.nan])
    np.testing.assert_array_equal(precision(counts), [1, np.nan, np.nan, 0])
    np.testing.assert_array_equal(f1(counts), [1, 0, np.nan, 0])
    assert float(mean_iou(counts)) == pytest.approx(1 / 3)
    assert float(mean_recall(counts)) == pytest.approx(1 / 2)
    assert float(pixel_accuracy(counts)) == pytest.approx(6 / 9)


def test_nothing_labelled_is_nan_throughout() -> None:
    table = np.zeros((3, 3), np.int64)
    table[2, 0] = 9
    counts = class_counts(Confusion.from_dense([table], 2)).total()
    for score in (mean_iou, mean_recall, pixel_accuracy, frequency_weighted_iou):
        assert np.isnan(score(counts))


def test_kappa_is_one_zero_and_nan() -> None:
    perfect = np.diag([5, 3, 0])
    chance = np.array([[4, 4, 0], [4, 4, 0], [9, 0, 0]])
    assert kappa(perfect) == pytest.approx(1)
    assert kappa(chance) == pytest.approx(0)
    assert np.isnan(kappa(np.zeros((3, 3), np.int64)))
