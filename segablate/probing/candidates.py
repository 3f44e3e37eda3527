"""The preprocessings that are tried: forms of subtraction and scaling, several constants, both channel orders."""

from collections.abc import Iterator
from dataclasses import dataclass, replace

from segablate.checkpoints.channels import constants_for
from segablate.checkpoints.preprocessing import NORMALISATIONS, Preprocessing
from segablate.errors import CheckpointError
from segablate.probing.constants import Constants, Row

_IMAGENET = NORMALISATIONS["imagenet"]


@dataclass(frozen=True)
class Candidate:
    """A preprocessing to try, and its name in tables; `stated`: it is what the checkpoint or the user states."""

    name: str
    preprocessing: Preprocessing
    stated: bool = False


@dataclass(frozen=True)
class Given:
    """Mean and std that the user states, for channels in the order of the network; the scale may be any."""

    mean: Row
    std: Row

    @classmethod
    def of(cls, preprocessing: Preprocessing) -> "Given":
        """Return the constants of a preprocessing, in 0..1."""
        unit = preprocessing.factor * 255
        return cls(_over(preprocessing.mean, unit), _over(preprocessing.std, unit))

    @classmethod
    def read(cls, mean: Row, std: Row) -> "Given":
        """Return constants in 0..1, of pixels of 0..1 or 0..255: those above 1 are of 0..255."""
        return cls(*(_over(row, 255 if max(map(abs, row)) > 1 else 1) for row in (mean, std)))


def candidates(
    start: Preprocessing, stated: bool, measured: Constants | None, given: Given | None, pixels: bool = False
) -> list[Candidate]:
    """Return what to try, without repetitions, what is stated first.

    - `start`: the preprocessing of the network, of which size and padding are kept; `stated`: whether its constants
      are stated.
    - `measured`: constants of the dataset; `given`: those of the user.
    - `pixels`: whether the network takes whole pixels of 0..255, so that only the order of channels is open.
    """
    found = [Candidate("as stated", start, stated=True)] if stated else []
    found += [] if given is None else list(_given(start, given))
    if pixels:
        found += [Candidate("0..255", replace(start, channels=order)) for order in _orders(start)]
    else:
        found += list(_usual(start, measured))
    kept: dict[tuple, Candidate] = {}
    for candidate in found:
        kept.setdefault(_sum(candidate.preprocessing), candidate)
    return list(kept.values())


def _usual(start: Preprocessing, measured: Constants | None) -> Iterator[Candidate]:
    """Yield the usual preprocessings in both orders of channels."""
    for order in _orders(start):
        for name, mean, std in (("0..1", 0.0, 1.0), ("±1", 0.5, 0.5), ("0..1 − 0.5", 0.5, 1.0), ("0..255", 0.0, 1.0)):
            scale, rows = "1" if name == "0..255" else "1/255", {"mean": mean, "std": std}
            yield Candidate(name, Preprocessing.parse({"channels": order, "scale": scale, "divisor": 1, **rows}, start))
        rows = [constants_for(order, row) for row in _IMAGENET]
        if rows[0] and rows[1]:
            yield from _forms(start, order, "ImageNet", rows[0], rows[1])
        if measured is not None:
            mean, std = measured.mean, measured.std
            turned = order == "bgr"
            yield from _forms(start, order, "dataset", *map(_reversed, (mean, std)) if turned else (mean, std))


def _given(start: Preprocessing, given: Given) -> Iterator[Candidate]:
    """Yield the forms with the user's constants, as written and turned round, in both orders of channels."""
    turned = Given(_reversed(given.mean), _reversed(given.std))
    if len(given.mean) != start.count or len(given.std) != start.count:
        raise CheckpointError(
            f"mean and std are {len(given.mean)} and {len(given.std)} numbers, but channels {start.channels} need "
            f"{start.count} each"
        )
    for constants, how in ((given, ""), (turned, ", turned round")):
        for order in _orders(start):
            for candidate in _forms(start, order, "given", constants.mean, constants.std):
                yield replace(candidate, name=candidate.name + how, stated=True)


def _forms(start: Preprocessing, order: str, name: str, mean: Row, std: Row) -> Iterator[Candidate]:
    """Yield the forms in which constants of 0..1 are used, in the order of the channels."""
    base = replace(start, channels=order, divisor=1.0)
    whole = replace(base, scale="1", mean=_times(mean, 255), std=(1.0,) * len(std))
    yield Candidate(f"{name} mean and std", replace(base, scale="1/255", mean=mean, std=std))
    yield Candidate(f"{name} mean, 0..255", whole)
    yield Candidate(f"{name} mean and std, / 255", replace(whole, std=_times(std, 255), divisor=255.0))


def _sum(steps: Preprocessing) -> tuple:
    """Return what a preprocessing computes, rounded: the factor and the offset of each channel, and its order."""
    factors = [steps.factor / std / steps.divisor for std in steps.std]
    offsets = [mean / std / steps.divisor for mean, std in zip(steps.mean, steps.std, strict=True)]
    return (steps.channels, *(float(f"{value:.5g}") for value in (*factors, *offsets)))


def _orders(start: Preprocessing) -> tuple[str, ...]:
    """Return the channels to try: both orders of colours, or those of the network where it takes others."""
    return ("rgb", "bgr") if start.channels in ("rgb", "bgr") else (start.channels,)


def _reversed(row: Row) -> Row:
    return row[::-1]


def _times(row: Row, factor: float) -> Row:
    return tuple(value * factor for value in row)


def _over(row: Row, divisor: float) -> Row:
    return tuple(value / divisor for value in row)
