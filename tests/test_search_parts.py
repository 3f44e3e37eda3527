"""The parts of Auto Seg-Loss's search: the space, the samplers, the rewards, and the file of parameters."""

import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from scipy.stats import truncnorm

from segablate.ablation.sweep import plan_settings
from segablate.comparison.scores import measures_of, statistics_of
from segablate.errors import KnobError, ObjectiveError, UsageError
from segablate.evaluation.results import Evaluation
from segablate.losses import get_loss
from segablate.losses.asl import THETAS
from segablate.losses.parts.curves import CURVES, read_curves
from segablate.metrics import asl_edges
from segablate.metrics.confusion import Confusion
from segablate.objective.weighted_sum import parse_objective
from segablate.search import METRICS
from segablate.search.plan import metric_named, objective_of
from segablate.search.rewards import COMPARED, TITLES, counts_of, reward_of
from segablate.search.samplers import Design, Scored, sampler_named, sampler_names
from segablate.search.samplers.policy import CLIP, RATE, SIGMA, STEPS, log_density, policy_mean, truncated_normal
from segablate.search.space import LEAST, Space, space_of

# the space


def decoded(raw: np.ndarray, space: Space) -> list[float]:
    """The recurrence as the specification states it, number by number."""
    found = []
    for curve in raw.reshape(space.curves, space.points, 2):
        before = [0.0, 0.0]
        for point in curve:
            before = [p + r * (1 - p) for p, r in zip(before, point, strict=True)]
            found += before
    return found


@pytest.mark.parametrize("metric", METRICS)
def test_coordinates_are_decoded_point_by_point(metric: str) -> None:
    space = space_of(metric)
    raw = np.random.default_rng(3).uniform(0.05, 0.95, space.size)
    theta = space.theta(raw)
    assert theta == pytest.approx(decoded(raw, space), abs=1e-8)
    assert len(theta) == len(THETAS[metric])
    assert len(read_curves(theta, CURVES[metric])) == CURVES[metric]


def test_the_start_is_identity() -> None:
    assert space_of("miou").start().tolist() == pytest.approx([1 / 4, 1 / 4, 1 / 3, 1 / 3, 1 / 2, 1 / 2] * 2)
    assert space_of("bf1").start().tolist() == [0.5] * 8
    assert space_of("macc").theta(space_of("macc").start()) == (0.25, 0.25, 0.5, 0.5, 0.75, 0.75)
    at = torch.linspace(0, 1, 101, dtype=torch.float64)[None]
    for metric in METRICS:
        space = space_of(metric)
        for curve in read_curves(space.theta(space.start()), CURVES[metric]):
            torch.testing.assert_close(curve(at), at, rtol=0, atol=1e-12)


@pytest.mark.parametrize("corner", [0.0, 1.0])
def test_curves_at_the_ends_of_the_space_have_finite_slopes(corner: float) -> None:
    space = space_of("miou")
    theta = space.theta(np.full(space.size, corner))
    assert theta[0] >= LEAST
    logits = torch.zeros(1, 3, 4, 4, dtype=torch.float64)
    logits[:, 0] = 800.0
    logits.requires_grad_(True)
    labels = torch.arange(16).reshape(1, 4, 4) % 3
    get_loss("asl")(logits, labels, theta=theta).backward()
    assert torch.isfinite(logits.grad).all()


def test_an_unknown_metric_has_a_hint() -> None:
    with pytest.raises(UsageError, match="no metric with a surrogate is called 'mioo'; did you mean 'miou'"):
        metric_named("mioo")
    assert tuple(CURVES) == METRICS == tuple(TITLES) == tuple(COMPARED)


# the policy


def scored(seed: int, samples: int = 6, size: int = 4) -> Scored:
    rng = np.random.default_rng(seed)
    return Scored(rng.uniform(0.05, 0.95, (samples, size)), rng.uniform(0.3, 0.6, samples))


