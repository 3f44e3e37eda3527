"""The course of a training: ``progress.jsonl``, one line of JSON for each step, and the best weights so far."""

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from torch import Tensor

from segablate.errors import RunError, at
from segablate.files import discard, is_file, write_atomically
from segablate.text_files import MalformedText, parse_json, read_text

FILE = "progress.jsonl"

_BYTES = 2**30
"""Most bytes of the course; a million steps take about 100 MB."""


class Course:
    """Writes the course; processes other than the leading one write nothing."""

    def __init__(self, folder: Path, leads: bool) -> None:
        self.folder, self.leads = folder, leads

    def go_on(self, step: int) -> None:
        """Drop what was written after this step, by an attempt that was killed. RunError where that cannot be done."""
        path = self.folder / FILE
        if not self.leads:
            return
        for later in self.folder.glob("best-*.safetensors"):
            if later.name > _best(step):
                discard(later)
        if is_file(path):
            with at(path):
                kept = [line for line in read_text(path, _BYTES).splitlines() if _step_of(line) <= step]
            with self._writing(path):
                write_atomically(path, "".join(f"{line}\n" for line in kept))

    def add(self, entry: Mapping[str, Any]) -> None:
        """Write one line. RunError where it cannot be written."""
        path = self.folder / FILE
        if self.leads:
            with self._writing(path), open(path, "a", encoding="utf-8") as file:
                file.write(json.dumps(entry) + "\n")

    def keep_best(self, step: int, weights: Mapping[str, Tensor]) -> None:
        """Keep the weights of a step; those of the last but one stay, for a state may still name them."""
        from safetensors.torch import save

        if not self.leads:
            return
        tensors = {name: tensor.detach().cpu().contiguous().clone() for name, tensor in weights.items()}
        with self._writing(self.folder / _best(step)):
            write_atomically(self.folder / _best(step), save(tensors))
        for old in sorted(self.folder.glob("best-*.safetensors"))[:-2]:
            discard(old)

    def best_weights(self, step: int) -> dict[str, Tensor]:
        """Return the weights that were kept of a step. RunError where they are damaged or gone."""
        from safetensors import SafetensorError
        from safetensors.torch import load_file

        path = self.folder / _best(step)
        try:
            return load_file(path)
        except (SafetensorError, OSError) as error:
            raise RunError(f"{path} cannot be read ({error}); remove {self.folder} and train again") from None

    @contextmanager
    def _writing(self, path: Path) -> Iterator[None]:
        """RunError, which says how to go on, where a file cannot be written."""
        try:
            yield
        except OSError as error:
            reason = error.strerror or error
            raise RunError(f"{path} cannot be written ({reason}); make room, then go on with --resume") from None


def _best(step: int) -> str:
    return f"best-{step:09d}.safetensors"


def _step_of(line: str) -> float:
    try:
        step = parse_json(line)["step"]
    except (MalformedText, KeyError, TypeError):
        return float("inf")
    return step if isinstance(step, int) else float("inf")
