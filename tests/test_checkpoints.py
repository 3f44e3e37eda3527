"""Checkpoints from every source: what is loaded, what overrides what, and what each says when it cannot."""

import json
import os
import sys
import warnings
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml
from conftest import NETWORK
from torch import Tensor, nn

from segablate.checkpoints import Loading, checkpoint_sources, count_outputs, described_sources, open_checkpoint
from segablate.checkpoints.drafts import write_card
from segablate.checkpoints.network import Network
from segablate.checkpoints.outputs import choose_scores
from segablate.checkpoints.preprocessing import Preprocessing
from segablate.checkpoints.sources import native
from segablate.checkpoints.sources.card import read_card
from segablate.checkpoints.sources.sample import sample_checkpoints
from segablate.cli import run
from segablate.errors import CheckpointError, SegablateError, UserCodeError
from segablate.networks import get_network
from segablate.samples import Batch, Sample

CPU = Loading(device="cpu")
TRUST = Loading(device="cpu", trust_code=True)
UNSCALED = {"normalise": "none"}


def image(seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (24, 32, 3), np.uint8)


def scores(spec: str | Network, loading: Loading = CPU) -> Tensor:
    segmenter = open_checkpoint(spec, loading) if isinstance(spec, str) else spec
    found = segmenter(Batch((Sample(0, "a", image(), image()[..., 0], ""),))).scores
    assert found is not None
    return found


def plain_forward(module: nn.Module) -> Tensor:
    """What the network of the tests gives for pixels in 0..1."""
    with torch.inference_mode():
        return module.eval()(torch.from_numpy(image()).permute(2, 0, 1)[None].float() / 255)


def near(a: Tensor, b: Tensor) -> bool:
    """Equal but for the rounding of the preprocessing."""
    return torch.allclose(a, b, atol=1e-5)


@pytest.fixture
def network(network_file: Path) -> nn.Module:
    exec(NETWORK, code := {})
    module = code["small"](4)
    module.load_state_dict(torch.load(network_file.with_suffix(".pth")))
    return module


def card(folder: Path, **entries: Any) -> str:
    """A card beside the network of the tests."""
    given = {"source": "python:net.py:small(num_classes=4)", "weights": "net.pth", **entries}
    (folder / "card.yaml").write_text(yaml.safe_dump({k: v for k, v in given.items() if v is not None}))
    return str(folder / "card.yaml")


# python


@pytest.mark.parametrize("form", ["tensor", "out", "logits", "list"])
def test_a_network_may_return_what_is_usual(form: str, network: nn.Module, network_file: Path) -> None:
    spec = f"python:{network_file}:small(4, form={form!r})@{network_file.with_suffix('.pth')}"
    assert near(scores(spec), plain_forward(network))


