"""The note on predictions whose classes are in another order: where it is certain, and nowhere else."""

import itertools
from pathlib import Path

import numpy as np
import pytest
from evaluations import evaluation
from nearest import nearest_network, scene
from PIL import Image

from segablate.cli import run
from segablate.labels import LabelSet
from segablate.metrics.permutation import likelier_order
from segablate.tables.evaluation import View, evaluation_report


def table_of(labels: np.ndarray, predicted: np.ndarray, classes: int) -> np.ndarray:
    """Pixels by label and prediction, (C+1, C+1)."""
    table = np.zeros((classes + 1, classes + 1), np.int64)
    np.add.at(table, (labels, predicted), 1)
    return table


def drawn(classes: int, right: float, order: list[int] | None = None, seed: int = 0) -> np.ndarray:
    """A table of 40 000 pixels: `right` of them predicted as labelled, then in this order."""
    rng = np.random.default_rng(seed)
    labels = rng.choice(classes, 40_000, p=rng.dirichlet(np.full(classes, 3.0)))
    predicted = np.where(rng.random(labels.size) < right, labels, rng.integers(0, classes, labels.size))
    return table_of(labels, predicted if order is None else np.asarray(order)[predicted], classes)


def plain_miou(table: np.ndarray, meaning: tuple[int, ...]) -> float:
    """mIoU where prediction p means class meaning[p], in plain loops."""
    ious = []
    for prediction, label in enumerate(meaning):
        hits = table[label, prediction]
        union = table[label].sum() + table[:-1, prediction].sum() - hits
        if union:
            ious.append(hits / union)
    return float(np.mean(ious))


@pytest.mark.parametrize("order", [[1, 0, 2, 3], [1, 2, 3, 0], [3, 2, 1, 0], [0, 3, 1, 2]])
def test_the_best_of_all_orders_is_found(order: list[int]) -> None:
    table = drawn(4, 0.8, order)
    found = likelier_order(table)
    assert found is not None
    scores = {each: plain_miou(table, each) for each in itertools.permutations(range(4))}
    best = max(scores, key=lambda each: scores[each])
    assert found.moved == tuple((old, new) for old, new in enumerate(best) if old != new)
    assert [order[new] for _, new in found.moved] == [old for old, _ in found.moved]
    assert found.other == pytest.approx(scores[best])
    assert found.miou == pytest.approx(scores[0, 1, 2, 3])


@pytest.mark.parametrize(
    ("classes", "order"),
    [(2, [1, 0]), (19, [*range(1, 19), 0]), (19, [*range(17), 18, 17]), (30, [*range(29, -1, -1)])],
    ids=["two exchanged", "all shifted", "a pair of nineteen", "turned round"],
)
def test_orders_that_occur_are_found(classes: int, order: list[int]) -> None:
    found = likelier_order(drawn(classes, 0.9, order))
    assert found is not None
    assert dict(found.moved) == {old: new for new, old in enumerate(order) if old != new}


def test_many_classes_are_each_of_a_small_share() -> None:
    table = np.zeros((801, 801), np.int64)
    table[np.arange(800), np.arange(800)[::-1]] = np.arange(800) + 400
    found = likelier_order(table)
    assert found is not None
    assert len(found.moved) == 800


def test_a_shift_whose_first_class_is_never_predicted_is_found() -> None:
    table = drawn(6, 0.9)
    shifted = np.zeros_like(table)
    shifted[:, :5] = table[:, 1:6]  # a network without background: its output k is class k + 1
    found = likelier_order(shifted)
    assert found is not None
    assert found.moved == tuple((k, k + 1) for k in range(5))
    assert found.other > 2 * found.miou


@pytest.mark.parametrize("right", [0.0, 0.05, 0.3, 0.6, 0.95, 1.0])
@pytest.mark.parametrize("classes", [2, 3, 11, 40])
def test_predictions_in_order_get_no_note(classes: int, right: float) -> None:
    for seed in range(5):
        assert likelier_order(drawn(classes, right, seed=seed)) is None


