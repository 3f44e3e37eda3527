"""Conventions against what the tools themselves gave: recorded by ``benchmarks/peers`` on the cases of `peer_cases`."""

import json
from math import nan
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from peer_cases import VOID, Case, boundary_cases, region_cases

from segablate.errors import KnobError, UsageError
from segablate.metrics.confusion import Confusion, count_confusion
from segablate.metrics.conventions import (
    BOUNDARIES,
    OURS,
    REGIONS,
    BoundaryConvention,
    Convention,
    Scores,
    convention_named,
    scores_under,
)
from segablate.metrics.tolerance import Tolerance

RECORDED = Path(__file__).parent / "golden" / "peers"
REGION_CASES = {case.name: case for case in region_cases()}
BOUNDARY_CASES = {case.name: case for case in boundary_cases()}

FLOAT32 = {"mmseg", "torchmetrics", "torchmetrics-mean-iou", "torchmetrics-one-hot", "monai"}
FLOAT32 |= {"monai-keep-empty", "monai-nsd", "kornia", "smp", "jdt", "ultralytics", "ultralytics-8.4.65"}

MISCOUNTED = {
    "detectron2": {"outside by one"},
    "torchmetrics": {"outside by one"},
    "perception-metrics": {"outside by one"},
}
"""Where a tool gives a number although predictions lie outside its classes: it books them elsewhere; we say so."""

DEVIATIONS = {
    "mmseg": (1.0, 0.625, 0.625, 1.0, 0.9375),
    "torchmetrics": (1.0, 0.625, 0.625, 1.0, nan),
    "torchmetrics-mean-iou": (1.0, 0.625, 0.625, nan, nan),
    "hf-evaluate": (1.0, 0.625, 0.625, 1.0, 0.9375),
    "cityscapes": (1.0, 0.625, 0.625, 1.0, 0.9375),
    "perception-metrics": (1.0, 0.625, 0.625, 1.0, nan),
    "detectron2": (1.0, 0.9375, 0.625, 1.0, nan),
    "monai": (1.0, 0.9375, 0.625, 1.0, 0.9375),
    "monai-keep-empty": (1.0, 0.71875, 0.71875, 1.0, 0.96875),
    "smp": (1.0, 0.71875, 0.71875, 1.0, 0.96875),
    "paddleseg": (1.0, 0.71875, 0.71875, 1.0, 0.96875),
    "kornia": (1.0, 0.71875, 0.71875, nan, nan),
    "csail": (0.5, 0.46875, 0.46875, 0.5, 0.46875),
    "jdt": (nan, nan, nan, nan, nan),
    "nnunet": (nan, nan, nan, nan, nan),
    "voc": (nan, nan, nan, nan, nan),
}
"""The means under one small deviation at a time, S1 to S5 of the cases: five answers to one prediction."""


def recorded(name: str) -> dict[str, dict[str, Any]]:
    return json.loads((RECORDED / f"{name}.json").read_text(encoding="utf-8"))["cases"]


def confusion_of(case: Case) -> Confusion:
    tables = [count_confusion(labels, predicted, case.classes) for labels, predicted in case.pairs]
    return Confusion.from_dense(tables, case.classes)


def scores_of(convention: Convention, case: Case) -> Scores:
    return scores_under(convention, confusion_of(case))


def numbers(values: Any) -> np.ndarray:
    return np.array(values, np.float64)  # None becomes nan


def recorded_pairs() -> list[tuple[str, str]]:
    names = [convention.name for convention in REGIONS if (RECORDED / f"{convention.name}.json").exists()]
    return [(name, case) for name in names for case in recorded(name)]


@pytest.mark.parametrize(("name", "case"), recorded_pairs())
def test_a_convention_gives_what_the_tool_gave(name: str, case: str) -> None:
    convention, theirs = convention_named(name), recorded(name)[case]
    assert isinstance(convention, Convention)
    assert theirs["maps"] == REGION_CASES[case].fingerprint, "the cases have changed: record anew"
    ours = scores_of(convention, REGION_CASES[case])
    assert bool(ours.refusal) == ("raises" in theirs or case in MISCOUNTED.get(name, ())), ours.refusal or theirs
    if ours.refusal:
        return
    near = {"rtol": 0, "atol": 1e-6 if name in FLOAT32 else 1e-9}
    np.testing.assert_allclose(ours.miou, numbers(theirs["miou"]), **near)
    np.testing.assert_allclose(ours.iou, shown_iou(name, theirs), **near)
    for measure, rule in (("mean_recall", convention.mean_recall), ("pixel_accuracy", convention.pixel_accuracy)):
        assert (rule is not None) == (measure in theirs)
        if rule is not None:
            np.testing.assert_allclose(getattr(ours, measure), numbers(theirs[measure]), **near)


def shown_iou(name: str, theirs: dict[str, Any]) -> np.ndarray:
    """The recorded IoU of the classes; torchmetrics' MeanIoU writes -1 for undefined."""
    values = numbers(theirs["iou"])
    return np.where(values == -1, nan, values) if name.startswith(("torchmetrics-mean", "torchmetrics-one")) else values


