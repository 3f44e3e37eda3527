"""Copies of results from a GPU that the host does not wait for."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    import torch


class Copy:
    """Tensors by name on their way to the host, which does not wait: in page-locked memory, behind an event."""

    def __init__(self, tensors: "Sequence[dict[str, torch.Tensor]]") -> None:
        """Start one copy of all tensors; those on the CPU are taken as they are. Integers must be below 2^53."""
        import torch

        self._shapes = [{name: (each.shape, each.dtype) for name, each in named.items()} for named in tensors]
        flat = [each.reshape(-1) for named in tensors for each in named.values()]
        self._event = None
        self._flat = flat
        if any(each.is_cuda for each in flat):
            together = torch.cat([each.double() for each in flat])
            values = torch.empty(together.shape, dtype=together.dtype, pin_memory=True)
            values.copy_(together, non_blocking=True)
            self._event = torch.cuda.Event()
            self._event.record(torch.cuda.current_stream(together.device))
            self._flat = list(values.split([each.numel() for each in flat]))

    @property
    def done(self) -> bool:
        """Whether the copy is complete, without waiting for it."""
        return self._event is None or self._event.query()

    def arrays(self) -> "list[dict[str, np.ndarray]]":
        """Return the tensors on the host; waits for the copy."""
        if self._event is not None:
            self._event.synchronize()
        parts = iter(self._flat)
        return [
            {name: next(parts).view(shape).to(dtype).numpy() for name, (shape, dtype) in named.items()}
            for named in self._shapes
        ]
