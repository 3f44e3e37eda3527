"""Readers of images, label maps and predictions, in every format."""

from functools import partial
from pathlib import Path

from . import bombs, networks, pictures
from .archive_damage import damaged_mat, damaged_npy, damaged_png, damaged_zip
from .byte_damage import Damage, damaged
from .readers import CHECK, COUNT, EDGES, NETWORK, PREDICTED, SCRIBBLE, SKIP, Reader, Target


def _of_labels(kind: str) -> Reader:
    suffix, _ = pictures.LABELS[kind]
    damage = {".png": damaged_png, ".npy": damaged_npy, ".mat": damaged_mat}.get(suffix, damaged)
    big = {".npy": bombs.ARRAYS, ".mat": bombs.MATS}.get(suffix, bombs.IMAGES)
    target = Target((f"data/labels/val/s1{suffix}", f"data/labels/val/s0{suffix}"), damage, big, of_many=True)
    encoding = "?encoding=index" if kind == "colours" else ""
    predicted = PREDICTED.replace("predictions:predicted", f"predictions:predicted{encoding}")
    itself = f"evaluate predictions:data/labels/val folder:data {COUNT} {SKIP}"
    skipping = (f"{predicted} {SKIP}", f"{predicted} {SKIP}", f"{NETWORK} {SKIP}", itself)
    return Reader(
        f"labels {kind}",
        partial(pictures.write_pictures, label=kind),
        (target,),
        (predicted, *skipping, CHECK, SCRIBBLE, EDGES),
    )


def _of_images(suffix: str) -> Reader:
    damage = damaged_png if suffix == "png" else damaged
    paths = f"data/images/val/s1.{suffix}", f"data/images/val/s0.{suffix}"
    commands = (NETWORK, f"{NETWORK} {SKIP}", f"{NETWORK} {SKIP}", CHECK)
    write = partial(pictures.write_pictures, image=suffix)
    return Reader(f"images {suffix}", write, (Target(paths, damage, bombs.IMAGES, of_many=True),), commands)


def _of_drafting(kind: str) -> Reader:
    suffix, _ = pictures.LABELS[kind]
    targets = (Target((f"data/labels/val/s1{suffix}",), damaged), Target(("data/images/val/s0.png",), damaged))
    write = partial(pictures.write_pictures, label=kind)
    return Reader(f"drafting {kind}", write, targets, ("datasets init data",), before=_remove_description, weight=1)


def _remove_description(root: Path) -> None:
    (root / "data/dataset.yaml").unlink()


def _of_predictions(kind: str, damage: Damage, suffix: str, big: tuple[bombs.Bomb, ...]) -> Reader:
    target = Target((f"{kind}/s1{suffix}", f"{kind}/s0{suffix}"), damage, big, of_many=True)
    spec = f"predictions:{kind}"
    commands = (
        f"evaluate {spec} folder:data --workers 0",
        f"evaluate {spec} folder:data {COUNT} {SKIP}",
        f"evaluate {spec} folder:data --workers 0 {SKIP}",
        f"checkpoints show {spec}",
        f"compare {spec} predictions:predicted --on folder:data --workers 0 --replicates 100",
    )
    return Reader(f"predictions {kind}", networks.write_predictions, (target,), commands)


READERS = (
    *map(_of_labels, pictures.LABELS),
    *map(_of_images, pictures.IMAGES),
    *map(_of_drafting, ("png", "palette", "colours", "mat")),
    _of_predictions("npz", damaged_zip, ".npz", bombs.ZIPS),
    _of_predictions("npy", damaged_npy, ".npy", bombs.ARRAYS),
    _of_predictions("mat", damaged_mat, ".mat", bombs.MATS),
    _of_predictions("palette", damaged_png, ".png", bombs.IMAGES),
    _of_predictions("tif", damaged, ".tif", bombs.IMAGES),
    _of_predictions("gif", damaged, ".gif", bombs.IMAGES),
)
