"""What a user types at ``segablate ablate`` and ``segablate losses``, and the one line that answers a slip."""

import json
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from conftest import write_dataset

from segablate.cli import run
from segablate.losses import get_loss, loss_names

QUICK = ["--limit", "5", "--workers", "0", "--device", "cpu", "--no-cost"]


def said(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    code = run(arguments)
    captured = capsys.readouterr()
    return code, captured.out, captured.err


@pytest.mark.parametrize("arguments", [["--help"], ["ablate", "--help"]])
def test_help_does_not_import_torch(arguments: list[str]) -> None:
    code = f"import sys; from segablate.cli import run; run({arguments!r}); print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split()[-1] == "False"


def test_every_loss_is_a_sub_command(capsys: pytest.CaptureFixture[str]) -> None:
    _, out, _ = said(capsys, "ablate", "--help")
    assert all(f" {name} " in out for name in loss_names())


def test_help_of_a_loss_tells_range_default_and_grid(capsys: pytest.CaptureFixture[str]) -> None:
    _, out, _ = said(capsys, "ablate", "rmi", "--help")
    text = " ".join(out.replace("│", " ").split())
    assert "side of the square window, in cells: a whole number between 1 and 10. Default 3; grid: 1,2,3,4,5" in text
    assert "'avg' or 'max'" in text


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        ("rmi --radius 30", 1, "--radius is 30, but must be between 1 and 10 (side of the square window, in cells)"),
        ("rmi --radius 3,three", 1, "--radius is 'three', but must be a whole number between 1 and 10"),
        ("rmi --radus 3", 2, "--radius"),
        ("rim", 1, "no loss is called 'rim'; did you mean 'rmi'?"),
        ("cpg --width offical", 1, "did you mean 'official'?"),
        ("rmi --objective ce+", 1, "objective 'ce+', column 4: expected a loss, as in ce + 0.5*rmi(radius=3)"),
        ("rmi --objective ce", 1, "objective 'ce' lacks rmi; add it, as in ce + rmi"),
        ("rmi --gradient-images 0", 2, "--gradient-images is '0', but must be a number from 1 on, or all"),
        ("rmi --gradient-images some --train head", 2, "--gradient-images is 'some', but must be"),
        ("rmi --labels strokes", 2, "--labels is for trainings; add --train head or --train full"),
        ("rmi --set rate=1", 2, "--set is for trainings; add --train"),
        ("rmi --keep-head", 2, "--keep-head is for trainings; add --train"),
        ("rmi --plot a.gif", 2, "--plot a.gif must end in .png, .svg, .pdf"),
        ("rmi model.pth", 2, "No dataset given for model.pth. Usage: segablate ablate rmi CHECKPOINT DATASET"),
        (
            "python:no.such.module.f",
            1,
            "python:no.such.module cannot be imported: it is not installed",
        ),
    ],
)
def test_a_slip_is_one_clear_line(arguments: str, code: int, message: str, capsys: pytest.CaptureFixture[str]) -> None:
    found, out, err = said(capsys, "ablate", *arguments.split())
    assert (found, out) == (code, "")
    assert message in err
    assert err.count("\n") == 1