def plain_mean(start: np.ndarray, rounds: list[Scored]) -> np.ndarray:
    """The update with torch's own normal, gradient and Adam."""
    place = torch.logit(torch.tensor(start)).requires_grad_(True)
    optimiser = torch.optim.Adam([place], lr=RATE)
    normal = torch.distributions.Normal(0.0, 1.0)

    def log_probability(raw: torch.Tensor, mean: torch.Tensor) -> torch.Tensor:
        inside = normal.cdf((1 - mean) / SIGMA) - normal.cdf((0 - mean) / SIGMA)
        return normal.log_prob((raw - mean) / SIGMA) - torch.log(SIGMA * inside)

    for each in rounds:
        raw, rewards = torch.tensor(each.raw), torch.tensor(each.rewards)
        advantage = (rewards - rewards[0]).unsqueeze(1)
        before = log_probability(raw, place.sigmoid()).detach()
        for _ in range(STEPS):
            ratio = (log_probability(raw, place.sigmoid()) - before).exp()
            clipped = ratio.clamp(1 - CLIP, 1 + CLIP)
            gain = torch.minimum(ratio * advantage, clipped * advantage).mean(0).sum()
            optimiser.zero_grad()
            (-gain).backward()
            optimiser.step()
    return place.sigmoid().detach().numpy()


@pytest.mark.parametrize("rounds", [1, 3])
def test_the_policy_is_updated_as_a_plain_reference(rounds: int) -> None:
    start = np.array([0.25, 1 / 3, 0.5, 0.9])
    earlier = [scored(seed) for seed in range(rounds)]
    found = policy_mean(start, earlier)
    np.testing.assert_allclose(found, plain_mean(start, earlier), rtol=0, atol=1e-7)
    assert np.abs(found - start).max() > 0.01


def test_equal_rewards_leave_the_policy_where_it_is() -> None:
    start = np.array([0.3, 0.6])
    even = Scored(np.random.default_rng(0).random((5, 2)), np.full(5, 0.4))
    assert policy_mean(start, [even]) == pytest.approx(start)


def test_the_policy_moves_towards_what_was_rewarded() -> None:
    start, raw = np.array([0.5, 0.5]), np.array([[0.5, 0.5], [0.8, 0.5], [0.2, 0.5]])
    moved = policy_mean(start, [Scored(raw, np.array([0.4, 0.5, 0.3]))])
    assert moved[0] > 0.55
    assert moved[1] == pytest.approx(0.5)


def test_samples_are_those_of_scipys_truncated_normal() -> None:
    mean, uniform = np.array([0.02, 0.4, 0.97]), np.random.default_rng(1).random((50, 3))
    low, high = -mean / SIGMA, (1 - mean) / SIGMA
    reference = truncnorm(low, high, loc=mean, scale=SIGMA)
    np.testing.assert_allclose(truncated_normal(mean, uniform), reference.ppf(uniform), rtol=0, atol=1e-9)
    raw = truncated_normal(mean, uniform)
    constant = np.log(SIGMA * np.sqrt(2 * np.pi))
    np.testing.assert_allclose(log_density(raw, mean) - constant, reference.logpdf(raw), rtol=0, atol=1e-9)


# samplers


def goal(raw: np.ndarray) -> np.ndarray:
    """Rewards with one best place."""
    return 1 - ((raw - 0.7) ** 2).mean(axis=1)


def rounds_of(name: str, count: int, samples: int = 6) -> list[Scored]:
    pytest.importorskip({"cma": "cma", "tpe": "optuna"}.get(name, "numpy"))
    design, found = Design(np.array([0.25, 1 / 3, 0.5]), samples, 5), []
    for _ in range(count):
        raw = sampler_named(name)(design, found)
        found.append(Scored(raw, goal(raw)))
    return found


@pytest.mark.parametrize("name", sampler_names())
def test_a_sampler_is_a_function_of_its_seed_and_the_rounds_before(name: str) -> None:
    found = rounds_of(name, 3)
    np.random.seed(1)  # noqa: NPY002, samplers may neither take from the global generator nor disturb it
    before = np.random.get_state()[1].copy()  # noqa: NPY002
    design = Design(np.array([0.25, 1 / 3, 0.5]), 6, 5)
    again = sampler_named(name)(design, found[:2])
    np.testing.assert_array_equal(again, found[2].raw)
    np.testing.assert_array_equal(np.random.get_state()[1], before)  # noqa: NPY002
    other = sampler_named(name)(Design(design.start, 6, 6), found[:2])
    assert not np.array_equal(other, again)


@pytest.mark.parametrize("name", sampler_names())
def test_samples_are_in_the_space_and_start_at_the_start(name: str) -> None:
    found = rounds_of(name, 6)
    np.testing.assert_allclose(found[0].raw[0], [0.25, 1 / 3, 0.5])
    assert all(((each.raw >= 0) & (each.raw <= 1)).all() for each in found)
    assert all(len({tuple(raw) for raw in each.raw.tolist()}) == 6 for each in found)
    assert max(each.rewards.max() for each in found[3:]) > found[0].rewards[0]


