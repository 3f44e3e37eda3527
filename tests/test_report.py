"""``segablate report`` and ``--report``: what is in a page, and what is not."""

import base64
import hashlib
import io
import json
import os
import re
import shutil
from collections.abc import Callable
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import yaml
from conftest import NETWORK, scene, write_dataset
from PIL import Image

from segablate.cli import run
from segablate.evaluation.results import load_run, save_run

HOSTILE = ('</script><script>alert("c")</script>', "<img src=x onerror=alert(1)>", "a & b {{ 7*7 }}", '" onload="x')
"""Class names with markup in them."""

Command = Callable[..., str]


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A dataset of eight images, and two folders of predictions."""
    monkeypatch.chdir(tmp_path)
    write_dataset(tmp_path / "toy", 8)
    predictions(tmp_path, "good", 0.1)
    predictions(tmp_path, "poor", 0.4)
    return tmp_path


def predictions(place: Path, name: str, share: float, prefix: str = "s") -> None:
    (place / name).mkdir()
    rng = np.random.default_rng(int(100 * share))
    for index in range(8):
        labels = scene(index)[1] % 4
        wrong = np.where(rng.random(labels.shape) < share, (labels + 1) % 4, labels)
        wrong[0, :3] = 77  # no class
        cv2.imwrite(str(place / name / f"{prefix}{index}.png"), wrong)


@pytest.fixture
def command(place: Path, capsys: pytest.CaptureFixture[str]) -> Command:
    """Run the program and return what it prints, on standard error with `code` or `err`."""

    def call(*words: str, code: int = 0, err: bool = False) -> str:
        found = run(list(words))
        printed = capsys.readouterr()
        assert found == code, printed.err
        return printed.err if code or err else printed.out

    return call


class Parsed(HTMLParser):
    """Elements, texts, ids, links and JSON of a page."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.texts: list[str] = []
        self.scripts: list[str] = []
        self.styles: list[str] = []
        self._inside = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        self._inside = tag
        if tag in ("script", "style"):
            (self.scripts if tag == "script" else self.styles).append("")

    def handle_endtag(self, tag: str) -> None:
        self._inside = ""

    def handle_data(self, data: str) -> None:
        if self._inside == "script":
            self.scripts[-1] += data
        elif self._inside == "style":
            self.styles[-1] += data
        elif data.strip():
            self.texts.append(data.strip())

    def attributes(self, name: str) -> list[str]:
        return [value for _, attributes in self.tags if (value := attributes.get(name)) is not None]

    @property
    def about(self) -> dict[str, Any]:
        return json.loads(self.scripts[0])

    def picture(self, index: int) -> dict[str, Any]:
        places = [a.get("id") for tag, a in self.tags if tag == "script"]
        return json.loads(self.scripts[places.index(f"data-{index}")])


def page(path: str = "report.html") -> Parsed:
    return Parsed(Path(path).read_text(encoding="utf-8"))


def pixels(url: str) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(url.partition(",")[2]))))


def saved(command: Command, name: str, *options: str) -> str:
    command("evaluate", f"predictions:{name}", "folder:toy", "--save", f"runs/{name}", *options)
    return f"runs/{name}"


def test_a_page_has_the_sections_of_an_evaluation_in_order(command):
    assert command("report", saved(command, "good")) == "report.html written\n"
    found = page()
    sections = [a["id"] for tag, a in found.tags if tag == "section"]
    assert sections[:5] == ["overall", "classes", "matrix", "curve", "image_scores"]
    assert sections.index("pictures") < sections.index("image_level") < sections.index("provenance")
    text = " ".join(found.texts)
    assert "predictions:good on folder:toy" in text
    assert re.search(r"mIoU \d\d\.\d\d % \(95 % CI [\d.]+ to [\d.]+\), over 4 classes labelled or predicted\.", text)
    assert "void pixels are ignored" in text
    assert "segablate evaluate predictions:good folder:toy --save runs/good" in text
    assert "segablate report runs/good" in text


