"""Pages in a headless Chromium: what can be clicked and typed, what is counted, and that nothing complains."""

import io
import os
import shutil
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest
import yaml
from browsing import Browser, Tab, axe_source, browser  # noqa: F401
from evaluations import evaluation
from PIL import Image
from test_report import HOSTILE, pixels

from segablate.cli import run
from segablate.datasets.sample_files import sample_data
from segablate.labels import LabelSet
from segablate.report.choosing import choose
from segablate.report.making import Making, _page
from segablate.report.page import Pictures
from segablate.report.pictures import _described, colours, image_url, map_url
from segablate.report.subject import evaluated
from segablate.report.writing import html_of

pytestmark = pytest.mark.browser

EXAMPLES = Path(__file__).parents[1] / "examples"
TRAINED = "ablate rmi --radius 1 --train head --steps 2 --seeds 2 --processes 1 --save sweep --report trained.html"
PAGES = ("evaluation", "comparison", "ablation", "trained", "hostile")


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with pages of the sample data: of every kind, and with hostile names."""
    folder = tmp_path_factory.mktemp("pages")
    before = Path.cwd()
    os.chdir(folder)
    try:
        few = ["--limit", "12", "--workers", "0"]
        commands = (
            ["evaluate", "--save", "ce", "--report", "evaluation.html", *few],
            ["evaluate", "sample:weighted", "--save", "weighted", *few],
            ["compare", "ce", "weighted", "--replicates", "500", "--report", "comparison.html"],
            ["ablate", "rmi", "--radius", "1,3", "--no-cost", "--report", "ablation.html", *few],
            [*TRAINED.split(), *few],
            ["report", "ce", "--images", "all", "-o", "everything"],
        )
        for words in commands:
            assert run(words) == 0, words
        make_hostile(folder)
    finally:
        os.chdir(before)
    return folder


def make_hostile(folder: Path) -> None:
    """A page with markup in the names of classes, files and folders: images of the sample data, labels moved aside."""
    place = folder / "<b>data & more"
    described = yaml.safe_load((sample_data() / "dataset.yaml").read_text())
    for entry, name in zip(described["classes"], HOSTILE, strict=False):
        entry["name"] = name
    described["splits"] = {"val": {"images": "images", "labels": "labels"}}
    for kind in ("images", "labels", "<i>found"):
        (place / kind).mkdir(parents=True)
    (place / "dataset.yaml").write_text(yaml.safe_dump(described))
    for image in sorted((sample_data() / "images/val").iterdir())[:6]:
        name = f"<img src=x onerror=alert(2)>{image.stem}"
        shutil.copy(image, place / "images" / f"{name}.jpg")
        labels = np.asarray(Image.open(sample_data() / f"labels/val/{image.stem}.png"))
        cv2.imwrite(str(place / "labels" / f"{name}.png"), labels)
        cv2.imwrite(str(place / "<i>found" / f"{name}.png"), np.roll(labels, 3, axis=1))
    words = ["evaluate", f"predictions:{place}/<i>found", f"folder:{place}", "--workers", "0"]
    assert run([*words, "--report", "hostile.html"]) == 0


@pytest.fixture
def tab(browser: Browser) -> Iterator[Tab]:  # noqa: F811
    """A tab that must have had nothing to complain about, and asked for nothing but files."""
    with browser.tab() as found:
        yield found
        assert found.messages == []
        assert [url for url in found.requests if not url.startswith(("file:", "data:", "blob:"))] == []


@pytest.mark.parametrize("name", PAGES)
def test_the_count_of_wrong_pixels_is_that_of_the_run_for_every_image(pages, tab, name):
    tab.open(pages / f"{name}.html")
    images = tab.about["images"]
    assert len(images) == {"hostile": 6}.get(name, 12)
    for index, image in images.items():
        tab.page.evaluate(f"location.hash = '#image-{index}'")
        tab.settle(image["name"])
        counted, of_run = tab.count()
        assert counted == of_run == image["wrong"]
        assert sum(counted) > 0


def test_pictures_of_a_folder_are_loaded_and_counted(pages, tab):
    tab.open(pages / "everything/index.html")
    for index, image in tab.about["images"].items():
        tab.page.evaluate(f"location.hash = '#image-{index}'")
        tab.settle(image["name"])
        assert tab.count()[0] == image["wrong"]


def test_next_and_previous_by_click_and_by_key(pages, tab):
    tab.open(pages / "evaluation.html")
    names = [tab.about["images"][str(i)]["name"] for i in tab.about["lists"][0]["images"]]
    tab.settle(names[0])
    tab.page.click("#viewer-next")
    tab.settle(names[1])
    tab.page.keyboard.press("ArrowRight")
    tab.settle(names[2])
    tab.page.keyboard.press("ArrowLeft")
    tab.settle(names[1])
    tab.page.click("#viewer-previous")
    tab.settle(names[0])
    tab.page.click("#viewer-previous")
    tab.settle(names[-1])


def test_layers_swipe_and_opacity_change_the_picture_by_click_and_by_key(pages, tab):
    tab.open(pages / "comparison.html")
    layers = tab.page.locator("#viewer-layers input[type=radio]")
    assert layers.count() == 7  # image, labels, two predictions, two errors, both errors
    seen = set()
    for place in range(7):
        tab.page.keyboard.press(str(place + 1))
        assert layers.nth(place).is_checked()
        seen.add(tab.stage())
    assert len(seen) == 7
    layers.nth(2).click()
    whole = tab.stage()
    assert tab.page.locator("#viewer-split").is_hidden()
    tab.page.keyboard.press("s")
    assert tab.page.locator("#viewer-swipe").is_checked()
    half = tab.stage()
    tab.page.locator("#viewer-split").focus()
    tab.page.keyboard.press("End")
    assert half != tab.stage()
    assert tab.page.evaluate("state.split") == 1
    box = tab.page.locator("#viewer-stage").bounding_box()
    tab.page.locator("#viewer-stage").scroll_into_view_if_needed()
    box = tab.page.locator("#viewer-stage").bounding_box()
    tab.page.mouse.click(box["x"] + box["width"] / 4, box["y"] + box["height"] / 2)
    assert tab.page.evaluate("state.split") == pytest.approx(0.25, abs=0.01)
    tab.page.click("#viewer-swipe")
    assert tab.stage() == whole
    tab.page.keyboard.press("-")
    assert tab.stage() != whole


def test_swiping_has_a_on_the_left_and_b_on_the_right(pages, tab):
    tab.open(pages / "comparison.html")
    tab.page.evaluate("setOpacity(1)")
    found = {}
    for key in ("3", "4", "s"):
        tab.page.keyboard.press(key)
        found[key] = pixels(tab.stage())
    middle = found["s"].shape[1] // 2
    assert np.array_equal(found["s"][:, : middle - 2], found["3"][:, : middle - 2])
    assert np.array_equal(found["s"][:, middle + 2 :], found["4"][:, middle + 2 :])
    assert not np.array_equal(found["3"], found["4"])


def test_classes_that_are_off_are_not_painted_and_not_counted(pages, tab):
    tab.open(pages / "evaluation.html")
    tab.page.keyboard.press("2")
    labels = tab.stage()
    tab.page.click("#viewer-no-classes")
    none = tab.stage()
    assert none != labels
    line = tab.page.locator("#viewer-picture-count")
    assert ", 0 of them in this choice" in line.text_content()
    tab.page.keyboard.press("3")  # the prediction
    assert tab.stage() == none
    tab.page.keyboard.press("2")
    assert tab.stage() == none
    tab.page.locator("#viewer-class-2").focus()
    tab.page.keyboard.press("Space")
    index = tab.page.evaluate("current.index")
    pairs = tab.about["images"][str(index)]["cells"][0]
    wrong = sum(pixels for label, predicted, pixels in pairs if label == 2 and predicted != 2)
    assert f", {wrong} of them in this choice".replace(",", "") in line.text_content().replace("\u202f", "").replace(
        ",", ""
    )
    tab.page.click("#viewer-all-classes")
    assert tab.stage() == labels


def test_a_cell_leads_to_the_images_in_which_it_is_largest_by_click_and_by_key(pages, tab):
    tab.open(pages / "evaluation.html")
    images = list(tab.about["images"].values())

    def confused(image: dict, pair: tuple[int, int]) -> int:
        return sum(n for i, j, n in image["cells"][0] if (i, j) == pair)

    pairs = {(i, j) for image in images for i, j, _ in image["cells"][0] if i != j}
    in_most = sorted(pairs, key=lambda pair: -sum(confused(image, pair) > 0 for image in images))
    for (label, predicted), by_key in ((in_most[0], False), (in_most[1], True)):
        ranked = sorted(images, key=lambda image: -confused(image, (label, predicted)))
        assert confused(ranked[0], (label, predicted)) > confused(ranked[2], (label, predicted)) > 0
        link = f"#cell-0-{label}-{predicted}"
        cell = tab.page.locator(f".matrix a[href='{link}']")
        if by_key:
            cell.press("Enter")
        else:
            cell.click()
        tab.settle(ranked[0]["name"])
        text = tab.page.locator("#viewer-picture-count").text_content().replace("\u202f", "")
        assert f"{confused(ranked[0], (label, predicted))} of them in this choice" in text
        assert "predicted as" in tab.page.locator("#viewer-picture-place").text_content()
        assert tab.page.evaluate("document.activeElement.id") == "viewer-picture-name"
        assert tab.page.evaluate("location.hash") == link
        tab.page.keyboard.press("ArrowRight")
        tab.page.keyboard.press("ArrowRight")
        tab.settle()
        assert confused(ranked[2], (label, predicted)) == confused(
            next(image for image in images if image["name"] == tab.on_stage()), (label, predicted)
        )
        tab.page.click("#viewer-clear-pair")
        assert "in this choice" not in tab.page.locator("#viewer-picture-count").text_content()


@pytest.mark.parametrize("where", ["svg.chart a", "table a[href^='#image']", ".gallery a"])
def test_links_to_images_open_them_by_click_and_by_key(pages, tab, where):
    tab.open(pages / "comparison.html")
    for place, press in ((1, lambda link: link.click()), (2, lambda link: link.press("Enter"))):
        link = tab.page.locator(where).nth(place)
        index = link.get_attribute("href").removeprefix("#image-")
        press(link)
        tab.settle(tab.about["images"][index]["name"])
        box = tab.page.locator("#viewer-box").bounding_box()
        assert -2 <= box["y"] < 200


def test_a_link_with_a_fragment_opens_its_image(pages, tab):
    tab.open(pages / "evaluation.html", "#image-5")
    tab.settle(tab.about["images"]["5"]["name"])


def test_tables_are_sorted_by_click_and_by_key(pages, tab):
    tab.open(pages / "evaluation.html")
    head = tab.page.locator("#classes th button").nth(1)

    def column() -> list[float]:
        return [float(text) for text in tab.page.locator("#classes tbody td:nth-child(2)").all_text_contents()]

    before = column()
    head.click()
    assert column() == sorted(before, reverse=True) != before
    head.press("Enter")
    assert column() == sorted(before)
    assert tab.page.locator("#classes th").nth(1).get_attribute("aria-sort") == "ascending"


def test_undefined_cells_are_last_whichever_way_a_column_is_sorted(pages, tab):
    tab.open(pages / "evaluation.html")
    tab.page.evaluate("document.querySelector('#classes tbody td:nth-child(2)').removeAttribute('data-sort')")
    first = tab.page.locator("#classes tbody th").first.text_content()
    for _ in range(2):
        tab.page.locator("#classes th button").nth(1).click()
        assert tab.page.locator("#classes tbody th").last.text_content() == first


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("name", PAGES)
def test_nothing_is_wider_than_a_narrow_screen(pages, browser, name, scheme):  # noqa: F811
    with browser.tab(400, scheme) as tab:
        tab.open(pages / f"{name}.html")
        assert tab.page.evaluate("document.documentElement.scrollWidth") <= 400
        colours = tab.page.evaluate(
            "[getComputedStyle(document.body).backgroundColor, getComputedStyle(document.body).color]"
        )
        assert (colours[0] == "rgb(255, 255, 255)") == (scheme == "light")
        assert tab.messages == []


def test_without_scripts_tables_and_charts_are_there(pages, browser):  # noqa: F811
    with browser.tab(scripts=False) as tab:
        tab.page.goto(f"file://{pages / 'comparison.html'}")
        assert tab.page.locator("#classes tbody tr").count() == 10
        assert tab.page.locator("svg.chart").first.is_visible()
        assert tab.page.get_by_text("The pictures need scripts").is_visible()
        assert not tab.page.locator("#viewer-box").is_visible()


def test_printing_leaves_the_viewer_out(pages, tab):
    tab.open(pages / "evaluation.html")
    tab.page.emulate_media(media="print")
    assert not tab.page.locator("#viewer-box").is_visible()
    assert tab.page.locator("#classes table").is_visible()


CROPPED = """() => [...document.querySelectorAll(".scroll")]
  .filter(box => box.clientWidth && box.scrollWidth > box.clientWidth).map(box => box.getAttribute("aria-label"))"""


@pytest.mark.parametrize("width", [1000, 1400])
@pytest.mark.parametrize("name", ["evaluation", "comparison", "trained"])
def test_tables_move_below_their_charts_where_they_would_be_cropped_beside_them(pages, browser, name, width):  # noqa: F811
    with browser.tab(width) as tab:
        tab.open(pages / f"{name}.html")
        assert tab.page.evaluate(CROPPED) == []


def test_a_table_wider_than_the_screen_has_a_shade_at_the_side_that_can_be_scrolled_to(pages, browser):  # noqa: F811
    with browser.tab(400) as tab:
        tab.open(pages / "comparison.html")
        assert "IoU of the classes" in tab.page.evaluate(CROPPED)
        box = tab.page.locator(".scroll[aria-label='IoU of the classes']")
        before = last_column(box.screenshot())
        box.evaluate("box => { box.scrollLeft = box.scrollWidth }")
        after = last_column(box.screenshot())
        assert before < after - 10


def last_column(picture: bytes) -> float:
    """The mean brightness of the pixels at the right edge of a picture."""
    with Image.open(io.BytesIO(picture)) as image:
        return float(np.asarray(image.convert("L"))[:, -3:].mean())


@pytest.fixture(scope="module")
def axe(tmp_path_factory: pytest.TempPathFactory) -> str:
    """axe-core, in a temporary folder."""
    return axe_source(tmp_path_factory.mktemp("axe"))


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("name", PAGES)
def test_axe_finds_nothing_serious(pages, browser, axe, name, scheme):  # noqa: F811
    with browser.tab(scheme=scheme) as tab:
        tab.open(pages / f"{name}.html")
        tab.page.evaluate(axe)
        found = tab.page.evaluate("axe.run(document, {resultTypes: ['violations']})")
        serious = [
            (each["id"], each["impact"], each["nodes"][0]["html"][:200], each["nodes"][0]["failureSummary"][:300])
            for each in found["violations"]
            if each["impact"] in ("serious", "critical")
        ]
        assert serious == []


def write_large(path: Path, count: int, shown: int) -> Path:
    """Write the page of a run of 19 classes over `count` images, `shown` of them with pictures as large as CamVid's."""
    rng = np.random.default_rng(0)
    labels = LabelSet("many", tuple(f"class {i}" for i in range(19)), tuple((i,) for i in range(19)))
    maps = [rng.integers(0, 19, (18, 24), np.uint8).repeat(20, 0).repeat(20, 1) for _ in range(shown)]
    small = [each[::12, ::12] for each in maps]
    small += [rng.integers(0, 19, (30, 40), np.uint8) for _ in range(count - shown)]
    wrong = [np.where(rng.random(each.shape) < 0.2, (each + 1) % 19, each).astype(np.uint8) for each in small]
    found = evaluation(small, wrong, labels=labels)
    subject = evaluated(found)
    choice = choose([found], shown)
    photo = rng.integers(0, 255, (360, 480, 3), np.uint8)
    url = image_url(photo)
    data = {i: {"image": url, "labels": map_url(maps[0], 19), "maps": [map_url(maps[1], 19)]} for i in choice.images}
    images = {i: _described(i, subject.runs, choice.scores[:, i], (360, 480)) for i in choice.images}
    pictures = Pictures(colours(found), ("",), images, data, choice.lists, (f"{shown} of {count}",))
    path.write_bytes(html_of(_page(subject, Making(path), choice, pictures)))
    return path


