"""Predicted label maps in files, as a segmenter."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Literal, get_args

import numpy as np

from segablate.checkpoints.prediction_files import PredictionFiles
from segablate.checkpoints.prediction_values import Change, Meanings, decode, fitting_change, foreign_values
from segablate.checkpoints.segmenter import Capabilities, OnError, Source
from segablate.datasets.dataset import Dataset
from segablate.errors import CheckpointError, SegablateError, at, counted
from segablate.images.label_maps import read_label_map
from segablate.labels import LabelSet, ignore_index, pack_colour, single_channel
from segablate.metrics.confusion import Confusion, class_counts, mean_iou
from segablate.samples import Batch, Output, Sample, stacked

PredictionEncoding = Literal["codes", "index", "colours"]

ENCODINGS: dict[str, PredictionEncoding] = {encoding: encoding for encoding in get_args(PredictionEncoding)}
_INSPECTED = 12
"""Files whose values are looked at before."""

_HELD = 32 << 20
"""Most bytes of label maps that are kept from their inspection until they are measured, so as not to decode twice."""

_OTHER: dict[PredictionEncoding, PredictionEncoding] = {"codes": "index", "index": "codes"}


@dataclass
class HeldMaps:
    """Label maps that were inspected before they are measured, within a limit in bytes.

    They stay in this process; others read the files again.
    """

    maps: dict[Path, np.ndarray] = field(default_factory=dict)

    def inspect(self, path: Path) -> np.ndarray:
        """Return a label map, and keep it until it is read, if there is room."""
        if path not in self.maps:
            values = read_label_map(path)
            if values.nbytes + sum(each.nbytes for each in self.maps.values()) > _HELD:
                return values
            self.maps[path] = values
        return self.maps[path]

    def read(self, path: Path) -> np.ndarray:
        """Return a label map, from its file unless it was kept, and keep it no longer."""
        held = self.maps.pop(path, None)
        return read_label_map(path) if held is None else held

    def __reduce__(self) -> tuple[type, tuple[()]]:
        """Leave the maps out of what is sent to other processes."""
        return HeldMaps, ()


@dataclass(frozen=True)
class LabelMaps:
    """A segmenter that reads label maps, without torch.

    - `encoding`: the meaning of the values in the files; `change`: how they are changed before.
    - `fitting`: the change under which values that are no classes would be, as far as the first files tell.
    - `labels`: the label set that decodes them; None until :meth:`for_dataset`.
    - `held`: maps that :meth:`for_dataset` inspected.
    """

    files: PredictionFiles
    encoding: PredictionEncoding
    source: Source
    labels: LabelSet | None = None
    classes: tuple[str, ...] | None = None
    class_map: Mapping[str, str | None] | None = None
    change: Change = Change()  # noqa: RUF009, a frozen value
    fitting: Change | None = None
    held: HeldMaps = field(default_factory=HeldMaps, repr=False, compare=False)

    @property
    def capabilities(self) -> Capabilities:
        """Needs no images and returns no scores."""
        return Capabilities(images=False, scores=False, on_host=True)

    def for_dataset(self, dataset: Dataset, on_error: OnError) -> "LabelMaps":
        """Return a copy with the dataset's label set.

        Raises CheckpointError for missing files, and for colours that the label set does not have.
        """
        values = _values_of(dataset.labels, self.encoding)
        source = self.files.described(self.source, dataset, on_error)
        ready = replace(self, labels=dataset.labels, source=source, held=HeldMaps())
        if self.change or _in_colours(dataset.labels, self.encoding):
            return ready
        found, void = partial(ready._first_values, dataset), _void_of(dataset.labels, self.encoding) or ()
        fitting = fitting_change(found, values, void)
        facts = {**source.facts, **({"fitting": str(fitting)} if fitting else {})}
        return replace(ready, fitting=fitting, source=replace(source, facts=facts))

    def _first_values(self, dataset: Dataset) -> Iterator[np.ndarray]:
        """Yield the values of some files that can be read, H, W integers; others are reported when measured."""
        names = dataset.names
        for name in names[:: -(-len(names) // _INSPECTED)]:
            with suppress(SegablateError):
                yield _single(self.held.inspect(self.files.path(name)))

    def __call__(self, batch: Batch) -> Output:
        """Return class indices of the dataset. Raises a SegablateError that names the file."""
        assert self.labels is not None, "for_dataset comes first"
        maps = [self._read(sample, self.labels) for sample in batch.samples]
        predicted = stacked([decode(self.change(values), _values_of(self.labels, self.encoding)) for values in maps])
        truth = [sample.labels for sample in batch.samples]
        foreign = np.stack([foreign_values(*each) for each in zip(maps, predicted, truth, strict=True)])
        return Output("labels", predicted=predicted, alternative=self._alternative(maps, self.labels), foreign=foreign)

    def _read(self, sample: Sample, labels: LabelSet) -> np.ndarray:
        """Read the values of one file, H, W, with colours packed into integers."""
        path = self.files.path(sample.name)
        raw = self.held.read(path)
        with at(path):
            values = _packed(raw) if _in_colours(labels, self.encoding) else _single(raw)
            if values.shape != sample.size:
                raise CheckpointError(
                    f"the prediction is {values.shape[0]}x{values.shape[1]}, but its label map is "
                    f"{sample.size[0]}x{sample.size[1]}; save predictions at the size of the label maps, or, if they "
                    f"have the size of their images, pass --label-size image"
                )
        return values

    def _alternative(self, maps: Sequence[np.ndarray], labels: LabelSet) -> np.ndarray | None:
        """Decode the files under the change that fits, or with the other encoding of single values.

        None where that is equivalent or does not fit.
        """
        if self.fitting:
            changed = [self.fitting(each) for each in maps]
            fits = all(_fits(each, labels, self.encoding) for each in changed)
            return stacked([decode(each, _values_of(labels, self.encoding)) for each in changed]) if fits else None
        other = None if self.change else _OTHER.get(self.encoding)
        if other is None or labels.encoding == "colours":
            return None
        values = _values_of(labels, other)
        if values == _values_of(labels, self.encoding) or not all(_fits(each, labels, other) for each in maps):
            return None
        return stacked([decode(each, values) for each in maps])


def encoding_notes(source: Source, read: Confusion, other: Confusion | None) -> tuple[str, ...]:
    """Return a note on the mIoU in the `other` encoding, where that fits all images and changes the counts `read`."""
    if other is None or np.array_equal(read.total(), other.total()):
        return ()
    if change := source.facts.get("fitting"):
        place, query = source.spec.partition("?")[::2]
        return (
            f"with {change}, all values of the predictions are classes or void, and mIoU is {_miou(other)} in the "
            f"place of {_miou(read)}; if they mean that, evaluate '{place}?{query + '&' if query else ''}{change}'",
        )
    taken = ENCODINGS[source.facts["encoding"]]
    return (
        f"the predictions were read with encoding={taken} (mIoU {_miou(read)}); encoding={_OTHER[taken]} fits all "
        f"their values too, with mIoU {_miou(other)}",
    )


def _values_of(labels: LabelSet, encoding: PredictionEncoding) -> Meanings:
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
    void = _void_of(labels, encoding)
    if void is None:
        return True
    decoded = decode(values, (*_values_of(labels, encoding), void))
    return bool((decoded != ignore_index(len(labels) + 1)).all())


def _void_of(labels: LabelSet, encoding: PredictionEncoding) -> tuple[int, ...] | None:
    """Return the values of void; None where all that are no classes are."""
    return labels.void if encoding == "codes" else (labels.ignore,)


def _in_colours(labels: LabelSet, encoding: PredictionEncoding) -> bool:
    return encoding == "colours" or (encoding == "codes" and labels.encoding == "colours")


def _single(raw: np.ndarray) -> np.ndarray:
    raw = single_channel(raw)
    if raw.ndim != 2:
        raise CheckpointError(
            f"has {counted(raw.shape[-1], 'channel')}; expected one channel of class values: save a grey or palette "
            f"image, or add encoding=colours"
        )
    return raw.astype(np.uint8) if raw.dtype == bool else raw


def _packed(raw: np.ndarray) -> np.ndarray:
    if raw.ndim != 3:
        raise CheckpointError("has one channel; expected RGB colours: for class indices, add encoding=index")
    red, green, blue = (raw[..., channel].astype(np.int32) for channel in range(3))
    return red << 16 | green << 8 | blue


def _miou(confusion: Confusion) -> str:
    return f"{100 * float(mean_iou(class_counts(confusion).total())):.2f} %"
