"""Odd command lines: options that exist with values that do not, arguments exchanged, specifications misspelt."""

import shlex
from functools import cache
from random import Random
from typing import Any

from .text_damage import WORDS

_NETWORK = "'python:net.py:small(4)@net.pth' folder:data --workers 0"
BASES = (
    ("evaluate", _NETWORK), ("evaluate", "predictions:predicted folder:data --workers 0"), ("evaluate", _NETWORK),
    ("compare", "runs/a runs/b --replicates 100"),
    ("compare", "runs/a predictions:predicted --on folder:data --replicates 100"), ("show", "runs/a"),
    ("show", "runs/compared"), ("runs", "runs"),
    ("train-edges", "folder:data --split val --steps 2 --out edges.safetensors"), ("losses list", ""),
    ("losses show", "rmi"), ("datasets list", ""), ("datasets show", "camvid"), ("datasets init", "data"),
    ("datasets check", "folder:data --workers 0"), ("datasets scribble", "folder:data --out scribbled"),
    ("datasets convert", "data converted"),
    ("checkpoints list", ""), ("checkpoints show", "'python:net.py:small(4)@net.pth'"),
    ("checkpoints init", "'python:net.py:small(4)@net.pth' --out card.yaml"),
)  # fmt: skip

SPECIFICATIONS = (
    "python:net.py:small(4)@net.pth", "python:net:small(num_classes=4)@net.pth",
    "smp:Unet('resnet18', classes=4)@net.pth", "smp:data", "torchvision:fcn_resnet50(num_classes=4)@net.pth",
    "builtin:small(num_classes=4)@net.pth", "hf:data", "hf:owner/name", "onnx:net.pth", "tflite:net.pth", "pt2:net.pth",
    "torchscript:net.pth", "module:net.pth", "native:net.pth", "card:map.yaml",
    "predictions:predicted?name={stem}.png&encoding=index", "sample:ce", "net.pth", "map.yaml", "data",
)  # fmt: skip
DATASETS = ("folder:data", "sample", "camvid:data", "hf:data", "nyuv2:data", "data", "coco-stuff:data")

VALUES = (
    "0", "1", "2", "3", "-1", "1,2", "0.5", "0.0075d", "none", "all", "ce", "rmi", "ce,dice", "24x32", "16", "16x16",
    "1/255", "rgb", "0.1,0.2,0.3", "map.yaml", "classes.yaml", "list.txt", "net.pth", "data", "new.png", "new.svg",
    "new/sub/x", "runs/a", "mmseg", "davis", "val", "s(\\d)", "(", "sample", "model", "1e9", "99999999999",
    "ce + 0.5*rmi", "0.5*", "ce(", "rmi(radius=99)",
)  # fmt: skip
"""What options take, of which most do not fit the option they are given to."""

SIGNS = ("", "@", ":", "(", ")", "?", "&", "=", "'", "~", "/")
"""What has a meaning in a specification."""

SMALL = ("--steps", "--replicates", "--workers", "--masks")
"""Options of which a large number is a long wait and no fault."""


def odd_command(rng: Random) -> list[str]:
    """A command with one to three oddities."""
    command, rest = rng.choice(BASES) if rng.random() < 0.8 else _ablation(rng)
    words = shlex.split(rest)
    for _ in range(rng.choice((1, 1, 2, 3))):
        _make_odd(command, words, rng)
    return [*command.split(), *(word.replace("\0", "") for word in words)]


def _make_odd(command: str, words: list[str], rng: Random) -> None:
    """One more option, or an argument exchanged, misspelt, repeated or left out."""
    change = rng.random()
    if change < 0.6 or not words:
        words += _option(command, rng)
        return
    place = rng.randrange(len(words))
    if words[place - 1] in SMALL or words[place] in SMALL:
        return
    if change < 0.7:
        words[place] = rng.choice(SPECIFICATIONS + DATASETS)
    elif change < 0.8:
        words[place] = rng.choice((*WORDS, *VALUES))
    elif change < 0.9:
        words[place] = _misspelt(rng.choice((words[place], *SPECIFICATIONS, *DATASETS)), rng)
    elif change < 0.95:
        words.append(words[place])
    else:
        words.pop(place)


def _misspelt(word: str, rng: Random) -> str:
    place = rng.randrange(len(word) + 1)
    return word[:place] + rng.choice((*SIGNS, rng.choice(WORDS))) + word[place + 1 :]


def _option(command: str, rng: Random) -> list[str]:
    name, takes_value = rng.choice((*_options(command), ("--help", False)))
    if not takes_value:
        return [name]
    if name in SMALL:
        return [name, rng.choice(("0", "1", "2", "100", "-1", "x", "", "1.5"))]
    return [name, rng.choice((*VALUES, *VALUES, *WORDS))]


@cache
def _options(command: str) -> list[tuple[str, bool]]:
    """The options of a command, and whether each takes a value."""
    return [
        (name, not parameter.is_flag)
        for parameter in _found(command).params
        if parameter.param_type_name == "option"
        for name in (*parameter.opts, *parameter.secondary_opts)
    ]


def _found(command: str) -> Any:
    """The command as the program builds it."""
    import typer

    from segablate.cli.application import app
    from segablate.cli.commands import ablate
    from segablate.losses import get_loss

    first, *rest = command.split()
    if first == "ablate":
        return ablate._command(get_loss(rest[0]))
    found = typer.main.get_command(app)
    for word in (first, *rest):
        found = found.commands[word]  # type: ignore[attr-defined]
    return found


def _ablation(rng: Random) -> tuple[str, str]:
    from segablate.losses import loss_names

    return f"ablate {rng.choice(loss_names())}", f"{_NETWORK} --no-cost"
