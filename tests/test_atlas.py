"""Cosines, clusters and their stability are those of plain references; images are chosen as documented."""

import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import torch
from conftest import CLASSES, scene
from scipy.cluster.hierarchy import linkage
from scipy.spatial.distance import squareform

from segablate.ablation.cost import Cost, measure_once
from segablate.ablation.gradients import MEASURED
from segablate.atlas import clusters as clustering
from segablate.atlas import cosines as multiplying
from segablate.atlas import session
from segablate.atlas.clusters import comparable, leaves, partition, similarity, square, stability, tree
from segablate.atlas.cosines import cosines, gram
from segablate.atlas.probe import AtlasProbe, Chosen
from segablate.atlas.results import rare_classes
from segablate.atlas.session import chosen_images, few_images, first_costs
from segablate.errors import UsageError
from segablate.labels import IGNORE
from segablate.losses import Loss, get_loss
from segablate.samples import LossInputs
from segablate.tables.atlas_cosines import same_table

K = len(CLASSES)


@pytest.fixture
def losses(tmp_path: Path) -> dict[str, Loss]:
    """Three losses whose gradients are known in closed form, one without a gradient, and one that is undefined."""
    file = tmp_path / "mine.py"
    file.write_text(
        "import torch\n"
        "from segablate.losses import Parts\n"
        "def square(logits, labels):\n    return logits.square().sum()\n"
        "def constant(logits, labels):\n    return logits.new_tensor(3.0)\n"
        "def undefined(logits, labels):\n    return Parts(logits.sum(), False)\n"
    )
    own = {name: get_loss(f"python:{file}:{name}") for name in ("square", "constant", "undefined")}
    return {"ce": get_loss("ce"), "bce": get_loss("bce"), **own}


def inputs(seed: int = 0, index: int = 0) -> LossInputs:
    labels = scene(seed)[1]
    logits = torch.randn(1, K, *labels.shape, generator=torch.Generator().manual_seed(seed))
    return LossInputs(logits, torch.from_numpy(labels).long()[None], labels, K, {}, index=index)


def explicit(sample: LossInputs) -> np.ndarray:
    """The gradients of ce, bce and the sum of squares in numpy, (3, K·H·W) float64."""
    z, labels = sample.logits[0].detach().numpy().astype(np.float64), sample.label_map
    valid, target = labels != IGNORE, np.arange(K)[:, None, None] == labels
    p = np.exp(z) / np.exp(z).sum(axis=0)
    sigmoid = 1 / (1 + np.exp(-z))
    found = [(p - target) * valid / valid.sum(), (sigmoid - target) * valid / valid.sum(), 2 * z]
    return np.stack(found).reshape(3, -1)


def test_gradients_multiply_as_explicit_ones(losses: dict[str, Loss]) -> None:
    sample = inputs()
    found = AtlasProbe(losses, Chosen())(sample)
    a = explicit(sample)
    assert np.allclose(found["gram"][:3, :3], a @ a.T, rtol=1e-5, atol=1e-12)
    cosine = cosines(found["gram"][None])[0]
    norms = np.linalg.norm(a, axis=1)
    assert np.allclose(cosine[:3, :3], a @ a.T / np.outer(norms, norms), atol=1e-6)
    assert np.array_equal(cosine, cosine.T, equal_nan=True)
    assert np.array_equal(np.diagonal(cosine), [1, 1, 1, np.nan, np.nan], equal_nan=True)
    assert np.isnan(cosine[3:]).all()
    assert found["gram"][3, 3] == 0
    assert np.isnan(found["gram"][4]).all()
    values = [float(loss(sample.logits.detach(), sample.labels)) for loss in losses.values()]
    assert found["value"][:4].tolist() == pytest.approx(values[:4])
    assert np.isnan(found["value"][4])
    mass = np.abs(a).reshape(3, K, -1).sum(axis=1)
    on_class = np.stack([mass[:, sample.label_map.reshape(-1) == c].sum(axis=1) for c in (*range(K), IGNORE)], axis=1)
    assert np.allclose(found["on_class"][:3], on_class / mass.sum(axis=1, keepdims=True), atol=1e-6)
    assert found[MEASURED]


