"""Every reader of the program: a valid input, what of it is damaged, how, and the commands that read it."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from random import Random

from . import bombs, networks, pictures, releases, saved_runs
from .archive_damage import damaged_mat, damaged_npy, damaged_png, damaged_safetensors, damaged_zip
from .bombs import Bomb
from .byte_damage import Damage, damaged
from .text_damage import damaged_text
from .tree_damage import damaged_json, damaged_yaml

Site = Callable[[Path], None]
Edit = Callable[[Path, Random], None]

COUNT = "--workers 0 --losses none --tolerance none"
PREDICTED = f"evaluate predictions:predicted folder:data {COUNT}"
NETWORK = "evaluate 'python:net.py:small(4)@net.pth' folder:data --workers 0"
SKIP = "--on-error skip"
CHECK = "datasets check folder:data --workers 0"


@dataclass(frozen=True)
class Target:
    """Files of a site of which one is damaged; `of_many`: an image, label map or prediction, one of several."""

    paths: tuple[str, ...]
    damage: Damage
    bombs: tuple[Bomb, ...] = ()
    of_many: bool = False


@dataclass(frozen=True)
class Reader:
    """What reads a kind of input.

    - `write`: writes its valid inputs into a folder, the site; `before`: what a case does first, in its copy of it.
    - `targets`: what is damaged; `edits`: damage to several files that belong together.
    - `commands`: one is chosen; `refused`: commands that are refused even where all is whole, after they have read it.
    - `needs`: packages without which the reader is left out.
    """

    name: str
    write: Site
    targets: tuple[Target, ...]
    commands: tuple[str, ...]
    edits: tuple[Edit, ...] = ()
    refused: tuple[str, ...] = ()
    before: Callable[[Path], None] | None = None
    needs: tuple[str, ...] = ()
    weight: int = 2


def _label_reader(kind: str) -> Reader:
    suffix, _ = pictures.LABELS[kind]
    encoding = "?encoding=index" if kind == "colours" else ""
    predicted = PREDICTED.replace("predictions:predicted", f"predictions:predicted{encoding}")
    damage = {".png": damaged_png, ".npy": damaged_npy, ".mat": damaged_mat}.get(suffix, damaged)
    big = {".npy": bombs.ARRAYS, ".mat": bombs.MATS}.get(suffix, bombs.IMAGES)
    target = Target((f"data/labels/val/s1{suffix}", f"data/labels/val/s0{suffix}"), damage, big, of_many=True)
    as_predictions = f"evaluate predictions:data/labels/val folder:data {COUNT}"
    commands = (
        predicted, f"{predicted} {SKIP}", f"{predicted} {SKIP}", CHECK, f"{as_predictions} {SKIP}",
        "datasets scribble folder:data --out scribbled", f"{NETWORK} {SKIP}",
        "train-edges folder:data --split val --steps 2 --masks 3 --out edges.safetensors",
    )  # fmt: skip
    return Reader(f"labels {kind}", partial(pictures.write_pictures, label=kind), (target,), commands)


def _image_reader(suffix: str) -> Reader:
    damage = damaged_png if suffix == "png" else damaged
    target = Target((f"data/images/val/s1.{suffix}", f"data/images/val/s0.{suffix}"), damage, bombs.IMAGES, of_many=True)
    commands = (NETWORK, f"{NETWORK} {SKIP}", f"{NETWORK} {SKIP}", CHECK)
    return Reader(f"images {suffix}", partial(pictures.write_pictures, image=suffix), (target,), commands)


def _drafting_reader(kind: str) -> Reader:
    suffix, _ = pictures.LABELS[kind]
    targets = (Target((f"data/labels/val/s1{suffix}",), damaged), Target(("data/images/val/s0.png",), damaged))
    write = partial(pictures.write_pictures, label=kind)
    return Reader(f"drafting {kind}", write, targets, ("datasets init data",), before=_remove_description, weight=1)


def _remove_description(root: Path) -> None:
    (root / "data/dataset.yaml").unlink()


def _checkpoint_reader(
    name: str, write: Site, damage: Damage, files: tuple[str, ...], specs: tuple[str, ...], big: tuple = (), **more: tuple
) -> Reader:
    """`specs`, with their options, name each of the files, or the first of them."""
    evaluations = [f"evaluate {spec} folder:data {options}" for spec in specs for options in (COUNT, "--workers 0")]
    looks = [f"checkpoints {verb} {spec}" for spec in specs for verb in ("show", "init --out new.yaml")]
    return Reader(name, write, (Target(files, damage, big),), (*evaluations, *looks), **more)


_PY = "'python:net.py:small(4)@{}'".format
CHECKPOINTS = (
    _checkpoint_reader(
        "weights zip", networks.write_weights, damaged_zip, ("net.pth", "nested.pth"),
        (_PY("net.pth"), _PY("nested.pth")), bombs.ZIPS,
        refused=("checkpoints show net.pth", f"checkpoints show {_PY('nested.pth')} --key model", "evaluate nested.pth folder:data", "checkpoints show torchscript:net.pth"),
    ),
    _checkpoint_reader(
        "weights legacy", networks.write_weights, damaged, ("legacy.pth",), (_PY("legacy.pth"),),
        refused=("checkpoints show legacy.pth",),
    ),
    _checkpoint_reader(
        "weights safetensors", networks.write_weights, damaged_safetensors, ("net.safetensors",),
        (_PY("net.safetensors"),), refused=("checkpoints show net.safetensors",),
    ),
    _checkpoint_reader(
        "whole module", networks.write_weights, damaged_zip, ("whole.pth",), ("module:whole.pth --trust-pickle",),
        refused=(f"checkpoints show {_PY('whole.pth')}", "evaluate module:whole.pth folder:data"),
    ),
    _checkpoint_reader(
        "own safetensors", networks.write_native, damaged_safetensors, ("own.safetensors",), ("own.safetensors",)
    ),
    _checkpoint_reader("builtin", networks.write_native, damaged_zip, ("small.pth",), ("builtin:small@small.pth",)),
    _checkpoint_reader(
        "onnx", networks.write_onnx, damaged, ("net.onnx", "beside.onnx", "beside.onnx.data"),
        ("net.onnx", "onnx:beside.onnx"), needs=("onnx", "onnxruntime"),
    ),
    _checkpoint_reader(
        "tflite", networks.write_tflite, damaged, ("net.tflite", "integers.tflite"), ("net.tflite", "integers.tflite"),
        needs=("ai_edge_litert.interpreter", "flatbuffers"),
    ),
    _checkpoint_reader(
        "torchscript", networks.write_torchscript, damaged_zip, ("net.ts",), ("torchscript:net.ts --trust-pickle",),
        refused=("evaluate net.ts folder:data", f"checkpoints show {_PY('net.ts')}"),
    ),
    _checkpoint_reader(
        "pt2", networks.write_program, damaged_zip, ("net.pt2",), ("net.pt2 --trust-pickle",),
        refused=("evaluate net.pt2 folder:data", f"checkpoints show {_PY('net.pt2')}"),
    ),
    _checkpoint_reader(
        "card", networks.write_card, damaged_yaml, ("card.yaml", "short.yaml"), ("card.yaml", "short.yaml"), bombs.YAML,
    ),
    _checkpoint_reader(
        "hf", networks.write_hf, damaged_json, ("hf/config.json", "hf/preprocessor_config.json"), ("hf:hf",), bombs.JSON,
        refused=("checkpoints show hf", "checkpoints show smp:hf"), needs=("transformers", "torchvision"),
    ),
    _checkpoint_reader(
        "smp", networks.write_smp, damaged_json, ("smp/config.json",), ("smp:smp",), bombs.JSON,
        refused=("checkpoints show smp", "checkpoints show hf:smp"), needs=("segmentation_models_pytorch",),
    ),
)  # fmt: skip


def _prediction_reader(kind: str, damage: Damage, suffix: str, big: tuple[Bomb, ...]) -> Reader:
    target = Target((f"{kind}/s1{suffix}", f"{kind}/s0{suffix}"), damage, big, of_many=True)
    spec = f"predictions:{kind}"
    commands = (
        f"evaluate {spec} folder:data --workers 0", f"evaluate {spec} folder:data {COUNT} {SKIP}",
        f"evaluate {spec} folder:data --workers 0 {SKIP}", f"checkpoints show {spec}",
        f"compare {spec} predictions:predicted --on folder:data --workers 0 --replicates 100",
    )  # fmt: skip
    return Reader(f"predictions {kind}", networks.write_predictions, (target,), commands)


PREDICTIONS = (
    _prediction_reader("npz", damaged_zip, ".npz", bombs.ZIPS),
    _prediction_reader("npy", damaged_npy, ".npy", bombs.ARRAYS),
    _prediction_reader("mat", damaged_mat, ".mat", bombs.MATS),
    _prediction_reader("palette", damaged_png, ".png", bombs.IMAGES),
    _prediction_reader("tif", damaged, ".tif", bombs.IMAGES),
    _prediction_reader("gif", damaged, ".gif", bombs.IMAGES),
)

PAGES = (
    "", "--format json", "--format csv", "--format latex", "--format markdown", "--wide", "--details", "--conventions",
    "--plot plot.svg",
)  # fmt: skip


def write_texts(root: Path) -> None:
    """A dataset, and the texts that options name: a class map, merged classes, lists of images."""
    pictures.write_pictures(root)
    card = "source: python:net.py:small(4)\nweights: net.pth\nclasses: [street, auto, wood, heaven]\n"
    (root / "card.yaml").write_text(card)
    (root / "map.yaml").write_text("street: road\nauto: car\nwood: tree\nheaven: sky\n")
    (root / "classes.yaml").write_text("vehicle: [car]\nflat: [road, tree]\nrest: other\n")
    (root / "list.txt").write_text("s0\ns2\n")
    (root / "data/val.txt").write_text("images/val/s0.png\ns1\n")


TEXTS = (
    Reader(
        "dataset.yaml", write_texts, (Target(("data/dataset.yaml",), damaged_yaml, bombs.YAML),),
        (*(f"{NETWORK} {page}" for page in PAGES), PREDICTED, CHECK, f"{NETWORK} --write-predictions written",
         f"{NETWORK} --save run", "train-edges folder:data --split val --steps 2 --out edges.safetensors",
         "datasets scribble folder:data --out scribbled"), weight=8,
    ),
    Reader(
        "class map", write_texts, (Target(("map.yaml",), damaged_yaml, bombs.YAML),),
        ("evaluate card.yaml folder:data --workers 0 --class-map map.yaml", f"{PREDICTED} --class-map map.yaml"),
    ),
    Reader(
        "classes", write_texts, (Target(("classes.yaml",), damaged_yaml, bombs.YAML),),
        tuple(f"{NETWORK} --classes classes.yaml {page}" for page in PAGES[:5]),
    ),
    Reader(
        "list", write_texts, (Target(("list.txt",), damaged_text),),
        (f"{PREDICTED} --images list.txt", f"{CHECK.removesuffix(' --workers 0')} --images list.txt"),
    ),
)  # fmt: skip

SHOW = ("", "--format json", "--format csv", "--format latex", "--details", "--curve", "--conventions", "--as mmseg")
_RUNS = ("a", "b", "compared", "compared/a", "ablated")
RUNS = (
    Reader(
        "saved run", saved_runs.write_runs,
        (Target(tuple(f"runs/{run}/run.json" for run in _RUNS), damaged_json, bombs.JSON),
         Target(("runs/a/counts.npz", "runs/b/counts.npz"), damaged_zip)),
        (*(f"show runs/a {page}" for page in SHOW), "show runs/compared", "show runs/ablated", "runs", "show runs/compared/a",
         "compare runs/a runs/b --replicates 100", "compare runs/a runs/b --replicates 100 --intersect --plot p.svg",
         "show runs/a --plot curve.svg --tolerance 1,2"),
        (saved_runs.edit_description, saved_runs.edit_description, saved_runs.edit_counts, saved_runs.edit_counts), weight=8,
    ),
    Reader(
        "pieces", saved_runs.write_runs, (),
        (f"{NETWORK} --device cpu --save runs/c --resume",),
        (lambda root, rng: saved_runs.edit_description(root / "runs/c.partial", rng), saved_runs.edit_piece),
        before=saved_runs.leave_pieces,
    ),
    Reader(
        "cache", saved_runs.write_runs, (), (f"{NETWORK} --device cpu",),
        (lambda root, rng: saved_runs.edit_description(root / "cache", rng),
         lambda root, rng: saved_runs.edit_counts(root / "cache", rng)),
        before=saved_runs.fill_cache,
    ),
)  # fmt: skip


def _release_reader(name: str, damage: Damage, files: tuple[str, ...], options: str, **more: tuple) -> Reader:
    commands = (f"datasets check {options} --workers 0", f"train-edges {options} --steps 2 --out edges.safetensors")
    return Reader(f"release {name}", releases.write_releases, (Target(files, damage),), commands, weight=1, **more)


RELEASES = (
    _release_reader("camvid", damaged_text, ("camvid/test.txt",), "camvid:camvid --split test"),
    _release_reader("voc2012", damaged_text, ("voc/ImageSets/Segmentation/val.txt",), "voc2012:voc --split val"),
    _release_reader(
        "scribbles", damaged_text, ("voc/scribble_annotation/pascal_2012/v1.xml",), "voc2012:voc --split val-scribble"
    ),
    _release_reader("panoptic", damaged_json, ("coco/annotations/panoptic_val2017.json",), "coco-stuff:coco --split val"),
    _release_reader("nyuv2", damaged, ("nyu/nyu_depth_v2_labeled.mat",), "nyuv2:nyu --split train --limit 3"),
    _release_reader(
        "arrow description", damaged_json,
        ("arrow/dataset_dict.json", "arrow/id2label.json", "arrow/validation/state.json",
         "arrow/validation/dataset_info.json"), "hf:arrow --split validation", needs=("datasets",),
    ),
    _release_reader(
        "arrow", damaged, ("arrow/validation/data-00000-of-00001.arrow",), "hf:arrow --split validation",
        needs=("datasets",),
    ),
)  # fmt: skip

READERS: tuple[Reader, ...] = (
    *CHECKPOINTS, *PREDICTIONS, *map(_label_reader, pictures.LABELS), *map(_image_reader, pictures.IMAGES),
    *map(_drafting_reader, ("png", "palette", "colours", "mat")), *TEXTS, *RUNS, *RELEASES,
)  # fmt: skip
