"""Readers of YAML, lists, saved runs, released datasets, names and command lines."""

from pathlib import Path
from random import Random
from typing import Any

from . import bombs, names, pictures, releases, saved_runs, trainings
from .archive_damage import damaged_safetensors, damaged_zip
from .byte_damage import Damage, damaged
from .readers import CHECK, EDGES, NETWORK, PAGES, PREDICTED, SCRIBBLE, Reader, Target
from .text_damage import damaged_text
from .tree_damage import damaged_json, damaged_yaml


def write_texts(root: Path) -> None:
    """A dataset, and the texts that options name: a card, a class map, merged classes, lists, a recipe."""
    pictures.write_pictures(root)
    card = "source: python:net.py:small(4)\nweights: net.pth\nclasses: [street, auto, wood, heaven]\n"
    (root / "card.yaml").write_text(card)
    (root / "map.yaml").write_text("street: road\nauto: car\nwood: tree\nheaven: sky\n")
    (root / "classes.yaml").write_text("vehicle: [car]\nflat: [road, tree]\nrest: other\n")
    (root / "list.txt").write_text("s0\ns2\n")


TEXTS = (
    Reader(
        "dataset.yaml",
        write_texts,
        (Target(("data/dataset.yaml",), damaged_yaml, bombs.YAML),),
        (
            *(f"{NETWORK} {page}" for page in PAGES),
            f"{NETWORK} --write-predictions written",
            f"{NETWORK} --save run",
            PREDICTED,
            CHECK,
            EDGES,
            SCRIBBLE,
        ),
        weight=8,
    ),
    Reader(
        "class map",
        write_texts,
        (Target(("map.yaml",), damaged_yaml, bombs.YAML),),
        (
            "evaluate card.yaml folder:data --workers 0 --trust-code --class-map map.yaml",
            f"{PREDICTED} --class-map map.yaml",
        ),
    ),
    Reader(
        "classes",
        write_texts,
        (Target(("classes.yaml",), damaged_yaml, bombs.YAML),),
        tuple(f"{NETWORK} --classes classes.yaml {page}" for page in PAGES[:5]),
    ),
    Reader(
        "list",
        write_texts,
        (Target(("list.txt",), damaged_text),),
        (f"{PREDICTED} --images list.txt", f"{CHECK} --images list.txt"),
    ),
)

SHOW = ("", "--format json", "--format csv", "--format latex", "--details", "--curve", "--conventions", "--as mmseg")
COMPARE = "compare runs/a runs/b --replicates 100"
_DESCRIPTIONS = tuple(f"runs/{run}/run.json" for run in ("a", "b", "compared", "compared/a", "ablated"))


def _edit_pieces(root: Path, rng: Random) -> None:
    saved_runs.edit_description(root / "runs/c.partial", rng)


def _edit_kept_description(root: Path, rng: Random) -> None:
    saved_runs.edit_description(root / "cache", rng)


def _edit_kept_counts(root: Path, rng: Random) -> None:
    saved_runs.edit_counts(root / "cache", rng)


RUNS = (
    Reader(
        "saved run",
        saved_runs.write_runs,
        (
            Target(_DESCRIPTIONS, damaged_json, bombs.JSON),
            Target(("runs/a/counts.npz", "runs/b/counts.npz"), damaged_zip),
        ),
        (
            *(f"show runs/a {page}" for page in SHOW),
            *(f"show runs/{run}" for run in ("compared", "ablated", "compared/a")),
            "show runs/a --plot curve.svg --tolerance 1,2",
            "runs",
            COMPARE,
            f"{COMPARE} --intersect --plot p.svg",
        ),
        (saved_runs.edit_description, saved_runs.edit_description, saved_runs.edit_counts, saved_runs.edit_counts),
        weight=8,
    ),
    Reader(
        "pieces",
        saved_runs.write_runs,
        (),
        (f"{NETWORK} --device cpu --save runs/c --resume",),
        (_edit_pieces, saved_runs.edit_piece),
        before=saved_runs.leave_pieces,
    ),
    Reader(
        "cache",
        saved_runs.write_runs,
        (),
        (f"{NETWORK} --device cpu",),
        (_edit_kept_description, _edit_kept_counts),
        before=saved_runs.fill_cache,
    ),
)