def test_blocks_of_columns_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    rows = [torch.randn(1, 3, 5, 7, generator=torch.Generator().manual_seed(seed)) for seed in range(4)]
    a = np.stack([row.numpy().reshape(-1) for row in rows]).astype(np.float64)
    for block in (4, 105, 1 << 16):
        monkeypatch.setattr(multiplying, "BLOCK", block)
        found = gram(rows)
        assert np.allclose(found, a @ a.T, rtol=1e-12)
        assert np.array_equal(found, found.T)


def test_small_gradients_keep_their_digits() -> None:
    """Squares of what float32 holds are below its range."""
    row = torch.tensor([[3e-30, 4e-30]])
    assert gram([row])[0, 0] == pytest.approx(25e-60, rel=1e-6)
    assert cosines(gram([row, -row])[None])[0, 0, 1] == -1


def test_a_loss_is_measured_on_its_images_alone(losses: dict[str, Loss]) -> None:
    probe = AtlasProbe(losses, Chosen(frozenset({0, 3}), {"bce": frozenset({3})}))
    whole, some, none = probe(inputs(1, 3)), probe(inputs(1, 0)), probe(inputs(1, 2))
    assert np.isfinite(whole["gram"][:3, :3]).all()
    assert np.isnan(some["gram"][1]).all()
    assert some["gram"][0, 2] == pytest.approx(whole["gram"][0, 2], rel=1e-12)
    assert [bool(each[MEASURED]) for each in (whole, some, none)] == [True, True, False]
    assert all(np.isnan(array).all() for name, array in none.items() if name != MEASURED)
    assert {name: array.shape for name, array in none.items()} == {name: array.shape for name, array in whole.items()}


FIXED = square(np.array([0.97, 0.6, 0.5, 0.1, 0.62, 0.48, 0.0, 0.93, 0.2, -0.3]), 1.0)
"""Cosines of five losses."""


def upgma(distance: np.ndarray) -> list[float]:
    """The heights of average linkage, by its definition: the closest two clusters merge, over and over."""
    groups, heights = [[place] for place in range(len(distance))], []
    while len(groups) > 1:
        apart = {(i, j): distance[np.ix_(groups[i], groups[j])].mean() for j in range(len(groups)) for i in range(j)}
        i, j = min(apart, key=apart.__getitem__)
        heights.append(apart[i, j])
        groups[i] += groups.pop(j)
    return heights


def test_the_tree_is_that_of_average_linkage() -> None:
    pairs = FIXED[np.triu_indices(5, 1)]
    merges = tree(pairs)
    assert np.allclose(merges[:, 2], upgma(1 - FIXED))
    assert np.allclose(merges[:, 2], linkage(squareform(1 - FIXED), "average")[:, 2])
    assert sorted(leaves(merges)) == [0, 1, 2, 3, 4]
    together = {frozenset(members) for members in partition(merges, 0.9)}
    assert together == {frozenset({0, 1}), frozenset({2, 3}), frozenset({4})}
    assert [place for members in partition(merges, 0.9) for place in members] == list(leaves(merges))
    assert sorted(map(sorted, partition(merges, 0.95))) == [[0, 1], [2], [3], [4]]


def test_a_merge_at_the_bound_is_in_the_cluster() -> None:
    assert partition(tree(np.array([0.9])), 0.9) in (((0, 1),), ((1, 0),))
    assert len(partition(tree(np.array([0.8999])), 0.9)) == 2


