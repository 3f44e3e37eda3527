"""The classes of a converted dataset, and the dataset.yaml that describes it."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

from segablate.datasets.conversion.shapes import Annotations
from segablate.datasets.conversion.splits import default_split
from segablate.datasets.description import read_label_set
from segablate.labels import Colour

BACKGROUND = "background"
_BACKGROUNDS = ("background", "_background_", "__background__")
_WIDE = 65535


@dataclass(frozen=True)
class Classes:
    """The classes in the order of their codes, which are their indices.

    - `codes`: the code of each label of the source; `void`, `rest`: codes of void and of pixels in no shape.
    - `colours`: of each class, or none.
    """

    names: tuple[str, ...]
    codes: dict[str, int]
    void: int
    rest: int
    colours: tuple[Colour, ...] = ()

    @classmethod
    def of(cls, found: Annotations, outside: Literal["background", "void"]) -> "Classes":
        """Return the classes of annotations; a label for the background is that class, the first."""
        backgrounds = [name for name in found.classes if name.lower() in _BACKGROUNDS]
        others = [name for name in found.classes if name not in backgrounds and name not in found.voids]
        names = [BACKGROUND] * bool(backgrounds or outside == "background") + others
        void = 255 if len(names) <= 255 else _WIDE
        codes = {name: names.index(name) for name in others}
        codes |= dict.fromkeys(backgrounds, 0) | dict.fromkeys(found.voids, void)
        colours = [(0, 0, 0) if name == BACKGROUND and name not in others else found.classes[name] for name in names]
        known = tuple(colour for colour in colours if colour is not None)
        return cls(
            tuple(names),
            codes,
            void,
            0 if outside == "background" else void,
            known if len(known) == len(names) and len(others) and any(found.classes.values()) else (),
        )

    def class_of(self, label: str) -> str | None:
        """Return the class of a label of the source; None for void and unknown labels."""
        code = self.codes.get(label, self.void)
        return None if code == self.void else self.names[code]

    def described(self, name: str) -> dict[str, Any]:
        """Return the entries of dataset.yaml about classes."""
        entries = [{"name": each, "code": code} for code, each in enumerate(self.names)]
        for entry, colour in zip(entries, self.colours, strict=False):
            entry["colour"] = list(colour)
        return {"name": name, "classes": entries, "void": [self.void], "encoding": "codes"}

    def check(self, name: str) -> None:
        """Raise LabelError for more classes than a label set may have, and DatasetError for none."""
        read_label_set(self.described(name), name)


def describe(classes: Classes, name: str, splits: Sequence[str]) -> str:
    """Return the text of dataset.yaml."""
    described = classes.described(name)
    described["splits"] = {split: {"images": f"images/{split}", "labels": f"labels/{split}"} for split in splits}
    described["default_split"] = default_split(splits)
    described["label_suffix"] = ".png"
    lines = ["# Written by `segablate datasets convert`. Keys: segablate datasets show folder"]
    for key, value in described.items():
        if key == "classes":
            lines += ["classes: # in the order of their indices", *(f"  - {_flow(entry)}" for entry in value)]
        elif key == "splits":
            lines += ["splits:", *(f"  {_flow(split)}: {_flow(entry)}" for split, entry in value.items())]
        else:
            lines.append(f"{key}: {_flow(value)}")
    return "\n".join(lines) + "\n"


def _flow(value: Any) -> str:
    """Return a value in one line of YAML, which JSON is."""
    if isinstance(value, dict):
        return "{" + ", ".join(f"{key}: {_flow(entry)}" for key, entry in value.items()) + "}"
    return json.dumps(value, ensure_ascii=False)