TRAININGS = (
    Reader(
        "recipe",
        trainings.write_recipe,
        (Target(("recipe.yaml",), damaged_yaml, bombs.YAML),),
        (f"{trainings.TRAIN} --recipe recipe.yaml", "recipes show recipe.yaml"),
    ),
    Reader(
        "training states",
        trainings.write_recipe,
        (Target(("t/state-000000002.safetensors", "t/state-000000001.safetensors"), damaged_safetensors),),
        (trainings.RESUME,),
        before=trainings.leave_states,
        weight=1,
    ),
    Reader(
        "finished training",
        trainings.write_recipe,
        (Target(("t/training.json",), damaged_json, bombs.JSON), Target(("t/progress.jsonl",), damaged_text)),
        (trainings.RESUME, "evaluate t/checkpoint.safetensors folder:data --workers 0"),
        before=trainings.finish,
        weight=1,
    ),
)


def _release(name: str, damage: Damage, files: tuple[str, ...], options: str, **more: Any) -> Reader:
    commands = (f"datasets check {options} --workers 0", f"train-edges {options} --steps 2 --out edges.safetensors")
    return Reader(f"release {name}", releases.write_releases, (Target(files, damage),), commands, weight=1, **more)


_VALIDATION = "hf:arrow --split validation"
_ARROW = (
    "arrow/dataset_dict.json", "arrow/id2label.json", "arrow/validation/state.json",
    "arrow/validation/dataset_info.json",
)  # fmt: skip

RELEASES = (
    _release("camvid", damaged_text, ("camvid/test.txt",), "camvid:camvid --split test"),
    _release("voc2012", damaged_text, ("voc/ImageSets/Segmentation/val.txt",), "voc2012:voc --split val"),
    _release(
        "scribbles", damaged_text, ("voc/scribble_annotation/pascal_2012/v1.xml",), "voc2012:voc --split val-scribble"
    ),
    _release("panoptic", damaged_json, ("coco/annotations/panoptic_val2017.json",), "coco-stuff:coco --split val"),
    _release("nyuv2", damaged, ("nyu/nyu_depth_v2_labeled.mat",), "nyuv2:nyu --split train --limit 3", needs=("h5py",)),
    _release("arrow description", damaged_json, _ARROW, _VALIDATION, needs=("datasets",)),
    _release("arrow", damaged, ("arrow/validation/data-00000-of-00001.arrow",), _VALIDATION, needs=("datasets",)),
)

NAMES = (
    Reader(
        "names of images and classes",
        pictures.write_pictures,
        (),
        (
            *(f"{NETWORK} {page}" for page in PAGES),
            f"{NETWORK} --save run --write-predictions written",
            PREDICTED,
            CHECK,
            SCRIBBLE,
        ),
        (names.rename_image, names.rename_classes),
        weight=3,
    ),
    Reader(
        "names in runs",
        saved_runs.write_runs,
        (),
        (
            *(f"show runs/a {page}" for page in SHOW),
            "show runs/a --plot curve.svg",
            f"{COMPARE} --plot plot.png",
            f"{COMPARE} --format latex",
            "runs",
        ),
        (names.rename_in_runs, names.rename_in_runs, names.rename_run),
        weight=3,
    ),
)


def _write_everything(root: Path) -> None:
    saved_runs.write_runs(root)
    write_texts(root)


COMMAND_LINES = Reader("command lines", _write_everything, (), ("losses list",), weight=12)
"""Whose commands are made by :mod:`tests.fuzzing.command_lines`."""

READERS = (*TEXTS, *RUNS, *TRAININGS, *RELEASES, *NAMES, COMMAND_LINES)