def test_a_dotted_module_is_found_from_the_working_directory(
    network: nn.Module, network_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    package = network_file.parent / "nets_of_a_test"
    package.mkdir()
    (package / "tiny.py").write_text(NETWORK)
    monkeypatch.chdir(network_file.parent)
    assert near(scores("python:nets_of_a_test.tiny:small(num_classes=4)@net.pth"), plain_forward(network))
    assert str(network_file.parent) not in sys.path


@pytest.mark.parametrize("wrapped", [False, True])
def test_key_and_prefix(wrapped: bool, network: nn.Module, network_file: Path) -> None:
    state = {f"student.{key}": value for key, value in network.state_dict().items()}
    torch.save({"epoch": 3, "ema": state} if wrapped else state, network_file.with_name("w.pth"))
    spec = f"python:{network_file}:small(4)@{network_file.with_name('w.pth')}"
    loading = Loading(device="cpu", key="ema" if wrapped else None, strip_prefix="student.")
    assert near(scores(spec, loading), plain_forward(network))


def test_the_specification_is_kept_with_the_files(network_spec: str, network_file: Path) -> None:
    source = open_checkpoint(network_spec, CPU).source
    assert source.spec == network_spec
    assert source.files == (network_file.with_suffix(".pth"), network_file)
    assert source.facts["parameters"] == "276"
    assert source.facts["output"] == "softmax"
    assert source.facts["device"] == "cpu, fp32"


def test_one_channel_is_two_classes(network_file: Path) -> None:
    exec(NETWORK, code := {})
    module = code["small"](1)
    torch.save(module.state_dict(), network_file.with_name("one.pth"))
    spec = f"python:{network_file}:small(1)@{network_file.with_name('one.pth')}"
    z = plain_forward(module)
    assert torch.allclose(scores(spec).softmax(1)[:, 1:], z.sigmoid(), atol=1e-6)
    shares = scores(spec, Loading(device="cpu", output="probabilities"))
    assert near(shares, torch.cat([1 - z, z], 1))


@pytest.mark.parametrize(
    ("returned", "message"),
    [
        ({"a": 1, "b": 2}, "returns a dictionary with a, b, not out or logits"),
        ([], "returns NoneType; expected a tensor N x classes x height x width"),
        (torch.zeros(2, 3), r"returns \(2, 3\); expected a tensor"),
        ("text", "returns str; expected a tensor"),
    ],
)
def test_what_is_no_score_map(returned: Any, message: str) -> None:
    with pytest.raises(CheckpointError, match=message):
        choose_scores(returned)


def test_an_error_of_the_network_names_it_and_the_size(network_file: Path, network: nn.Module) -> None:
    lines = (
        "\n\nclass Choosy(Small):\n    def forward(self, x):\n        assert x.shape[-1] == 64, 'sides must be 64'\n"
    )
    network_file.write_text(NETWORK + lines + "\n\ndef choosy(n):\n    return Choosy(n)\n")
    spec = f"python:{network_file}:choosy(4)@{network_file.with_suffix('.pth')}"
    with pytest.raises(CheckpointError, match=r"choosy\(4\)@.* fails on images of 24x32: sides must be 64"):
        scores(spec)
    assert count_outputs(open_checkpoint(spec, CPU)) is None


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("python:net", r"'python:net' is malformed; write python:package\.module:factory"),
        ("python:net.py:small(4)", r"has no weights; add @FILE, as in python:net\.py:small\(4\)@weights\.pth"),
        ("python:NET:small(open('x'))@W", "arguments must be literals"),
        ("python:NET:small(**{})@W", "arguments must be literals"),
        ("python:nowhere.py:small()@W", r"nowhere\.py: no such Python file"),
        ("python:json:Small@W", "python:json has no function 'Small'"),
        ("pyton:net.py:small(4)@W", "no checkpoint source is called 'pyton'; did you mean 'python'"),
        ("torchscript:", r"'torchscript:' is incomplete; write torchscript:FILE"),
        ("nothing.pth", r"nothing\.pth: no such file"),
    ],
)
def test_malformed_specifications(spec: str, message: str, network_file: Path) -> None:
    spec = spec.replace("NET", str(network_file)).replace("@W", f"@{network_file.with_suffix('.pth')}")
    with pytest.raises((CheckpointError, UserCodeError), match=message):
        open_checkpoint(spec, CPU)


# cards


def test_a_card_says_it_all_and_options_override_it(network: nn.Module, network_file: Path) -> None:
    stated = {"channels": "bgr", "scale": 1, "mean": [100, 110, 120], "std": 50}
    entries = {"preprocessing": stated, "output": "sigmoid", "classes": list("abcd"), "class_map": {"d": None}}
    place = card(network_file.parent, **entries)
    opened = open_checkpoint(place, TRUST)
    assert isinstance(opened, Network)
    assert opened.preprocessing == Preprocessing("bgr", "1", (100.0, 110.0, 120.0), (50.0, 50.0, 50.0))
    assert (opened.kind, opened.classes, opened.class_map) == ("sigmoid", tuple("abcd"), {"d": None})
    assert opened.source.spec == place
    assert opened.source.files[0] == Path(place)
    assert opened.source.facts["card of"] == "python:net.py:small(num_classes=4)@net.pth"
    loading = replace(TRUST, preprocessing={"channels": "rgb"}, output="softmax", class_map={"a": "b"})
    overridden = open_checkpoint(place, loading)
    assert isinstance(overridden, Network)
    assert overridden.preprocessing == Preprocessing("rgb", "1", (100.0, 110.0, 120.0), (50.0, 50.0, 50.0))
    assert (overridden.kind, overridden.classes, overridden.class_map) == ("softmax", tuple("abcd"), {"a": "b"})
    normalised = (image()[..., ::-1].astype(np.float32) - [100, 110, 120]) / 50
    with torch.inference_mode():
        expected = network.eval()(torch.from_numpy(normalised).permute(2, 0, 1)[None].float())
    assert near(scores(place, TRUST), expected)


