"""Pairing of runs: whether they have the same classes, images and label files, and the images they share."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from segablate.errors import RunError, UsageError, counted, shorten, thousands
from segablate.evaluation.results import Evaluation, select

Runs = Mapping[str, Evaluation]
RunPair = tuple[str, str]


def require_comparable(runs: Runs) -> None:
    """Raise RunError for runs that do not measure the same thing, naming what differs from the first one.

    The order of the images may differ.
    """
    (first, a), *others = runs.items()
    for other, b in others:
        _require_same_classes((first, other), a, b)
        _require_same_images((first, other), a, b)
        _require_same_label_files((first, other), a, b)


def intersect(runs: Runs) -> dict[str, Evaluation]:
    """Return the runs on the images that all of them have, in the order of the first; a note counts them.

    Raises RunError when there is no such image.
    """
    shared = set.intersection(*(set(run.names) for run in runs.values()))
    if not shared:
        raise RunError(f"{', '.join(runs)} have no image in common; evaluate them on the same split")
    order = [name for name in next(iter(runs.values())).names if name in shared]
    return {name: run if run.names == tuple(order) else _ordered(run, order) for name, run in runs.items()}


def clusters(names: Sequence[str], pattern: str) -> NDArray[np.int64]:
    """Return the cluster index of each image, (N,): images are in one cluster where the pattern matches the same text.

    That text is the first group of the regular expression where it has one, else the whole match. Raises UsageError for
    a malformed expression, an image name without a match, and when all images are in one cluster.
    """
    try:
        expression = re.compile(pattern)
    except re.error as error:
        raise UsageError(f"--group-by {pattern!r} is not a regular expression: {error}") from None
    matches = [expression.search(name) for name in names]
    lost = [name for name, match in zip(names, matches, strict=True) if match is None]
    if lost:
        raise UsageError(
            f"--group-by {pattern!r} matches nothing in {thousands(len(lost))} of {thousands(len(names))} image names "
            f"(first: {lost[0]}); give a regular expression that matches each of them"
        )
    found = [match[1 if expression.groups else 0] or "" for match in matches if match]
    together, numbers = np.unique(found, return_inverse=True)
    if len(together) < 2:
        raise UsageError(
            f"--group-by {pattern!r} matches {str(together[0])!r} in every image name; at least two groups are needed"
        )
    return numbers.reshape(-1)


def _require_same_classes(names: RunPair, a: Evaluation, b: Evaluation) -> None:
    if a.labels.names != b.labels.names:
        difference = _class_difference(names, a.labels.names, b.labels.names)
        raise RunError(
            f"{' and '.join(names)} have different classes ({difference}); evaluate both on the same dataset"
        )
    decoding = [(run.labels.encoding, run.labels.codes, run.labels.void) for run in (a, b)]
    if decoding[0] != decoding[1]:
        raise RunError(
            f"{' and '.join(names)} decode label files differently ({_code_difference(a, b)}); "
            f"evaluate both with the same label set"
        )


def _class_difference(names: RunPair, a: tuple[str, ...], b: tuple[str, ...]) -> str:
    if set(a) == set(b):
        moved = next(index for index, pair in enumerate(zip(a, b, strict=True)) if pair[0] != pair[1])
        return f"in another order: class {moved} is {a[moved]} and {b[moved]}"
    parts = [f"{len(a)} and {len(b)}"]
    for name, mine, theirs in ((names[0], a, b), (names[1], b, a)):
        own = [known for known in mine if known not in theirs]
        parts += [f"only {name} has {shorten(own)}"] if own else []
    return "; ".join(parts)


def _code_difference(a: Evaluation, b: Evaluation) -> str:
    for name, first, second in zip(a.labels.names, a.labels.codes, b.labels.codes, strict=True):
        if first != second:
            return f"{name} is {shorten(first)} and {shorten(second)}"
    return f"void is {_void(a)} and {_void(b)}"


def _void(run: Evaluation) -> str:
    return "all other codes" if run.labels.void is None else shorten(run.labels.void) or "no code"


def _require_same_images(names: RunPair, a: Evaluation, b: Evaluation) -> None:
    here, there = set(a.names), set(b.names)
    missing = [name for name in a.names if name not in there] + [name for name in b.names if name not in here]
    if missing:
        raise RunError(
            f"{' and '.join(names)} cover different images ({thousands(a.images)} and {thousands(b.images)}; first "
            f"missing: {missing[0]}); evaluate both on the same split, or pass --intersect"
        )


def _require_same_label_files(names: RunPair, a: Evaluation, b: Evaluation) -> None:
    read = dict(zip(b.names, b.label_hashes, strict=True))
    changed = [name for name, digest in zip(a.names, a.label_hashes, strict=True) if read[name] != digest]
    if changed:
        raise RunError(
            f"{' and '.join(names)} read different label files for {thousands(len(changed))} of "
            f"{counted(a.images, 'image')} (first: {changed[0]}); evaluate both with the same labels"
        )


def _ordered(run: Evaluation, order: Sequence[str]) -> Evaluation:
    places = {name: place for place, name in enumerate(run.names)}
    chosen = select(run, [places[name] for name in order])
    if len(order) == run.images:
        return chosen
    note = f"--intersect: {thousands(len(order))} of {counted(run.images, 'image')}, those that all runs have"
    return replace(chosen, notes=(*chosen.notes, note))
