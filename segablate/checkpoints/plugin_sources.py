"""Sources of checkpoints of other packages, by entry points of the group ``segablate.sources``.

Such a source is a module, or an object, with ``open_source(rest, loading)``, as every file in ``sources/`` has. Where
it also has ``open_new(rest, loading, classes)``, it builds networks with random weights to be trained.
"""

from collections.abc import Callable
from dataclasses import dataclass, is_dataclass, replace
from inspect import getdoc
from pathlib import Path
from typing import Any

from segablate.checkpoints.segmenter import Loading, Segmenter, Source
from segablate.plugins import Plugin, package_of, running

_PARTS = ("source", "classes", "class_map", "capabilities", "for_dataset", "__call__")


@dataclass(frozen=True)
class PluginSource:
    """A source of another package, whose results are checked.

    - `plugin`: where it comes from; `found`: the module or object that the package brings.
    """

    plugin: Plugin
    found: Any

    @property
    def docstring(self) -> str:
        """Return its documentation; the first line is ``WHAT: ``FORM``.`` as in the files of this program."""
        return getdoc(self.found) or ""

    def defines(self, name: str) -> bool:
        """Return whether it has an optional function: ``open_new`` or ``code_files``."""
        return callable(getattr(self.found, name, None))

    def open_source(self, rest: str, loading: Loading) -> Segmenter:
        """Load a checkpoint. Raises UserCodeError where its code fails or returns no segmenter."""
        return self._opened(rest, self.found.open_source, (rest, loading))

    def open_new(self, rest: str, loading: Loading, classes: int) -> Segmenter:
        """Build a network with random weights. Raises UserCodeError where its code fails or returns no segmenter."""
        return self._opened(rest, self.found.open_new, (rest, loading, classes))

    def code_files(self, rest: str, loading: Loading) -> tuple[Path, ...]:
        """Return the files whose code runs when a checkpoint is opened; runs none of them."""
        with running(str(self.plugin)):
            return tuple(map(Path, self.found.code_files(rest, loading)))

    def _opened(self, rest: str, function: Callable[..., Any], arguments: tuple[Any, ...]) -> Segmenter:
        with running(str(self.plugin)):
            found = function(*arguments)
        source = getattr(found, "source", None)
        lacking = [name for name in _PARTS if not hasattr(found, name)]
        if lacking or not is_dataclass(found) or not isinstance(source, Source):
            raise self.plugin.failure(
                f"returns {type(found).__name__}; it must return a segmenter, as of "
                "segablate.checkpoints.network.prepared(module, Source(...), loading)"
            )
        facts = {"package": package_of(self.plugin), **source.facts}
        source = replace(source, spec=f"{self.plugin.name}:{rest}", facts=facts, by_files=False)
        return replace(found, source=source)  # type: ignore[return-value, arg-type]


def load_source(plugin: Plugin) -> PluginSource:
    """Import a source. Raises UserCodeError for one that fails, or has no ``open_source``."""
    found = plugin.load()
    if not callable(getattr(found, "open_source", None)):
        raise plugin.failure(
            f"is no source: {plugin.entry.value} has no function open_source; update or uninstall the package"
        )
    return PluginSource(plugin, found)
