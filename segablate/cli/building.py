"""Commands whose options are known when they are called: the signature of a loss, or the fields of a recipe."""

import inspect
from collections.abc import Callable, Collection, Mapping
from typing import Any

import typer

from segablate.cli.options import expanded


def build_command(
    name: str,
    run: Callable[..., None],
    help: str,
    arguments: Mapping[str, tuple[Any, Any]],
    groups: Mapping[str, type],
    without: Collection[str] = (),
) -> Any:
    """Return the click command that calls a function with named arguments.

    - `arguments`: annotation and default by name; `groups`: dataclasses of options by name, required by the function.
    - `without`: options of the groups that are left out.
    """

    def command(**given: Any) -> None:
        run(**given)

    parameters = [
        _parameter("ctx", typer.Context),
        *(_parameter(name, annotation, default) for name, (annotation, default) in arguments.items()),
        *(_parameter(name, group) for name, group in groups.items()),
    ]
    command.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    command.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
    app = typer.Typer(add_completion=False, rich_markup_mode="rich", pretty_exceptions_enable=False)
    app.command(name, help=help)(expanded(command, without=without))
    return typer.main.get_command(app)


def _parameter(name: str, annotation: Any, default: Any = inspect.Parameter.empty) -> inspect.Parameter:
    return inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=annotation)
