"""Equally named modules of users: each network and loss has those of its own folder, whenever it imports them."""

import pickle
import shutil
import sys
from pathlib import Path

import pytest
import torch
import yaml
from torch import nn

from segablate.checkpoints import Loading, open_checkpoint
from segablate.cli import run
from segablate.errors import UserCodeError
from segablate.evaluation.results import load_run
from segablate.user_code import find_function, load_function
from segablate.user_modules import UserImports

NET = """\
import helper
import parts.deep
from torch import nn


class Net(nn.Conv2d):
    def forward(self, x):
        import helper as again
        import late
        from parts import second

        assert again.VALUE == late.VALUE == parts.deep.VALUE == second.VALUE == helper.VALUE
        scores = 0 * super().forward(x)
        scores[:, helper.VALUE] = 9
        return scores


def make():
    return Net(3, 10, 1)


def value(logits, labels):
    import late

    return logits.square().mean() * 0 + helper.VALUE + late.VALUE
"""


def write_network(folder: Path, value: int) -> Path:
    """Write a card whose network predicts one class, of a number that its neighbours hold."""
    (folder / "parts").mkdir(parents=True)
    for name in ("helper.py", "late.py", "parts/__init__.py", "parts/deep.py", "parts/second.py"):
        (folder / name).write_text(f"VALUE = {value}\n")
    (folder / "net.py").write_text(NET)
    torch.save(nn.Conv2d(3, 10, 1).state_dict(), folder / "w.pth")
    (folder / "card.yaml").write_text(yaml.safe_dump({"source": "python:net.py:make()", "weights": "w.pth"}))
    return folder / "card.yaml"


@pytest.fixture
def cards(tmp_path: Path) -> list[Path]:
    """Two cards of networks that always predict class 2, and class 7."""
    return [write_network(tmp_path / name, value) for name, value in (("a", 2), ("b", 7))]


def prediction(network: object) -> int:
    return int(network.module(torch.zeros(1, 3, 4, 4)).argmax(1).unique())  # type: ignore[attr-defined]


@pytest.mark.parametrize("how", ["trusted", "option", "dotted"])
def test_each_network_has_its_own_neighbours(how: str, cards: list[Path]) -> None:
    for card in cards:
        if how == "dotted":
            card.write_text(card.read_text().replace("net.py", "net"))
        if how != "option":
            assert run(["checkpoints", "trust", str(card)]) == 0
    networks = [open_checkpoint(f"card:{card}", Loading(trust_code=how == "option")) for card in cards]
    assert [prediction(network) for network in networks] == [2, 7]
    assert [prediction(network) for network in networks] == [2, 7]


def test_compare_uses_the_neighbours_of_each(cards: list[Path], tmp_path: Path) -> None:
    fixed = ["--trust-code", "--device", "cpu", "--workers", "0", "--losses", "none", "--limit", "2", "--no-cache"]
    assert run(["compare", *map(str, cards), "--on", "sample", *fixed, "--save", str(tmp_path / "both")]) == 0
    runs = [load_run(tmp_path / "both" / name) for name in ("a", "b")]
    predicted = [set(run.confusion.predicted[run.confusion.pixels > 0].tolist()) for run in runs]
    assert predicted == [{2}, {7}]


def test_each_loss_has_its_own_neighbours(cards: list[Path]) -> None:
    losses = [load_function(f"{card.parent / 'net.py'}:value") for card in cards]
    logits = torch.zeros(1, 10, 2, 2)
    assert [float(loss(logits, None)) for loss in losses] == [4, 14]


def test_a_module_of_the_process_is_neither_taken_nor_lost(
    cards: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A script may have a helper.py of its own."""
    shutil.copytree(cards[0].parent, tmp_path / "script")
    monkeypatch.syspath_prepend(str(tmp_path / "script"))
    sys.modules.pop("helper", None)
    import helper  # type: ignore[import-not-found]

    try:
        network = open_checkpoint(f"card:{cards[1]}", Loading(trust_code=True))
        assert prediction(network) == 7
        assert sys.modules["helper"] is helper
    finally:
        del sys.modules["helper"]


def test_a_missing_neighbour_is_not_that_of_another(cards: list[Path]) -> None:
    find_function(str(cards[0].parent / "net.py"), "make")
    (cards[1].parent / "helper.py").unlink()
    with pytest.raises(UserCodeError, match="No module named 'helper'"):
        find_function(str(cards[1].parent / "net.py"), "make")


def test_paths_that_code_adds_are_its_own(tmp_path: Path) -> None:
    """Code of research often puts a folder of its own on the search path."""
    start = "import sys\nsys.path.append(__file__.replace('net.py', 'lib'))\n"
    before, values = list(sys.path), []
    for value in (2, 7):
        folder = tmp_path / str(value)
        (folder / "lib").mkdir(parents=True)
        (folder / "lib/common_part.py").write_text(f"VALUE = {value}\n")
        (folder / "net.py").write_text(f"{start}from common_part import VALUE\n\ndef get():\n    return VALUE\n")
        values.append(find_function(str(folder / "net.py"), "get")())
    assert values == [2, 7]
    assert sys.path == before


def test_modules_of_one_folder_are_imported_once(tmp_path: Path) -> None:
    """Code that registers itself fails where it runs twice."""
    once = "from pathlib import Path\nPath(__file__ + '.runs').touch(exist_ok=False)\n"
    (tmp_path / "registering.py").write_text(once)
    (tmp_path / "net.py").write_text("import registering\n\ndef make():\n    pass\n")
    for _ in range(2):
        find_function(str(tmp_path / "net.py"), "make")
    assert (tmp_path / "registering.py.runs").exists()


def test_a_whole_module_is_pickled_by_the_classes_of_its_folder(
    cards: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    for card in cards:
        monkeypatch.chdir(card.parent)
        with UserImports([Path.cwd()]).active():
            import net  # type: ignore[import-not-found]

            torch.save(net.make(), "whole.pth")
    for card, value in zip(cards, (2, 7), strict=True):
        monkeypatch.chdir(card.parent)
        network = open_checkpoint("module:whole.pth", Loading(trust_code=True))
        assert prediction(network) == value
        with UserImports([Path.cwd()]).active():
            pickle.dumps(network.module)  # type: ignore[attr-defined]
