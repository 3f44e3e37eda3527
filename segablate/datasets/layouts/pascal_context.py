"""PASCAL-Context: 4 998 train and 5 105 val images of PASCAL VOC 2010; 59 classes, 60 with background, or 459.

::

    VOC2010/                                          also below VOCdevkit/
      JPEGImages/2008_000002.jpg
      SegmentationClassContext/2008_000002.png        as mmsegmentation writes them: 0..59 in alphabetical order
      59_context_labels/2008_000002.png               the authors': 0..59 in the order of 59_labels.txt
      trainval/2008_000002.mat                        the authors': 0..459
      labels.txt   59_labels.txt                      the authors': "1: accordion"; 59_labels.txt is optional
      ImageSets/SegmentationContext/val.txt           or ImageSets/Main/val.txt, the same images

The folders of label maps and lists of classes may also be beside VOC2010, or in the folder given. The first of them
that is there is read. Code 0, all that is none of the 59, is void; in "val-60" it is the class background. "val-459"
has the classes of labels.txt. Without lists of images, all label maps are one split, "all". Mottaghi et al., The Role
of Context for Object Detection and Semantic Segmentation in the Wild, CVPR 2014; files as on its page,
cs.stanford.edu/~roozbeh/pascal-context. The codes of the 59 among 459 are those of PASCAL in Detail's conversion.
"""

from pathlib import Path

from segablate.datasets.class_lists import as_colour, class_rows
from segablate.datasets.dataset import Dataset, Item
from segablate.datasets.layout import Layout, beneath, choose_split, first_folder
from segablate.datasets.lists import find_listed, read_list
from segablate.errors import DatasetError, at, counted, shorten
from segablate.files import is_file, visible_files
from segablate.labels import IGNORE, LabelSet
from segablate.text_files import read_text

_ROWS = class_rows("pascal_context")
_ALL_CODES = 459
_ALIKE = {"diningtable": "table", "tv/monitor": "tvmonitor", "airplane": "aeroplane", "plant": "pottedplant"}


def _label_set(codes: tuple[tuple[int, ...], ...], background: bool) -> LabelSet:
    """Return 59 classes with these codes, those of the background first, which is void unless it is a class; 255 is."""
    first = 0 if background else 1
    others = codes[0] if not background else ()
    void = (*others, *(() if IGNORE in codes[0] else (IGNORE,)))
    return LabelSet(
        "pascal_context",
        tuple(row["name"] for row in _ROWS[first:]),
        codes[first:],
        void,
        tuple(as_colour(row["colour"]) for row in _ROWS[first:]),
    )


def _column(name: str) -> tuple[tuple[int, ...], ...]:
    """Return the codes in a column of the class list; the background has all codes that no class has."""
    codes = [(int(row[name]),) for row in _ROWS]
    taken = {code for (code,) in codes[1:]}
    rest = range(_ALL_CODES + 1) if name == "of459" else range(1)
    return (tuple(code for code in rest if code not in taken), *codes[1:])


LABELS, LABELS_60 = (_label_set(_column("code"), background) for background in (False, True))
LAYOUT = Layout((LABELS, LABELS_60), "JPEGImages/ SegmentationClassContext/, 59_context_labels/ or trainval/*.mat")

_FOLDERS = {"SegmentationClassContext": "code", "59_context_labels": "official", "trainval": "of459"}
_LISTS = ("ImageSets/SegmentationContext", "ImageSets/Main")


def splits(root: Path) -> list[str]:
    """Return the names of the lists, or "all" without lists; each also with "-60", and "-459" where these are read."""
    place = _place(root)
    if not any(_found(root, name) for name in _FOLDERS):
        return []
    named = [name for name in ("train", "val", "trainval") if _list(place, name)] or ["all"]
    every = ["-459"] if _found(root, "trainval") and _file(root, "labels.txt") else []
    return [name + ending for name in named for ending in ("", "-60", *every)]


def open_split(root: Path, split: str | None = None) -> Dataset:
    """Open `root` at "val" (the default) or "train" with 59 classes, at "val-60" with background, at "val-459"."""
    present = splits(root)
    split = choose_split(root, split or ("all" if "all" in present else "val"), present, LAYOUT.expects)
    place = _place(root)
    part, _, count = split.partition("-")
    kind = "trainval" if count == "459" else next(name for name in _FOLDERS if _found(root, name))
    masks = _found(root, kind)
    assert masks is not None
    labels = _named(root) if count == "459" else _label_set(_codes(root, kind), count == "60")
    suffix = ".mat" if kind == "trainval" else ".png"
    files = {path.stem: path for path in visible_files(masks, (suffix,))}
    names, notes = tuple(files), ()
    lines = _list(place, part)
    if lines:
        found = find_listed(read_list(lines), files)
        if found.absent:
            count = counted(len(found.absent), "name")
            raise DatasetError(f"{lines}: {count} without a label map in {masks} (first: {shorten(found.absent)})")
        names, notes = found.names, found.notes(lines.name)
    if not names:
        raise DatasetError(f"{masks} has no *{suffix}; unpack the label maps there")
    items = tuple(Item(name, place / "JPEGImages" / f"{name}.jpg", files[name]) for name in names)
    return Dataset(
        f"pascal-context:{root}", "pascal-context", split, labels, items, (*notes, f"labels are read from {masks.name}")
    )


def _place(root: Path) -> Path:
    return beneath(beneath(root, "VOCdevkit"), "VOC2010")


def _found(root: Path, name: str) -> Path | None:
    """Return a folder of label maps."""
    return first_folder(above / name for above in (_place(root), _place(root).parent, root))


def _file(root: Path, name: str) -> Path | None:
    paths = (above / name for above in (_place(root), _place(root).parent, root))
    return next((path for path in paths if is_file(path)), None)


def _list(place: Path, name: str) -> Path | None:
    return next((path for folder in _LISTS if is_file(path := place / folder / f"{name}.txt")), None)


def _numbered(path: Path) -> dict[int, str]:
    """Return the names in a list of classes by code. Raises DatasetError for a line of another form."""
    with at(path):
        lines = [line.partition(":") for line in read_text(path).splitlines() if line.strip()]
        try:
            return {int(code): name.strip() for code, _, name in lines}
        except ValueError:
            raise DatasetError('expected a code and a name in each line, as in "1: accordion"') from None


def _codes(root: Path, kind: str) -> tuple[tuple[int, ...], ...]:
    """Return the codes of background and the 59 classes in a folder; the authors' are read off their list, if there."""
    path = _file(root, "59_labels.txt")
    if kind != "59_context_labels" or path is None:
        return _column(_FOLDERS[kind])
    named = {_plain(name): code for code, name in _numbered(path).items()}
    missing = [row["name"] for row in _ROWS[1:] if row["name"] not in named]
    if missing:
        raise DatasetError(f"{path}: does not name {shorten(missing)}; copy it again")
    return ((0,), *((named[row["name"]],) for row in _ROWS[1:]))


def _plain(name: str) -> str:
    plain = name.replace(" ", "").lower()
    return _ALIKE.get(plain, plain)


def _named(root: Path) -> LabelSet:
    """Return the label set of all classes in labels.txt."""
    path = _file(root, "labels.txt")
    assert path is not None
    named = {code: name for code, name in sorted(_numbered(path).items()) if code > 0}
    return LabelSet("pascal_context_459", tuple(named.values()), tuple((code,) for code in named), (0,))
