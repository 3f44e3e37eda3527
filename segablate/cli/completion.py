"""Completion of words at the prompt: losses, layouts, conventions, sources, samples, recipes. None imports torch.

Each function returns the words that begin with what was typed. Where a path is due, there are none, and the shell
completes file names itself.
"""

from collections.abc import Callable, Iterable


def losses(incomplete: str) -> list[str]:
    """Complete the name of a loss."""
    return _starting(_losses(), incomplete)


def loss_list(incomplete: str) -> list[str]:
    """Complete the last name of a comma-separated list of losses, or ``all`` or ``none``."""
    return _last(incomplete, [*_losses(), "all", "none"])


def layouts(incomplete: str) -> list[str]:
    """Complete the name of a layout."""
    from segablate.datasets import dataset_layouts

    return _starting(dataset_layouts(), incomplete)


def datasets(incomplete: str) -> list[str]:
    """Complete ``sample``, or a layout with its colon."""
    from segablate.datasets import dataset_layouts

    return _starting(["sample", *(f"{name}:" for name in dataset_layouts() if name != "sample")], incomplete)


def checkpoints(incomplete: str) -> list[str]:
    """Complete a source with its colon, or a sample checkpoint."""
    from segablate.checkpoints import checkpoint_sources

    names = [f"{name}:" for name in checkpoint_sources() if name != "sample"]
    return _starting([*(f"sample:{name}" for name in _samples()), *names], incomplete)


def networks(incomplete: str) -> list[str]:
    """Complete the name of a network of this package, or what is completed for a checkpoint."""
    from segablate.networks import network_names

    return [*_starting(network_names(), incomplete), *checkpoints(incomplete)]


def conventions(incomplete: str) -> list[str]:
    """Complete the name of a convention."""
    from segablate.metrics.conventions import BOUNDARIES, OURS, REGIONS, VOIDS

    return _starting([convention.name for convention in (OURS, *VOIDS, *REGIONS, *BOUNDARIES)], incomplete)


def boundary_list(incomplete: str) -> list[str]:
    """Complete the last name of a comma-separated list of boundary conventions."""
    from segablate.metrics.conventions import BOUNDARIES

    return _last(incomplete, [convention.name for convention in BOUNDARIES])


def recipes(incomplete: str) -> list[str]:
    """Complete the name of a recipe."""
    from segablate.training.recipe import recipe_names

    return _starting(recipe_names(), incomplete)


def metrics(incomplete: str) -> list[str]:
    """Complete the name of a metric that has a surrogate."""
    from segablate.search import METRICS

    return _starting(METRICS, incomplete)


Completion = Callable[[str], list[str]]


def _losses() -> list[str]:
    from segablate.losses import loss_names

    return list(loss_names())


def _samples() -> list[str]:
    from segablate.datasets.sample_files import sample_data

    return sorted(path.stem for path in (sample_data() / "checkpoints").glob("*.safetensors"))


def _starting(words: Iterable[str], incomplete: str) -> list[str]:
    return [word for word in words if word.startswith(incomplete)]


def _last(incomplete: str, words: Iterable[str]) -> list[str]:
    """Complete the last part of a comma-separated list; the parts before it stay."""
    before, comma, last = incomplete.rpartition(",")
    given = before.split(",")
    return [f"{before}{comma}{word}" for word in words if word.startswith(last) and word not in given]
