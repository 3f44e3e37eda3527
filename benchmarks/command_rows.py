"""The rows of ``commands.py``: each command of this program, its peer, and the target."""

import os
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

SEGABLATE = (sys.executable, "-m", "segablate")
PROGRAM = Path(__file__).with_name("commands.py")
"""Runs peers too."""

Command = Callable[[Path], Sequence[str]]
"""A command line, for the folder that holds what was prepared."""


@dataclass(frozen=True)
class Row:
    """A command, its peer, and how many times the peer's processor time, or memory, it may take.

    - `ours`, `peer`: command lines; `less`: the same for less work, of which the difference is taken, per `units`.
    - `quantity`: what the target is a limit of; `absolute`: in MiB, or KiB per unit, not relative to the peer.
    - `prepare`: what both read, see PREPARATIONS; rows of one name share a folder.
    - `cached`: whether a turn finds the cached results of the turn before.
    """

    name: str
    ours: Command
    peer: Command
    target: float
    prepare: str = "nothing"
    cached: bool = False
    quantity: Literal["seconds", "memory"] = "seconds"
    absolute: bool = False
    less: tuple[Command, Command] | None = None
    units: int = 1


def predictions(*options: str) -> Callable[[Path], Sequence[str]]:
    """Return the command that evaluates the predictions of a folder."""
    command = (*SEGABLATE, "evaluate")
    return lambda folder: (*command, f"predictions:{folder / 'predictions'}", f"folder:{folder}", *options)


def program(*arguments: str) -> Callable[[Path], Sequence[str]]:
    """Return a command of this program that reads nothing of the folder."""
    return lambda folder: (*SEGABLATE, *arguments)


def script(name: str) -> Callable[[Path], Sequence[str]]:
    """Return the command that runs a function of PEERS with its arguments, as in ``losses:ssl:4``."""
    return lambda folder: (sys.executable, str(PROGRAM), "--peer", name, str(folder))


def camvid(*arguments: str) -> Command:
    """Return a command on ESPNet and CamVid; the arguments before the first option come before these."""
    place = next((at for at, argument in enumerate(arguments) if argument.startswith("-")), len(arguments))
    data = f"camvid:{Path(os.environ.get('SEGABLATE_DATA', '')).resolve() / 'camvid'}"
    more = (data, "--trust-code", *arguments[place:])
    return lambda folder: (*SEGABLATE, *arguments[:place], str(folder / "card.yaml"), *more)


def large(*options: str) -> Command:
    """Return the command that evaluates the network of a folder on its large image."""
    return lambda folder: (
        *SEGABLATE,
        "evaluate",
        f"python:{folder / 'net.py'}:net@{folder / 'weights.pth'}",
        f"folder:{folder}",
        *options,
    )


def small(count: int) -> Command:
    """Return the command that evaluates so many small pairs."""
    inner = predictions("--workers", "0", "--limit", str(count))
    return lambda folder: inner(folder)


def loss_row(name: str, target: float) -> Row:
    """Return the row of a loss against cross entropy, forward and backward."""
    less = script(f"losses:{name}:1"), script("losses:cross_entropy:1")
    title = f"{name}, forward and backward, per call"
    return Row(title, script(f"losses:{name}:4"), script("losses:cross_entropy:4"), target, less=less, units=3)


MEMORY: dict[str, Any] = {"quantity": "memory"}
RADII, RIDGES = ("--radius", "1,2,3,4,5"), ("--alpha", "1e-5,1e-4,1e-3,1e-2")

ROWS = (
    Row("evaluate, cached", program("evaluate", "sample:ce"), program("--help"), 6, cached=True),
    Row("evaluate, 2 pairs", predictions(), program("--help"), 5, "2 pairs"),
    Row(
        "evaluate, 60 pairs, counts",
        predictions("--tolerance", "none", "--workers", "0"),
        script("count"),
        1.3,
        "60 pairs",
    ),
    Row("evaluate, 60 pairs, defaults", predictions(), script("decode"), 3, "60 pairs"),
    Row(
        "ESPNet on CamVid, per image",
        camvid("evaluate", "--limit", "44"),
        script("espnet:44"),
        1.1,
        "camvid",
        less=(camvid("evaluate", "--limit", "4"), script("espnet:4")),
        units=40,
    ),
    Row("4000x4000, 21 classes", large(), script("forward"), 2, "large image"),
    Row("4000x4000, 21 classes, memory", large(), script("forward"), 1.1, "large image", **MEMORY),
    Row("4000x4000, --window 512", large("--window", "512"), script("tiled"), 2, "large image"),
    Row(
        "4000x4000, --window 512, memory",
        large("--window", "512"),
        script("tiled"),
        1144,
        "large image",
        absolute=True,
        **MEMORY,
    ),
    Row(
        "64x64 pairs, memory per image",
        small(12000),
        script("decode"),
        2,
        "small pairs:12000",
        absolute=True,
        less=(small(2000), script("decode")),
        units=10000,
        **MEMORY,
    ),
    loss_row("ssl", 10),
    loss_row("cpg", 3),
    loss_row("rmi", 2.5),
    Row(
        "20 settings with gradients",
        camvid("ablate", "rmi", *RADII, *RIDGES),
        camvid("evaluate", "--losses", "rmi"),
        4,
        "camvid",
    ),
)
