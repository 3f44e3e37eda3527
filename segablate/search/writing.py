"""The file of the parameters found, which ``asl(theta=FILE)`` reads; see :mod:`segablate.losses.parts.theta_files`."""

from importlib import metadata
from math import isnan
from pathlib import Path
from typing import Any

from segablate import __version__
from segablate.errors import counted
from segablate.files import write_atomically, writing
from segablate.search.plan import PUBLISHED
from segablate.search.running import Found

THETA = "theta.yaml"


def write_theta(found: Found, folder: Path, command: str) -> Path:
    """Write the parameters with how they were found, and return the file. Unwritable where that is not possible."""
    import yaml

    path = folder / THETA
    text = yaml.safe_dump(_described(found, command), sort_keys=False, allow_unicode=True, width=100)
    with writing(path):
        write_atomically(path, f"# Curves of a surrogate, for asl(metric={found.search.metric}, theta=FILE)\n{text}")
    return path


def _described(found: Found, command: str) -> dict[str, Any]:
    search, (number, sample) = found.search, found.place
    request = search.proxy.request
    data = request.dataset
    return {
        "metric": search.metric,
        "pieces": search.space.pieces,
        "theta": list(found.theta),
        "reward": found.reward,
        "baseline_reward": found.baseline,
        "published_reward": None if isnan(found.references[PUBLISHED]) else found.references[PUBLISHED],
        "sample": f"round {number + 1}, sample {sample}: the highest reward of all",
        "found_by": {
            "command": command,
            "sampler": search.described()["sampler"],
            "seed": search.seed,
            "rounds": search.rounds,
            "samples": search.samples,
            "network": request.network,
            "trained": request.part,
            "steps": request.recipe.total(len(data)),
            "dataset": f"{data.spec}, split {data.split}: {counted(len(data), 'image')}",
            "held_out": f"split {search.proxy.reported.split}: {counted(len(search.proxy.reported), 'image')}",
            "segablate": __version__,
            "torch": metadata.version("torch"),
        },
    }
