"""Trainings of a classifier alone are evaluated on kept features: the same runs, without the network."""

import errno
import os
import shutil
import subprocess
import sys
import time
import zipfile
import zlib
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import cv2
import numpy as np
import pytest
import torch
import yaml
from conftest import NETWORK
from trainings import PLAIN, write_splits

from segablate.checkpoints import Loading, open_checkpoint
from segablate.checkpoints.network import Network
from segablate.checkpoints.segmenter import no_substitute
from segablate.comparison.differences import compare
from segablate.datasets import Dataset, open_dataset
from segablate.evaluation.results import Evaluation, load_run, to_arrays
from segablate.metrics.tolerance import Tolerance
from segablate.samples import Batch
from segablate.tables.comparison import comparison_report
from segablate.training import cells, feature_files, replaying
from segablate.training.ablation import SweepExecution, run_sweep
from segablate.training.cells import cell_folder, run_cell
from segablate.training.engines import EngineOptions
from segablate.training.recipe import Recipe
from segablate.training.replaying import by_classifier
from segablate.training.request import TrainingRequest
from segablate.training.session import TrainingExecution, train
from segablate.training.sweep import Sweep, SweepSetting

SETTINGS = (SweepSetting("baseline", "ce"), SweepSetting("focal", "focal(gamma=5)"))
TRUSTED = Loading(device="cpu", trust_code=True)
HERE = EngineOptions(processes=1)
VARIED = NETWORK.replace("y = self.head(torch.relu(self.norm(self.body(x))))", "y = {}")
HIDDEN = "torch.relu(self.norm(self.body(x)))"


def sweep_of(network: str, train: Dataset, reported: Dataset, steps: int = 3, **recipe: Any) -> Sweep:
    """Two settings, one seed, the classifier alone."""
    wanted = Recipe(**{**PLAIN, "steps": steps, **recipe})
    request = TrainingRequest(network, train, wanted, part="head", loading=TRUSTED)
    return Sweep(SETTINGS, (0,), request, reported, (Tolerance.parse("2"),), 1)


def write_network(folder: Path, scores: str = f"self.head({HIDDEN})") -> str:
    """Write a network of four classes with these scores, and return its specification."""
    (folder / "net.py").write_text(VARIED.replace("{}", scores, 1))
    made: dict[str, Any] = {}
    exec(NETWORK, made)
    torch.manual_seed(0)
    torch.save(made["small"](4).state_dict(), folder / "net.pth")
    return f"python:{folder / 'net.py'}:small(num_classes=4)@{folder / 'net.pth'}"


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """Six images to train on, five to evaluate."""
    return write_splits(tmp_path / "data", val=5)


@pytest.fixture
def sweep(data: Path, tmp_path: Path) -> Sweep:
    """A sweep of a network of a file."""
    return toy_sweep(data, write_network(tmp_path))


def toy_sweep(data: Path, network: str) -> Sweep:
    """Two settings of a network on the toy data."""
    return sweep_of(network, open_dataset(f"folder:{data}", "train"), open_dataset(f"folder:{data}", "val"))


def ended(folder: Path, sweep: Sweep) -> list[Evaluation]:
    """Run a sweep and return the runs of its cells."""
    assert run_sweep(sweep, SweepExecution(folder, options=HERE)) == 0
    return [load_run(cell_folder(folder, cell) / "run") for cell in sweep.cells]


def by_network(monkeypatch: pytest.MonkeyPatch, folder: Path, sweep: Sweep) -> list[Evaluation]:
    """Run a sweep whose cells are all evaluated by the network."""
    with monkeypatch.context() as patch:
        patch.setattr(cells, "_substitute", lambda *given: no_substitute)
        return ended(folder, sweep)


def assert_same(found: list[Evaluation], expected: list[Evaluation]) -> None:
    """Hold runs against others, array by array; facts but time and folder."""
    assert len(found) == len(expected) == len(SETTINGS)
    for run, other in zip(found, expected, strict=True):
        ours, theirs = to_arrays(run), to_arrays(other)
        assert ours.keys() == theirs.keys()
        for name, array in theirs.items():
            assert ours[name].dtype == array.dtype
            np.testing.assert_array_equal(ours[name], array, err_msg=name)
        assert (run.notes, run.names, run.skipped) == (other.notes, other.names, other.skipped)
        assert plain_facts(run) == plain_facts(other)


