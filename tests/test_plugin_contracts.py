"""What is checked of a loss, a layout or a source that another package brings, and how its names are judged."""

import pickle
import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from importlib import import_module
from importlib.metadata import EntryPoint
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from segablate import plugins
from segablate.checkpoints import Loading, Source
from segablate.checkpoints.network import prepared
from segablate.checkpoints.plugin_sources import load_source
from segablate.datasets import Dataset, Item, Layout
from segablate.datasets.dataset import ImageAndLabelFiles
from segablate.datasets.plugin_layouts import load_layout
from segablate.errors import DatasetError, UserCodeError
from segablate.evaluation import identity
from segablate.images.pictures import Reading
from segablate.labels import LabelSet
from segablate.losses import get_loss
from segablate.objective import catalogue, loss
from segablate.objective.plugins import load_loss
from segablate.objective.weighted_sum import Objective, WeightedTerm
from segablate.plugins import Kind, Plugin
from segablate.training.identity import packages_of

LABELS = LabelSet("toy", ("left", "right"), ((0,), (1,)), void=(255,))
DATASET = Dataset("any", "any", "val", LABELS, (Item("a", Path("a.png"), Path("a.label.png")),))


def plugin(kind: Kind, found: Any, name: str = "toy") -> Plugin:
    """An entry point that leads to an object."""
    return Plugin(kind, name, "tiny", "1.2", SimpleNamespace(load=lambda: found, value="tiny.toy"))  # type: ignore[arg-type]


def entry(name: str, package: str) -> Any:
    return SimpleNamespace(
        name=name, value=f"{package}:x", group="segablate.sources", dist=SimpleNamespace(name=package, version="1")
    )


@pytest.fixture
def entries(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[Any]]:
    """The entry points that packages have."""
    found: list[Any] = []
    caches = (plugins.plugins, plugins.left_out, plugins._judged)
    monkeypatch.setattr(plugins, "entry_points", lambda group: found)
    for each in caches:
        each.cache_clear()
    yield found
    for each in caches:
        each.cache_clear()


def test_names_of_the_program_and_of_earlier_packages_are_taken(entries: list[Any]) -> None:
    entries += [entry("two", "beta"), entry("two", "alpha"), entry("hf", "alpha"), entry("c", "alpha")]
    assert {name: each.package for name, each in plugins.plugins("source", ("hf",)).items()} == {"two": "alpha"}
    assert plugins.left_out("source", ("hf",)) == (
        "source 'c' of package alpha is left out: the name of a source has two or more letters, digits, _ or -",
        "source 'hf' of package alpha is left out: the name belongs to segablate",
        "source 'two' of package beta is left out: the name belongs to package alpha",
    )


def test_a_loss_is_named_as_formulas_name_it(entries: list[Any]) -> None:
    entries += [entry("two-words", "alpha"), entry("two_words", "alpha"), entry("x", "alpha")]
    assert list(plugins.plugins("loss", ())) == ["two_words", "x"]
    assert list(plugins.plugins("layout", ())) == ["two-words", "two_words"]


def test_an_entry_without_a_package_is_of_that_of_its_module(entries: list[Any]) -> None:
    entries += [EntryPoint("two", "beta.x:y", "segablate.sources")]
    (found,) = plugins.plugins("source", ()).values()
    assert (found.package, found.version, str(found)) == ("beta", "", "source 'two' of package beta")


def test_a_damaged_list_of_one_package_leaves_the_others(monkeypatch: pytest.MonkeyPatch) -> None:
    class Damaged:
        @property
        def entry_points(self) -> list[Any]:
            raise TypeError("a line without =")

    def damaged(group: str) -> list[Any]:
        raise TypeError("a line without =")

    other = SimpleNamespace(name="x", value="beta:x", group="console_scripts", dist=None)
    packages = [Damaged(), SimpleNamespace(entry_points=[entry("two", "beta"), other])]
    monkeypatch.setattr(plugins, "entry_points", damaged)
    monkeypatch.setattr(plugins, "distributions", lambda: packages)
    assert [each.name for each in plugins._entries("segablate.sources")] == ["two"]


def test_the_identity_has_the_version_and_every_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    package = tmp_path / "tiny_identity"
    (package / "inner").mkdir(parents=True)
    for name in ("__init__.py", "toy.py", "inner/deep.py"):
        (package / name).write_text("")
    (tmp_path / "tiny_single.py").write_text("")
    monkeypatch.syspath_prepend(str(tmp_path))

    def code(module: str) -> str:
        entry = SimpleNamespace(load=lambda: import_module(module), value=module)
        return plugins.package_of(Plugin("layout", "toy", "tiny", "1.2", entry))  # type: ignore[arg-type]

    first = code("tiny_identity.toy")
    assert re.fullmatch("tiny 1\\.2, code [0-9a-f]{16}", first)
    assert code("tiny_identity.toy") == first
    (package / "inner" / "deep.py").write_text("x = 1\n")
    assert code("tiny_identity.toy") != first
    single = code("tiny_single")
    (package / "toy.py").write_text("x = 2\n")
    assert code("tiny_single") == single, "a module of its own is its file alone"


