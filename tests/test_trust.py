"""What a file may do: nothing that its user has not allowed. A malicious file of each source, and a canary for each."""

import io
import json
import os
import re
import shutil
import subprocess
import sys
import warnings
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml
from torch import nn

from segablate.checkpoints import checkpoint_sources
from segablate.checkpoints.sources import native
from segablate.cli import run
from segablate.errors import CheckpointError

ROOT = Path(__file__).parents[1]
EVIL = "from pathlib import Path\nPath({canary!r}).touch()\n"
NET = "from torch import nn\n\ndef make():\n    return nn.Conv2d(3, 10, 1)\n"


class Bomb:
    """Touches a file when it is unpickled."""

    def __init__(self, canary: Path) -> None:
        self.canary = canary

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[str]]:
        return os.mknod, (str(self.canary),)


def weights(path: Path) -> str:
    torch.save(nn.Conv2d(3, 10, 1).state_dict(), path)
    return path.name


def bomb_of_weights(folder: Path, canary: Path) -> str:
    torch.save({"state_dict": nn.Conv2d(3, 10, 1).state_dict(), "evil": Bomb(canary)}, folder / "bomb.pth")
    return "bomb.pth"


def builtin(folder: Path, canary: Path) -> str:
    return f"builtin:small@{bomb_of_weights(folder, canary)}"


def torchvision(folder: Path, canary: Path) -> str:
    return f"torchvision:lraspp_mobilenet_v3_large(num_classes=10)@{bomb_of_weights(folder, canary)}"


def python(folder: Path, canary: Path) -> str:
    """The weights are the stranger's, the code is not."""
    (folder / "net.py").write_text(NET)
    return f"python:net.py:make()@{bomb_of_weights(folder, canary)}"


def card(folder: Path, canary: Path) -> str:
    (folder / "helper.py").write_text(EVIL.format(canary=str(canary)))
    (folder / "net.py").write_text("import helper\n" + NET)
    entries = {"source": "python:net.py:make()", "weights": weights(folder / "w.pth")}
    (folder / "card.yaml").write_text(yaml.safe_dump(entries))
    return "card.yaml"


def command_card(folder: Path, canary: Path) -> str:
    """A card that needs no code of its own."""
    entries = {"source": f"python:os:mknod({str(canary)!r})", "weights": weights(folder / "w.pth")}
    (folder / "card.yaml").write_text(yaml.safe_dump(entries))
    return "card.yaml"


class Writer(nn.Module):
    """Writes a file by operators of TorchScript alone."""

    def __init__(self, path: str) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 10, 1)
        self.path = path

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        torch.save(x.sum(), self.path)
        return self.conv(x)


def torchscript(folder: Path, canary: Path) -> str:
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", r"`torch\.jit\.\w+` is deprecated")
        torch.jit.save(torch.jit.script(Writer(str(canary))), str(folder / "net.ts"))
    return "torchscript:net.ts"


def module(folder: Path, canary: Path) -> str:
    network = nn.Conv2d(3, 10, 1)
    network.evil = Bomb(canary)  # type: ignore[assignment]
    torch.save(network, folder / "whole.pth")
    return "module:whole.pth"


