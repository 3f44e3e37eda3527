"""Find the endings by which the names of images and of their label maps differ, as in ``a.jpg`` and ``a_mask.png``."""

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from segablate.datasets.folder_words import names_others
from segablate.datasets.pairing import folded, plain_name, usual_suffix

_SEPARATOR = re.compile(r"[_.\- ]")
_MOST_ENDINGS = 24
_COMMON = 0.2
"""The share of the files of a folder that must have an ending."""

_NUMBER = re.compile(r"[_\- ]?\(?\d+\)?$")


@dataclass(frozen=True)
class Match:
    """Images and label maps of one name up to their endings.

    - `names`: those of images with a label map; `images`: the number of all images.
    """

    image_suffix: str
    label_suffix: str
    names: frozenset[str]
    images: int

    @property
    def whole(self) -> bool:
        """Whether every image has a label map."""
        return len(self.names) == self.images

    @property
    def value(self) -> tuple[int, float, bool, int]:
        """Return what a better match has more of: pairs, the share of images, label maps proper, shorter endings."""
        short = len(self.image_suffix) + len(self.label_suffix)
        return len(self.names), len(self.names) / max(self.images, 1), not names_others(self.label_suffix), -short


def best_match(pictures: Sequence[Path], masks: Sequence[Path]) -> Match | None:
    """Return the endings under which most of the `pictures` (of one folder) have one of the `masks`, or None."""
    return max(matches(pictures, masks), key=lambda match: match.value, default=None)


def matches(pictures: Sequence[Path], masks: Sequence[Path]) -> list[Match]:
    """Return the endings under which pictures of one folder have a label map among the masks of one folder."""
    images, labels = ([_name(path) for path in paths] for paths in (pictures, masks))
    found = []
    by_ending = {ending: _stems(labels, ending) for ending in endings(labels)}
    for image_suffix in endings(images):
        stems = _stems(images, image_suffix)
        for label_suffix, others in by_ending.items():
            if names := stems & others:
                found.append(Match(image_suffix, label_suffix, frozenset(names), len(stems)))
    return found


def endings(names: Sequence[str]) -> list[str]:
    """Return the common endings of file names: the extension, and those that begin at a separator before it."""
    counts: Counter[str] = Counter()
    for name in names:
        stem_end = name.rfind(".")
        starts = {match.start() for match in _SEPARATOR.finditer(name, 1) if match.start() <= stem_end}
        counts.update({name[start:] for start in starts if start})
    least = max(1, _COMMON * len(names))
    common = [ending for ending, count in counts.items() if count >= least]
    return sorted(common, key=lambda ending: (-counts[ending], len(ending)))[:_MOST_ENDINGS]


def numbered(match: Match, masks: Sequence[Path]) -> list[Path]:
    """Return further masks of the images of a match, whose names end in a number, as in ``a_mask_1.png``."""
    stem, dot, extension = match.label_suffix.rpartition(".")
    found = []
    for path in masks:
        name = _name(path)
        if not name.endswith(dot + extension) or name.removesuffix(match.label_suffix) in match.names:
            continue
        bare = _NUMBER.sub("", name[: -len(dot + extension)])
        if bare.endswith(stem) and bare[: len(bare) - len(stem)] in match.names:
            found.append(path)
    return found


def is_number(ending: str) -> bool:
    """Tell whether an ending is a number and an extension, as in ``_03.png``."""
    return _NUMBER.fullmatch(ending.rpartition(".")[0]) is not None


def without_number(ending: str) -> str:
    """Return an ending without the number before its extension, as ``_mask.png`` of ``_mask_1.png``."""
    stem, dot, extension = ending.rpartition(".")
    return f"{_NUMBER.sub('', stem)}{dot}{extension}"


def _name(path: Path) -> str:
    """Return the name of a file with the usual form of its extension."""
    name = plain_name(folded(path.name))
    return name[: len(name) - len(path.suffix)] + usual_suffix(path.suffix)


def _stems(names: Sequence[str], ending: str) -> set[str]:
    return {name[: -len(ending)] for name in names if name.endswith(ending) and len(name) > len(ending)}
