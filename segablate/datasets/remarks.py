"""Notes on choices made in reading images and label maps."""

from collections.abc import Sequence

from segablate.errors import counted, shorten
from segablate.samples import Remark

_TEXTS = {
    Remark.TURNED: "EXIF orientation applied to {}",
    Remark.NOT_TURNED: "EXIF orientation ignored in {}",
    Remark.TRANSPARENT: "transparency ignored in {}",
    Remark.ONLY_ALPHA: "label maps of one colour, whose transparency varies and is ignored, in {}: are the labels in "
    "the alpha channel?",
    Remark.NOT_A_NUMBER: "pixels that are nan read as black in {}",
    Remark.INKS: "CMYK converted to RGB in {}",
    Remark.OVERLAPPING: "masks of several classes overlap in {}; the later class counts",
    Remark.SCORES_RESIZED: "label map and image differ in size in {}; scores were brought to the size of the label map",
    Remark.LABELS_RESIZED: "label map and image differ in size in {}; labels were brought to the size of the image",
    Remark.OTHER_COLOURS: "palette without the class colours in {}; their codes are read",
}
"""What happened, in how many images."""

_SIZES = Remark.SCORES_RESIZED | Remark.LABELS_RESIZED
_EXIF = Remark.TURNED | Remark.NOT_TURNED


def remark_notes(names: Sequence[str], remarks: Sequence[int], described: bool) -> tuple[str, ...]:
    """Return a note for each kind of remark, from the remarks of each image.

    `described`: whether the dataset has a dataset.yaml, in which the orientation can be stated.
    """
    notes = []
    for remark, text in _TEXTS.items():
        concerned = [name for name, found in zip(names, remarks, strict=True) if found & remark]
        if concerned:
            note = text.format(f"{counted(len(concerned), 'image')} ({shorten(concerned)})")
            notes.append(note + _otherwise(remark, described))
    return tuple(notes)


def _otherwise(remark: Remark, described: bool) -> str:
    """Return how to choose otherwise, where that is possible."""
    if remark & _SIZES:
        return "; --label-size decides otherwise"
    return "; exif in dataset.yaml decides otherwise" if described and remark & _EXIF else ""
