"""``checkpoints init``: the card that it writes loads, or says which line is to be filled in."""

from pathlib import Path

import pytest
import torch
from nearest import nearest_network

from segablate.checkpoints import Loading, open_checkpoint
from segablate.cli import run
from segablate.errors import SegablateError
from segablate.networks import get_network

CPU = Loading(device="cpu")


@pytest.fixture(autouse=True)
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize("form", ["nearest.pth", "wrapped.ckpt", "nearest.safetensors"])
def test_a_card_of_weights_alone_loads_once_its_marked_line_is_filled_in(
    form: str, place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    nearest_network(place)
    weights = torch.load("nearest.pth", weights_only=True)
    torch.save({"state_dict": weights}, "wrapped.ckpt")
    from safetensors.torch import save_file

    save_file(weights, "nearest.safetensors")
    assert run(["checkpoints", "init", form, "--out", "cards/card.yaml"]) == 0
    said = capsys.readouterr().out
    assert f"{form} holds weights, but no network\n" in said
    assert "loads once the line marked FILL IN, `source`, names the network" in said
    card = place / "cards/card.yaml"
    (marked,) = (line for line in card.read_text().splitlines() if "FILL IN" in line)
    assert marked.startswith("source: python:../FILE.py:FUNCTION() #")
    with pytest.raises(SegablateError, match=r"FILE\.py"):
        open_checkpoint(str(card), Loading(device="cpu", trust_code=True))
    card.write_text(card.read_text().replace("FILE.py:FUNCTION()", "nearest.py:nearest(num_classes=3)"))
    opened = open_checkpoint(str(card), Loading(device="cpu", trust_code=True))
    loaded = opened.module.state_dict()  # type: ignore[attr-defined]
    assert torch.equal(loaded["weight"], weights["weight"])


def test_a_card_of_weights_that_are_recognised_loads_at_once(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    torch.save(get_network("pspnet")(num_classes=3, layers=50).state_dict(), "w.pth")
    assert run(["checkpoints", "init", "w.pth"]) == 0
    assert "w.pth holds weights, but no network; they look like pspnet" in capsys.readouterr().out
    assert "FILL IN" not in Path("checkpoint.yaml").read_text()
    open_checkpoint("checkpoint.yaml", CPU)


def test_the_options_that_choose_weights_are_written_into_the_card(
    place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    nearest_network(place)
    weights = torch.load("nearest.pth", weights_only=True)
    other = {f"ema.{key}": torch.zeros_like(value) for key, value in weights.items()}
    torch.save(
        {"a": {"b": {"c": {"d": {**other, **{f"raw.{key}": value for key, value in weights.items()}}}}}}, "w.pth"
    )
    assert run(["checkpoints", "init", "w.pth"]) == 1
    assert "found: 'a.b.c.d' of 4; choose one with --key a.b.c.d" in capsys.readouterr().err
    assert run(["checkpoints", "init", "w.pth", "--key", "a.b.c.d", "--strip-prefix", "raw."]) == 0
    card = Path("checkpoint.yaml")
    card.write_text(card.read_text().replace("FILE.py:FUNCTION()", "nearest.py:nearest(num_classes=3)"))
    opened = open_checkpoint(str(card), Loading(device="cpu", trust_code=True))
    assert torch.equal(opened.module.state_dict()["weight"], weights["weight"])  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("card.yaml", b"source: sample:ce\n", "card.yaml is a card already; edit it"),
        ("page.pth", b"<!DOCTYPE html><html></html>", "page.pth"),
        ("gone.pth", None, "gone.pth: no such file"),
        ("folder", None, "folder: no such file"),
    ],
)
def test_what_no_card_can_be_of_is_refused_and_writes_nothing(
    name: str, content: bytes | None, message: str, place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    if content is not None:
        (place / name).write_bytes(content)
    assert run(["checkpoints", "init", name]) == 1
    assert message in " ".join(capsys.readouterr().err.split())
    assert not (place / "checkpoint.yaml").exists()