def plain_facts(run: Evaluation) -> dict[str, Any]:
    facts = {name: value for name, value in run.facts.items() if name not in ("timing", "origin")}
    return {**facts, "checkpoint": {**facts["checkpoint"], "name": Path(facts["checkpoint"]["name"]).name}}


@pytest.fixture
def passes(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The images that networks have evaluated."""
    seen: list[int] = []
    call = Network.__call__

    def counted(self: Network, batch: Any) -> Any:
        seen.extend(sample.index for sample in batch.samples)
        return call(self, batch)

    monkeypatch.setattr(Network, "__call__", counted)
    return seen


def kept(folder: Path, sweep: Sweep) -> list[Path]:
    """The files of features of the evaluated split."""
    files = list(folder.glob("features-*.npz"))
    assert all(len(np.load(file).files) == len(sweep.reported) for file in files)
    return files


FORMS = {
    "as it is": f"self.head({HIDDEN})",
    "enlarged by the network": f"nn.functional.interpolate(self.head(nn.functional.avg_pool2d({HIDDEN}, 2)), "
    "x.shape[2:], mode='bilinear')",
    "channels first": f"self.head({HIDDEN}.contiguous())",
    "coarse": f"self.head(nn.functional.avg_pool2d({HIDDEN}, 4))",
}


@pytest.mark.parametrize("scores", FORMS.values(), ids=FORMS)
def test_the_second_cell_runs_its_classifier_alone(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, passes: list[int], scores: str
) -> None:
    sweep = toy_sweep(data, write_network(tmp_path, scores))
    found = ended(tmp_path / "s", sweep)
    assert passes == [0, 1, 2, 3, 4, 0], "the whole split once, then the first image to compare"
    assert len(kept(tmp_path / "s", sweep)) == 1
    assert_same(found, by_network(monkeypatch, tmp_path / "t", sweep))
    assert not np.array_equal(found[0].confusion.pixels, found[1].confusion.pixels), "the cells differ"


def test_what_the_network_did_not_do_is_not_timed(sweep: Sweep, tmp_path: Path) -> None:
    first, second = ended(tmp_path / "s", sweep)
    assert first.facts["timing"]["milliseconds per image"] > 0
    assert second.facts["timing"] == {"milliseconds per image": None, "evaluated on": "kept features"}
    runs = {"a": first, "b": second, "c": second}
    tables = {table.name: table for table in comparison_report(compare(runs), runs).tables}
    rows = tables["trade_offs"].rows
    assert [row["seconds"] is None for row in rows] == [False, True, True]
    assert tables["trade_offs"].notes[-1] == (
        "No time of B, C: evaluated on kept features, without running the network. --time measures it."
    )


def test_a_sweep_goes_on_with_what_is_kept(sweep: Sweep, tmp_path: Path, passes: list[int]) -> None:
    before = ended(tmp_path / "s", sweep)
    shutil.rmtree(cell_folder(tmp_path / "s", sweep.cells[0]))
    passes.clear()
    assert_same(ended(tmp_path / "s", sweep), before)
    assert passes == [0]


def test_a_single_cell_keeps_nothing(sweep: Sweep, tmp_path: Path) -> None:
    one = replace(sweep, settings=SETTINGS[:1])
    run_sweep(one, SweepExecution(tmp_path / "s", options=HERE))
    assert not kept(tmp_path / "s", one)


def test_a_new_network_has_features_by_seed(data: Path, tmp_path: Path) -> None:
    alone = replace(toy_sweep(data, "small(width=4)"), settings=SETTINGS[:1], seeds=(0, 1))
    run_sweep(alone, SweepExecution(tmp_path / "alone", options=HERE))
    assert not kept(tmp_path / "alone", alone), "another seed has another network below the classifier"
    both = replace(alone, settings=SETTINGS)
    run_sweep(both, SweepExecution(tmp_path / "both", options=HERE))
    assert len(kept(tmp_path / "both", both)) == 2


def test_sweeps_of_a_search_share_their_features(sweep: Sweep, tmp_path: Path, passes: list[int]) -> None:
    (tmp_path / "shared").mkdir()
    for name in ("first", "second"):
        one = replace(sweep, settings=SETTINGS[:1], features=tmp_path / "shared")
        run_sweep(one, SweepExecution(tmp_path / name, options=HERE))
    assert passes == [0, 1, 2, 3, 4, 0]


def enlarge(data: Path, tmp_path: Path, *numbers: int) -> None:
    """Make some of the evaluated images larger, each number by as many pixels."""
    for number in numbers:
        other = write_splits(tmp_path / f"other{number}", val=5, size=(24, 40 + number % 2))
        for kind in ("images", "labels"):
            shutil.copy(other / kind / f"val/val{number}.png", data / kind / f"val/val{number}.png")


@pytest.mark.parametrize("scores", FORMS.values(), ids=FORMS)
def test_the_network_runs_on_a_first_batch_of_each_size(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, passes: list[int], scores: str
) -> None:
    enlarge(data, tmp_path, 1, 3, 4)
    sweep = toy_sweep(data, write_network(tmp_path, scores))
    found = ended(tmp_path / "s", sweep)
    assert passes == [0, 1, 2, 3, 4, 0, 1, 4], "the first and third are of one size, the second and fourth of another"
    assert len(kept(tmp_path / "s", sweep)) == 1
    assert_same(found, by_network(monkeypatch, tmp_path / "t", sweep))
    assert not np.array_equal(found[0].confusion.pixels, found[1].confusion.pixels), "the cells differ"


def test_where_one_size_disagrees_the_network_runs_on_it_alone(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, passes: list[int]
) -> None:
    enlarge(data, tmp_path, 1, 3)
    sweep = toy_sweep(data, write_network(tmp_path))
    before = ended(tmp_path / "s", sweep)
    (file,) = kept(tmp_path / "s", sweep)
    arrays = dict(np.load(file))
    np.savez(file, **{**arrays, "1": arrays["1"] + 1})
    shutil.rmtree(cell_folder(tmp_path / "s", sweep.cells[0]))
    passes.clear()
    assert_same(ended(tmp_path / "s", sweep), before)
    assert passes == [0, 1, 3]


def test_of_many_sizes_nothing_is_kept(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, passes: list[int]
) -> None:
    monkeypatch.setattr(feature_files, "MOST_SIZES", 1)
    enlarge(data, tmp_path, 1)
    sweep = toy_sweep(data, write_network(tmp_path))
    ended(tmp_path / "s", sweep)
    assert passes == 2 * [0, 1, 2, 3, 4]
    assert not list((tmp_path / "s").glob("*features-*.npz*"))


def labels_of_another_size(data: Path, tmp_path: Path) -> str:
    """Make the evaluated label maps larger than their images."""
    other = write_splits(tmp_path / "other", val=5, size=(48, 64))
    for path in (other / "labels/val").iterdir():
        shutil.copy(path, data / "labels/val")
    return write_network(tmp_path)


def card(**entries: Any) -> Callable[[Path, Path], str]:
    """A network with further entries in its card."""

    def write(data: Path, tmp_path: Path) -> str:
        write_network(tmp_path)
        described = {"source": "python:net.py:small(num_classes=4)", "weights": "net.pth", **entries}
        (tmp_path / "card.yaml").write_text(yaml.safe_dump(described))
        return str(tmp_path / "card.yaml")

    return write


def scored(scores: str) -> Callable[[Path, Path], str]:
    return lambda data, tmp_path: write_network(tmp_path, scores)


def marked(data: Path, tmp_path: Path) -> str:
    """A network that goes on after its classifier in an image with a bright blue pixel, and such a pixel."""
    path = str(data / "images/val/val3.png")
    image = cv2.imread(path)
    assert image is not None
    image[5, 5] = 255
    cv2.imwrite(path, image)
    return write_network(tmp_path, f"self.head({HIDDEN}) + 1e-5 * (x[:, 2:] > 0.9)")


UNSURE = {
    "labels of another size": labels_of_another_size,
    "the network goes on a little": scored(f"self.head({HIDDEN}) + 1e-5 * x[:, :1]"),
    "features lie apart in memory": scored(f"self.head({HIDDEN}[..., ::2, ::2])"),
    "it goes on in the fourth image": marked,
    "resized": card(preprocessing={"scale": "1/255", "resize": [12, 16]}),
    "padded": card(preprocessing={"scale": "1/255", "pad_to_multiple": 20}),
    "windows": card(preprocessing={"scale": "1/255"}, inference={"window": 16}),
    "mirrored": card(preprocessing={"scale": "1/255"}, inference={"flip": True}),
}


@pytest.mark.parametrize("network", UNSURE.values(), ids=UNSURE)
def test_the_network_runs_where_it_is_unsure(
    data: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    passes: list[int],
    network: Callable[[Path, Path], str],
) -> None:
    sweep = toy_sweep(data, network(data, tmp_path))
    found = ended(tmp_path / "s", sweep)
    assert passes == 2 * [0, 1, 2, 3, 4]
    assert not kept(tmp_path / "s", sweep)
    assert not list((tmp_path / "s").glob(".features-*")), "nothing is left half-written"
    assert_same(found, by_network(monkeypatch, tmp_path / "t", sweep))


def no_room(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda path: SimpleNamespace(free=1000))


def too_large(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(feature_files, "MOST_BYTES", 1000)


def full(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*given: Any) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(zipfile.ZipFile, "writestr", fail)


def full_at_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    replace_file = os.replace

    def fail(old: Any, new: Any) -> None:
        if Path(new).name.startswith("features-"):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        replace_file(old, new)

    monkeypatch.setattr(os, "replace", fail)


@pytest.mark.parametrize("cause", [no_room, too_large, full, full_at_the_end])
def test_the_network_runs_where_features_do_not_fit(
    sweep: Sweep,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    passes: list[int],
    cause: Callable[[pytest.MonkeyPatch], None],
) -> None:
    expected = by_network(monkeypatch, tmp_path / "s", sweep)
    for cell in sweep.cells:  # trained, with features of the train split; to be evaluated
        shutil.rmtree(cell_folder(tmp_path / "s", cell) / "run")
        (cell_folder(tmp_path / "s", cell) / "cell.json").unlink()
    passes.clear()
    cause(monkeypatch)
    for cell in sweep.cells:
        run_cell(tmp_path / "s", sweep, cell)
    assert passes == 2 * [0, 1, 2, 3, 4]
    assert not list((tmp_path / "s").glob(".features-*"))
    assert_same([load_run(cell_folder(tmp_path / "s", cell) / "run") for cell in sweep.cells], expected)


def zeros(features: np.ndarray) -> np.ndarray:
    return np.zeros_like(features)


def other_shape(features: np.ndarray) -> np.ndarray:
    return features[..., :-1]


@pytest.mark.parametrize("change", [zeros, other_shape])
def test_other_features_are_not_used(
    sweep: Sweep, tmp_path: Path, passes: list[int], change: Callable[[np.ndarray], np.ndarray]
) -> None:
    before = ended(tmp_path / "s", sweep)
    (file,) = kept(tmp_path / "s", sweep)
    np.savez(file, **{name: change(array) for name, array in np.load(file).items()})
    shutil.rmtree(cell_folder(tmp_path / "s", sweep.cells[0]))
    passes.clear()
    assert_same(ended(tmp_path / "s", sweep), before)
    assert passes == [0, 1, 2, 3, 4]


def cut_off(file: Path) -> None:
    file.write_bytes(file.read_bytes()[:-100])


def emptied(file: Path) -> None:
    file.write_bytes(b"")


def one_short(file: Path) -> None:
    np.savez(file, **dict(list(np.load(file).items())[:-1]))


def another_number(file: Path) -> None:
    arrays = dict(np.load(file))
    np.savez(file, **{**{name: array for name, array in arrays.items() if name != "2"}, "7": arrays["2"]})


def flipped(entry: str) -> Callable[[Path], None]:
    """Change a bit of the values of an image."""

    def flip(file: Path) -> None:
        with zipfile.ZipFile(file) as archive:
            start = archive.getinfo(entry).header_offset
        data = bytearray(file.read_bytes())
        data[start + 1000] ^= 1
        file.write_bytes(data)

    return flip


DAMAGES: dict[str, tuple[Callable[[Path], None], list[int]]] = {
    "cut off": (cut_off, [0, 1, 2, 3, 4]),
    "empty": (emptied, [0, 1, 2, 3, 4]),
    "an image short": (one_short, [0, 1, 2, 3, 4]),
    "no third image": (another_number, [0, 2, 3, 4]),
    "a bit of the first": (flipped("0.npy"), [0, 1, 2, 3, 4]),
    "a bit of the fourth": (flipped("3.npy"), [0, 3, 4]),
}
"""Damages, and the images that the network then evaluates: all from the first that is found to be damaged."""


@pytest.mark.parametrize(("damage", "evaluated"), DAMAGES.values(), ids=DAMAGES)
def test_damaged_features_are_computed_again(
    sweep: Sweep, tmp_path: Path, passes: list[int], damage: Callable[[Path], None], evaluated: list[int]
) -> None:
    before = ended(tmp_path / "s", sweep)
    (file,) = kept(tmp_path / "s", sweep)
    damage(file)
    shutil.rmtree(cell_folder(tmp_path / "s", sweep.cells[0]))
    passes.clear()
    assert_same(ended(tmp_path / "s", sweep), before)
    assert passes == evaluated
    assert not list((tmp_path / "s").glob("*features-*.npz*")), "nothing was left to be evaluated on them"
    damage_all(tmp_path / "s", sweep)
    passes.clear()
    assert_same(ended(tmp_path / "s", sweep), before)
    assert passes == [0, 1, 2, 3, 4, 0]
    file.write_bytes(file.read_bytes()[:-100])
    damage_all(tmp_path / "s", sweep)
    passes.clear()
    assert_same(ended(tmp_path / "s", sweep), before)
    assert passes == [0, 1, 2, 3, 4, 0], "replaced by those of the first cell"
    assert len(kept(tmp_path / "s", sweep)) == 1


def damage_all(folder: Path, sweep: Sweep) -> None:
    """Remove what came of all cells."""
    for cell in sweep.cells:
        shutil.rmtree(cell_folder(folder, cell))


def bit_of_training(file: Path) -> None:
    data = bytearray(file.read_bytes())
    data[-1000] ^= 1
    file.write_bytes(data)


def without_checksum(file: Path) -> None:
    file.write_bytes(file.read_bytes()[:-4])


def with_more(file: Path) -> None:
    file.write_bytes(file.read_bytes() + b"0")


def with_open_header(file: Path) -> None:
    file.write_bytes(file.read_bytes().replace(b"}", b"{", 1))


@pytest.mark.parametrize("damage", [cut_off, emptied, bit_of_training, without_checksum, with_more, with_open_header])
def test_damaged_features_to_train_on_are_computed_again(
    sweep: Sweep, tmp_path: Path, damage: Callable[[Path], None]
) -> None:
    before = ended(tmp_path / "s", sweep)
    (file,) = (tmp_path / "s").glob("features-*.npy")
    good = file.read_bytes()
    damage(file)
    damage_all(tmp_path / "s", sweep)
    assert_same(ended(tmp_path / "s", sweep), before)
    assert file.read_bytes() == good
    assert not list((tmp_path / "s").glob(".features-*"))


def test_features_to_train_on_are_read_from_the_file_that_is_there(sweep: Sweep, tmp_path: Path) -> None:
    before = ended(tmp_path / "s", sweep)
    (file,) = (tmp_path / "s").glob("features-*.npy")
    good = np.load(file)
    np.save(file, np.zeros_like(good))
    feature_files.seal(file, zlib.crc32(np.zeros_like(good)))
    damage_all(tmp_path / "s", sweep)
    after = ended(tmp_path / "s", sweep)
    assert not np.array_equal(after[0].confusion.pixels, before[0].confusion.pixels)


def test_two_processes_may_keep_them_at_once(sweep: Sweep, tmp_path: Path, passes: list[int]) -> None:
    network = open_checkpoint(sweep.request.network, TRUSTED)
    substitute = by_classifier(tmp_path, "head", keep=True)
    batches = [Batch((sweep.reported.read(index),)) for index in range(5)]
    with ExitStack() as first, ExitStack() as second, ExitStack() as broken_off:
        three = [stack.enter_context(substitute(network, sweep.reported)) for stack in (first, second, broken_off)]
        for batch in batches[:3]:
            for one in three:
                one(batch)
        broken_off.close()
        for batch in batches[3:]:
            for one in three[:2]:
                one(batch)
        assert len(list(tmp_path.glob(".features-*"))) == 2
    assert not list(tmp_path.glob(".features-*"))
    assert len(list(tmp_path.glob("features-*"))) == 1
    passes.clear()
    with substitute(network, sweep.reported) as replaying_one:
        found = [replaying_one(batch).scores for batch in batches]
    assert passes == [0]
    for ours, batch in zip(found, batches, strict=True):
        theirs = network(batch).scores
        assert ours is not None
        assert theirs is not None
        assert torch.equal(ours, theirs)


def test_what_killed_processes_left_is_removed(sweep: Sweep, tmp_path: Path) -> None:
    folder, sweep = tmp_path / "s", replace(sweep, seeds=(0, 1))
    assert run_sweep(sweep, SweepExecution(folder, "1/4", options=HERE)) == 3
    child = subprocess.Popen([sys.executable, "-c", ""])
    child.wait()
    here = feature_files.this_machine()
    names = {
        "killed": f".features-1.npz.{here}-{child.pid}-1",
        "trained": f".features-1.npy.{here}-{child.pid}-2",
        "abandoned": ".features-1.npz.0123456789ab-1-3",
        "elsewhere": f".features-1.npz.0123456789ab-{child.pid}-4",
        "in use": feature_files.temporary_name(folder / "features-1.npz").name,
    }
    for name in names.values():
        (folder / name).write_bytes(b"0")
    old = time.time() - 2 * feature_files.ABANDONED
    os.utime(folder / names["abandoned"], (old, old))
    os.utime(folder / names["in use"], (old, old))

    def left() -> set[str]:
        return {name for name, file in names.items() if (folder / file).exists()}

    seen: list[set[str]] = []
    execution = SweepExecution(folder, "2/4", options=HERE, ended=lambda done, result: seen.append(left()))
    assert run_sweep(sweep, execution) == 2
    assert seen == [{"elsewhere", "in use"}], "before the disk is written to"
    assert left() == {"elsewhere", "in use"}
    (folder / names["killed"]).write_bytes(b"0")
    assert run_sweep(sweep, SweepExecution(folder, options=HERE)) == 0
    assert not left(), "all cells have ended"


def test_a_training_leaves_no_features(sweep: Sweep, tmp_path: Path) -> None:
    temporary = tmp_path / "t/.features-1.npy.0123456789ab-1-3"
    temporary.parent.mkdir()
    temporary.write_bytes(b"0")
    train(sweep.request_of(sweep.cells[0]), tmp_path / "t", TrainingExecution())
    assert not list((tmp_path / "t").glob("*features-*"))


def test_changed_weights_or_images_have_features_of_their_own(sweep: Sweep, tmp_path: Path) -> None:
    network = open_checkpoint(sweep.request.network, TRUSTED)
    assert isinstance(network, Network)
    names = {replaying._file(tmp_path, network, "head", sweep.reported)}
    names.add(replaying._file(tmp_path, network, "head", sweep.request.dataset))
    names.add(replaying._file(tmp_path, network, "head", sweep.reported.meeting_at("image")))
    changed = replace(network, preprocessing=replace(network.preprocessing, mean=(0.1, 0.1, 0.1)))
    names.add(replaying._file(tmp_path, changed, "head", sweep.reported))
    with torch.no_grad():
        network.module.get_parameter("head.weight").add_(1)
    same = replaying._file(tmp_path, network, "head", sweep.reported)
    assert same in names, "the classifier is not part of it"
    with torch.no_grad():
        network.module.get_parameter("body.weight").add_(1)
    names.add(replaying._file(tmp_path, network, "head", sweep.reported))
    assert len(names) == 5


def test_the_sample(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, passes: list[int]) -> None:
    reported = open_dataset("sample", "val")
    size = reported.read(0).size
    alike = [reported.read(index, image=False).size == size for index in range(len(reported))]
    chosen = {like: [name for name, each in zip(reported.names, alike, strict=True) if each == like] for like in (1, 0)}
    train = open_dataset("sample", "train").evenly(8)
    sweep = sweep_of("sample:ce", train, reported.only([*chosen[1][:4], *chosen[0][:3]], "a list"), steps=2)
    found = ended(tmp_path / "s", sweep)
    both = sorted(passes[:7])
    assert both == [*range(7)]
    assert len(passes) == 9, "one of each size to compare"
    assert_same(found, by_network(monkeypatch, tmp_path / "t", sweep))


@pytest.mark.data
def test_espnet_on_camvid(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, passes: list[int], real_data: Path) -> None:
    examples = Path(__file__).parents[1] / "examples"
    described = yaml.safe_load((examples / "espnet_camvid.yaml").read_text())
    described["source"] = described["source"].replace("espnet.py", str(examples / "espnet.py"))
    described["weights"] = str(real_data / "checkpoints/espnet_p_2_q_8_camvid.pth")
    (tmp_path / "card.yaml").write_text(yaml.safe_dump(described))
    train, val = (open_dataset(f"camvid:{real_data / 'camvid'}", split).evenly(3) for split in ("train", "val"))
    sweep = sweep_of(str(tmp_path / "card.yaml"), train, val, steps=2)
    found = ended(tmp_path / "s", sweep)
    assert passes == [0, 1, 2, 0]
    assert_same(found, by_network(monkeypatch, tmp_path / "t", sweep))