def test_a_package_that_ends_the_program_is_refused() -> None:
    def leave() -> None:
        raise SystemExit(3)

    left = Plugin("loss", "toy", "tiny", "1", SimpleNamespace(load=leave, value="tiny"))  # type: ignore[arg-type]
    with pytest.raises(UserCodeError, match=r"cannot be loaded: it ends the program \(SystemExit\(3\)\); update"):
        left.load()


def test_losses_are_functions_with_hyperparameters() -> None:
    @loss(paper="a paper", objective="ce + mine")
    def mine(logits, labels):
        """Nothing."""
        return logits.sum()

    found = load_loss(plugin("loss", mine))
    assert (found.name, found.package, found.paper) == ("toy", "tiny", "a paper")
    with pytest.raises(UserCodeError, match=r"loss 'toy' of package tiny is no function: tiny\.toy; update or"):
        load_loss(plugin("loss", 3))
    with pytest.raises(UserCodeError, match=r"has a signature of no loss: .*'power'.*; update or uninstall"):
        load_loss(plugin("loss", lambda logits, labels, *, power: logits.sum()))
    with pytest.raises(UserCodeError, match="has a signature of no loss"):
        load_loss(plugin("loss", dict))


def test_all_losses_are_those_that_load(monkeypatch: pytest.MonkeyPatch) -> None:
    wrecked = Plugin("loss", "wrecked", "tiny", "1", SimpleNamespace(load=lambda: 1 / 0, value="tiny"))  # type: ignore[arg-type]
    monkeypatch.setattr(catalogue, "loss_names", lambda: ("ce", "wrecked"))
    monkeypatch.setattr(catalogue, "plugin_losses", lambda: {"wrecked": wrecked})
    losses, notes = catalogue.loadable_losses()
    assert list(losses) == ["ce"]
    (note,) = notes
    assert note.startswith("loss 'wrecked' of package tiny cannot be loaded: ZeroDivisionError: division by zero (")


def test_runs_and_trainings_are_of_the_code_of_a_package(monkeypatch: pytest.MonkeyPatch) -> None:
    toy = plugin("loss", lambda logits, labels: logits.mean())
    monkeypatch.setattr(identity, "plugin_losses", lambda: {"toy": toy})
    monkeypatch.setattr(identity, "layout_package", lambda name: "tiny 1.2" if name == "any" else "")
    mine, ce = load_loss(toy), get_loss("ce")
    assert identity.loss_packages([ce, mine]) == {"loss toy": toy.package + " " + toy.code}
    objective = Objective((WeightedTerm(1.0, ce), WeightedTerm(0.5, mine)))
    packages = {"layout any": "tiny 1.2", "loss toy": f"tiny {toy.code}", "network": "tiny 1.2"}
    assert packages_of(DATASET, [objective], "tiny 1.2") == packages
    own = replace(DATASET, layout="folder")
    assert packages_of(own, [Objective((WeightedTerm(1.0, ce),))], "") == {}, "identities stay as they were"


def layout(**changes: Any) -> Any:
    """A layout whose parts are given."""
    parts = {
        "LAYOUT": Layout((LABELS,), "files"),
        "splits": lambda root: ["val"],
        "open_split": lambda root, split: DATASET,
        "__doc__": "Toys.",
        **changes,
    }
    return SimpleNamespace(**parts)


def test_layouts_open_as_what_they_are_called() -> None:
    asked: list[Any] = []

    def open_split(root: Path, split: str | None) -> Dataset:
        asked.append((root, split))
        return DATASET

    found = load_layout(plugin("layout", layout(open_split=open_split)))
    opened = found.open_split(Path("/data"), "val")
    assert asked == [(Path("/data"), "val")]
    assert (opened.spec, opened.layout) == ("toy:/data", "toy")
    assert opened.items == DATASET.items
    assert (found.splits(Path("/data")), found.__doc__, found.LAYOUT.expects) == (["val"], "Toys.", "files")


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"LAYOUT": "files"}, r"is no layout: tiny\.toy has no LAYOUT of segablate's Layout; update"),
        ({"splits": None}, r"is no layout: tiny\.toy has no function splits; update"),
        ({"open_split": ["val"]}, r"is no layout: tiny\.toy has no function open_split; update"),
    ],
)
def test_what_is_no_layout_is_refused(changes: dict[str, Any], said: str) -> None:
    with pytest.raises(UserCodeError, match=f"layout 'toy' of package tiny {said}"):
        load_layout(plugin("layout", layout(**changes)))


@pytest.mark.parametrize(
    ("opened", "said"),
    [
        (None, "opens NoneType; open_split must return a segablate Dataset"),
        (replace(DATASET, items=()), r"finds no items in split 'val' of /data; is it the right folder\?"),
        (replace(DATASET, source=object()), "reads items by object, which must be a dataclass"),  # type: ignore[arg-type]
    ],
)
def test_a_layout_that_opens_something_else_is_refused(opened: Any, said: str) -> None:
    with pytest.raises(UserCodeError, match=f"layout 'toy' of package tiny {said}"):
        load_layout(plugin("layout", layout(open_split=lambda root, split: opened))).open_split(Path("/data"))


