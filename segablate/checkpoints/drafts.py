"""Drafts of checkpoint cards, for users to correct; :mod:`segablate.checkpoints.sources.card` reads them."""

import os
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from segablate.checkpoints.assumptions import ASSUMED
from segablate.checkpoints.catalogue import plugin_sources, takes_weights
from segablate.checkpoints.preprocessing import Preprocessing
from segablate.checkpoints.segmenter import Loading
from segablate.checkpoints.sources import python
from segablate.checkpoints.specification import split_weights
from segablate.errors import CheckpointError
from segablate.files import is_utf8, user_path, write_atomically, writing

_NETWORKS = ("builtin", "python", "torchvision")
"""Sources whose specification is always a network; others may name a folder or a file."""


@dataclass(frozen=True)
class Draft:
    """What is known of a checkpoint when its card is drafted.

    - `outputs`: number of outputs, or None; `preprocessing`: None where the checkpoint could not be opened.
    - `origin`: where mean and std come from, for a comment.
    - `loading`: the options that it was opened with, which the card repeats; its paths start from `loading.folder`.
    - `unnamed`: whether the network in `source` is still to be filled in, which a comment says.
    """

    outputs: int | None = None
    preprocessing: Preprocessing | None = None
    origin: str = "assumed: nothing in the checkpoint states them"
    kind: str = "softmax"
    loading: Loading = field(default_factory=Loading)
    unnamed: bool = False


def refuse_existing(path: Path) -> None:
    """Raise CheckpointError where a file is there already."""
    if os.path.exists(path):
        raise CheckpointError(f"{path} exists already; choose another file for the card, or remove it")


def write_card(path: Path, spec: str, draft: Draft = Draft()) -> None:
    """Write a draft of a card for a specification, which the user corrects. CheckpointError when the file exists."""
    refuse_existing(path)
    if not is_utf8(spec):
        raise CheckpointError(f"{spec}: its name is not UTF-8, in which cards are written; rename the file")
    known = draft.preprocessing or Preprocessing().normalised(ASSUMED)
    values = {name: "null" if value is None else str(value) for name, value in known.plain().items()}
    values |= {name: str([float(f"{each:.6g}") for each in getattr(known, name)]) for name in ("mean", "std")}
    further = [f"  {name}: {values[name]}\n" for name in ("longest", "resample") if known.resize is not None]
    further += ["  letterbox: true\n"] if known.letterboxed else []
    text = _FIRST.format(
        source=_source(_yaml(_named(spec, path.parent, draft.loading.folder)), unnamed=draft.unnamed),
        outputs=f" ({draft.outputs})" if draft.outputs else "",
        kind=draft.kind,
        origin=draft.origin,
        further="".join(further),
        options="".join(f"{line}\n" for line in _options(draft.loading)),
        classes=_yaml({"classes": list(draft.loading.classes or []) or None}),
        class_map=_yaml({"class_map": dict(draft.loading.class_map or {}) or None}),
        window=list(draft.loading.window) if draft.loading.window else "null",
        stride=list(draft.loading.stride) if draft.loading.stride else "null",
        **values,
    )
    with writing(path):
        write_atomically(path, text)


_FIRST = """\
# A checkpoint card. Paths are relative to this file. A mistake here makes scores fall to chance.
{source}
{options}
# x = ((pixels 0..255 in this channel order * scale) - mean) / std / divisor
# mean and std: {origin}
preprocessing:
  channels: {channels:<15}# rgb (Pillow, torchvision), bgr (OpenCV), grey, or bands, as in "4,3,2"
  scale: {scale:<18}# 1 where mean and std are given for 0..255
  mean: {mean}
  std: {std}
  divisor: {divisor}
  resize: {resize:<17}# [height, width] where the network was trained at a fixed size
{further}  pad_to_multiple: {pad_to_multiple:<8}# 32 where the sides must divide by 32

output: {kind:<19}# output of the network: softmax or sigmoid logits (softmax, sigmoid), probabilities, or labels

inference:
  window: {window!s:<17}# side, or [height, width], of a sliding window
  stride: {stride!s:<17}# two thirds of the window where null
  flip: false              # true, vertical or both: average the logits with those of mirrored images

# Names of the outputs{outputs}, in order, as in [road, car], or a label set by name, as in voc2012; null: those of the
# checkpoint file, or else the classes of the dataset, in its order.
{classes}
# For names that differ: {{checkpoint class: dataset class, other: null}}.
{class_map}
"""


def _source(entries: str, *, unnamed: bool) -> str:
    """Return the entries source and weights; the first line is marked where its network is still to be filled in."""
    if not unnamed:
        return entries
    first, _, rest = entries.partition("\n")
    return f"{first} # FILL IN what makes the network, as in python:net.py:unet(num_classes=11)\n{rest}"


def _options(loading: Loading) -> list[str]:
    """Return the lines of the options on weights and output that the checkpoint was opened with."""
    stated = {"key": loading.key, "strip_prefix": loading.strip_prefix, "head": loading.head}
    return [_yaml({name: value}) for name, value in stated.items() if value is not None]


def _yaml(entries: Mapping[str, Any]) -> str:
    import yaml

    return yaml.safe_dump(dict(entries), sort_keys=False, allow_unicode=True, width=10_000).strip()


def _named(spec: str, folder: Path, start: Path) -> dict[str, str]:
    """Return the entries source and weights for a specification, with paths relative to the card's folder.

    `start`: the folder that the paths in the specification start from.
    """

    def moved(place: str) -> str:
        given = user_path(place)
        return str(given) if given.is_absolute() else Path(os.path.relpath(start / given, folder)).as_posix()

    source, _, rest = spec.partition(":")
    network, weights = split_weights(rest)
    if source in plugin_sources() and not weights and not (start / user_path(rest)).exists():
        return {"source": spec}  # its source knows what it names
    if not takes_weights(source) or (source not in _NETWORKS and not (weights or "(" in network)):
        return {"source": spec if source == "sample" else f"{source}:{moved(rest)}" if rest else moved(spec)}
    if source == "python" and (parts := python.parse_spec(network)).module.endswith(".py"):
        network = str(replace(parts, module=moved(parts.module))).removeprefix("python:")
    return {"source": f"{source}:{network}", "weights": moved(weights) if weights else "weights.pth"}
