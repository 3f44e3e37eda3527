"""What every loss promises, run for each file in the package: a new loss is tested by being there."""

import math
import pickle
import subprocess
import sys

import pytest
import torch
from scenes import (
    VOID,
    degenerate,
    directional_error,
    inputs_for,
    reordered,
    scene,
    single,
    value_and_gradient,
)

from segablate.errors import KnobError, ObjectiveError
from segablate.losses import EXCEPTIONS, Loss, get_loss, loss_names, loss_summaries
from segablate.objective.catalogue import catalogue
from segablate.objective.knobs import Knob
from segablate.objective.ranges import Choice, Range
from segablate.objective.weighted_sum import published_objective

TERMS = [get_loss(name) for name in loss_names()]
KNOBS = [(term, knob) for term in TERMS for knob in term.knobs.values()]
SCOPED = [term for term in TERMS if "scope" in term.knobs and "image" in term.knobs["scope"].range.words]
CHOICES = [(term, knob) for term, knob in KNOBS if knob.range.words and "gradient" not in term.exceptions]
every_term = pytest.mark.parametrize("term", TERMS, ids=lambda term: term.name)
every_knob = pytest.mark.parametrize(("term", "knob"), KNOBS, ids=[f"{term.name}-{knob.name}" for term, knob in KNOBS])


def differentiable(term: Loss) -> dict[str, object]:
    """Settings under which all of the value's dependence on the logits is in the gradient."""
    return {"detach": False} if "detach" in term.knobs else {}


def enabling(knob: Knob) -> dict[str, object]:
    """Settings under which the knob has an effect."""
    return {name: values[0] for name, values in knob.used_when.items()}


def inside(knob: Knob) -> list[object]:
    """The bounds of the range and the grid."""
    bounds: list[object] = []
    if isinstance(knob.range, Range):
        open_or_infinite = ((knob.range.low, knob.range.open_low), (knob.range.high, knob.range.open_high))
        bounds = [bound for bound, is_open in open_or_infinite if math.isfinite(bound) and not is_open]
        if knob.kind.length is not None:
            bounds = [(bound,) * (knob.kind.length or 2) for bound in bounds]
    return [*bounds, *knob.grid, *knob.range.words, *([None] if knob.kind.nullable else [])]


def outside(knob: Knob) -> list[object]:
    """Values just beyond what is allowed, each in the knob's own type."""
    if isinstance(knob.range, Choice) or knob.kind.number in (bool, str):
        return ["no such word", 7]
    whole = knob.kind.number is int
    low, high = knob.range.low, knob.range.high
    below = low if knob.range.open_low else low - 1 if whole else math.nextafter(low, -math.inf)
    above = high if knob.range.open_high else high + 1 if whole else math.nextafter(high, math.inf)
    values: list[object] = [value for value in (below, above) if math.isfinite(value)]
    values += [low + 1] if knob.range.odd else []
    values += [math.nan, math.inf] if not whole else [low + 0.5]
    return [(value,) * (knob.kind.length or 2) for value in values] if knob.kind.length is not None else values


def test_names_and_summaries_do_not_import_torch():
    code = (
        "import sys; from segablate.losses import loss_names; print(*loss_names()); assert 'torch' not in sys.modules"
    )
    listed = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert tuple(listed.stdout.split()) == loss_names()
    assert {"ce", "bce", "focal", "dice", "lovasz", "rmi", "recall", "cpg"} <= set(loss_names())


def test_unknown_loss_names_the_nearest():
    with pytest.raises(ObjectiveError, match="no loss is called 'recal'; did you mean 'recall'"):
        get_loss("recal")


@every_term
def test_is_documented(term: Loss):
    assert term.summary == loss_summaries()[term.name]
    assert term.summary.endswith(".")
    assert "=" in term.sections["Formula"]
    assert term.paper
    assert set(term.exceptions) <= set(EXCEPTIONS)
    assert all(knob.help for knob in term.knobs.values())
    assert all(knob.grid for knob in term.knobs.values())
    assert term.name in {summand.loss.name for summand in published_objective(term).terms}


def test_catalogue_has_a_row_for_each():
    rows = {row.name: row for row in catalogue()}
    assert tuple(rows) == loss_names()
    assert rows["rmi"].objective == "0.5*bce(extra=1) + 0.5*rmi"
    assert rows["focal"].knobs == "gamma=2, alpha=none"
    assert "1910.12037" in rows["rmi"].paper


