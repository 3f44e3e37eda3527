"""What a user meant: options of other tools and commands by other names, answered by the command line to type."""

import shlex
from collections.abc import Collection, Sequence

import typer

from segablate.cli.swapped import is_checkpoint

_DATASET, _CHECKPOINT = "dataset", "checkpoint"

_ARGUMENTS = {
    **dict.fromkeys(("--dataset", "--data", "--dataset-dir", "--data-dir", "--data-root", "--root"), _DATASET),
    **dict.fromkeys(("--checkpoint", "--ckpt", "--model", "--weights", "--checkpoint-path", "--network"), _CHECKPOINT),
}
"""Options of other tools that are arguments here."""

_REPLACED = {
    **dict.fromkeys(("--gpu", "--cuda", "--gpus"), ("--device", "cuda")),
    "--cpu": ("--device", "cpu"),
    **dict.fromkeys(("--fp16", "--half"), ("--precision", "fp16")),
    **dict.fromkeys(("--bf16", "--amp"), ("--precision", "bf16")),
    **{f"--{form}": ("--format", form) for form in ("json", "csv", "markdown", "latex")},
    "--tta": ("--flip",),
    **dict.fromkeys(("--verbose", "--all-columns"), ("--wide",)),
}
"""Switches of other tools, and what they are here."""

_RENAMED = {
    **dict.fromkeys(("--batch", "--batchsize", "--bs"), "--batch-size"),
    **dict.fromkeys(("--num-workers", "--jobs", "-j"), "--workers"),
    **dict.fromkeys(("--out", "--output-dir", "--out-dir", "--save-dir", "-o"), "--save"),
    **dict.fromkeys(("--imgsz", "--img-size", "--image-size", "--input-size", "--size", "--resolution"), "--resize"),
    **dict.fromkeys(("--subset", "--partition"), "--split"),
    **dict.fromkeys(("--max-images", "--num-images", "--num-samples", "--samples"), "--limit"),
    **dict.fromkeys(("--loss", "--criterion"), "--losses"),
    **dict.fromkeys(("--crop", "--tile", "--tile-size", "--crop-size", "--sliding-window"), "--window"),
    **dict.fromkeys(("--tolerances", "--boundary-tolerance", "--boundary-width"), "--tolerance"),
    "--prefix": "--strip-prefix",
    "--lr": "--rate",
    "--iterations": "--steps",
}
"""Options of other tools, and their names here."""

_TOLD = {
    **dict.fromkeys(
        ("--metrics", "--metric"),
        "all measures are taken without being named; --losses, --tolerance, --boundary-iou and --error-kinds add to "
        "them, and --as reports those of another tool",
    ),
    **dict.fromkeys(
        ("--num-classes", "--nclass", "--n-classes"),
        "the classes are those of the dataset; a network in Python takes its number in its specification, as in "
        "python:net.py:build(num_classes=11)@FILE",
    ),
    **dict.fromkeys(
        ("--ignore-index", "--ignore", "--ignore-label"),
        "void is what the dataset says: of your own images, void in dataset.yaml, which segablate datasets init drafts",
    ),
    "--confidence": "intervals are of 95 %",
}
"""Options of other tools that nothing here replaces, and why."""

_COMMANDS = {
    **dict.fromkeys(("eval", "test", "val", "validate", "score", "measure", "benchmark"), ("evaluate",)),
    **dict.fromkeys(("diff", "vs", "significance"), ("compare",)),
    **dict.fromkeys(("sweep", "ablation"), ("ablate",)),
    "fit": ("train",),
    "help": ("--help",),
    "version": ("--version",),
}


def meant(error: typer.TyperException, words: Sequence[str]) -> str | None:
    """Return the message for a malformed command line that can be said in the right words; None for any other.

    `words`: the command line, without the program.
    """
    option, context = getattr(error, "option_name", None), getattr(error, "ctx", None)
    if context is None:
        return None
    if option is not None and hasattr(error, "possibilities"):
        known = [name for parameter in context.command.params for name in parameter.opts]
        return _option(str(option), known, words)
    text = error.format_message()
    if text.startswith("No such command") and words and getattr(context, "parent", None) is None:
        return _command(list(words))
    if "unexpected extra argument" in text and context.info_name == "evaluate":
        return _too_many(context.params.get("checkpoint"), context.params.get("dataset"), text)
    return None


