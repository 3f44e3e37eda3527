"""Running one cell of a sweep, whoever does it; and the claims by which several runners share a sweep."""

import json
import os
import socket
import threading
import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

from segablate.errors import DivergedError, Interrupted, RunError, fact
from segablate.files import is_file, write_atomically, writing
from segablate.limits import TooLarge
from segablate.plain_values import check
from segablate.text_files import MalformedText, read_json
from segablate.training.processes import has_ended, machine
from segablate.training.sweep import Cell, CellResult, Sweep

if TYPE_CHECKING:
    from segablate.checkpoints.segmenter import Substitute

DONE = "cell.json"
"""What came of a cell; written last."""

_RESULT = {
    "run": (None, str),
    "diverged": str,
    "seconds": float,
    "training": {"notes?": [str], "batches without a label?": int},
}

_CLAIM = "claim"
_BEAT = 15.0
"""Seconds between two signs of life of whoever runs a cell."""

STALE = 120.0
"""Seconds after which a claim without a sign of life is void."""

Progress = Callable[[int, Mapping[str, float]], None]


def cell_folder(folder: Path, cell: Cell) -> Path:
    """Return the folder of a cell in that of its sweep."""
    return folder / "cells" / cell.folder_name


def result_of(folder: Path, cell: Cell) -> CellResult | None:
    """Return what came of a cell; None where it has not ended. RunError where its file is damaged."""
    path = cell_folder(folder, cell) / DONE
    if not is_file(path):
        return None
    try:
        found = check(read_json(path), _RESULT, DONE)
    except (MalformedText, TooLarge) as error:
        raise RunError(f"{path} is damaged ({fact(error)}); remove {path.parent} to train that cell again") from None
    run = path.parent / "run" if found["run"] else None
    return CellResult(cell, run, found["diverged"], found["seconds"], found["training"])


def run_cell(folder: Path, sweep: Sweep, cell: Cell, progress: Progress = lambda step, numbers: None) -> CellResult:
    """Train and evaluate one cell, going on from its last state.

    Raises a SegablateError, but not for divergence, and KeyboardInterrupt after Ctrl-C: the command says how its sweep
    goes on.
    """
    import cv2
    import torch

    from segablate.checkpoints import Loading
    from segablate.evaluation.results import save_run
    from segablate.evaluation.session import Execution, Request, evaluate_checkpoint
    from segablate.training.saving import names_code_of
    from segablate.training.session import TrainingExecution, finished, train

    torch.set_num_threads(sweep.threads)
    cv2.setNumThreads(1)
    place = cell_folder(folder, cell)
    request = sweep.request_of(cell)
    given, own = request.loading, finished(place) is None
    try:
        training = train(request, place, TrainingExecution(progress=progress), features=sweep.features or folder)
    except DivergedError:
        return _finish(folder, cell, None)
    except Interrupted:
        raise KeyboardInterrupt from None
    if training.facts["diverged"]:
        return _finish(folder, cell, None)
    run = place / "run"
    if not (run / "run.json").is_file():
        # The code that just ran, or that of the network that was asked for, is no other's.
        trusted = given.trust_code or own or names_code_of(request.network, given, Path(training.checkpoint))
        loading = Loading(given.device, given.precision, trust_code=trusted)
        wanted = Request(losses="none", tolerances=sweep.tolerances, calibration=False, counts=sweep.counts)
        execution = Execution(substitute=_substitute(folder, sweep, cell, training.classifier))
        found = evaluate_checkpoint(training.checkpoint, sweep.reported, wanted, loading, execution)
        save_run(found, run, sweep.summary(found))
    return _finish(folder, cell, "run")


def _substitute(folder: Path, sweep: Sweep, cell: Cell, classifier: str) -> "Substitute":
    """Return what runs in the place of a cell's network: its `classifier` on kept features, where it alone differs."""
    from segablate.checkpoints.segmenter import no_substitute
    from segablate.training.replaying import by_classifier

    if not classifier:
        return no_substitute
    return by_classifier(sweep.features or folder, classifier, keep=_shares_features(folder, sweep, cell))


def _shares_features(folder: Path, sweep: Sweep, cell: Cell) -> bool:
    """Return whether trainings that have not ended will be evaluated on the features of this one."""
    from segablate.checkpoints import is_new_network

    if sweep.features is not None:  # so will those of other sweeps
        return True
    others = [each for each in sweep.cells if each != cell and not is_file(cell_folder(folder, each) / DONE)]
    by_seed = is_new_network(sweep.request.network)  # random weights below the classifier
    return any(other.seed == cell.seed or not by_seed for other in others)


def _finish(folder: Path, cell: Cell, run: str | None) -> CellResult:
    place = cell_folder(folder, cell)
    from segablate.training.session import finished

    training = finished(place)
    facts = dict(training.facts) if training else {}
    entry = {
        "run": run,
        "diverged": facts.get("diverged", ""),
        "seconds": facts.get("seconds", 0.0),
        "training": facts,
        "host": socket.gethostname(),
    }
    with writing(place):
        write_atomically(place / DONE, json.dumps(entry, indent=1))
    return CellResult(cell, place / run if run else None, entry["diverged"], entry["seconds"], facts)


@contextmanager
def claimed(folder: Path, cell: Cell) -> Iterator[bool]:
    """Claim a cell for this runner while the context lasts; yields whether nobody else has it.

    A claim is void where its process has ended, seen from the same machine, or without a sign of life for
    :data:`STALE` seconds, as on a machine that is gone.
    """
    place = cell_folder(folder, cell)
    claim = place / _CLAIM
    with writing(place):
        place.mkdir(parents=True, exist_ok=True)
        mine = _take(claim)
    if not mine:
        yield False
        return
    stop = threading.Event()
    beat = threading.Thread(target=_signs_of_life, args=(claim, stop), daemon=True)
    beat.start()
    try:
        yield True
    finally:
        stop.set()
        beat.join()
        claim.unlink(missing_ok=True)


def _take(claim: Path) -> bool:
    with suppress(FileNotFoundError):
        if time.time() - claim.stat().st_mtime > STALE or _ended(claim.read_text(encoding="utf-8", errors="replace")):
            with suppress(OSError):  # one of several takes it away
                void = claim.with_name(f"{_CLAIM}.{uuid.uuid4().hex}")
                os.rename(claim, void)
                void.unlink()
    try:
        handle = os.open(claim, os.O_CREAT | os.O_EXCL | os.O_WRONLY)
    except FileExistsError:
        return False
    with os.fdopen(handle, "w") as file:
        file.write(f"{machine()} {os.getpid()}")
    return True


def _ended(claimant: str) -> bool:
    """Return whether whoever wrote this claim was a process of this machine that has ended."""
    place, _, number = claimant.rpartition(" ")
    return place == machine() and number.isdecimal() and has_ended(int(number))


def _signs_of_life(claim: Path, stop: threading.Event) -> None:
    while not stop.wait(_BEAT):
        with suppress(OSError):
            os.utime(claim)
