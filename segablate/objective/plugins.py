"""Losses of other packages, by entry points of the group ``segablate.losses``; nothing is imported before it is used.

Such a loss is a function as :mod:`segablate.objective` describes it, decorated with ``@loss`` or plain.
"""

from dataclasses import replace

from segablate.errors import SegablateError
from segablate.objective.loss import Loss
from segablate.plugins import Plugin


def load_loss(plugin: Plugin) -> Loss:
    """Import a loss. Raises UserCodeError for one that fails, is no function or has a signature of no loss."""
    found = plugin.load()
    if not callable(found):
        raise plugin.failure(f"is no function: {plugin.entry.value}; update or uninstall the package")
    if isinstance(found, Loss):
        loss = replace(found, name=plugin.name, package=plugin.package)
    else:
        loss = Loss(plugin.name, found, paper="", objective=plugin.name, package=plugin.package)
    try:
        _ = loss.knobs, loss.inputs  # what cannot be read is reported here, not in the middle of a list
    except (SegablateError, TypeError, ValueError, NameError) as error:
        raise plugin.failure(f"has a signature of no loss: {error}; update or uninstall the package") from error
    return loss