def test_what_a_sampler_cannot_do_is_one_line() -> None:
    with pytest.raises(UsageError, match="--sampler is 'cmaes'; did you mean 'cma'"):
        sampler_named("cmaes")
    pytest.importorskip("cma")
    with pytest.raises(UsageError, match="--samples is 3, but --sampler cma needs at least 4"):
        sampler_named("cma")(Design(np.full(2, 0.5), 3, 0), [])


# rewards


def maps(seed: int, classes: int, count: int = 3) -> list[tuple[np.ndarray, np.ndarray]]:
    """Labels with void, and predictions that are those of most of their pixels."""
    rng = np.random.default_rng(seed)
    found = []
    for _ in range(count):
        labels = np.kron(rng.integers(0, classes, (3, 4)), np.ones((14, 13), int)).astype(np.uint8)
        predicted = np.where(rng.random(labels.shape) < 0.15, rng.integers(0, classes, labels.shape), labels)
        predicted = np.roll(predicted, 1, axis=1).astype(np.uint8)
        labels[rng.random(labels.shape) < 0.05] = 255
        found.append((labels, predicted))
    return found


def evaluated(pairs: list[tuple[np.ndarray, np.ndarray]], classes: int, metric: str) -> Evaluation:
    from segablate.kernels.confusion import count_confusion
    from segablate.labels import LabelSet

    tables = [count_confusion(labels, predicted, classes) for labels, predicted in pairs]
    counted = [count(*pair, classes) for pair in pairs for count in counts_of(metric)]
    statistics = {name: np.stack([each[name] for each in counted]) for name in (counted[0] if counted else {})}
    names = tuple(f"class {index}" for index in range(classes))
    labels = LabelSet("toy", names, tuple((index,) for index in range(classes)), (255,), (), "codes")
    sizes = np.array([labels.shape for labels, _ in pairs])
    hashes = tuple("" for _ in pairs)
    confusion = Confusion.from_dense(tables, classes)
    return Evaluation(labels, hashes, sizes, hashes, confusion, {}, None, {}, statistics=statistics)


def neighbours(values: np.ndarray, row: int, column: int, reach: int) -> tuple[slice, slice]:
    return slice(max(row - reach, 0), row + reach + 1), slice(max(column - reach, 0), column + reach + 1)


def plain_edges(values: np.ndarray) -> np.ndarray:
    found = np.zeros(values.shape, bool)
    for place in np.ndindex(values.shape):
        found[place] = (values[neighbours(values, *place, 1)] != values[place]).any()
    return found


def plain_near(mask: np.ndarray, reach: int = 5) -> np.ndarray:
    found = np.zeros(mask.shape, bool)
    for place in np.ndindex(mask.shape):
        found[place] = mask[neighbours(mask, *place, reach)].any()
    return found


def plain_regions(pairs: list[tuple[np.ndarray, np.ndarray]], classes: int) -> np.ndarray:
    """Hits, labelled and predicted pixels of each class, over pixels that are not void."""
    sums = np.zeros((3, classes))
    for labels, predicted in pairs:
        for index in range(classes):
            label, prediction = labels == index, (predicted == index) & (labels != 255)
            sums[:, index] += [(label & prediction).sum(), label.sum(), prediction.sum()]
    return sums


def plain_reward(metric: str, pairs: list[tuple[np.ndarray, np.ndarray]], classes: int) -> float:
    if metric == "bf1":
        sums = np.zeros((4, classes))
        for labels, predicted in pairs:
            for index in range(1, classes):
                target = plain_edges(labels) & (labels == index)
                found = plain_edges(predicted) & (predicted == index)
                near = (found & plain_near(target)).sum(), (target & plain_near(found)).sum()
                sums[:, index] += found.sum(), near[0], target.sum(), near[1]
        scores = []
        for predicted, matched, labelled, reached in sums[:, 1:].T:
            precision, recall = matched / max(predicted, 1), reached / labelled if labelled else np.nan
            scores.append(2 * precision * recall / (precision + recall))
        return float(np.nanmean(scores))
    if metric == "biou":
        pairs = [
            (np.where(plain_near(plain_edges(labels) & (labels != 255) & (labels != 0)), labels, 255), predicted)
            for labels, predicted in pairs
        ]
    hits, labelled, predicted = plain_regions(pairs, classes)
    iou = hits / (labelled + predicted - hits)
    if metric == "fwiou":
        return float((iou * labelled / labelled.sum()).sum())
    if metric == "gacc":
        return float(hits.sum() / labelled.sum())
    return float((hits / labelled if metric == "macc" else iou).mean())


