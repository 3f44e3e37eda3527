"""Two or more evaluations of the same images: what differs, how surely, and where.

::

    runs = {"ce": load_run(Path("runs/ce")), "rmi": load_run(Path("runs/rmi"))}
    require_comparable(runs)                       # or: runs = intersect(runs)
    comparison = compare(runs, Method(tolerances=shared_tolerances(runs)))

pairing      which runs can be compared, and the images they share
measures     the scores that are compared, as functions of image weights
trade_offs   what each run costs and gives, and which is beaten in everything
differences  the comparison itself
changes      the confusions and the images that changed most
ranking      which checkpoint each measure would choose, and how stable that is
trainings    settings trained several times, over trainings and images
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