def test_a_card_of_every_source(network: nn.Module, network_file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = network_file.parent
    save_script(network, folder / "net.ts")
    save_native(folder / "small.safetensors")
    for source, cls in (("torchscript:net.ts", 4), ("small.safetensors", 3), ("native:small.safetensors", 3)):
        place = card(folder, source=source, weights=None, preprocessing={"mean": 0.5})
        opened = open_checkpoint(place, TRUST)
        assert scores(opened).shape[1] == cls  # type: ignore[arg-type]
        assert opened.source.facts["card of"] == source
        assert "− 0.5" in opened.source.facts["preprocessing"]
        assert opened.source.files[0] == Path(place)


@pytest.mark.parametrize(
    ("entries", "message"),
    [
        ({"source": 3}, "is not a checkpoint card; it must have an entry source"),
        ({"source": "card.yaml", "weights": None}, "source is 'card.yaml', another card; give the checkpoint itself"),
        ({"source": "card:a.yaml", "weights": None}, "another card"),
        ({"source": "torchscript:net.ts"}, "weights is 'net.pth', but source 'torchscript:net.ts' already names"),
        ({"source": "python:net.py:small(4)@net.pth"}, "already names its file; remove one of them"),
        ({"preprocessing": [1]}, "preprocessing must be a mapping"),
        ({"inference": 512}, r"inference must be a mapping, as in \{window: 512, flip: true\}"),
        ({"inference": {"windw": 4}}, "inference has no entry 'windw'; did you mean 'window'"),
        ({"inference": {"window": 4, "stride": 9}}, "stride is 9x9, larger than the window 4x4"),
        ({"classes": "a"}, "classes must be a list of names, or the name of a label set: no label set is called 'a'"),
        ({"class_map": ["a"]}, "class_map must map checkpoint classes to dataset classes"),
        ({"output": "relu"}, "output is 'relu', but must be softmax, sigmoid, probabilities or labels"),
        ({"strip_prefix": -1}, r"strip_prefix is -1, but must be text, as in module\.; quote it"),
        ({"key": 3}, r"key is 3, but must be text"),
        ({"output": ["softmax"]}, r"output is \['softmax'\], but must be text"),
    ],
)
def test_malformed_cards(entries: dict[str, Any], message: str, network_file: Path) -> None:
    with pytest.raises(CheckpointError, match=message):
        open_checkpoint(card(network_file.parent, **entries), TRUST)


def test_a_missing_card() -> None:
    with pytest.raises(CheckpointError, match=r"nowhere\.yaml: no such card; .*checkpoints init"):
        open_checkpoint("nowhere.yaml", CPU)


def test_a_first_card_runs_and_its_paths_are_its_own(
    network_file: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(network_file.parent)
    assert run(["checkpoints", "init", "python:net.py:small(4)@net.pth", "--out", "cards/first.yaml"]) == 0
    assert "wrote cards/first.yaml" in capsys.readouterr().out
    written = Path("cards/first.yaml")
    assert read_card(written)["source"] == "python:../net.py:small(4)"
    assert "outputs (4), in order" in written.read_text()
    assert scores(str(written), TRUST).shape[1] == 4
    with pytest.raises(CheckpointError, match=r"cards/first\.yaml exists already; choose another file"):
        write_card(written, "python:net.py:small(4)@net.pth")
    assert run(["checkpoints", "init", "torchscript:nets/later.ts", "--out", "cards/second.yaml"]) == 0
    assert "the checkpoint does not load yet: nets/later.ts: no such file" in capsys.readouterr().err
    assert read_card(Path("cards/second.yaml"))["source"] == "torchscript:../nets/later.ts"


# the project's own files


def save_native(path: Path, **changes: Any) -> nn.Module:
    torch.manual_seed(1)
    module = get_network("small")(num_classes=3, width=4)
    description = {
        "architecture": "small",
        "arguments": {"num_classes": 3, "width": 4},
        "classes": ["a", "b", "c"],
        "preprocessing": Preprocessing(mean=(0.1, 0.2, 0.3)).plain(),
        "output": "softmax",
        "training": {"objective": "ce"},
        **changes,
    }
    native.save(path, module.state_dict(), description)
    return module


def test_own_files_come_back(tmp_path: Path) -> None:
    path = tmp_path / "a.safetensors"
    module = save_native(path)
    opened = open_checkpoint(str(path), CPU)
    assert isinstance(opened, Network)
    assert opened.classes == ("a", "b", "c")
    assert opened.preprocessing.mean == (0.1, 0.2, 0.3)
    assert opened.source.facts["architecture"] == "small(num_classes=3, width=4)"
    assert opened.source.facts["trained with"] == "ce"
    assert all(torch.equal(opened.module.state_dict()[name], value) for name, value in module.state_dict().items())
    first = path.read_bytes()
    save_native(path)
    assert path.read_bytes() == first


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"format": 2}, "has format 2, newer than this program's 1; upgrade"),
        ({"architecture": "smal"}, "no network is called 'smal'; did you mean 'small'"),
        ({"arguments": {"classes": 3}}, "its arguments do not fit architecture 'small'"),
        ({"arguments": {"num_classes": 4, "width": 4}}, "classifier"),
    ],
)
def test_own_files_that_do_not_fit(changes: dict[str, Any], message: str, tmp_path: Path) -> None:
    save_native(tmp_path / "a.safetensors", **changes)
    with pytest.raises(CheckpointError, match=message):
        open_checkpoint(str(tmp_path / "a.safetensors"), CPU)


