"""The page of ``segablate checkpoints show`` for weights without a network."""

from collections import Counter
from collections.abc import Mapping
from typing import TYPE_CHECKING

from segablate.checkpoints.bare_weights import BareWeights
from segablate.errors import shorten, thousands
from segablate.files import fingerprint
from segablate.tables import Column, Report, Row, Table

if TYPE_CHECKING:
    from torch import Tensor

GROUPS = 24
"""Most rows of the table of keys."""

BUFFERS = ("running_mean", "running_var", "num_batches_tracked")
"""Last parts of the keys of batch norm that are no parameters."""


def weights_report(bare: BareWeights) -> Report:
    """Build the page: what the weights hold, what they look like, and their keys in groups."""
    weights = bare.weights
    tensors = weights.tensors
    parameters = sum(value.numel() for key, value in tensors.items() if not key.endswith(BUFFERS))
    kinds = Counter(str(value.dtype).removeprefix("torch.") for value in tensors.values())
    facts = {
        "format": weights.format.value,
        "keys": thousands(len(tensors)),
        "parameters": f"{thousands(parameters)}, without buffers of batch norm",
        "types": ", ".join(f"{kind} ({thousands(number)})" for kind, number in kinds.most_common()),
        **({"beside": shorten(weights.extras, 8)} if weights.extras else {}),
        "looks like": bare.found.name if bare.found else "no network that is known here",
        "to evaluate": bare.remedy,
    }
    rows = [{"fact": name, "value": value} for name, value in facts.items()]
    rows += [{"fact": "file", "value": f"{path.name}, SHA-256 {fingerprint(path)}"} for path in weights.files]
    tables = (
        Table("facts", "Facts", (Column("fact", "", "text"), Column("value", "value", "prose")), tuple(rows)),
        _keys_table(tensors),
    )
    return Report(str(weights.path), (), tables, weights.notes)


def _keys_table(tensors: Mapping[str, "Tensor"]) -> Table:
    columns = (
        Column("keys", "keys", "prose"),
        Column("tensors", "tensors", "count"),
        Column("values", "values", "count"),
        Column("shape", "first shape", "text"),
    )
    return Table("keys", "Keys", columns, tuple(_row(name, tensors) for name in grouped(list(tensors))))


def _row(name: str, tensors: Mapping[str, "Tensor"]) -> Row:
    members = [value for key, value in tensors.items() if _is_in(key, name)]
    return {
        "keys": name,
        "tensors": len(members),
        "values": sum(value.numel() for value in members),
        "shape": "x".join(map(str, members[0].shape)) or "scalar",
    }


def grouped(keys: list[str], most: int = GROUPS) -> list[str]:
    """Return keys and beginnings of keys (``backbone.layer1.*``) that together cover all, in order, at most so many.

    The largest group is split by the next part of its keys as long as all groups remain at most `most`.
    """
    groups = _split(keys, "")
    while True:
        sizes = {name: sum(_is_in(key, name) for key in keys) for name in groups if name.endswith(".*")}
        for name in sorted(sizes, key=lambda name: (-sizes[name], name.count("."))):
            parts = _split([key for key in keys if _is_in(key, name)], name.removesuffix("*"))
            if len(groups) + len(parts) - 1 <= most:
                place = groups.index(name)
                groups[place : place + 1] = parts
                break
        else:
            return groups


def _split(keys: list[str], beginning: str) -> list[str]:
    """Split keys with a common beginning by their next part."""
    names: dict[str, None] = {}
    for key in keys:
        part, dot, _ = key.removeprefix(beginning).partition(".")
        names[f"{beginning}{part}.*" if dot else key] = None
    return list(names)


def _is_in(key: str, group: str) -> bool:
    return key == group or (group.endswith(".*") and key.startswith(group.removesuffix("*")))