def plain_reason(text: str) -> str:
    """Return the message of a malformed value without what a library puts before it."""
    return text.replace("Value error, ", "").strip()


def command_line(words: Sequence[str]) -> str:
    """Return a command line as it is typed."""
    return shlex.join(["segablate", *words])


def _option(option: str, known: Collection[str], words: Sequence[str]) -> str | None:
    """Return the message for an unknown option of another tool; None where nothing here is known to replace it."""
    if option in _TOLD:
        return f"No such option: {option}; {_TOLD[option]}"
    right = _replaced(words, known)
    if right == list(words):
        return None
    return f"No such option: {option}; write: {command_line(right)}"


def _replaced(words: Sequence[str], known: Collection[str]) -> list[str]:
    """Return a command line with all options of other tools replaced, where the command has what replaces them."""
    found, rest = [], list(words)
    while rest:
        word, rest = rest[0], rest[1:]
        name, sign, value = word.partition("=")
        if name in known or name not in _RENAMED | _REPLACED:
            found.append(word)
        elif _RENAMED.get(name) in known:
            found.append(f"{_RENAMED[name]}{sign}{value}")
        elif name in _REPLACED and _REPLACED[name][0] in known:
            new, rest = _switched(_REPLACED[name], [value] if sign else [], rest)
            found += new
        else:
            found.append(word)
    heads = 2 if found[0] in ("ablate", "checkpoints", "datasets") else 1
    if not any(word.partition("=")[0] in _ARGUMENTS for word in found):
        return found
    return [*found[:heads], *_as_arguments(found[heads:], "--on" in known)]


def _switched(new: Sequence[str], own: list[str], after: list[str]) -> tuple[list[str], list[str]]:
    """Return what replaces a switch, and the words after it; the number in ``--gpu 0`` becomes part of the device."""
    number = next((word for word in (own or after[:1]) if word.isdigit()), None)
    if list(new) != ["--device", "cuda"] or number is None:
        return list(new), after
    return ["--device", f"cuda:{number}"], after if own else after[1:]


def _as_arguments(words: list[str], pairs: bool) -> list[str]:
    """Return the words with the options that are arguments here in their places: the checkpoint, then the dataset.

    :param pairs: for ``compare``, whose dataset is the option --on.
    """
    given, rest = _taken(words)
    first = [given[_CHECKPOINT]] if _CHECKPOINT in given else []
    if pairs:
        return [*first, *rest, *(["--on", given[_DATASET]] if _DATASET in given else [])]
    if not first:
        first, rest = (rest[:1], rest[1:]) if rest and not rest[0].startswith("-") else (["CHECKPOINT"], rest)
    return [*first, *([given[_DATASET]] if _DATASET in given else []), *rest]


def _taken(words: list[str]) -> tuple[dict[str, str], list[str]]:
    """Return the values of options that are arguments here, by kind, and the other words."""
    given: dict[str, str] = {}
    others, waiting = [], None
    for word in words:
        name, sign, value = word.partition("=")
        if waiting:
            given[waiting], waiting = word, None
        elif name in _ARGUMENTS:
            given[_ARGUMENTS[name]] = value or _ARGUMENTS[name].upper()
            waiting = None if sign else _ARGUMENTS[name]
        else:
            others.append(word)
    return given, others


def _command(words: list[str]) -> str | None:
    word = words[0]
    if word in _COMMANDS:
        return f"No such command '{word}'; write: {command_line([*_COMMANDS[word], *words[1:]])}"
    if word in ("predict", "infer", "inference"):
        return f"No such command '{word}'; write: segablate evaluate CHECKPOINT DATASET --write-predictions DIR"
    if is_checkpoint(word):
        return f"{word} is a checkpoint, not a command; write: {command_line(['evaluate', *words])}"
    return None


def _too_many(checkpoint: str | None, dataset: str | None, text: str) -> str | None:
    """Return the message for several checkpoints given to ``evaluate``, which takes one."""
    if checkpoint is None or dataset is None or not is_checkpoint(dataset):
        return None
    more = text[text.rindex("(") + 1 : text.rindex(")")].split()
    last = [word for word in more if not is_checkpoint(word)][:1] or ["DATASET"]
    names = [checkpoint, dataset, *(word for word in more if is_checkpoint(word))]
    return f"evaluate takes one checkpoint; write: {command_line(['compare', *names, '--on', *last])}"
