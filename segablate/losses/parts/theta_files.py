"""Files with the parameters of a surrogate, which ``segablate search`` writes.

YAML, of which three entries are read; the others say how the surrogate was found::

    metric: miou
    pieces: 2
    theta: [0.000570, 0.643720, ...]  # x and y of the free points of every curve, as absolute coordinates
"""

from typing import Any

from segablate.errors import KnobError, at, counted, did_you_mean, fact
from segablate.files import is_file, user_path
from segablate.limits import TooLarge
from segablate.losses.parts.curves import CURVES, read_curves
from segablate.objective.from_files import FromFile
from segablate.plain_values import check
from segablate.text_files import MalformedText
from segablate.yaml_files import read_yaml

_FORM = {"metric": str, "pieces": int, "theta": [float]}


def read_theta(text: str) -> FromFile:
    """Return the parameters in a file, bound to their metric.

    Raises KnobError for a file that is missing, damaged or of no metric.
    """
    path = user_path(text)
    if not is_file(path):
        why = "it is a folder; name the file in it" if path.is_dir() else "there is no such file"
        why = why if text else "a value is empty"
        raise KnobError(
            f"theta is {text!r}, but must be numbers from 0 to 1 joined by colons, published, or a file that "
            f"segablate search wrote; {why}"
        )
    try:
        found = check(read_yaml(path), _FORM, "the file")
        metric, theta = _metric(found["metric"]), [float(number) for number in found["theta"]]
        expected = numbers_of(metric, found["pieces"])
        if len(theta) != expected:
            pieces = counted(found["pieces"], "piece")
            raise KnobError(f"theta has {counted(len(theta), 'number')}, but {metric} with {pieces} takes {expected}")
        read_curves(theta, CURVES[metric])
    except (MalformedText, TooLarge, KnobError) as error:
        raise KnobError(f"theta is {text}, which is no file of parameters ({fact(error)}); search again") from None
    return FromFile(theta, text, {"metric": metric})


def numbers_of(metric: str, pieces: int) -> int:
    """Return how many coordinates the curves of a metric have."""
    return CURVES[metric] * 2 * (2 * pieces - 1)


def _metric(name: Any) -> str:
    if name not in CURVES:
        with at("metric"):
            raise KnobError(f"no metric is called {name!r}{did_you_mean(name, CURVES)}")
    return name