@every_term
def test_void_pixels_have_no_say(term: Loss):
    logits, labels = scene(moved=6)
    inputs = inputs_for(term, logits)
    at_void = (labels == VOID).unsqueeze(1)
    noise = torch.randn(logits.shape, generator=torch.Generator().manual_seed(3), dtype=logits.dtype)
    value, gradient = value_and_gradient(lambda z: term(z, labels, **inputs), logits)
    changed = term(logits + 5 * noise * at_void, labels, **inputs)
    silent = torch.equal(changed, value) and not (gradient * at_void).any()
    assert silent is ("void" not in term.exceptions)


@pytest.mark.parametrize("term", SCOPED, ids=lambda term: term.name)
def test_image_scope_leaves_batch_mates_aside(term: Loss):
    logits, labels = scene(3)
    inputs = inputs_for(term, logits)
    together = term(logits, labels, scope="image", **inputs)
    alone = [term(logits[i : i + 1], labels[i : i + 1], scope="image", **single(inputs, i)) for i in range(len(labels))]
    independent = torch.allclose(together, torch.stack(alone).mean(), rtol=1e-12)
    assert independent is ("scope" not in term.exceptions)


@pytest.mark.parametrize("name", degenerate())
@every_term
def test_value_and_gradient_are_finite(term: Loss, name: str):
    logits, labels = degenerate()[name]
    inputs = inputs_for(term, logits)
    value, gradient = value_and_gradient(lambda z: term(z, labels, **inputs), logits)
    finite = value.isfinite().item() and gradient.isfinite().all().item()
    assert finite or "finite" in term.exceptions


@every_term
def test_nothing_valid_is_undefined_and_attached(term: Loss):
    logits, labels = scene()
    inputs = inputs_for(term, logits)
    if "roi" in inputs:  # losses with a region do not look at labels
        inputs["roi"] = torch.zeros_like(labels, dtype=logits.dtype)
    leaf = logits.clone().requires_grad_()
    parts = term.parts(leaf, torch.full_like(labels, VOID), **inputs)
    assert parts.defined is False
    assert parts.value.item() == (1 if term.name == "asl" else 0)
    (gradient,) = torch.autograd.grad(parts.value, leaf)
    assert not gradient.any()


@every_term
def test_gradient_matches_finite_differences(term: Loss):
    logits, labels = scene(2, 4, 24, 20, moved=6)
    inputs = inputs_for(term, logits)
    settings = differentiable(term)
    error = directional_error(lambda z: term(z, labels, **inputs, **settings), logits)
    assert (error < 1e-5) is ("gradient" not in term.exceptions)


@pytest.mark.parametrize(("term", "knob"), CHOICES, ids=[f"{term.name}-{knob.name}" for term, knob in CHOICES])
def test_gradient_matches_under_every_choice(term: Loss, knob: Knob):
    logits, labels = scene(2, 3, 24, 20, moved=6)
    inputs = inputs_for(term, logits)
    for word in knob.range.words:
        settings = differentiable(term) | enabling(knob) | {knob.name: word}
        error = directional_error(lambda z, s=settings: term(z, labels, **inputs, **s), logits)
        assert error < 1e-5, f"{knob.name}={word}"


@every_term
def test_relabelling_changes_nothing(term: Loss):
    logits, labels = scene()
    inputs = inputs_for(term, logits)
    order = torch.tensor([3, 0, 4, 1, 2])  # the new class k is the old class order[k]
    renamed = torch.full_like(labels, VOID)
    for new, old in enumerate(order.tolist()):
        renamed[labels == old] = new
    value = term(logits, labels, **inputs)
    same = torch.allclose(term(logits[:, order], renamed, **reordered(inputs, order)), value, rtol=1e-9)
    assert same is ("relabelling" not in term.exceptions)


@every_term
def test_types_of_logits_and_labels(term: Loss):
    logits, labels = scene()
    inputs = inputs_for(term, logits.float())
    single_precision = term(logits.float(), labels, **inputs)
    assert single_precision.dtype == torch.float32
    assert term(logits, labels, **inputs_for(term, logits)).dtype == torch.float64
    torch.testing.assert_close(term(logits.float(), labels.to(torch.uint8), **inputs), single_precision)
    for half in (torch.float16, torch.bfloat16):
        lifted = term(logits.to(half).float(), labels, **inputs)
        assert torch.equal(term(logits.to(half), labels, **inputs), lifted)
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(term(logits.float(), labels, **inputs), single_precision)


