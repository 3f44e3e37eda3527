"""Trainings and recipes as tables."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from segablate.errors import counted, thousands
from segablate.tables import Column, Report, Table
from segablate.training.recipe import SourcedRecipe, format_field, recipe_fields

if TYPE_CHECKING:
    from segablate.training.session import Training


def recipes_report(recipes: Sequence[SourcedRecipe]) -> Report:
    """Return the page of ``segablate recipes list``."""
    columns = (
        Column("recipe", "recipe", "text"),
        Column("network", "network", "prose"),
        Column("dataset", "dataset", "prose"),
        Column("objective", "objective", "prose"),
        Column("about", "what it is", "prose"),
        Column("claimed", "claimed", "prose", wide=True),
    )
    rows = tuple(
        {
            "recipe": each.name,
            "network": each.network,
            "dataset": each.dataset,
            "objective": each.recipe.objective,
            "about": each.about,
            "claimed": each.claimed,
        }
        for each in recipes
    )
    notes = ("None of the papers states an error bar or more than one seed.",)
    return Report("Recipes", (), (Table("recipes", "Recipes", columns, rows),), notes)


def recipe_report(recipe: SourcedRecipe) -> Report:
    """Return the page of ``segablate recipes show``."""
    facts = [("about", recipe.about), ("network", recipe.network), ("dataset", recipe.dataset)]
    facts += [("claimed", recipe.claimed)] if recipe.claimed else []
    head = tuple(fact for fact in facts if fact[1])
    return Report(recipe.name, head, (_fields(recipe, every=True),), recipe.differs)


def training_report(training: "Training", recipe: SourcedRecipe) -> Report:
    """Return the page of ``segablate train``."""
    facts = training.facts
    dataset, steps = facts["dataset"], facts["steps"]
    head = [
        ("checkpoint", training.checkpoint),
        ("network", facts["network"]),
        ("trained on", f"{dataset['name']}, split {dataset['split']}, {counted(dataset['images'], 'image')}"),
        ("objective", facts["objective"]),
        ("seed", str(facts["seed"])),
        ("steps", f"{thousands(steps)}, weights after step {thousands(facts['taken after step'])}"),
        ("time", f"{facts['seconds']:.0f} s"),
    ]
    if facts["auxiliary outputs"]:
        head.append(("auxiliary outputs", str(facts["auxiliary outputs"])))
    tables = [_validation(training)] if facts["validation"] else []
    notes = [*training.notes]
    if facts["batches without a label"]:
        notes.append(f"steps skipped, as their batch has no labelled pixel: {facts['batches without a label']}")
    if facts["steps without a finite loss"]:
        notes.append(f"steps skipped, as their loss was not finite: {facts['steps without a finite loss']}")
    notes.append(f"segablate evaluate {training.checkpoint} {dataset['name']} evaluates it")
    title = f"{facts['network']} trained on {dataset['name']}"
    return Report(title, tuple(head), (*tables, _fields(recipe, every=False)), tuple(notes))


def _validation(training: "Training") -> Table:
    columns = (Column("step", "step", "count"), Column("miou", "mIoU", "share"))
    rows = tuple({"step": int(step), "miou": miou} for step, miou in training.facts["validation"].items())
    return Table("validation", "Validation on the hold-out", columns, rows)


def _fields(recipe: SourcedRecipe, *, every: bool) -> Table:
    """The fields; unless `every`, only those that are stated."""
    columns = (
        Column("field", "field", "prose"),
        Column("value", "value", "prose"),
        Column("source", "source", "text"),
        Column("meaning", "meaning", "prose", wide=not every),
    )
    rows = tuple(
        {
            "field": name,
            "value": format_field(name, getattr(recipe.recipe, name)),
            "source": recipe.sources.get(name, "default"),
            "meaning": knob.help,
        }
        for name, knob in recipe_fields().items()
        if every or name in recipe.sources
    )
    return Table("recipe", f"Recipe {recipe.name}", columns, rows)
