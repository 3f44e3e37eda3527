"""An evaluation is run once; whatever decides its numbers, when touched, has it run again."""

import json
import os
import re
import shutil
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from evaluations import evaluation, truth

from segablate.checkpoints import open_checkpoint
from segablate.checkpoints.segmenter import Loading
from segablate.cli import run
from segablate.datasets import open_dataset
from segablate.evaluation import cache, identity
from segablate.evaluation.cache import keep_evaluation, kept_evaluation, key_of
from segablate.evaluation.identity import environment, identity_of, stamps_of
from segablate.evaluation.loop import prepare
from segablate.evaluation.measures import Measures
from segablate.evaluation.results import Skipped
from segablate.losses import get_loss
from segablate.metrics.trimap import count_trimap

HIT = r"unchanged since \d{4}-\d\d-\d\d \d\d:\d\d UTC and taken from the cache; --no-cache measures again"
MAPS = truth(2)


@pytest.fixture
def said(capsys: pytest.CaptureFixture[str]) -> Callable[..., dict]:
    """The report of a command, as JSON."""

    def report(*command: str) -> dict:
        assert run([*command, "--device", "cpu", "--workers", "0", "--format", "json"]) == 0, capsys.readouterr().err
        return json.loads(capsys.readouterr().out)

    return report


def hit(report: dict) -> bool:
    return any(re.search(HIT, note) for note in report["notes"])


def test_the_second_time_nothing_is_run_and_the_report_is_the_same(
    toy: Path, network_spec: str, said: Callable[..., dict], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    first = said("evaluate", network_spec, f"folder:{toy}", "--save", str(tmp_path / "a"))
    with monkeypatch.context() as patch:
        patch.setattr("segablate.evaluation.loop.carry_out", None)
        second = said("evaluate", network_spec, f"folder:{toy}", "--save", str(tmp_path / "b"))
    assert not hit(first)
    assert hit(second)
    assert second["tables"] == first["tables"]
    assert second["facts"] == first["facts"]
    assert [note for note in second["notes"] if not re.search(HIT, note)] == first["notes"]
    assert (tmp_path / "a/counts.npz").read_bytes() == (tmp_path / "b/counts.npz").read_bytes()
    assert not hit(said("evaluate", network_spec, f"folder:{toy}", "--no-cache"))


def touch(path: Path) -> None:
    status = path.stat()
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns + 1))


def repaint(path: Path) -> None:
    """Other pixels under the old times."""
    times = path.stat()
    values = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
    cv2.imwrite(str(path), np.where(values == 0, 1, values))
    os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))


FILES: dict[str, Callable[[Path], object]] = {
    "toy/labels/val/s3.png": repaint,
    "toy/labels/val/s2.png": touch,
    "toy/images/val/s0.png": touch,
    "toy/dataset.yaml": lambda path: path.write_text(path.read_text().replace("void:\n- 255", "void:\n- 254\n- 255")),
    "net.pth": lambda path: path.write_bytes(path.read_bytes() + b"\0"),
    "net.py": lambda path: path.write_text(path.read_text() + "\n# another architecture\n"),
    "toy/images/val/s5.png": lambda path: (path.unlink(), (path.parents[2] / "labels/val/s5.png").unlink()),
}


@pytest.mark.parametrize("name", FILES)
def test_a_file_that_has_changed_is_noticed(
    name: str, toy: Path, network_spec: str, said: Callable[..., dict], tmp_path: Path
) -> None:
    command = ("evaluate", network_spec, f"folder:{toy}")
    said(*command)
    FILES[name](tmp_path / name)
    assert not hit(said(*command))
    assert hit(said(*command))


OPTIONS = {
    "preprocessing": ("--scale", "1/200"),
    "inference": ("--flip",),
    "loss": ("--losses", "dice"),
    "tolerance": ("--tolerance", "2"),
    "subset": ("--limit", "3"),
    "precision": ("--precision", "bf16"),
}