def pt2(folder: Path, canary: Path) -> str:
    """A program whose weight is a pickle, and a bomb."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        program = torch.export.export(nn.Conv2d(3, 10, 1).eval(), (torch.zeros(1, 3, 24, 32),))
        torch.export.save(program, whole := io.BytesIO())
    torch.save(Bomb(canary), bomb := io.BytesIO())
    with zipfile.ZipFile(whole) as old, zipfile.ZipFile(folder / "net.pt2", "w") as new:
        for name in old.namelist():
            data = old.read(name).replace(b'"use_pickle": false', b'"use_pickle": true', 1)
            new.writestr(name, bomb.getvalue() if name.endswith("weights/weight_0") else data)
    return "net.pt2"


def named_native(folder: Path, canary: Path) -> str:
    description = {"architecture": "os.mknod", "arguments": {"path": str(canary)}, "classes": []}
    description |= {"preprocessing": {}, "output": "softmax"}
    native.save(folder / "evil.safetensors", {"w": torch.zeros(1)}, description)
    return "native:evil.safetensors"


def hf(folder: Path, canary: Path) -> str:
    (folder / "hf").mkdir()
    (folder / "hf/evil.py").write_text(EVIL.format(canary=str(canary)) + "class Config: pass\n")
    names = {"AutoConfig": "evil.Config", "AutoModelForSemanticSegmentation": "evil.Config"}
    described = {"model_type": "segformer", "architectures": ["SegformerForSemanticSegmentation"], "auto_map": names}
    (folder / "hf/config.json").write_text(json.dumps(described))
    shutil.move(folder / bomb_of_weights(folder, canary), folder / "hf/pytorch_model.bin")
    return "hf:hf"


def smp(folder: Path, canary: Path) -> str:
    (folder / "smp").mkdir()
    (folder / "smp/config.json").write_text(json.dumps({"_model_class": "os.mknod", "path": str(canary)}))
    shutil.move(folder / bomb_of_weights(folder, canary), folder / "smp/pytorch_model.bin")
    return "smp:smp"


def onnx(folder: Path, canary: Path) -> str:
    """An operator of a stranger's domain, and a library that has it."""
    library = pytest.importorskip("onnx")
    sides = [library.helper.make_tensor_value_info(name, 1, ["n", 3, "h", "w"]) for name in ("x", "y")]
    node = library.helper.make_node("Evil", ["x"], ["y"], domain="evil")
    graph = library.helper.make_graph([node], "net", sides[:1], sides[1:])
    opsets = [library.helper.make_opsetid("", 17), library.helper.make_opsetid("evil", 1)]
    model = library.helper.make_model(graph, opset_imports=opsets, ir_version=9)
    library.helper.set_model_props(model, {"custom_ops_library": "evil.so", "session.register_custom_ops": "evil.so"})
    library.save(model, str(folder / "net.onnx"))
    (folder / "evil.so").write_text(EVIL.format(canary=str(canary)))
    return "net.onnx"


def tflite(folder: Path, canary: Path) -> str:
    """An operator that only Python or a delegate has."""
    networks = pytest.importorskip("tflite_networks")
    write, packed = networks.write_tflite, networks.packed
    with pytest.MonkeyPatch.context() as patch:
        custom = networks.schema.BuiltinOperator.CUSTOM
        patch.setattr(networks, "packed", lambda tensors, found: packed(tensors, [(custom, op) for _, op in found]))
        write(folder / "net.tflite")
    return "net.tflite"


def predictions(folder: Path, canary: Path) -> str:
    (folder / "scores").mkdir()
    for name in ("a", "b"):
        np.savez(folder / f"scores/{name}.npz", logits=np.array([Bomb(canary)], object))
    return "predictions:scores"


def sample(folder: Path, canary: Path) -> str:
    (folder / "ce.py").write_text(EVIL.format(canary=str(canary)))
    return f"sample:{folder}/ce"


CANARIES: dict[str, Callable[[Path, Path], str]] = {
    **{f.__name__: f for f in (builtin, card, hf, module, onnx, predictions, pt2, python, sample, smp, tflite)},
    "native": named_native,
    "torchscript": torchscript,
    "torchvision": torchvision,
}


def listed() -> list[str]:
    """The sources of the table in SECURITY.md."""
    return re.findall(r"^\| `(\w+):` \|", (ROOT / "SECURITY.md").read_text(encoding="utf-8"), re.MULTILINE)


def test_each_source_has_a_row_and_a_canary() -> None:
    assert listed() == checkpoint_sources() == sorted(CANARIES)


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of a stranger, as working directory, with a dataset."""
    (tmp_path / "evil").mkdir()
    monkeypatch.chdir(tmp_path / "evil")
    return tmp_path / "evil"


def evaluate(spec: str, *options: str) -> int:
    """As a process of its own would: with none of the stranger's modules imported before."""
    for name in [name for name in sys.modules if name.partition(".")[0] in ("helper", "hidden_one", "outer")]:
        del sys.modules[name]
    fixed = ["--device", "cpu", "--workers", "0", "--no-cache", "--losses", "none", "--limit", "2"]
    return run(["evaluate", spec, "sample", *fixed, *options])


