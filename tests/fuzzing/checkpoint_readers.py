"""Readers of checkpoints, in every format."""

from typing import Any

from . import bombs, networks
from .archive_damage import damaged_safetensors, damaged_zip
from .byte_damage import Damage, damaged
from .readers import COUNT, Reader, Site, Target
from .tree_damage import damaged_json, damaged_yaml

Files = tuple[str, ...]


def _reader(name: str, write: Site, damage: Damage, files: Files, specs: Files, **more: Any) -> Reader:
    """`specs`, with their options, name each of the files, or the first of them; `more` goes to the reader."""
    evaluations = [f"evaluate {spec} folder:data {options}" for spec in specs for options in (COUNT, "--workers 0")]
    verbs = {
        spec: ("show",) if spec.split()[0].endswith(".yaml") else ("show", "init --out new.yaml") for spec in specs
    }
    looks = [f"checkpoints {verb} {spec}" for spec in specs for verb in verbs[spec]]  # a card has no card
    target = Target(files, damage, more.pop("big", ()))
    return Reader(name, write, (target,), (*evaluations, *looks), **more)


def _of_net(weights: str) -> str:
    return f"'python:net.py:small(4)@{weights}'"


TORCH = (
    _reader(
        "weights zip",
        networks.write_weights,
        damaged_zip,
        ("net.pth", "nested.pth"),
        (_of_net("net.pth"), _of_net("nested.pth")),
        big=bombs.ZIPS,
        refused=(
            "checkpoints show net.pth",
            "evaluate nested.pth folder:data",
            "checkpoints show torchscript:net.pth",
            f"checkpoints show {_of_net('nested.pth')} --key model",
        ),
    ),
    _reader(
        "weights legacy",
        networks.write_weights,
        damaged,
        ("legacy.pth",),
        (_of_net("legacy.pth"),),
        refused=("checkpoints show legacy.pth",),
    ),
    _reader(
        "whole module",
        networks.write_weights,
        damaged_zip,
        ("whole.pth",),
        ("module:whole.pth --trust-code",),
        refused=(f"checkpoints show {_of_net('whole.pth')}", "evaluate module:whole.pth folder:data"),
    ),
    _reader("builtin", networks.write_native, damaged_zip, ("small.pth",), ("builtin:small@small.pth",)),
    _reader(
        "torchscript",
        networks.write_torchscript,
        damaged_zip,
        ("net.ts",),
        ("torchscript:net.ts --trust-code",),
        refused=("evaluate net.ts folder:data", f"checkpoints show {_of_net('net.ts')}"),
    ),
    _reader(
        "pt2",
        networks.write_program,
        damaged_zip,
        ("net.pt2",),
        ("net.pt2 --trust-code",),
        refused=("evaluate net.pt2 folder:data", f"checkpoints show {_of_net('net.pt2')}"),
    ),
)

OTHERS = (
    _reader(
        "weights safetensors",
        networks.write_weights,
        damaged_safetensors,
        ("net.safetensors",),
        (_of_net("net.safetensors"),),
        refused=("checkpoints show net.safetensors",),
    ),
    _reader("own safetensors", networks.write_native, damaged_safetensors, ("own.safetensors",), ("own.safetensors",)),
    _reader(
        "onnx",
        networks.write_onnx,
        damaged,
        ("net.onnx", "beside.onnx", "beside.onnx.data"),
        ("net.onnx", "onnx:beside.onnx"),
        needs=("onnx", "onnxruntime"),
    ),
    _reader(
        "tflite",
        networks.write_tflite,
        damaged,
        ("net.tflite", "integers.tflite"),
        ("net.tflite", "integers.tflite"),
        needs=("ai_edge_litert.interpreter", "flatbuffers"),
    ),
    _reader(
        "card",
        networks.write_card,
        damaged_yaml,
        ("card.yaml", "short.yaml"),
        ("card.yaml --trust-code", "short.yaml --trust-code"),
        big=bombs.YAML,
    ),
    _reader(
        "hf",
        networks.write_hf,
        damaged_json,
        ("hf/config.json", "hf/preprocessor_config.json"),
        ("hf:hf",),
        big=bombs.JSON,
        refused=("checkpoints show hf", "checkpoints show smp:hf"),
        needs=("transformers", "torchvision"),
    ),
    _reader(
        "smp",
        networks.write_smp,
        damaged_json,
        ("smp/config.json",),
        ("smp:smp",),
        big=bombs.JSON,
        refused=("checkpoints show smp", "checkpoints show hf:smp"),
        needs=("segmentation_models_pytorch",),
    ),
)

READERS = (*TORCH, *OTHERS)
