"""Which output of a checkpoint means which class of a dataset."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from segablate.errors import LabelError, did_you_mean, shorten
from segablate.labels import IGNORE, LabelSet

MAY_DIFFER = 0.1
"""The share of the names that may differ where outputs are matched by place."""


@dataclass(frozen=True)
class Alignment:
    """Which class of a dataset each output of a checkpoint means; None lies outside the label set.

    - `outputs`: for each of the K outputs a class index, or None.
    - `classes`: the number C of classes of the dataset.
    - `note`: how the alignment was found, when that is not plain.
    """

    outputs: tuple[int | None, ...]
    classes: int
    note: str = ""

    @cached_property
    def table(self) -> np.ndarray:
        """(K,) uint8: output index to class index; outputs outside the label set become 255."""
        table = np.full(len(self.outputs), IGNORE, np.uint8)
        for output, index in enumerate(self.outputs):
            table[output] = IGNORE if index is None else index
        return table

    @property
    def plain(self) -> bool:
        """Output k is class k, without remainder."""
        return self.outputs == tuple(range(self.classes))

    @property
    def leading(self) -> bool:
        """Output k is class k for every class; further outputs may follow, outside the label set."""
        classes = tuple(range(self.classes))
        return self.outputs[: self.classes] == classes and not any(
            index is not None for index in self.outputs[self.classes :]
        )


def align(
    outputs: int, names: Sequence[str] | None, labels: LabelSet, class_map: Mapping[str, str | None] | None = None
) -> Alignment:
    """Match the `outputs` of a checkpoint with the classes of a dataset: by `class_map`, else by name, else by place.

    By name where the checkpoint names its outputs and every class of the dataset is among them, with other capitals or
    with synonyms behind a comma too. By place where it names none, or where there are as many as classes and nearly all
    agree; what differs then is in the note. Where classes of the dataset were merged, a checkpoint for the classes
    before that is matched with those, and its outputs are merged likewise. Raises LabelError when classes of the
    dataset have no output.
    """
    if names is not None and len(names) != outputs:
        raise LabelError(
            f"gives {outputs} classes but {len(names)} class names are stated; correct the list of classes"
        )
    if class_map:
        return _aligned_by_map(outputs, names, labels, class_map)
    known = None if names is None else _as_classes(names, labels)
    if labels.merged_from is not None and _is_of(labels.merged_from, outputs, known, labels):
        return _aligned_before_merging(outputs, names, labels, labels.merged_from)
    if names is None or known is None:
        return _aligned_by_place(outputs, labels)
    if set(labels.names) <= set(known):
        return _aligned_by_name(names, known, labels)
    if _agree_by_place(known, labels):
        return _aligned_by_place(outputs, labels, known)
    raise LabelError(_unmatched(names, known, labels))


def _as_classes(names: Sequence[str], labels: LabelSet) -> list[str]:
    """Names of outputs with those that only one class, and only they, can mean put as that class is written."""
    forms = [_form(name) for name in names]
    meant = {_form(name): name for name in labels.names}
    written = [_form(name) for name in labels.names]
    return [
        name if name in labels.names or forms.count(form) != 1 or written.count(form) != 1 else meant[form]
        for name, form in zip(names, forms, strict=True)
    ]


def _form(name: str) -> str:
    """A name in small letters, up to its first comma; ADE20K's own list gives synonyms behind one."""
    return " ".join(name.partition(",")[0].casefold().replace("_", " ").replace("-", " ").split())


def _agree_by_place(known: Sequence[str], labels: LabelSet) -> bool:
    """As many outputs as classes, nearly all of one name at one place, and none of a class of another place."""
    pairs = list(zip(known, labels.names, strict=False))
    differing = [name for name, own in pairs if name != own]
    return (
        len(known) == len(labels)
        and len(differing) <= MAY_DIFFER * len(labels)
        and not set(differing) & set(labels.names)
    )


