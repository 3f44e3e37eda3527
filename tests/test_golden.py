"""Values and gradients that the authors' own code gave; more cases are read from the folder SEGABLATE_GOLDEN names."""

import json
import os
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch import Tensor

from segablate.losses import get_loss, loss_names
from segablate.losses.recall import recall, recall_weights
from segablate.objective.weighted_sum import Objective, WeightedTerm, parse_objective, published_objective

FOLDERS = [Path(__file__).parent / "golden", *map(Path, filter(None, [os.environ.get("SEGABLATE_GOLDEN")]))]
FILES = {path.name: path for folder in FOLDERS for path in sorted(folder.glob("*.npz"))}
INPUTS = ("image", "features", "roi")


def load(name: str) -> SimpleNamespace:
    with np.load(FILES[name]) as stored:
        arrays = {key: torch.from_numpy(stored[key]) for key in stored.files if key != "meta"}
        meta = json.loads(str(stored["meta"]))
    inputs: dict[str, object] = {key: arrays[key] for key in INPUTS if key in arrays}
    if "edge_w1" in arrays:
        inputs["edge_net"] = [(arrays[f"edge_w{i}"], arrays[f"edge_b{i}"]) for i in (1, 2, 3)]
    knobs = {key: tuple(value) if isinstance(value, list) else value for key, value in meta["knobs"].items()}
    return SimpleNamespace(**meta | {"knobs": knobs}, arrays=arrays, inputs=inputs)


def golden(where=lambda case: True) -> list[str]:
    """The names of the cases of losses that exist and for which the condition holds."""
    return [name for name in FILES if (case := load(name)).loss in loss_names() and where(case)]


def is_composed(case: SimpleNamespace) -> bool:
    return hasattr(case, "composed")


def value_of(case: SimpleNamespace, logits: Tensor, inputs: dict[str, object]) -> Tensor:
    """The bare term, or its published sum."""
    if not is_composed(case):
        return get_loss(case.loss)(logits, case.arrays["labels"], **inputs, **case.knobs)
    objective = published_objective(get_loss(case.loss)).with_settings(case.loss, case.knobs)
    return objective(logits, case.arrays["labels"], **inputs)


def assert_gradient(found: Tensor | None, expected: Tensor, tolerance: float | None) -> None:
    """Within the tolerance, a share of the largest entry; None: it hangs on rounding, and need only be finite."""
    found = torch.zeros_like(expected) if found is None else found
    if tolerance is None:
        assert found.isfinite().all()
        return
    assert (found - expected).abs().max() <= tolerance * expected.abs().max()


@pytest.mark.parametrize("name", golden(lambda case: case.arrays["logits"].ndim == 4))
def test_value_and_gradient(name: str):
    case = load(name)
    logits = case.arrays["logits"].requires_grad_()
    inputs = dict(case.inputs)
    if "grad_features" in case.arrays:
        inputs["features"] = case.inputs["features"].requires_grad_()
    value = value_of(case, logits, inputs)
    value.backward()
    assert value.item() == pytest.approx(case.value, rel=case.value_rtol, abs=1e-12)
    assert_gradient(logits.grad, case.arrays["grad"], case.grad_tol_of_largest)
    if "grad_features" in case.arrays:
        assert_gradient(inputs["features"].grad, case.arrays["grad_features"], case.grad_tol_of_largest)


@pytest.mark.parametrize("name", golden(lambda case: hasattr(case, "pixel_term")))
def test_published_total(name: str):
    case = load(name)
    pixel = parse_objective(case.pixel).terms[0]
    # near the floor the authors' pixel term is made of rounding errors of the logistic
    rtol = 1e-3 if case.case == "near_perfect" else case.value_rtol
    logits, labels = case.arrays["logits"], case.arrays["labels"]
    assert pixel(logits, labels).item() == pytest.approx(case.pixel_term, rel=rtol)
    weighted = WeightedTerm(case.pixel_weight, pixel.loss, pixel.settings)
    total = Objective((weighted, WeightedTerm(case.term_weight, get_loss(case.loss), case.knobs)))
    assert total(logits, labels).item() == pytest.approx(case.objective, rel=case.value_rtol)


@pytest.mark.parametrize("name", golden(lambda case: "region_per_image_class" in case.arrays))
def test_region_of_each_image_and_class(name: str):
    case = load(name)
    logits, labels = case.arrays["logits"], case.arrays["labels"]
    for index, expected in enumerate(case.arrays["region_per_image_class"]):
        one = slice(index, index + 1)
        parts = get_loss("rmi").parts(logits[one], labels[one], **case.knobs)
        shown = ~parts.per_class.isnan()
        torch.testing.assert_close(parts.per_class[shown].float(), expected[shown], rtol=1e-5, atol=1e-6)
        assert (~shown).sum() == 0 or torch.allclose(expected[~shown], expected[~shown][0])


@pytest.mark.parametrize("name", golden(lambda case: "fn" in case.arrays))
def test_counts_of_recall(name: str):
    case = load(name)
    logits, labels = case.arrays["logits"], case.arrays["labels"]
    sums = recall.parts(logits, labels).sums
    assert torch.equal(sums["misses"], case.arrays["fn"])
    assert torch.equal(sums["pixels"], case.arrays["n"])
    if "weight" in case.arrays:
        torch.testing.assert_close(recall_weights(logits, labels), case.arrays["weight"])


@pytest.mark.parametrize("name", golden(lambda case: case.arrays["logits"].ndim == 5))
def test_weights_carried_over_batches(name: str):
    case = load(name)
    weights = None
    for batch, (logits, labels) in enumerate(zip(case.arrays["logits"], case.arrays["labels"], strict=True)):
        leaf = logits.clone().requires_grad_()
        weights = recall_weights(leaf, labels, weights, momentum=0.5)
        value = recall(leaf, labels, weights=weights, **case.knobs)
        value.backward()
        torch.testing.assert_close(weights, case.arrays["weights"][batch])
        assert value.item() == pytest.approx(float(case.arrays["values"][batch]), rel=case.value_rtol)
        assert_gradient(leaf.grad, case.arrays["grads"][batch], case.grad_tol_of_largest)


@pytest.mark.parametrize("name", golden(lambda case: hasattr(case, "mask_count")))
def test_elements_of_cpg(name: str):
    case = load(name)
    parts = get_loss("cpg").parts(case.arrays["logits"], case.arrays["labels"], **case.knobs)
    assert parts.sums["elements"].sum() == case.mask_count
