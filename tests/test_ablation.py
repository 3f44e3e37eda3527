"""A sweep measures what direct calls of the term give, on one forward pass, and sums it up as defined."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from conftest import write_dataset
from scipy.stats import spearmanr

from segablate.ablation.gradients import MEASURED, gradient_images, gradient_statistics, pixel_regions, pixel_shares
from segablate.ablation.session import costs
from segablate.ablation.sweep import Ablation, Setting, Sweep, plan_settings
from segablate.checkpoints.segmenter import Capabilities, Source
from segablate.datasets import Dataset, open_dataset
from segablate.errors import KnobError, ObjectiveError, SegablateError
from segablate.evaluation.loop import Measures, evaluate
from segablate.losses import Loss, get_loss
from segablate.losses.parts.sharing import shared, sharing
from segablate.metrics.confusion import class_counts, mean_iou
from segablate.metrics.tolerance import Tolerance
from segablate.objective.weighted_sum import parse_objective, published_objective
from segablate.samples import Batch, Output
from segablate.statistics.bootstrap import by_image
from segablate.tables.ablation import ablation_report, agree

CLASSES = 4


def logits_of(labels: np.ndarray) -> torch.Tensor:
    """Scores 1 C H W for labels (H, W): noise of their own, and the label favoured."""
    generator = torch.Generator().manual_seed(int(labels.sum()))
    noise = torch.randn(1, CLASSES, *labels.shape, generator=generator)
    known = torch.from_numpy(np.where(labels == 255, 0, labels)).long()
    return noise + 2 * torch.nn.functional.one_hot(known, CLASSES).permute(2, 0, 1)


@dataclass
class Scripted:
    """A segmenter whose scores depend on the labels alone; it counts the images that it is given."""

    source: Source = field(default_factory=lambda: Source("scripted"))
    classes: None = None
    class_map: None = None
    capabilities: Capabilities = field(default_factory=lambda: Capabilities(images=False))
    images: int = 0

    def for_dataset(self, dataset: Dataset, on_error: str) -> "Scripted":
        return self

    @torch.inference_mode()
    def __call__(self, batch: Batch) -> Output:
        self.images += len(batch.samples)
        return Output("softmax", torch.cat([logits_of(sample.labels) for sample in batch.samples]))


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    return open_dataset(f"folder:{write_dataset(tmp_path_factory.mktemp('sweep') / 'toy', 7, ((24, 32), (25, 31)))}")


def swept(
    data: Dataset,
    name: str,
    given: dict[str, Any],
    gradients: bool = True,
    limit: int | None = None,
    batch_size: int = 4,
) -> tuple[Ablation, Scripted]:
    term = get_loss(name)
    settings, segmenter = plan_settings(term, given), Scripted()
    sweep = Sweep(term, settings, published_objective(term), gradients, gradient_images(len(data), limit))
    run = evaluate(segmenter, data, Measures(tolerances=(Tolerance(3),), probe=sweep), batch_size=batch_size)
    return Ablation(run, term, settings, published_objective(term), {}), segmenter


def texts(term: Loss, given: dict[str, Any], every: bool = False) -> list[str]:
    return [setting.text for setting in plan_settings(term, given, every)]


def test_knobs_given_are_tried_after_the_published_default() -> None:
    rmi = get_loss("rmi")
    assert texts(rmi, {"radius": (3,)}) == ["baseline", "radius=3"]
    assert texts(rmi, {"radius": (1, 2, 3, 3)}) == ["baseline", "radius=1", "radius=2", "radius=3"]
    assert texts(get_loss("cpg"), {"ksize": (3, 5), "width": ("official", 1)}) == [
        "baseline",
        "ksize=3, width=official",
        "ksize=3, width=1",
        "ksize=5, width=official",
        "ksize=5, width=1",
    ]


def test_without_knobs_each_goes_over_its_grid_alone() -> None:
    term = get_loss("rmi")
    settings = plan_settings(term, {})
    expected = sum(len([value for value in knob.grid if value != knob.default]) for knob in term.knobs.values())
    assert len(settings) == 1 + expected
    assert all(len(setting.values) == 1 for setting in settings[1:])
    assert texts(term, {"radius": (7,)}, every=True) == ["baseline", "radius=7", *texts(term, {})[1:]]


def test_a_knob_that_needs_a_choice_brings_it_along(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "twofold.py").write_text(
        "from typing import Annotated\n"
        "from segablate.objective.ranges import Choice, Range\n"
        "def twofold(logits, labels, *, form: Annotated[str, Choice('a', 'b')] = 'a',\n"
        "    power: Annotated[float, Range(0, 9, grid=(1, 2), used_when={'form': ('b',)})] = 1.0):\n"
        "    return (logits ** power).mean()\n"
    )
    monkeypatch.chdir(tmp_path)
    term = get_loss("python:twofold.twofold")
    assert texts(term, {}) == ["baseline", "form=b", "form=b, power=2"]
    with pytest.raises(KnobError, match=r"--power has no effect on .* unless form is set; add --form b"):
        plan_settings(term, {"power": (2.0,)})


def test_every_value_equals_a_direct_call(data: Dataset) -> None:
    for name, given in (
        ("rmi", {"radius": (1, 2), "alpha": (1e-4, 1e-3), "stride": (2,)}),
        ("recall", {"prior_misses": (0.0, 10.0), "floor": (0.0, 5.0)}),
        ("cpg", {"ksize": (3, 5), "width": ("official", 1, "all")}),
    ):
        for gradients in (False, True):
            found, _ = swept(data, name, given, gradients)
            for index in range(len(data)):
                labels = data.read(index).labels
                for s, setting in enumerate(found.settings):
                    parts = found.loss.parts(logits_of(labels), torch.from_numpy(labels)[None].long(), **setting.values)
                    assert found.values[index, s] == pytest.approx(float(parts.value), rel=1e-5), (name, setting.text)


def test_the_model_sees_each_image_once(data: Dataset) -> None:
    _, one = swept(data, "rmi", {"radius": (3,)}, gradients=False)
    _, many = swept(data, "rmi", {"radius": (1, 2, 3, 4), "stride": (2, 3)})
    assert one.images == many.images == len(data)


def test_pixel_term_term_and_objective_add_up(data: Dataset) -> None:
    found, _ = swept(data, "rmi", {"radius": (1,)}, gradients=False)
    objective = found.objective.with_settings("rmi", found.settings[1].values)
    labels = data.read(3).labels
    direct = float(objective(logits_of(labels), torch.from_numpy(labels)[None].long()))
    assert found.run.probed["objective"][3, 1] == pytest.approx(direct, rel=1e-5)
    assert found.run.probed["pixel"][3] + 0.5 * found.values[3, 1] == pytest.approx(direct, rel=1e-5)


def test_gradients_against_autograd(data: Dataset) -> None:
    found, _ = swept(data, "cpg", {"width": (1,)})
    labels = data.read(2).labels
    truth = torch.from_numpy(labels)[None].long()

    def slope(term: Any, **settings: Any) -> np.ndarray:
        leaf = logits_of(labels).double().requires_grad_()
        return torch.autograd.grad(term(leaf, truth, **settings), leaf)[0].numpy()

    own, entropy = slope(get_loss("cpg"), width=1), slope(get_loss("ce"))
    probed = found.run.probed
    assert probed["norm"][2, 1] == pytest.approx(np.linalg.norm(own), rel=1e-4)
    cosine = (own * entropy).sum() / np.linalg.norm(own) / np.linalg.norm(entropy)
    assert probed["cosine"][2, 1] == pytest.approx(cosine, rel=1e-4)
    mass = np.abs(own).sum(axis=1)[0]
    shares = [mass[labels == label].sum() / mass.sum() for label in (*range(CLASSES), 255)]
    np.testing.assert_allclose(probed["on_class"][2, 1], shares, rtol=1e-4)
    assert probed["ce_norm"][2] == pytest.approx(np.linalg.norm(entropy), rel=1e-4)


GRADIENTS = ("norm", "cosine", "within", "on_class")
GRADIENT_ARRAYS = {*GRADIENTS, *(f"ce_{name}" for name in GRADIENTS), "pixels_within", "pixels_on_class"}


@pytest.mark.parametrize("batch_size", [1, 4])
def test_gradients_of_some_images_are_those_of_all_and_the_rest_is_unchanged(data: Dataset, batch_size: int) -> None:
    """The images alternate between two sizes, so that batches are not in the dataset's order."""
    given = {"width": (1, "all")}
    (all_images, _), (some, _) = swept(data, "cpg", given), swept(data, "cpg", given, limit=3, batch_size=batch_size)
    chosen = [0, 2, 4]
    assert np.flatnonzero(some.run.probed[MEASURED]).tolist() == chosen
    assert set(all_images.run.probed) == set(some.run.probed) - {MEASURED}
    for name, whole in all_images.run.probed.items():
        found = some.run.probed[name]
        if name in GRADIENT_ARRAYS:
            np.testing.assert_array_equal(found[chosen], whole[chosen], err_msg=name)
            assert np.isnan(np.delete(found, chosen, axis=0)).all(), name
        else:
            np.testing.assert_allclose(found, whole, rtol=1e-6, err_msg=name)


