"""``segablate recipes``: how the papers train, field by field."""

from typing import Annotated

import typer

from segablate.cli.completion import recipes
from segablate.cli.options import OutputOptions, expanded

app = typer.Typer(help="List the recipes of training, or show one with the source of each field.", no_args_is_help=True)


def list_recipes(*, output: OutputOptions) -> None:
    """List the recipes."""
    from segablate.render import print_report
    from segablate.tables.training import recipes_report
    from segablate.training.recipe import open_recipe, recipe_names

    print_report(recipes_report([open_recipe(name) for name in recipe_names()]), output.format, wide=output.wide)


def show(
    name: Annotated[str, typer.Argument(help="A recipe by name, or a FILE.yaml.", autocompletion=recipes)],
    *,
    output: OutputOptions,
) -> None:
    """Show a recipe: each field, its value, and whether paper, code or this project says so."""
    from segablate.render import print_report
    from segablate.tables.training import recipe_report
    from segablate.training.recipe import open_recipe

    print_report(recipe_report(open_recipe(name)), output.format, wide=output.wide)


app.command("list")(expanded(list_recipes))
app.command("show")(expanded(show))
