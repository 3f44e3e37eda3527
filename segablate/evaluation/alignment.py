"""Match the outputs of a checkpoint with the classes of a dataset."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from segablate.errors import LabelError, counted, did_you_mean, shorten
from segablate.labels import LabelSet, ignore_index, index_type

MAY_DIFFER = 0.1
"""The share of the names that may differ where outputs are matched by position."""


@dataclass(frozen=True)
class Alignment:
    """The class of a dataset that each output of a checkpoint stands for.

    - `outputs`: for each of the K outputs a class index, or None for an output without a class in the label set.
    - `classes`: the number C of classes of the dataset.
    - `note`: how outputs and classes were matched, where that is not plain.
    """

    outputs: tuple[int | None, ...]
    classes: int
    note: str = ""

    @cached_property
    def table(self) -> np.ndarray:
        """Table from output index to class index, (K,); outputs without a class become void."""
        ignore = ignore_index(self.classes)
        table = np.full(len(self.outputs), ignore, index_type(self.classes))
        for output, index in enumerate(self.outputs):
            table[output] = ignore if index is None else index
        return table

    @property
    def plain(self) -> bool:
        """Whether output k is class k and there are no further outputs."""
        return self.outputs == tuple(range(self.classes))

    @property
    def leading(self) -> bool:
        """Whether output k is class k for every class; further outputs without a class may follow."""
        classes = tuple(range(self.classes))
        return self.outputs[: self.classes] == classes and not any(
            index is not None for index in self.outputs[self.classes :]
        )

    @property
    def one_each(self) -> bool:
        """Whether no class has several outputs."""
        known = [index for index in self.outputs if index is not None]
        return len(known) == len(set(known))


def align(
    outputs: int,
    names: Sequence[str] | None,
    labels: LabelSet,
    class_map: Mapping[str, str | None] | None = None,
    *,
    one_channel: bool = False,
) -> Alignment:
    """Match the `outputs` of a checkpoint with the classes of a dataset: by `class_map`, else name, else position.

    By name where the checkpoint names its outputs and every class of the dataset is among them; capitals and synonyms
    after a comma are ignored. By position where it names none, or where there are as many outputs as classes and nearly
    all names agree; the note lists those that differ. Where classes of the dataset were merged, a checkpoint for the
    classes before merging is matched with those, and its outputs are merged likewise. `one_channel`: whether the two
    outputs are one of the checkpoint, for messages. Raises LabelError when a class of the dataset has no output.
    """
    number = "one output, which is read as two classes," if one_channel else counted(outputs, "output")
    if names is not None and len(names) != outputs:
        raise LabelError(
            f"has {number} but names of {counted(len(names), 'class', 'classes')} are stated; "
            f"correct the list of classes"
        )
    if class_map:
        return _aligned_by_map(outputs, names, labels, class_map)
    known = None if names is None else _as_classes(names, labels)
    if labels.merged_from is not None and _is_of(labels.merged_from, outputs, known, labels):
        return _aligned_before_merging(outputs, names, labels, labels.merged_from)
    if names is None or known is None:
        if outputs < len(labels):
            raise LabelError(
                f"has {number} but {labels.name!r} has {counted(len(labels), 'class', 'classes')}; "
                f"choose the dataset it was trained on, or pass --class-map"
            )
        return _aligned_by_place(outputs, labels)
    if set(labels.names) <= set(known):
        return _aligned_by_name(names, known, labels)
    if _agree_by_place(known, labels):
        return _aligned_by_place(outputs, labels, known)
    raise LabelError(_unmatched(names, known, labels))


def _as_classes(names: Sequence[str], labels: LabelSet) -> list[str]:
    """Return the names of the outputs, spelt as the dataset spells a class where exactly one output can mean it."""
    forms = [_form(name) for name in names]
    meant = {_form(name): name for name in labels.names}
    written = [_form(name) for name in labels.names]
    return [
        name if name in labels.names or forms.count(form) != 1 or written.count(form) != 1 else meant[form]
        for name, form in zip(names, forms, strict=True)
    ]


def _form(name: str) -> str:
    """Return a name in lower case up to its first comma; ADE20K's own list has synonyms after one."""
    return " ".join(name.partition(",")[0].casefold().replace("_", " ").replace("-", " ").split())


