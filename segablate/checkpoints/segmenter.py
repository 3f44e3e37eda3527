"""The interface of a loaded checkpoint, and the options for loading it."""

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal, Protocol, Self

from segablate.checkpoints.trust import CardFile
from segablate.datasets.dataset import Dataset
from segablate.errors import CheckpointError
from segablate.files import user_path
from segablate.runtime import Precision
from segablate.samples import Batch, Output

OnError = Literal["stop", "skip"]
"""Whether an image that cannot be read or measured stops the run, or is skipped and named in a note."""


@dataclass(frozen=True)
class Loading:
    """The options for loading a checkpoint, which override the checkpoint's own settings.

    The command line states some, a card others; :meth:`over` joins them.

    - `preprocessing`: the values to override, by their names in :class:`Preprocessing`.
    - `key`: key path to the weights in the file, e.g. model.state_dict; `strip_prefix`: prefix to cut off the keys.
    - `output`: softmax, sigmoid, probabilities, or labels where the argmax is inside the network.
    - `head`: name or place of one of several outputs.
    - `classes`: names of the outputs; `class_map`: the class of the dataset for each of these names, or None.
    - `window`, `stride` (height and width), `flip`, `quarter_turns`: see
      :class:`segablate.checkpoints.inference.Inference`.
    - `threshold`: the probability above which a pixel is of the second of two classes.
    - `trust_code`: run the code that a file holds or a card names, see :mod:`segablate.checkpoints.trust`.
    - `allow_download`: let a library download weights from its hub.
    - `folder`: the folder that relative paths in the specification start from.
    - `card`: the card that holds the specification; None where the user stated it.
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
    flip: bool | str | None = None
    quarter_turns: bool | None = None
    threshold: float | None = None
    trust_code: bool = False
    allow_download: bool = False
    folder: Path = field(default_factory=Path)
    card: CardFile | None = None

    def over(self, card: "Loading") -> "Loading":
        """Return these values, filled up with those of a card; relative paths start from the card's folder."""
        return replace(
            self,
            preprocessing=_joined(card.preprocessing, self.preprocessing),
            key=self.key or card.key,
            strip_prefix=self.strip_prefix or card.strip_prefix,
            output=self.output or card.output,
            head=card.head if self.head is None else self.head,
            classes=self.classes or card.classes,
            class_map=self.class_map or card.class_map,
            window=self.window or card.window,
            stride=self.stride or (None if self.window else card.stride),  # a stride belongs to its window
            flip=card.flip if self.flip is None else self.flip,
            quarter_turns=card.quarter_turns if self.quarter_turns is None else self.quarter_turns,
            threshold=card.threshold if self.threshold is None else self.threshold,
            folder=card.folder,
            card=card.card,
        )

    def passes(self) -> dict[str, Any]:
        """Return the values of :class:`segablate.checkpoints.inference.Inference`."""
        return {name: getattr(self, name) for name in ("window", "stride", "flip", "quarter_turns")}

    def checked_threshold(self) -> float | None:
        """Return the threshold. Raises CheckpointError where it is no probability."""
        found = self.threshold
        if found is None or (isinstance(found, int | float) and not isinstance(found, bool) and 0 < found < 1):
            return found
        raise CheckpointError(f"threshold is {found!r}, but must be a probability between 0 and 1, as in 0.4")

    def located(self, path: str) -> Path:
        """Resolve a path of the specification. Raises Unreadable for what cannot be a path."""
        return self.folder / user_path(path)

    def existing(self, path: str) -> Path:
        """Resolve a path of the specification. Raises CheckpointError where it is no file."""
        found = self.located(path)
        if not found.is_file():
            raise CheckpointError(f"{found}: no such file; check the path")
        return found


def _joined(card: Mapping[str, Any], stated: Mapping[str, Any]) -> dict[str, Any]:
    """Return the preprocessing of a card overridden by that `stated`: `normalise` by mean and std, and these by it."""
    constants = {"mean", "std"}
    dropped = (
        constants if stated.get("normalise") is not None else {"normalise"} if constants & stated.keys() else set()
    )
    return {**{name: value for name, value in card.items() if name not in dropped}, **stated}


def described_output(kind: str, loading: Loading) -> str:
    """Return the kind of an output, its head and its threshold for the head of a table."""
    head = f" of head {loading.head}" if loading.head is not None else ""
    return f"{kind}{head}{f', threshold {loading.threshold:g}' if loading.checked_threshold() is not None else ''}"


@dataclass(frozen=True)
class Source:
    """The origin of a checkpoint, for the head of a table and for the saved run.

    - `spec`: the specification as written; `files`: the files it was read from, whose hashes a run keeps.
    - `facts`: further lines for the head of a table, in order; `notes`: remarks below the table.
    - `network`: the network alone, as a specification that weights can be added to; empty where a file holds both.
    - `by_files`: whether `spec`, the options and the contents of `files` decide the segmenter, and it runs no code but
      that of installed packages.
    """

    spec: str
    files: tuple[Path, ...] = ()
    facts: Mapping[str, str] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    network: str = ""
    by_files: bool = False


@dataclass(frozen=True)
class Capabilities:
    """The capabilities of a segmenter.

    - `images`: it needs the images; otherwise samples come without them; `bands`: how many bands of them.
    - `scores`: it may return scores; otherwise it returns only label maps.
    - `on_host`: it returns label maps without a network, is picklable and runs in the reading processes.
    - `features`: it can keep the features before the network's classifier.
    - `device`: the device of its scores; `batches`: a batch there is faster than its images one by one.
    """

    images: bool = True
    scores: bool = True
    on_host: bool = False
    features: bool = False
    device: str = "cpu"
    batches: bool = True
    bands: int = 3


class Segmenter(Protocol):
    """A loaded checkpoint.

    - `classes`: names of its outputs, or None; `class_map`: the class of the dataset for each name.
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
        """Return a segmenter prepared for this dataset; called once a run.

        Raises CheckpointError where something for this dataset is missing.
        """
        ...

    def __call__(self, batch: Batch) -> Output:
        """Return the output for a batch, at the size of its label maps."""
        ...


@dataclass(frozen=True)
class Delegate:
    """A segmenter that is called in the place of another, `segmenter`, and describes itself as that one."""

    segmenter: Segmenter

    @property
    def evaluated_on(self) -> str:
        """What it reads in the place of images, for the facts of a run; empty where it is the network that runs."""
        return ""

    @property
    def source(self) -> Source:
        return self.segmenter.source

    @property
    def classes(self) -> tuple[str, ...] | None:
        return self.segmenter.classes

    @property
    def class_map(self) -> Mapping[str, str | None] | None:
        return self.segmenter.class_map

    @property
    def capabilities(self) -> Capabilities:
        return self.segmenter.capabilities

    def for_dataset(self, dataset: Dataset, on_error: OnError) -> Self:
        """Return this segmenter in the place of the other prepared for the dataset."""
        return replace(self, segmenter=self.segmenter.for_dataset(dataset, on_error))

    def __call__(self, batch: Batch) -> Output:
        """Return the output of the other."""
        return self.segmenter(batch)


Substitute = Callable[[Segmenter, Dataset], AbstractContextManager[Segmenter]]
"""(segmenter, dataset) -> a context manager that yields what runs in the segmenter's place, with the same outputs."""


def no_substitute(segmenter: Segmenter, dataset: Dataset) -> AbstractContextManager[Segmenter]:
    """Run the segmenter itself."""
    return nullcontext(segmenter)
