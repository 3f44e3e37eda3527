"""``segablate.ablate``: one loss under several settings, on one forward pass."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Unpack

import numpy as np

from segablate.ablation import sweep
from segablate.ablation.session import AblationPlan, AblationRequest
from segablate.ablation.sweep import plan_settings
from segablate.api import frames, options
from segablate.api.evaluation import Evaluation
from segablate.api.given import as_dataset, default_dataset, opened
from segablate.api.measuring import display, measure, refuse_inputs
from segablate.api.surroundings import undisturbed
from segablate.datasets import Dataset
from segablate.errors import counted
from segablate.evaluation.runs import refuse_existing
from segablate.evaluation.session import Execution
from segablate.losses import get_loss
from segablate.metrics.tolerance import Tolerance
from segablate.objective import Loss
from segablate.objective.knobs import Knob
from segablate.render import render
from segablate.render.html import to_html
from segablate.render.saving import save_ablation
from segablate.tables import Report
from segablate.tables.ablation import ablation_report

if TYPE_CHECKING:
    from torch import Tensor, nn


@dataclass(frozen=True)
class SettingScores:
    """The value of a loss under one setting.

    - `setting`: its text, ``"baseline"`` for the published default; `values`: the hyperparameters that differ from it.
    - `value`: the mean over the images where it is finite, in the unit of the loss; `images`: their number.
    - `difference`: mean of this setting minus the baseline, over the images where both are finite.
    """

    setting: str
    values: Mapping[str, Any]
    value: float
    difference: float
    images: int


@dataclass(frozen=True, eq=False)
class Ablation:
    """One loss under several settings: what :func:`segablate.ablate` returns.

    Displayed in a notebook as the tables that ``segablate ablate`` prints.

    - `result`: the values of every image and setting, as arrays; `tolerance`: that of the boundary F-score with which
      values are correlated.

    Examples:
        >>> import segablate
        >>> ablation = segablate.ablate("rmi", "sample:ce", settings={"radius": [2, 3]}, limit=2)
        >>> [each.setting for each in ablation.settings]
        ['baseline', 'radius=2', 'radius=3']
    """

    result: sweep.Ablation
    tolerance: Tolerance

    @property
    def loss(self) -> str:
        """The name of the loss."""
        return self.result.loss.name

    @property
    def evaluation(self) -> Evaluation:
        """The evaluation of the pass that the settings share."""
        return Evaluation(self.result.run)

    @cached_property
    def settings(self) -> tuple[SettingScores, ...]:
        """The settings, the published default first."""
        values = np.where(np.isfinite(self.result.values), self.result.values, np.nan)  # N S
        return tuple(
            SettingScores(
                setting.text,
                setting.values,
                _mean(values[:, place]),
                _mean(values[:, place] - values[:, 0]),
                int(np.isfinite(values[:, place]).sum()),
            )
            for place, setting in enumerate(self.result.settings)
        )

    @cached_property
    def report(self) -> Report:
        """The tables of ``segablate ablate``, as data."""
        return ablation_report(self.result, self.tolerance)

    def to_pandas(self, table: str = "settings") -> Any:
        """Return ``"settings"`` or a table of `report` by its name as a ``pandas.DataFrame``.

        Raises:
            MissingExtra: without pandas.
            UsageError: for another table.
        """
        return frames.to_pandas(self._rows(table))

    def to_polars(self, table: str = "settings") -> Any:
        """Return a table as a ``polars.DataFrame``; see :meth:`to_pandas`."""
        return frames.to_polars(self._rows(table))

    def save(self, path: str | Path) -> Path:
        """Save to a new folder, as ``segablate ablate --save`` does, and return its path.

        Raises:
            RunError: where the folder exists or cannot be written.
        """
        save_ablation(self.report, self.result, Path(path))
        return Path(path)

    def __repr__(self) -> str:
        return f"Ablation({self.loss} under {counted(len(self.settings), 'setting')} on {self.evaluation.dataset})"

    def __str__(self) -> str:
        return render(self.report, "rich")

    def _repr_html_(self) -> str:
        return to_html(self.report)

    def _rows(self, table: str) -> frames.Rows:
        if table != "settings":
            return frames.rows_of(self.report, table)
        return [{name: value for name, value in vars(each).items() if name != "values"} for each in self.settings]


def ablate(
    loss: str | Loss,
    checkpoint: "str | Path | nn.Module | Callable[[Tensor], Any]" = "sample:ce",
    dataset: "str | Path | Dataset | Iterable[Any] | None" = None,
    settings: Mapping[str, Any] | None = None,
    *,
    every: bool = False,
    objective: str | None = None,
    boundary_tolerance: float | str = 3,
    gradients: bool = True,
    gradient_images: int | Literal["all"] = 24,
    cost: bool = True,
    split: str | None = None,
    limit: int | None = None,
    images: str | Path | Iterable[str] | None = None,
    label_size: Literal["label", "image", "refuse"] | None = None,
    classes: Any = None,
    ignore_index: int | Literal["default"] | None = "default",
    batch_size: int = 4,
    workers: int = 0,
    on_error: Literal["stop", "skip"] = "stop",
    save: str | Path | None = None,
    progress: Any = False,
    **loading: Unpack[options.LoadingOptions],
) -> Ablation:
    """Compute a loss under several settings on one forward pass of a checkpoint, as ``segablate ablate`` does.

    Args:
        loss: a name such as ``"rmi"``, or ``"python:package.module:function"``.
        checkpoint, dataset: as in :func:`evaluate`.
        settings: values of hyperparameters by name, each one value or a list; several lists make a grid. By default
            every hyperparameter over its declared grid, one at a time.
        every: those of the grid too, where settings are given.
        objective: a weighted sum in place of the published one, such as ``"ce + 0.5*rmi"``.
        boundary_tolerance: that of the boundary F-score with which values are correlated, in pixels or as a share.
        gradients: measure gradients too, on `gradient_images` evenly spaced images or ``"all"``.
        gradient_images: their number.
        cost: measure time and memory too.
        split, limit, images, label_size, classes, ignore_index, batch_size, workers, on_error, progress, loading: as in
            :func:`evaluate`.
        save: a new folder for the ablation.

    Returns:
        The :class:`segablate.Ablation`.

    Raises:
        ObjectiveError: for an unknown loss.
        KnobError: for a hyperparameter that is unknown or out of range.
        SegablateError: for what cannot be opened, read or measured.

    Examples:
        >>> import segablate
        >>> ablation = segablate.ablate("focal", settings={"gamma": [0, 1, 2]}, limit=2, gradients=False, cost=False)
        >>> values = [each.value for each in ablation.settings]
        >>> values[1] > values[2] > values[0]  # gamma 0, 1 and the default, 2
        True
    """
    found = get_loss(loss) if isinstance(loss, str) else loss
    if not isinstance(found, Loss):
        raise TypeError(f"loss must be a name, such as 'rmi' or 'python:package.module:function', not {loss!r}")
    given = {name: _list(value, found.knobs.get(name)) for name, value in (settings or {}).items()}
    planned = plan_settings(found, given, every)
    tolerance = options.as_tolerance(boundary_tolerance)
    few = None if gradient_images == "all" else gradient_images
    asked = AblationRequest(found, planned, objective, tolerance, gradients, cost, few)
    selected = {"split": split, "limit": limit, "images": images, "label_size": label_size}
    selected |= {"classes": classes, "ignore_index": ignore_index}
    if save is not None:
        refuse_existing(Path(save))
    with undisturbed():
        data = as_dataset(default_dataset(checkpoint, dataset), **selected)
        execution = Execution(batch_size, workers, on_error, display(progress))
        with opened(checkpoint, loading, data) as segmenter:
            for each in planned:
                refuse_inputs(data, {found.name: found}, each.values)
            whole = data if isinstance(data, Dataset) else data.dataset
            plan = AblationPlan.of(segmenter, whole, asked, execution.display)
            ablation = plan.ablation(measure(plan.segmenter, data, plan.measures, execution, plan.what))
    result = Ablation(ablation, tolerance)
    if save is not None:
        result.save(save)
    return result


def _list(value: Any, knob: Knob | None) -> Sequence[Any]:
    """Return the values of a hyperparameter; a tuple is one value where its values are tuples."""
    one_value = isinstance(value, tuple) and knob is not None and knob.kind.length is not None
    if isinstance(value, np.ndarray):
        return value.tolist()
    return list(value) if isinstance(value, list | range | tuple) and not one_value else [value]


def _mean(values: np.ndarray) -> float:
    defined = values[np.isfinite(values)]
    return float(defined.mean()) if defined.size else float("nan")