def test_the_table_says_on_how_many_images_gradients_are(data: Dataset) -> None:
    (all_images, _), (some, _) = (
        swept(data, "cpg", {"width": (1,)}, limit=7),
        swept(data, "cpg", {"width": (1,)}, limit=3),
    )
    whole, partial = (
        {table.name: table for table in ablation_report(found, Tolerance(3)).tables} for found in (all_images, some)
    )
    assert MEASURED not in all_images.run.probed
    assert all("evenly spaced" not in note for note in whole["gradients"].notes)
    assert partial["gradients"].notes == ("gradients: 3 of 7 images, evenly spaced", *whole["gradients"].notes)
    row = partial["gradients"].rows[1]
    assert row["norm"] == pytest.approx(all_images.run.probed["norm"][[0, 2, 4], 1].mean(), rel=1e-6)
    assert row["within_3"] == pytest.approx(np.nanmean(all_images.run.probed["within"][[0, 2, 4], 1, 1]), rel=1e-6)
    uniform = partial["gradients"].rows[3]
    assert uniform["within_3"] == pytest.approx(np.nanmean(all_images.run.probed["pixels_within"][[0, 2, 4], 1]))


def test_images_with_gradients_are_spaced_evenly() -> None:
    assert gradient_images(101, None) is gradient_images(24, 24) is gradient_images(5, 24) is None
    chosen = sorted(gradient_images(101, 24) or ())
    assert (len(chosen), chosen[0]) == (24, 0)
    assert set(np.diff(chosen)) == {4, 5}


