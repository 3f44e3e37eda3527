"""Comparisons agree with counts made by hand; runs that do not measure the same thing are refused with what differs."""

from dataclasses import replace

import numpy as np
import pytest
from evaluations import LABELS, TOLERANCES, evaluation, noisy, truth
from scipy.stats import rankdata, wilcoxon

from segablate.comparison import Method, compare, intersect, require_comparable, shared_tolerances
from segablate.comparison.pairing import clusters
from segablate.comparison.ranking import mean_ranks
from segablate.errors import KnobError, RunError, UsageError
from segablate.evaluation.results import Evaluation, select
from segablate.labels import IGNORE, LabelSet
from segablate.metrics.tolerance import Tolerance
from segablate.statistics.bootstrap import by_image, replicate_weights

IMAGES = 12
MAPS = truth(IMAGES)
GOOD, BAD = noisy(MAPS, 0.2, 1), noisy(MAPS, 0.4, 2)
METHOD = Method(tolerances=TOLERANCES, replicates=400)


def pair(**values: list[float]) -> dict[str, Evaluation]:
    """Two runs, the second worse; `values`: of a loss, the same in both but for 0.5 more in the second."""
    worse = {loss: [value + 0.5 for value in column] for loss, column in values.items()}
    return {"good": evaluation(MAPS, GOOD, "g", values), "bad": evaluation(MAPS, BAD, "b", worse)}


def plain_miou(labels: list[np.ndarray], predicted: list[np.ndarray]) -> float:
    """mIoU by sets of pixels."""
    truth, found = np.concatenate([m.ravel() for m in labels]), np.concatenate([m.ravel() for m in predicted])
    truth, found = truth[truth != IGNORE], found[truth != IGNORE]
    unions = [((truth == c) | (found == c)).sum() for c in range(3)]
    return float(np.mean([((truth == c) & (found == c)).sum() / n for c, n in enumerate(unions) if n]))


def test_scores_are_those_of_plain_counting() -> None:
    found = compare(pair(), METHOD)
    assert found.names == ("good", "bad")
    assert (found.images, found.clusters) == (IMAGES, IMAGES)
    expected = [plain_miou(MAPS, predicted) for predicted in (GOOD, BAD)]
    assert found.values["miou"] == pytest.approx(expected, abs=1e-12)
    assert float(found.pairs[0].measures["miou"].change.value) == pytest.approx(expected[1] - expected[0], abs=1e-12)
    for run, predicted in enumerate((GOOD, BAD)):
        valid = [labels != IGNORE for labels in MAPS]
        right = sum(int((p == m)[v].sum()) for p, m, v in zip(predicted, MAPS, valid, strict=True))
        assert found.values["pixel_accuracy"][run] == pytest.approx(right / sum(int(v.sum()) for v in valid))


def test_every_resample_is_the_score_of_the_images_drawn() -> None:
    found = compare(pair(), replace(METHOD, replicates=50, seed=3))
    weights = np.concatenate(list(replicate_weights(by_image(IMAGES, 50, 3)))).astype(int)
    first = np.zeros(2)
    for row in weights:
        images = np.repeat(np.arange(IMAGES), row)
        scores = [plain_miou([MAPS[i] for i in images], [run[i] for i in images]) for run in (GOOD, BAD)]
        first[int(np.argmax(scores))] += 1 / len(weights)
    ranking = found.rankings[0]
    assert ranking.first == pytest.approx(first)
    assert ranking.mean_rank == pytest.approx(2 - first)
    assert (ranking.chosen, ranking.rank.tolist()) == (0, [1, 2])


def test_a_clear_difference_is_shown_and_none_is_seen_between_equals() -> None:
    clear = compare(pair(), METHOD)
    change = clear.pairs[0].measures["miou"]
    assert float(change.p) < 0.001
    assert float(change.change.percentile.high) < 0
    assert float(change.change.bca.high) < 0
    assert not clear.identical
    same = compare({"a": evaluation(MAPS, GOOD), "b": evaluation(MAPS, GOOD)}, METHOD)
    assert same.identical
    assert float(same.pairs[0].measures["miou"].p) > 0.9
    assert not np.isfinite(same.pairs[0].images_needed["miou"])
    assert same.rankings[0].first.tolist() == [0.5, 0.5]
    assert same.changes is not None
    assert (same.changes.confusions, same.changes.risen, same.changes.fallen) == ((), (), ())


def test_classes_are_corrected_by_holm_and_by_benjamini_and_hochberg() -> None:
    found = compare(pair(), METHOD).pairs[0]
    p = found.iou.p
    order = np.argsort(p)
    stepped = np.minimum(np.maximum.accumulate(p[order] * [3, 2, 1]), 1)
    assert found.iou_holm[order] == pytest.approx(stepped)
    assert found.iou_bh[order] == pytest.approx(np.minimum.accumulate((p[order] * [3, 1.5, 1])[::-1])[::-1])