LOOP = "(() => { let sum = 0; for (let i = 0; i < 2e7; i++) sum = (sum * 31 + i) % 1000003; return sum; })()"
"""Takes a browser 0.1 s where a page of 50 images opens in 0.35 s, and one of 500 in 0.75 s."""


def test_500_images_of_19_classes_open_at_once(tmp_path, browser):  # noqa: F811
    """Time is measured by that of a loop and of a tenth of the images: machines differ, and are busy."""
    large, tenth = write_large(tmp_path / "large.html", 500, 60), write_large(tmp_path / "tenth.html", 50, 6)
    assert large.stat().st_size > 4_000_000
    times: dict[str, list[float]] = {"large": [], "tenth": [], "loop": []}
    for _ in range(5):
        for path in (large, tenth):
            with browser.tab() as tab:
                times[path.stem].append(seconds(lambda tab=tab, path=path: tab.open(path)))
                times["loop"].append(seconds(lambda tab=tab: tab.page.evaluate(LOOP)))
                assert tab.messages == []
                assert tab.page.locator("#image_scores tbody tr").count() == (500 if path == large else 50)
                assert tab.page.evaluate("decoded.size < KEPT"), "pictures are decoded before they are looked at"
    best = {name: min(each) for name, each in times.items()}
    assert best["tenth"] < 20 * best["loop"], times
    assert best["large"] < 6 * best["tenth"], times