def test_each_embedded_map_is_that_of_its_file_and_wrong_as_often_as_the_run_counted(command):
    run_folder = Path(saved(command, "poor"))
    command("report", str(run_folder))
    found, counted = page(), load_run(run_folder)
    assert len(found.about["images"]) == 8
    for index, image in found.about["images"].items():
        data = found.picture(int(index))
        stored = scene(int(image["name"][1:]))
        labels, predicted = pixels(data["labels"]), pixels(data["maps"][0])
        assert Image.open(io.BytesIO(base64.b64decode(data["labels"].partition(",")[2]))).mode == "P"
        assert np.array_equal(labels, np.minimum(stored[1], 4))
        written = cv2.imread(f"poor/{image['name']}.png", cv2.IMREAD_UNCHANGED)
        assert np.array_equal(predicted, np.where(written < 4, written, 4))
        table = counted.confusion.dense(int(index))
        wrong = int(table[:-1].sum() - np.trace(table[:-1, :-1]))
        assert image["wrong"] == [wrong]
        assert ((labels < 4) & (labels != predicted)).sum() == wrong > 0
        assert image["labelled"] == (labels < 4).sum()
        photo = pixels(data["image"]).astype(int)
        assert np.abs(photo - stored[0]).mean() < 25  # WebP, of noise
        assert image["size"] == [32, 24]


def test_only_the_images_asked_for_are_embedded_and_the_page_says_which(command):
    folder = saved(command, "poor")
    command("report", folder, "--images", "3")
    found = page()
    assert len(found.about["images"]) == 3
    said = next(text for text in found.texts if text.startswith("Embedded: "))
    assert said.startswith("Embedded: 3 of 8 images: in turns those with the lowest mIoU, the worst of each class")
    assert "--images all" in said
    counted = load_run(Path(folder))
    tables = [counted.confusion.dense(i)[:-1, :-1] for i in range(8)]
    scores = [np.mean(np.diag(t) / (t.sum(0) + t.sum(1) - np.diag(t))) for t in tables]
    worst = found.about["lists"][0]
    assert worst["title"] == "Lowest mIoU"
    assert worst["images"][0] == int(np.argmin(scores))


def test_all_images_are_scripts_in_a_folder(command):
    folder = saved(command, "good")
    assert command("report", folder, "--images", "all") == "report/index.html written\n"
    found = page("report/index.html")
    assert found.about["folder"] is True
    assert len(list(Path("report/pictures").iterdir())) == len(found.about["images"]) == 8
    text = Path("report/pictures/5.js").read_text()
    data = json.loads(text.removeprefix("segablatePicture(5,").removesuffix(");\n"))
    assert np.array_equal(pixels(data["labels"]), np.minimum(scene(5)[1], 4))
    assert "report exists" in command("report", folder, "--images", "all", code=1)
    assert "writes a folder" in command("report", folder, "--images", "all", "-o", "x.html", code=2)


def test_no_images_leave_tables_and_charts(command):
    command("report", saved(command, "good"), "--images", "0")
    assert "pictures" not in page().attributes("id")
    assert "matrix" in page().attributes("id")


def test_the_policy_allows_the_one_script_and_style_and_no_network(command):
    command("report", saved(command, "good"))
    found = page()
    policy = next(a["content"] for tag, a in found.tags if a.get("http-equiv") == "Content-Security-Policy")
    assert policy is not None
    assert policy.startswith("default-src 'none'; ")

    def digest(text: str) -> str:
        return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"

    rules = dict(rule.strip().split(" ", 1) for rule in policy.split(";"))
    assert rules["script-src"] == digest(found.scripts[-1])
    assert rules["style-src"] == digest(found.styles[0])
    assert rules["img-src"] == "data: blob:"
    assert len(found.styles) == 1
    typed = [a.get("type") for tag, a in found.tags if tag == "script"]
    assert typed.count(None) == 1
    assert set(typed) == {None, "application/json"}
    assert found.attributes("style") == []
    assert [name for _, a in found.tags for name in a if name.startswith("on")] == []
    assert [url for url in (*found.attributes("href"), *found.attributes("src")) if not url.startswith("#")] == []


def test_every_link_leads_to_something_on_the_page(command):
    command("report", saved(command, "good"))
    found = page()
    images = {f"#image-{index}" for index in found.about["images"]}
    anchors = {f"#{name}" for name in found.attributes("id")}
    cells = {
        f"#cell-{place}-{label}-{predicted}"
        for image in found.about["images"].values()
        for place, pairs in enumerate(image["cells"])
        for label, predicted, _ in pairs
    }
    assert set(found.attributes("href")) <= images | anchors | cells
    assert len(images & set(found.attributes("href"))) == 8
    ids = found.attributes("id")
    assert len(ids) == len(set(ids))