def test_image_level_scores_are_tested_beside_it() -> None:
    found = compare(pair(), METHOD).pairs[0]
    per_image = [[plain_miou([m], [p]) for m, p in zip(MAPS, run, strict=True)] for run in (GOOD, BAD)]
    change = np.subtract(per_image[1], per_image[0])
    assert found.image_miou == pytest.approx(change)
    assert found.signed_rank.p == pytest.approx(wilcoxon(change).pvalue)


def test_detectable_and_images_to_settle_go_by_the_root_of_the_number() -> None:
    found = compare(pair(), METHOD).pairs[0]
    change = found.measures["miou"].change
    assert found.detectable["miou"] > 2.8 * float(change.standard_error)
    ratio = found.detectable["miou"] / abs(float(change.value))
    assert found.images_needed["miou"] == np.ceil(IMAGES * ratio**2)


def test_losses_are_means_over_the_images_where_both_are_defined() -> None:
    values = [float(i) for i in range(IMAGES)]
    runs = pair(ce=values)
    runs["good"].values["ce"][0] = np.nan
    runs["bad"].values["ce"][-1] = np.inf
    found = compare(runs, METHOD)
    assert found.defined == {"loss_ce": IMAGES - 2}
    assert found.values["loss_ce"] == pytest.approx([np.mean(values[1:-1]), np.mean(values[1:-1]) + 0.5])
    assert [ranking.chosen for ranking in found.rankings if ranking.measure.kind == "loss"] == [0]


def test_measures_are_those_that_every_run_has() -> None:
    runs = {
        "a": evaluation(MAPS, GOOD, values={"ce": [1.0] * IMAGES, "dice": [1.0] * IMAGES}),
        "b": evaluation(MAPS, BAD, values={"rmi": [1.0] * IMAGES, "dice": [2.0] * IMAGES}),
    }
    keys = [measure.key for measure in compare(runs, METHOD).measures]
    assert keys[4:] == ["boundary_f_1", "boundary_f_2", "loss_dice"]
    runs["b"] = evaluation(MAPS, BAD, tolerances=())
    assert [measure.key for measure in compare(runs, METHOD).measures][4:] == []


def test_tolerances_are_those_that_all_can_answer() -> None:
    near, far = evaluation(MAPS, GOOD, tolerances=(Tolerance(1),)), evaluation(MAPS, BAD)
    assert shared_tolerances({"near": near, "far": far}) == (Tolerance(1),)
    assert shared_tolerances({"far": far, "other": evaluation(MAPS, GOOD)}) == TOLERANCES
    assert shared_tolerances({"far": far, "none": evaluation(MAPS, GOOD, tolerances=())}) == ()
    with pytest.raises(
        KnobError, match=r"near: tolerance 2 .* is beyond the 1 px .* evaluate again with --tolerance 2"
    ):
        compare({"near": near, "far": far}, METHOD)


def test_confusions_that_changed_most() -> None:
    found = compare(pair(), METHOD).changes
    assert found is not None
    labels, good, bad = (np.concatenate([m.ravel() for m in maps]) for maps in (MAPS, GOOD, BAD))
    changes = {}
    for i in range(3):
        for j in range(4):
            pixels = [int(((labels == i) & (run == j)).sum()) for run in (good, bad)]
            if i != j and pixels[0] != pixels[1]:
                changes[i, j] = pixels
    assert {(c.label, c.predicted): list(c.pixels) for c in found.confusions} == changes
    sizes = [abs(c.change) for c in found.confusions]
    assert sizes == sorted(sizes, reverse=True)
    first = found.confusions[0]
    assert first.share == first.change / (labels == first.label).sum()


def test_void_pixels_count_where_they_are_errors() -> None:
    runs = pair()
    found = compare(runs, replace(METHOD, void_as_error=True))
    assert (found.values["miou"] < compare(runs, METHOD).values["miou"]).all()
    assert found.changes is not None
    assert any(change.label == 3 for change in found.changes.confusions)
    assert not any(change.label == 3 and change.predicted == 3 for change in found.changes.confusions)


def test_images_that_changed_most() -> None:
    predicted = [*GOOD]
    predicted[4], predicted[7] = MAPS[4] % 3, (MAPS[7] + 1) % 3
    found = compare({"a": evaluation(MAPS, GOOD), "b": evaluation(MAPS, predicted)}, METHOD).changes
    assert found is not None
    assert [image.name for image in found.risen] == ["i4"]
    assert [image.name for image in found.fallen] == ["i7"]
    assert found.risen[0].miou[1] == found.risen[0].pixel_accuracy[1] == 1.0
    assert found.risen[0].miou[0] == pytest.approx(plain_miou([MAPS[4]], [GOOD[4]]))