@pytest.mark.parametrize("name", DEVIATIONS)
def test_small_deviations_have_known_answers(name: str) -> None:
    convention = convention_named(name)
    assert isinstance(convention, Convention)
    found = [scores_of(convention, REGION_CASES[f"S{number}"]).miou for number in range(1, 6)]
    assert found == pytest.approx(DEVIATIONS[name], abs=1e-6, nan_ok=True)


def test_the_same_prediction_has_five_answers() -> None:
    found = {round(scores_of(convention, REGION_CASES["S2"]).miou, 3) for convention in (OURS, *REGIONS)}
    assert sorted(str(value) for value in found if value == value) == ["0.469", "0.625", "0.719", "0.938"]
    assert any(value != value for value in found)


def test_every_convention_for_counts_but_one_was_measured() -> None:
    unmeasured = [c.name for c in (*REGIONS, *BOUNDARIES) if not (RECORDED / f"{c.name}.json").exists()]
    assert unmeasured == ["voc"]


@pytest.mark.parametrize(
    ("name", "case", "match"),
    [
        ("torchmetrics-mean-iou", "S4", "has no label to ignore, and 4 pixels are void"),
        ("kornia", "S5", "4 pixels are predicted outside the classes"),
        ("torchmetrics", "S5", "4 pixels are predicted outside the classes"),
        ("voc", "outside in void alone", "pixels are predicted outside the classes"),
        ("jdt", "all void", "no image has a labelled pixel"),
    ],
)
def test_a_refusal_says_why(name: str, case: str, match: str) -> None:
    convention = convention_named(name)
    assert isinstance(convention, Convention)
    scores = scores_of(convention, REGION_CASES[case])
    assert match in scores.refusal
    assert np.isnan([scores.miou, *scores.iou]).all()


def counted(convention: BoundaryConvention, case: Case, tolerances: tuple[Tolerance, ...] = ()) -> np.ndarray:
    sums = [convention.count(labels, predicted, case.classes, tolerances) for labels, predicted in case.pairs]
    return convention.score(np.stack(sums))


@pytest.mark.parametrize("convention", BOUNDARIES, ids=lambda convention: convention.name)
@pytest.mark.parametrize("name", BOUNDARY_CASES)
def test_boundary_conventions_give_what_the_tools_gave(convention: BoundaryConvention, name: str) -> None:
    theirs, case = recorded(convention.name)[name], BOUNDARY_CASES[name]
    assert theirs.pop("maps") == case.fingerprint, "the cases have changed: record anew"
    tolerances = tuple(Tolerance(float(text)) for text in theirs) if convention.name == "monai-nsd" else ()
    ours = counted(convention, case, tolerances)
    distances = [text.removesuffix(" px") for text in convention.distances([str(t) for t in tolerances])]
    assert distances == list(theirs)
    atol = 1e-6 if convention.name in FLOAT32 else 1e-9
    for scores, values in zip(ours, theirs.values(), strict=True):
        np.testing.assert_allclose(scores, numbers(values), rtol=0, atol=atol)


def test_a_left_half_has_another_boundary_everywhere() -> None:
    labels = np.ones((32, 32), np.uint8)
    labels[:, :16] = 0
    counted = {c.name: c.count(labels, labels, 2, (Tolerance(1),)) for c in BOUNDARIES}
    assert counted["davis"][0, 1].tolist() == [32, 32]
    assert counted["monai-nsd"][0, 1].tolist() == [92, 92]
    assert counted["boundary-iou-api"][0, 1].tolist() == [92, 92]


def test_shares_of_the_diagonal_are_rounded_up_at_full_size() -> None:
    from segablate.metrics.conventions.boundaries import GSCNN_SHARES
    from segablate.metrics.conventions.boundary_sets import rounded_up

    assert [rounded_up(share, (1024, 2048)) for share in GSCNN_SHARES] == [2, 5, 9, 12]


def test_surface_dice_needs_a_tolerance() -> None:
    convention = convention_named("monai-nsd")
    assert isinstance(convention, BoundaryConvention)
    with pytest.raises(KnobError, match="give one, as in --tolerance 3"):
        convention.count(np.zeros((4, 4), np.uint8), np.zeros((4, 4), np.uint8), 2, ())


def test_an_unknown_name_has_a_nearest() -> None:
    with pytest.raises(UsageError, match="no convention is called 'mmsegg'; did you mean 'mmseg'"):
        convention_named("mmsegg")


def test_names_and_tallies_differ() -> None:
    names = [convention.name for convention in (OURS, *REGIONS, *BOUNDARIES)]
    assert len(set(names)) == len(names)
    assert len({convention.statistic for convention in BOUNDARIES}) == len(BOUNDARIES)


def test_cases_hold_what_they_promise() -> None:
    classes = {case.classes for case in region_cases()}
    assert {2, 255} <= classes
    assert any((labels == VOID).all() for case in region_cases() for labels, _ in case.pairs)
    assert any(predicted.max() >= case.classes for case in region_cases() for _, predicted in case.pairs)