@pytest.fixture
def hostile(place: Path) -> Path:
    """The dataset with markup in the names of classes and of files."""
    described = yaml.safe_load((place / "toy/dataset.yaml").read_text())
    described["classes"] = [{"name": name, "code": code} for code, name in enumerate(HOSTILE)]
    (place / "toy/dataset.yaml").write_text(yaml.safe_dump(described))
    for folder in ("toy/images/val", "toy/labels/val", "good", "poor"):
        for index in range(8):
            os.rename(place / folder / f"s{index}.png", place / folder / f"<b>s{index}'\"&<script>.png")
    return place


def test_names_with_markup_stay_text(command, hostile):
    for name in ("good", "poor"):
        saved(command, name)
    for words in (["runs/good"], ["runs/good", "runs/poor"]):
        command("report", *words)
        found = page()
        assert [tag for tag, _ in found.tags if tag in ("img", "b")] == ["b"]  # the word Convention
        assert [entry["name"] for entry in found.about["classes"]] == list(HOSTILE)
        text = " ".join(found.texts)
        for name in HOSTILE:
            assert name in text
        assert all(image["name"].startswith("<b>s") for image in found.about["images"].values())
        assert "</script><script>" not in "".join(found.scripts[:-1])
        assert len([tag for tag, _ in found.tags if tag == "script"]) == 2 + len(found.about["images"])


def test_no_absolute_path_user_or_host_is_in_a_page_unless_asked_for(command, place, monkeypatch):
    home = place / "home" / "quentin"
    shutil.copytree(place / "toy", home / "data sets" / "toy")
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setattr("getpass.getuser", lambda: "quentin")
    monkeypatch.setattr("socket.gethostname", lambda: "workhorse")
    (home / "workhorse").mkdir()
    shutil.copytree(place / "good", home / "workhorse" / "good")
    dataset = f"folder:{home}/data sets/toy"
    command("evaluate", f"predictions:{home}/workhorse/good", dataset, "--save", "runs/secret")
    command("evaluate", "predictions:home/quentin/workhorse/good", dataset, "--save", "runs/other")
    command("report", "runs/secret", "runs/other")
    text = Path("report.html").read_text()
    assert str(place) not in text
    assert "quentin" not in text
    assert "workhorse" not in text
    assert "predictions:…/good" in text
    assert "folder:…/toy" in text
    command("report", "runs/secret", "--paths")
    text = Path("report.html").read_text()
    assert f"folder:{home}/data sets/toy" in text
    assert f"predictions:{home}/workhorse/good" in text


def test_images_that_have_moved_are_said_and_found_again(command, place):
    folder = saved(command, "good")
    (place / "toy").rename(place / "elsewhere")
    said = command("report", folder, err=True)
    assert said.startswith("note: images not found: ")
    assert "toy" in said
    assert len(said.splitlines()) == 1
    found = page()
    assert any("images not found" in text for text in found.texts)
    assert found.about["images"] == {}
    assert command("report", folder, "--on", "folder:elsewhere", err=True) == ""
    assert len(page().about["images"]) == 8


def test_a_run_is_found_again_from_another_folder(command, place, monkeypatch):
    folder = place / saved(command, "good")
    (place / "other").mkdir()
    monkeypatch.chdir(place / "other")
    command("report", str(folder))
    assert len(page().about["images"]) == 8


def test_what_changed_since_the_run_is_left_out_and_named(command, place):
    folder = saved(command, "good")
    cv2.imwrite("toy/labels/val/s2.png", np.zeros((24, 32), np.uint8))
    cv2.imwrite("good/s3.png", np.zeros((24, 32), np.uint8))
    (place / "toy/images/val/s4.png").write_bytes(b"no image")
    said = command("report", folder, err=True)
    assert "label map changed since the run: 1 image (s2)" in said
    assert "prediction other than in the run, left out: 1 image (s3)" in said
    assert "image not found or unreadable, label map alone: 1 image (s4)" in said
    found = page()
    names = {image["name"]: int(index) for index, image in found.about["images"].items()}
    assert "s2" not in names
    assert found.picture(names["s3"])["maps"] == [None]
    assert found.picture(names["s4"])["image"] is None
    assert found.picture(names["s4"])["maps"] != [None]


def test_labels_without_images_are_a_page_that_says_so(command, place):
    described = yaml.safe_load((place / "toy/dataset.yaml").read_text())
    described["splits"]["val"] = {"labels": "labels/val"}
    (place / "toy/dataset.yaml").write_text(yaml.safe_dump(described))
    said = command("report", saved(command, "good"), err=True)
    assert "All of the embedded pictures are label maps without their image." in said
    assert page().picture(0)["image"] is None


