"""``--write-errors``: error maps and overlays."""

import json
from pathlib import Path

import cv2
import numpy as np
import pytest
from conftest import scene, write_predictions
from PIL import Image

from segablate.cli import run
from segablate.evaluation.error_maps import COLOURS, MISSED, OUTSIDE, RIGHT, VOID, WRONG, error_map, overlay

QUIET = ["--workers", "0", "--device", "cpu"]


def test_kinds_of_pixels() -> None:
    labels = np.array([[0, 1, 2, 255, 255]], np.uint8)
    predicted = np.array([[0, 2, 255, 0, 255]], np.uint8)
    assert error_map(labels, predicted, 3).tolist() == [[RIGHT, WRONG, OUTSIDE, VOID, VOID]]
    two = np.array([[0, 0, 1, 1, 255]], np.uint8)
    assert error_map(two, np.array([[0, 1, 0, 1, 1]], np.uint8), 2).tolist() == [[RIGHT, WRONG, MISSED, RIGHT, VOID]]
    wide = np.array([[300, 65535]], np.uint16)
    assert error_map(wide, np.array([[65535, 300]], np.uint16), 400).tolist() == [[OUTSIDE, VOID]]


def test_right_pixels_of_an_overlay_are_the_image_in_grey() -> None:
    image = np.array([[[10, 200, 30], [10, 200, 30]]], np.uint8)
    found = overlay(image, np.array([[RIGHT, WRONG]], np.uint8))
    grey = round(0.299 * 10 + 0.587 * 200 + 0.114 * 30)
    assert found[0, 0].tolist() == [grey] * 3
    assert found[0, 1].tolist() == pytest.approx([0.25 * grey + 0.75 * part for part in COLOURS[WRONG]], abs=1)


def test_colours_differ_in_lightness_for_any_eye() -> None:
    lightness = sorted(np.array(colour) @ (0.2126, 0.7152, 0.0722) for colour in COLOURS.values())
    assert np.diff(lightness).min() > 5
    assert not any(green > 1.5 * max(red, blue) for red, green, blue in COLOURS.values())


def test_wrong_pixels_are_those_of_the_run(
    toy: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    write_predictions(tmp_path / "maps", 6, (24, 32))
    words = ["evaluate", "predictions:maps", "folder:toy", *QUIET, "--format", "json"]
    assert run([*words, "--write-errors", "out"]) == 0
    tables = json.loads(capsys.readouterr().out)["tables"]
    names = [f"s{index}.png" for index in range(6)]
    assert sorted(path.name for path in Path("out/errors").iterdir()) == names
    assert sorted(path.name for path in Path("out/overlays").iterdir()) == names
    maps = [np.array(Image.open(f"out/errors/{name}")) for name in names]
    wrong, void = (sum(int(np.isin(kinds, of).sum()) for kinds in maps) for of in ((WRONG, OUTSIDE, MISSED), (VOID,)))
    labelled = sum(kinds.size for kinds in maps) - void
    assert 1 - wrong / labelled == pytest.approx(tables["overall"][2]["value"], abs=1e-12)
    labels = [scene(index, (24, 32))[1] for index in range(6)]
    predicted = [cv2.imread(f"maps/{name}", cv2.IMREAD_GRAYSCALE) for name in names]
    for kinds, label, one in zip(maps, labels, predicted, strict=True):
        assert np.array_equal(kinds == WRONG, (label != one) & (label != 255))
    assert Image.open("out/errors/s0.png").convert("RGB").getpixel((0, 0)) in COLOURS.values()
    assert Path("out/colours.txt").read_text(encoding="utf-8").count("\n") == 6
    assert run([*words, "--write-errors", "out"]) == 1
    assert "out" in capsys.readouterr().err


def test_a_network_is_predicted_again_and_both_runs_of_a_comparison_are_written(
    toy: Path, network_spec: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    write_predictions(tmp_path / "maps", 6, (24, 32))
    words = ["compare", network_spec, "predictions:maps", "--on", "folder:toy", *QUIET, "--replicates", "100"]
    assert run(words) == 0  # now both are in the cache
    assert run([*words, "--write-errors", "out"]) == 0
    assert {str(path.parent) for path in Path("out").rglob("s3.png")} == {
        f"out/{run_}/{kind}" for run_ in "ab" for kind in ("errors", "overlays")
    }
    assert run(["evaluate", "predictions:maps", "folder:toy", *QUIET, "--save", "saved"]) == 0
    capsys.readouterr()
    again = ["compare", "saved", network_spec, "--on", "folder:toy", "--write-errors", "more", *QUIET]
    assert run(again) == 2
    assert "--write-errors needs predictions, but saved is a saved run" in capsys.readouterr().err
    assert not Path("more").exists()


def test_a_run_that_fails_leaves_no_folder(toy: Path, network_spec: str, tmp_path: Path) -> None:
    (toy / "labels/val/s5.png").write_bytes(b"no image")
    assert run(["evaluate", network_spec, f"folder:{toy}", *QUIET, "--write-errors", str(tmp_path / "out")]) == 1
    assert not (tmp_path / "out").exists()
    same = ["--write-errors", str(tmp_path / "one"), "--save", str(tmp_path / "one")]
    assert run(["evaluate", network_spec, f"folder:{toy}", *QUIET, *same]) == 2
