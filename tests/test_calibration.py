"""Calibration counts are those of a plain loop over pixels, and the scores those of the definitions and of a peer."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from conftest import write_dataset

from segablate.checkpoints import open_checkpoint
from segablate.checkpoints.network import two_channels
from segablate.checkpoints.segmenter import Loading
from segablate.cli import run
from segablate.datasets import open_dataset
from segablate.evaluation.alignment import Alignment
from segablate.evaluation.loop import evaluate
from segablate.evaluation.measures import Measures
from segablate.evaluation.results import load_run, save_run
from segablate.evaluation.score_reading import read_scores
from segablate.labels import IGNORE, ignore_index, index_type
from segablate.metrics.bands import BANDS, band_map, nested_bands
from segablate.metrics.calibration import (
    CROSS_ENTROPY,
    accuracy_and_confidence,
    calibration_statistics,
    calibration_sums,
    confidence_gaps,
    count_calibration,
    expected_error,
)
from segablate.metrics.calibration_on_device import RowsOnDevice
from segablate.metrics.calibration_on_host import RowsOnHost
from segablate.metrics.probability_bins import BINS, UNIT, in_units
from segablate.metrics.stated_probabilities import Stated
from segablate.samples import Batch, Output, Sample

KINDS = ("softmax", "sigmoid", "probabilities")


def counted(logits: np.ndarray, kind: Any, labels: np.ndarray, classes: int) -> dict[str, np.ndarray]:
    """The statistics of logits or stated probabilities (K, H, W), predicted by argmax; outputs from `classes` on lie
    outside the label set."""
    predicted = logits.argmax(0).astype(np.uint8)
    predicted[predicted >= classes] = IGNORE
    maps = (labels, predicted, band_map(nested_bands(labels)))
    tensors = tuple(torch.from_numpy(m) for m in maps)
    return count_calibration(torch.from_numpy(logits.astype(np.float32)), kind, tensors, classes)  # type: ignore[arg-type]


def ece(reliability: np.ndarray) -> np.ndarray:
    """Of sums (..., bins, 3)."""
    return expected_error(confidence_gaps(reliability), reliability[..., 0].sum(-1))


def probabilities_of(logits: np.ndarray, kind: str) -> np.ndarray:
    logits = logits.astype(np.float32).astype(np.float64)
    if kind == "softmax":
        return np.exp(logits) / np.exp(logits).sum(0)
    return 1 / (1 + np.exp(-logits)) if kind == "sigmoid" else logits


def plain(logits: np.ndarray, kind: str, labels: np.ndarray, classes: int) -> dict[str, np.ndarray]:
    """The definitions, pixel by pixel, in float64."""
    probabilities, bands = probabilities_of(logits, kind), band_map(nested_bands(labels))
    reliability, gaps, proper = np.zeros((3, BINS, 3)), np.zeros((classes, BINS)), np.zeros((3, 2))

    def bin_of(p: float) -> int:
        if kind == "probabilities":
            return next(m for m in range(BINS) if p <= np.float32((m + 1) / BINS))
        return next(m for m in range(BINS) if p <= (m + 1) / BINS + 1e-12)

    for y, x in np.argwhere(labels != IGNORE):
        p, label, top = probabilities[:, y, x], labels[y, x], int(logits[:, y, x].argmax())
        reliability[bands[y, x], bin_of(p[top])] += (1, top == label, p[top])
        hot = np.arange(len(p)) == label
        nll = -np.log(p[label]) if kind != "sigmoid" else -np.log(np.where(hot, p, 1 - p)).sum()
        proper[bands[y, x]] += (((p - hot) ** 2).sum(), nll)
        for c in range(classes):
            gaps[c, bin_of(p[c])] += p[c] - hot[c]
    return {"reliability": reliability, "class_gaps": gaps, "proper": proper}


def scene(outputs: int, classes: int, seed: int = 0, size: tuple[int, int] = (31, 37)) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    logits = 3 * rng.standard_normal((outputs, *size))
    labels = rng.integers(0, classes, (2, 2), np.uint8).repeat(16, 0).repeat(19, 1)[: size[0], : size[1]].copy()
    labels[rng.random(size) < 0.1] = IGNORE
    return logits, labels


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("outputs", "classes"), [(5, 5), (6, 4), (2, 2)])
def test_counts_are_those_of_a_plain_loop(kind: str, outputs: int, classes: int) -> None:
    logits, labels = scene(outputs, classes)
    if kind == "probabilities":
        logits = probabilities_of(logits, "softmax")
    found, expected = counted(logits, kind, labels, classes), plain(logits, kind, labels, classes)
    assert {name: array.shape for name, array in found.items()} == {n: a.shape for n, a in expected.items()}
    assert np.array_equal(found["reliability"][..., :2], expected["reliability"][..., :2])
    pixels = (labels != IGNORE).sum()
    for name in expected:
        assert np.abs(found[name] - expected[name]).max() < 1e-6 * pixels, name


def test_ece_is_that_of_torchmetrics() -> None:
    """Recorded from torchmetrics 1.9.0, multiclass_calibration_error(..., n_bins=15, norm="l1", ignore_index=255)."""
    rng = np.random.default_rng(20)
    logits = (3 * rng.standard_normal((2, 5, 31, 37))).astype(np.float32)
    labels = rng.integers(0, 5, (2, 31, 37))
    labels[rng.random((2, 31, 37)) < 0.1] = IGNORE
    images = [
        counted(z, "softmax", y.astype(np.uint8), 5)["reliability"].sum(0) for z, y in zip(logits, labels, strict=True)
    ]
    assert ece(np.sum(images, axis=0)) == pytest.approx(0.5537508726119995, abs=1e-6)
    assert ece(np.stack(images)) == pytest.approx([0.5536471605300903, 0.5547747611999512], abs=1e-6)


def test_a_network_that_is_right_as_often_as_it_says() -> None:
    """80 of 100 pixels right at 0.8, 10 of 20 at 0.5, of two classes that are told apart no better than that."""
    confidence = np.repeat([0.8, 0.5], [100, 20])
    right = np.concatenate([np.arange(100) < 80, np.arange(20) < 10])
    labels = np.where(right, 0, 1).astype(np.uint8)[None]
    logits = np.log(np.stack([confidence + 1e-9, 1 - confidence]))[:, None]
    found = counted(logits, "softmax", labels, 2)
    assert ece(found["reliability"].sum(0)) == pytest.approx(0, abs=1e-6)
    assert expected_error(found["class_gaps"], np.array(120)) == pytest.approx([0, 0], abs=1e-6)
    brier, nll = found["proper"].sum(0) / 120
    assert brier == pytest.approx(np.mean(2 * confidence * (1 - confidence)), abs=1e-6)
    p = np.where(right, confidence, 1 - confidence)
    assert nll == pytest.approx(-np.log(p).mean(), abs=1e-6)


def test_a_constant_prediction_without_doubt() -> None:
    labels = np.where(np.arange(40) < 30, 0, 1).astype(np.uint8)[None]
    certain = np.stack([np.ones((1, 40)), np.zeros((1, 40))])
    found = counted(certain, "probabilities", labels, 2)
    reliability = found["reliability"].sum(0)
    assert reliability[-1].tolist() == [40, 30, 40]
    assert reliability[:-1].sum() == 0
    assert ece(reliability) == 0.25
    assert found["class_gaps"][:, [0, -1]].tolist() == [[0, 10], [-10, 0]]
    assert expected_error(found["class_gaps"], np.array(40)).tolist() == [0.25, 0.25]
    brier, nll = found["proper"].sum(0) / 40
    assert brier == pytest.approx(0.5)
    assert nll == pytest.approx(-np.log(1e-35) / 4)


@pytest.mark.parametrize(("p", "expected"), [(0.0, 0), (0.01, 0), (0.0667, 1), (0.4, 5), (0.5, 7), (1.0, 14)])
def test_bins_hold_their_upper_edge_and_the_first_also_zero(p: float, expected: int) -> None:
    """Of one sigmoid the probability can be anything; the predicted class is certain to be class 0."""
    logits = torch.full((1, 1, 3), p, dtype=torch.float64).logit(eps=1e-30).numpy()
    labels = np.zeros((1, 3), np.uint8)
    assert counted(logits, "sigmoid", labels, 1)["reliability"].sum(0)[:, 0].argmax() == expected


def vectors_with_edges() -> np.ndarray:
    """Probabilities, 3, 1, N, float32: multiples of 1/10, 1/15, 1/255 whose largest is at an edge, and neighbours."""
    found = [
        (top / whole, (whole - top - rest) / whole, rest / whole)
        for whole in (10, 15, 255)
        for top in range(1, whole + 1)
        if 15 * top % whole == 0
        for rest in range(whole - top + 1)
    ]
    exact = np.array(found, np.float32).T[:, None]
    return np.concatenate([exact, np.nextafter(exact, np.float32(2)), np.nextafter(exact, np.float32(0))], axis=2)


def test_stated_probabilities_are_in_the_bin_of_their_own_value_on_every_device() -> None:
    """A float32 next to m / 15 is in bin m, whatever rounding to a unit does; the next above it is not."""
    stated = vectors_with_edges()
    edges = np.append((np.arange(1, BINS) / BINS).astype(np.float32), np.float32(2))
    bins, sure = np.searchsorted(edges, stated), np.searchsorted(edges, stated.max(0))
    expected = np.bincount(sure.ravel(), minlength=BINS)
    labels = np.zeros(stated.shape[1:], np.uint8)
    labels[0, ::3] = 1
    gaps = np.zeros((3, BINS))
    for index in range(3):
        np.add.at(gaps[index], bins[index], stated[index] - (labels == index).astype(np.float64))
    predicted, bands = torch.from_numpy(stated.argmax(0).astype(np.uint8)), torch.zeros(labels.shape, dtype=torch.uint8)
    maps = (torch.from_numpy(labels), predicted, bands)
    scaled = in_units(torch.from_numpy(stated.copy()))
    for rows in (RowsOnHost.of(maps, scaled.amax(0)), RowsOnDevice(*maps, scaled.amax(0))):
        assert np.array_equal(rows.reliability().numpy()[0, :, 0], expected)
        assert np.abs(rows.class_gaps(scaled, exclusive=False).numpy() / UNIT - gaps).max() < stated.size / UNIT
    found = counted(stated, "probabilities", labels, 3)["reliability"]
    assert np.array_equal(found.sum(0)[:, 0], expected)


def test_ece_of_stated_probabilities_at_an_edge_is_that_of_the_rule() -> None:
    """50 pixels right at 9/15, which is in bin 9, and 50 wrong at 0.63, in bin 10; in one bin they would cancel."""
    stated = np.repeat(np.array([[0.6, 0.63], [0.2, 0.2], [0.2, 0.17]], np.float32)[:, None], 50, axis=2)
    found = counted(stated, "probabilities", np.repeat(np.array([[0, 1]], np.uint8), 50, axis=1), 3)
    assert ece(found["reliability"].sum(0)) == pytest.approx((0.4 + 0.63) / 2, abs=1e-6)


def test_probabilities_above_a_sum_of_one_lose_no_class_that_is_not_in_the_first_bin() -> None:
    """Two outputs of 0.95 and 0.07, each rounded up: the second is in the second bin, though the first is sure."""
    stated = np.repeat(np.array([0.95, 0.07, 0.0], np.float32)[:, None, None], 40, axis=2)
    found = counted(stated, "probabilities", np.zeros((1, 40), np.uint8), 3)["class_gaps"]
    assert found[1, 1] == pytest.approx(40 * 0.07)
    assert found[0, -1] == pytest.approx(-40 * 0.05)


@pytest.mark.parametrize("rounding", [np.float16, "8 bits"])
@pytest.mark.parametrize("outputs", [2, 3, 19, 150, 300])
def test_rounded_probabilities_count_as_sums_of_one(outputs: int, rounding: Any) -> None:
    random = np.random.default_rng(outputs)
    exact = np.exp(random.choice([0.5, 1, 2, 4], (1, 60, 70)) * random.normal(size=(outputs, 60, 70)))
    exact /= exact.sum(0)
    stated = np.rint(exact * 255) / 255 if rounding == "8 bits" else exact.astype(rounding)
    used = Stated.of(torch.from_numpy(stated.astype(np.float32)))
    assert not used.divided.any()
    assert np.array_equal(used.shares().numpy(), stated.astype(np.float32))


def test_other_probabilities_are_divided_by_their_sum_and_none_at_all_are_equal() -> None:
    pixels = [
        (0.4, 0.2, 0.0),
        (0.5, 0.5, 0.5),
        (0.0, 0.0, 0.0),
        (1.0005, -0.0005, 0.0),
        (0.3, 0.3, 0.4),
        (0.2, 0.0, 0.0),
    ]
    stated = Stated.of(torch.tensor(pixels).T[:, None])
    assert stated.divided.tolist() == [[True, True, False, False, False, True]]
    assert stated.nothing.tolist() == [[False, False, True, False, False, False]]
    expected = [(2 / 3, 1 / 3, 0), (1 / 3, 1 / 3, 1 / 3), (1 / 3, 1 / 3, 1 / 3), (1, 0, 0), (0.3, 0.3, 0.4), (1, 0, 0)]
    assert torch.allclose(stated.shares(), torch.tensor(expected).T[:, None], rtol=0, atol=1e-7)


def test_void_takes_no_part_and_nothing_labelled_is_undefined() -> None:
    logits, labels = scene(5, 5)
    other = np.where(labels == IGNORE, -logits, logits)
    a, b = counted(logits, "softmax", labels, 5), counted(other, "softmax", labels, 5)
    assert all(np.array_equal(a[name], b[name]) for name in a)
    nothing = counted(logits, "softmax", np.full_like(labels, IGNORE), 5)
    assert all(not array.any() for array in nothing.values())
    assert np.isnan(ece(nothing["reliability"])).all()
    assert np.isnan(accuracy_and_confidence(nothing["reliability"].sum(1))).all()
    assert np.isnan(expected_error(nothing["class_gaps"], np.array(0))).all()


MEASURES = Measures(calibration=True)


def test_batches_change_nothing_and_a_saved_run_keeps_all(tmp_path: Path, network_spec: str) -> None:
    data = open_dataset(f"folder:{write_dataset(tmp_path / 'mixed', 9, ((24, 32), (17, 19), (24, 33)))}")
    segmenter = open_checkpoint(network_spec, Loading(device="cpu"))
    one, four = (evaluate(segmenter, data, MEASURES, batch_size=size) for size in (1, 4))
    assert set(one.statistics) == {"bands", "reliability", "class_gaps", "proper"}
    assert np.array_equal(one.statistics["reliability"][..., :2].sum(2), one.statistics["bands"])
    save_run(one, tmp_path / "run", "{}")
    for other in (four, load_run(tmp_path / "run")):
        for name, array in one.statistics.items():
            assert np.array_equal(array, other.statistics[name]), name


def test_one_output_for_two_classes_is_calibrated_as_the_sigmoid_that_it_is() -> None:
    z = torch.randn(1, 1, 5, 6)
    for kind in ("softmax", "sigmoid"):
        scores, joint = two_channels(z, kind)  # type: ignore[arg-type]
        assert joint == "softmax"
        assert torch.allclose(scores.softmax(1)[:, 1:], z.sigmoid())
    assert two_channels(z.sigmoid(), "probabilities")[1] == "probabilities"


def test_pixels_are_not_lost_where_there_are_many() -> None:
    """Sums are exact beyond what float32 could add up."""
    labels = np.zeros((1024, 512), np.uint8)
    logits = np.zeros((2, 1024, 512), np.float32)
    logits[0] = np.log(3)
    found = counted(logits, "softmax", labels, 2)
    assert found["reliability"].sum((0, 1)).tolist() == pytest.approx([1024 * 512, 1024 * 512, 0.75 * 1024 * 512])
    assert found["class_gaps"].sum(1).tolist() == pytest.approx([-0.25 * 1024 * 512, 0.25 * 1024 * 512])


# the command


def measured(*options: str) -> list[str]:
    return ["evaluate", "--limit", "6", "--workers", "0", "--device", "cpu", *options]


def test_the_page_shows_calibration_by_band_and_class(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert run(measured("--format", "json", "--save", "run", "--plot", "plot.svg", "--flip")) == 0
    tables = json.loads(capsys.readouterr().out)["tables"]
    statistics = load_run(Path("run")).statistics
    whole, *bands = tables["calibration"]
    assert [row["distance"] for row in bands] == list(BANDS)
    assert whole["pixels"] == sum(row["pixels"] for row in bands) == statistics["bands"][..., 0].sum()
    assert whole["accuracy"] == pytest.approx(
        {row["measure"]: row["value"] for row in tables["overall"]}["pixel accuracy"]
    )
    sums = statistics["reliability"].sum(0)
    assert [row["ece"] for row in bands] == pytest.approx(ece(sums))
    assert whole["ece"] == pytest.approx(ece(sums.sum(0))) == pytest.approx(tables["overall"][-1]["value"])
    assert whole["brier"] == pytest.approx(statistics["proper"][..., 0].sum() / whole["pixels"])
    assert whole["nll_interval"][0] < whole["nll"] < whole["nll_interval"][1]
    of_class = np.abs(statistics["class_gaps"].sum(0, dtype=float)).sum(1) / whole["pixels"]
    assert [row["class_wise_ece"] for row in tables["classes"]] == pytest.approx(of_class)
    assert Path("plot.svg").read_bytes().startswith(b"<?xml")
    assert run(["show", "run"]) == 0
    assert "averages over windows or flips" in " ".join(capsys.readouterr().out.split())


def test_calibration_can_be_left_out_and_needs_logits(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    written = tmp_path / "out"
    assert run(measured("--no-calibration", "--format", "json", "--write-predictions", str(written))) == 0
    assert "calibration" not in json.loads(capsys.readouterr().out)["tables"]
    for option in (["--calibration"], ["--plot", str(tmp_path / "plot.png")]):
        assert run(["evaluate", f"predictions:{written}", "sample", "--workers", "0", "--limit", "6", *option]) == 2
        assert "calibration needs logits, but predictions:" in capsys.readouterr().err


def test_sums_of_rows_add_to_those_of_the_image() -> None:
    """But the last digit of a softmax, which depends on the size of the block, and so on that of the image alone."""
    logits, labels = scene(6, 4)
    whole = counted(logits, "softmax", labels, 4)
    predicted = logits.argmax(0).astype(np.uint8)
    predicted[predicted >= 4] = IGNORE
    maps = tuple(torch.from_numpy(m) for m in (labels, predicted, band_map(nested_bands(labels))))
    scores = torch.from_numpy(logits.astype(np.float32))
    for rows in (1, 4):
        added: dict[str, np.ndarray] = {}
        for top in range(0, len(labels), rows):
            labels_of, predicted_of, bands_of = (m[top : top + rows] for m in maps)
            part = calibration_sums(scores[:, top : top + rows], "softmax", (labels_of, predicted_of, bands_of), 4)
            added = {name: added.get(name, 0) + each.numpy() for name, each in part.items()}
        found = calibration_statistics(added)
        assert np.array_equal(found["reliability"][..., :2], whole["reliability"][..., :2])
        for name, array in found.items():
            assert np.abs(array - whole[name]).max() < 1e-4, name


@pytest.mark.parametrize("spread", [0, 2, 6, 40])
@pytest.mark.parametrize("kind", ["softmax", "sigmoid"])
@pytest.mark.parametrize(("outputs", "classes"), [(2, 2), (5, 5), (7, 4), (300, 300)])
def test_the_host_leaves_out_sure_pixels_and_sums_the_same(
    kind: str, outputs: int, classes: int, spread: float
) -> None:
    """Every sum, exactly: the other form adds all pixels to tables."""
    rng = np.random.default_rng(8)
    logits = torch.from_numpy(spread * rng.standard_normal((outputs, 37, 41))).float()
    labels = logits.argmax(0).numpy() % classes
    labels = np.where(rng.random(labels.shape) < 0.3, rng.integers(0, classes, labels.shape), labels)
    labels[:9] = ignore_index(classes)
    labels = labels.astype(index_type(classes))
    bands = torch.from_numpy(band_map(nested_bands(labels)))
    known = torch.from_numpy(labels if classes <= 255 else labels.astype(np.int32))
    predicted = logits.argmax(0)
    predicted = predicted.where(predicted < classes, ignore_index(classes)).to(known.dtype)
    scaled = (logits.softmax(0) if kind == "softmax" else logits.sigmoid()) * 2.0**24
    scaled = scaled.mul_(known != ignore_index(classes)).round_()
    confidence = scaled.amax(0)
    host = RowsOnHost.of((known, predicted, bands), confidence)
    tables = RowsOnDevice(known, predicted, bands, confidence)
    assert torch.equal(host.reliability(), tables.reliability())
    gaps = [rows.class_gaps(scaled[:classes], kind == "softmax") for rows in (host, tables)]
    assert torch.equal(*gaps)
    scores = [scaled[0], 3 * scaled[1]]
    assert torch.equal(host.proper(scores), tables.proper(scores))
    if spread == 40 and kind == "softmax":
        assert host._unsure.size < labels.size / 4
    maps = (known, predicted, bands)
    looked_up, highest = (calibration_sums(logits, kind, maps, classes, of_highest) for of_highest in (False, True))
    assert all(torch.equal(looked_up[name], highest[name]) for name in looked_up)


@pytest.mark.parametrize(
    ("shares", "classes_of_outputs", "threshold", "predicted", "confidence"),
    [
        ((0.3, 0.3, 0.4), (0, 0, 1), None, 1, 0.4),
        ((0.1, 0.5, 0.4), (None, 0, 0), None, 0, 0.9),
        ((0.2, 0.8), (0, 1), 0.9, 0, 0.2),
        ((0.7, 0.3), (0, 1), 0.2, 1, 0.3),
    ],
    ids=["another class has more in two outputs", "the class has two outputs", "below", "above"],
)
def test_confidence_is_that_of_the_prediction_where_another_class_is_more_probable(
    shares: tuple[float, ...],
    classes_of_outputs: tuple[int | None, ...],
    threshold: float | None,
    predicted: int,
    confidence: float,
) -> None:
    labels = np.zeros((6, 7), np.uint8)
    logits = torch.tensor(shares).log().view(1, -1, 1, 1).expand(-1, -1, 6, 7).contiguous()
    alignment = Alignment(classes_of_outputs, 2)
    output = Output("softmax", logits, threshold=threshold)
    batch = Batch((Sample(0, "a", None, labels, ""),))
    (found,) = read_scores(batch, output, alignment, Measures(calibration=True))
    assert (found.predicted == predicted).all()
    sums = found.statistics()["reliability"].sum(axis=(0, 1))
    assert sums[2] / labels.size == pytest.approx(confidence, abs=1e-6)


def test_logits_far_apart_are_certain_and_cost_at_most_the_least_probability() -> None:
    labels = np.array([[0, 1]], np.uint8)
    logits = np.stack([np.full((1, 2), 1000.0), np.full((1, 2), -1000.0)])
    found = counted(logits, "softmax", labels, 2)
    assert found["reliability"].sum(0)[-1].tolist() == [2, 1, 2]
    assert found["proper"].sum(0) == pytest.approx([2, -np.log(1e-35)])
    assert found["class_gaps"][:, [0, -1]].tolist() == [[0, 1], [-1, 0]]


@pytest.mark.parametrize("kind", KINDS)
def test_infinite_scores_raise_no_warning_before_their_image_is_read_again(kind: str) -> None:
    """A warning is an error in the tests."""
    logits, labels = scene(3, 3)
    logits[0, 4, 5] = np.inf
    assert not np.isfinite(counted(logits, kind, labels, 3)["proper"]).all()


@pytest.mark.parametrize("spread", [1, 20, 300, 1e4])
def test_the_sum_of_cross_entropy_is_that_of_the_loss_at_any_confidence(spread: float) -> None:
    random = np.random.default_rng(4)
    labels = random.integers(0, 5, (40, 50)).astype(np.uint8)
    labels[random.random(labels.shape) < 0.1] = IGNORE
    logits = torch.from_numpy(spread * random.normal(size=(6, 40, 50))).float()  # the sixth has no class
    maps = (torch.from_numpy(labels), logits[:5].argmax(0).byte(), torch.from_numpy(band_map(nested_bands(labels))))
    target = torch.from_numpy(labels).long()
    exact = torch.nn.functional.cross_entropy(logits[None].double(), target[None], ignore_index=IGNORE, reduction="sum")
    assert float(calibration_sums(logits, "softmax", maps, 5)[CROSS_ENTROPY]) == pytest.approx(float(exact), rel=2e-6)
    assert CROSS_ENTROPY not in calibration_sums(logits, "sigmoid", maps, 5)