def test_a_network_is_run_again_on_the_images_of_the_page(command, place):
    (place / "net.py").write_text(NETWORK)
    import torch
    from safetensors.torch import save_file

    torch.manual_seed(0)
    namespace: dict[str, Any] = {}
    exec(NETWORK, namespace)
    save_file(namespace["small"]().state_dict(), place / "w.safetensors")
    spec = "python:net.py:small()@w.safetensors"
    command("evaluate", spec, "folder:toy", "--scale", "1/255", "--save", "runs/net", "--write-predictions", "written")
    command("report", "runs/net")
    found, counted = page(), load_run(Path("runs/net"))
    first = {index: found.picture(int(index))["maps"] for index in found.about["images"]}
    shutil.rmtree("written")
    said = command("report", "runs/net", err=True)
    assert "the folder of --write-predictions is gone; the checkpoint was run again" in said
    again = page()
    assert {index: again.picture(int(index))["maps"] for index in again.about["images"]} == first
    for index, image in again.about["images"].items():
        table = counted.confusion.dense(int(index))
        assert image["wrong"] == [int(table[:-1].sum() - np.trace(table[:-1, :-1]))]
    torch.manual_seed(1)
    save_file(namespace["small"]().state_dict(), place / "w.safetensors")
    said = command("report", "runs/net", err=True)
    assert "no predictions: w.safetensors changed since the run" in said
    assert page().picture(0)["maps"] == [None]


def test_reports_of_commands_are_those_of_the_saved_runs(command):
    command("evaluate", "predictions:good", "folder:toy", "--save", "runs/good", "--report", "now.html")
    command("report", "runs/good", "-o", "later.html")
    now, later = (Path(name).read_text() for name in ("now.html", "later.html"))
    assert now == re.sub(r"<div><dt>page</dt>.*?</div>\n", "", later)
    saved(command, "poor")
    command("compare", "runs/good", "runs/poor", "--save", "runs/both", "--report", "now.html", "--replicates", "300")
    command("report", "runs/both", "-o", "later.html")
    now, later = (Path(name).read_text() for name in ("now.html", "later.html"))
    assert now == re.sub(r"<div><dt>page</dt>.*?</div>\n", "", later)


def test_a_comparison_has_a_verdict_differences_and_lists_of_changed_images(command):
    for name in ("good", "poor"):
        saved(command, name)
    command("report", "runs/good", "runs/poor")
    found = page()
    text = " ".join(found.texts)
    assert "A is better than B in mIoU" in text or "too few" in text
    assert found.about["runs"] == ["A", "B"]
    titles = [each["title"] for each in found.about["lists"]]
    assert "Worse in B" in titles
    assert "IoU of the classes: B − A, with 95 % intervals" in text or "too few" in text
    assert "Confusion matrix of B less that of A, points" in text
    assert all(len(found.picture(int(index))["maps"]) == 2 for index in found.about["images"])


def test_what_makes_no_page_is_refused_in_a_line(command, place):
    good = saved(command, "good")
    assert "is not a saved run" in command("report", "toy", code=1)
    assert "is given twice" in command("report", good, good, code=2)
    assert "must be a number of images, or all" in command("report", good, "--images", "many", code=2)
    assert "must end in .html" in command("report", good, "-o", "page.pdf", code=2)
    assert "must end in .html" in command("evaluate", "predictions:good", "folder:toy", "--report", "x", code=2)
    (place / "x.html").mkdir()
    assert "is a folder" in command("report", good, "-o", "x.html", code=2)
    saved(command, "poor")
    command("compare", good, "runs/poor", "--save", "runs/both", "--replicates", "300")
    assert "several runs must be evaluations" in command("report", good, "runs/both", code=2)


def test_a_page_replaces_an_earlier_page_and_nothing_else(command, place):
    good = saved(command, "good")
    thesis = "<!doctype html><title>segablate: my thesis</title>"
    (place / "report.html").write_text(thesis)
    assert "report.html: exists and is no page of segablate" in command("report", good, code=1)
    assert "is not replaced" in command("report", good, "-o", "report.html", code=1)
    evaluating = ("evaluate", "predictions:good", "folder:toy", "--report", "report.html")
    assert "is not replaced" in command(*evaluating, code=1)
    assert (place / "report.html").read_text() == thesis
    assert command("report", good, "-o", "new.html") == "new.html written\n"
    (place / "new.html").write_text((place / "new.html").read_text() + "<!-- of before -->")
    assert command("report", good, "-o", "new.html") == "new.html written, in place of the page that was there\n"
    assert "<!-- of before" not in (place / "new.html").read_text()


