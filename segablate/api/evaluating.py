"""``segablate.evaluate`` and ``segablate.load``."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Unpack

from segablate.api import options
from segablate.api.evaluation import Evaluation
from segablate.api.given import as_dataset, default_dataset, opened
from segablate.api.measuring import display, for_pairs, measure
from segablate.api.surroundings import undisturbed
from segablate.datasets import Dataset
from segablate.evaluation.measures import LabelCount
from segablate.evaluation.persistence import Persistence
from segablate.evaluation.results import save_run
from segablate.evaluation.session import Execution, Request, evaluate_checkpoint, prepared
from segablate.labels import LabelSet
from segablate.render import summary_of
from segablate.runtime import team

if TYPE_CHECKING:
    from torch import Tensor, nn

    from segablate.api.saved import SavedReport
    from segablate.evaluation import results


def evaluate(
    checkpoint: "str | Path | nn.Module | Callable[[Tensor], Any]",
    dataset: "str | Path | Dataset | Iterable[Any] | None" = None,
    *,
    split: str | None = None,
    limit: int | None = None,
    images: str | Path | Iterable[str] | None = None,
    label_size: Literal["label", "image", "refuse"] | None = None,
    classes: int | Sequence[str] | LabelSet | str | Path | None = None,
    ignore_index: int | Literal["default"] | None = "default",
    losses: str | Iterable[str] | None = None,
    tolerance: options.Tolerances = 3,
    calibration: bool | None = None,
    boundary_iou: float | str | None = None,
    error_kinds: float | str | None = None,
    boundary_as: str | Iterable[str] = (),
    trimap: Sequence[int] = (),
    batch_size: int = 4,
    workers: int = 0,
    on_error: Literal["stop", "skip"] = "stop",
    cache: bool = True,
    save: str | Path | None = None,
    distributed: bool = False,
    progress: "bool | Callable[[int, str], Any]" = False,
    **loading: Unpack[options.LoadingOptions],
) -> Evaluation:
    """Evaluate a checkpoint on a dataset, as ``segablate evaluate`` does; every count is kept per image.

    Prints nothing and leaves torch's settings, the random state and the module as they were; may be called from
    several threads.

    Args:
        checkpoint: a specification such as ``"card.yaml"`` or ``"hf:FOLDER"``; a module; or a function from images,
            N C H W, to logits, N K h w. A module stays on its device.
        dataset: a specification such as ``"camvid:/data/camvid"``, or an iterable of (image, labels) or (image, labels,
            name), one by one or in batches. An image is a file, an array H W 3 uint8, a tensor 3 H W uint8, or C H W
            floating point as the module takes it; labels are a file or class indices H W. By default the sample data.
        split, limit, images: the split, N evenly spaced images (of pairs the first N), and a list of image names.
        label_size: where images and label maps of different size meet: ``"label"``, ``"image"`` or ``"refuse"``.
        classes: of pairs, their number, names or :class:`LabelSet`; of a dataset, a YAML file that merges classes.
        ignore_index: the label of void in arrays and tensors of pairs, by default 255, beyond 255 classes 65535.
        losses: names, ``"all"`` or ``"none"``; by default cross entropy where there are logits.
        tolerance: tolerances of the boundary F-score, in pixels or as a share of the diagonal (``"0.0075d"``).
        calibration: count ECE, Brier score and NLL; by default where there are logits.
        boundary_iou, error_kinds: width of the band, or of boundaries, in pixels or as a share; None: not counted.
        boundary_as: tools whose boundaries are counted too, such as ``"davis"``.
        trimap: distances from label boundaries within which to count, in whole pixels, ascending.
        batch_size, workers: images of one size at once; threads or processes that read. Neither changes a number.
        on_error: stop at an unreadable image, or skip it and name it in the notes.
        cache: take an unchanged evaluation of two specifications from the cache, and keep it there.
        save: a new folder for the run.
        distributed: share the images among the processes of ``torchrun``, each of which calls.
        progress: print a progress bar on standard error, or a function ``(steps, what)`` that returns a context
            manager which yields ``advance(steps)``.
        loading: how a checkpoint is opened, as :class:`segablate.LoadingOptions`: ``device="cuda"``, ``window=512``.

    Returns:
        The :class:`segablate.Evaluation`.

    Raises:
        SegablateError: for what cannot be opened, read or measured, in one line.
        TypeError: for an unknown option, and for a checkpoint or dataset of another type.

    Examples:
        >>> import torch, segablate
        >>> evaluation = segablate.evaluate("sample:ce", "sample", limit=2, losses=["ce", "dice"], device="cpu")
        >>> sorted(evaluation.losses)
        ['ce', 'dice']
        >>> pairs = [(torch.rand(3, 8, 8), torch.zeros(8, 8, dtype=torch.long)) for _ in range(2)]
        >>> segablate.evaluate(torch.nn.Conv2d(3, 2, 1), pairs, classes=["road", "car"]).overall.images
        2
    """
    options.one_of("on_error", on_error, ["stop", "skip"])
    selected = {"split": split, "limit": limit, "images": images, "label_size": label_size}
    selected |= {"classes": classes, "ignore_index": ignore_index}
    request = Request(
        options.as_list(losses),
        options.as_tolerances(tolerance),
        calibration,
        None if boundary_iou is None else options.as_tolerance(boundary_iou),
        None if error_kinds is None else options.as_tolerance(error_kinds),
    )
    request = replace(request, counts=_counts(boundary_as, trimap, request))
    with undisturbed(distributed=distributed):
        data = as_dataset(default_dataset(checkpoint, dataset), **selected)
        execution = Execution(batch_size, workers, on_error, display(progress))
        keeping = Persistence(cache, None if save is None else Path(save))
        keeping.refuse_early()
        if isinstance(checkpoint, str | Path) and isinstance(data, Dataset):
            how = options.as_loading(loading)
            run = evaluate_checkpoint(str(checkpoint), data, request, how, execution, Persistence(cache))
        else:
            with opened(checkpoint, loading, data) as segmenter:
                whole = data if isinstance(data, Dataset) else data.dataset
                request, notes = for_pairs(data, request, segmenter)
                segmenter, measures = prepared(segmenter, whole, request, execution.display)
                measures = replace(measures, notes=(*measures.notes, *notes))
                run = measure(segmenter, data, measures, execution, "evaluating")
        return _saved(run, save)


def load(path: str | Path) -> "Evaluation | SavedReport":
    """Load a saved run: an evaluation with all its counts, or the tables of a comparison or ablation.

    Args:
        path: the folder that ``--save``, :meth:`Evaluation.save` or :meth:`Scores.as_run` wrote.

    Returns:
        An :class:`segablate.Evaluation`, or a :class:`segablate.SavedReport` of another kind of run.

    Raises:
        RunError: for a folder that is no run, is damaged or of a newer format.

    Examples:
        >>> import tempfile, segablate
        >>> folder = tempfile.mkdtemp()
        >>> path = segablate.evaluate("sample:ce", limit=2).save(f"{folder}/run")
        >>> segablate.load(path).overall.images
        2
    """
    from segablate.api.saved import SavedReport
    from segablate.evaluation.results import load_run
    from segablate.evaluation.runs import load_report, read_description
    from segablate.tables.stored import from_plain

    folder = Path(path)
    kind = read_description(folder)["kind"]
    if kind == "evaluation":
        return Evaluation(load_run(folder))
    return SavedReport(kind, from_plain(load_report(folder, kind)))


def _counts(boundary_as: str | Iterable[str], trimap: Sequence[int], request: Request) -> tuple[LabelCount, ...]:
    from segablate.errors import UsageError, did_you_mean
    from segablate.metrics.conventions import BOUNDARIES
    from segablate.metrics.conventions.boundaries import count_boundary_conventions
    from segablate.metrics.trimap import count_trimap

    known = [convention.name for convention in BOUNDARIES]
    names = [boundary_as] if isinstance(boundary_as, str) else list(boundary_as)
    for name in names:
        if name not in known:
            raise UsageError(f"no boundary convention is called {name!r}{did_you_mean(name, known)}")
    if "monai-nsd" in names and not request.tolerances:
        raise UsageError("monai-nsd needs a tolerance; give one, as in tolerance=3")
    counts: list[LabelCount] = []
    if names:
        counts.append(partial(count_boundary_conventions, names=tuple(names), tolerances=request.tolerances))
    if len(trimap):
        counts.append(partial(count_trimap, widths=tuple(sorted(set(trimap)))))
    return tuple(counts)


def _saved(run: "results.Evaluation", save: str | Path | None) -> Evaluation:
    if save is not None and team().leads:
        save_run(run, Path(save), summary_of(run))
    return Evaluation(run)
