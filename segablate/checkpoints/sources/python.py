"""A network from a user's Python code, with a state dict: ``python:MODULE:FACTORY(...)@FILE``.

As in ``python:nets.unet:unet(num_classes=12)@weights.pth`` or ``python:nets/unet.py:unet(num_classes=12)@weights.pth``.
The module is a dotted name, found from the working directory too (and from the folder of the card that names it), or
the path of a ``.py`` file. The factory is called with literal arguments and returns a ``torch.nn.Module``. The weights
are a state dict, see :mod:`segablate.weights`. An attribute ``preprocessing`` of the factory or of the network, a
mapping as in a card, states how pixels are preprocessed. What the user types runs; what a card names runs only with
trust.
"""

import re
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple

from segablate.checkpoints.assumptions import ASSUMED, stated_by_code
from segablate.checkpoints.imported_files import files_of
from segablate.checkpoints.preprocessing import Preprocessing
from segablate.checkpoints.segmenter import Loading, Segmenter, Source
from segablate.checkpoints.specification import literal_arguments
from segablate.checkpoints.trust import check_for
from segablate.errors import CheckpointError, SegablateError, at
from segablate.user_code import exits_raised, find_function, innermost

_FORM = re.compile(r"(?P<module>.+?):(?P<factory>[A-Za-z_]\w*)(?P<arguments>\(.*\))?(@(?P<weights>.+))?", re.DOTALL)


@dataclass(frozen=True)
class PythonSpec:
    """The parts of a ``python:`` specification."""

    module: str
    factory: str
    arguments: str
    weights: str | None

    def __str__(self) -> str:
        return f"python:{self.module}:{self.factory}{self.arguments}"


def parse_spec(text: str) -> PythonSpec:
    """Parse ``module:factory(arguments)@weights``. Raises CheckpointError for another form."""
    found = _FORM.fullmatch(text.strip())
    if not found:
        raise CheckpointError(f"'python:{text}' is malformed; write python:package.module:factory(num_classes=11)@FILE")
    return PythonSpec(found["module"], found["factory"], found["arguments"] or "()", found["weights"])


def open_source(text: str, loading: Loading) -> Segmenter:
    """Build the network and load its weights strictly.

    Raises UserCodeError for code that cannot be imported, and CheckpointError for weights that do not fit.
    """
    from segablate.checkpoints.network import prepared, with_classes_of
    from segablate.weights import load_weights, read_weights

    spec = parse_spec(text)
    if spec.weights is None:
        raise CheckpointError(f"{spec} has no weights; add @FILE, as in {spec}@weights.pth")
    path = loading.located(spec.weights)
    weights = read_weights(path, key=loading.key)
    files = weights.files
    if spec.module.endswith(".py"):
        spec = replace(spec, module=str(loading.located(spec.module)))
        files = (*weights.files, Path(spec.module))
    module, stated = build(spec, loading)
    notes = load_weights(module, weights, loading.strip_prefix)
    source = Source(f"python:{text}", files, {}, notes, str(spec))
    start = Preprocessing.parse(stated or {})
    return with_classes_of(
        weights, prepared(module, source, loading, start, assume=None if stated is not None else ASSUMED)
    )


def open_new(text: str, loading: Loading, classes: int) -> Segmenter:
    """Build the network as its factory does; the number of classes is what the factory's arguments say."""
    from segablate.checkpoints.network import prepared

    spec = parse_spec(text)
    files: tuple[Path, ...] = ()
    if spec.module.endswith(".py"):
        spec = replace(spec, module=str(loading.located(spec.module)))
        files = (Path(spec.module),)
    module, stated = build(spec, loading)
    source, start = Source(f"python:{text}", files, {}, (), str(spec)), Preprocessing.parse(stated or {})
    return prepared(module, source, loading, start, assume=None if stated is not None else ASSUMED)


def code_files(text: str, loading: Loading) -> tuple[Path, ...]:
    """Return the Python files that run: the module's, and those it imports from its folder. None is read as code."""
    module = parse_spec(text).module
    if not module.endswith(".py"):
        return files_of(module, _folders(loading))
    path = loading.located(module)
    if not path.is_file():
        raise CheckpointError(f"{path}: no such Python file; check the path")
    return files_of(str(path), [path.parent])


def _folders(loading: Loading) -> list[Path]:
    """Return where dotted modules are looked for: beside the card, and in the working directory."""
    return [*([loading.folder.resolve()] if loading.card else []), Path.cwd()]


class Built(NamedTuple):
    """A network, and the preprocessing that it or its factory states, by the names of a card, or None."""

    module: Any
    stated: dict[str, Any] | None


def build(spec: PythonSpec, loading: Loading) -> Built:
    """Call the factory.

    Raises UserCodeError when there is none, and CheckpointError when it fails or returns no module, or when it is named
    by a card that is not trusted.
    """
    from torch import nn

    check = check_for(loading.card, loading.trust_code)
    factory = find_function(spec.module, spec.factory, _folders(loading), check)
    arguments, named = literal_arguments(spec.arguments, spec, f"{spec.factory}(num_classes=11, name='a')")
    try:
        with exits_raised():
            module = factory(*arguments, **named)
    except SegablateError:
        raise
    except Exception as error:
        raise CheckpointError(f"{spec} raises {innermost(error)}") from error
    if not isinstance(module, nn.Module):
        raise CheckpointError(f"{spec} returns {type(module).__name__}; expected a torch.nn.Module")
    stated = stated_by_code(factory, module)
    with at(f"{spec} states a preprocessing, which"):
        Preprocessing.parse(stated or {})
    return Built(module, stated)