def test_options_that_change_numbers_are_noticed_and_others_are_not(
    toy: Path, network_spec: str, said: Callable[..., dict]
) -> None:
    command = ("evaluate", network_spec, f"folder:{toy}")
    said(*command)
    assert [name for name, options in OPTIONS.items() if hit(said(*command, *options))] == []
    assert hit(said(*command, "--batch-size", "1", "--void-as-error"))


def test_compare_takes_what_evaluate_kept(toy: Path, network_spec: str, said: Callable[..., dict]) -> None:
    said("evaluate", network_spec, f"folder:{toy}")
    other = network_spec.replace("small(num_classes=4)", "small(4)")
    report = said("compare", network_spec, other, "--on", f"folder:{toy}", "--replicates", "100")
    assert [re.sub(HIT, "HIT", note) for note in report["notes"] if "unchanged" in note] == ["A: HIT"]


def key(toy: Path, spec: str, measures: Measures | None = None) -> str | None:
    loading = Loading(device="cpu")
    work = prepare(open_checkpoint(spec, loading), open_dataset(f"folder:{toy}"), measures or Measures())
    return key_of(identity_of(work, loading), stamps_of(work.dataset, work.segmenter.capabilities.images))


def test_a_neighbour_that_the_users_code_imports_belongs_to_it(toy: Path, network_file: Path) -> None:
    neighbour = network_file.with_name("neighbour_of_net.py")
    neighbour.write_text("WIDTH = 8\n")
    network_file.write_text(network_file.read_text() + "\nfrom neighbour_of_net import WIDTH\n")
    spec = f"python:{network_file}:small(4)@{network_file.with_suffix('.pth')}"
    before = key(toy, spec)
    assert key(toy, spec) == before
    neighbour.write_text("WIDTH = 9\n")
    assert key(toy, spec) != before


def test_files_of_one_name_are_told_apart(toy: Path, network_spec: str, tmp_path: Path) -> None:
    paths = [tmp_path / folder / "weights.bin" for folder in "ab"]
    for path in paths:
        path.parent.mkdir()
        path.write_text("0")
    loading = Loading(device="cpu")
    work = prepare(open_checkpoint(network_spec, loading), open_dataset(f"folder:{toy}"), Measures())
    segmenter: Any = work.segmenter
    work = replace(work, segmenter=replace(segmenter, source=replace(segmenter.source, files=tuple(paths))))
    before = identity_of(work, loading)
    paths[0].write_text("1")
    assert identity_of(work, loading) != before


def test_a_users_own_loss_belongs_to_it(toy: Path, network_spec: str, tmp_path: Path) -> None:
    code = tmp_path / "own_loss.py"
    code.write_text("def own(logits, labels):\n    return logits.mean()\n")
    losses = {"own": get_loss(f"python:{code}:own")}
    before = key(toy, network_spec, Measures(losses))
    code.write_text(code.read_text().replace("mean", "sum"))
    assert before != key(toy, network_spec, Measures(losses))


def test_inputs_of_losses_count_by_their_contents(toy: Path, network_spec: str) -> None:
    import torch

    keys = {
        key(toy, network_spec, Measures(inputs={"edge_net": ((torch.full((2, 2), value), torch.zeros(2)),)}))
        for value in (1.0, 2.0, 1.0)
    }
    assert len(keys) == 2


def test_further_counts_go_by_what_they_are_and_not_by_where_they_lie(toy: Path, network_spec: str) -> None:
    def counted(*widths: int) -> Measures:
        # A function made anew has another address, as in another process.
        anew = type(count_trimap)(count_trimap.__code__, count_trimap.__globals__, "count_trimap")
        anew.__qualname__, anew.__module__ = count_trimap.__qualname__, count_trimap.__module__
        return Measures(counts=(partial(anew, widths=widths),))

    kept = key(toy, network_spec, counted(1, 2))
    assert key(toy, network_spec, counted(1, 2)) == kept
    assert key(toy, network_spec, counted(1, 4)) != kept
    assert key(toy, network_spec, Measures()) != kept