@pytest.mark.parametrize("source", listed())
def test_a_stranger_s_file_touches_nothing(source: str, place: Path, tmp_path: Path) -> None:
    canary = tmp_path / "canary"
    spec = CANARIES[source](place, canary)
    for command in (["checkpoints", "show", spec], ["checkpoints", "init", spec], ["checkpoints", "list"]):
        run(command)
        assert not canary.exists()
    evaluate(spec)
    run(["train", spec, "sample", "--steps", "1", "--save", str(tmp_path / "run")])
    assert not canary.exists()


@pytest.mark.parametrize("make", [card, command_card, torchscript, module, pt2])
def test_show_and_list_run_nothing_whatever_is_trusted(make: Any, place: Path, tmp_path: Path) -> None:
    canary = tmp_path / "canary"
    spec = make(place, canary)
    for trusted in (True, False):
        if spec.endswith(".yaml") and trusted:
            assert run(["checkpoints", "trust", spec]) == 0
        assert run(["checkpoints", "show", spec, *(["--trust-code"] if trusted else [])]) == 0
        assert run(["checkpoints", "list"]) == 0
        assert not canary.exists()


@pytest.mark.parametrize("make", [card, command_card, torchscript, module, pt2])
def test_with_trust_it_runs(make: Any, place: Path, tmp_path: Path) -> None:
    """Or the test before would say nothing."""
    spec = make(place, tmp_path / "canary")
    evaluate(spec, "--trust-code")
    assert (tmp_path / "canary").exists()


