"""Anybody's network with a state dict: ``python:MODULE:FACTORY(...)@FILE``.

As in ``python:nets.unet:unet(num_classes=12)@weights.pth`` or ``python:nets/unet.py:unet(num_classes=12)@weights.pth``.
The module is a dotted name, found from the working directory too, or the path of a ``.py`` file. The factory is called
with literal arguments and returns a ``torch.nn.Module``. The weights are a state dict, see :mod:`segablate.weights`.
"""

import importlib
import importlib.util
import re
import sys
import traceback
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from types import ModuleType
from typing import Any

from segablate.checkpoints.segmenter import Loading, Segmenter, Source
from segablate.checkpoints.specification import literal_arguments
from segablate.errors import CheckpointError, did_you_mean

_FORM = re.compile(r"(?P<module>.+?):(?P<factory>[A-Za-z_]\w*)(?P<arguments>\(.*\))?(@(?P<weights>.+))?", re.DOTALL)


@dataclass(frozen=True)
class PythonSpec:
    """The parts of a specification."""

    module: str
    factory: str
    arguments: str
    weights: str | None

    def __str__(self) -> str:
        return f"python:{self.module}:{self.factory}{self.arguments}"


def parse_spec(text: str) -> PythonSpec:
    """Take ``module:factory(arguments)@weights`` apart; CheckpointError when it has another form."""
    found = _FORM.fullmatch(text.strip())
    if not found:
        raise CheckpointError(f"'python:{text}' is malformed; write python:package.module:factory(num_classes=11)@FILE")
    return PythonSpec(found["module"], found["factory"], found["arguments"] or "()", found["weights"])


def open_source(text: str, loading: Loading) -> Segmenter:
    """Build the network and load its weights strictly, with the default preprocessing and what `loading` overrides."""
    from segablate.checkpoints.network import prepared, with_classes_of
    from segablate.weights import load_strictly, read_weights, state_dict

    spec = parse_spec(text)
    if spec.weights is None:
        raise CheckpointError(f"{spec} names no weights; add @FILE, as in {spec}@weights.pth")
    path = loading.located(spec.weights)
    weights = read_weights(path, key=loading.key)
    files = (path,)
    if spec.module.endswith(".py"):
        spec = replace(spec, module=str(loading.located(spec.module)))
        files = (path, Path(spec.module))
    module = build(spec)
    tensors = state_dict(weights, strip_prefix=loading.strip_prefix, names=module.state_dict().keys())
    notes = load_strictly(module, tensors, str(path))
    source = Source(f"python:{text}", files, {}, (*weights.notes, *notes))
    return with_classes_of(weights, prepared(module, source, loading))


def build(spec: PythonSpec) -> Any:
    """Call the factory; CheckpointError when the code is not there, fails, or returns no module."""
    from torch import nn

    factory = find_function(spec.module, spec.factory)
    arguments, named = literal_arguments(spec.arguments, spec, f"{spec.factory}(num_classes=11, name='a')")
    try:
        module = factory(*arguments, **named)
    except Exception as error:
        raise CheckpointError(f"{spec} raises {_innermost(error)}") from error
    if not isinstance(module, nn.Module):
        raise CheckpointError(f"{spec} returns {type(module).__name__}; expected a torch.nn.Module")
    return module


def find_function(module: str, name: str) -> Callable[..., Any]:
    """A function of a dotted module or of a ``.py`` file; CheckpointError when it is not there."""
    code = _load_file(Path(module).expanduser()) if module.endswith(".py") else _load_module(module)
    if not callable(getattr(code, name, None)):
        public = [known for known, value in vars(code).items() if callable(value) and not known.startswith("_")]
        raise CheckpointError(f"python:{module} has no function {name!r}{did_you_mean(name, public)}")
    return getattr(code, name)


def _load_file(path: Path) -> ModuleType:
    if not path.is_file():
        raise CheckpointError(f"{path}: there is no such Python file")
    spec = importlib.util.spec_from_file_location(path.stem, path)
    if spec is None or spec.loader is None:
        raise CheckpointError(f"{path}: not a Python file")
    code = importlib.util.module_from_spec(spec)
    sys.path.insert(0, str(path.parent.resolve()))  # for its neighbours
    try:
        spec.loader.exec_module(code)
    except Exception as error:
        raise CheckpointError(f"{path} raises {_innermost(error)} when imported") from error
    finally:
        sys.path.pop(0)
    return code


def _load_module(name: str) -> ModuleType:
    sys.path.insert(0, str(Path.cwd()))
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        missing = "it" if error.name and name.startswith(error.name) else f"the module {error.name!r} it needs"
        raise CheckpointError(
            f"python:{name} cannot be imported: {missing} is not installed, nor in the working directory"
        ) from error
    except Exception as error:
        raise CheckpointError(f"python:{name} raises {_innermost(error)} when imported") from error
    finally:
        sys.path.pop(0)


def _innermost(error: Exception) -> str:
    """``TypeError: ... (net.py, line 12)``."""
    frames = traceback.extract_tb(error.__traceback__)
    where = f" ({Path(frames[-1].filename).name}, line {frames[-1].lineno})" if frames else ""
    return f"{type(error).__name__}: {' '.join(str(error).split())}{where}"
