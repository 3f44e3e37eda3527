"""An interpreter of TFLite files that does without its default delegate where that rejects the network."""

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, nullcontext
from typing import Any

import numpy as np
import torch


class Interpreter:
    """Runs a network by ai-edge-litert, first with XNNPACK, its default delegate, which is faster.

    `notes` says so where XNNPACK rejected the network. Its own lines stay off standard error.
    """

    def __init__(self, litert: Any, path: str) -> None:
        self._litert, self._path = litert, path
        self._opened: Any = None
        self.plain = False
        self._ran = False

    @property
    def notes(self) -> tuple[str, ...]:
        """How the network runs, where that is not as usual."""
        said = "XNNPACK, the default delegate of ai-edge-litert, rejects the network: it runs without, which is slower"
        return (said,) if self.plain else ()

    @property
    def inputs(self) -> list[Mapping[str, Any]]:
        """The description of each input."""
        return self._opened.get_input_details()

    @property
    def outputs(self) -> list[Mapping[str, Any]]:
        """The description of each output."""
        return self._opened.get_output_details()

    def allocate(self) -> None:
        """Open the file and allocate its tensors. Raises ValueError or RuntimeError where neither way works."""
        with silent_stderr():
            try:
                self._open()
            except RuntimeError:
                if self.plain:
                    raise
                self.plain = True
                self._open()

    def run(self, array: np.ndarray, taken: int, given: int) -> np.ndarray:
        """Return the output `given` for the input `taken`. Raises ValueError or RuntimeError."""
        with nullcontext() if self._ran else silent_stderr():
            self._ran = True
            try:
                return self._run(array, taken, given)
            except RuntimeError:
                if self.plain:
                    raise
                self.plain = True
                self._open()
                return self._run(array, taken, given)

    def _open(self) -> None:
        resolvers = self._litert.OpResolverType
        resolver = resolvers.BUILTIN_WITHOUT_DEFAULT_DELEGATES if self.plain else resolvers.AUTO
        self._opened = self._litert.Interpreter(
            self._path, num_threads=torch.get_num_threads(), experimental_op_resolver_type=resolver
        )
        self._opened.allocate_tensors()

    def _run(self, array: np.ndarray, taken: int, given: int) -> np.ndarray:
        if self._opened.get_input_details()[0]["shape"].tolist() != list(array.shape):
            self._opened.resize_tensor_input(taken, array.shape)
            self._opened.allocate_tensors()
        self._opened.set_tensor(taken, array)
        self._opened.invoke()
        return self._opened.get_tensor(given)


@contextmanager
def silent_stderr() -> Iterator[None]:
    """Keep what native code writes to standard error off it; errors come as exceptions."""
    try:
        kept = os.dup(2)
    except OSError:  # closed
        yield
        return
    nowhere = os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(nowhere, 2)
        yield
    finally:
        os.dup2(kept, 2)
        os.close(nowhere)
        os.close(kept)
