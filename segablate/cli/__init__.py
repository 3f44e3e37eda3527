"""The command line. One file per command; nothing heavy is imported before a command runs.

A :class:`SegablateError` is one red line on standard error and exit code 1 (2 for usage); everything else is a bug and
ends in its traceback.
"""

import gc
import signal
import sys
from collections.abc import Sequence

import typer

from segablate.cli import application
from segablate.cli.config_errors import options_remembered, with_place
from segablate.cli.flips import with_flip_values
from segablate.cli.invocation import invoked
from segablate.cli.locking import locks_released
from segablate.cli.meant import meant, plain_reason
from segablate.cli.output import ClosedOutput, guarded_output
from segablate.errors import SegablateError
from segablate.runtime import team


def run(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit code.

    0, 1 (an error), 2 (usage), 130 (interrupted), or 141 (whatever reads standard output has closed it).
    """
    words = list(sys.argv[1:] if arguments is None else arguments)
    with options_remembered():
        return _run(words)


def _run(words: list[str]) -> int:
    try:
        with guarded_output(), locks_released(), invoked(words):
            code = application.app(with_flip_values(words) or ["--help"], prog_name="segablate", standalone_mode=False)
        team().leave()
    except ClosedOutput as error:
        return error.exit_code
    except typer.TyperException as error:
        message = plain_reason(error.format_message())
        return _fail(meant(error, words) or message + _mentions(error), error.exit_code)
    except SegablateError as error:
        return _fail(with_place(str(error)), error.exit_code)
    except typer.Abort as error:  # what typer makes of an EOFError, which is a bug wherever it is raised
        raise (error.__cause__ or error) from None
    except KeyboardInterrupt:
        code = 130
    if code == 130:
        _say("interrupted; nothing was written")
    return code if isinstance(code, int) else 0


def main() -> None:
    """Run the console script; on SIGTERM, end without leaving processes or half-written folders behind."""
    gc.set_threshold(50_000, *gc.get_threshold()[1:])  # imports make many objects and leave little to collect
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(128 + number))
    sys.exit(run())


def _mentions(error: typer.TyperException) -> str:
    """Name the options whose help mentions the word of an option that does not exist."""
    word = str(getattr(error, "option_name", "")).strip("-").replace("-", " ").lower()
    context = getattr(error, "ctx", None)
    if not word or context is None or getattr(error, "possibilities", None):
        return ""
    helps = {option.opts[0]: getattr(option, "help", None) or "" for option in context.command.params}
    found = [name for name, text in helps.items() if word in text.lower()]
    return f"; the help of {', '.join(found)} mentions {word!r}" if found else ""


def _fail(message: str, code: int) -> int:
    from segablate.render.cells import one_line

    _say(f"error: {one_line(message)}")
    return code


def _say(line: str) -> None:
    """Print an error, unless another process of the team has printed one already."""
    if not team().first_to_fail():
        return
    from rich.console import Console
    from rich.text import Text

    Console(stderr=True, soft_wrap=True).print(Text(line, style="bold red"))
