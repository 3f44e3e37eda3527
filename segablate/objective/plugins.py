"""Losses of other packages, by entry points of the group ``segablate.losses``; nothing is imported before it is used.

In the ``pyproject.toml`` of such a package::

    [project.entry-points."segablate.losses"]
    tversky = "my_losses.tversky:tversky"

where ``tversky`` is a function as :mod:`segablate.objective` describes it, decorated with ``@loss`` or plain. A name of
this program cannot be taken. A package that fails, fails alone: its losses say why.
"""

from dataclasses import dataclass, replace
from functools import cache
from importlib.metadata import EntryPoint, entry_points

from segablate.errors import UserCodeError
from segablate.objective.loss import Loss
from segablate.user_code import innermost, own_output

GROUP = "segablate.losses"


@dataclass(frozen=True)
class Plugin:
    """A loss of another package: its name, the package that brings it, and the entry point."""

    name: str
    package: str
    entry: EntryPoint

    def load(self) -> Loss:
        """Import the loss. Raises UserCodeError for one that fails or is no function."""
        try:
            with own_output():
                found = self.entry.load()
        except Exception as error:
            raise UserCodeError(
                f"loss {self.name!r} of package {self.package} cannot be loaded: {innermost(error)}; update or "
                f"uninstall the package"
            ) from error
        if not callable(found):
            raise UserCodeError(f"loss {self.name!r} of package {self.package} is no function: {self.entry.value}")
        if isinstance(found, Loss):
            return replace(found, name=self.name, package=self.package)
        return Loss(self.name, found, paper="", objective=self.name, package=self.package)


@cache
def plugins() -> dict[str, Plugin]:
    """Return the losses of other packages by name, in alphabetical order; imports none of them."""
    found = {}
    for entry in sorted(entry_points(group=GROUP), key=lambda each: each.name):
        if entry.name.isidentifier():
            package = entry.dist.name if entry.dist is not None else entry.module.partition(".")[0]
            found.setdefault(entry.name, Plugin(entry.name, package, entry))
    return found