def _agree_by_place(known: Sequence[str], labels: LabelSet) -> bool:
    """Whether nearly all names agree by position, and no output bears the name of a class at another position."""
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
    """Whether a checkpoint was trained for the classes before merging."""
    if names is not None:
        return not set(labels.names) <= set(names)
    return outputs >= len(before)


def _aligned_before_merging(outputs: int, names: Sequence[str] | None, labels: LabelSet, before: LabelSet) -> Alignment:
    found = align(outputs, names, before)
    merged = [labels.class_of(codes[0]) for codes in before.codes]
    classes = tuple(None if index is None else merged[index] for index in found.outputs)
    matched = counted(len(before), "class", "classes")
    note = f"the outputs were matched with the {matched} before merging, and merged likewise"
    return Alignment(classes, len(labels), "; ".join(filter(None, (found.note, note))))


def _aligned_by_place(outputs: int, labels: LabelSet, names: Sequence[str] | None = None) -> Alignment:
    """Match output k with class k; the note lists `names` that differ from the class."""
    surplus = outputs - len(labels)
    note = (
        f"{counted(outputs, 'output')} for {counted(len(labels), 'class', 'classes')}: "
        f"{_without_class('the last', surplus)}"
        if surplus
        else ""
    )
    if names is not None:
        pairs = [f"{name!r} as {own!r}" for name, own in zip(names, labels.names, strict=True) if name != own]
        note = (
            f"outputs were matched with the classes of the dataset by position, as {outputs - len(pairs)} of "
            f"{counted(outputs, 'name')} agree; read as: {shorten(pairs, 8)}; --class-map overrides this"
        )
    return Alignment((*range(len(labels)), *[None] * surplus), len(labels), note)


def _aligned_by_name(names: Sequence[str], known: Sequence[str], labels: LabelSet) -> Alignment:
    """Match outputs with the classes of their names; `known` are the `names` as the dataset spells them."""
    found = tuple(labels.names.index(name) if name in labels.names else None for name in known)
    surplus = [name for name in known if name not in labels.names]
    written = [f"{name!r} as {own!r}" for name, own in zip(names, known, strict=True) if name != own]
    notes = [f"names of outputs were read as: {shorten(written)}"] if written else []
    if found[: len(labels)] != tuple(range(len(labels))):
        notes.append("outputs were matched with the classes of the dataset by name (their order differs)")
    if surplus:
        notes.append(_without_class(shorten(surplus), len(surplus)))
    return Alignment(found, len(labels), "; ".join(notes))


def _without_class(which: str, count: int) -> str:
    """Say which outputs have no class, such as "the last output" or "outputs sky, tree"."""
    if count == 1:
        subject = f"{which} output has" if which == "the last" else f"output {which} has"
        return f"{subject} no class in the label set; predicting it is a miss"
    subject = f"{which} {count} outputs" if which == "the last" else f"outputs {which}"
    return f"{subject} have no class in the label set; predicting them is a miss"


def _aligned_by_map(
    outputs: int, names: Sequence[str] | None, labels: LabelSet, class_map: Mapping[str, str | None]
) -> Alignment:
    """Match outputs by a map from checkpoint classes (or output numbers) to dataset classes; None for no class."""
    known = list(names) if names is not None else [str(output) for output in range(outputs)]
    targets: dict[str, str | None] = {}
    for key, target in class_map.items():
        name = str(key)
        if name not in known and name.isdecimal() and int(name) < outputs:
            name = known[int(name)]  # by number, where the outputs have names too
        if name not in known:
            raise LabelError(f"has no class {key!r}, which the class map names{did_you_mean(name, known)}")
        targets[name] = target
    found = []
    for name in known:
        target = targets.get(name, name if name in labels.names else None)
        found.append(None if target is None else labels.index(target))
    missing = [name for index, name in enumerate(labels.names) if index not in found]
    if missing:
        raise LabelError(f"has no output for {shorten(missing)} of {labels.name!r} in the class map; map one to each")
    outside = [name for name, index in zip(known, found, strict=True) if index is None]
    note = f"class map: {counted(len(class_map), 'output')} mapped"
    note += f"; no class in the label set: {shorten(outside)}" if outside else ""
    return Alignment(tuple(found), len(labels), note)
