"""A saved run comes back as it was; damage of any file is detected and named; a save that fails leaves nothing."""

import hashlib
import json
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from evaluations import evaluation, noisy, truth

from segablate.datasets.merging import merged
from segablate.errors import RunError, SegablateError
from segablate.evaluation import runs
from segablate.evaluation.joining import joined
from segablate.evaluation.results import Evaluation, load_run, save_run, select
from segablate.evaluation.runs import load_report, read_description, refuse_existing, save_report, sealed
from segablate.evaluation.stored import check_counts
from segablate.labels import LabelSet
from segablate.tables import Column, Report, Table
from segablate.tables.stored import from_plain, to_plain

COLUMNS = ("image", "label", "predicted", "pixels")


@pytest.fixture
def run() -> Evaluation:
    maps = truth(5)
    losses = {"ce": [0.5, np.nan, 0.25, 1.0, 2.0], "rmi(radius=5)": [1.0] * 5}
    statistics = {"bins": np.arange(5 * 2 * 3).reshape(5, 2, 3)}
    return replace(evaluation(maps, noisy(maps, 0.3, 1), values=losses), statistics=statistics)


@pytest.fixture
def saved(run: Evaluation, tmp_path: Path) -> Path:
    save_run(run, tmp_path / "run", '{"title": "summary"}\n')
    return tmp_path / "run"


def assert_same(a: Evaluation, b: Evaluation) -> None:
    assert a.labels == b.labels
    assert (a.names, a.label_hashes, a.notes, a.skipped) == (b.names, b.label_hashes, b.notes, b.skipped)
    assert a.facts == b.facts
    assert np.array_equal(a.sizes, b.sizes)
    for column in COLUMNS:
        assert np.array_equal(getattr(a.confusion, column), getattr(b.confusion, column))
        assert getattr(a.confusion, column).dtype == getattr(b.confusion, column).dtype
    assert list(a.values) == list(b.values)
    assert list(a.statistics) == list(b.statistics)
    for name in a.statistics:
        assert np.array_equal(a.statistics[name], b.statistics[name])
    for loss in a.values:
        assert np.array_equal(a.values[loss], b.values[loss], equal_nan=True)
    assert (a.boundary is None) == (b.boundary is None)
    if a.boundary is not None and b.boundary is not None:
        there = b.boundary.to_arrays()
        assert all(np.array_equal(array, there[name]) for name, array in a.boundary.to_arrays().items())


def test_a_run_comes_back_as_it_was(run: Evaluation, saved: Path) -> None:
    assert_same(run, load_run(saved))
    assert sorted(path.name for path in saved.iterdir()) == ["counts.npz", "run.json", "summary.json"]
    assert (saved / "summary.json").read_text() == '{"title": "summary"}\n'
    assert read_description(saved)["kind"] == "evaluation"


def test_without_boundaries_losses_and_void_codes(tmp_path: Path) -> None:
    maps = truth(2)
    plain = evaluation(maps, maps, tolerances=())
    save_run(plain, tmp_path / "run", "{}")
    assert_same(plain, load_run(tmp_path / "run"))


def test_merged_classes_come_back_with_what_they_were_made_of(run: Evaluation, tmp_path: Path) -> None:
    labels = merged(run.labels, {f"new {name}": [name] for name in run.labels.names})
    save_run(replace(run, labels=labels), tmp_path / "merged", "{}")
    found = load_run(tmp_path / "merged").labels
    assert (found, found.merged_from) == (labels, run.labels)


def test_the_same_evaluation_gives_the_same_counts_file(run: Evaluation, saved: Path, tmp_path: Path) -> None:
    save_run(run, tmp_path / "again", "{}")
    assert (saved / "counts.npz").read_bytes() == (tmp_path / "again" / "counts.npz").read_bytes()


