"""What several tests use: a small dataset on disk, a small network in a file, and the real data where it is."""

import importlib
import importlib.util
import os
import shutil
import socket
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any
from uuid import uuid4

import cv2
import numpy as np
import pytest
import yaml

from segablate.labels import IGNORE

OF_TERMINALS = (
    *("COLUMNS", "LINES", "TERMINAL_WIDTH", "FORCE_COLOR", "NO_COLOR", "PY_COLORS", "TTY_COMPATIBLE"),
    *("TTY_INTERACTIVE", "GITHUB_ACTIONS", "TYPER_USE_RICH"),
)
"""Variables from which Rich and Typer, some when they are imported, take the width and the colours of their text."""

for _name in OF_TERMINALS:
    os.environ.pop(_name, None)
os.environ["TERM"] = "xterm"  # a dumb one has no colours, whatever a test asks for

CLASSES = ("road", "car", "tree", "sky")


def pytest_addoption(parser: pytest.Parser) -> None:
    """``--fuzz``: how many cases test_fuzz.py runs."""
    parser.addoption("--fuzz", type=int, default=600, help="number of fuzzing cases")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Skip what needs a GPU, the real data or a browser where there is none, and say so."""
    for item in items:
        if item.get_closest_marker("data") and not os.environ.get("SEGABLATE_DATA"):
            item.add_marker(pytest.mark.skip(reason="SEGABLATE_DATA does not point to the real data"))
        if (gpu := item.get_closest_marker("gpu")) and gpu.kwargs.get("real") and not _cuda():
            item.add_marker(pytest.mark.skip(reason="no CUDA device"))
        if item.get_closest_marker("browser") and (reason := no_browser()):
            item.add_marker(pytest.mark.skip(reason=reason))


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup() -> None:
    """Begin each test, with what it sets up for its module, with the same random numbers, whichever ran before."""
    if "torch" in sys.modules:
        sys.modules["torch"].manual_seed(0)


_DECLARED: list[Any] = []
"""Operators are there as long as the library that declares them is."""


def optional(name: str) -> ModuleType:
    """An optional package; where it is missing or does not load, the tests of the calling module are skipped."""
    declare_operators_of_torchvision()
    try:
        return importlib.import_module(name)
    except Exception as error:  # a package built for another torch raises whatever it likes
        pytest.skip(f"{name} does not load: {error}", allow_module_level=True)


def declare_operators_of_torchvision() -> None:
    """Make a torchvision importable whose compiled part does not load, as the published one beside a CPU torch.

    It describes the shapes of two of its compiled operators when imported, and fails where torch does not know of
    them. Its networks use none of them, so that declaring them is enough to test with. A user's torchvision is left
    alone: there, what does not load is an error that says so.
    """
    import torch

    try:
        importlib.import_module("torchvision")
    except RuntimeError:
        library = torch.library.Library("torchvision", "DEF")
        for operator in ("nms", "qnms"):
            library.define(f"{operator}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
        _DECLARED.append(library)
    except Exception:
        return  # it is not there, or does not load for another reason


def chromium() -> str | None:
    """The path of an installed Chromium."""
    names = ("chromium", "chromium-browser", "google-chrome", "chrome")
    return next((path for name in names if (path := shutil.which(name))), None)


def no_browser() -> str:
    """Why there is no browser to test with; empty where there is one."""
    if importlib.util.find_spec("playwright") is None:
        return "playwright is not installed: pip install 'segablate[browser]'"
    return "" if chromium() else "no Chromium on PATH"


def _cuda() -> bool:
    import torch

    return torch.cuda.is_available()


@pytest.fixture(autouse=True)
def own_cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A cache folder for each test, so that none sees what the user or another test has kept; made when needed."""
    folder = tmp_path_factory.getbasetemp() / "caches" / uuid4().hex
    monkeypatch.setenv("SEGABLATE_CACHE", str(folder))
    return folder


