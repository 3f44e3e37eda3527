"""Running a search: round by round, each a sweep of proxies, from a log of the rounds that have ended.

A search is a folder::

    SEARCH/search.json            the plan, written first
    SEARCH/rounds/01/             a sweep, a cell for each sample; then samples.json, the log of the round
    SEARCH/references/            a sweep: cross entropy and the published parameters, trained as the samples are
    SEARCH/theta.yaml             the parameters found
    SEARCH/retrained/             a sweep: trainings with these and others; then report/, as `segablate show` prints it
    SEARCH/features-*             what the classifier sees, where it alone is trained; removed at the end
"""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from segablate.errors import RunError, fact
from segablate.evaluation.results import load_run
from segablate.files import is_file, write_atomically, writing
from segablate.limits import TooLarge
from segablate.plain_values import check
from segablate.search.plan import PLAN, Search, round_folder
from segablate.search.rewards import reward_of
from segablate.search.samplers import Scored, sampler_named
from segablate.text_files import MalformedText, read_json
from segablate.training.cells import result_of
from segablate.training.plans import open_plan
from segablate.training.sweep import Sweep

LOG = "samples.json"

_LOG = {"raw": [[float]], "theta": [[float]], "rewards": [float], "diverged": [int]}

RunCells = Callable[[Sweep, Path, str], None]
"""Runs the cells of a sweep that are missing in its folder; the text says which sweep it is, for the progress."""


@dataclass(frozen=True)
class Round:
    """A round that has ended: its samples, their parameters, and which of them (from 0) diverged, at reward 0."""

    scored: Scored
    thetas: tuple[tuple[float, ...], ...]
    diverged: tuple[int, ...] = ()

    @property
    def best(self) -> int:
        """Return the place of the best sample, the first of equals."""
        return int(np.argmax(self.scored.rewards))


@dataclass(frozen=True)
class Found:
    """A search that has ended.

    - `references`: rewards by name of what the samples are compared with; nan where one diverged.
    - `notes`: what a reader of the result should know.
    """

    search: Search
    rounds: tuple[Round, ...]
    references: Mapping[str, float]
    notes: tuple[str, ...] = ()

    @property
    def place(self) -> tuple[int, int]:
        """Return round and sample, from 0, with the highest reward; the first of equals."""
        number = max(range(len(self.rounds)), key=lambda number: self.rounds[number].scored.rewards.max())
        return number, self.rounds[number].best

    @property
    def theta(self) -> tuple[float, ...]:
        """Return the parameters of that sample."""
        number, sample = self.place
        return self.rounds[number].thetas[sample]

    @property
    def reward(self) -> float:
        """Return its reward."""
        number, sample = self.place
        return float(self.rounds[number].scored.rewards[sample])

    @property
    def baseline(self) -> float:
        """Return the reward of identity curves, the first sample of the first round."""
        return float(self.rounds[0].scored.rewards[0])


def run_search(search: Search, folder: Path, run: RunCells, notes: tuple[str, ...] = ()) -> Found:
    """Run the rounds that are missing, then the references.

    Raises RunError for a folder with another plan or a damaged log, and a SegablateError for whatever a cell refuses.
    """
    propose = sampler_named(search.sampler)
    open_search(search, folder)
    rounds: list[Round] = []
    for number in range(search.rounds):
        place = round_folder(folder, number)
        done = _logged(search, place)
        if done is None:
            raw = propose(search.design, [each.scored for each in rounds])
            done = _run_round(search, place, raw, run, f"round {number + 1} of {search.rounds}")
        rounds.append(done)
    references = search.references()
    run(references, folder / "references", "references")
    rewards = dict(zip(*_rewards(search, references, folder / "references"), strict=True))
    return Found(search, tuple(rounds), rewards, (*notes, *_about_diverged(rounds)))


def open_search(search: Search, folder: Path) -> None:
    """Write the plan into a folder, or check it against the one there. RunError, with what changed, for another."""
    open_plan(folder / PLAN, search.described(), "search")


def is_logged(folder: Path, search: Search) -> bool:
    """Return whether all rounds of a search have ended."""
    return all(is_file(round_folder(folder, number) / LOG) for number in range(search.rounds))


def _run_round(search: Search, place: Path, raw: np.ndarray, run: RunCells, title: str) -> Round:
    thetas = tuple(map(search.space.theta, raw))
    sweep = search.round(thetas)
    run(sweep, place, title)
    _, rewards = _rewards(search, sweep, place)
    diverged = tuple(np.flatnonzero(np.isnan(rewards)).tolist())
    done = Round(Scored(raw, np.nan_to_num(np.array(rewards))), thetas, diverged)
    entry = {"raw": raw.tolist(), "theta": thetas, "rewards": done.scored.rewards.tolist(), "diverged": diverged}
    with writing(place):
        write_atomically(place / LOG, json.dumps(entry, indent=1))
    return done


def _rewards(search: Search, sweep: Sweep, place: Path) -> tuple[list[str], list[float]]:
    """Return names and rewards of the cells of a sweep; nan where a training diverged."""
    names, rewards = [], []
    for cell in sweep.cells:
        result = result_of(place, cell)
        if result is None:
            raise RunError(f"{place}: {cell.folder_name} has not ended; give the same command again")
        names.append(cell.setting.name)
        rewards.append(float("nan") if result.run is None else reward_of(search.metric, load_run(result.run)))
    return names, rewards


def _logged(search: Search, place: Path) -> Round | None:
    """Return a round that has ended. RunError where its log is damaged."""
    path = place / LOG
    if not is_file(path):
        return None
    try:
        found = check(read_json(path), _LOG, LOG)
        raw, rewards = np.array(found["raw"], np.float64), np.array(found["rewards"], np.float64)
        if raw.shape != (search.samples, search.space.size) or rewards.shape != (search.samples,):
            raise MalformedText("has other samples than the plan")
    except (MalformedText, TooLarge, ValueError) as error:
        why = fact(error) if isinstance(error, MalformedText | TooLarge) else str(error)
        raise RunError(f"{path} is damaged ({why}); remove it to read the round again") from None
    return Round(Scored(raw, rewards), tuple(map(tuple, found["theta"])), tuple(found["diverged"]))


def _about_diverged(rounds: list[Round]) -> list[str]:
    places = [f"round {k + 1}, sample {s}" for k, each in enumerate(rounds) for s in each.diverged]
    return [f"diverged, or without a defined metric, at reward 0: {'; '.join(places)}"] if places else []