@every_term
def test_parts_agree_with_the_scalar(term: Loss):
    logits, labels = scene()
    inputs = inputs_for(term, logits)
    parts = term.parts(logits, labels, **inputs)
    assert torch.equal(parts.value, term(logits, labels, **inputs))
    assert parts.defined is True
    assert parts.per_class is None or parts.per_class.shape == (5,)
    assert all(isinstance(fact, float) for fact in parts.facts.values())
    assert not any(tensor.requires_grad for tensor in parts.sums.values())


@every_term
def test_sums_add_over_images(term: Loss):
    logits, labels = scene(3)
    inputs = inputs_for(term, logits)
    together = term.parts(logits, labels, **inputs).sums
    alone = [term.parts(logits[i : i + 1], labels[i : i + 1], **single(inputs, i)).sums for i in range(3)]
    for name, total in together.items():
        torch.testing.assert_close(total, sum(sums[name] for sums in alone))


@pytest.mark.parametrize("term", [term for term in TERMS if term.bounds != (None, None)], ids=lambda term: term.name)
def test_values_lie_within_the_declared_bounds(term: Loss):
    """Of right, wrong and random predictions, under every choice and at the ends of every range."""
    own = [knob for of, knob in KNOBS if of is term and not knob.training]
    turned = [{**enabling(knob), knob.name: value} for knob in own for value in inside(knob)]
    low, high = (-math.inf if term.bounds[0] is None else term.bounds[0], term.bounds[1] or math.inf)
    for name, (logits, labels) in degenerate().items():
        for settings in [{}, *turned]:
            value = term(logits, labels, **inputs_for(term, logits), **settings).item()
            assert low - 1e-6 <= value <= high + 1e-6, (name, settings)


@every_term
def test_survives_pickling(term: Loss):
    assert pickle.loads(pickle.dumps(term)) is term


@every_knob
def test_knob_accepts_its_bounds_and_grid(term: Loss, knob: Knob):
    logits, labels = scene(1, 3, 16, 20)
    inputs = inputs_for(term, logits)
    for value in inside(knob):
        assert knob.parse(knob.format(value)) == knob.check(value)
        assert term(logits, labels, **inputs, **enabling(knob), **{knob.name: value}).isfinite()


@every_knob
def test_knob_refuses_what_is_outside(term: Loss, knob: Knob):
    logits, labels = scene(1, 3, 8, 8)
    for value in outside(knob):
        with pytest.raises(KnobError, match=rf"^{knob.name} is .*must "):
            term(logits, labels, **inputs_for(term, logits), **{knob.name: value})
        with pytest.raises(KnobError, match=rf"^{knob.option} is "):
            knob.check(value, as_option=True)


@every_knob
def test_knob_has_an_effect(term: Loss, knob: Knob):
    if knob.training:
        return  # it has no effect on one batch, which the test below holds
    scenes = [scene(), scene(3, moved=6)]
    scenes[1][1][2] = 1  # an image without boundary
    for turned in knob.grid:
        if turned == knob.default:
            continue
        assert any(differs(term, knob, turned, *each) for each in scenes), f"{knob.name}={turned} changes nothing"


@every_knob
def test_knob_of_training_changes_nothing_in_one_batch(term: Loss, knob: Knob):
    turned = [value for value in knob.grid if value != knob.default] if knob.training else []
    assert not any(differs(term, knob, value, *scene()) for value in turned)


def differs(term: Loss, knob: Knob, turned: object, logits: torch.Tensor, labels: torch.Tensor) -> bool:
    """Whether the value or the gradient changes when the knob is turned."""
    inputs, settings = inputs_for(term, logits), enabling(knob)
    at_default, at_turned = (
        value_and_gradient(lambda z, more=more: term(z, labels, **inputs, **settings, **more), logits)
        for more in ({}, {knob.name: turned})
    )
    return not all(map(torch.equal, at_default, at_turned))


@every_term
def test_bad_calls(term: Loss):
    logits, labels = scene(1, 3, 8, 8)
    with pytest.raises(KnobError, match=f"{term.name} has no hyperparameter 'nonsense'"):
        term(logits, labels, nonsense=1)
    with pytest.raises(ValueError, match="takes logits N C H W and labels N H W"):
        term(logits, labels[:, :4], **inputs_for(term, logits))
    for name in term.needs({}):
        inputs = {key: value for key, value in inputs_for(term, logits).items() if key != name}
        with pytest.raises(KnobError, match=f"{term.name} needs {name}"):
            term(logits, labels, **inputs)