@pytest.mark.parametrize("metric", METRICS)
def test_rewards_are_the_plain_definitions(metric: str) -> None:
    pairs = maps(2, 4)
    found = reward_of(metric, evaluated(pairs, 4, metric))
    assert found == pytest.approx(plain_reward(metric, pairs, 4), abs=1e-12)
    assert 0.2 < found < 0.99


@pytest.mark.parametrize("metric", METRICS)
def test_rewards_are_measures_of_a_comparison(metric: str) -> None:
    runs = {"a": evaluated(maps(2, 4), 4, metric), "b": evaluated(maps(3, 4), 4, metric)}
    measures = measures_of(runs, ())
    assert COMPARED[metric] in {measure.key for measure in measures}
    statistics = statistics_of(runs, measures, void_as_error=False)
    for run, statistic in zip(runs.values(), statistics, strict=True):
        assert statistic(np.ones((1, 3)))[COMPARED[metric]].tolist() == pytest.approx([reward_of(metric, run)])


@pytest.mark.parametrize("metric", METRICS)
def test_the_surrogate_of_a_hard_prediction_is_its_reward(metric: str) -> None:
    """What the fixed ends of the curves are for: on zeros and ones a surrogate is the metric."""
    pairs = maps(4, 3, count=2)
    labels = torch.tensor(np.stack([labels for labels, _ in pairs])).long()
    predicted = torch.tensor(np.stack([predicted for _, predicted in pairs])).long()
    logits = 80.0 * torch.nn.functional.one_hot(predicted, 3).permute(0, 3, 1, 2).double()
    drop: dict[str, Any] = {"drop_background": True} if metric == "bf1" else {}
    loss = get_loss("asl")(logits, labels, metric=metric, **drop)
    assert 1 - loss.item() == pytest.approx(reward_of(metric, evaluated(pairs, 3, metric)), abs=1e-6)


def test_a_perfect_prediction_has_reward_one_and_no_edge_none() -> None:
    pairs = [(labels, np.where(labels == 255, 0, labels).astype(np.uint8)) for labels, _ in maps(5, 3)]
    assert reward_of("biou", evaluated(pairs, 3, "biou")) == 1
    flat = [(np.ones((6, 6), np.uint8), np.zeros((6, 6), np.uint8))]
    assert np.isnan(reward_of("bf1", evaluated(flat, 3, "bf1")))
    assert np.isnan(reward_of("biou", evaluated(flat, 3, "biou")))
    counts = asl_edges.count_edges(*flat[0], 3)[asl_edges.EDGES]
    assert not counts.any()


# the file of parameters


def write(folder: Path, text: str | None = None, **changed: Any) -> str:
    import yaml

    path = folder / "theta.yaml"
    entries = {"metric": "miou", "pieces": 2, "theta": list(THETAS["miou"]), "reward": 0.5, **changed}
    path.write_text(yaml.safe_dump(entries) if text is None else text)
    return str(path)


def test_a_file_of_parameters_is_read_into_numbers(tmp_path: Path) -> None:
    path = write(tmp_path, theta=[1e-6, 0.5, 0.5, 0.5, 0.75, 1.0] * 2)
    objective = parse_objective(f"ce + 0.5*asl(metric=miou, theta={path})")
    assert str(objective) == ("ce + 0.5*asl(metric=miou, theta=1e-06:0.5:0.5:0.5:0.75:1:1e-06:0.5:0.5:0.5:0.75:1)")
    assert str(parse_objective(str(objective))) == str(objective)
    for published in map(parse_objective, ("asl(theta=published)", "asl(theta=Published)", "asl(theta=none)")):
        assert published.terms[0].settings == {"theta": None}
        assert str(published) == "asl(theta=published)"
    value = objective.terms[1].settings["theta"]
    again = pickle.loads(pickle.dumps(value))
    assert (again, again.source, again.settings) == (value, path, {"metric": "miou"})


def test_rows_of_a_sweep_name_the_file_and_hold_its_numbers(tmp_path: Path) -> None:
    path, asl = write(tmp_path), get_loss("asl")
    values = asl.knobs["theta"].parse_list(f"{path},published", as_option=True)
    settings = plan_settings(asl, {"theta": values})
    assert [setting.text for setting in settings] == ["baseline", f"theta={path}", "theta=published"]
    assert settings[1].values["theta"] == THETAS["miou"]


