"""Predicted label maps in files, as a segmenter."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Literal, get_args

import numpy as np

from segablate.checkpoints.prediction_files import PredictionFiles
from segablate.checkpoints.segmenter import Capabilities, OnError, Source
from segablate.datasets.dataset import Dataset
from segablate.errors import CheckpointError, at
from segablate.images.label_maps import read_label_map
from segablate.labels import LabelSet, ignore_index, index_type, look_up, pack_colour
from segablate.metrics.confusion import Confusion, class_counts, mean_iou
from segablate.samples import Batch, Output, Sample

PredictionEncoding = Literal["codes", "index", "colours"]

ENCODINGS: dict[str, PredictionEncoding] = {encoding: encoding for encoding in get_args(PredictionEncoding)}
_OTHER: dict[PredictionEncoding, PredictionEncoding] = {"codes": "index", "index": "codes"}


@dataclass(frozen=True)
class LabelMaps:
    """A segmenter that reads label maps, without torch.

    - `encoding`: the meaning of the values in the files.
    - `labels`: the label set that decodes them; None until :meth:`for_dataset`.
    """

    files: PredictionFiles
    encoding: PredictionEncoding
    source: Source
    labels: LabelSet | None = None
    classes: tuple[str, ...] | None = None
    class_map: Mapping[str, str | None] | None = None

    @property
    def capabilities(self) -> Capabilities:
        """Needs no images and returns no scores."""
        return Capabilities(images=False, scores=False, on_host=True)

    def for_dataset(self, dataset: Dataset, on_error: OnError) -> "LabelMaps":
        """Return a copy with the dataset's label set.

        Raises CheckpointError for missing files, and for colours that the label set does not have.
        """
        _values_of(dataset.labels, self.encoding)
        return replace(self, labels=dataset.labels, source=self.files.described(self.source, dataset, on_error))

    def __call__(self, batch: Batch) -> Output:
        """Return class indices of the dataset. Raises a SegablateError that names the file."""
        assert self.labels is not None, "for_dataset comes first"
        maps = [self._read(sample, self.labels) for sample in batch.samples]
        predicted = np.stack([decode(values, _values_of(self.labels, self.encoding)) for values in maps])
        return Output("labels", predicted=predicted, alternative=self._alternative(maps, self.labels))

    def _read(self, sample: Sample, labels: LabelSet) -> np.ndarray:
        """Read the values of one file, H, W, with colours packed into integers."""
        path = self.files.path(sample.name)
        raw = read_label_map(path)
        with at(path):
            values = _packed(raw) if _in_colours(labels, self.encoding) else _single(raw)
            if values.shape != sample.size:
                raise CheckpointError(
                    f"the prediction is {values.shape[0]}x{values.shape[1]}, but its label map is "
                    f"{sample.size[0]}x{sample.size[1]}; save predictions at the size of the label maps"
                )
        return values

    def _alternative(self, maps: Sequence[np.ndarray], labels: LabelSet) -> np.ndarray | None:
        """Decode the files with the other encoding of single values; None where it is equivalent or does not fit."""
        other = _OTHER.get(self.encoding)
        if other is None or labels.encoding == "colours":
            return None
        values = _values_of(labels, other)
        if values == _values_of(labels, self.encoding) or not all(_fits(each, labels, other) for each in maps):
            return None
        return np.stack([decode(each, values) for each in maps])


def encoding_notes(source: Source, read: Confusion, other: Confusion | None) -> tuple[str, ...]:
    """Return a note on the mIoU in the `other` encoding, where that fits all images and changes the counts `read`."""
    if other is None or np.array_equal(read.total(), other.total()):
        return ()
    taken = ENCODINGS[source.facts["encoding"]]
    return (
        f"the predictions were read with encoding={taken} (mIoU {_miou(read):.2%}); encoding={_OTHER[taken]} fits all "
        f"their values too, with mIoU {_miou(other):.2%}",
    )


def decode(values: np.ndarray, meanings: tuple[tuple[int, ...], ...]) -> np.ndarray:
    """Convert integer values to class indices, void for no class; `meanings` lists the values of each class."""
    table = _table(meanings)
    if values.dtype == np.uint8:
        return look_up(table[:256], values)
    return table.take(values.astype(np.int64).clip(-1, len(table) - 1))


@lru_cache(maxsize=8)
def _table(meanings: tuple[tuple[int, ...], ...]) -> np.ndarray:
    """Return the table of class indices by value. The last entry, also that of -1, is for every value beyond."""
    highest = max((value for values in meanings for value in values), default=0)
    table = np.full(max(highest + 1, 256) + 1, ignore_index(len(meanings)), index_type(len(meanings)))
    for index, values in enumerate(meanings):
        table[list(values)] = index
    return table


def _values_of(labels: LabelSet, encoding: PredictionEncoding) -> tuple[tuple[int, ...], ...]:
    """Return the values of each class in an encoding; colours are packed into integers."""
    if encoding == "codes":
        return labels.codes
    if encoding == "index":
        return tuple((index,) for index in range(len(labels)))
    if not labels.colours:
        raise CheckpointError(f"encoding is colours, but label set {labels.name!r} has none; use codes or index")
    return tuple((pack_colour(colour),) for colour in labels.colours)


def _fits(values: np.ndarray, labels: LabelSet, encoding: PredictionEncoding) -> bool:
    """Return whether every value is a class or void."""
    void = labels.void if encoding == "codes" else (labels.ignore,)
    if void is None:
        return True
    decoded = decode(values, (*_values_of(labels, encoding), void))
    return bool((decoded != ignore_index(len(labels) + 1)).all())


def _in_colours(labels: LabelSet, encoding: PredictionEncoding) -> bool:
    return encoding == "colours" or (encoding == "codes" and labels.encoding == "colours")


def _single(raw: np.ndarray) -> np.ndarray:
    if raw.ndim != 2:
        raise CheckpointError(
            f"has {raw.shape[-1]} channels; expected one channel of class values: save a grey or palette image, or add "
            f"encoding=colours"
        )
    return raw.astype(np.uint8) if raw.dtype == bool else raw


def _packed(raw: np.ndarray) -> np.ndarray:
    if raw.ndim != 3:
        raise CheckpointError("has one channel; expected RGB colours: for class indices, add encoding=index")
    red, green, blue = (raw[..., channel].astype(np.int32) for channel in range(3))
    return red << 16 | green << 8 | blue


def _miou(confusion: Confusion) -> float:
    return float(mean_iou(class_counts(confusion).total()))
