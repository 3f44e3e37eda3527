"""What an evaluation asks of a checkpoint, and the options that a user may override for one run."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal, Protocol

from segablate.datasets.dataset import Dataset
from segablate.runtime import Precision
from segablate.samples import Batch, Output

OnError = Literal["stop", "skip"]
"""What an image that cannot be read or measured does: end the run, or be left out and named."""


@dataclass(frozen=True)
class Loading:
    """How to load a checkpoint: what is added to, or overridden in, what the checkpoint says of itself.

    The command line states one, a card another; :meth:`over` puts the first above the second.

    - `preprocessing`: the values to override, by their names in :class:`Preprocessing`.
    - `key`, `strip_prefix`: where the weights are in the file, and what to cut off their names.
    - `output`: softmax, sigmoid, probabilities, or labels where the argmax is inside; `head`: which of several outputs.
    - `classes`, `class_map`: names of the outputs; which class of the dataset each means.
    - `window`, `stride` (height and width), `flip`: see :class:`segablate.checkpoints.inference.Inference`.
    - `trust_pickle`: run the code of a pickled module; `allow_download`: let a library fetch weights from its hub.
    - `folder`: what relative paths in the specification start from.
    """

    device: str = "auto"
    precision: Precision = "fp32"
    preprocessing: Mapping[str, Any] = field(default_factory=dict)
    key: str | None = None
    strip_prefix: str | None = None
    output: str | None = None
    head: str | None = None
    classes: tuple[str, ...] | None = None
    class_map: Mapping[str, str | None] | None = None
    window: tuple[int, int] | None = None
    stride: tuple[int, int] | None = None
    flip: bool | None = None
    trust_pickle: bool = False
    allow_download: bool = False
    folder: Path = field(default_factory=Path)

    def over(self, card: "Loading") -> "Loading":
        """These values, and those of a card where these are silent; paths are the card's."""
        return replace(
            self,
            preprocessing={**card.preprocessing, **self.preprocessing},
            key=self.key or card.key,
            strip_prefix=self.strip_prefix or card.strip_prefix,
            output=self.output or card.output,
            head=card.head if self.head is None else self.head,
            classes=self.classes or card.classes,
            class_map=self.class_map or card.class_map,
            window=self.window or card.window,
            stride=self.stride or (None if self.window else card.stride),  # a stride belongs to its window
            flip=card.flip if self.flip is None else self.flip,
            folder=card.folder,
        )

    def located(self, path: str) -> Path:
        """The place of a path in the specification."""
        return self.folder / Path(path).expanduser()


@dataclass(frozen=True)
class Source:
    """Where a checkpoint came from, for the head of a table and for the run.

    - `spec`: what the user wrote; `files`: every file it was read from, whose hashes a run keeps.
    - `facts`: further lines for the head of a table, in order; `notes`: what a reader of the numbers should know.
    - `network`: the network alone, as a specification that weights can be added to; empty where a file holds both.
    """

    spec: str
    files: tuple[Path, ...] = ()
    facts: Mapping[str, str] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    network: str = ""


@dataclass(frozen=True)
class Capabilities:
    """What a segmenter does, and can do.

    - `images`: it looks at the images; otherwise samples come without them.
    - `scores`: it may give scores; otherwise it is known to give label maps alone.
    - `on_host`: it gives label maps without a network: it is picklable and runs in the processes that read.
    - `features`: it can keep what the network's classifier sees.
    - `device`: where its scores are.
    """

    images: bool = True
    scores: bool = True
    on_host: bool = False
    features: bool = False
    device: str = "cpu"


class Segmenter(Protocol):
    """A loaded checkpoint.

    - `classes`: names of its outputs, where it knows them; `class_map`: which class of the dataset each means.
    """

    @property
    def source(self) -> Source: ...

    @property
    def classes(self) -> tuple[str, ...] | None: ...

    @property
    def class_map(self) -> Mapping[str, str | None] | None: ...

    @property
    def capabilities(self) -> Capabilities: ...

    def for_dataset(self, dataset: Dataset, on_error: OnError) -> "Segmenter":
        """It, ready for this dataset. Raises CheckpointError where it lacks something for it; called once a run."""
        ...

    def __call__(self, batch: Batch) -> Output:
        """The output for a batch, at the size of its label maps."""
        ...
