"""Edge networks: what an edge is, training, files, and keeping them by what they were trained on."""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from conftest import write_dataset
from safetensors.torch import load_file, save_file
from scenes_of_losses import blobs, golden

from segablate import cli
from segablate.datasets import open_dataset
from segablate.edges import (
    Training,
    edge_labels,
    edge_network_for,
    load_edge_network,
    save_edge_network,
    train_edge_network,
)
from segablate.errors import CheckpointError, DatasetError
from segablate.labels import IGNORE
from segablate.losses.semeda import semeda

QUICK = Training(steps=5, side=24, batch=4)


def edges_plainly(labels: np.ndarray) -> np.ndarray:
    edges = np.zeros(labels.shape, int)
    for row, column in np.ndindex(labels.shape):
        around = labels[max(row - 1, 0) : row + 2, max(column - 1, 0) : column + 2]
        edges[row, column] = ((around != labels[row, column]) & (around != IGNORE)).any()
    edges[labels == IGNORE] = IGNORE
    return edges


@pytest.mark.parametrize("size", [(9, 12), (1, 6), (7, 1), (2, 2), (1, 1)], ids=str)
def test_edges_are_where_a_neighbour_has_another_class(size):
    labels = torch.from_numpy(np.random.default_rng(0).choice([0, 1, 2, IGNORE], (2, *size), p=[0.6, 0.2, 0.1, 0.1]))
    np.testing.assert_array_equal(edge_labels(labels).numpy(), [edges_plainly(image) for image in labels.numpy()])


@pytest.mark.parametrize("name", ["semeda_tiny_2x3", "semeda_all_ignored"])
def test_edges_of_the_reference_cases(name):
    case = golden(name)
    assert torch.equal(edge_labels(case.labels), case.arrays["edge_labels"].long())


@pytest.fixture
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("SEGABLATE_CACHE", str(tmp_path / "cache" / "segablate"))
    return tmp_path / "cache" / "segablate" / "edges"


def test_training_sees_edges(toy):
    network = train_edge_network(open_dataset(f"folder:{toy}"), Training(steps=120, side=24, batch=8))
    assert network.facts["edge_f1"] > 0.9
    assert network.facts["onehot_scale"] == pytest.approx(np.log(3 * 19))
    assert [tuple(weight.shape) for weight, _ in network.layers] == [(16, 4, 3, 3), (32, 16, 3, 3), (2, 32, 3, 3)]
    logits, labels = blobs(1, 4, 20, 24)
    assert semeda(logits, labels, edge_net=network.layers) > 0


def test_training_repeats_itself_and_leaves_the_global_generator_alone(toy):
    data = open_dataset(f"folder:{toy}")
    state = torch.random.get_rng_state()
    with torch.no_grad():  # as in an evaluation
        first, second = (train_edge_network(data, QUICK) for _ in range(2))
    assert torch.equal(torch.random.get_rng_state(), state)
    assert first.hash == second.hash
    assert train_edge_network(data, replace(QUICK, seed=1)).hash != first.hash


def test_crops_larger_than_the_masks_are_padded_with_void(toy):
    network = train_edge_network(open_dataset(f"folder:{toy}"), replace(QUICK, side=100))
    assert all(tensor.isfinite().all() for pair in network.layers for tensor in pair)


def test_masks_without_labels_are_refused(toy):
    import cv2

    for path in (toy / "labels/val").iterdir():
        cv2.imwrite(str(path), np.full((24, 32), IGNORE, np.uint8))
    with pytest.raises(DatasetError, match=r"no mask of split 'val' .* holds a label"):
        train_edge_network(open_dataset(f"folder:{toy}"), QUICK)


def test_a_file_gives_back_what_was_saved(toy, tmp_path):
    data = open_dataset(f"folder:{toy}")
    network = train_edge_network(data, QUICK)
    save_edge_network(tmp_path / "edges.safetensors", network)
    found = load_edge_network(tmp_path / "edges.safetensors", data.labels)
    assert found.hash == network.hash
    assert found.facts == json.loads(json.dumps(network.facts))
    for ours, theirs in zip(found.layers, network.layers, strict=True):
        assert all(torch.equal(a, b) for a, b in zip(ours, theirs, strict=True))


