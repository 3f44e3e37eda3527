"""A cached evaluation is found without opening the checkpoint, unless something that opening would notice changed."""

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from conftest import CLASSES
from torch import nn

from segablate import checkpoints
from segablate.cli import run
from segablate.evaluation import manifests

HIT = re.compile(r"unchanged since .* and taken from the cache; --no-cache measures again")
SAMPLE = Path(__file__).parents[1] / "sample_data/checkpoints"
HEAVY = ("torch", "scipy.stats", "scipy.ndimage", "skimage")


class Report(dict):
    """The report of a command, as JSON, and whether it came from the cache without opening the checkpoint."""

    unopened = False


Said = Callable[..., Report]


@pytest.fixture
def said(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Said:
    opened: list[str] = []
    before = checkpoints.open_checkpoint

    def counted(spec: str, loading: Any = None) -> Any:
        opened.append(spec)
        return before(spec, loading)

    monkeypatch.setattr(checkpoints, "open_checkpoint", counted)

    def report(*command: str) -> Report:
        opened.clear()
        arguments = ["evaluate", *command, "--workers", "0", "--format", "json"]
        assert run(arguments) == 0, capsys.readouterr().err
        output = capsys.readouterr()
        assert output.err == ""
        found = Report(json.loads(output.out))
        found.unopened = not opened and any(HIT.fullmatch(note) for note in found["notes"])
        return found

    return report


@pytest.fixture
def place(tmp_path: Path, toy: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a checkpoint of the sample data and a card for it, as working directory."""
    shutil.copy(SAMPLE / "ce.safetensors", tmp_path / "net.safetensors")
    classes = [*CLASSES, *map(str, range(6))]
    class_map = {name: name if name in CLASSES else None for name in classes}
    described = {"source": "native:net.safetensors", "classes": classes, "class_map": class_map}
    (tmp_path / "card.yaml").write_text(yaml.safe_dump(described))
    monkeypatch.chdir(tmp_path)
    return tmp_path


COMMAND = ("card.yaml", "folder:toy", "--losses", "none")


def test_the_report_is_that_of_the_opened_checkpoint(said: Said, place: Path, own_cache: Path) -> None:
    first, second = said(*COMMAND), said(*COMMAND)
    shutil.rmtree(own_cache / "manifests")
    third = said(*COMMAND)
    assert [report.unopened for report in (first, second, third)] == [False, True, False]
    assert second == third
    assert {**second, "notes": second["notes"][:-1]} == first


def repeated_weights(path: Path) -> None:
    path.write_bytes((SAMPLE / "rmi.safetensors").read_bytes())


def touch(path: Path) -> None:
    os.utime(path, ns=(0, 0))


FILES: dict[str, Callable[[Path], object]] = {
    "net.safetensors": repeated_weights,
    "card.yaml": lambda path: path.write_text(path.read_text() + "preprocessing: {scale: 1/200}\n"),
    "toy/images/val/s0.png": touch,
    "toy/labels/val/s0.png": touch,
    "toy/dataset.yaml": lambda path: path.write_text(path.read_text().replace("toy", "other")),
}


@pytest.mark.parametrize("name", FILES)
def test_a_file_that_has_changed_is_noticed(name: str, said: Said, place: Path) -> None:
    said(*COMMAND)
    assert said(*COMMAND).unopened
    FILES[name](place / name)
    changed = said(*COMMAND)
    assert not changed.unopened
    assert not any(HIT.fullmatch(note) for note in changed["notes"])
    assert said(*COMMAND).unopened


OPTIONS = (
    ("--losses", "ce"),
    ("--scale", "1/200"),
    ("--flip",),
    ("--tolerance", "2"),
    ("--limit", "3"),
    ("--device", "cpu"),
    ("--precision", "bf16"),
    ("--calibration",),
    ("--trimap", "3"),
    ("--split", "val"),
)


def test_other_options_open_the_checkpoint(said: Said, place: Path) -> None:
    said(*COMMAND)
    assert [options for options in OPTIONS[:-1] if said(*COMMAND, *options).unopened] == []
    assert said(*COMMAND, "--batch-size", "2", *OPTIONS[-1]).unopened


def test_a_relative_path_is_that_of_the_working_directory(
    said: Said, place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (place / "other").mkdir()
    shutil.copy(place / "card.yaml", place / "other/card.yaml")
    repeated_weights(place / "other/net.safetensors")
    command = ("card.yaml", f"folder:{place / 'toy'}", "--losses", "none")
    first = said(*command)
    assert said(*command).unopened
    monkeypatch.chdir(place / "other")
    second = said(*command)
    assert not second.unopened
    assert second["tables"] != first["tables"]


def test_gpus_and_installed_packages_belong_to_it(said: Said, place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    said(*COMMAND)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "-1")
    assert not said(*COMMAND).unopened
    (place / "site/torch-99.dist-info").mkdir(parents=True)
    monkeypatch.syspath_prepend(str(place / "site"))
    assert not said(*COMMAND).unopened


def test_a_damaged_manifest_is_replaced(said: Said, place: Path, own_cache: Path) -> None:
    said(*COMMAND)
    (manifest,) = (own_cache / "manifests").iterdir()
    text = manifest.read_text()
    for damaged in (text[:-20], text.replace('"images": true', '"images": false'), "[]", "{}"):
        manifest.write_text(damaged)
        assert not said(*COMMAND).unopened
        assert said(*COMMAND).unopened


def test_weights_that_change_during_a_run_are_those_that_were_read(
    said: Said, place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from segablate.evaluation import loop

    def exchanged(work: Any, running: Any) -> Any:
        repeated_weights(place / "net.safetensors")
        return carry_out(work, running)

    carry_out = loop.carry_out
    with monkeypatch.context() as patch:
        patch.setattr(loop, "carry_out", exchanged)
        first = said(*COMMAND)
    second = said(*COMMAND)
    assert not second.unopened
    assert second["tables"] != first["tables"]


def test_the_least_recently_used_goes_first(
    said: Said, place: Path, own_cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(manifests, "MOST_MANIFESTS", 2)
    for number, limit in enumerate("123"):
        said(*COMMAND, "--limit", limit)
        for path in (own_cache / "manifests").iterdir():
            os.utime(path, ns=(number, number)) if path.stat().st_mtime_ns > 10 else None
    assert [said(*COMMAND, "--limit", limit).unopened for limit in "321"] == [True, True, False]


def test_code_of_a_user_is_always_opened(said: Said, toy: Path, network_spec: str, own_cache: Path) -> None:
    """What it imports, and whether it is trusted, is known only then."""
    command = (network_spec, f"folder:{toy}", "--device", "cpu")
    said(*command)
    second = said(*command)
    assert any(HIT.fullmatch(note) for note in second["notes"])
    assert not second.unopened
    assert not (own_cache / "manifests").exists()


def test_a_loss_of_a_user_is_always_opened(said: Said, place: Path, own_cache: Path) -> None:
    (place / "own.py").write_text("def own(logits, labels):\n    return logits.mean()\n")
    shutil.copy(SAMPLE / "ce.safetensors", place / "four.safetensors")
    said("sample:ce", "sample", "--limit", "2", "--losses", "python:own.py:own")
    assert not (own_cache / "manifests").exists()


def test_a_card_that_has_lost_its_trust_is_refused(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (place / "net.py").write_text("from torch import nn\n\ndef make():\n    return nn.Conv2d(3, 4, 1)\n")
    torch.save(nn.Conv2d(3, 4, 1).state_dict(), place / "net.pth")
    (place / "card.yaml").write_text("source: python:net.py:make()\nweights: net.pth\n")
    command = ["evaluate", *COMMAND, "--workers", "0", "--device", "cpu"]
    assert run(["checkpoints", "trust", "card.yaml"]) == 0
    assert run(command) == 0
    assert run(command) == 0
    assert HIT.search(" ".join(capsys.readouterr().out.split()))
    shutil.rmtree(os.environ["SEGABLATE_CONFIG"])
    assert run(command) == 1
    assert "card.yaml names code (net.py) and is not trusted" in capsys.readouterr().err


def imported(*command: str) -> set[str]:
    """The heavy libraries that a command imports in a process of its own."""
    code = (
        "import sys; from segablate.cli import run; code = run(sys.argv[1:]); "
        f"print(*[name for name in {HEAVY} if name in sys.modules], file=sys.stderr); sys.exit(code)"
    )
    ended = subprocess.run([sys.executable, "-c", code, *command], capture_output=True, text=True, check=True)
    return set(ended.stderr.split())


def test_a_hit_imports_nothing_heavy() -> None:
    command = ("evaluate", "sample:ce", "--limit", "4", "--workers", "0")
    assert "torch" in imported(*command)
    assert imported(*command) == set()


@pytest.mark.parametrize("options", [(), ("--workers", "2"), ("--boundary-iou", "3"), ("--no-cache", "--trimap", "2")])
def test_evaluating_label_maps_imports_nothing_heavy(options: tuple[str, ...], toy: Path, tmp_path: Path) -> None:
    shutil.copytree(toy / "labels/val", tmp_path / "maps")
    assert imported("evaluate", f"predictions:{tmp_path / 'maps'}", f"folder:{toy}", *options) == set()