def test_a_network_that_takes_one_class_for_another_is_not_permuted() -> None:
    """Half of its classes are never predicted, and their pixels are those of others."""
    rng = np.random.default_rng(0)
    labels = rng.choice(8, 40_000)
    assert likelier_order(table_of(labels, labels // 2 * 2, 8)) is None
    assert likelier_order(table_of(labels, np.full_like(labels, 3), 8)) is None
    common = rng.choice(8, 40_000, p=[0.65, 0.05, *[0.05] * 6])
    assert likelier_order(table_of(common, np.where(common < 4, 5, 6), 8)) is None


def test_rare_classes_void_and_pixels_outside_show_nothing() -> None:
    table = drawn(5, 0.9)
    table[3:5] = table[:, 3:5] = 0
    for pixels, found in ((10, False), (1000, True)):  # of 24 000
        table[3, 4] = table[4, 3] = pixels
        assert (likelier_order(table) is not None) == found
    exchanged = np.zeros((3, 3), np.int64)
    exchanged[2, :2] = 10_000  # void
    exchanged[:2, 2] = 10_000  # predicted outside
    assert likelier_order(exchanged) is None
    assert likelier_order(np.zeros((4, 4), np.int64)) is None


def test_one_class_that_is_certain_is_not_enough() -> None:
    """All of the first is predicted as the second, of which half is right."""
    table = np.array([[0, 8000, 0], [1000, 1000, 0], [0, 0, 0]])
    assert likelier_order(table) is None
    table[1, :2] = 1990, 10
    found = likelier_order(table)
    assert found is not None
    assert found.moved == ((0, 1), (1, 0))


@pytest.mark.parametrize(("others", "classes"), [("right", 8), ("random", 12)])
def test_a_chain_of_two_of_many_is_not_enough(others: str, classes: int) -> None:
    """mIoU grows by a quarter, but to less than twice; or to more than twice, but by a sixth."""
    rng = np.random.default_rng(0)
    labels = rng.choice(classes, 40_000)
    drawn_anew = rng.integers(3, classes, labels.size)
    predicted = np.where(labels < 3, drawn_anew, labels if others == "right" else drawn_anew)
    predicted = np.select([labels == 1, labels == 2], [0, 1], predicted)
    assert likelier_order(table_of(labels, predicted, classes)) is None


THREE = LabelSet("three", ("road", "car", "sky"), ((0,), (1,), (2,)))


def test_the_note_names_classes_and_scores() -> None:
    maps = [scene(seed) for seed in range(4)]
    turned = [np.array([0, 2, 1], np.uint8)[each] for each in maps]
    notes = " | ".join(evaluation_report(evaluation(maps, turned, labels=THREE), View()).notes)
    assert "permuted: mapping car -> sky, sky -> car (predicted -> labelled) would give mIoU 100.0 %" in notes
    good = evaluation_report(evaluation(maps, maps, labels=THREE), View()).notes
    assert not any("permuted" in note for note in good)


def written(root: Path) -> str:
    """A set of four scenes, whose codes are 10, 20, 30; its specification."""
    from nearest import COLOURS

    for folder in ("images", "labels", "maps"):
        (root / folder).mkdir(parents=True)
    for index in range(4):
        labels = scene(index)
        Image.fromarray(COLOURS[labels]).save(root / f"images/{index}.png")
        Image.fromarray(10 * labels + 10).save(root / f"labels/{index}.png")
        Image.fromarray(10 * np.array([1, 2, 0], np.uint8)[labels] + 10).save(root / f"maps/{index}.png")
    classes = "[{name: road, code: 10}, {name: car, code: 20}, {name: sky, code: 30}]"
    (root / "dataset.yaml").write_text(
        f"classes: {classes}\nvoid: [255]\nsplits: {{all: {{images: images, labels: labels}}}}\n"
    )
    return f"folder:{root}"


def said(capsys: pytest.CaptureFixture[str], *command: str) -> str:
    assert run([*command, "--no-cache", "--workers", "0"]) == 0
    return " ".join(capsys.readouterr().out.split())


def test_what_the_note_says_to_type_gives_the_score(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data = written(tmp_path / "data")
    maps = f"predictions:{tmp_path / 'data/maps'}"
    found = said(capsys, "evaluate", maps, data, "--format", "json")
    assert "would give mIoU 100.0 %" in found
    change = found.rpartition("?map=")[2].partition("'")[0]
    assert change == "10:30,20:10,30:20"
    assert "mIoU 100.00 %" in said(capsys, "evaluate", f"{maps}?map={change}", data)


def test_a_change_that_makes_all_values_classes_is_said_alone(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    root = tmp_path / "data"
    data = written(root)
    described = root / "dataset.yaml"
    described.write_text(described.read_text().replace("10", "0").replace("20", "1").replace("30", "2"))
    for index in range(4):
        Image.fromarray(scene(index)).save(root / f"labels/{index}.png")
        Image.fromarray(scene(index) + 1).save(root / f"maps/{index}.png")
    found = said(capsys, "evaluate", f"predictions:{root / 'maps'}", data)
    assert "with shift=-1" in found
    assert "permuted" not in found


def test_a_network_in_another_order(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data = written(tmp_path / "data")
    spec = nearest_network(tmp_path / "net", order=(2, 0, 1))
    found = said(capsys, "evaluate", spec, data)
    assert "mapping road -> sky, car -> road, sky -> car (predicted -> labelled) would give mIoU 100.0 %" in found
    assert "pass --class-map FILE" in found
    (tmp_path / "map.yaml").write_text("{0: sky, 1: road, 2: car}")
    right = said(capsys, "evaluate", spec, data, "--class-map", str(tmp_path / "map.yaml"))
    assert "mIoU 100.00 %" in right
    assert "permuted" not in right
    probed = run(["checkpoints", "probe", spec, data])
    assert probed == 0
    assert "Classes look permuted under 0..1 (RGB): mapping road -> sky" in " ".join(capsys.readouterr().out.split())