def test_foreign_safetensors_and_damage(tmp_path: Path) -> None:
    from safetensors.torch import save_file

    path = tmp_path / "a.safetensors"
    save_file({"w": torch.zeros(3)}, path)
    with pytest.raises(CheckpointError, match=r"holds weights, but no network; name the network, as in python:package"):
        open_checkpoint(str(path), CPU)
    path.write_bytes(path.read_bytes()[:20])
    with pytest.raises(CheckpointError, match="not a whole safetensors file"):
        open_checkpoint(str(path), CPU)


# TorchScript and whole modules


def save_script(module: nn.Module, path: Path) -> None:
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", r"`torch\.jit\.\w+` is deprecated")
        torch.jit.save(torch.jit.freeze(torch.jit.trace(module.eval(), torch.zeros(1, 3, 24, 32))), str(path))


def test_torchscript(network: nn.Module, tmp_path: Path) -> None:
    save_script(network, tmp_path / "net.ts")
    opened = open_checkpoint(f"torchscript:{tmp_path / 'net.ts'}", replace(TRUST, preprocessing=UNSCALED))
    assert opened.source.files == (tmp_path / "net.ts",)
    assert near(scores(opened), plain_forward(network))  # type: ignore[arg-type]


@pytest.mark.parametrize("category", [DeprecationWarning, FutureWarning])
def test_only_the_deprecation_of_torchscript_is_silenced(
    category: type[Warning], network: nn.Module, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    save_script(network, tmp_path / "net.ts")

    def load(*_: object, **__: object) -> nn.Module:
        warnings.warn("`torch.jit.load` is deprecated. Please switch to `torch.export`.", category, stacklevel=2)
        warnings.warn("the archive is of an older torch", category, stacklevel=2)
        return network

    monkeypatch.setattr(torch.jit, "load", load)
    with pytest.warns(category) as given:
        open_checkpoint(f"torchscript:{tmp_path / 'net.ts'}", TRUST)
    assert [str(warning.message) for warning in given] == ["the archive is of an older torch"]


def test_torchscript_is_evaluated(
    toy: Path, network: nn.Module, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    save_script(network, tmp_path / "net.ts")
    command = ["evaluate", f"torchscript:{tmp_path / 'net.ts'}", f"folder:{toy}", "--device", "cpu"]
    assert run(command) == 1
    assert "is a program that can write any file; pass --trust-code" in capsys.readouterr().err
    assert run([*command, "--trust-code"]) == 0
    assert "mIoU" in capsys.readouterr().out
    with pytest.raises(CheckpointError, match=r"is a TorchScript archive; write torchscript:.*net\.ts"):
        open_checkpoint(str(tmp_path / "net.ts"), CPU)


def test_names_that_are_not_utf8(tmp_path: Path) -> None:
    stem = str(tmp_path / os.fsdecode(b"m\xfcnchen"))
    Path(f"{stem}.ts").touch()
    with pytest.raises(SegablateError, match=r"\.ts: torch\.jit\.load opens no file whose path is not UTF-8"):
        open_checkpoint(f"torchscript:{stem}.ts", TRUST)
    with pytest.raises(CheckpointError, match="its name is not UTF-8, in which cards are written; rename the file"):
        write_card(tmp_path / "card.yaml", f"torchscript:{stem}.ts")


def test_an_archive_whose_directory_is_damaged_is_no_torchscript(network: nn.Module, tmp_path: Path) -> None:
    torch.save(network.state_dict(), tmp_path / "net.pth")
    data = (tmp_path / "net.pth").read_bytes()
    (tmp_path / "net.pth").write_bytes(data.replace(b"PK\1\2", b"PK\1\3"))
    with pytest.raises(CheckpointError, match=r"net\.pth: this is damaged or cut short .*; download or copy it again"):
        open_checkpoint(str(tmp_path / "net.pth"), CPU)


@pytest.mark.parametrize("content", ["state dict", "text", "nothing"])
def test_what_is_no_torchscript(content: str, network: nn.Module, tmp_path: Path) -> None:
    path = tmp_path / "net.ts"
    if content == "state dict":
        torch.save(network.state_dict(), path)
    elif content == "text":
        path.write_text("hello " * 100)
    message = "no such file" if content == "nothing" else r"not a whole TorchScript archive .*python:package"
    with pytest.raises(CheckpointError, match=rf"net\.ts: {message}"):
        open_checkpoint(f"torchscript:{path}", TRUST)


class Bomb:
    """Writes a file when it is unpickled."""

    def __init__(self, marker: Path) -> None:
        self.marker = marker

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[str]]:
        return Path.touch, (self.marker,)  # type: ignore[return-value]


def test_a_whole_module_needs_trust(tmp_path: Path) -> None:
    torch.manual_seed(0)
    module = nn.Sequential(nn.Conv2d(3, 4, 3, padding=1), nn.ReLU())
    torch.save(module, tmp_path / "whole.pth")
    spec = f"module:{tmp_path / 'whole.pth'}"
    with pytest.raises(CheckpointError, match=r"whole\.pth: .*runs any code in the file; pass --trust-code"):
        open_checkpoint(spec, CPU)
    opened = open_checkpoint(spec, replace(TRUST, preprocessing=UNSCALED))
    assert near(scores(opened), plain_forward(module))  # type: ignore[arg-type]
    assert opened.source.facts["module"] == "Sequential"
    assert opened.source.notes == ("whole.pth was unpickled: code in it has run",)


def test_a_first_card_of_a_whole_module_needs_trust_too(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    torch.save(nn.Conv2d(3, 4, 1), tmp_path / "whole.pth")
    command = ["checkpoints", "init", f"module:{tmp_path / 'whole.pth'}", "--out"]
    assert run([*command, str(tmp_path / "a.yaml")]) == 0
    assert "pass --trust-code" in capsys.readouterr().err
    assert run([*command, str(tmp_path / "b.yaml"), "--trust-code"]) == 0
    assert "does not load" not in capsys.readouterr().err
    assert "outputs (4), in order" in (tmp_path / "b.yaml").read_text()


def test_without_trust_nothing_runs(tmp_path: Path) -> None:
    torch.save(Bomb(tmp_path / "marker"), tmp_path / "bomb.pth")
    with pytest.raises(CheckpointError, match="pass --trust-code"):
        open_checkpoint(f"module:{tmp_path / 'bomb.pth'}", CPU)
    assert not (tmp_path / "marker").exists()
    with pytest.raises(CheckpointError, match=r"holds NoneType, not a whole module"):
        open_checkpoint(f"module:{tmp_path / 'bomb.pth'}", TRUST)
    assert (tmp_path / "marker").exists()


def test_modules_that_cannot_be_had(network_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "nets_gone.py").write_text(NETWORK)
    monkeypatch.syspath_prepend(tmp_path)
    import nets_gone  # type: ignore[import-not-found]

    torch.save(nets_gone.small(4), tmp_path / "whole.pth")
    monkeypatch.undo()
    monkeypatch.delitem(sys.modules, "nets_gone")
    with pytest.raises(
        CheckpointError, match=r"its classes cannot be imported \(No module named 'nets_gone'\); run it where"
    ):
        open_checkpoint(f"module:{tmp_path / 'whole.pth'}", TRUST)
    torch.save({"a": torch.zeros(1)}, tmp_path / "state.pth")
    with pytest.raises(CheckpointError, match=r"holds dict, not a whole module; for a state dict, name the network"):
        open_checkpoint(f"module:{tmp_path / 'state.pth'}", TRUST)
    (tmp_path / "cut.pth").write_bytes((tmp_path / "whole.pth").read_bytes()[:600])
    with pytest.raises(CheckpointError, match=r"cut\.pth: this is damaged or cut short"):
        open_checkpoint(f"module:{tmp_path / 'cut.pth'}", TRUST)
    with pytest.raises(CheckpointError, match=r"none\.pth: no such file"):
        open_checkpoint(f"module:{tmp_path / 'none.pth'}", TRUST)


# the commands


def test_every_source_is_described() -> None:
    described = described_sources()
    assert list(described) == checkpoint_sources()
    assert {"card", "module", "native", "predictions", "python", "sample", "torchscript"} <= set(described)
    assert described["predictions"].form.startswith("predictions:DIR")
    assert described["sample"].form == ", ".join(f"sample:{name}" for name in sample_checkpoints())
    assert all("`" not in text for source in described.values() for text in source)


def test_list_and_show(network_file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["checkpoints", "list", "--format", "json"]) == 0
    listed = json.loads(capsys.readouterr().out)
    assert [row["source"] for row in listed["tables"]["sources"]] == checkpoint_sources()
    place = card(network_file.parent, classes=list("abcd"), class_map={"d": None})
    command = ["checkpoints", "show", place, "--device", "cpu", "--window", "16", "--mean", "0.1,0.2,0.3"]
    assert run([*command, "--format", "json"]) == 0
    tables = json.loads(capsys.readouterr().out)["tables"]
    values = {row["fact"]: row["value"] for row in tables["facts"]}
    sizes = [tensor.numel() for tensor in torch.load(network_file.with_name("net.pth")).values()]
    assert (values["outputs"], values["weights"]) == ("unknown", f"{len(sizes)} tensors, {sum(sizes)} values")
    assert "− (0.1, 0.2, 0.3)" in values["preprocessing"]
    assert values["inference"].startswith("windows 16x16 (or the image, where it is smaller), stride 10x10")
    assert [row["means"] for row in tables["classes"]] == ["a", "b", "c", "outside the label set"]


@pytest.mark.parametrize("given", [{"mean": [123.7, 116.3, 103.5]}, {"mean": 110.0, "scale": "0.004"}])
def test_a_mean_of_pixels_at_the_scale_of_shares(given: dict[str, Any], network_spec: str) -> None:
    """Other libraries multiply such a mean by 1/255, too."""
    with pytest.raises(
        CheckpointError, match=r"net\.pth: mean is .*, but scale .* brings pixels to 0\.\.1.*state scale 1"
    ):
        open_checkpoint(network_spec, Loading(device="cpu", preprocessing=given))
    for fitting in ({**given, "scale": "1"}, {"mean": [0.485, 0.456, 1.0]}):
        open_checkpoint(network_spec, Loading(device="cpu", preprocessing=fitting))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--window", "0"], "--window is '0', but must be a side in pixels"),
        (["--window", "4x5x6"], "--window is '4x5x6', but must be"),
        (["--stride", "8"], "stride is 8x8, but no window is set; set the window too"),
        (["--window", "8", "--stride", "9x8"], "stride is 9x8, larger than the window 8x8"),
    ],
)
def test_windows_on_the_command_line(
    options: list[str], message: str, network_spec: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["checkpoints", "show", network_spec, "--device", "cpu", *options]) in (1, 2)
    assert message in capsys.readouterr().err
