"""Optional dependencies, imported when needed."""

import importlib
from types import ModuleType

from segablate.errors import MissingExtra


def require(module: str, extra: str, purpose: str) -> ModuleType:
    """Import an optional module for a `purpose`. Raises MissingExtra when it is missing or broken.

    A package built for another torch may raise any exception at import.
    """
    package = module.partition(".")[0]
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        missing = (error.name or package).partition(".")[0]
        raise MissingExtra(missing, extra, purpose) from None
    except Exception as error:
        reason = " ".join(str(error).split()) or type(error).__name__
        raise MissingExtra(package, extra, purpose, broken=reason) from error
