"""Image-level scores against plain loops, and against what JDTLosses gave on the same maps."""

import json
from dataclasses import replace
from math import nan
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from evaluations import evaluation
from peer_cases import region_cases
from scipy.stats import spearmanr, wilcoxon

import segablate
from segablate.ablation.sweep import Ablation, Setting
from segablate.comparison.differences import compare
from segablate.comparison.scores import Method
from segablate.losses import get_loss
from segablate.metrics.boundary import boundary_f, boundary_sums
from segablate.metrics.confusion import Confusion, class_counts, count_confusion, mean_iou
from segablate.metrics.image_level import (
    image_miou,
    labelled_iou,
    of_classes,
    of_images,
    tenths_of_cells,
    tenths_of_images,
    worst_cells,
    worst_images,
)
from segablate.metrics.tolerance import Tolerance
from segablate.objective.weighted_sum import parse_objective
from segablate.report.choosing import choose
from segablate.statistics.bootstrap import by_image, resample
from segablate.statistics.scores import class_means
from segablate.tables.ablation import image_scores
from segablate.tables.differences import scores_table
from segablate.tables.image_level import image_level_table, worst_images_table
from segablate.training.ablation import fixed_columns

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


def invented() -> tuple[list[np.ndarray], dict[str, list[np.ndarray]], dict[str, list[float]]]:
    """Images of one or two classes, two predictions that order them otherwise where invented classes count, and mIoU.

    A invents a class in one pixel of each image; B invents none but is wrong at more pixels. Over the classes labelled
    or predicted A is worse in most images, over the classes labelled B is in all.
    """
    maps = [np.zeros((10, 10), np.uint8) for _ in range(7)]
    for place, labels in enumerate(maps[3:], 1):
        labels[:, :place] = 1
    a, b = [m.copy() for m in maps], [m.copy() for m in maps]
    for place, (labels, of_a, of_b) in enumerate(zip(maps, a, b, strict=True)):
        of_a[0, 9] = 2
        of_b[:1, : 2 + place] = np.where(labels[:1, : 2 + place] == 0, 3, labels[:1, : 2 + place])
        of_b[1, 8] = 3
    scores: dict[str, list[float]] = {}
    for name, predicted in (("a", a), ("b", b)):
        scores[name] = [
            float(np.mean([np.sum((m == c) & (p == c)) / np.sum((m == c) | (p == c)) for c in np.unique(m)]))
            for m, p in zip(maps, predicted, strict=True)
        ]
    return maps, {"a": a, "b": b}, scores


def test_the_miou_of_an_image_is_over_the_classes_that_it_labels_everywhere() -> None:
    maps, predicted, wanted = invented()
    a, b = (evaluation(maps, found, name) for name, found in predicted.items())
    counts = class_counts(a.confusion)
    assert np.all(np.abs(mean_iou(counts) - wanted["a"]) > 0.1), "the definition of a set would be seen"
    assert np.all(np.subtract(wanted["b"], wanted["a"]) < 0)
    assert np.sum(mean_iou(class_counts(b.confusion)) > mean_iou(counts)) > 3, "and would turn the order around"
    np.testing.assert_allclose(image_miou(counts), wanted["a"])

    table = image_level_table(a, (), 50, void_as_error=False).rows[0]
    assert table["value"] == pytest.approx(np.mean(wanted["a"]))
    rows = worst_images_table(a, void_as_error=False).rows
    assert {row["image"]: row["miou"] for row in rows} == pytest.approx(dict(zip(a.names, wanted["a"], strict=True)))
    assert [row["miou"] for row in rows] == pytest.approx(sorted(wanted["a"]))

    found = compare({"a": a, "b": b}, Method(replicates=50))
    change = np.subtract(wanted["b"], wanted["a"])
    assert found.pairs[0].image_miou == pytest.approx(change)
    assert found.pairs[0].signed_rank.p == pytest.approx(wilcoxon(change)[1])
    assert found.changes is not None
    assert (found.changes.risen, len(found.changes.fallen)) == ((), 5)
    assert found.changes.fallen[0].miou == pytest.approx(
        (wanted["a"][np.argmin(change)], wanted["b"][np.argmin(change)])
    )
    (note,) = scores_table(found).notes
    assert "over the classes that an image labels, is higher in B on 0, in A on 7 and equal on 0 of 7 images" in note

    np.testing.assert_allclose(choose([a], None).scores, [wanted["a"]])
    np.testing.assert_allclose(choose([a, b], None).scores, [wanted["a"], wanted["b"]])
    assert [image.miou for image in segablate.Evaluation(a).images] == pytest.approx(wanted["a"])


def test_losses_are_ranked_against_the_miou_over_the_classes_that_an_image_labels() -> None:
    maps, predicted, wanted = invented()
    turns = ["ab"[place % 2] for place in range(len(maps))]
    run = evaluation(maps, [predicted[turn][place] for place, turn in enumerate(turns)])
    miou = [wanted[turn][place] for place, turn in enumerate(turns)]
    np.testing.assert_allclose(image_scores(run, Tolerance(1))["iou"], miou)
    term = get_loss("dice")
    values = np.random.default_rng(0).random((len(maps), 1))
    fixed = Ablation(
        replace(run, probed={"term": values}), term, (Setting({}, "baseline"),), parse_objective("dice"), {}
    )
    row = SimpleNamespace(name="baseline")
    found = fixed_columns(fixed, [row], Tolerance(1))["rho"]  # type: ignore[list-item]
    assert found == pytest.approx([spearmanr(-values[:, 0], miou)[0]])


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
