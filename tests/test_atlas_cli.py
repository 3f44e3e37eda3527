"""What a user types at ``segablate atlas``: tables, figure, what is left out, and the lines that answer slips."""

import json
import re
import subprocess
import sys
from collections.abc import Mapping, Sequence
from functools import partial
from itertools import combinations
from pathlib import Path

import numpy as np
import pytest
from evaluations import evaluation, noisy, truth
from scipy.stats import spearmanr

from segablate import edges
from segablate.atlas import session
from segablate.cli import run
from segablate.evaluation.results import save_run
from segablate.losses import get_loss, loss_names
from segablate.objective.weighted_sum import parse_objective
from segablate.training.planning import Row, ceiling
from segablate.training.sweep import SweepSetting, cells_of

FIXED = ("--workers", "0", "--device", "cpu", "--trust-code")


def said(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    code = run(arguments)
    captured = capsys.readouterr()
    return code, captured.out, captured.err


@pytest.fixture(autouse=True)
def quick_edges(monkeypatch: pytest.MonkeyPatch) -> None:
    """Train SEMEDA's edge network for two steps."""
    quick = partial(edges.edge_network_for, training=edges.Training(steps=2))
    monkeypatch.setattr(edges, "edge_network_for", quick)


@pytest.fixture
def place(network_spec: str, toy: Path) -> tuple[str, ...]:
    """Checkpoint, dataset and options of a small atlas."""
    return network_spec, f"folder:{toy}", *FIXED


def rows_of(out: str, table: str) -> list[dict]:
    return json.loads(out)["tables"][table]


def test_all_losses_on_one_pass(place: tuple[str, ...], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    kept, picture = tmp_path / "kept", tmp_path / "atlas.png"
    options = ("--save", str(kept), "--plot", str(picture), "--format", "json")
    code, out, err = said(capsys, "atlas", *place, *options)
    assert code == 0, err
    report, losses = json.loads(out), rows_of(out, "losses")
    assert {row["loss"] for row in losses[:-2]} == set(loss_names())
    assert [row["loss"] for row in losses[-2:]] == ["uniform over pixels", "number of classes present"]
    assert "no gradient at the logits, so not in the matrix: feature_consistency" in report["notes"]

    ends = [end for row in losses if row["iou_interval"][0] is not None for end in row["iou_interval"]]
    assert len(ends) >= 2 * len(loss_names())
    assert all(-1 <= end <= 1 for end in ends), "of six images"

    names = [row["loss"] for row in rows_of(out, "cosines")]
    matrix = np.array([[row[f"with_{name}"] for name in names] for row in rows_of(out, "cosines")])
    assert set(names) == set(loss_names()) - {"feature_consistency"}
    assert names == [row["loss"] for row in losses[: len(names)]]
    assert np.array_equal(matrix, matrix.T)
    assert np.array_equal(np.diagonal(matrix), np.ones(len(names)))
    assert np.abs(matrix).max() == 1
    in_table = {row["loss"]: row["entropy"] for row in losses}
    assert in_table["ce"] == 1
    assert in_table["dice"] == matrix[names.index("dice"), names.index("ce")]

    members = [name for row in rows_of(out, "clusters") for name in row["losses"].split(", ")]
    assert members == names
    assert all(0 < row["jaccard"] <= 1 for row in rows_of(out, "clusters"))

    code, evaluated, _ = said(capsys, "evaluate", *place, "--losses", "all", "--format", "json")
    assert code == 0
    values = {row["loss"]: row["mean"] for row in rows_of(evaluated, "losses")}
    assert {row["loss"]: row["value"] for row in losses[:-2]} == pytest.approx(values, rel=1e-6)

    assert picture.read_bytes().startswith(b"\x89PNG")
    with np.load(kept / "atlas.npz") as arrays:
        assert arrays["gram"].shape == (6, len(loss_names()), len(loss_names()))
        assert arrays["value"].mean(axis=0).tolist() == pytest.approx([values[name] for name in arrays["losses"]])
    code, again, _ = said(capsys, "show", str(kept), "--format", "json")
    assert code == 0
    assert json.loads(again)["tables"] == report["tables"]
    code, _, err = said(capsys, "report", str(kept))
    assert (code, err.count("\n")) == (1, 1)
    assert "is a saved atlas, of which there is no page" in err


def test_what_the_network_has_not_is_left_out_and_named(
    place: tuple[str, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    code, out, err = said(capsys, "atlas", *place, "--flip", "--limit", "2", "--format", "json")
    assert code == 0, err
    needy = sorted(name for name in loss_names() if "features" in get_loss(name).needs({}))
    assert {row["loss"] for row in rows_of(out, "losses")[:-2]} == set(loss_names()) - set(needy)
    notes = json.loads(out)["notes"]
    assert any(re.match(f"--losses all leaves out {', '.join(needy)}, which need the image or feat", n) for n in notes)
    code, _, err = said(capsys, "atlas", *place, "--flip", "--losses", "dfr")
    assert code == 2
    assert "needs the features, which" in err


def test_slow_losses_are_measured_on_few_images(
    place: tuple[str, ...], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(session, "SLOW", -1.0)
    monkeypatch.setattr(session, "FEW", 2)
    command = ("atlas", *place, "--losses", "dice,ce", "--format", "json")
    code, out, err = said(capsys, *command)
    assert code == 0, err
    slow = {row["loss"]: row for row in rows_of(out, "losses")}
    assert (slow["ce"]["images"], slow["dice"]["images"]) == (6, 2)
    code, asked, _ = said(capsys, *command, "--loss-images", "dice=2")
    assert code == 0
    of_asked = {row["loss"]: row for row in rows_of(asked, "losses")}
    assert {**of_asked["dice"], "time": 0, "seconds": 0} == {**slow["dice"], "time": 0, "seconds": 0}
    assert any(
        note.startswith("dice: value and gradient on 2 of 6 images, evenly spaced") for note in json.loads(out)["notes"]
    )
    code, whole, _ = said(capsys, *command, "--loss-images", "all", "--gradient-images", "3")
    assert code == 0
    assert {row["loss"]: row for row in rows_of(whole, "losses")}["dice"]["images"] == 6
    assert "3 of 6 images, evenly spaced" in whole


def test_the_same_under_two_names(
    place: tuple[str, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "mine.py").write_text(
        "from segablate.losses import get_loss\n"
        "def double(logits, labels):\n    return 2 * get_loss('ce')(logits, labels)\n"
        "def against(logits, labels):\n    return -get_loss('ce')(logits, labels)\n"
        "def edges(logits, labels):\n"
        "    return (logits.diff(dim=3).square() * (labels.diff(dim=2) != 0)).mean()\n"
    )
    monkeypatch.chdir(tmp_path)
    named = "python:mine:double,python:mine:against,python:mine:edges"
    code, out, err = said(capsys, "atlas", *place, "--losses", named, "--format", "json")
    assert code == 0, err
    assert [{row["loss"], row["other"]} for row in rows_of(out, "same")] == [{"ce", "python:mine:double"}]
    assert [row["loss"] for row in rows_of(out, "unlike")] == ["python:mine:edges"]
    clusters = [set(row["losses"].split(", ")) for row in rows_of(out, "clusters")]
    assert {"ce", "python:mine:double"} in clusters
    assert [row["jaccard"] for row in rows_of(out, "clusters")] == [1, 1, 1]


def test_four_images_give_no_interval_and_no_stability(
    place: tuple[str, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    command = ("atlas", *place, "--losses", "ce,dice,focal", "--gradient-images")
    code, out, err = said(capsys, *command, "4")
    assert code == 0, err
    flat = " ".join(out.split())
    assert "There is none." not in flat
    assert flat.count("Not known: fewer than 5 images with gradients give no interval.") == 2
    assert "Stability: not known, as it takes at least 5 images with gradients." in flat
    assert "came back in" not in flat
    code, out, err = said(capsys, *command, "4", "--format", "json")
    assert {(row["jaccard"], row["together"]) for row in rows_of(out, "clusters")} == {(None, None)}
    code, out, err = said(capsys, *command, "5")
    assert "Not known" not in out


def sweep(folder: Path, settings: Mapping[str, str], wrong: Sequence[float], labels: str = "full") -> Path:
    """A finished sweep of two seeds whose settings err on these shares of the pixels; that of 1 has not run."""
    recipe = {"steps": 10, "epochs": None}
    told = {"network": "sample:ce", "train": "head", "dataset": "toy, split train", "reported on": "split val"}
    told["labels"] = labels
    folder.mkdir()
    (folder / "plan.json").write_text(json.dumps({"settings": settings, "seeds": [0, 1], "recipe": recipe, **told}))
    cells = cells_of([SweepSetting(*entry) for entry in settings.items()], [0, 1])
    for cell, share in zip(cells, [*wrong, *wrong], strict=True):
        if share == 1:
            continue
        place = folder / "cells" / cell.folder_name
        place.mkdir(parents=True)
        maps = truth(8)
        save_run(evaluation(maps, noisy(maps, share, cell.seed)), place / "run", "{}")
        (place / "cell.json").write_text('{"run": "run", "diverged": "", "seconds": 1.0, "training": {}}')
    return folder


def compared_in(rows: list[dict]) -> list[str]:
    """The columns of an atlas beside those of trainings."""
    found = [key for key in rows[0] if key in ("iou", "boundary", "near", "rare", "entropy")]
    assert {"iou", "near", "entropy"} <= set(found)
    return found


def test_trainings_are_put_beside(place: tuple[str, ...], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    settings = {
        "baseline": "0.5*bce(extra=1) + 0.5*rmi",
        "radius=2": "0.5*bce(extra=1) + 0.5*rmi(radius=2)",
        "dice": "dice",
        "ce": "ce",
        "gone": "python:not_here:loss",
    }
    folder = sweep(tmp_path / "sweep", settings, (0.3, 0.4, 0.1, 0.2, 1))
    command = ("atlas", *place, "--losses", "ce,rmi,dice", "--trainings", str(folder), "--format", "json")
    code, out, err = said(capsys, *command)
    assert code == 0, err
    rows, agreement = rows_of(out, "trained"), rows_of(out, "trained_agreement")
    assert [row["objective"] for row in rows] == ["ce", "0.5*bce(extra=1) + 0.5*rmi", "dice"]
    assert [row["loss"] for row in rows] == ["ce", "rmi", "dice"]
    assert [row["trainings"] for row in rows] == [2, 2, 2]
    assert rows[2]["miou"] > rows[0]["miou"] > rows[1]["miou"]
    assert rows[2]["difference"] == pytest.approx(rows[2]["miou"] - rows[0]["miou"])
    told = {row["loss"]: row for row in rows_of(out, "losses")}
    assert "rare" not in rows[0], "a column without a number is left out"
    assert {told[loss]["rare"] for loss in ("ce", "rmi", "dice")} == {None}
    for key, row in zip(compared_in(rows), agreement, strict=True):
        assert [row[key] for row in rows] == [told[row["loss"]][key] for row in rows], "numbers, as in the first table"
        signs = [(a[key] - b[key]) * (a["miou"] - b["miou"]) for a, b in combinations(rows, 2)]
        assert (row["same"], row["pairs"]) == (sum(s > 0 for s in signs), sum(s != 0 for s in signs))
        assert "rho" not in row
    code, out, err = said(capsys, *command[:-2])
    flat = " ".join(out.split())
    assert "A rank correlation takes at least 5 objectives." in flat
    assert "no loss of this atlas, alone or as its authors train it: radius=2 (0.5*bce(extra=1) + 0.5*rmi(radiu" in flat
    assert "gone (python:not_here:loss)." in flat
    assert "from labels" not in flat


def test_five_objectives_have_a_rank_correlation_and_one_nothing_to_compare(
    place: tuple[str, ...], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    names = ("ce", "dice", "focal", "lovasz", "recall")
    many = sweep(tmp_path / "many", {name: name for name in names}, (0.1, 0.2, 0.3, 0.4, 0.5))
    one = sweep(tmp_path / "one", {"dice": "dice"}, (0.2,))
    command = ("atlas", *place, "--losses", ",".join(names), "--trainings", f"{many},{one}")
    code, out, err = said(capsys, *command, "--format", "json")
    assert code == 0, err
    assert [name for name in json.loads(out)["tables"] if name.startswith("trained")] == [
        "trained_1",
        "trained_1_agreement",
        "trained_2",
    ]
    rows, agreement = rows_of(out, "trained_1"), rows_of(out, "trained_1_agreement")
    assert [row["objective"] for row in sorted(rows, key=lambda row: -row["miou"])] == list(names)
    for key, row in zip(compared_in(rows), agreement, strict=True):
        plain = spearmanr([row[key] for row in rows], [row["miou"] for row in rows]).statistic
        assert row["rho"] == pytest.approx(plain)
        assert 0 < row["p"] <= 1
    assert rows_of(out, "trained_2")[0].keys().isdisjoint({"difference", "interval", "baseline"})
    code, out, err = said(capsys, *command)
    assert f"After training: {many}" in "".join(out.splitlines())
    assert "not corrected for the number of columns" in " ".join(out.split())


def test_a_folder_of_trainings_may_have_a_comma(
    place: tuple[str, ...], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = sweep(tmp_path / "a,b", {"ce": "ce", "dice": "dice"}, (0.1, 0.2))
    command = ("atlas", *place, "--losses", "ce,dice", "--format", "json", "--trainings")
    for quoted in (f"'{folder}'", f'"{folder}"'):
        code, out, err = said(capsys, *command, quoted)
        assert code == 0, err
        assert len(rows_of(out, "trained")) == 2
    code, out, err = said(capsys, *command, str(folder))
    assert (code, out) == (2, "")
    assert err == (
        f"error: --trainings: a comma separates folders; quote one that has a comma, also within the quotes of a "
        f"shell: --trainings \"'{folder}'\"\n"
    )


@pytest.mark.parametrize("ceiling_first", [False, True])
def test_trainings_from_full_labels_are_not_mixed_in(
    ceiling_first: bool, place: tuple[str, ...], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    row = Row("baseline", parse_objective("dice"))
    entries = [(row.name, 0.3), (ceiling(row).name, 0.05)]
    entries = entries[::-1] if ceiling_first else entries
    settings = {**{name: "dice" for name, _ in entries}, "ce": "ce"}
    folder = sweep(tmp_path / "s", settings, (*(wrong for _, wrong in entries), 0.2), "scribble-3")
    command = ("atlas", *place, "--losses", "ce,dice", "--trainings", str(folder))
    code, out, err = said(capsys, *command, "--format", "json")
    assert code == 0, err
    rows = {row["objective"]: row for row in rows_of(out, "trained")}
    assert rows["dice"]["miou"] < rows["ce"]["miou"]
    code, out, err = said(capsys, *command)
    flat = " ".join(out.split())
    assert "split train, from labels that are not full (scribble-3), reported on split val" in flat
    assert "Left out, as they are trained from full labels, unlike the others: baseline, full labels (dice)." in flat


@pytest.mark.parametrize(
    ("options", "code", "message"),
    [
        ("--losses ce,rim", 1, "no loss is called 'rim'; did you mean 'rmi'?"),
        ("--losses none", 2, "--losses is 'none', but an atlas compares losses; name some, or all"),
        ("--losses ce", 2, "--losses ce leaves no loss to compare with ce; name another, or all"),
        ("--gradient-images 0", 2, "--gradient-images is '0', but must be a number from 1 on, or all"),
        ("--loss-images dense_crf", 2, "--loss-images is 'dense_crf', but must be numbers of images by loss, as in"),
        ("--losses ce,dice --loss-images rmi=3", 2, "--loss-images: 'rmi' is none of the losses of this atlas"),
        ("--losses ce,rmi --loss-images rim=3", 2, "'rim' is none of the losses of this atlas; did you mean 'rmi'?"),
        (
            "--losses ce,dice --gradient-images 2 --loss-images dice=4",
            2,
            "--loss-images dice=4 is more than the 2 images with gradients; give at most 2, or raise --gradient-images",
        ),
        ("--same 1.5", 2, "--same"),
        ("--boundary-tolerance wide", 1, "tolerance is 'wide', but must be a number of pixels such as 3"),
        ("--plot a.gif", 2, "--plot a.gif must end in .png, .svg, .pdf"),
        ("--losses ce,dice --loss-images foo=2", 2, "'foo' is none of the losses of this atlas; available: ce, dice"),
        ("--trainings=", 2, "--trainings is '', but must be comma-separated folders of ablate --train, none empty"),
        ("--trainings a,,b", 2, "--trainings is 'a,,b', but must be comma-separated folders"),
        ("--trainings ''", 2, "--trainings is \"''\", but must be comma-separated folders of ablate"),
        ("--trainings 'a,b", 2, "--trainings is \"'a,b\": the quote ' before a is not closed; close it after"),
        ("--losses ce,'dice", 2, "--losses is \"ce,'dice\": the quote ' before dice is not closed; close it after the"),
        ("--trainings .", 1, "--trainings . holds no sweep: it has no plan.json; give a folder of ablate --train"),
    ],
)
def test_a_slip_is_one_clear_line(
    options: str, code: int, message: str, place: tuple[str, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    found, out, err = said(capsys, "atlas", *place, *options.split())
    assert (found, out) == (code, ""), err
    assert message in err
    assert err.count("\n") == 1


def test_trainings_of_other_objectives(
    place: tuple[str, ...], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = sweep(tmp_path / "sweep", {"baseline": "ce + 0.3*dice"}, (1,))
    code, _, err = said(capsys, "atlas", *place, "--losses", "ce,dice", "--trainings", str(folder))
    assert (code, err.count("\n")) == (1, 1)
    assert "none of its objectives is that of a loss of this atlas ('ce + 0.3*dice'); train with" in err
    folder = sweep(tmp_path / "unfinished", {"baseline": "ce"}, (1,))
    code, _, err = said(capsys, "atlas", *place, "--losses", "ce,dice", "--trainings", str(folder))
    assert (code, err.count("\n")) == (1, 1)
    assert "none of ce has a finished training" in err


def test_label_maps_have_no_logits(toy: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, _, err = said(capsys, "atlas", f"predictions:{toy / 'labels/val'}", f"folder:{toy}", *FIXED)
    assert code == 2
    assert "atlas needs logits, but" in err


def test_without_gradients_there_is_no_matrix(
    place: tuple[str, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ("atlas", *place, "--losses", "feature_consistency", "--plot", str(tmp_path / "none.png"))
    code, out, err = said(capsys, *command)
    assert (code, err.count("\n")) == (2, 1)
    assert "--plot draws cosines, but fewer than two losses have a gradient here" in err
    assert "Cosine between the gradients" not in out


def test_help_does_not_import_torch() -> None:
    code = "import sys; from segablate.cli import run; run(['atlas', '--help']); print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split()[-1] == "False"