def images_of(centre: np.ndarray, count: int, noise: float) -> np.ndarray:
    rng = np.random.default_rng(0)
    size = len(centre)
    found = []
    for _ in range(count):
        pairs = centre[np.triu_indices(size, 1)] + noise * rng.standard_normal(size * (size - 1) // 2)
        found.append(square(np.clip(pairs, -1, 1), 1.0))
    return np.stack(found)


def test_separate_clusters_are_stable() -> None:
    found = similarity("abcde", images_of(FIXED, 20, 0.01))
    assert found is not None
    assert {frozenset(members) for members in found.clusters} == {frozenset({0, 1}), frozenset({2, 3}), frozenset({4})}
    assert found.stability.jaccard == (1.0, 1.0, 1.0)
    assert found.stability.same == 1.0
    assert found.stability.replicates == clustering.REPLICATES
    assert found.stability.together[0].tolist() == [1, 1, 0, 0, 0]
    assert np.array_equal(found.cosine, found.cosine.T)
    assert np.diagonal(found.cosine).tolist() == [1.0] * 5
    assert (found.low <= found.cosine).all()
    assert (found.cosine <= found.high).all()


def test_stability_is_that_of_the_replicates_and_repeats(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(clustering, "REPLICATES", 200)
    cosine = images_of(FIXED, 12, 0.25)
    first, again = similarity("abcde", cosine), similarity("abcde", cosine)
    assert first is not None
    assert again is not None
    assert first.stability.jaccard == again.stability.jaccard
    other = similarity("abcde", cosine, seed=1)
    assert other is not None
    assert other.stability.jaccard != first.stability.jaccard
    assert min(first.stability.jaccard) < 1


def test_stability_by_hand() -> None:
    replicates = np.array([[0.95, 0.1, 0.1], [0.1, 0.95, 0.1], [0.99, 0.98, 0.97], [np.nan, 0.9, 0.9]])
    found = stability(((0, 1), (2,)), replicates, 0.9)
    assert found.replicates == 3
    assert found.same == pytest.approx(1 / 3)
    assert found.together[0].tolist() == pytest.approx([1, 2 / 3, 2 / 3])
    assert found.jaccard == pytest.approx(((1 + 1 / 2 + 2 / 3) / 3, (1 + 1 / 2 + 1 / 3) / 3))


def test_all_clusters_come_back_only_where_each_does() -> None:
    pairs = {frozenset({0, 1}): 0.95, frozenset({2, 3}): 0.99}
    replicate = [pairs.get(frozenset({i, j}), 0.1) for i in range(4) for j in range(i + 1, 4)]
    found = stability(((0, 1), (2,), (3,)), np.array([replicate]), 0.9)
    assert found.jaccard == pytest.approx((1, 0.5, 0.5))
    assert found.same == 0


@pytest.mark.parametrize(("pair", "images"), [("half", 5), ("nearly all", 5), ("uneven", 10), ("uneven", 24)])
def test_intervals_of_mean_cosines_cover(pair: str, images: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """The percentile interval covers 92.2 and 93.1 % of these uneven ones."""
    monkeypatch.syspath_prepend(str(Path(__file__).parents[1] / "benchmarks"))
    import cosines

    assert 0.9325 < cosines.coverage(*cosines.PAIRS[pair], images, datasets=2000) < 0.97


def test_losses_without_a_common_image_are_not_compared() -> None:
    nan = np.nan
    cosine = np.stack([square(np.array([0.5, nan, nan, nan, nan, nan]), 1.0)] * 2)
    cosine[0, 2, 2] = cosine[:, 3, 3] = nan
    cosine[1, 0, 2] = cosine[1, 2, 0] = 0.3
    assert comparable(cosine) == [0, 1]
    found = similarity(["a", "b", "c", "d"], cosine)
    assert found is not None
    assert found.names == ("a", "b")
    assert similarity(["a", "b", "c", "d"], cosine * nan) is None


def test_a_replicate_without_images_of_a_loss_is_left_out() -> None:
    cosine = images_of(FIXED, 8, 0.01)
    cosine[1:, 4] = cosine[1:, :, 4] = np.nan
    found = similarity("abcde", cosine)
    assert found is not None
    assert 0 < found.stability.replicates < clustering.REPLICATES
    assert found.stability.same == 1.0


def test_an_empty_table_says_which_pairs_are_not_known() -> None:
    cosine = images_of(FIXED, 8, 0.01)
    notes = []
    for measured in (8, 4):
        cosine[measured:, 4] = cosine[measured:, :, 4] = np.nan
        found = similarity("abcde", cosine, bound=0.999)
        assert found is not None
        notes.append(same_table(found).notes[0])
    assert notes[0].endswith("at or above 0.999. There is none.")
    assert notes[1].endswith(" There is none among those on at least 5 images; the others have no interval.")


@pytest.mark.parametrize(
    ("pixels", "rare"),
    [
        ([500, 0, 20, 480, 10], (4, 2)),
        ([25, 25, 950], (0, 1)),
        ([26, 25, 949], (1,)),
        ([400, 600], ()),
    ],
)
def test_rare_classes_have_a_twentieth_of_the_pixels(pixels: Sequence[int], rare: tuple[int, ...]) -> None:
    assert rare_classes(np.array(pixels)) == rare


def test_images_of_slow_losses_are_among_those_with_gradients() -> None:
    chosen = chosen_images(101, 24, {"dense_crf": 7})
    assert chosen.gradients is not None
    assert len(chosen.gradients) == 24
    assert len(chosen.few["dense_crf"]) == 7
    assert chosen.few["dense_crf"] < chosen.gradients
    assert chosen_images(101, None, {"dense_crf": 2}).few["dense_crf"] == {0, 50}
    with pytest.raises(
        UsageError, match=r"--loss-images dense_crf=30 is more than the 24 images with gradients; give at"
    ):
        chosen_images(101, 24, {"dense_crf": 30})


def test_a_loss_is_slow_by_its_time_on_one_image() -> None:
    once = {"ce": Cost(9.0, 1, 9.0), "lal": Cost(5.0, 1, 0.5), "dense_crf": Cost(4.0, 1, 8.0)}
    assert few_images(once, None, 101) == {"dense_crf": 12}
    assert few_images(once, None, 12) == {}
    assert few_images(once, {}, 101) == {}
    assert few_images(once, {"lal": 3, "ce": 200}, 101) == {"lal": 3}


def test_what_seems_slow_is_measured_again_in_one_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(session, "SLOW", 0.2)
    monkeypatch.setattr(session, "CLEARLY_SLOW", 0.5)
    threads: list[int] = []

    def busy(seconds: float) -> None:
        threads.append(torch.get_num_threads())
        end = time.process_time() + seconds
        while time.process_time() < end:
            pass

    monkeypatch.setattr(torch, "get_num_threads", lambda: threads_now[0])
    monkeypatch.setattr(torch, "set_num_threads", lambda number: threads_now.__setitem__(0, number))
    threads_now, waits = [5], [0.3, 0.0]
    calls = {"quick": lambda: None, "first": lambda: busy(waits.pop(0)), "slow": lambda: busy(0.25)}
    calls["slower"] = lambda: busy(0.55)
    costs = first_costs(calls, torch.device("cpu"))
    assert threads == [5, 5, 5, 1, 1], "what clearly is slow is not run again"
    assert threads_now == [5]
    assert costs["quick"].processor < 0.2
    assert costs["first"].processor < 0.2 < costs["first"].seconds
    assert costs["slow"].processor >= 0.25
    assert few_images(costs, None, 101) == {"slow": 12, "slower": 12}


def test_one_call_is_timed_with_its_memory() -> None:
    calls, wall, processor = [], time.perf_counter(), time.process_time()
    cost = measure_once(lambda: calls.append(torch.zeros(1 << 20)))
    wall, processor = time.perf_counter() - wall, time.process_time() - processor
    assert len(calls) == 1
    assert cost.peak_bytes == 4 << 20
    assert 0 < cost.seconds < wall
    assert 0 <= cost.processor < processor
