"""What a training is asked for, and what is held out of its data."""

from dataclasses import dataclass, field, replace
from pathlib import Path

from segablate.checkpoints import Loading
from segablate.datasets import open_dataset
from segablate.datasets.dataset import Dataset
from segablate.datasets.supervision import Supervision
from segablate.errors import DatasetError, RecipeError, UnknownSplit, counted
from segablate.images.pictures import LabelSize
from segablate.training.recipe import Recipe
from segablate.training.task import Part


@dataclass(frozen=True)
class TrainingRequest:
    """What to train, and on what.

    - `network`: a checkpoint, or a network without weights; `encoder`: a file whose weights are taken where they fit.
    - `dataset`: the split that is trained on, whole; `holdout`: what validation runs on, or None.
    - `part`: train the full network, or its classifier alone; `keep_head`: not from random values.
    - `labels`: what those of `dataset` are; the hold-out has full ones.
    """

    network: str
    dataset: Dataset
    recipe: Recipe
    seed: int = 0
    holdout: Dataset | None = None
    part: Part = "full"
    keep_head: bool = False
    encoder: Path | None = None
    loading: Loading = field(default_factory=Loading)
    labels: Supervision = field(default_factory=Supervision)


def split_holdout(
    spec: str, split: str, holdout: str, label_size: LabelSize | None = None
) -> tuple[Dataset, Dataset | None]:
    """Open the split to train on, and what is held out of it.

    `holdout`: a share of the split, whose last images are then not trained on, the name of another split, or "0" for
    none. Raises UnknownSplit where the dataset does not have one of them, and DatasetError for a split too small.
    """
    try:
        whole = open_dataset(spec, split).meeting_at(label_size)
    except UnknownSplit as error:
        raise UnknownSplit(f"{error}; name the split to train on with --train-split") from None
    share = _share(holdout)
    if share is None:
        return whole, open_dataset(spec, holdout).meeting_at(label_size)
    if share == 0:
        return whole, None
    count = max(round(share * len(whole)), 1)
    if count >= len(whole):
        raise DatasetError(
            f"{spec}: split {split!r} has {counted(len(whole), 'image')}, too few to hold {holdout} of them out"
        )
    note = f"{counted(count, 'image')} at the end of split {split!r} held out of training"
    return (
        replace(whole, items=whole.items[:-count], notes=(*whole.notes, note)),
        replace(whole, items=whole.items[-count:], notes=(*whole.notes, note)),
    )


def _share(text: str) -> float | None:
    if not text.strip():
        raise RecipeError(f"--holdout is {text!r}, but must be a share of at most 0.5, or the name of a split")
    try:
        share = float(text)
    except ValueError:
        return None
    if not 0 <= share <= 0.5:
        raise RecipeError(f"--holdout is {text}, but must be a share of at most 0.5, or the name of a split")
    return share
