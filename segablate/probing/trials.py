"""A network under each of several preprocessings on the same images, and what tells these apart."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy.special import stdtrit

from segablate.checkpoints.network import Network
from segablate.datasets import Dataset
from segablate.errors import SegablateError
from segablate.evaluation.inputs import Display, silent
from segablate.evaluation.loop import evaluate
from segablate.evaluation.measures import Measures
from segablate.metrics.calibration import PROPER, RELIABILITY
from segablate.metrics.chance import why_chance
from segablate.metrics.confusion import ClassCounts, class_counts, mean_iou
from segablate.probing.candidates import Candidate

MUCH = 1.25
"""Factor by which an NLL is much higher than another; constants of another dataset change it by a few percent."""

_SAME = 1e-4
"""Relative difference of NLL below which two trials with the same label maps are one."""


@dataclass(frozen=True)
class Trial:
    """A candidate on the images.

    - `miou`, `nll` (nan without scores); `near_chance`: whether a constant map or chance does as well.
    - `table`: pixels by label and prediction, pooled; `left_out`, `left_out_nll` (N,): mIoU and NLL without each
      of the images.
    - `failure`: why the network did not run, or empty.
    """

    candidate: Candidate
    miou: float = float("nan")
    nll: float = float("nan")
    near_chance: bool = True
    table: NDArray | None = None
    left_out: NDArray | None = None
    left_out_nll: NDArray | None = None
    failure: str = ""


@dataclass(frozen=True)
class Outcome:
    """Trials, the likeliest first and the others by mIoU, and what they tell.

    - `likeliest`: the best mIoU; of those that it leads by no more than noise, the best without a much higher NLL, what
      is stated before others. None where nothing runs or all are near chance.
    - `equal`: trials with the same result as the likeliest; `rivals`: those within the noise of these images.
    """

    trials: tuple[Trial, ...]
    images: int
    likeliest: Trial | None
    equal: tuple[Trial, ...] = ()
    rivals: tuple[Trial, ...] = ()

    @property
    def certain(self) -> bool:
        """Whether one preprocessing stands out."""
        return self.likeliest is not None and not self.equal and not self.rivals


def tried(network: Network, dataset: Dataset, asked: Sequence[Candidate], display: Display = silent) -> Outcome:
    """Run the network under each candidate. Raises the SegablateError of the first where it runs under none."""
    trials, first = [], None
    with display(len(asked), "trying preprocessings") as advance:
        for candidate in asked:
            try:
                trials.append(_trial(network, dataset, candidate))
            except SegablateError as error:
                first = first or error
                trials.append(Trial(candidate, failure=str(error)))
            advance(1)
    if first is not None and all(trial.failure for trial in trials):
        raise first
    return judged(trials, len(dataset))


def _trial(network: Network, dataset: Dataset, candidate: Candidate) -> Trial:
    scores = network.kind != "labels"
    segmenter = replace(network, preprocessing=candidate.preprocessing, known=type(network.known)())
    run = evaluate(segmenter, dataset, Measures(calibration=scores))
    table, counts = run.confusion.total(), class_counts(run.confusion)
    nll, nll_left_out = float("nan"), None
    if RELIABILITY in run.statistics:
        sums = run.statistics[PROPER][..., 1].sum(axis=1)
        pixels = run.statistics[RELIABILITY][..., 0].sum(axis=(1, 2))
        nll = float(sums.sum() / max(pixels.sum(), 1))
        nll_left_out = (sums.sum() - sums) / np.maximum(pixels.sum() - pixels, 1)
    every = counts.total()
    rest = [
        ClassCounts(every.hits - hits, every.labelled - labelled, every.predicted - predicted)
        for hits, labelled, predicted in zip(counts.hits, counts.labelled, counts.predicted, strict=True)
    ]
    left_out = np.array([float(mean_iou(part)) for part in rest])
    return Trial(candidate, float(mean_iou(every)), nll, bool(why_chance(table)), table, left_out, nll_left_out)


def judged(trials: Sequence[Trial], images: int) -> Outcome:
    """Sort trials by mIoU, then NLL, and find those that these images cannot tell from the likeliest."""
    ordered = sorted(trials, key=lambda trial: (np.isnan(trial.miou), -trial.miou, np.nan_to_num(trial.nll)))
    best = ordered[0]
    if best.near_chance:
        return Outcome(tuple(ordered), images, None)
    others = [trial for trial in ordered[1:] if not trial.near_chance]
    level = [trial for trial in others if _same(best, trial) or not _apart(best, trial)]
    level = [best, *level]
    low = _of_low_nll(level)
    likeliest = next((trial for trial in low if trial.candidate.stated), low[0])
    others = [trial for trial in level if trial is not likeliest and not _worse_nll(likeliest, trial)]
    equal = tuple(trial for trial in others if _same(likeliest, trial))
    first = (likeliest, *(trial for trial in ordered if trial is not likeliest))
    return Outcome(first, images, likeliest, equal, tuple(trial for trial in others if trial not in equal))


def _of_low_nll(level: Sequence[Trial]) -> list[Trial]:
    """Return the trials whose NLL is not much above the least: of equal mIoU, that is what training made small."""
    least = min((trial.nll for trial in level if not np.isnan(trial.nll)), default=np.inf)
    return [trial for trial in level if not trial.nll > MUCH * least]


def _worse_nll(better: Trial, worse: Trial) -> bool:
    """Whether the NLL is much higher, beyond its noise."""
    if better.left_out_nll is None or worse.left_out_nll is None or not worse.nll > MUCH * better.nll:
        return False
    return _beyond_noise(worse.nll - better.nll, worse.left_out_nll - better.left_out_nll)


def _same(a: Trial, b: Trial) -> bool:
    """Whether two trials have the same label maps, as far as counts tell, and the same NLL."""
    nll = np.isnan(a.nll) or abs(a.nll - b.nll) <= _SAME * max(abs(a.nll), _SAME)
    return bool(nll) and a.table is not None and b.table is not None and np.array_equal(a.table, b.table)


def _apart(better: Trial, worse: Trial) -> bool:
    """Whether the difference of mIoU is beyond its noise."""
    if better.left_out is None or worse.left_out is None:
        return False
    return _beyond_noise(better.miou - worse.miou, better.left_out - worse.left_out)


def _beyond_noise(difference: float, left_out: NDArray) -> bool:
    """Whether a difference is above 0 at 95 %, from its jackknife values (N,) without each of the images."""
    n = len(left_out)
    if n < 2:
        return False
    error = np.sqrt((n - 1) / n * np.sum((left_out - left_out.mean()) ** 2))
    return bool(difference > stdtrit(n - 1, 0.975) * error)
