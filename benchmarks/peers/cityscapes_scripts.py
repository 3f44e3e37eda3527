"""cityscapesScripts: ``python benchmarks/peers/cityscapes_scripts.py``, with cityscapesscripts==2.3.0 and numpy<2.4.

Class k of a case becomes the k-th evaluated label of Cityscapes, void its "out of roi", and a prediction outside the
classes a label that is not evaluated. Cases with more than 19 classes are left out.
"""

import tempfile
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
from cityscapesscripts.evaluation import evalPixelLevelSemanticLabeling as peer
from cityscapesscripts.helpers.labels import labels as all_labels
from PIL import Image
from recording import VOID, Case, record, region_cases

EVALUATED = [label for label in all_labels if not label.ignoreInEval]
OUT_OF_ROI, NOT_EVALUATED = 3, 5


def raw(values: np.ndarray, classes: int, otherwise: int) -> np.ndarray:
    """Return class indices as raw label ids."""
    table = np.full(256, otherwise, np.uint8)
    table[:classes] = [label.id for label in EVALUATED[:classes]]
    return table[values]


def cityscapes(case: Case) -> dict[str, Any]:
    """Run the whole evaluation, through image files."""
    peer.args.quiet, peer.args.JSONOutput = True, False
    peer.args.evalInstLevelScore = peer.args.evalPixelAccuracy = False
    names: tuple[list[str], list[str]] = [], []
    with tempfile.TemporaryDirectory() as folder:
        for number, (labels, predicted) in enumerate(case.pairs):
            assert set(np.unique(labels)) <= {*range(case.classes), VOID}
            maps = raw(predicted, case.classes, NOT_EVALUATED), raw(labels, case.classes, OUT_OF_ROI)
            for values, kind, listed in zip(maps, ("predicted", "labels"), names, strict=True):
                listed.append(str(Path(folder) / f"{kind}{number}.png"))
                Image.fromarray(values).save(listed[-1])
        found = peer.evaluateImgLists(*names, peer.args)
    iou = [found["classScores"][label.name] for label in EVALUATED[: case.classes]]
    return {"miou": found["averageScoreClasses"], "iou": iou}


if __name__ == "__main__":
    possible = [case for case in region_cases() if case.classes <= len(EVALUATED)]
    record("cityscapes", version("cityscapesscripts"), possible, cityscapes)