@pytest.fixture(autouse=True)
def own_decisions(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """A configuration folder for each test: no test trusts what the user or another test trusts."""
    monkeypatch.setenv("SEGABLATE_CONFIG", str(tmp_path_factory.getbasetemp() / "decisions" / uuid4().hex))


@pytest.fixture(autouse=True)
def gpu(request: pytest.FixtureRequest) -> Iterator[None]:
    """A stand-in for the GPU, for tests that need one where there is none."""
    if request.node.get_closest_marker("gpu") and not _cuda():
        from stand_in_gpu import stand_in

        with stand_in():
            yield
    else:
        yield


@pytest.fixture(autouse=True)
def own_random_numbers() -> None:
    """The same random numbers for each test, whether or not it was the one that set up what its module shares."""
    pytest_runtest_setup()


@pytest.fixture
def processes_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Reading processes start for the first image, also where they would not pay."""
    from segablate.datasets import reading

    monkeypatch.setattr(reading, "WORTHWHILE", 0.0)


@pytest.fixture(scope="session")
def real_data() -> Path:
    """The folder of real datasets and checkpoints."""
    return Path(os.environ["SEGABLATE_DATA"]).resolve()


@pytest.fixture
def offline(monkeypatch: pytest.MonkeyPatch) -> None:
    """A test that uses this fails where anything looks for another machine."""

    def refuse(*wanted: object, **_: object) -> None:
        raise AssertionError(f"something looks for {wanted[0]} in the network")

    monkeypatch.setattr(socket, "getaddrinfo", refuse)


def scene(seed: int, size: tuple[int, int] = (24, 32)) -> tuple[np.ndarray, np.ndarray]:
    """An image (H, W, 3 uint8 RGB) and its labels (H, W uint8), with void; the colour tells most of the class."""
    rng = np.random.default_rng(seed)
    labels = cv2.resize(
        rng.integers(0, len(CLASSES), (4, 5), dtype=np.uint8), size[::-1], interpolation=cv2.INTER_NEAREST
    )
    image = np.stack([labels * 60, 200 - labels * 40, labels % 2 * 90], axis=-1) + rng.integers(0, 40, (*size, 3))
    labels[rng.random(size) < 0.05] = IGNORE
    return image.astype(np.uint8), labels


def write_dataset(root: Path, count: int = 6, sizes: tuple[tuple[int, int], ...] = ((24, 32),)) -> Path:
    """A folder dataset of four classes with a val split; sizes take turns."""
    for folder in ("images/val", "labels/val"):
        (root / folder).mkdir(parents=True)
    for index in range(count):
        image, labels = scene(index, sizes[index % len(sizes)])
        cv2.imwrite(str(root / f"images/val/s{index}.png"), image[..., ::-1])
        cv2.imwrite(str(root / f"labels/val/s{index}.png"), labels)
    described = {
        "name": "toy",
        "classes": [{"name": name, "code": code} for code, name in enumerate(CLASSES)],
        "void": [255],
        "splits": {"val": {"images": "images/val", "labels": "labels/val"}},
    }
    (root / "dataset.yaml").write_text(yaml.safe_dump(described))
    return root


def write_predictions(folder: Path, count: int, size: tuple[int, int]) -> Path:
    """Label maps that are wrong on a fifth of the pixels."""
    folder.mkdir()
    for index in range(count):
        rng = np.random.default_rng(index)
        labels = scene(index, size)[1] % len(CLASSES)
        wrong = rng.random(size) < 0.2
        cv2.imwrite(str(folder / f"s{index}.png"), np.where(wrong, rng.integers(0, 4, size), labels).astype(np.uint8))
    return folder


NETWORK = '''\
"""A network for tests: one convolution, a batch norm and a classifier."""

import torch
from torch import nn


class Small(nn.Module):
    preprocessing = {"scale": "1/255", "mean": 0, "std": 1}

    def __init__(self, num_classes, form="tensor"):
        super().__init__()
        self.body = nn.Conv2d(3, 8, 3, padding=1)
        self.norm = nn.BatchNorm2d(8)
        self.head = nn.Conv2d(8, num_classes, 1)
        self.form = form

    def forward(self, x):
        y = self.head(torch.relu(self.norm(self.body(x))))
        return {"tensor": y, "out": {"out": y, "aux": y * 0}, "logits": {"logits": y}, "list": [y, y * 0]}[self.form]


class Strict(Small):
    """Takes only sides that divide by 16."""

    def forward(self, x):
        coarse = nn.functional.interpolate(nn.functional.max_pool2d(x, 16), scale_factor=16)
        return super().forward(x + coarse)


def small(num_classes=4, form="tensor"):
    return Small(num_classes, form)


def strict(num_classes=4):
    return Strict(num_classes)


def not_a_network():
    return 3


def broken():
    raise ValueError("no such layer")
'''


@pytest.fixture
def every_image(monkeypatch: pytest.MonkeyPatch) -> None:
    """A piece for every image, however quick."""
    monkeypatch.setattr("segablate.evaluation.loop._pace", lambda: lambda: True)


@pytest.fixture
def toy(tmp_path: Path) -> Path:
    """A folder dataset of six images."""
    return write_dataset(tmp_path / "toy")


@pytest.fixture
def network_file(tmp_path: Path) -> Path:
    """``net.py`` and its weights ``net.pth`` for four classes."""
    import torch

    (tmp_path / "net.py").write_text(NETWORK)
    spec: dict = {}
    exec(NETWORK, spec)
    torch.manual_seed(0)
    torch.save(spec["small"](4).state_dict(), tmp_path / "net.pth")
    return tmp_path / "net.py"


@pytest.fixture
def network_spec(network_file: Path) -> str:
    """The specification of that network."""
    return f"python:{network_file}:small(num_classes=4)@{network_file.with_suffix('.pth')}"