def test_other_packages_and_other_code_of_the_program_are_another_key(
    toy: Path, network_spec: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    before = key(toy, network_spec)
    (tmp_path / "site/torch-99.dist-info").mkdir(parents=True)
    with monkeypatch.context() as patch:
        patch.syspath_prepend(str(tmp_path / "site"))
        assert key(toy, network_spec) != before
    (tmp_path / "package").mkdir()
    (tmp_path / "package/measures.py").write_text("")
    monkeypatch.setattr(identity, "_PACKAGE", tmp_path / "package")
    assert key(toy, network_spec) != before


def test_what_lies_in_no_file_is_not_kept() -> None:
    assert key_of({}, {"a": "0123", "b": ""}) is None
    assert key_of({}, {"a": "0123"}) != key_of({}, {"a": "0124"})


def test_what_skipped_images_is_not_kept() -> None:
    keep_evaluation("k", replace(evaluation(MAPS, MAPS), skipped=(Skipped("i9", "broken"),)))
    assert kept_evaluation("k") is None
    keep_evaluation("k", replace(evaluation(MAPS, MAPS), skipped=()))
    assert kept_evaluation("k") is not None


def test_a_damaged_entry_is_replaced(own_cache: Path) -> None:
    whole = replace(evaluation(MAPS, MAPS), skipped=())
    keep_evaluation("k", whole)
    counts = own_cache / "evaluations/k/counts.npz"
    counts.write_bytes(counts.read_bytes()[:50])
    assert kept_evaluation("k") is None
    keep_evaluation("k", whole)
    found = kept_evaluation("k")
    assert found is not None
    assert np.array_equal(found.confusion.total(), whole.confusion.total())


def test_a_cache_that_cannot_be_written_is_done_without(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, toy: Path, network_spec: str, said: Callable[..., dict]
) -> None:
    (tmp_path / "file").write_text("in the way")
    monkeypatch.setenv("SEGABLATE_CACHE", str(tmp_path / "file"))
    for _ in range(2):
        assert not hit(said("evaluate", network_spec, f"folder:{toy}"))


def test_the_least_recently_used_goes_first(own_cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cache, "MOST_RUNS", 3)
    whole = replace(evaluation(MAPS, MAPS), skipped=())
    for number, name in enumerate("abc"):
        keep_evaluation(name, whole)
        os.utime(own_cache / "evaluations" / name, ns=(number, number))
    assert kept_evaluation("a") is not None  # and is now the one used last
    keep_evaluation("d", whole)
    assert sorted(path.name for path in (own_cache / "evaluations").iterdir()) == ["a", "c", "d"]
    monkeypatch.setattr(cache, "MOST_BYTES", 1)
    keep_evaluation("e", whole)
    assert [path.name for path in (own_cache / "evaluations").iterdir()] == ["e"]
    shutil.rmtree(own_cache)
    assert kept_evaluation("e") is None


def test_runs_that_fill_the_cache_exactly_are_kept(own_cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in "ab":
        keep_evaluation(name, replace(evaluation(MAPS, MAPS), skipped=()))
    folder = own_cache / "evaluations"
    monkeypatch.setattr(cache, "MOST_BYTES", sum(path.stat().st_size for path in folder.glob("*/*")))
    cache._shrink(folder / "b")
    assert sorted(path.name for path in folder.iterdir()) == ["a", "b"]
    monkeypatch.setattr(cache, "MOST_BYTES", cache.MOST_BYTES - 1)
    cache._shrink(folder / "b")
    assert [path.name for path in folder.iterdir()] == ["b"]


def test_where_the_cache_is(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    from segablate.files import cache_folder

    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setenv("SEGABLATE_CACHE", str(tmp_path / "own"))
    assert cache_folder() == tmp_path / "own"
    monkeypatch.delenv("SEGABLATE_CACHE")
    assert cache_folder() == tmp_path / "segablate"


def test_what_a_package_brings_along_is_no_installed_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = environment()
    for folder, same in (("site-packages/library/vendored", True), ("site-packages", False), ("own", False)):
        (tmp_path / folder / "other-1.0.dist-info").mkdir(parents=True)
        with monkeypatch.context() as patch:
            patch.syspath_prepend(str(tmp_path / folder))
            assert (environment() == before) is same, folder
