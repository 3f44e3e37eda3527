"""Recipes: their fields and ranges, files, sources, and those that come with the package."""

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from segablate.cli import run
from segablate.errors import KnobError, RecipeError, SegablateError
from segablate.objective.weighted_sum import parse_objective
from segablate.training.recipe import (
    Recipe,
    SourcedRecipe,
    format_field,
    open_recipe,
    parse_field,
    plain_recipe,
    recipe_fields,
    recipe_names,
)

PUBLISHED = {
    "rmi-voc": {"rate": 0.007, "weight_decay": 1e-4, "head_factor": 10, "epochs": 46, "batch": 16, "crop": (513, 513)},
    "rmi-camvid": {"epochs": 200, "batch": 16, "crop": (481, 481), "scale": (0.75, 1.25), "mean": (100, 103, 106)},
    "recall-synthia": {"optimiser": "adam", "rate": 1e-3, "steps": 100_000, "batch": 6, "resize": (384, 768)},
    "recall-cityscapes": {"optimiser": "adam", "rate": 1e-4, "steps": 90_000, "batch": 6, "crop": (769, 769)},
    "asl-voc": {"rate": 0.02, "weight_decay": 5e-4, "floor": 1e-4, "steps": 10_000, "batch": 32, "crop": (512, 512)},
    "scribble-voc": {"rate": 0.007, "weight_decay": 5e-4, "epochs": 60, "batch": 12, "crop": (513, 513), "blur": 0.5},
    "torchvision": {"rate": 0.01, "epochs": 30, "batch": 8, "crop": (480, 480), "shorter": 520, "auxiliary_factor": 10},
    "hrnet-cityscapes": {"rate": 0.01, "weight_decay": 5e-4, "epochs": 484, "batch": 12, "crop": (512, 1024)},
    "sample-ce": {"rate": 0.012, "weight_decay": 0.01, "epochs": 220, "batch": 4, "crop": (96, 144)},
    "sample-weighted": {"rate": 0.012, "class_weights": "sqrt-inverse", "scale": (0.8, 1.7)},
    "sample-rmi": {"rate": 0.012, "objective": "0.5*bce(extra=1) + 0.5*rmi", "schedule": "cosine"},
}


def written(folder: Path, text: str) -> str:
    """A recipe file with these lines as its fields, unless they say otherwise."""
    body = text if "fields" in text or not text.startswith(" ") else f"fields:\n{text}"
    (folder / "mine.yaml").write_text(body)
    return str(folder / "mine.yaml")


def test_the_package_has_a_recipe_for_every_published_one() -> None:
    assert set(recipe_names()) == set(PUBLISHED)


@pytest.mark.parametrize("name", PUBLISHED)
def test_values_are_those_of_the_source(name: str) -> None:
    found = open_recipe(name)
    for field, value in PUBLISHED[name].items():
        assert getattr(found.recipe, field) == value
    assert set(found.sources.values()) <= ({"ours"} if name.startswith("sample") else {"paper", "code", "ours"})
    assert found.about
    assert found.network
    assert found.dataset
    assert found.claimed
    parse_objective(found.recipe.objective)
    parse_objective(found.recipe.auxiliary_objective or "ce")


def test_what_only_code_says_is_tagged_so() -> None:
    sources = open_recipe("rmi-voc").sources
    assert {sources[name] for name in ("warmup", "warmup_shape", "warmup_rate")} == {"code"}
    assert {sources[name] for name in ("rate", "momentum", "weight_decay", "head_factor", "schedule")} == {"paper"}
    assert {open_recipe("asl-voc").sources[name] for name in ("rate", "weight_decay", "floor", "norm")} == {"code"}


def test_no_field_of_a_recipe_is_without_effect() -> None:
    for name in recipe_names():
        recipe = plain_recipe(open_recipe(name).recipe)
        for field in open_recipe(name).sources:
            assert recipe_fields()[field].used_in(recipe), f"{name}: {field}"