def test_the_order_of_images_does_not_matter() -> None:
    runs = pair(ce=[float(i) for i in range(IMAGES)])
    turned = {**runs, "bad": select(runs["bad"], list(range(IMAGES))[::-1])}
    a, b = compare(runs, METHOD), compare(turned, METHOD)
    for key, found in a.pairs[0].measures.items():
        assert float(found.p) == float(b.pairs[0].measures[key].p)
    assert a.changes == b.changes


def test_three_runs_are_compared_in_pairs() -> None:
    worst = noisy(MAPS, 0.6, 5)
    found = compare({**pair(), "worst": evaluation(MAPS, worst)}, METHOD)
    assert [(p.a, p.b) for p in found.pairs] == [(0, 1), (0, 2), (1, 2)]
    assert found.changes is None
    assert found.rankings[0].rank.tolist() == [1, 2, 3]
    assert found.rankings[0].first.sum() == pytest.approx(1)
    raw = np.array([float(p.measures["miou"].p) for p in found.pairs])
    assert (found.miou_holm >= raw).all()
    assert (found.miou_holm < 0.05).all()
    two = compare(pair(), METHOD).pairs[0].measures["miou"]
    assert float(found.pairs[0].measures["miou"].p) == float(two.p)


def test_a_measure_that_is_undefined_chooses_nothing() -> None:
    runs = pair(ce=[np.nan] * IMAGES)
    found = compare(runs, METHOD)
    ranking = found.rankings[-1]
    assert ranking.chosen is None
    assert np.isnan(ranking.first).all()
    assert np.isnan(float(found.pairs[0].measures["loss_ce"].p))


def test_few_images_give_no_interval() -> None:
    maps = truth(3)
    found = compare({"a": evaluation(maps, noisy(maps, 0.2, 1)), "b": evaluation(maps, noisy(maps, 0.5, 2))}, METHOD)
    assert np.isnan(float(found.pairs[0].measures["miou"].p))
    assert np.isnan(found.pairs[0].iou_holm).all()


# groups


