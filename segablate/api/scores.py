"""Scores of a validation loop: a metric object that counts as the commands do."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch

from segablate.api.conventions import ConventionScores, scores_as
from segablate.api.counting import Counted, Counting, count_logits, count_maps
from segablate.api.kept import Kept, as_label_set, merged_kept
from segablate.api.maps import as_tensor, batch_of_labels, check_devices, check_sizes, class_indices
from segablate.api.options import as_tolerances
from segablate.api.summary import Summary, summarise
from segablate.errors import RunError, counted
from segablate.labels import LabelSet
from segablate.process_groups import gather_objects, group_rank
from segablate.samples import ScoreKind

_FORMAT = 1


class Scores:
    """Count predictions against labels, batch by batch, and compute mIoU, F-scores and calibration of the whole set.

    The counts are those of ``segablate evaluate`` on the same maps, whatever the batch size, the device and the number
    of processes. On a GPU :meth:`update` starts work and does not wait for it, with tolerances of up to 5 pixels.

    Args:
        classes: the number of classes, their names in order, or a :class:`LabelSet`.
        ignore_index: the label of pixels that are left out, by default 255, beyond 255 classes 65535; None: no label.
        tolerance: tolerances of the boundary F-score, in pixels (``3``) or as a share of the diagonal (``"0.0075d"``).
        calibration: count calibration, which needs logits; ``"ece"`` counts the ECE alone, in half the time.
        output: the kind of logits: ``"softmax"``, ``"sigmoid"`` or ``"probabilities"``; calibration takes those of a
            pixel as they are, or divides them by their sum where that is not 1 up to rounding.
        per_image: keep the counts of each image, for intervals, :meth:`as_run` and comparisons.

    Raises:
        SegablateError: for classes that are none, and for a tolerance outside 0..1000 pixels.

    Examples:
        >>> import torch, segablate
        >>> scores = segablate.Scores(["road", "car"], tolerance=3)
        >>> logits = torch.tensor([[[[9.0, 0.0, 0.0]], [[0.0, 9.0, 9.0]]]])  # N K H W
        >>> scores.update(logits, torch.tensor([[[0, 1, 255]]]))  # N H W
        >>> scores.compute().overall.miou
        1.0
    """

    def __init__(
        self,
        classes: int | Sequence[str] | LabelSet,
        *,
        ignore_index: int | Literal["default"] | None = "default",
        tolerance: float | str | Sequence[float | str] = (),
        calibration: bool | Literal["ece"] = False,
        output: ScoreKind = "softmax",
        per_image: bool = False,
    ) -> None:
        labels = as_label_set(classes)
        tolerances = as_tolerances(tolerance)
        calibrated = "all" if calibration is True else calibration or ""
        if calibrated not in ("", "all", "ece"):
            raise ValueError(f"calibration is {calibration!r}, but must be True, False or 'ece'")
        if output not in ("softmax", "sigmoid", "probabilities"):
            raise ValueError(f"output is {output!r}, but must be 'softmax', 'sigmoid' or 'probabilities'")
        ignored = labels.ignore if ignore_index == "default" else ignore_index
        self._how = Counting(len(labels), ignored, tolerances, calibrated, output, per_image)
        self._kept = Kept(labels, tolerances, per_image)
        self._waiting: list[Counted] = []

    @property
    def class_names(self) -> tuple[str, ...]:
        """The names of the classes, in the order of their indices."""
        return self._kept.labels.names

    @torch.compiler.disable
    @torch.no_grad()
    def update(self, predicted: Any, labels: Any, names: Sequence[str] | None = None) -> None:
        """Count a batch, on the device of its tensors.

        Args:
            predicted: logits, N K H W or K H W floating point, with the classes first; or predicted classes, N H W or
                H W integers, of which those outside 0..C-1 are wrong wherever a class is labelled.
            labels: class indices, N H W or H W integers of the same size and device.
            names: the name of each image, with ``per_image=True``. Named images can be compared with those of another
                run, and one that several processes saw, as ``DistributedSampler`` pads them, counts once.

        Raises:
            ValueError: for shapes, types or devices that do not fit.
            LabelError: for labels that are neither a class nor `ignore_index`; on a GPU, :meth:`compute` raises it.
            CheckpointError: for logits that are NaN; likewise.
        """
        labels = batch_of_labels(as_tensor(labels, "labels"))
        predicted = as_tensor(predicted, "predicted")
        scores = predicted.is_floating_point()
        if predicted.ndim == (3 if scores else 2):
            predicted = predicted[None]
        if predicted.ndim != (4 if scores else 3):
            shape = " ".join(map(str, predicted.shape))
            raise ValueError(f"predicted must be logits N K H W or classes N H W, not {predicted.dtype} of {shape}")
        check_devices(predicted, labels)
        check_sizes(predicted, labels)
        if self._how.calibration and not scores:
            raise ValueError("calibration needs logits, but predicted are classes; pass the logits")
        named = self._kept.checked_names(names, len(labels))
        if not len(labels):
            return
        maps, unknown = class_indices(labels, self._how.classes, self._how.ignore)
        with torch.autocast(labels.device.type, enabled=False):
            count = count_logits if scores else count_maps
            self._waiting.append(count(predicted, maps, unknown, named, self._how))
        self._settle(wait=False)

    def compute(self, *, distributed: bool = True) -> Summary:
        """Return the scores of everything counted since the last reset; nan where a score is undefined.

        Args:
            distributed: where ``torch.distributed`` is initialised, count what all processes saw; each must call.

        Raises:
            RunError: where two processes saw an image of one name with different counts.
        """
        kept = self._gathered(distributed)
        return summarise(kept.totals(), kept.labels.names, self._how.tolerances)

    def under(self, convention: str, *, distributed: bool = True) -> ConventionScores:
        """Return the scores as another tool reports them for these counts, by the name of its convention.

        Args:
            convention: a name such as ``"mmseg"`` or ``"torchmetrics"``; ``segablate show --conventions`` lists them.
            distributed: as in :meth:`compute`.

        Raises:
            UsageError: for an unknown name, and for a mean over images without ``per_image=True``.
        """
        return scores_as(convention, self._gathered(distributed))

    def confusion(self, *, distributed: bool = True) -> np.ndarray:
        """Return pixels by label and prediction, (C+1, C+1) int64: void is the last row, outside the last column."""
        return self._gathered(distributed).totals().confusion

    def reset(self) -> None:
        """Forget everything that was counted."""
        self._waiting.clear()
        self._kept = self._kept.empty()

    def merge(self, *others: "Scores") -> "Scores":
        """Add what others counted, as of other processes or threads, and return self; exact in any order.

        Args:
            others: created with the same arguments.

        Raises:
            TypeError: for anything but Scores.
            RunError: for others that count something else, and for an image of one name with different counts.
        """
        for other in others:
            if not isinstance(other, Scores):
                raise TypeError(f"only Scores can be merged, not {type(other).__name__}")
            if other._how != self._how or other.class_names != self.class_names:
                raise RunError("these Scores count different things; create both with the same arguments")
        self._kept = merged_kept([each._settled() for each in (self, *others)])
        return self

    def __add__(self, other: "Scores") -> "Scores":
        """Return new Scores of what both counted."""
        return self._like().merge(self, other) if isinstance(other, Scores) else NotImplemented

    def __radd__(self, other: object) -> "Scores":
        """Return these Scores added to 0, for :func:`sum`."""
        return self._like().merge(self) if other == 0 else NotImplemented

    def evaluation(self, name: str = "model", dataset: str = "validation", *, distributed: bool = True) -> Any:
        """Return what was counted as an :class:`segablate.Evaluation`, with tables, intervals and comparisons.

        Args:
            name: what was evaluated, as printed and saved.
            dataset: what it was evaluated on, likewise.
            distributed: as in :meth:`compute`.

        Raises:
            UsageError: without ``per_image=True``.
            RunError: where nothing was counted.
        """
        from segablate.api.evaluation import Evaluation

        return Evaluation(self._gathered(distributed).as_run(name, dataset, self._how))

    def as_run(self, path: str | Path, name: str = "model", dataset: str = "validation") -> Path:
        """Save what was counted to a new folder, a run as ``segablate evaluate --save`` writes it; return its path.

        ``segablate show`` and ``segablate compare`` read it. In a process group all processes call, and the first one
        writes.

        Args:
            path: a new folder.
            name, dataset: as in :meth:`evaluation`.

        Raises:
            UsageError: without ``per_image=True``.
            RunError: where nothing was counted, or the folder exists.
        """
        found = self.evaluation(name, dataset)
        path = Path(path)
        return found.save(path) if leads() else path

    def log_to(self, writer: Any, step: int | None = None, prefix: str = "val/") -> Summary:
        """Write every number of :meth:`compute` to a TensorBoard writer, and return them.

        Args:
            writer: anything with ``add_scalar(tag, value, step)``, as ``torch.utils.tensorboard.SummaryWriter``.
            step: the step or epoch of the numbers.
            prefix: what tags begin with.
        """
        summary = self.compute()
        for key, value in summary.as_dict().items():
            writer.add_scalar(f"{prefix}{key}", value, step)
        return summary

    def state_dict(self) -> dict[str, Any]:
        """Return the counts as tensors and plain values, for ``torch.save`` and Accelerate's checkpoints."""
        return {"format": _FORMAT, "how": repr(self._how), "kept": self._settled().state()}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take the counts of :meth:`state_dict` in place of its own. Raises RunError for those of something else."""
        if state.get("format") != _FORMAT or state.get("how") != repr(self._how):
            raise RunError("the state is of Scores that count something else; create these with the same arguments")
        self._waiting.clear()
        self._kept = self._kept.empty().with_state(state["kept"])

    def __getstate__(self) -> dict[str, Any]:
        return {"_how": self._how, "_kept": self._settled(), "_waiting": []}

    def __repr__(self) -> str:
        images = self._settled().images
        return f"Scores({counted(self._how.classes, 'class', 'classes')}, {counted(images, 'image')})"

    def _like(self) -> "Scores":
        """Return Scores that count the same, and have counted nothing."""
        new = object.__new__(Scores)
        new._how, new._kept, new._waiting = self._how, self._kept.empty(), []
        return new

    def _settle(self, *, wait: bool) -> None:
        """Add the counts that are on the host, or `wait` for all."""
        while self._waiting and (wait or self._waiting[0].copy.done):
            self._kept.add(self._waiting.pop(0))

    def _settled(self) -> Kept:
        self._settle(wait=True)
        return self._kept

    def _gathered(self, distributed: bool) -> Kept:
        """Return the counts of all processes."""
        kept = self._settled()
        return merged_kept(gather_objects(kept)) if distributed else kept


def leads() -> bool:
    """Return whether this process writes: the first of torch's process group, or the only one."""
    return group_rank() == 0