def test_errors_of_a_layout_keep_their_words_and_others_name_the_package(capsys: pytest.CaptureFixture[str]) -> None:
    def fail(root: Path) -> list[str]:
        print("a line of a third party")
        raise KeyError("x")

    def refuse(root: Path, split: str | None) -> Dataset:
        raise DatasetError("no such tiles; unpack them")

    found = load_layout(plugin("layout", layout(splits=fail, open_split=refuse)))
    with pytest.raises(UserCodeError, match=r"layout 'toy' of package tiny raises KeyError: 'x' \(.*; report it to"):
        found.splits(Path())
    assert capsys.readouterr() == ("", "a line of a third party\n")
    with pytest.raises(DatasetError, match=r"^no such tiles; unpack them$"):
        found.open_split(Path())
    with pytest.raises(UserCodeError, match="has splits 'val', but must return a list of names"):
        load_layout(plugin("layout", layout(splits=lambda root: "val"))).splits(Path())


@dataclass(frozen=True)
class Own(ImageAndLabelFiles):
    """A reader of a third party."""

    def image(self, item: Item, reading: Reading) -> Any:
        print(f"{item.name} in {reading.bands} bands")
        return 1 / 0

    def labels(self, item: Item, reading: Reading) -> Any:
        raise DatasetError(f"{item.labels}: no such file of {reading.bands} bands")


def test_a_reader_of_its_own_reads_in_any_process(capsys: pytest.CaptureFixture[str]) -> None:
    opened = load_layout(plugin("layout", layout(open_split=lambda root, split: replace(DATASET, source=Own()))))
    found = pickle.loads(pickle.dumps(opened.open_split(Path())))
    with pytest.raises(UserCodeError, match="layout 'toy' of package tiny raises ZeroDivisionError: division by zero"):
        found.source.image(found.items[0], found.reading)
    assert capsys.readouterr() == ("", "a in 3 bands\n")
    with pytest.raises(DatasetError, match=r"^a\.label\.png: no such file of 3 bands$"):
        found.read(0)
    plain = load_layout(plugin("layout", layout())).open_split(Path())
    assert plain.source == ImageAndLabelFiles()


def source(**changes: Any) -> Any:
    """A source whose parts are given."""

    def open_source(rest: str, loading: Loading) -> Any:
        return prepared(torch.nn.Conv2d(3, 2, 1), Source("another:name", by_files=True), loading)

    return SimpleNamespace(**{"open_source": open_source, "__doc__": "Toys: ``toy:NAME``.", **changes})


def test_a_checkpoint_is_named_as_written_and_states_its_package() -> None:
    found = load_source(plugin("source", source()))
    opened = found.open_source("x", Loading(device="cpu")).source
    assert opened.spec == "toy:x"
    assert opened.facts["package"].startswith("tiny 1.2, code ")
    assert not opened.by_files, "its code decides it too"
    assert (found.defines("open_new"), found.defines("code_files")) == (False, False)
    assert found.docstring == "Toys: ``toy:NAME``."
    assert load_source(plugin("source", source(__doc__=None))).docstring == ""

    def open_new(rest: str, loading: Loading, classes: int) -> Any:
        return prepared(torch.nn.Conv2d(3, classes, 1), Source(f"toy:{rest}"), loading)

    more = load_source(plugin("source", source(open_new=open_new, code_files=lambda rest, loading: [rest])))
    assert more.open_new("y", Loading(device="cpu"), 5).module.out_channels == 5  # type: ignore[attr-defined]
    assert (more.defines("open_new"), more.defines("code_files")) == (True, True)
    assert more.code_files("a.pt", Loading()) == (Path("a.pt"),)


@pytest.mark.parametrize("opened", [None, torch.nn.Conv2d(3, 2, 1), SimpleNamespace(source=Source("x"))])
def test_what_is_no_segmenter_is_refused(opened: Any) -> None:
    found = load_source(plugin("source", source(open_source=lambda rest, loading: opened)))
    said = rf"source 'toy' of package tiny returns {type(opened).__name__}; it must return a segmenter, as of"
    with pytest.raises(UserCodeError, match=said):
        found.open_source("x", Loading(device="cpu"))


def test_a_source_that_fails_names_its_package() -> None:
    found = load_source(plugin("source", source(open_source=lambda rest, loading: 1 / 0)))
    with pytest.raises(UserCodeError, match="source 'toy' of package tiny raises ZeroDivisionError: division by zero"):
        found.open_source("x", Loading(device="cpu"))


def test_what_is_no_source_is_refused() -> None:
    with pytest.raises(UserCodeError, match=r"is no source: tiny\.toy has no function open_source; update"):
        load_source(plugin("source", source(open_source=None)))
