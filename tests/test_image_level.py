"""Image-level scores against plain loops, and against what JDTLosses gave on the same maps."""

import json
from math import nan
from pathlib import Path

import numpy as np
import pytest
from evaluations import evaluation
from peer_cases import region_cases

from segablate.metrics.boundary import boundary_f, boundary_sums
from segablate.metrics.confusion import Confusion, class_counts, count_confusion
from segablate.metrics.image_level import (
    labelled_iou,
    of_classes,
    of_images,
    tenths_of_cells,
    tenths_of_images,
    worst_cells,
    worst_images,
)
from segablate.metrics.tolerance import Tolerance
from segablate.statistics.bootstrap import by_image, resample
from segablate.statistics.scores import class_means
from segablate.tables.image_level import image_level_table

JDT = json.loads((Path(__file__).parent / "golden" / "peers" / "jdt.json").read_text(encoding="utf-8"))["cases"]
CASES = {case.name: case for case in region_cases()}


def cells_of(name: str) -> np.ndarray:
    case = CASES[name]
    tables = [count_confusion(labels, predicted, case.classes) for labels, predicted in case.pairs]
    return labelled_iou(class_counts(Confusion.from_dense(tables, case.classes)))


@pytest.mark.parametrize("name", [name for name, values in JDT.items() if "raises" not in values])
def test_scores_are_those_of_the_authors(name: str) -> None:
    theirs, cells = JDT[name], cells_of(name)
    ours = {
        "mIoUI": np.nanmean(of_images(cells)),
        "mIoUI10": worst_images(cells, 10),
        "mIoUIQ": tenths_of_images(cells),
    }
    if np.isfinite(of_classes(cells)).all():  # theirs is undefined as soon as one class is labelled nowhere
        ours["mIoUC"] = np.nanmean(of_classes(cells))
        ours |= {"mIoUC10": worst_cells(cells, 10), "mIoUCQ": tenths_of_cells(cells)}
    else:
        assert theirs["mIoUC"] is None
    for key, value in ours.items():
        assert value == pytest.approx(theirs[key], abs=1e-6), key


def slow_worst(values: list[float], percent: int) -> float:
    kept = sorted(value for value in values if value == value)
    return float(np.mean(kept[: max(1, len(kept) * percent // 100)])) if kept else nan


def test_worst_shares_equal_plain_loops() -> None:
    rng = np.random.default_rng(0)
    cells = np.where(rng.random((37, 5)) < 0.4, nan, rng.random((37, 5)))
    cells[3], cells[:, 4] = nan, nan
    images = [float(np.mean(row[~np.isnan(row)])) if np.isfinite(row).any() else nan for row in cells]
    np.testing.assert_allclose(of_images(cells), images)
    for percent in (1, 5, 10, 50, 100):
        assert worst_images(cells, percent) == pytest.approx(slow_worst(images, percent))
        by_class = [slow_worst(cells[:, index].tolist(), percent) for index in range(4)]
        assert worst_cells(cells, percent) == pytest.approx(np.mean(by_class))
    assert worst_images(cells, 100) == pytest.approx(np.nanmean(images))
    assert worst_images(cells, 10) <= worst_images(cells, 50) <= worst_images(cells, 100)
    assert worst_images(cells, 10) < tenths_of_images(cells) < worst_images(cells, 100)


def test_an_invented_class_costs_the_image_nothing_but_its_pixels() -> None:
    labels = np.zeros((4, 4), np.uint8)
    predicted = labels.copy()
    predicted[0, 0] = 2
    counts = class_counts(Confusion.from_dense([count_confusion(labels, predicted, 3)], 3))
    np.testing.assert_array_equal(labelled_iou(counts), [[15 / 16, nan, nan]])


def test_boundary_f_over_images_counts_a_class_in_the_images_that_label_it() -> None:
    """A class that is predicted in an image without it has F 0 there, which the row leaves out."""
    rng = np.random.default_rng(0)
    maps = [rng.integers(0, 2, (3, 4), np.uint8).repeat(5, 0).repeat(6, 1) for _ in range(5)]
    maps[0][:8, :8] = 2
    predicted = [np.where(rng.random(m.shape) < 0.2, rng.integers(0, 3, m.shape), m).astype(np.uint8) for m in maps]
    run = evaluation(maps, predicted)
    row = image_level_table(run, (Tolerance(1),), 50, void_as_error=False).rows[-1]
    assert run.boundary is not None
    scores = boundary_f(boundary_sums(run.boundary, Tolerance(1)))
    of_each_class = [np.mean([scores[i, c] for i, m in enumerate(maps) if (m == c).any()]) for c in range(3)]
    assert row["value"] == pytest.approx(np.mean(of_each_class))
    assert scores[1:, 2].tolist() == [0, 0, 0, 0]
    assert row["value"] > np.mean(np.nanmean(scores, axis=0)) + 0.01


def test_nothing_labelled_is_nan() -> None:
    cells = np.full((3, 2), nan)
    scores = [worst_images(cells, 10), worst_cells(cells, 10), tenths_of_images(cells), tenths_of_cells(cells)]
    assert np.isnan([*scores, *of_images(cells), *of_classes(cells)]).all()


def test_the_resampled_mean_is_the_score() -> None:
    cells = cells_of("random 5, void")
    found = resample([class_means(cells)], by_image(len(cells), 50))[0]["mean"]
    assert float(found.value) == pytest.approx(float(np.nanmean(of_classes(cells))))