def seconds(function: Callable[[], object]) -> float:
    start = time.perf_counter()
    function()
    return time.perf_counter() - start


@pytest.mark.data
@pytest.mark.timeout(1200)
def test_pages_of_espnet_on_camvid_are_small_and_count_as_the_run(browser, real_data, tmp_path, monkeypatch):  # noqa: F811
    """60 images of the validation set within 4 MB; every count that of the run."""
    monkeypatch.chdir(tmp_path)
    for name in ("espnet.py", "espnet_camvid.yaml"):
        shutil.copy(EXAMPLES / name, tmp_path)
    (tmp_path / "espnet_p_2_q_8_camvid.pth").symlink_to(real_data / "checkpoints/espnet_p_2_q_8_camvid.pth")
    dataset = f"camvid:{real_data}/camvid"
    words = ["evaluate", "espnet_camvid.yaml", dataset, "--trust-code", "--losses", "none", "--no-calibration"]
    assert run([*words, "--save", "plain", "--report", "evaluation.html", "--write-predictions", "predicted"]) == 0
    assert run([*words, "--flip", "--save", "flipped", "--write-predictions", "flipped_maps"]) == 0
    assert run(["compare", "plain", "flipped", "--replicates", "500", "--report", "comparison.html"]) == 0
    ablation = ["ablate", "rmi", "espnet_camvid.yaml", dataset, "--trust-code", "--radius", "3", "--no-gradients"]
    assert run([*ablation, "--no-cost", "--limit", "8", "--report", "ablation.html"]) == 0
    for name, count in (("evaluation", 60), ("comparison", 60), ("ablation", 8)):
        path = tmp_path / f"{name}.html"
        assert path.stat().st_size < 4_000_000, name
        with browser.tab() as tab:
            tab.open(path)
            assert len(tab.about["images"]) == count
            for index, image in tab.about["images"].items():
                tab.page.evaluate(f"location.hash = '#image-{index}'")
                tab.settle(image["name"])
                assert tab.count() == (image["wrong"], image["wrong"])
            assert tab.messages == []
