"""The last convolution of a network, its classifier, and the features that it takes."""

from typing import Any

from torch import Tensor, nn

CONVOLUTIONS = (nn.Conv2d, nn.ConvTranspose2d)


class LastConvolution:
    """Context that keeps the convolution that ran last, the classifier, and its input: the features."""

    def __init__(self, module: nn.Module, active: bool) -> None:
        self.inputs: Tensor | None = None
        self.classifier: nn.Module | None = None
        self._convolutions = [part for part in module.modules() if isinstance(part, CONVOLUTIONS)] if active else []
        self._hooks: list[Any] = []

    def __enter__(self) -> "LastConvolution":
        self._hooks = [part.register_forward_pre_hook(self._remember) for part in self._convolutions]
        return self

    def __exit__(self, *error: object) -> None:
        for hook in self._hooks:
            hook.remove()

    def _remember(self, module: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        self.inputs, self.classifier = inputs[0], module