def test_a_comma_in_the_name_of_a_file_takes_quotes(tmp_path: Path) -> None:
    knob, path = get_loss("asl").knobs["theta"], f"{tmp_path}/a,b.yaml"
    Path(write(tmp_path)).rename(path)
    for quoted in (f"'{path}'", f'"{path}"'):
        assert knob.parse_list(f"{quoted} , published") == (THETAS["miou"], None)
        assert parse_objective(f"asl(theta={quoted})").terms[0].settings == {"theta": THETAS["miou"]}
    for text in (path, f"{path},published", f"0.5:0.5,{path}"):
        with pytest.raises(KnobError) as raised:
            knob.parse_list(text, as_option=True)
        assert str(raised.value) == (
            f"--theta: a comma separates values; quote one that has a comma, also within the quotes of a shell: "
            f"--theta \"'{path}'\""
        )
    with pytest.raises(KnobError, match=r"theta is 'no', .*there is no such file"):
        knob.parse_list("no,such.yaml")


@pytest.mark.parametrize("text", ["''", '""', "", " ", "published,''", "published,"])
def test_an_empty_value_is_no_folder(text: str) -> None:
    with pytest.raises(KnobError, match=r"theta is '', but must be numbers .*; a value is empty$"):
        get_loss("asl").knobs["theta"].parse_list(text)


@pytest.mark.parametrize("text", ["'a,b", "published, 'a,b", "'a,b'c", '"a,b', "'", "published,'"])
def test_a_quote_that_is_not_closed_is_told(text: str) -> None:
    rmi, asl = get_loss("rmi").knobs["radius"], get_loss("asl").knobs["theta"]
    for knob in (rmi, asl):
        with pytest.raises(KnobError) as raised:
            knob.parse_list(text, as_option=True)
        place = "the end" if text[-1] == "'" else "a"
        assert str(raised.value) == (
            f"{knob.option} is {text!r}: the quote {text.strip('published, ')[0]} before {place} is not closed; "
            f"close it after the value"
        )
    with pytest.raises(ObjectiveError, match=r"column 11: the quote ' is not closed; close it after the value$"):
        parse_objective("asl(theta='a)")


def test_a_file_whose_name_begins_with_a_quote_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path(write(tmp_path)).rename(tmp_path / "'t.yaml")
    assert get_loss("asl").knobs["theta"].parse_list("'t.yaml") == (THETAS["miou"],)


BAD: list[tuple[Callable[[Path], str], str]] = [
    (lambda folder: str(folder / "no.yaml"), "there is no such file"),
    (lambda folder: str(folder), "it is a folder; name the file in it"),
    (lambda folder: "0.5:half", "must be numbers from 0 to 1 joined by colons, published, or a file"),
    (lambda folder: write(folder, "metric: [miou"), "is no file of parameters .*not valid YAML"),
    (lambda folder: write(folder, "theta: [1, 2]"), "has no 'metric'"),
    (lambda folder: write(folder, metric="mioo"), "no metric is called 'mioo'"),
    (lambda folder: write(folder, theta=[0.5, 0.5]), "theta has 2 numbers, but miou with 2 pieces takes 12"),
    (lambda folder: write(folder, theta=[0.5, 0.1, 0.4, 0.2, 0.6, 0.3] * 2), "goes from x = 0.5 to 0.4"),
    (lambda folder: write(folder, theta=[-0.5, 0.1, 0.5, 0.2, 0.6, 0.3] * 2), "goes from x = 0 to -0.5"),
]


@pytest.mark.parametrize(("text", "message"), BAD)
def test_a_file_that_is_damaged_is_one_line(text: Callable[[Path], str], message: str, tmp_path: Path) -> None:
    with pytest.raises(KnobError, match=message) as raised:
        get_loss("asl").knobs["theta"].parse(text(tmp_path))
    assert "\n" not in str(raised.value)


def test_a_file_of_another_metric_is_refused(tmp_path: Path) -> None:
    path, asl = write(tmp_path), get_loss("asl")
    message = "which was made for metric=miou, but metric is biou; set metric=miou, or give another file"
    with pytest.raises(KnobError, match=message):
        parse_objective(f"ce + asl(metric=biou, theta={path})")
    with pytest.raises(KnobError, match=message):
        plan_settings(asl, {"metric": ("biou",), "theta": (asl.knobs["theta"].parse(path),)})
    with pytest.raises(KnobError, match=message):
        parse_objective("asl(metric=biou)").with_settings("asl", {"theta": asl.knobs["theta"].parse(path)})
    assert parse_objective(objective_of("miou", THETAS["miou"])).terms[0].settings["theta"] == THETAS["miou"]