def _unmatched(names: Sequence[str], known: Sequence[str], labels: LabelSet) -> str:
    remedy = "choose the dataset it was trained on, or pass --class-map"
    if len(names) >= len(labels) and not set(labels.names) & set(known):
        return (
            f"names its classes {shorten(names)}, none of which is in {labels.name!r} ({shorten(labels.names)}); "
            f"{remedy}"
        )
    missing = [name for name in labels.names if name not in known]
    return f"has no class named {shorten(missing)}, which {labels.name!r} has; {remedy}"


def _is_of(before: LabelSet, outputs: int, names: Sequence[str] | None, labels: LabelSet) -> bool:
    """Whether a checkpoint is for the classes before merging."""
    if names is not None:
        return not set(labels.names) <= set(names)
    return outputs >= len(before)


def _aligned_before_merging(outputs: int, names: Sequence[str] | None, labels: LabelSet, before: LabelSet) -> Alignment:
    found = align(outputs, names, before)
    merged = [labels.class_of(codes[0]) for codes in before.codes]
    classes = tuple(None if index is None else merged[index] for index in found.outputs)
    note = f"the outputs were matched with the {len(before)} classes before merging, and merged likewise"
    return Alignment(classes, len(labels), "; ".join(filter(None, (found.note, note))))


def _aligned_by_place(outputs: int, labels: LabelSet, names: Sequence[str] | None = None) -> Alignment:
    """Output k as class k; `names` that differ there are in the note."""
    if outputs < len(labels):
        raise LabelError(
            f"gives {outputs} classes but {labels.name!r} has {len(labels)}; "
            f"choose the dataset it was trained on, or pass --class-map"
        )
    surplus = outputs - len(labels)
    note = (
        f"the checkpoint gives {outputs} outputs for {len(labels)} classes: "
        f"the last {surplus} lie outside the label set, and predicting them is a miss"
        if surplus
        else ""
    )
    if names is not None:
        pairs = [f"{name!r} as {own!r}" for name, own in zip(names, labels.names, strict=True) if name != own]
        note = (
            f"outputs were matched with the classes of the dataset by place, as {outputs - len(pairs)} of {outputs} "
            f"names agree; taken so: {shorten(pairs, 8)}; --class-map says otherwise"
        )
    return Alignment((*range(len(labels)), *[None] * surplus), len(labels), note)


def _aligned_by_name(names: Sequence[str], known: Sequence[str], labels: LabelSet) -> Alignment:
    """`known`: the `names` of the outputs as the dataset writes them."""
    found = tuple(labels.names.index(name) if name in labels.names else None for name in known)
    surplus = [name for name in known if name not in labels.names]
    written = [f"{name!r} as {own!r}" for name, own in zip(names, known, strict=True) if name != own]
    notes = [f"names of outputs were taken so: {shorten(written)}"] if written else []
    if found[: len(labels)] != tuple(range(len(labels))):
        notes.append("outputs were matched with the classes of the dataset by name (their order differs)")
    if surplus:
        lie = "lies" if len(surplus) == 1 else "lie"
        notes.append(f"output {shorten(surplus)} {lie} outside the label set: predicting it is a miss")
    return Alignment(found, len(labels), "; ".join(notes))


def _aligned_by_map(
    outputs: int, names: Sequence[str] | None, labels: LabelSet, class_map: Mapping[str, str | None]
) -> Alignment:
    """A class map names checkpoint classes (or output numbers) and the dataset's class for each; null is outside."""
    known = list(names) if names is not None else [str(output) for output in range(outputs)]
    for name in class_map:
        if str(name) not in known:
            raise LabelError(f"the class map names {name!r}, not a class of it{did_you_mean(str(name), known)}")
    targets = {str(name): target for name, target in class_map.items()}
    found = []
    for name in known:
        target = targets.get(name, name if name in labels.names else None)
        found.append(None if target is None else labels.index(target))
    missing = [name for index, name in enumerate(labels.names) if index not in found]
    if missing:
        raise LabelError(f"the class map gives no output for {shorten(missing)} of {labels.name!r}; map one to each")
    outside = [name for name, index in zip(known, found, strict=True) if index is None]
    note = f"class map: {len(class_map)} entries" + (f"; outside the label set: {shorten(outside)}" if outside else "")
    return Alignment(tuple(found), len(labels), note)
