"""The program under test: its ``run``, with all that it imports when needed, or its console script."""

import gc
import importlib
import os
import pkgutil
import sys
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import NoReturn

Program = Callable[[Sequence[str]], int]

_LATER = (
    "matplotlib.pyplot", "PIL.ImageFile", "scipy.io", "h5py", "timm", "transformers.models.segformer", "onnxruntime",
)  # fmt: skip
"""What the program imports within functions, and takes long to."""


def loaded_program() -> Program:
    """The function behind the console script; whatever it may need is imported here, once, for all processes."""
    import cv2
    import torch
    from conftest import declare_operators_of_torchvision

    import segablate
    from segablate.cli import run

    declare_operators_of_torchvision()
    torch.set_num_threads(1)
    cv2.setNumThreads(1)  # a process that is forked waits for ever for threads that OpenCV had started before
    own = [module.name for module in pkgutil.walk_packages(segablate.__path__, "segablate.")]
    for name in (*own, *_LATER):
        if not name.endswith("__main__") and "sample_data" not in name:
            with suppress(Exception):  # an optional package that is not there, or does not load
                importlib.import_module(name)
    gc.collect()
    gc.freeze()  # else the collector of each process would copy all that they share
    return run


def script(arguments: Sequence[str]) -> NoReturn:
    """Become the console script."""
    place = Path(sys.executable).with_name("segablate")
    command = [str(place)] if place.is_file() else [sys.executable, "-m", "segablate"]
    os.environ["PYTHONIOENCODING"] = sys.stdout.encoding
    os.execv(command[0], [*command, *map(os.fsencode, arguments)])