@pytest.mark.parametrize("make", [card, torchscript, module, pt2])
def test_a_refusal_is_one_line_with_its_remedy(
    make: Any, place: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    spec = make(place, tmp_path / "canary")
    assert evaluate(spec) == 1
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    assert "--trust-code" in said


def test_the_old_name_of_the_option(place: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    spec = module(place, tmp_path / "canary")
    assert evaluate(spec, "--trust-pickle") == 0
    assert "note: --trust-pickle is now called --trust-code" in capsys.readouterr().err
    assert (tmp_path / "canary").exists()


# cards that are trusted for good


def trusted_card(place: Path, canary: Path) -> str:
    spec = card(place, canary)
    assert run(["checkpoints", "trust", spec]) == 0
    assert not canary.exists()
    return spec


def test_a_trusted_card_runs_until_a_file_changes(
    place: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    canary = tmp_path / "canary"
    spec = trusted_card(place, canary)
    printed = capsys.readouterr().out
    assert all(name in printed for name in ("card.yaml", "net.py", "helper.py", "python:net.py:make()"))
    assert evaluate(spec) == 0
    assert canary.exists()
    canary.unlink()
    for name in ("helper.py", "net.py", "card.yaml"):
        before = (place / name).read_text()
        (place / name).write_text(before + "\n# changed\n")
        capsys.readouterr()
        assert evaluate(spec) == 1
        assert f"{name} changed since it was trusted" in capsys.readouterr().err
        (place / name).write_text(before)
    assert not canary.exists()


def test_showing_a_card_says_whether_it_is_trusted(
    place: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def state(spec: str) -> str:
        capsys.readouterr()
        assert run(["checkpoints", "show", spec]) == 0
        return " ".join(capsys.readouterr().out.split())

    spec = card(place, tmp_path / "canary")
    assert "not run: checkpoints show runs none; the card is not trusted" in state(spec)
    assert run(["checkpoints", "trust", spec]) == 0
    assert "not run: checkpoints show runs none; the card is trusted" in state(spec)
    (place / "helper.py").write_text("# changed\n")
    assert "the card is not trusted" in state(spec)
    assert not (tmp_path / "canary").exists()


def test_a_terminal_asks_again(place: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    spec = trusted_card(place, tmp_path / "canary")
    (place / "helper.py").write_text(EVIL.format(canary=str(tmp_path / "other")))
    asked: list[str] = []

    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    for answer, code in (("", 1), ("n\n", 1), ("y\n", 0)):
        monkeypatch.setattr(sys, "stdin", Terminal(answer))
        monkeypatch.setattr(sys, "stderr", said := Terminal())
        assert evaluate(spec) == code
        asked.append(said.getvalue())
        assert (tmp_path / "other").exists() == (code == 0)
    assert all("helper.py changed since card.yaml was trusted. Trust it as it is now? [y/N]" in text for text in asked)
    monkeypatch.undo()


def test_a_compiled_copy_is_not_run(place: Path, tmp_path: Path) -> None:
    """Python would take it: its date and size are those of the file."""
    import importlib._bootstrap_external as external
    import importlib.util

    spec = card(place, tmp_path / "unused")
    (place / "helper.py").write_text("")
    assert run(["checkpoints", "trust", spec]) == 0
    evil = compile(EVIL.format(canary=str(tmp_path / "canary")), "helper.py", "exec")
    stat = (place / "helper.py").stat()
    data = external._code_to_timestamp_pyc(evil, int(stat.st_mtime), stat.st_size)  # type: ignore[attr-defined]
    copy = Path(importlib.util.cache_from_source(str(place / "helper.py")))
    copy.parent.mkdir(exist_ok=True)
    copy.write_bytes(data)
    assert evaluate(spec) == 0
    assert not (tmp_path / "canary").exists()


@pytest.mark.parametrize("form", ["computed", "compiled", "package"])
def test_a_file_that_was_not_hashed_does_not_run(
    form: str, place: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Imports that cannot be read off the text, and what is no text."""
    spec = card(place, tmp_path / "unused")
    (place / "helper.py").unlink()
    evil = EVIL.format(canary=str(tmp_path / "canary"))
    start = "import importlib\nimportlib.import_module('hidden_' + 'one')\n"
    if form == "compiled":
        import py_compile

        (place / "source.py").write_text(evil)
        py_compile.compile(str(place / "source.py"), cfile=str(place / "hidden_one.pyc"))
    elif form == "package":
        (place / "outer").mkdir()
        (place / "outer/hidden_one.py").write_text(evil)
        start = "import outer, importlib\nimportlib.import_module('outer.hidden_' + 'one')\n"
    else:
        (place / "hidden_one.py").write_text(evil)
    (place / "net.py").write_text(start + NET)
    assert run(["checkpoints", "trust", spec]) == 0
    assert evaluate(spec) == 1
    assert not (tmp_path / "canary").exists()
    if form == "computed":
        assert "hidden_one.py is not among the files that were trusted" in capsys.readouterr().err
        assert run(["checkpoints", "trust", spec, "hidden_one.py"]) == 0
        assert evaluate(spec) == 0
        assert (tmp_path / "canary").exists()


def test_an_archive_of_a_trusted_card(place: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    torchscript(place, tmp_path / "canary")
    (place / "card.yaml").write_text("source: torchscript:net.ts\n")
    assert evaluate("card.yaml") == 1
    assert "card.yaml names code (net.ts) and is not trusted" in capsys.readouterr().err
    assert run(["checkpoints", "trust", "card.yaml"]) == 0
    assert evaluate("card.yaml") == 0
    assert (tmp_path / "canary").exists()
    torchscript(place, tmp_path / "other")
    assert evaluate("card.yaml") == 1
    assert not (tmp_path / "other").exists()


def test_a_damaged_record_trusts_nothing(place: Path, tmp_path: Path) -> None:
    spec = trusted_card(place, tmp_path / "canary")
    for record in Path(os.environ["SEGABLATE_CONFIG"], "trusted").iterdir():
        record.write_text(record.read_text()[:-4])
    assert evaluate(spec) == 1
    assert not (tmp_path / "canary").exists()


def test_another_card_at_another_place_is_not_trusted(place: Path, tmp_path: Path) -> None:
    spec = trusted_card(place, tmp_path / "canary")
    shutil.copytree(place, tmp_path / "copy")
    assert evaluate(str(tmp_path / "copy" / spec)) == 1
    assert not (tmp_path / "canary").exists()


def test_a_card_without_code_needs_no_trust(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (place / "card.yaml").write_text("source: sample:ce\n")
    assert run(["checkpoints", "trust", "card.yaml"]) == 2
    assert "card.yaml names no code, so there is nothing to trust" in capsys.readouterr().err
    assert evaluate("card.yaml") == 0


def test_a_recipe_that_names_code(place: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    canary = tmp_path / "canary"
    loss = "def mine(logits, labels):\n    return logits.square().mean()\n"
    (place / "mine.py").write_text(EVIL.format(canary=str(canary)) + loss)
    (place / "recipe.yaml").write_text("fields:\n  objective: python:mine.py:mine\n  steps: 1\n")
    assert run(["recipes", "show", "recipe.yaml"]) == 0
    command = [
        "train",
        "small",
        "sample",
        "--recipe",
        "recipe.yaml",
        "--device",
        "cpu",
        "--save",
        str(tmp_path / "run"),
    ]
    assert run(command) == 1
    assert "objective 'python:mine.py:mine' names code; read it, then pass --trust-code" in capsys.readouterr().err
    assert not canary.exists()
    assert run([*command, "--trust-code"]) == 0
    assert canary.exists()


def test_the_card_of_a_training_whose_network_was_typed(place: Path) -> None:
    net = "from torch import nn\n\n\ndef make():\n    return nn.Conv2d(3, 10, 1)\n"
    (place / "net.py").write_text(net)
    command = ["train", "python:net.py:make", "sample", "--steps", "1", "--device", "cpu", "--save", "run"]
    assert run(command) == 0
    assert evaluate("run/card.yaml") == 0
    (place / "net.py").write_text(net.replace("1)", "1, bias=True)"))
    assert evaluate("run/card.yaml") == 1


# downloads


def test_a_configuration_that_names_a_backbone_of_the_hub(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("transformers")
    from segablate.checkpoints.hf_network import read_config

    described = {"model_type": "upernet", "architectures": ["UperNetForSemanticSegmentation"], "backbone": "evil/net"}
    Path("config.json").write_text(json.dumps({**described, "use_timm_backbone": False}))
    looked: list[object] = []
    monkeypatch.setattr("socket.getaddrinfo", lambda *wanted, **_: looked.append(wanted[0]) or [])
    with pytest.raises(CheckpointError):
        read_config(place)
    assert not looked


# the working directory, and standard output


def python_process(place: Path, *command: str) -> "subprocess.CompletedProcess[str]":
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    return subprocess.run(
        [sys.executable, *command], cwd=place, env=environment, capture_output=True, text=True, check=False
    )


PROGRAM = ("-m", "segablate")
READERS_AT_ONCE = (
    "-c",
    "from segablate.__main__ import leave_working_directory; leave_working_directory(); "
    "from segablate.datasets import reading; reading.WORTHWHILE = 0; from segablate.cli import main; main()",
)


@pytest.mark.parametrize("program", [PROGRAM, READERS_AT_ONCE], ids=["here", "processes"])
@pytest.mark.parametrize("name", ["cv2", "numpy", "typer", "socket", "torch"])
def test_nothing_is_imported_from_the_working_directory(
    name: str, program: tuple[str, ...], place: Path, tmp_path: Path, toy: Path
) -> None:
    (place / f"{name}.py").write_text(EVIL.format(canary=str(tmp_path / "canary")) + "raise ImportError('mine')\n")
    options = ["--workers", "2", "--no-cache", "--device", "cpu", "--losses", "none"]
    ended = python_process(place, *program, "evaluate", f"predictions:{toy / 'labels/val'}", f"folder:{toy}", *options)
    assert not (tmp_path / "canary").exists(), ended.stderr
    assert ended.returncode == 0, ended.stderr


def test_what_a_network_prints_is_not_among_the_results(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (place / "loud.py").write_text(
        "print('imported')\nfrom torch import nn\nclass Loud(nn.Conv2d):\n"
        "    def forward(self, x):\n        print('forward')\n        return super().forward(x)\n"
        "def make():\n    print('made')\n    return Loud(3, 10, 1)\n"
        "def loss(logits, labels):\n    print('loss')\n    return logits.square().mean()\n"
    )
    torch.save(nn.Conv2d(3, 10, 1).state_dict(), "w.pth")
    said = ("imported", "made", "forward", "loss")
    assert evaluate("python:loud.py:make()@w.pth", "--losses", "python:loud.py:loss", "--format", "json") == 0
    out, err = capsys.readouterr()
    assert json.loads(out)
    assert all(word in err for word in said)
    fixed = [
        "--steps",
        "1",
        "--device",
        "cpu",
        "--save",
        "run",
        "--format",
        "json",
        "--objective",
        "python:loud.py:loss",
    ]
    assert run(["train", "python:loud.py:make()", "sample", *fixed]) == 0
    out, err = capsys.readouterr()
    assert json.loads(out)
    assert all(word in err for word in said[1:])