def test_three_lines_of_numpy_read_the_counts(run: Evaluation, saved: Path) -> None:
    text = (Path(__file__).parent.parent / "docs" / "reference" / "run-format.md").read_text(encoding="utf-8")
    code = re.search(r"```python\n(.*?)```", text, re.DOTALL)
    assert code is not None
    assert len(code[1].splitlines()) == 3
    exec(code[1].replace("RUN/", f"{saved}/"), names := {"numpy": np})
    names["run"].close()
    assert np.array_equal(names["table"], np.stack([run.confusion.dense(i) for i in range(run.images)]))


def test_every_array_of_the_counts_is_documented(saved: Path) -> None:
    text = (Path(__file__).parent.parent / "docs" / "reference" / "run-format.md").read_text(encoding="utf-8")
    with np.load(saved / "counts.npz") as arrays:
        names = [re.sub(r"^(value|tally)_.*", r"\1_NAME", name) for name in arrays.files]
    assert [name for name in names if f"`{name}`" not in text] == []


DAMAGE = {
    "cut": lambda data: data[: len(data) // 2],
    "flipped": lambda data: data[:20] + bytes([data[20] ^ 1]) + data[21:],
    "emptied": lambda data: b"",
}


@pytest.mark.parametrize("file", ["counts.npz", "summary.json", "run.json"])
@pytest.mark.parametrize("damage", DAMAGE)
def test_a_changed_file_is_named(saved: Path, file: str, damage: str) -> None:
    path = saved / file
    path.write_bytes(DAMAGE[damage](path.read_bytes()))
    with pytest.raises(RunError, match=rf"run is damaged: {re.escape(file)} "):
        load_run(saved)


@pytest.mark.parametrize("file", ["counts.npz", "summary.json"])
def test_a_missing_file_is_named(saved: Path, file: str) -> None:
    (saved / file).unlink()
    with pytest.raises(RunError, match=rf"run is damaged: {re.escape(file)} is missing"):
        load_run(saved)


@pytest.mark.parametrize("text", ["[1, 2]", "null", '"run"', "{", "[" * 5000, '{"a": 1, "a": 2}'])
def test_a_description_of_another_form_is_damaged(saved: Path, text: str) -> None:
    (saved / "run.json").write_text(text)
    with pytest.raises(RunError, match=r"damaged: run\.json (is not a JSON object|is not valid|nests|has the key)"):
        load_run(saved)


def test_an_edited_description_is_noticed(saved: Path) -> None:
    described = json.loads((saved / "run.json").read_text())
    described["facts"]["checkpoint"]["name"] = "another"
    (saved / "run.json").write_text(json.dumps(described))
    with pytest.raises(RunError, match=r"damaged: run\.json was changed"):
        load_run(saved)


@pytest.mark.parametrize("resealed", [True, False])
def test_a_newer_format_is_refused_as_such(saved: Path, resealed: bool) -> None:
    described = {**json.loads((saved / "run.json").read_text()), "format": 2}
    del described["seal"]
    (saved / "run.json").write_text(json.dumps(sealed(described) if resealed else described))
    with pytest.raises(RunError, match="is a run of format 2, newer than this program's 1; upgrade"):
        load_run(saved)


def test_what_is_no_run_is_refused(tmp_path: Path) -> None:
    with pytest.raises(RunError, match=r"is not a saved run: it has no run\.json"):
        load_run(tmp_path)


FACTS = {"checkpoint": {"name": "a, b"}, "dataset": {"name": "toy", "images": 5}}


def test_a_report_comes_back_and_is_no_evaluation(saved: Path, tmp_path: Path) -> None:
    save_report("comparison", {"title": "x", "rows": [1, None]}, FACTS, tmp_path / "cmp", {"a/b": b"c"})
    assert load_report(tmp_path / "cmp", "comparison") == {"title": "x", "rows": [1, None]}
    with pytest.raises(RunError, match="cmp is a saved comparison; expected a saved evaluation"):
        load_run(tmp_path / "cmp")
    with pytest.raises(RunError, match="run is a saved evaluation; expected a saved comparison"):
        load_report(saved, "comparison")
    (tmp_path / "cmp" / "a" / "b").write_bytes(b"d")
    with pytest.raises(RunError, match="damaged: a/b was changed"):
        load_report(tmp_path / "cmp", "comparison")


@pytest.mark.parametrize("file", [0, 1, 2])
def test_a_save_that_fails_leaves_nothing(
    run: Evaluation, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, file: int
) -> None:
    written, write = [], runs.write_atomically

    def full_disk(path: Path, data: bytes) -> None:
        if len(written) == file:
            raise OSError(28, "No space left on device")
        written.append(path)
        write(path, data)

    monkeypatch.setattr(runs, "write_atomically", full_disk)
    with pytest.raises(RunError, match="run cannot be written: No space left on device; choose another --save"):
        save_run(run, tmp_path / "run", "{}")
    assert len(written) == file
    assert list(tmp_path.iterdir()) == []


def test_an_interrupted_save_leaves_nothing(run: Evaluation, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(path: Path, data: bytes) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(runs, "write_atomically", interrupted)
    with pytest.raises(KeyboardInterrupt):
        save_run(run, tmp_path / "run", "{}")
    assert list(tmp_path.iterdir()) == []


def test_nothing_is_written_over(run: Evaluation, saved: Path, tmp_path: Path) -> None:
    before = (saved / "run.json").read_bytes()
    with pytest.raises(RunError, match="run exists; choose another name, or remove it"):
        save_run(run, saved, "{}")
    assert (saved / "run.json").read_bytes() == before
    (tmp_path / "file").write_text("")
    with pytest.raises(RunError, match="exists; choose another name"):
        refuse_existing(tmp_path / "file")
    with pytest.raises(RunError, match="cannot be written"):
        save_run(run, tmp_path / "file" / "run", "{}")


def test_joined_parts_are_the_whole(run: Evaluation) -> None:
    assert_same(
        joined([select(run, [0, 1]), select(run, [2]), select(run, [3, 4])]), replace(run, skipped=run.skipped * 3)
    )


def test_the_other_encoding_is_joined_where_all_parts_have_it(run: Evaluation) -> None:
    whole = replace(run, alternative=run.confusion)
    parts = [select(whole, [2, 0]), select(whole, [1])]
    found = joined(parts).alternative
    assert found is not None
    assert [found.dense(i).tolist() for i in range(3)] == [run.confusion.dense(i).tolist() for i in (2, 0, 1)]
    assert joined([parts[0], replace(parts[1], alternative=None)]).alternative is None


def test_select_takes_images_in_the_order_asked_for(run: Evaluation) -> None:
    chosen = select(run, [3, 0])
    assert chosen.names == ("i3", "i0")
    assert chosen.label_hashes == (run.label_hashes[3], run.label_hashes[0])
    assert chosen.values["ce"].tolist() == [1.0, 0.5]
    for new, old in enumerate((3, 0)):
        assert np.array_equal(chosen.confusion.dense(new), run.confusion.dense(old))
    maps = truth(5)
    alone = evaluation([maps[3], maps[0]], [noisy(maps, 0.3, 1)[i] for i in (3, 0)])
    assert alone.boundary is not None
    assert chosen.boundary is not None
    expected = alone.boundary.to_arrays()
    assert all(np.array_equal(array, expected[name]) for name, array in chosen.boundary.to_arrays().items())
    assert select(run, []).images == 0


# edited by somebody who knows how to seal it


def edited(saved: Path, edit: Callable[[dict[str, Any]], object]) -> None:
    """Change the description and seal it again."""
    described = json.loads((saved / "run.json").read_text())
    described.pop("seal")
    edit(described)
    (saved / "run.json").write_text(json.dumps(sealed(described)))


def recounted(saved: Path, edit: Callable[[dict[str, np.ndarray]], object]) -> None:
    """Change the counts, and the description to fit."""
    with np.load(saved / "counts.npz") as file:
        arrays = dict(file)
    edit(arrays)
    (saved / "counts.npz").write_bytes(runs.npz(arrays.items()))
    digest = hashlib.sha256((saved / "counts.npz").read_bytes()).hexdigest()
    edited(saved, lambda described: described["files"].update({"counts.npz": digest}))


LIMITS = {"image": 2, "label": 4, "predicted": 4, "pixels": 1 << 62}
"""Beyond the entries of the confusion counts of two images and three classes, void and foreign ones among them."""


@pytest.mark.parametrize("name", LIMITS)
def test_entries_of_counts_are_in_their_range(name: str) -> None:
    labels = LabelSet("abc", ("a", "b", "c"), ((0,), (1,), (2,)))
    counts = {column: np.array([0, 1, 1]) for column in LIMITS}
    whole = {"classes": np.array(3), "names": np.array(["x", "y"]), "label_hashes": np.array(["1", "2"])}
    whole |= {"sizes": np.full((2, 2), 8), **counts}
    check_counts({**whole, name: np.array([0, 1, LIMITS[name] - 1])}, labels)
    check_counts({**whole, **{column: np.zeros(0, int) for column in LIMITS}}, labels)
    for wrong in (LIMITS[name], -1):
        with pytest.raises(RunError, match=f"holds {name} outside its range; evaluate again"):
            check_counts({**whole, name: np.array([0, 1, wrong])}, labels)


DESCRIPTIONS: dict[str, Callable[[dict[str, Any]], object]] = {
    "has no 'kind'": lambda d: d.pop("kind"),
    "'kind' is 5, but must be text": lambda d: d.update(kind=5),
    "'written' is None": lambda d: d.update(written=None),
    "has no 'facts'": lambda d: d.pop("facts"),
    "'facts': 'checkpoint' has no 'name'": lambda d: d["facts"].update(checkpoint={}),
    "'facts': 'dataset': 'images' is 1.5": lambda d: d["facts"]["dataset"].update(images=1.5),
    "'measures': 'tolerances' is 3": lambda d: d["facts"]["measures"].update(tolerances=3),
    r"'notes'\[0\] is 5": lambda d: d.update(notes=[5]),
    "has no 'reason'": lambda d: d.update(skipped=[{"name": "x"}]),
    "its label set has no 'codes'": lambda d: d["labels"].pop("codes"),
    "3 classes but 1 code": lambda d: d["labels"].update(codes=[[0]]),
    "a class without codes": lambda d: d["labels"].update(codes=[[0], [1], []]),
    "an encoding or a colour that is none": lambda d: d["labels"].update(encoding="x"),
    "it has no counts": lambda d: d["files"].pop("counts.npz"),
    "names '../run.json', a file outside": lambda d: d["files"].update({"../run.json": "0"}),
    "names '/etc/passwd', a file outside": lambda d: d["files"].update({"/etc/passwd": "0"}),
}


@pytest.mark.parametrize("message", DESCRIPTIONS)
def test_an_edited_description_is_refused_with_its_place(saved: Path, message: str) -> None:
    edited(saved, DESCRIPTIONS[message])
    with pytest.raises(SegablateError, match=f"run is damaged: .*{message}"):
        load_run(saved)


COUNTS: dict[str, Callable[[dict[str, np.ndarray]], object]] = {
    "has no array 'names'": lambda a: a.pop("names"),
    "has no array 'pixels'": lambda a: a.pop("pixels"),
    "holds pixels outside its range": lambda a: a.update(pixels=-a["pixels"]),
    "holds label outside its range": lambda a: a.update(label=a["label"] + 99),
    "holds image outside its range": lambda a: a.update(image=a["image"] + 99),
    "holds predicted as float64": lambda a: a.update(predicted=a["predicted"] * 1.0),
    r"holds label as uint8 of shape \d+, but": lambda a: a.update(label=a["label"][1:]),
    r"holds sizes as int32 of shape 5x1": lambda a: a.update(sizes=a["sizes"][:, :1]),
    "holds classes outside its range": lambda a: a.update(classes=a["classes"] + 1),
    "holds value_ce as <U3": lambda a: a.update(value_ce=np.array(["abc"] * 5)),
    "holds tally_bins as int64 of shape 4x2x3": lambda a: a.update(tally_bins=a["tally_bins"][1:]),
    "holds tally_bands as int64 of shape 5x7": lambda a: a.update(tally_bands=np.zeros((5, 7), np.int64)),
    "holds names as float64": lambda a: a.update(names=np.zeros(5)),
    "holds an image twice": lambda a: a.update(names=np.array(["a"] * 5)),
    "holds label_hashes as <U1 of shape 3": lambda a: a.update(label_hashes=np.array(["a"] * 3)),
    "lacks a part of the counts of calibration": lambda a: a.update(tally_reliability=np.zeros((5, 3, 15, 3))),
    "lacks a part of the counts in trimaps": lambda a: a.update(tally_trimap=np.zeros((5, 2, 3, 3))),
    "boundary counts lack reach": lambda a: a.pop("boundary_reach"),
    "boundary counts do not fit": lambda a: a.update(boundary_pixels=-a["boundary_pixels"]),
    "boundary counts are damaged": lambda a: a.update(boundary_side=a["boundary_side"][1:]),
}


def test_more_pixels_than_sums_can_hold_are_refused(saved: Path) -> None:
    recounted(saved, lambda a: a.update(pixels=np.full(a["pixels"].shape, 1 << 62)))
    with pytest.raises(RunError, match="holds pixels outside its range"):
        load_run(saved)


@pytest.mark.parametrize("message", COUNTS)
def test_edited_counts_are_refused_with_their_name(saved: Path, message: str) -> None:
    recounted(saved, COUNTS[message])
    with pytest.raises(RunError, match=f"run is damaged: .*{message}"):
        load_run(saved)


def test_counts_that_are_no_archive_are_refused(saved: Path) -> None:
    (saved / "counts.npz").write_bytes(b"hello")
    edited(saved, lambda d: d["files"].update({"counts.npz": hashlib.sha256(b"hello").hexdigest()}))
    with pytest.raises(SegablateError, match=r"run is damaged: not a whole \.npz file"):
        load_run(saved)


REPORT: dict[str, Any] = to_plain(
    Report(
        "x",
        (("dataset", "toy"),),
        (
            Table(
                "t",
                "T",
                (Column("a", "A", "share"), Column("b", "B", "interval"), Column("c", "C", "swatch")),
                ({"a": 0.5, "b": (0.1, 0.2), "c": (1, 2, 3)},),
            ),
        ),
    )
)
REPORTS: dict[str, Callable[[dict[str, Any]], object]] = {
    "has no 'title'": lambda r: r.pop("title"),
    "'facts'": lambda r: r.update(facts=[["x"]]),
    "'columns' is 5": lambda r: r["tables"][0].update(columns=5),
    "of kind 'x', which is none": lambda r: r["tables"][0]["columns"][0].update(kind="x"),
    "marks an end that is none": lambda r: r["tables"][0]["columns"][0].update(mark="x"),
    "has 99 digits": lambda r: r["tables"][0]["columns"][0].update(digits=99),
    "a cell of column 'a' is 'x', but must be a number": lambda r: r["tables"][0]["rows"][0].update(a="x"),
    "a cell of column 'b' is not 2 numbers": lambda r: r["tables"][0]["rows"][0].update(b=[1]),
    "a cell of column 'c' is not 3 numbers": lambda r: r["tables"][0]["rows"][0].update(c=[1, 2, 999]),
    "keys without a column": lambda r: r["tables"][0]["rows"][0].update(z=1),
    "has 1 rows but marks": lambda r: r["tables"][0].update(sections=[7]),
}


def test_a_report_is_read_as_it_was_written() -> None:
    assert to_plain(from_plain(json.loads(json.dumps(REPORT)))) == REPORT


@pytest.mark.parametrize("message", ["", *REPORTS])
def test_an_edited_report_is_refused(message: str) -> None:
    edited: Any = json.loads(json.dumps(REPORT))
    if not message:
        edited = [edited]
    else:
        REPORTS[message](edited)
    with pytest.raises(RunError, match=f"the saved report is damaged: .*{message}"):
        from_plain(edited)