def test_where_a_gradient_goes_on_a_map_worked_by_hand() -> None:
    labels = np.zeros((1, 12), np.uint8)
    labels[0, 6:] = 1  # the boundary pixels are 5 and 6
    labels[0, 11] = 255
    gradient = torch.zeros(1, 2, 1, 12)
    gradient[0, 0, 0, 5], gradient[0, 1, 0, 2], gradient[0, 1, 0, 11] = 3, -4, 1
    on = pixel_regions(labels, 2, gradient)
    found = gradient_statistics(gradient, gradient, on)
    assert found["norm"] == pytest.approx(26**0.5)
    assert found["cosine"] == pytest.approx(1)
    np.testing.assert_allclose(found["within"], [3 / 8, 7 / 8, 1])
    np.testing.assert_allclose(found["on_class"], [7 / 8, 0, 1 / 8])
    np.testing.assert_allclose(pixel_shares(on)["within"], [4 / 12, 8 / 12, 12 / 12])
    np.testing.assert_allclose(pixel_shares(on)["on_class"], [6 / 12, 5 / 12, 1 / 12])


def test_no_gradient_and_no_boundary_are_undefined_not_zero() -> None:
    flat = np.zeros((3, 4), np.uint8)
    zero = torch.zeros(1, 2, 3, 4)
    found = gradient_statistics(zero, torch.ones_like(zero), pixel_regions(flat, 2, zero))
    assert found["norm"] == 0
    assert np.isnan(found["cosine"])
    assert np.isnan(found["on_class"]).all()
    assert np.isnan(gradient_statistics(zero + 1, zero + 1, pixel_regions(flat, 2, zero))["within"]).all()


def test_an_image_without_labels_is_left_out(tmp_path: Path) -> None:
    import cv2

    root = write_dataset(tmp_path / "toy", 5)
    cv2.imwrite(str(root / "labels/val/s1.png"), np.full((24, 32), 255, np.uint8))
    found, _ = swept(open_dataset(f"folder:{root}"), "rmi", {"radius": (1,), "stride": (2,)})
    assert np.isnan(found.values[1]).all()
    assert np.isnan(found.run.probed["norm"][1]).all()
    values = ablation_report(found, Tolerance(3)).tables[0].rows
    assert [row["undefined"] for row in values] == [1, 1]
    assert values[0]["term"] == pytest.approx(np.nanmean(found.values[:, 0]))


