"""Differences between two runs as plain dataclasses."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Difference:
    """The difference of one measure between two runs, paired by image; shares in 0..1, losses in their own unit.

    - `measure`: ``"miou"``, ``"boundary_f_3"``, ``"ece"``, ``"loss_ce"`` and so on; `a`, `b`: the names of the runs.
    - `value_a`, `value_b`; `difference`: b - a; `low`, `high`: its 95 % bootstrap confidence interval, nan below five
      images. `p`: two-sided; `significant`: p < 0.05.
    - `detectable`: the smallest true difference that this set detects with 80 % power.
    """

    measure: str
    a: str
    b: str
    value_a: float
    value_b: float
    difference: float
    low: float
    high: float
    p: float
    significant: bool
    detectable: float


@dataclass(frozen=True)
class ClassDifference:
    """The difference of the IoU of one class between two runs, paired by image; shares in 0..1.

    - `name`: the class; `a`, `b`: the names of the runs; `iou_a`, `iou_b`; `difference`: b - a.
    - `low`, `high`: its 95 % bootstrap confidence interval, which is not corrected; nan for a class in too few images.
    - `p`: two-sided, corrected over the classes (Holm, Scandinavian Journal of Statistics 1979); `significant`: below
      0.05.
    """

    name: str
    a: str
    b: str
    iou_a: float
    iou_b: float
    difference: float
    low: float
    high: float
    p: float
    significant: bool