def test_groups_are_drawn_together() -> None:
    names = tuple(f"drive{i // 2}_{i}" for i in range(IMAGES))
    runs = {name: replace(run, names=names) for name, run in pair().items()}
    grouped = compare(runs, replace(METHOD, group_by=r"drive\d+"))
    assert (grouped.images, grouped.clusters) == (IMAGES, IMAGES // 2)
    single = compare(runs, replace(METHOD, group_by=r"_\d+$"))
    plain = compare(runs, METHOD)
    assert float(single.pairs[0].measures["miou"].change.standard_error) == pytest.approx(
        float(plain.pairs[0].measures["miou"].change.standard_error)
    )
    assert float(grouped.pairs[0].measures["miou"].change.standard_error) != pytest.approx(
        float(plain.pairs[0].measures["miou"].change.standard_error)
    )


def test_the_first_group_of_the_expression_names_the_cluster() -> None:
    names = ["a/x_1", "b/x_1", "a/y_1"]
    assert clusters(names, r"^(\w)/").tolist() == [0, 1, 0]
    assert clusters(names, r"^\w/.").tolist() == [0, 2, 1]
    assert clusters(names, r"(x)|y").tolist() == [1, 1, 0]


@pytest.mark.parametrize(
    ("pattern", "message"),
    [
        ("(", r"--group-by '\(' is not a regular expression: missing \)"),
        ("^a", r"--group-by '\^a' matches nothing in 1 of 3 image names \(first: b2\)"),
        (r"\d?$", ""),
        ("a?b?", ""),
        ("[0-9]?c?", "matches '' in every image name; at least two groups are needed"),
    ],
)
def test_groups_that_do_not_divide_are_refused(pattern: str, message: str) -> None:
    names = ["a1", "b2", "a3"]
    if not message:
        assert len(set(clusters(names, pattern).tolist())) > 1
        return
    with pytest.raises(UsageError, match=message):
        clusters(names, pattern)


def test_a_class_rests_on_the_images_or_groups_that_label_it() -> None:
    """Trees are labelled in few of thirty images, and predicted falsely in all."""
    maps = truth(30)
    rare = [np.where((m == 2) & (i >= 5), 0, m).astype(np.uint8) for i, m in enumerate(maps)]
    given = {name: evaluation(rare, noisy(rare, share, seed)) for name, share, seed in (("a", 0.2, 1), ("b", 0.4, 2))}
    assert all((np.stack(noisy(rare, s, seed)) == 2).any(axis=(1, 2)).all() for s, seed in ((0.2, 1), (0.4, 2)))
    change = compare(given, METHOD).pairs[0].iou.change
    assert change.support.tolist() == [30, 30, 5]
    assert np.isfinite(change.percentile.low).all()
    grouped = compare(given, replace(METHOD, group_by=r"i(\d)")).pairs[0].iou
    assert grouped.change.support.tolist() == [10, 10, 5]
    joined = compare(given, replace(METHOD, group_by=r"i(?:[01]$|(\d+))")).pairs[0].iou  # i0 and i1 together
    assert joined.change.support.tolist() == [29, 29, 4]
    assert np.isnan(joined.p[2])
    four = {name: select(run, range(1, 30)) for name, run in given.items()}
    pair = compare(four, METHOD).pairs[0]
    assert pair.iou.change.support.tolist() == [29, 29, 4]
    assert np.isnan([pair.iou.p[2], pair.iou_holm[2], pair.iou.change.bca.low[2]]).all()
    assert pair.iou.change.value[2] < 0


# what can be compared


def relabelled(run: Evaluation, **changes: object) -> Evaluation:
    fields = {name: getattr(LABELS, name) for name in LABELS.__dataclass_fields__}
    return replace(run, labels=LabelSet(**(fields | {"colours": ()} | changes)))


REFUSED = {
    "another class": (
        lambda run: relabelled(run, names=("road", "car", "bush")),
        r"a and b have different classes \(3 and 3; only a has tree; only b has bush\); evaluate both on the same data",
    ),
    "fewer classes": (
        lambda run: relabelled(run, names=("road", "car"), codes=((0,), (1,))),
        r"a and b have different classes \(3 and 2; only a has tree\)",
    ),
    "order of classes": (
        lambda run: relabelled(run, names=("car", "road", "tree")),
        r"different classes \(in another order: class 0 is road and car\)",
    ),
    "codes": (
        lambda run: relabelled(run, codes=((0,), (1, 7), (2,))),
        r"a and b decode label files differently \(car is 1 and 1, 7\); evaluate both with the same label set",
    ),
    "void": (lambda run: relabelled(run, void=None), r"differently \(void is 255 and all other codes\)"),
    "no void": (lambda run: relabelled(run, void=()), r"differently \(void is 255 and no code\)"),
    "an image less": (
        lambda run: select(run, [i for i in range(IMAGES) if i != 5]),
        r"a and b cover different images \(12 and 11; first missing: i5\); evaluate both on the same split, or pass "
        r"--intersect",
    ),
    "other names": (
        lambda run: replace(run, names=("x", *run.names[1:])),
        r"cover different images \(12 and 12; first missing: i0\)",
    ),
    "label files": (
        lambda run: replace(run, label_hashes=(*run.label_hashes[:-2], "0", "1")),
        r"a and b read different label files for 2 of 12 images \(first: i10\); evaluate both with the same labels",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_runs_that_differ_are_refused(case: str) -> None:
    change, message = REFUSED[case]
    a = evaluation(MAPS, GOOD)
    with pytest.raises(RunError, match=message):
        require_comparable({"a": a, "b": change(a)})
    third = message.replace("a and b", "a and c").replace("only b", "only c")
    with pytest.raises(RunError, match=third):
        compare({"a": a, "same": a, "c": change(a)}, METHOD)


def test_colours_and_names_of_label_sets_may_differ() -> None:
    a = evaluation(MAPS, GOOD)
    renamed = {"a": a, "b": relabelled(a, name="other")}
    require_comparable(renamed)
    first, second = compare(renamed, METHOD).values["miou"]
    assert first == second


def test_intersect_keeps_what_all_have() -> None:
    runs = pair(ce=[float(i) for i in range(IMAGES)])
    cut = {"good": select(runs["good"], [1, 3, 4, 6]), "bad": select(runs["bad"], [6, 9, 4, 1])}
    shared = intersect(cut)
    assert [run.names for run in shared.values()] == [("i1", "i4", "i6")] * 2
    assert shared["bad"].values["ce"].tolist() == [1.5, 4.5, 6.5]
    for name, predicted in (("good", GOOD), ("bad", BAD)):
        places = (1, 4, 6)
        scores = compare(shared, METHOD).values["miou"][list(shared).index(name)]
        assert scores == pytest.approx(plain_miou([MAPS[i] for i in places], [predicted[i] for i in places]))
    with pytest.raises(RunError, match="good, bad have no image in common; evaluate them on the same split"):
        intersect({"good": select(runs["good"], [0]), "bad": select(runs["bad"], [1])})


def test_ranks_are_those_of_scipy() -> None:
    values = np.random.default_rng(0).integers(0, 4, (200, 6)).astype(float)
    assert np.array_equal(mean_ranks(values), rankdata(values, axis=1))
    assert np.array_equal(mean_ranks(values[0]), rankdata(values[0]))
