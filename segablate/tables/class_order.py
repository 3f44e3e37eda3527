"""The note on predictions whose classes are in another order than those of the dataset."""

import numpy as np

from segablate.errors import shorten
from segablate.evaluation.results import Evaluation
from segablate.labels import LabelSet
from segablate.metrics.permutation import Permutation, likelier_order

_NAMED = 6
"""Classes that the note names."""


def order_notes(run: Evaluation, table: np.ndarray) -> list[str]:
    """Return a note where another order of the classes fits far better, with how to state it; or nothing.

    `table`: labels x predictions of the run, (C+1, C+1).
    """
    if "fitting" in run.facts["checkpoint"]:  # values of label maps that a plain change makes classes: said already
        return []
    found = likelier_order(table)
    return [] if found is None else [f"classes look permuted: {described(found, run.labels)}; {_remedy(found, run)}"]


def described(found: Permutation, labels: LabelSet) -> str:
    """Return which classes stand for which, and the mIoU with and without that."""
    pairs = (f"{labels.names[old]} -> {labels.names[new]}" for old, new in found.moved)
    return (
        f"mapping {shorten(pairs, _NAMED)} (predicted -> labelled) would give mIoU {100 * found.other:.1f} % rather "
        f"than {100 * found.miou:.1f} %"
    )


def _remedy(found: Permutation, run: Evaluation) -> str:
    encoding = run.facts["checkpoint"].get("encoding")
    if encoding is None:  # scores, or the network's own label maps: outputs are matched with classes
        return (
            "if the outputs are in that order, pass --class-map FILE with the class of each output, or state classes "
            "in the card"
        )
    if encoding == "colours" or run.labels.encoding == "colours" or "values" in run.facts["checkpoint"]:
        return "if they are in that order, write them again in that of the dataset"
    values = [codes[0] if encoding == "codes" else index for index, codes in enumerate(run.labels.codes)]
    place, query = run.title.partition("?")[::2]
    change = ",".join(f"{values[old]}:{values[new]}" for old, new in found.moved)
    return f"if they are in that order, evaluate '{place}?{query + '&' if query else ''}map={change}'"