def test_summaries_are_those_of_the_arrays(data: Dataset) -> None:
    found, _ = swept(data, "rmi", {"radius": (1, 2), "stride": (2,)})
    report = ablation_report(found, Tolerance(3), per_class=True)
    tables = {table.name: table for table in report.tables}
    assert list(tables) == ["values", "gain", "agreement", "gradients", "per_class"]
    row = tables["values"].rows[1]
    assert row["term"] == pytest.approx(found.values[:, 1].mean())
    assert row["change"] == pytest.approx((found.values[:, 1] - found.values[:, 0]).mean())
    assert tables["gain"].rows[1]["merit"] == pytest.approx(found.run.probed["fact_gain"][:, 1].mean())
    iou = mean_iou(class_counts(found.run.confusion))
    rho = spearmanr(found.run.probed["fact_gain"][:, 1], iou)[0]
    assert tables["agreement"].rows[1]["iou"] == pytest.approx(rho)
    low, high = tables["agreement"].rows[1]["iou_interval"]  # type: ignore[misc]
    assert -1 <= low <= rho <= high <= 1
    present = agree(found, Tolerance(3), by_image(len(data), 200))["iou"].classes
    assert tables["agreement"].rows[-1]["iou"] == pytest.approx(float(present.value[0]), nan_ok=True)
    assert any("different radius are not comparable" in note for note in report.notes)
    assert any("fewer than 25 points" in note for note in report.notes)


def test_too_few_points_are_refused(data: Dataset) -> None:
    with pytest.raises(SegablateError, match=r"rmi with radius=5 has 0\.\d+ points for each dimension in an image of"):
        swept(data, "rmi", {"radius": (5,)})


@pytest.mark.parametrize(
    ("objective", "message"),
    [
        ("ce", r"'ce' lacks rmi; add it, as in ce \+ rmi"),
        ("ce + rmi(radius=2)", "sets hyperparameters of rmi; give them as options"),
    ],
)
def test_an_objective_must_leave_the_term_to_the_sweep(objective: str, message: str) -> None:
    with pytest.raises(ObjectiveError, match=message):
        Sweep(get_loss("rmi"), [Setting({}, "baseline")], parse_objective(objective))


def test_costs_come_for_every_setting_and_for_cross_entropy(data: Dataset) -> None:
    term = get_loss("ce")
    settings = plan_settings(term, {"label_smoothing": (0.1,)})
    sweep = Sweep(term, settings, published_objective(term))
    evaluate(Scripted(), data, Measures(probe=sweep))
    found = costs(sweep, repeats=1)
    assert {kind: len(each) for kind, each in found.items()} == {"forward": 3, "both": 3}
    assert all(cost.seconds > 0 for each in found.values() for cost in each)


def test_shared_steps_are_done_once_inside_and_anew_outside() -> None:
    counted = []

    @shared
    def doubled(values: torch.Tensor, factor: int) -> torch.Tensor:
        counted.append(factor)
        return values * factor

    a, b = torch.ones(2), torch.ones(2)
    with sharing():
        assert doubled(a, 2) is doubled(a, 2)
        assert doubled(b, 2) is not doubled(a, 2)
        doubled(a, 3)
        leaf = a.clone().requires_grad_()
        assert doubled(leaf, 2) is not doubled(leaf, 2)
    doubled(a, 2)
    assert counted == [2, 2, 3, 2, 2, 2]


def test_a_fact_that_only_some_settings_have_is_undefined_in_the_others(data: Dataset) -> None:
    torch.manual_seed(0)
    shapes = ((16, CLASSES), (32, 16), (2, 32))
    layers = tuple((torch.randn(*shape, 3, 3) / 9, torch.randn(shape[0]) / 9) for shape in shapes)
    term = get_loss("semeda")
    settings = plan_settings(term, {"layer_weights": [(1.0, 0.0, 0.0)]})
    sweep = Sweep(term, settings, published_objective(term))
    run = evaluate(Scripted(), data, Measures(probe=sweep, inputs={"edge_net": layers}))
    whole, first = run.probed["fact_layer_3"].T
    assert np.isfinite(whole).all()
    assert np.isnan(first).all()


def test_a_surrogate_of_the_set_stands_beside_the_mean_of_images(tmp_path: Path) -> None:
    data = open_dataset(f"folder:{write_dataset(tmp_path / 'toy', 3)}")
    term = get_loss("asl")
    settings = plan_settings(term, {"metric": ["fwiou", "bf1"]})
    sweep = Sweep(term, settings, published_objective(term))
    found = evaluate(Scripted(), data, Measures(tolerances=(Tolerance(3),), probe=sweep))
    samples = [data.read(index) for index in range(3)]
    logits = torch.cat([logits_of(sample.labels) for sample in samples])
    labels = torch.from_numpy(np.stack([sample.labels for sample in samples])).long()
    ablation = Ablation(found, term, settings, published_objective(term), {})
    for setting, value in zip(settings, ablation.over_images, strict=True):
        assert value == pytest.approx(float(term(logits, labels, **setting.values)), rel=1e-5)
    rows = {table.name: table.rows for table in ablation_report(ablation, Tolerance(3)).tables}["values"]
    assert [row["over_images"] for row in rows] == list(ablation.over_images)
    assert rows[0]["over_images"] != pytest.approx(rows[0]["term"], rel=1e-3)
