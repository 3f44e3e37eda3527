"""What is assumed of a network that comes without mean and std, and what its own code says of them.

Weights come without constants. Pixels are then only scaled to 0..1, whatever the source, as for a network that
normalises its input itself; folders of transformers without a processor get ImageNet's mean and std of RGB in 0..1,
which its processors mostly have. It is never silent: a note says what was assumed and how to state it.
"""

from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from segablate.checkpoints.preprocessing import Preprocessing

ASSUMED, OF_TRANSFORMERS = "none", "imagenet"
"""The normalisations that are assumed, names of :data:`segablate.checkpoints.preprocessing.NORMALISATIONS`."""

_INSIDE = (("mean", "std"), ("pixel_mean", "pixel_std"), ("image_mean", "image_std"))
"""Names under which modules that normalise images keep their constants: torchvision, kornia, detectron2."""

_OUTSIDE = "data_preprocessor"
"""The part of mmengine's networks that their ``forward`` does not run: what it holds is stated, not applied."""

_HOW = (
    "state --normalise imagenet, none or 0.5, or --mean and --std; segablate checkpoints probe SPEC DATASET tries the "
    "usual ones"
)

_HOW_OF_BANDS = _HOW.replace("imagenet, none", "none")


class Settled(NamedTuple):
    """The preprocessing of a network, whether its mean and std were assumed, and the note that says so."""

    preprocessing: Preprocessing
    assumed: bool = False
    note: str = ""


def settle(start: Preprocessing, given: Mapping[str, Any], module: Any = None, assume: str = ASSUMED) -> Settled:
    """Return the preprocessing of a network that states no mean and std, with what the user has `given`.

    `start`: its steps without constants. `module` is looked at for constants that it applies itself. `assume`: the
    normalisation to assume. Raises CheckpointError for malformed values.
    """
    parsed = Preprocessing.parse(given, start)
    missing = [name for name in ("mean", "std") if name not in given]
    if not missing or given.get("normalise") is not None:
        return Settled(parsed)
    if len(missing) == 1:
        value = "0 was" if missing == ["mean"] else "1 was"
        return Settled(parsed, True, f"no {missing[0]} given: {value} assumed; state --{missing[0]} too")
    if given.keys() & {"scale", "divisor"}:
        note = f"no mean and std given: pixels are only scaled ({parsed}); {_HOW}"
        return Settled(parsed, True, note)
    if (inside := normalises_itself(module)) is not None:
        scaled = Preprocessing.parse({"scale": inside.scale, **given}, start)
        note = (
            f"no mean and std given: the network subtracts its own ({inside.name}) from pixels {inside.range}; {_HOW}"
        )
        return Settled(scaled, True, note)
    if parsed.count != 3:
        note = (
            f"no mean and std given for {parsed.named_channels}: pixels were only scaled to 0..1, as ImageNet's "
            f"constants are of three channels; {_HOW if parsed.count == 1 else _HOW_OF_BANDS}"
        )
        return Settled(parsed.normalised("none"), True, note)
    assumed = parsed.normalised(assume)
    if assume == "none":
        note = (
            "no mean and std given: pixels were only scaled to 0..1, though networks with a pretrained backbone mostly "
            f"take ImageNet's; {_HOW}"
        )
        return Settled(assumed, True, note)
    numbers = ", std ".join(_commas(row) for row in (assumed.mean, assumed.std))
    order = assumed.named_channels
    note = f"no mean and std given: ImageNet's were assumed (mean {numbers} of {order} in 0..1); {_HOW}"
    return Settled(assumed, True, note)


class Inside(NamedTuple):
    """Where a network keeps the constants that it applies itself, and the scale of the pixels that it takes."""

    name: str
    scale: str

    @property
    def range(self) -> str:
        """The range of these pixels."""
        return "0..255" if self.scale == "1" else "0..1"


def normalises_itself(module: Any) -> Inside | None:
    """Return the constants by which a module of torch normalises its input itself; None where it has none."""
    for path, part in _parts(module):
        for mean, std in _INSIDE:
            found = _three(getattr(part, mean, None))
            if found is not None and _three(getattr(part, std, None)) is not None and _OUTSIDE not in path:
                name = f"{path}.{mean}" if path else mean
                return Inside(name, "1" if max(map(abs, found)) > 1 else "1/255")
    return None


def stated_by_code(*places: Any) -> dict[str, Any] | None:
    """Return the preprocessing that a network or its factory states, by the names of a card; None without one.

    An attribute ``preprocessing`` is a mapping as in a card; timm's ``pretrained_cfg`` or ``default_cfg`` has mean and
    std of 0..1; the ``data_preprocessor`` of mmengine those of 0..255.
    """
    for place in places:
        stated = getattr(place, "preprocessing", None)
        if isinstance(stated, Mapping):
            return {str(name): value for name, value in stated.items()}
        for name in ("pretrained_cfg", "default_cfg"):
            found = getattr(place, name, None)
            if isinstance(found, Mapping) and found.get("mean") and found.get("std"):
                return {"mean": list(found["mean"]), "std": list(found["std"])}
        outside = getattr(place, _OUTSIDE, None)
        mean, std = _three(getattr(outside, "mean", None)), _three(getattr(outside, "std", None))
        if mean is not None and std is not None:
            kept = getattr(outside, "channel_conversion", getattr(outside, "_channel_conversion", True))
            return {"scale": 1, "mean": mean, "std": std, "channels": "rgb" if kept else "bgr"}
    return None


def _parts(module: Any) -> Iterable[tuple[str, Any]]:
    return module.named_modules() if hasattr(module, "named_modules") else ()


def _three(value: Any) -> list[float] | None:
    """Return the three numbers of a tensor or a sequence, or None."""
    if hasattr(value, "detach"):
        value = value.detach().cpu().flatten().tolist() if value.numel() == 3 and not value.is_meta else None
    if not isinstance(value, list | tuple) or len(value) != 3:
        return None
    return [float(each) for each in value] if all(isinstance(each, int | float) for each in value) else None


def _commas(values: Iterable[float]) -> str:
    return ", ".join(f"{value:.4g}" for value in values)
