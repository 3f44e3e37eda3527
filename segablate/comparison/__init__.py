"""Comparison of two or more evaluations of the same images, paired by image.

::

    runs = {"ce": load_run(Path("runs/ce")), "rmi": load_run(Path("runs/rmi"))}
    require_comparable(runs)                       # or: runs = intersect(runs)
    comparison = compare(runs, Method(tolerances=shared_tolerances(runs)))

pairing      which runs can be compared, and the images they share
scores       the scores that are compared, as functions of image weights
trade_offs   quality and cost of each run, and the Pareto set
differences  the comparison itself
changes      the confusions and the images that changed most
ranking      the run that each measure would choose, and how stable that choice is
trainings    settings trained several times, over trainings and images
seeds        saved runs as a grid of trainings
"""

from segablate.comparison.differences import Comparison, PairedDifferences, compare
from segablate.comparison.pairing import intersect, require_comparable
from segablate.comparison.scores import Measure, Method, shared_tolerances

__all__ = [
    "Comparison",
    "Measure",
    "Method",
    "PairedDifferences",
    "compare",
    "intersect",
    "require_comparable",
    "shared_tolerances",
]
