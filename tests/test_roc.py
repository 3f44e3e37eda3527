"""Area under the ROC curve and average precision from binned scores, against every pair of pixels."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from conftest import scene

from segablate.cli import run
from segablate.evaluation.results import load_run
from segablate.metrics.roc import BINS, LARGEST, average_precision, count_scores, merged_bins, roc_auc


def counted(score: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Scores (H, W), half of each in either logit."""
    half = torch.from_numpy(score.astype(np.float32)) / 2
    return count_scores(torch.stack([-half, half]), torch.from_numpy(labels.astype(np.uint8)))


def auc_of_pairs(score: np.ndarray, positive: np.ndarray) -> float:
    difference = score[positive][:, None] - score[~positive][None]
    return float((np.sign(difference) + 1).mean() / 2)


def precision_at_each_hit(score: np.ndarray, positive: np.ndarray) -> float:
    return float(np.mean([positive[score >= threshold].mean() for threshold in score[positive]]))


def pixels(seed: int, spread: float, share: float = 0.2) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    labels = (rng.random((40, 50)) < share).astype(np.uint8)
    return (rng.normal(size=labels.shape) + 1.5 * labels) * spread, labels


@pytest.mark.parametrize("spread", [0.01, 1, 30])
@pytest.mark.parametrize("seed", [0, 1])
def test_they_are_those_of_all_pairs(seed: int, spread: float) -> None:
    score, labels = pixels(seed, spread)
    counts = counted(score, labels)
    assert counts.shape == (2, BINS)
    assert roc_auc(counts) == pytest.approx(auc_of_pairs(score.ravel(), labels.ravel() == 1), abs=1e-4)
    assert average_precision(counts) == pytest.approx(
        precision_at_each_hit(score.ravel(), labels.ravel() == 1), abs=3e-3
    )


def test_ties_count_half() -> None:
    labels = np.array([[0, 0, 1, 1]])
    assert roc_auc(counted(np.zeros((1, 4)), labels)) == 0.5
    assert average_precision(counted(np.zeros((1, 4)), labels)) == 0.5
    assert roc_auc(counted(np.array([[0, 1, 1, 2]]), labels)) == pytest.approx(0.875)


@pytest.mark.parametrize("largest", [1, 1e3, 1e30, np.inf])
def test_perfect_and_reversed(largest: float) -> None:
    labels = np.array([[0, 0, 1]])
    score = np.array([[-largest, 0, largest]])
    assert roc_auc(counted(score, labels)) == 1
    assert average_precision(counted(score, labels)) == 1
    assert roc_auc(counted(-score, labels)) == 0


def test_undefined_is_nan() -> None:
    for labels, defined in ((np.zeros((2, 2)), False), (np.ones((2, 2)), True), (np.full((2, 2), 255), False)):
        counts = counted(np.zeros((2, 2)), labels)
        assert np.isnan(roc_auc(counts))
        assert np.isfinite(average_precision(counts)) == defined


def test_void_takes_no_part() -> None:
    score, labels = pixels(2, 1)
    void = np.random.default_rng(3).random(labels.shape) < 0.3
    some = counted(score, np.where(void, 255, labels))
    assert some.sum() == (~void).sum()
    assert roc_auc(some) == pytest.approx(auc_of_pairs(score[~void], labels[~void] == 1), abs=1e-4)


def test_infinite_logits_are_the_lowest_and_highest() -> None:
    logits = torch.tensor([[[0.0, np.inf, -np.inf]], [[-np.inf, -np.inf, np.inf]]])
    bins = count_scores(logits, torch.tensor([[0, 0, 1]], dtype=torch.uint8))
    assert bins[0, :2].sum() == 2 - (bins[0, 2:].sum())
    assert bins[1, -1] == 1
    assert roc_auc(bins) == 1


def test_images_add_up() -> None:
    parts = [pixels(seed, 1) for seed in range(3)]
    together = counted(np.vstack([score for score, _ in parts]), np.vstack([labels for _, labels in parts]))
    assert np.array_equal(together, sum(counted(*part) for part in parts))


def test_merged_bins_keep_pixels_and_almost_the_scores() -> None:
    counts = np.stack([counted(*pixels(seed, 1)) for seed in range(3)])
    merged = merged_bins(counts, 128)
    assert merged.shape[:2] == (3, 2)
    assert merged.shape[2] <= 128
    assert np.array_equal(merged.sum(-1), counts.sum(-1))
    assert roc_auc(merged.sum(0)) == pytest.approx(float(roc_auc(counts.sum(0))), abs=1e-3)
    assert merged_bins(np.zeros((2, 2, BINS), np.int32), 8).sum() == 0
    assert LARGEST > 1e3


# through the command line


@pytest.fixture
def halves(tmp_path: Path) -> Path:
    """A dataset of two classes whose images tell them apart but for noise, and logits saved beside it."""
    import cv2

    for folder in ("images", "labels", "scores"):
        (tmp_path / folder).mkdir()
    for index in range(5):
        image, labels = scene(index)
        two = np.where(labels == 255, 255, labels % 2).astype(np.uint8)
        cv2.imwrite(str(tmp_path / f"images/{index}.png"), image)
        cv2.imwrite(str(tmp_path / f"labels/{index}.png"), two)
        score = np.random.default_rng(index).normal(size=labels.shape) + 2 * (two == 1)
        np.savez(tmp_path / f"scores/{index}.npz", logits=np.stack([0 * score, score]).astype(np.float32))
    described = {
        "classes": [{"name": "other", "code": 0}, {"name": "thing", "code": 1}],
        "void": [255],
        "splits": {"val": {"images": "images", "labels": "labels"}},
    }
    (tmp_path / "dataset.yaml").write_text(yaml.safe_dump(described))
    return tmp_path


def test_two_classes_with_scores_have_rows(halves: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["evaluate", f"predictions:{halves / 'scores'}", f"folder:{halves}", "--format", "json"]
    assert run([*arguments, "--save", str(halves / "run")]) == 0
    shown = capsys.readouterr().out
    saved = load_run(halves / "run")
    assert saved.statistics["score_bins"].shape == (5, 2, BINS)
    value = float(roc_auc(saved.statistics["score_bins"].sum(0)))
    assert 0.9 < value < 0.94  # Phi(sqrt 2) = 0.921
    (row,) = [row for row in json.loads(shown)["tables"]["overall"] if row["measure"].startswith("AUC (ROC)")]
    assert row["value"] == pytest.approx(value)
    assert "pixels of thing" in row["over"]
    assert run(["show", str(halves / "run"), "--format", "json"]) == 0
    assert row in json.loads(capsys.readouterr().out)["tables"]["overall"]


def test_more_classes_have_none(toy: Path, network_spec: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["evaluate", network_spec, f"folder:{toy}", "--format", "csv", "--device", "cpu"]) == 0
    assert "AUC" not in capsys.readouterr().out