def test_files_that_are_no_edge_network_are_refused(toy, tmp_path):
    data = open_dataset(f"folder:{toy}")
    path = tmp_path / "edges.safetensors"
    with pytest.raises(CheckpointError, match=r"edges\.safetensors: there is no such file"):
        load_edge_network(path)
    path.write_bytes(b"not tensors")
    with pytest.raises(CheckpointError, match="not a whole safetensors file"):
        load_edge_network(path)
    save_file({"weight": torch.zeros(2)}, path)
    with pytest.raises(CheckpointError, match="this is not an edge network"):
        load_edge_network(path)
    network = train_edge_network(data, QUICK)
    save_edge_network(path, network)
    with pytest.raises(CheckpointError, match="is for the classes road, car, tree and 1 more, but label set"):
        load_edge_network(path, replace(data.labels, names=("road", "tree", "car", "sky")))
    tensors = load_file(path)
    described = json.dumps({"format": 1, "hash": network.hash, "facts": dict(network.facts)})
    save_file({**tensors, "bias_1": tensors["bias_1"] + 1}, path, {"segablate_edges": described})
    with pytest.raises(CheckpointError, match="the weights do not match their hash"):
        load_edge_network(path)
    save_file(tensors, path, {"segablate_edges": described.replace('"format": 1', '"format": 2')})
    with pytest.raises(CheckpointError, match="of format 2, newer than this program's 1"):
        load_edge_network(path)


def test_kept_by_content(toy, cache):
    data = open_dataset(f"folder:{toy}")
    steps = []
    first = edge_network_for(data, QUICK, progress=steps.append)
    assert first.facts["kept"] == str(next(cache.iterdir()))
    again = edge_network_for(data.evenly(2), QUICK, progress=steps.append)
    assert again.hash == edge_network_for(data.evenly(2), QUICK).hash
    assert len(steps) == 2 * QUICK.steps  # fewer masks are another content; a second time nothing is trained
    (toy / "labels/val/s0.png").write_bytes((toy / "labels/val/s1.png").read_bytes())
    assert edge_network_for(data, QUICK).hash != first.hash


def test_the_train_split_is_taken_where_there_is_one(toy, cache):
    described = (toy / "dataset.yaml").read_text()
    more = write_dataset(toy / "train", count=3)
    more.rename(toy / "more")
    (toy / "dataset.yaml").write_text(
        described.replace("splits:\n", "splits:\n  train: {images: more/images/val, labels: more/labels/val}\n")
    )
    network = edge_network_for(open_dataset(f"folder:{toy}", "val").evenly(2), QUICK)
    assert (network.facts["split"], network.facts["masks_read"]) == ("train", 3)


def test_a_damaged_file_in_the_cache_is_replaced(toy, cache):
    data = open_dataset(f"folder:{toy}")
    hash = edge_network_for(data, QUICK).hash
    kept = next(cache.iterdir())
    kept.write_bytes(kept.read_bytes()[:100])
    assert edge_network_for(data, QUICK).hash == hash
    assert load_edge_network(kept).hash == hash


def test_a_cache_that_cannot_be_written_is_done_without(toy, tmp_path, monkeypatch):
    (tmp_path / "file").write_text("in the way")
    monkeypatch.setenv("SEGABLATE_CACHE", str(tmp_path / "file"))
    assert edge_network_for(open_dataset(f"folder:{toy}"), QUICK).facts["kept"] is None


def test_the_command(toy, tmp_path, capsys):
    out = tmp_path / "edges.safetensors"
    assert cli.run(["train-edges", f"folder:{toy}", "--split", "val", "--steps", "3", "--out", str(out)]) == 0
    network = load_edge_network(out)
    assert f"edge network {network.hash} for the 4 classes of toy" in capsys.readouterr().out
    assert cli.run(["train-edges", f"folder:{toy}", "--out", str(out)]) == 1
    assert "has no split 'train'; available: val" in " ".join(capsys.readouterr().err.split())
