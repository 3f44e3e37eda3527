"""Words at the prompt: what was meant is said in one line, variables are expanded, names are completed."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from segablate.checkpoints import checkpoint_sources
from segablate.cli import completion, run
from segablate.cli.arguments import expand
from segablate.cli.meant import command_line
from segablate.datasets import dataset_layouts
from segablate.errors import UsageError
from segablate.losses import loss_names
from segablate.objective.written_lists import with_commas

MEANT = {
    "evaluate sample:ce sample --gpu": "segablate evaluate sample:ce sample --device cuda",
    "evaluate --gpu 1 sample:ce sample": "segablate evaluate --device cuda:1 sample:ce sample",
    "evaluate sample:ce sample --cuda=1": "segablate evaluate sample:ce sample --device cuda:1",
    "evaluate sample:ce --cpu": "segablate evaluate sample:ce --device cpu",
    "evaluate sample:ce --dataset camvid:d": "segablate evaluate sample:ce camvid:d",
    "evaluate --data=camvid:d --checkpoint=a.pth": "segablate evaluate a.pth camvid:d",
    "evaluate --checkpoint a.pth --dataset camvid:d --batch 4": "segablate evaluate a.pth camvid:d --batch-size 4",
    "evaluate --weights a.pth camvid:d": "segablate evaluate a.pth camvid:d",
    "evaluate --dataset camvid:d": "segablate evaluate CHECKPOINT camvid:d",
    "evaluate sample:ce --json --fp16": "segablate evaluate sample:ce --format json --precision fp16",
    "evaluate sample:ce --loss=rmi -o runs/a": "segablate evaluate sample:ce --losses=rmi --save runs/a",
    "compare a b --dataset camvid:d": "segablate compare a b --on camvid:d",
    "ablate rmi --ckpt a.pth --data camvid:d --radius 3": "segablate ablate rmi a.pth camvid:d --radius 3",
    "checkpoints show --model a.pth": "segablate checkpoints show a.pth",
    "eval sample:ce sample": "segablate evaluate sample:ce sample",
    "diff a b": "segablate compare a b",
    "sample:ce sample": "segablate evaluate sample:ce sample",
    "help": "segablate --help",
    "evaluate sample:ce sample:rmi": "segablate compare sample:ce sample:rmi --on DATASET",
    "evaluate sample:ce sample:rmi sample": "segablate compare sample:ce sample:rmi --on sample",
    "evaluate camvid:d sample:ce": "segablate evaluate sample:ce camvid:d",
    "ablate rmi camvid:d sample:ce": "segablate ablate rmi sample:ce camvid:d",
    "evaluate there sample:ce": "segablate evaluate sample:ce folder:there",
    "evaluate there folder": "segablate evaluate CHECKPOINT folder:there",
    "evaluate camvid there": "segablate evaluate CHECKPOINT camvid:there",
    "compare sample:ce sample:rmi sample": "segablate compare sample:ce sample:rmi --on sample",
}
"""Command lines as people type them, and the one that each message ends with."""

SAID = {
    "evaluate sample:ce sample --metrics miou": "all measures are taken without being named",
    "evaluate sample:ce sample --num-classes 11": "the classes are those of the dataset",
    "evaluate sample:ce sample --ignore-index 255": "void is what the dataset says",
    "evaluate sample": "the checkpoint comes first. Usage: segablate evaluate CHECKPOINT sample",
    "evaluate net.py camvid:d": "python:net.py:build()@WEIGHTS (also in the file: Net)",
    "evaluate none.py camvid:d": "python:none.py:FUNCTION()@WEIGHTS",
    "compare sample:ce net.py --on sample": "python:net.py:build()@WEIGHTS",
    "evaluate https://x.org/a.pth sample": "files are not downloaded; download it, and give the path",
    "evaluate a.pth https://x.org/data.zip": "files are not downloaded",
    "evaluate https://huggingface.co/nvidia/b0 sample": "write hf:nvidia/b0 --allow-download",
    "compare https://x.org/a.pth b": "files are not downloaded",
    "evaluate $SURELY_NOT_SET/a.pth sample": "the variable SURELY_NOT_SET is not set",
    "evaluate none.pth sample:rmi": "'sample:rmi' is no dataset; write sample",
    "checkpoints show camvid:d": "write: segablate datasets check camvid:d",
    "checkpoints probe camvid:d sample:ce": "write: segablate checkpoints probe sample:ce camvid:d",
    "checkpoints trust net.py": "python:net.py:build()@WEIGHTS",
    "predict a b": "segablate evaluate CHECKPOINT DATASET --write-predictions DIR",
    "evaluate sample:ce --nonsense": "No such option: --nonsense",
    "ablate rmi --radius 1-3": "write --radius 1,2,3",
    "ablate rmi --radius 1..3": "write --radius 1,2,3",
    "ablate rmi --radius [1,2]": "write --radius 1,2",
    "ablate cpg --ksize 3:9": "write --ksize 3,5,7,9",
}


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working directory with a folder ``there``, and a Python file of two networks."""
    (tmp_path / "there").mkdir()
    (tmp_path / "net.py").write_text("raise SystemExit\ndef build(): ...\nclass Net: ...\ndef _own(): ...\n")
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize("typed", MEANT)
def test_the_command_that_was_meant_is_written_out(typed: str, here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(typed.split()) == 2
    message = capsys.readouterr().err.strip()
    assert message.endswith(f"write: {MEANT[typed]}")
    assert "\n" not in message


@pytest.mark.parametrize("typed", SAID)
def test_a_misunderstanding_is_answered_in_one_line(typed: str, here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(typed.split()) in (1, 2)
    message = capsys.readouterr().err.strip()
    assert SAID[typed] in message
    assert "\n" not in message


@pytest.mark.parametrize("words", [["evaluate", "", "sample"], ["evaluate", "a.pth", " "], ["ablate", "rmi", ""]])
def test_an_empty_word_is_named(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert run(words) == 2
    assert "is an empty word; is a variable of the shell not set?" in capsys.readouterr().err


def test_without_words_the_help_is_shown_and_nothing_has_failed(capsys: pytest.CaptureFixture[str]) -> None:
    assert run([]) == 0
    shown = capsys.readouterr()
    assert "evaluate" in shown.out
    assert shown.err == ""


def test_a_command_line_can_be_pasted() -> None:
    assert (
        command_line(["evaluate", "python:net.py:f(n=2)@a b.pth"])
        == "segablate evaluate 'python:net.py:f(n=2)@a b.pth'"
    )


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("$PLACE/a.pth", "/data/a.pth"),
        ("camvid:${PLACE}/camvid", "camvid:/data/camvid"),
        ("python:~/net.py:f(n=2)@~/a.pth", "python:HOME/net.py:f(n=2)@HOME/a.pth"),
        ("predictions:~/p,name=*.png", "predictions:HOME/p,name=*.png"),
        ("~", "HOME"),
        ("a~/b~c", "a~/b~c"),
        ("sample:ce", "sample:ce"),
    ],
)
def test_variables_and_home_are_expanded_anywhere(text: str, expected: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PLACE", "/data")
    assert expand(text) == expected.replace("HOME", os.path.expanduser("~"))


def test_a_dollar_in_the_name_of_a_file_is_left(here: Path) -> None:
    (here / "a$b.pth").touch()
    assert expand("a$b.pth") == "a$b.pth"
    assert expand(f"python:{here}/net.py:f@{here}/a$b.pth") == f"python:{here}/net.py:f@{here}/a$b.pth"
    with pytest.raises(UsageError, match=r"a\$c.pth: the variable c is not set"):
        expand("a$c.pth")


def test_commands_expand_their_arguments(
    here: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PLACE", str(here))
    for typed in (
        "evaluate $PLACE/no.pth sample",
        "ablate rmi $PLACE/no.pth sample",
        "compare $PLACE/no.pth sample:ce",
        "checkpoints show $PLACE/no.pth",
        "datasets check camvid:$PLACE/no.pth",
        "evaluate sample:ce camvid:$PLACE/no.pth",
        "train small camvid:$PLACE/no.pth",
        "compare sample:ce sample:rmi --on camvid:$PLACE/no.pth",
    ):
        assert run(typed.split()) in (1, 2)
        assert f"{here}/no.pth" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("1-3", "1,2,3"),
        ("2 to 4", "2,3,4"),
        ("1:7:2", "1,3,5,7"),
        ("[1, 2]", "1,2"),
        ("1;2", "1,2"),
        ("avg max", "avg,max"),
        ("3", ""),
        ("3-1", ""),
        ("1-1000", ""),
        ("1e-3", ""),
    ],
)
def test_lists_as_people_write_them(text: str, expected: str) -> None:
    assert with_commas(text) == expected


def test_a_range_of_odd_numbers() -> None:
    assert with_commas("3-9", odd=True) == "3,5,7,9"


def test_a_list_with_a_value_that_is_not_allowed_is_not_proposed(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["ablate", "rmi", "--radius", "1-30"]) == 1
    message = capsys.readouterr().err
    assert "must be a whole number between 1 and 10" in message
    assert "write" not in message


def test_names_are_completed() -> None:
    assert completion.losses("") == list(loss_names())
    assert completion.losses("rm") == ["rmi"]
    assert completion.loss_list("ce,rm") == ["ce,rmi"]
    assert "ce,ce" not in completion.loss_list("ce,")
    assert set(completion.layouts("")) == set(dataset_layouts())
    assert completion.datasets("cam") == ["camvid:"]
    assert completion.datasets("sam") == ["sample"]
    assert completion.checkpoints("sample:") == ["sample:ce", "sample:rmi", "sample:weighted"]
    assert {f"{name}:" for name in checkpoint_sources()} - set(completion.checkpoints("")) == {"sample:"}
    assert completion.networks("hrnet") == ["hrnet", "hrnet_ocr"]
    assert completion.conventions("mm") == ["mmseg"]
    assert completion.conventions("void") == ["void-as-error", "void-as-class"]
    assert completion.boundary_list("davis,gs") == ["davis,gscnn"]
    assert completion.recipes("rmi") == ["rmi-camvid", "rmi-voc"]


@pytest.mark.parametrize(
    ("typed", "expected"),
    [
        ("segablate evaluate sample:", "sample:ce\nsample:rmi\nsample:weighted"),
        ("segablate evaluate sample:ce cams", ""),
        ("segablate evaluate sample:ce city", "cityscapes:"),
        ("segablate evaluate --as mm", "mmseg"),
        ("segablate evaluate --losses ce,rm", "ce,rmi"),
        ("segablate compare sample:ce sample:r", "sample:rmi"),
        ("segablate ablate rm", "rmi"),
        ("segablate losses show lov", "lovasz"),
        ("segablate datasets show nyu", "nyuv2"),
        ("segablate recipes show sample-c", "sample-ce"),
    ],
)
def test_the_shell_is_answered(typed: str, expected: str) -> None:
    environment = os.environ | {
        "_SEGABLATE_COMPLETE": "complete_bash",
        "COMP_WORDS": typed,
        "COMP_CWORD": str(len(typed.split()) - 1),
    }
    command = "from segablate.cli.application import app; app(prog_name='segablate')"
    done = subprocess.run(
        [sys.executable, "-c", command], capture_output=True, text=True, env=environment, check=False, timeout=60
    )
    assert done.stdout.strip() == expected