def test_a_file_states_values_and_sources(tmp_path: Path) -> None:
    text = """
about: mine
differs: [no colours]
fields:
  rate: {value: 1e-3, source: paper}
  crop: {value: 96x144, source: code}
  scale: {value: [0.5, 2], source: ours}
  flip: 0.25
"""
    found = open_recipe(written(tmp_path, text))
    assert (found.name, found.about, found.differs) == ("mine", "mine", ("no colours",))
    assert found.recipe == Recipe(rate=1e-3, crop=(96, 144), scale=(0.5, 2.0), flip=0.25)
    assert found.sources == {"rate": "paper", "crop": "code", "scale": "ours", "flip": "ours"}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "rate: 3",
            "mine.yaml: is not a recipe: it must hold fields, as in fields: {rate: {value: 0.01, source: paper}}",
        ),
        ("[", r"mine.yaml: is not valid YAML \(line"),
        ("aboot: x\nfields: {}", "mine.yaml: has an unknown entry 'aboot'; did you mean 'about'?"),
        ("differs: x\nfields: {}", "mine.yaml: differs must be a list of sentences"),
        ("  ratte: 3", "mine.yaml: has an unknown field 'ratte'; did you mean 'rate'?"),
        ("  rate: {value: 3}", r"mine.yaml: rate must state its value and its source \(paper, code, ours\)"),
        ("  rate: {value: 3, source: hearsay}", r"mine.yaml: rate must state its value and its source"),
        ("  rate: {value: 3, source: code, page: 7}", r"mine.yaml: rate must state its value and its source"),
        (
            "  rate: 0",
            r"mine.yaml: rate is 0, but must be a number greater than 0 and at most 1000000000 \(learning rate\)",
        ),
        ("  rate: fast", "mine.yaml: rate is 'fast', but must be a number greater than 0"),
        (
            "  optimiser: adan",
            "mine.yaml: optimiser is 'adan', but must be 'adamw', 'adam' or 'sgd'.*did you mean 'adam'?",
        ),
        ("  crop: 4x4", "mine.yaml: crop is 4:4, but each must be none or a whole number between 8 and 16384"),
        ("  crop: [96, 96, 3]", "mine.yaml: crop is 96:96:3, but must be 2 values joined by colons"),
        ("  scale: [2, 1]", "mine.yaml: scale is 2:1; write the smaller factor first"),
        ("  steps: 5\n  epochs: 2", "mine.yaml: steps is 5 and epochs is 2; state one of them"),
        (
            "  warmup: 5\n  warmup_shape: constant",
            "mine.yaml: warmup_shape is 'constant' and warmup_rate is 0, at which",
        ),
    ],
)
def test_a_bad_file_is_one_line(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(SegablateError, match=message) as caught:
        open_recipe(written(tmp_path, text))
    assert "\n" not in str(caught.value)


def test_a_recipe_that_is_not_there() -> None:
    with pytest.raises(RecipeError, match=r"no recipe is called 'rmi-vok'; did you mean 'rmi-voc'\?; or give a file"):
        open_recipe("rmi-vok")
    with pytest.raises(RecipeError, match=r"^other\.yaml: no such recipe file; available: asl-voc, .*, or a FILE.yaml"):
        open_recipe("other.yaml")


@pytest.mark.parametrize(
    ("name", "text", "value"),
    [
        ("crop", "96x144", (96, 144)),
        ("crop", "none", None),
        ("scale", "0.5:2", (0.5, 2.0)),
        ("mean", "1:2:3.5", (1.0, 2.0, 3.5)),
        ("pad_colour", "0:0:0", (0, 0, 0)),
        ("photometric", "yes", True),
        ("rate", "5e-4", 5e-4),
        ("objective", "ce + 0.5*rmi(radius=5)", "ce + 0.5*rmi(radius=5)"),
    ],
)
def test_fields_are_read_as_they_are_written(name: str, text: str, value: Any) -> None:
    assert parse_field(name, text) == value
    assert parse_field(name, format_field(name, value)) == value


def test_every_default_can_be_written_and_read() -> None:
    for name, knob in recipe_fields().items():
        assert parse_field(name, format_field(name, knob.default)) == knob.default
        assert knob.help


@pytest.mark.parametrize("name", [name for name, knob in recipe_fields().items() if hasattr(knob.range, "low")])
def test_every_range_refuses_what_is_outside(name: str) -> None:
    knob = recipe_fields()[name]
    parts = knob.kind.length or 1
    for bound, step in ((knob.range.low, -1), (knob.range.high, 1)):  # type: ignore[union-attr]
        outside = bound + step * max(abs(bound), 1)
        with pytest.raises(RecipeError, match=f"^{name} is "):
            Recipe(**{name: (outside,) * parts if knob.kind.length else outside})


def test_the_command_line_goes_before_the_recipe() -> None:
    recipe = SourcedRecipe("a", Recipe(epochs=3, rate=1), {"epochs": "paper", "rate": "code"})
    found = recipe.overridden({"steps": 7, "rate": 2.0})
    assert (found.recipe.steps, found.recipe.epochs, found.recipe.rate) == (7, None, 2)
    assert found.sources == {"steps": "option", "rate": "option"}
    with pytest.raises(RecipeError, match="a recipe has no field 'rat'; did you mean 'rate'"):
        recipe.overridden({"rat": 2})
    with pytest.raises(KnobError, match=r"^--crop-share is 2, but must be a number greater than 0 and at most 1"):
        parse_field("crop_share", "2")


def test_recipes_list_and_show(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert run(["recipes", "list", "--format", "json"]) == 0
    listed = capsys.readouterr().out
    assert all(f'"{name}"' in listed for name in recipe_names())
    assert run(["recipes", "show", "rmi-voc", "--format", "csv"]) == 0
    shown = capsys.readouterr().out
    assert "rate,0.007,paper," in shown
    assert "warmup,1500,code," in shown
    assert "clip,none,default," in shown
    assert run(["recipes", "show", "rmi-voc", "--format", "markdown"]) == 0
    assert "the authors resample images bicubically" in capsys.readouterr().out
    assert run(["recipes", "show", written(tmp_path, "  rate: 3")]) == 0
    assert re.search(r"rate +3 +ours", capsys.readouterr().out)


def test_recipes_are_read_without_torch() -> None:
    code = "import sys; from segablate.cli import run; run(['recipes', 'list']); sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False, capture_output=True).returncode == 0
