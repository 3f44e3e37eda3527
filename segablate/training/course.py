"""The course of a training: ``progress.jsonl``, one line of JSON for each step, and the best weights so far."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import Tensor

from segablate.errors import RunError

FILE = "progress.jsonl"


class Course:
    """Writes the course; processes other than the leading one write nothing."""

    def __init__(self, folder: Path, leads: bool) -> None:
        self.folder, self.leads = folder, leads

    def go_on(self, step: int) -> None:
        """Drop what was written after this step, by an attempt that was killed."""
        path = self.folder / FILE
        if not self.leads or not path.is_file():
            return
        kept = [line for line in path.read_text(encoding="utf-8").splitlines() if _step_of(line) <= step]
        path.write_text("".join(f"{line}\n" for line in kept), encoding="utf-8")

    def add(self, entry: Mapping[str, Any]) -> None:
        """Write one line. RunError where it cannot be written."""
        if not self.leads:
            return
        try:
            with open(self.folder / FILE, "a", encoding="utf-8") as file:
                file.write(json.dumps(entry) + "\n")
        except OSError as error:
            reason = error.strerror or error
            raise RunError(f"{self.folder / FILE} cannot be written: {reason}; then go on with --resume") from None

    def keep_best(self, step: int, weights: Mapping[str, Tensor]) -> None:
        """Keep the weights of a step; those of the last but one stay, for a state may still name them."""
        from safetensors.torch import save

        from segablate.files import write_atomically

        if not self.leads:
            return
        tensors = {name: tensor.detach().cpu().contiguous().clone() for name, tensor in weights.items()}
        write_atomically(self.folder / _best(step), save(tensors))
        for old in sorted(self.folder.glob("best-*.safetensors"))[:-2]:
            old.unlink(missing_ok=True)

    def best_weights(self, step: int) -> dict[str, Tensor]:
        """Return the weights that were kept of a step."""
        from safetensors.torch import load_file

        return load_file(self.folder / _best(step))


def _best(step: int) -> str:
    return f"best-{step:09d}.safetensors"


def _step_of(line: str) -> float:
    try:
        return json.loads(line)["step"]
    except (ValueError, KeyError, TypeError):
        return float("inf")
