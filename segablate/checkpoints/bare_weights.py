"""Weights without a network: what they hold, what network they look like, and the specification that loads them."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from segablate.checkpoints import open_checkpoint, source_of
from segablate.checkpoints.look_alikes import LookAlike, look_alikes
from segablate.checkpoints.segmenter import Loading
from segablate.checkpoints.sources.native import is_described
from segablate.errors import SegablateError
from segablate.files import is_folder
from segablate.weights.recognition.description import quoted
from segablate.weights.shards import holds_weights, is_index

if TYPE_CHECKING:
    from segablate.weights import Weights


@dataclass(frozen=True)
class BareWeights:
    """Weights read from a file or folder.

    ``found``: the network whose specification was tried and loads them, or else the one they look like. ``tried``:
    whether it loads. ``refused``: why specifications that look right do not load.
    """

    weights: "Weights"
    found: LookAlike | None = None
    tried: bool = False
    refused: Mapping[str, str] = field(default_factory=dict)

    @property
    def remedy(self) -> str:
        """Say what to write."""
        if self.found is not None and self.found.spec is not None and self.tried:
            return f"write {shell(self.found.spec)}, which was tried: all keys fit"
        if self.found is not None and self.found.advice:
            return self.found.advice
        reasons = [f"{shell(spec)} does not load: {reason}" for spec, reason in self.refused.items()]
        return "; ".join([*reasons, f"name the network, as in {example(self.weights.path)}"])


def example(path: Path) -> str:
    """Return an example of a specification for weights of an own network."""
    return f"python:package.module:factory(num_classes=11)@{path}"


def shell(spec: str) -> str:
    """Return a specification as it is typed in a shell."""
    return f"'{spec}'" if any(sign in spec for sign in "(\"' ") else spec


def read_bare(spec: str, loading: Loading) -> BareWeights | None:
    """Read the weights that a specification without a network names; None where it names a network too.

    Raises CheckpointError for files that hold no weights.
    """
    from segablate.weights import read_weights

    path = loading.located(spec)
    if is_folder(path):
        bare = holds_weights(path) and not (path / "config.json").is_file()
    else:
        found = source_of(spec, loading)
        own = found is not None and found.name == "native" and found.rest == spec and not is_described(path)
        bare = path.is_file() and (found is None or own or is_index(path))
    return compared(read_weights(path, key=loading.key), loading) if bare else None


def compared(weights: "Weights", loading: Loading) -> BareWeights:
    """Compare weights with known networks, and try the specifications that look right."""
    from segablate.weights import state_dict

    tensors = state_dict(weights, strip_prefix=loading.strip_prefix)
    shapes = {key: tuple(value.shape) for key, value in tensors.items()}
    guesses = look_alikes(shapes, weights.path) or look_alikes(_without_first(shapes), weights.path)
    refused: dict[str, str] = {}
    for guess in guesses:
        if guess.spec is not None:
            try:
                open_checkpoint(guess.spec, Loading(device="cpu", key=loading.key, strip_prefix=loading.strip_prefix))
            except SegablateError as error:
                refused[guess.spec] = str(error)
            else:
                return BareWeights(weights, guess, True, refused)
    return BareWeights(weights, guesses[0] if guesses else None, False, refused)


def without_network(spec: str, path: Path, loading: Loading) -> str:
    """Return the message for weights that need a network. Raises CheckpointError for files that hold no weights."""
    bare = read_bare(str(path), loading)
    if bare is None or bare.found is None:
        return (
            f"{spec} holds weights, but no network; name the network, as in {example(path)} (segablate checkpoints "
            f"show {quoted(path)} lists the keys)"
        )
    return f"{spec} holds weights, but no network; they look like {bare.found.name}; {bare.remedy}"


def _without_first(shapes: Mapping[str, tuple[int, ...]]) -> dict[str, tuple[int, ...]]:
    """Remove the first part of the keys, such as ``segmenter.``, from those that share the commonest one."""
    tops = [key.partition(".")[0] for key in shapes]
    commonest = max(sorted(set(tops)), key=tops.count, default="")
    return {key.removeprefix(f"{commonest}."): shape for key, shape in shapes.items() if key.startswith(commonest)}
