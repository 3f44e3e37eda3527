"""Sets of 300 and 847 classes from the command line, against counts in plain numpy."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch
from PIL import Image
from wide_sets import VOID, WideSet, plain_boundary_f, plain_scores, write_wide

from segablate.cli import run
from segablate.evaluation.results import load_run
from segablate.images.label_maps import read_label_map
from segablate.metrics.confusion import ClassCounts, class_counts

Command = Callable[..., Any]
Rows = list[dict[str, Any]]


@pytest.fixture(params=[(300, 0), (847, 1)], ids=["300 classes from code 0", "847 classes from code 1"])
def wide(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> WideSet:
    monkeypatch.chdir(tmp_path)
    return write_wide(tmp_path / "wide", *request.param)


@pytest.fixture
def command(capsys: pytest.CaptureFixture[str]) -> Command:
    """Run the program, which must succeed, and return its report from JSON."""

    def call(*arguments: str) -> Any:
        assert run([*arguments, "--workers", "0", "--device", "cpu", "--format", "json"]) == 0, capsys.readouterr().err
        return json.loads(capsys.readouterr().out)

    return call


def column(rows: Rows, name: str) -> np.ndarray:
    return np.array([np.nan if row[name] is None else row[name] for row in rows], np.float64)


def assert_scores(found: Any, wide: WideSet, predicted: list[np.ndarray]) -> None:
    rows = found["tables"]["classes"]
    assert [row["class"] for row in rows] == [f"class {k}" for k in range(wide.classes)]
    expected = plain_scores(wide.maps, predicted, wide.classes)
    for name in ("iou", "recall", "precision"):
        np.testing.assert_allclose(column(rows, name), expected[name], atol=1e-12, err_msg=name)
    edges = plain_boundary_f(wide.maps, predicted, wide.classes, 3)
    np.testing.assert_allclose(column(rows, "boundary_f_3"), edges, atol=1e-12)
    means = {row["measure"]: row["value"] for row in found["tables"]["overall"]}
    assert means["mIoU"] == pytest.approx(np.nanmean(expected["iou"]))
    assert 0 < expected["iou"][255] < 1
    assert rows[255]["pixels"] == sum(int((labels == 255).sum()) for labels in wide.maps) > 1000


def network(wide: WideSet, form: str = "nearest") -> str:
    """The specification of a network for the set, with weights on the disk."""
    from importlib.util import module_from_spec, spec_from_file_location

    spec = spec_from_file_location("nets_of_wide_sets", wide.root / "nets.py")
    assert spec is not None
    assert spec.loader is not None
    nets = module_from_spec(spec)
    spec.loader.exec_module(nets)
    torch.save(nets.nearest(wide.classes).state_dict(), wide.root / "w.pth")
    return f"python:{wide.root}/nets.py:{form}({wide.classes})@{wide.root}/w.pth"


def logits_of(wide: WideSet, index: int) -> np.ndarray:
    """The network's scores in plain numpy, C H W."""
    image = np.asarray(Image.open(wide.root / f"images/val/s{index}.png")) / 255
    k = np.arange(wide.classes)
    colours = np.stack([k % 16 * 16, k // 16 % 16 * 16, k // 256 * 16], axis=-1) / 255
    return 300 * (2 * np.moveaxis(image @ colours.T, -1, 0) - (colours**2).sum(1)[:, None, None])


def test_predictions_are_evaluated(wide: WideSet, command: Command) -> None:
    predicted = wide.noisy(0.2, 1)
    found = command("evaluate", wide.write(Path("guess"), predicted), wide.spec, "--save", "r")
    assert_scores(found, wide, predicted)
    saved = load_run(Path("r")).confusion
    assert saved.label.dtype == saved.predicted.dtype == np.uint16
    void = sum(int((labels == VOID).sum()) for labels in wide.maps)
    assert saved.pixels[saved.label == wide.classes].sum() == void > 1000
    outside = sum(int((values == VOID).sum()) for values in predicted)
    assert saved.pixels[saved.predicted == wide.classes].sum() == outside > 0
    assert command("evaluate", "predictions:guess", wide.spec)["tables"] == found["tables"]  # from the cache


def test_a_network_its_label_maps_and_its_written_predictions_agree(wide: WideSet, command: Command) -> None:
    options = ("--losses", "none", "--boundary-iou", "0.02d", "--error-kinds", "0.01d")
    found = command("evaluate", network(wide), wide.spec, *options, "--write-predictions", "written")
    files = [read_label_map(Path(f"written/s{index}.png")) for index in range(len(wide.maps))]
    assert {file.dtype for file in files} == {np.dtype(np.uint16)}
    written = [file - wide.first for file in files]
    assert_scores(found, wide, written)
    own = [logits_of(wide, index).argmax(0) for index in range(len(written))]
    assert np.mean([one == other for one, other in zip(written, own, strict=True)]) > 0.9  # all but equal scores
    for other in ("predictions:written", network(wide, "indices")):
        again = command("evaluate", other, wide.spec, *options)
        for name in ("iou", "recall", "precision", "boundary_f_3", "boundary_iou"):
            if name in found["tables"]["classes"][0]:
                rows = (each["tables"]["classes"] for each in (again, found))
                np.testing.assert_array_equal(*(column(each, name) for each in rows), err_msg=name)


def test_two_predictions_are_compared(wide: WideSet, command: Command) -> None:
    guesses = {"good": wide.noisy(0.1, 1), "poor": wide.noisy(0.35, 2)}
    specs = [wide.write(Path(name), guess) for name, guess in guesses.items()]
    found = command("compare", *specs, "--on", wide.spec, "--replicates", "200", "--save", "c")
    iou = [plain_scores(wide.maps, guess, wide.classes)["iou"] for guess in guesses.values()]
    assert found["tables"]["scores"][0]["change"] == pytest.approx(np.nanmean(iou[1]) - np.nanmean(iou[0]))
    rows = {row["class"]: row for row in found["tables"]["classes"]}
    for k in (255, wide.classes - 1):
        row = rows[f"class {k}"]
        assert (row["iou_a"], row["iou_b"]) == pytest.approx((iou[0][k], iou[1][k]))
        assert row["change_b"] < -0.05
    mistakes = found["tables"]["confusions"]
    for row in mistakes:
        label, other = (int(row[name].removeprefix("class ")) for name in ("label", "predicted"))
        for name, guess in zip("ab", guesses.values(), strict=True):
            pairs = zip(wide.maps, guess, strict=True)
            assert row[name] == sum(int(((labels == label) & (values == other)).sum()) for labels, values in pairs)


def test_a_loss_is_ablated(wide: WideSet, command: Command) -> None:
    found = command("ablate", "focal", network(wide), wide.spec, "--gamma", "0,3")
    values: dict[float, list[float]] = {0: [], 3: []}
    shares = []
    for index, labels in enumerate(wide.maps):
        logits, valid = logits_of(wide, index), labels != VOID
        p = np.exp(logits - logits.max(0))
        p /= p.sum(0)
        target = np.where(valid, labels, 0).astype(np.int64)
        right = np.take_along_axis(p, target[None], 0)[0][valid]
        for gamma in values:
            values[gamma].append(float(np.mean(-((1 - right) ** gamma) * np.log(right))))
        np.put_along_axis(p, target[None], np.take_along_axis(p, target[None], 0) - 1, 0)
        mass = np.abs(p).sum(0) * valid
        shares.append(mass[labels == 255].sum() / mass.sum())
    terms = {row["setting"]: row["term"] for row in found["tables"]["values"]}
    assert terms["gamma=0"] == pytest.approx(np.mean(values[0]), rel=1e-4)
    assert terms["gamma=3"] == pytest.approx(np.mean(values[3]), rel=1e-4)
    (entropy,) = (row for row in found["tables"]["gradients"] if row["setting"] == "cross entropy")
    assert entropy["on_class_255"] == pytest.approx(np.mean(shares), rel=1e-4)
    assert entropy[f"on_class_{wide.classes}"] == 0  # void


def test_a_few_steps_of_training(wide: WideSet, command: Command) -> None:
    small = ("--batch", "2", "--crop", "48x64", "--steps", "3", "--train-split", "val", "--holdout", "0")
    options = ("--objective", "ce + dice", "--crop-share", "0.9", "--scale", "0.5:1", "--class-weights", "inverse")
    command("train", "small", wide.spec, *small, *options, "--save", "t")
    found = command("evaluate", "t/checkpoint.safetensors", wide.spec, "--losses", "ce,rmi")
    assert [row["loss"] for row in found["tables"]["losses"]] == ["ce", "rmi"]
    assert all(np.isfinite(row["mean"]) for row in found["tables"]["losses"])
    assert found["tables"]["classes"][255]["pixels"] > 1000


def test_eight_bit_files_of_255_classes_and_of_more(tmp_path: Path, command: Command) -> None:
    """A byte of 255 is void of 255 classes, and class 255 of 256."""
    for folder in ("labels", "guess"):
        (tmp_path / folder).mkdir()
        cv2.imwrite(str(tmp_path / folder / "a.png"), np.array([[0, 254, 255, 255]], np.uint8))
    hits: dict[int, ClassCounts] = {}
    for classes in (255, 256):
        names = "".join(f"  - class {k}\n" for k in range(classes))
        (tmp_path / "dataset.yaml").write_text(f"classes:\n{names}splits:\n  val: {{labels: labels}}\n")
        command(
            "evaluate", f"predictions:{tmp_path}/guess", f"folder:{tmp_path}", "--save", str(tmp_path / f"{classes}")
        )
        hits[classes] = class_counts(load_run(tmp_path / f"{classes}").confusion).total()
    assert hits[255].labelled.sum() == 2
    assert hits[256].hits[255] == hits[256].labelled[255] == 2
    assert hits[256].labelled.sum() == 4