@pytest.mark.parametrize("suffix", ["png", "svg", "pdf"])
def test_a_plot_replaces_an_earlier_plot_and_nothing_else(suffix, place):
    from matplotlib.figure import Figure

    from segablate.files import Unwritable
    from segablate.plots import finish, require_drawing

    path = place / f"plot.{suffix}"
    Figure().savefig(path)
    with pytest.raises(Unwritable, match=f"plot.{suffix}: exists and is no plot of segablate, so it is not replaced"):
        require_drawing(path)
    path.unlink()
    finish(Figure(), path)
    require_drawing(path)
    finish(Figure(), path)


def test_above_255_classes_maps_have_two_channels():
    from segablate.report.pictures import map_url

    indices = np.arange(600, dtype=np.uint16).reshape(20, 30)
    stored = pixels(map_url(indices, 599)).astype(int)
    assert np.array_equal(stored[..., 0] + 256 * stored[..., 1], indices)


def test_classes_without_colours_get_different_ones():
    from segablate.report.pictures import _hues

    found = list(_hues(60))
    assert len(set(found)) == 60
    assert all(re.fullmatch("#[0-9a-f]{6}", colour) for colour in found)


def test_a_run_of_an_older_version_says_what_it_lacks_and_shows_what_it_can(command, place):
    found = load_run(Path(saved(command, "good")))
    save_run(replace(found, facts={k: v for k, v in found.facts.items() if k != "origin"}), Path("old"), "")
    assert "name the dataset, as in --on" in command("report", "old", err=True)
    said = command("report", "old", "--on", "folder:toy", err=True)
    assert "does not say what made them" in said
    found_page = page()
    assert len(found_page.about["images"]) == 8
    assert found_page.picture(0)["maps"] == [None]


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"folder": 3}, "the run is damaged: its origin: 'folder' is 3"),
        ({"options": {"window": 7}}, "the run is damaged: its origin: 'options': 'window' is 7"),
        ({"options": {"window": [7]}}, "no predictions: the run is damaged: its window or stride has not two sides"),
        ({"options": {"flip": {}}}, "'flip' is a mapping"),
        ({"options": {"preprocessing": {"mean": {}}}}, "'mean' is a mapping"),
        ({"options": {"precision": "fp7"}}, ""),
        ({"checkpoint": "nothing:at all"}, "no predictions: "),
        ({"checkpoint": "predictions:\0"}, "no predictions: "),
        ({"predictions": "/nowhere"}, "the folder of --write-predictions is gone"),
        ({"folder": "/nowhere/at/all"}, ""),
        ({"dataset": "folder:\0"}, "images not found: "),
    ],
)
def test_an_origin_that_was_edited_is_a_line_and_no_traceback(command, place, changed, message):
    found = load_run(Path(saved(command, "good")))
    origin = {**found.facts["origin"], **changed}
    save_run(replace(found, facts={**found.facts, "origin": origin}), Path("edited"), "")
    damaged = message.startswith(("the run is damaged", "'"))
    assert message in command("report", "edited", code=1 if damaged else 0, err=True)


def test_trainings_compared_have_a_page_with_a_dot_for_each(command, place):
    for name in ("good", "poor"):
        for seed in (1, 2):
            command("evaluate", f"predictions:{name}", "folder:toy", "--save", f"runs/{name}-{seed}")
    command("compare", "--trainings", "runs/good-*", "runs/poor-*", "--save", "both", "--report", "now.html")
    text = Path("now.html").read_text()
    assert text.count('class="dot seed"') >= 8
    command("report", "both", "-o", "later.html")
    assert re.sub(r"<div><dt>page</dt>.*?</div>\n", "", Path("later.html").read_text()) == text


def test_three_runs_are_one_page(command, place):
    predictions(place, "fair", 0.2)
    names = [saved(command, name) for name in ("good", "poor", "fair")]
    command("report", *names)
    found = page()
    assert found.about["runs"] == ["A", "B", "C"]
    assert [each["title"] for each in found.about["lists"]][1] == "Most different"
    assert all(len(found.picture(int(index))["maps"]) == 3 for index in found.about["images"])
    counted = load_run(Path(names[2]))
    for index, image in found.about["images"].items():
        table = counted.confusion.dense(int(index))
        assert image["wrong"][2] == int(table[:-1].sum() - np.trace(table[:-1, :-1]))


