"""Files of edge networks, and a cache of them by the data and settings of their training.

A file is safetensors; its metadata key ``segablate_edges`` holds the facts as JSON.
"""

import hashlib
import json
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from segablate.datasets import Dataset, open_dataset
from segablate.edges.network import EdgeNetwork, Training
from segablate.edges.training import train_edge_network
from segablate.errors import CheckpointError, DatasetError, SegablateError, at, shorten
from segablate.files import Unwritable, cache_folder, fingerprint, is_file, native_path, write_atomically, writing
from segablate.labels import LabelSet
from segablate.plain_values import check
from segablate.text_files import parse_json

FORMAT = 1
_KEY = "segablate_edges"
_FACTS = {"classes": [str], "split": str, "masks_read": int}
_NAMES = tuple((f"weight_{layer}", f"bias_{layer}") for layer in (1, 2, 3))


def edge_network_for(
    dataset: Dataset, training: Training | None = None, *, progress: Callable[[int], None] = lambda steps: None
) -> EdgeNetwork:
    """Return the network for a dataset, trained on its train split unless it is in the cache.

    The cache is by content: the masks it is trained on, the label set and the training. Without a train split the
    dataset's own split is used; the facts name the split, and as ``kept`` the file of the network (None: the folder is
    not writable, and the network will be trained again next time).
    """
    training = training or Training()
    source = _train_split(dataset)
    path = cache_folder() / "edges" / f"{_content(source, training)}.safetensors"
    try:
        network = load_edge_network(path, source.labels)
        return replace(network, facts={**network.facts, "kept": str(path)})
    except SegablateError:  # none is in the cache, or a damaged one
        network = train_edge_network(source, training, progress=progress)
    try:
        save_edge_network(path, network)
    except Unwritable:
        return replace(network, facts={**network.facts, "kept": None})
    return replace(network, facts={**network.facts, "kept": str(path)})


def save_edge_network(path: Path, network: EdgeNetwork) -> None:
    """Write the network and its facts, atomically. Raises Unwritable where that cannot be done."""
    from safetensors.torch import save

    pairs = zip(_NAMES, network.layers, strict=True)
    tensors = {name: tensor.contiguous() for names, pair in pairs for name, tensor in zip(names, pair, strict=True)}
    described = {"format": FORMAT, "hash": network.hash, "facts": dict(network.facts)}
    with writing(path):
        write_atomically(path, save(tensors, {_KEY: json.dumps(described, sort_keys=True)}))


def load_edge_network(path: Path, labels: LabelSet | None = None) -> EdgeNetwork:
    """Read a network; with `labels`, it must be for these classes in this order.

    Raises CheckpointError, beginning with the path, for another kind of file, damage, a newer format, other classes.
    """
    with at(path):
        described, tensors = _read(path)
        network = EdgeNetwork(tuple((tensors[weight], tensors[bias]) for weight, bias in _NAMES), described["facts"])
        if network.hash != described["hash"]:
            raise CheckpointError("the weights do not match their hash; train it again (segablate train-edges)")
        classes = tuple(described["facts"]["classes"])
        if labels is not None and classes != labels.names:
            raise CheckpointError(
                f"this edge network is for the classes {shorten(classes)}, but label set {labels.name!r} has "
                f"{shorten(labels.names)}; train one on this dataset (segablate train-edges)"
            )
        return network


def _read(path: Path) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the description and the tensors in a file."""
    from safetensors import SafetensorError, safe_open

    if not is_file(path):
        raise CheckpointError("there is no such file; segablate train-edges DATASET --out FILE writes one")
    native = native_path(path, "safetensors")
    try:
        with safe_open(native, "pt") as file:
            metadata = file.metadata() or {}
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118  # it is no mapping
    except (SafetensorError, OSError) as error:
        raise CheckpointError(f"not a whole safetensors file ({error}); train it again") from None
    if _KEY not in metadata or set(tensors) != {name for names in _NAMES for name in names}:
        raise CheckpointError("this is not an edge network; segablate train-edges DATASET --out FILE writes one")
    described = check(parse_json(metadata[_KEY]), {"format": int, "hash": str, "facts": _FACTS}, "its description")
    if described["format"] > FORMAT:
        raise CheckpointError(f"this is of format {described['format']}, newer than this program's {FORMAT}; upgrade")
    return described, tensors


def _train_split(dataset: Dataset) -> Dataset:
    """Return the whole train split of the same dataset, or the dataset itself where there is none."""
    try:
        source = open_dataset(dataset.spec, "train").meeting_at(dataset.reading.label_size)
    except DatasetError:
        return dataset
    return source if source.labels == dataset.labels else dataset


def _content(source: Dataset, training: Training) -> str:
    """Return 32 hexadecimal digits of the masks, label set and training, which determine the network."""
    digest = hashlib.sha256(json.dumps([FORMAT, asdict(training), repr(source.labels)]).encode())
    for item in source.evenly(training.masks).items:
        digest.update(fingerprint(item.labels).encode())
    return digest.hexdigest()[:32]
