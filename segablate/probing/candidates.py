"""The preprocessings that are tried: forms of subtraction and scaling, several constants, both channel orders."""

from collections.abc import Iterator
from dataclasses import dataclass, replace

from segablate.checkpoints.preprocessing import NORMALISATIONS, Preprocessing, Triple
from segablate.probing.constants import Constants

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

    mean: Triple
    std: Triple

    @classmethod
    def of(cls, preprocessing: Preprocessing) -> "Given":
        """Return the constants of a preprocessing, in 0..1."""
        unit = preprocessing.factor * 255
        return cls(_over(preprocessing.mean, unit), _over(preprocessing.std, unit))

    @classmethod
    def read(cls, mean: Triple, std: Triple) -> "Given":
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
        found += [Candidate("0..255", replace(start, channels=order)) for order in ("rgb", "bgr")]
    else:
        found += list(_usual(start, measured))
    kept: dict[tuple, Candidate] = {}
    for candidate in found:
        kept.setdefault(_sum(candidate.preprocessing), candidate)
    return list(kept.values())


def _usual(start: Preprocessing, measured: Constants | None) -> Iterator[Candidate]:
    """Yield the usual preprocessings in both orders of channels."""
    for order in ("rgb", "bgr"):
        for name, mean, std in (
            ("0..1", *NORMALISATIONS["none"]),
            ("±1", *NORMALISATIONS["0.5"]),
            ("0..1 − 0.5", NORMALISATIONS["0.5"][0], (1.0, 1.0, 1.0)),
        ):
            yield Candidate(name, replace(start, channels=order, scale="1/255", mean=mean, std=std, divisor=1.0))
        raw = replace(start, channels=order, scale="1", mean=(0.0, 0.0, 0.0), std=(1.0, 1.0, 1.0), divisor=1.0)
        yield Candidate("0..255", raw)
        yield from _forms(start, order, "ImageNet", *(row if order == "rgb" else _reversed(row) for row in _IMAGENET))
        if measured is not None:
            rows = (measured.mean, measured.std)
            yield from _forms(start, order, "dataset", *(row if order == "rgb" else _reversed(row) for row in rows))


def _given(start: Preprocessing, given: Given) -> Iterator[Candidate]:
    """Yield the forms with the user's constants, as written and turned round, in both orders of channels."""
    turned = Given(_reversed(given.mean), _reversed(given.std))
    for constants, how in ((given, ""), (turned, ", turned round")):
        for order in ("rgb", "bgr"):
            for candidate in _forms(start, order, "given", constants.mean, constants.std):
                yield replace(candidate, name=candidate.name + how, stated=True)


def _forms(start: Preprocessing, order: str, name: str, mean: Triple, std: Triple) -> Iterator[Candidate]:
    """Yield the forms in which constants of 0..1 are used, in the order of the channels."""
    base = replace(start, channels=order, divisor=1.0)  # type: ignore[arg-type]
    whole = replace(base, scale="1", mean=_times(mean, 255), std=(1.0, 1.0, 1.0))
    yield Candidate(f"{name} mean and std", replace(base, scale="1/255", mean=mean, std=std))
    yield Candidate(f"{name} mean, 0..255", whole)
    yield Candidate(f"{name} mean and std, / 255", replace(whole, std=_times(std, 255), divisor=255.0))


def _sum(steps: Preprocessing) -> tuple:
    """Return what a preprocessing computes, rounded: the factor and the offset of each channel, and its order."""
    factors = [steps.factor / std / steps.divisor for std in steps.std]
    offsets = [mean / std / steps.divisor for mean, std in zip(steps.mean, steps.std, strict=True)]
    return (steps.channels, *(float(f"{value:.5g}") for value in (*factors, *offsets)))


def _reversed(row: Triple) -> Triple:
    return row[2], row[1], row[0]


def _times(row: Triple, factor: float) -> Triple:
    return row[0] * factor, row[1] * factor, row[2] * factor


def _over(row: Triple, divisor: float) -> Triple:
    return row[0] / divisor, row[1] / divisor, row[2] / divisor
