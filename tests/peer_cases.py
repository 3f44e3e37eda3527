"""Label maps on which other tools were run (``benchmarks/peers``) and on which their conventions are held against them.

Made with nothing but NumPy's bit stream, so that every environment makes the same maps; their hash is recorded with
the values.
"""

import hashlib
from dataclasses import dataclass

import numpy as np

VOID = 255


@dataclass(frozen=True)
class Case:
    """Pairs of label map and prediction, (H, W) uint8, under a number of classes."""

    name: str
    classes: int
    pairs: tuple[tuple[np.ndarray, np.ndarray], ...]

    @property
    def fingerprint(self) -> str:
        """A hash of the maps."""
        digest = hashlib.sha256(str(self.classes).encode())
        for labels, predicted in self.pairs:
            digest.update(str(labels.shape).encode() + labels.tobytes() + predicted.tobytes())
        return digest.hexdigest()[:16]


def region_cases() -> list[Case]:
    """For confusion counts: edge cases of one image, then random and degenerate sets."""
    return [*_edge_cases(), *_random_cases(), *_degenerate_cases()]


def boundary_cases() -> list[Case]:
    """For boundaries: blocks that moved a little, with and without void, and degenerate maps."""
    flat = np.zeros((11, 16), np.uint8)
    dot = flat.copy()
    dot[5, 7] = 1
    half = flat.copy()
    half[:, 8:] = 1
    one = np.zeros((1, 1), np.uint8)
    return [
        Case("moved blocks", 4, tuple(_blocks(4, shape, seed) for seed, shape in enumerate([(37, 53), (64, 41)]))),
        Case("moved blocks, void", 5, tuple(_blocks(5, (45, 60), 10 + seed, void=0.1) for seed in range(3))),
        Case("moved blocks, large", 3, (_blocks(3, (301, 402), 20, void=0.05, block=40, shift=3),)),
        Case("noise", 3, (_noise(3, (17, 23), 30, void=0.05),)),
        Case("outside", 3, (_with_outside(*_blocks(3, (33, 47), 40, void=0.1), 3, 41),)),
        Case("perfect", 3, ((half, half), (flat, flat))),
        Case("a pixel lost", 2, ((dot, flat),)),
        Case("a pixel invented", 2, ((flat, dot),)),
        Case("half moved", 2, ((half, np.roll(half, 1, axis=1)),)),
        Case("all void", 2, ((np.full_like(flat, VOID), half),)),
        Case("one pixel", 2, ((one, one), (one, one + 1))),
        Case("one row", 3, (_noise(3, (1, 31), 50), _noise(3, (31, 1), 51))),
    ]


def _edge_cases() -> list[Case]:
    """Four classes, 32 pixels each of the first two, one thing off at a time."""
    plain = np.zeros((8, 8), np.uint8)
    plain[4:] = 1

    def but(value: int) -> np.ndarray:
        changed = plain.copy()
        changed[0, :4] = value
        return changed

    pairs = {"S1": (plain, plain), "S2": (plain, but(3)), "S3": (but(3), plain), "S4": (but(VOID), but(3))}
    pairs["S5"] = (plain, but(VOID))
    return [Case(name, 4, (pair,)) for name, pair in pairs.items()]


def _random_cases() -> list[Case]:
    cases = []
    for classes in (2, 3, 5, 19, 150, 254, 255):
        shapes = [(31, 17), (16, 16), (1, 29), (23, 40)]
        clean = tuple(_noise(classes, shape, 100 * classes + place) for place, shape in enumerate(shapes))
        voided = tuple(_noise(classes, shape, 100 * classes + 50 + place, 0.1) for place, shape in enumerate(shapes))
        cases += [Case(f"random {classes}", classes, clean), Case(f"random {classes}, void", classes, voided)]
    return cases


def _degenerate_cases() -> list[Case]:
    few = tuple(_noise(3, (21, 13), seed) for seed in (1, 2, 3))
    few_void = tuple(_noise(3, (21, 13), seed, 0.2) for seed in (4, 5, 6))
    labels, predicted = _noise(4, (15, 18), 7, 0.2)
    only_in_void = np.where(labels == VOID, 6, predicted).astype(np.uint8)
    outside_in_void = np.where(labels == VOID, VOID, predicted).astype(np.uint8)
    nothing, one = np.full((9, 7), VOID, np.uint8), np.zeros((1, 1), np.uint8)
    outside = tuple(_with_outside(*_noise(5, (20, 19), seed, 0.1), 5, seed) for seed in (8, 9))
    near = _noise(5, (20, 19), 10)
    near[1][:2] = 5
    return [
        Case("absent classes", 8, few),
        Case("absent classes, void", 8, few_void),
        Case("predicted in void alone", 8, ((labels, only_in_void),)),
        Case("outside in void alone", 4, ((labels, outside_in_void),)),
        Case("outside", 5, outside),
        Case("outside by one", 5, (near,)),
        Case("all void", 3, ((nothing, nothing * 0),)),
        Case("an image of void", 3, (few_void[0], (nothing, nothing * 0 + 2))),
        Case("one pixel, right", 2, ((one, one),)),
        Case("one pixel, wrong", 2, ((one, one + 1),)),
        Case("one pixel, void", 2, ((one + VOID, one),)),
        Case("one class everywhere", 3, ((nothing * 0 + 1, nothing * 0 + 1),)),
        Case("another class everywhere", 3, ((nothing * 0 + 1, nothing * 0 + 2),)),
        Case("a class in one image only", 3, (few[0], (nothing * 0, nothing * 0), (nothing * 0 + 1, nothing * 0))),
    ]


def _noise(classes: int, shape: tuple[int, int], seed: int, void: float = 0.0) -> tuple[np.ndarray, np.ndarray]:
    """Random labels; about two thirds of the predictions are right."""
    rng = np.random.default_rng(seed)
    labels, others = (rng.integers(0, classes, shape).astype(np.uint8) for _ in range(2))
    predicted = np.where(rng.random(shape) < 0.6, labels, others)
    return np.where(rng.random(shape) < void, VOID, labels).astype(np.uint8), predicted.astype(np.uint8)


def _blocks(
    classes: int, shape: tuple[int, int], seed: int, void: float = 0.0, block: int = 9, shift: int = 2
) -> tuple[np.ndarray, np.ndarray]:
    """Labels in blocks and the same moved by a few pixels; void in small blocks."""
    rng = np.random.default_rng(seed)
    rows, columns = shape[0] // block + 2, shape[1] // block + 2
    coarse = rng.integers(0, classes, (rows, columns)).astype(np.uint8)
    whole = np.kron(coarse, np.ones((block, block), np.uint8))
    labels, predicted = (whole[at : at + shape[0], at : at + shape[1]].copy() for at in (0, shift))
    hidden = np.kron(rng.random((shape[0] // 3 + 1, shape[1] // 3 + 1)) < void, np.ones((3, 3), bool))
    labels[hidden[: shape[0], : shape[1]]] = VOID
    return labels, predicted


def _with_outside(labels: np.ndarray, predicted: np.ndarray, classes: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Some predictions replaced by values that are no class."""
    rng = np.random.default_rng(seed)
    values = rng.choice(np.array([classes, 254, 255]), predicted.shape)
    return labels, np.where(rng.random(predicted.shape) < 0.1, values, predicted).astype(np.uint8)
