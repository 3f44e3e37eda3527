"""What an evaluation asks of a checkpoint, and the options that a user may override for one run."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from segablate.runtime import Precision
from segablate.samples import Batch, Output


@dataclass(frozen=True)
class Loading:
    """How to load a checkpoint: what the command line adds to, or overrides in, what the checkpoint says of itself.

    - `preprocessing`: the values to override, by their names in :class:`Preprocessing`.
    - `key`, `strip_prefix`: where the weights are in the file, and what to cut off their names.
    - `output`: softmax, sigmoid or probabilities.
    - `classes`, `class_map`: names of the outputs; which class of the dataset each means.
    """

    device: str = "auto"
    precision: Precision = "fp32"
    preprocessing: Mapping[str, Any] = field(default_factory=dict)
    key: str | None = None
    strip_prefix: str | None = None
    output: str | None = None
    classes: tuple[str, ...] | None = None
    class_map: Mapping[str, str | None] | None = None
    window: tuple[int, int] | None = None
    stride: tuple[int, int] | None = None
    flip: bool = False
    trust_pickle: bool = False


@dataclass(frozen=True)
class Source:
    """Where a checkpoint came from, for the head of a table and for the run.

    - `spec`: what the user wrote; `files`: every file it was read from, whose hashes a run keeps.
    - `facts`: further lines for the head of a table, in order; `notes`: what a reader of the numbers should know.
    """

    spec: str
    files: tuple[Path, ...] = ()
    facts: Mapping[str, str] = field(default_factory=dict)
    notes: tuple[str, ...] = ()


class Segmenter(Protocol):
    """A loaded checkpoint.

    - `classes`: names of its outputs, where it knows them; `class_map`: see :func:`segablate.labels.align`.
    - `on_host`: it gives label maps without a network: it is picklable and runs in the processes that read.
    """

    @property
    def source(self) -> Source: ...

    @property
    def classes(self) -> tuple[str, ...] | None: ...

    @property
    def class_map(self) -> Mapping[str, str | None] | None: ...

    @property
    def on_host(self) -> bool: ...

    def __call__(self, batch: Batch) -> Output:
        """The output for a batch, at the size of its label maps."""
        ...