def test_label_maps_have_no_logits(toy: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["ablate", "rmi", f"predictions:{toy / 'labels/val'}", f"folder:{toy}", *QUICK]
    code, _, err = said(capsys, *arguments)
    assert code == 2
    assert "ablate rmi needs logits, but" in err
    assert "has label maps only" in err


def test_a_users_own_loss(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "mine.py").write_text(
        "def scaled(logits, labels, *, factor: float = 2.0):\n    return factor * logits.square().mean()\n"
    )
    monkeypatch.chdir(tmp_path)
    code, out, _ = said(capsys, "ablate", "python:mine.scaled", "--factor", "1,2,4", *QUICK, "--format", "json")
    assert code == 0
    rows = table(out, "values")
    assert [row["setting"] for row in rows] == ["baseline", "factor=1", "factor=2", "factor=4"]
    assert rows[2]["term"] == rows[0]["term"]
    assert rows[3]["term"] == pytest.approx(2 * rows[0]["term"])


def table(out: str, name: str) -> list[dict]:
    return json.loads(out)["tables"][name]


def test_saved_shown_drawn_and_by_class(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    kept, picture = tmp_path / "kept", tmp_path / "sweep.png"
    options = ["--save", str(kept), "--plot", str(picture), "--per-class", "--format", "json"]
    code, out, _ = said(capsys, "ablate", "cpg", "--ksize", "3,5", *QUICK, *options)
    assert code == 0
    assert picture.read_bytes().startswith(b"\x89PNG")
    assert len(table(out, "per_class")) == 3
    with np.load(kept / "values.npz") as arrays:
        assert arrays["term"].shape == (5, 3)
        assert arrays["settings"].tolist() == ["baseline", "ksize=3", "ksize=5"]
        assert table(out, "values")[2]["term"] == pytest.approx(arrays["term"][:, 2].mean())
    code, again, _ = said(capsys, "show", str(kept), "--format", "json")
    assert code == 0
    assert table(again, "values") == table(out, "values")
    code, _, err = said(capsys, "ablate", "cpg", "--save", str(kept))
    assert code == 1
    assert "exists; choose another name" in err


def test_tables_fit_a_hundred_columns_without_breaking(capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = said(capsys, "ablate", "rmi", "--radius", "1,2", *QUICK)
    assert code == 0
    assert max(map(len, out.splitlines())) <= 100
    assert sum(line.split()[:2] == ["▸", "baseline"] for line in out.splitlines()) == 4 + 4  # rows, and what ▸ means


def test_without_gradients_there_is_no_table_of_them(capsys: pytest.CaptureFixture[str]) -> None:
    _, out, _ = said(capsys, "ablate", "recall", "--floor", "0,1", "--no-gradients", *QUICK)
    assert "Gradient at the logits" not in out
    assert "raw values under different floor are not comparable" in out


def test_gradients_are_on_24_images_unless_asked_otherwise(
    tmp_path: Path, network_spec: str, capsys: pytest.CaptureFixture[str]
) -> None:
    data = write_dataset(tmp_path / "toy", 26)
    said_of = {}
    for images in ("", "--gradient-images 9", "--gradient-images 26", "--gradient-images all"):
        command = ["ablate", "focal", network_spec, f"folder:{data}", "--gamma", "1", "--no-cost", "--device", "cpu"]
        code, out, err = said(capsys, *command, "--workers", "0", "--trust-code", *images.split())
        assert code == 0, err
        said_of[images] = re.findall(r"gradients: (\d+) of 26 images, evenly spaced", out)
    assert list(said_of.values()) == [["24"], ["9"], [], []]


def test_losses_are_listed_and_shown(capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = said(capsys, "losses", "list", "--format", "markdown")
    assert code == 0
    assert all(f"| {name} |" in " ".join(out.split()) for name in loss_names())
    code, out, _ = said(capsys, "losses", "show", "cpg")
    assert code == 0
    for part in ("arXiv:2404.06704", "ce + cpg", "Formula", "Differs from the authors' code", "odd whole number"):
        assert part in " ".join(out.split())
    code, _, err = said(capsys, "losses", "show", "cgp")
    assert code == 1
    assert "did you mean 'cpg'?" in err


def test_all_losses_at_once_and_those_without_their_inputs_named(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SEGABLATE_CACHE", str(tmp_path))
    fixed = ("evaluate", "--losses", "all", "--limit", "1", "--workers", "0", "--device", "cpu", "--format", "json")
    code, out, _ = said(capsys, *fixed)
    assert code == 0
    report = json.loads(out)
    assert {row["loss"] for row in report["tables"]["losses"]} == set(loss_names())
    assert any("edge network" in note for note in report["notes"])
    code, out, _ = said(capsys, *fixed, "--flip")
    report = json.loads(out)
    needy = {name for name in loss_names() if "features" in get_loss(name).needs({})}
    assert {row["loss"] for row in report["tables"]["losses"]} == set(loss_names()) - needy
    assert any(note.startswith(f"--losses all leaves out {', '.join(sorted(needy))}") for note in report["notes"])
    code, _, err = said(capsys, "evaluate", "--losses", "dfr", "--flip", "--limit", "1", "--device", "cpu")
    assert code == 2
    assert "--losses dfr needs the features, which sample:ce does not provide" in err
    code, _, err = said(capsys, "evaluate", "--losses", "ce,rim", "--limit", "1")
    assert code == 1
    assert "no loss is called 'rim'; did you mean 'rmi'?" in err
