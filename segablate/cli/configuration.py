"""Options of a command in a YAML file: ``--config run.yaml``, and ``--write-config run.yaml`` to begin with one.

The file is a mapping of options without their dashes, and of arguments by name::

    checkpoint: card.yaml
    dataset: camvid:/data/camvid
    tolerance: [3, 0.0075d]
    calibration: false

Its values take the place of defaults: they are checked as those of the command line, which override them.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import typer

from segablate.cli.config_errors import Options, remember_options
from segablate.cli.meant import plain_reason
from segablate.errors import UsageError, at, did_you_mean

_PANEL = "Options in a file"
_OWN = ("config", "write_config", "help")


def _apply(ctx: typer.Context, path: Path | None) -> Path | None:
    """Make the values of the file the defaults of the command; called before other options are read."""
    if path is not None and not ctx.resilient_parsing:
        values = read_options(path, ctx)
        ctx.default_map = values
        names = {key: each.name for key, each in _parameters(ctx.command).items() if each.name in values}
        remember_options(Options(path, ctx, {key: values[name] for key, name in names.items()}, names))
    return path


@dataclass(frozen=True)
class ConfigOptions:
    """Options of options in files."""

    config: Annotated[
        Path | None,
        typer.Option(
            help="YAML file of options and arguments by name; the command line overrides it.",
            rich_help_panel=_PANEL,
            is_eager=True,
            callback=_apply,
        ),
    ] = None
    write_config: Annotated[
        Path | None,
        typer.Option(help="Write the options given to this new YAML file, and stop.", rich_help_panel=_PANEL),
    ] = None

    def written(self, ctx: typer.Context) -> bool:
        """Write the options given, where asked for, and return whether the command ends with that."""
        if self.write_config is None:
            return False
        write_options(self.write_config, ctx)
        words = " ".join(ctx.command_path.split()[1:])
        typer.echo(f"{self.write_config} written; run it with: segablate {words} --config {self.write_config}")
        return True


def read_options(path: Path, ctx: typer.Context) -> dict[str, Any]:
    """Return the values of a file by the names of the command's parameters.

    Raises UsageError for what is no mapping, an option that the command does not have, and a value that is none.
    """
    from segablate.yaml_files import read_yaml

    command: Any = ctx.command
    known = _parameters(command)
    with at(f"--config {path}"):
        found = read_yaml(path)
        if not isinstance(found, dict):
            raise UsageError("must map options to values, as in tolerance: 3")
        values = {}
        for key, value in found.items():
            name = str(key).removeprefix("--").replace("_", "-")
            if name not in known:
                raise UsageError(f"{command.name} has no option {str(key)!r}{did_you_mean(name, known)}")
            if value is not None:
                values[known[name].name] = _checked(name, _value(name, value, known[name]), known[name], ctx)
        return values


def _checked(name: str, value: Any, parameter: Any, ctx: typer.Context) -> Any:
    """Return a value that the option takes. Raises UsageError for another, and what its callback raises."""
    try:
        with at(name):
            parameter.process_value(ctx, value)
    except typer.TyperException as error:
        reason = plain_reason(str(getattr(error, "message", error))).removeprefix(f"{value!r} is ").rstrip(".")
        raise UsageError(f"{name} is {value!r}: {reason[:1].lower()}{reason[1:]}") from None
    return value


def write_options(path: Path, ctx: typer.Context) -> None:
    """Write the options and arguments that were given, also by another file. RunError where the file exists."""
    import yaml

    from segablate.evaluation.runs import refuse_existing
    from segablate.files import write_atomically, writing

    refuse_existing(path)
    given = {}
    for name, parameter in _parameters(ctx.command).items():
        source = getattr(ctx.get_parameter_source(parameter.name), "name", "DEFAULT")
        if source in ("COMMANDLINE", "DEFAULT_MAP", "ENVIRONMENT"):
            given[name] = _plain(ctx.params[parameter.name])
    with writing(path):
        write_atomically(path, yaml.safe_dump(given, sort_keys=False, allow_unicode=True))


def _parameters(command: Any) -> dict[str, Any]:
    """Return options and arguments by name: the longest form without dashes, or that of an argument."""
    found = {}
    for each in command.params:
        if each.name not in _OWN and not getattr(each, "hidden", False):
            options = [option for option in each.opts if option.startswith("--")]
            found[(options[0].removeprefix("--") if options else each.name).replace("_", "-")] = each
    return found


def _value(name: str, value: Any, parameter: Any) -> Any:
    """Return a value as the command line has it: lists are comma-separated, unless several words are taken."""
    from segablate.objective.written_lists import joined

    several = parameter.nargs == -1 or getattr(parameter, "multiple", False)
    if isinstance(value, list):
        if any(isinstance(each, dict | list) for each in value):
            raise UsageError(f"{name} must be a value or a list of values")
        words = [_word(each) for each in value]
        return words if several else joined(words)
    if isinstance(value, dict):
        raise UsageError(f"{name} must be a value or a list of values")
    if getattr(parameter, "is_flag", False):
        if not isinstance(value, bool):
            raise UsageError(f"{name} is {value!r}, but must be true or false")
        return value
    return [_word(value)] if several else _word(value)


def _word(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _plain(value: Any) -> Any:
    if isinstance(value, list | tuple):
        return [_plain(each) for each in value]
    return value if isinstance(value, bool | int | float | str) else str(value)