def network(place: Path, outputs: int = 4) -> str:
    """Weights of a small network with this many outputs, and the specification that opens them."""
    import torch
    from safetensors.torch import save_file

    (place / "net.py").write_text(NETWORK)
    torch.manual_seed(0)
    namespace: dict[str, Any] = {}
    exec(NETWORK, namespace)
    save_file(namespace["small"](outputs).state_dict(), place / "w.safetensors")
    return f"python:net.py:small(num_classes={outputs})@w.safetensors"


@pytest.mark.parametrize(
    "options",
    [
        ["--flip"],
        ["--window", "16", "--stride", "8"],
        ["--resize", "12x16", "--channels", "bgr"],
        ["--mean", "0.4,0.5,0.6", "--std", "0.2,0.3,0.4"],
        ["--class-map", "map.yaml"],
        ["--classes", "merged.yaml"],
    ],
    ids=lambda options: options[0].strip("-"),
)
def test_a_network_is_opened_again_with_the_options_of_the_run(command, place, options):
    (place / "map.yaml").write_text("{0: sky, 1: tree, 2: car, 3: road}")
    (place / "merged.yaml").write_text("{ground: [road], things: [car, tree, sky]}")
    command("evaluate", network(place), "folder:toy", *options, "--losses", "none", "--save", "runs/net")
    assert command("report", "runs/net", err=True) == ""
    found = page()
    assert len(found.about["images"]) == 8
    for index, image in found.about["images"].items():
        data = found.picture(int(index))
        labels, predicted = pixels(data["labels"]), pixels(data["maps"][0])
        count = len(found.about["classes"])
        assert [((labels < count) & (labels != predicted)).sum()] == image["wrong"]


def test_the_threshold_of_a_run_is_used_again(command, place):
    for index in range(8):
        cv2.imwrite(f"toy/labels/val/s{index}.png", np.where(scene(index)[1] == 255, 255, scene(index)[1] % 2))
    described = yaml.safe_load((place / "toy/dataset.yaml").read_text())
    described["classes"] = described["classes"][:2]
    (place / "toy/dataset.yaml").write_text(yaml.safe_dump(described))
    spec = network(place, 2)
    wrong = []
    for threshold in ("0.3", "0.7"):
        command("evaluate", spec, "folder:toy", "--threshold", threshold, "--save", threshold)
        assert command("report", threshold, err=True) == ""
        found = page()
        assert all(found.picture(int(index))["maps"] != [None] for index in found.about["images"])
        wrong.append(found.about["images"]["0"]["wrong"])
    assert wrong[0] != wrong[1]


def test_label_maps_of_300_classes_are_embedded_whole(command, place):
    described = yaml.safe_load((place / "toy/dataset.yaml").read_text())
    described["classes"] = [{"name": f"c{i}", "code": i} for i in range(300)]
    described["void"] = [65535]
    (place / "toy/dataset.yaml").write_text(yaml.safe_dump(described))
    rng = np.random.default_rng(0)
    for index in range(8):
        labels = rng.integers(0, 300, (24, 32)).astype(np.uint16)
        labels[0] = 65535
        cv2.imwrite(f"toy/labels/val/s{index}.png", labels)
        cv2.imwrite(
            f"good/s{index}.png", np.where(rng.random(labels.shape) < 0.2, labels // 2, labels).astype(np.uint16)
        )
    command("report", saved(command, "good"))
    found = page()
    for index, image in found.about["images"].items():
        labels, predicted = (
            stored[..., 0] + 256 * stored[..., 1]
            for url in (found.picture(int(index))["labels"], found.picture(int(index))["maps"][0])
            for stored in [pixels(url).astype(int)]
        )
        assert (labels == 300).sum() == 32
        assert [((labels < 300) & (labels != predicted)).sum()] == image["wrong"]
        assert image["wrong"][0] > 50


def test_images_of_another_size_than_their_labels_are_embedded(command, place):
    for index in range(8):
        cv2.imwrite(f"toy/images/val/s{index}.png", cv2.resize(scene(index)[0], (64, 48))[..., ::-1])
    command("evaluate", network(place), "folder:toy", "--losses", "none", "--save", "runs/net")
    assert command("report", "runs/net", err=True) == ""
    found = page()
    assert found.about["images"]["0"]["size"] == [32, 24]
    assert pixels(found.picture(0)["image"]).shape == (48, 64, 3)
    assert found.picture(0)["maps"] != [None]
