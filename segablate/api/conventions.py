"""Scores as other tools report them for the same counts, by the names of their conventions."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from segablate.api.kept import Kept
from segablate.errors import UsageError
from segablate.metrics.confusion import Confusion
from segablate.metrics.conventions import BoundaryConvention, Convention, convention_named, scores_under


@dataclass(frozen=True)
class ConventionScores:
    """Scores under the convention of another tool, shares in 0..1; nan where that tool reports no such number.

    - `name`, `tool`: the convention, and the tool and function that is meant; `differs`: its definition, in a sentence.
    - `iou`: of each class by name; `miou`, `mean_recall`, `pixel_accuracy`: means as the tool takes them.
    - `refusal`: why the tool reports no score at all for these pixels; empty where it does.
    """

    name: str
    tool: str
    differs: str
    miou: float
    mean_recall: float
    pixel_accuracy: float
    iou: Mapping[str, float]
    refusal: str


def scores_as(name: str, kept: Kept) -> ConventionScores:
    """Compute the scores of kept counts under a convention; see :meth:`segablate.Scores.under`."""
    convention = convention_named(name)
    if isinstance(convention, Convention) and not kept.per_image and averages_images(convention):
        raise UsageError(f"{name} is a mean over images; pass per_image=True to Scores")
    return scores_of(convention, kept.confusion(), kept.labels.names)


def scores_of(
    convention: Convention | BoundaryConvention, confusion: Confusion, names: tuple[str, ...]
) -> ConventionScores:
    """Compute the scores of confusion counts under a convention. UsageError for one with boundaries of its own."""
    if isinstance(convention, BoundaryConvention):
        raise UsageError(
            f"{convention.name} has boundaries of its own, which are counted from label maps alone; run "
            f"segablate evaluate --boundary-as {convention.name}"
        )
    found = scores_under(convention, confusion)
    return ConventionScores(
        convention.name,
        convention.tool,
        convention.differs,
        found.miou,
        found.mean_recall,
        found.pixel_accuracy,
        dict(zip(names, found.iou.tolist(), strict=True)),
        found.refusal,
    )


def averages_images(convention: Convention) -> bool:
    """Return whether scores depend on which image a pixel is in: those of two unequal images, apart and as one."""
    tables = [np.diag([4, 3, 0, 0]), np.diag([1, 2, 3, 0])]
    tables[0][0, 1] = tables[1][1, 0] = 2
    apart = scores_under(convention, Confusion.from_dense(tables, 3))
    as_one = scores_under(convention, Confusion.from_dense([tables[0] + tables[1]], 3))
    return not np.allclose([*apart.iou, *apart[1:4]], [*as_one.iou, *as_one[1:4]], equal_nan=True)
