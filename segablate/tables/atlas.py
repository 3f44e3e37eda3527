"""Tables of an atlas: every loss with its value, agreement, gradient and cost; and what is made of the cosines."""

from collections.abc import Sequence

import numpy as np

from segablate.ablation.gradients import WITHIN
from segablate.atlas.results import ENTROPY, NEAR, RARE, Atlas
from segablate.atlas.session import SLOW
from segablate.atlas.trainings import TrainedLosses
from segablate.errors import counted, thousands
from segablate.metrics.boundary import mean_over_images
from segablate.metrics.tolerance import Tolerance
from segablate.statistics.bootstrap import by_image, resample
from segablate.statistics.bounds import Bounds
from segablate.statistics.correlation import rank_correlation
from segablate.statistics.intervals import estimate, estimate_quantiles
from segablate.statistics.loss_bounds import bounds_of_loss
from segablate.statistics.scores import means
from segablate.tables import Column, Report, Row, Table
from segablate.tables.ablation import classes_present, image_scores, interval_at, score_titles
from segablate.tables.atlas_cosines import cosine_tables
from segablate.tables.atlas_trainings import trained_tables
from segablate.tables.evaluation import View, head
from segablate.tables.sampling import REPLICATES, sampling_note

EVEN, PRESENT = "uniform over pixels", "number of classes present"


def atlas_report(atlas: Atlas, tolerance: Tolerance, trained: Sequence[TrainedLosses] = ()) -> Report:
    """Return the report of ``segablate atlas``."""
    whole = losses_table(atlas, tolerance)
    tables = (whole, *cosine_tables(atlas), *trained_tables(trained, whole))
    facts = dict(head(atlas.run, View()))
    facts.pop("convention")
    facts["losses"] = f"{counted(len(atlas.losses), 'loss', 'losses')}, each alone at its published setting"
    title = f"atlas of {counted(len(atlas.losses), 'loss', 'losses')}: {atlas.run.title}"
    title += f" on {atlas.run.facts['dataset']['name']}"
    return Report(title, tuple(facts.items()), tables, (*notes(atlas), *atlas.run.notes), runs=(("", atlas.run.title),))


def ordered(atlas: Atlas) -> list[int]:
    """Return the places of the losses in the order of the tree, then those that are not in it."""
    found = atlas.similarity
    inside = [atlas.names.index(found.names[place]) for place in found.order] if found else []
    return [*inside, *(place for place in range(len(atlas.losses)) if place not in inside)]


def losses_table(atlas: Atlas, tolerance: Tolerance) -> Table:
    """Return the table of all losses, in the order of the tree, with two references."""
    titles = {key: title for key, title in score_titles(tolerance).items() if _has(atlas, key)}
    columns = {**_values(atlas), **_agreement(atlas, tolerance), **_gradients(atlas), **_costs(atlas)}
    rows: list[Row] = [
        {"loss": atlas.names[place], **{key: column[place] for key, column in columns.items()}}
        for place in ordered(atlas)
    ]
    near, rare = (float(mean_over_images(share)) for share in atlas.pixels)
    rows += [{"loss": EVEN, "near": near, "rare": rare}, {"loss": PRESENT, **_presence(atlas, tolerance)}]
    correlations = [
        column
        for key, title in titles.items()
        for column in (
            Column(key, title, "signed_number", digits=2),
            Column(f"{key}_interval", "95 % CI", "signed_number_interval", digits=2),
        )
    ]
    shown = (
        Column("loss", "loss", "text"),
        Column("value", "value", "number"),
        Column("value_interval", "95 % CI", "number_interval", wide=True),
        *correlations,
        Column("near", f"gradient ≤ {WITHIN[NEAR]}px", "share", digits=0),
        Column("rare", "on rare classes", "share", digits=1),
        Column("entropy", "cosine with CE", "signed_number", digits=2),
        Column("time", "time", "ratio", digits=1),
        Column("memory", "memory", "ratio", digits=1),
        Column("images", "images", "count", wide=True),
        Column("seconds", "time, forward + backward", "seconds", wide=True),
        Column("bytes", "peak, forward + backward", "bytes", wide=True),
    )
    return Table("losses", "Losses", shown, tuple(rows), _table_notes(atlas), sections=(len(atlas.losses),))


def notes(atlas: Atlas) -> tuple[str, ...]:
    """Return notes on what was left out, and on the limits of the conclusions."""
    found = [
        f"{name}: value and gradient on {thousands(number)} of {counted(atlas.run.images, 'image')}, evenly spaced, as "
        f"{seconds:.1f} s of processor time for one is above {SLOW:g} s; the same on any machine: --loss-images "
        f"{name}={number}"
        if seconds > SLOW
        else f"{name}: value and gradient on {thousands(number)} of {counted(atlas.run.images, 'image')}, evenly spaced"
        for name, (seconds, number) in atlas.few.items()
    ]
    inside = atlas.similarity.names if atlas.similarity else ()
    idle = [name for name in atlas.names if name not in inside]
    if idle:
        found.append(f"no gradient at the logits, so not in the matrix: {', '.join(idle)}")
    found.append(
        "a direction shared at these predictions is not one shared in all of a training: gradients are those at this "
        "checkpoint, of the term alone, as its authors reduce it"
    )
    return tuple(found)


def _has(atlas: Atlas, key: str) -> bool:
    return key != "boundary" or atlas.run.boundary is not None


def _values(atlas: Atlas) -> dict[str, list[object]]:
    values = np.where(np.isfinite(atlas.values), atlas.values, np.nan)
    each = [bounds_of_loss(loss.bounds) for loss in atlas.losses]
    bounds = Bounds(np.array([one.low for one in each]), np.array([one.high for one in each]))
    own = estimate(resample([means(values, bounds=bounds)], by_image(atlas.run.images, REPLICATES))[0]["mean"])
    places = range(len(atlas.losses))
    return {
        "value": own.value.tolist(),
        "value_interval": [interval_at(own, place) for place in places],
        "images": np.isfinite(values).sum(axis=0).tolist(),
    }


def _agreement(atlas: Atlas, tolerance: Tolerance) -> dict[str, list[object]]:
    """Return Spearman's correlations over images of minus each loss with the image-level scores."""
    return _correlations(atlas, -atlas.values, tolerance)


def _presence(atlas: Atlas, tolerance: Tolerance) -> dict[str, object]:
    """Return the correlations of the number of classes, which may confound those of the losses."""
    return {key: one for key, (one,) in _correlations(atlas, classes_present(atlas.run), tolerance).items()}


def _correlations(atlas: Atlas, ranked: np.ndarray, tolerance: Tolerance) -> dict[str, list[object]]:
    plan, found = by_image(atlas.run.images, REPLICATES), {}
    for key, target in image_scores(atlas.run, tolerance).items():
        rho = estimate_quantiles(rank_correlation(ranked, target, plan))
        found[key] = rho.value.tolist()
        found[f"{key}_interval"] = [interval_at(rho, place) for place in range(ranked.shape[1])]
    return found


def _gradients(atlas: Atlas) -> dict[str, list[object]]:
    found = atlas.similarity
    entropy = found.place(ENTROPY) if found else None
    places = [found.place(name) if found else None for name in atlas.names]
    return {
        "near": mean_over_images(atlas.at_boundaries).tolist(),
        "rare": mean_over_images(atlas.on_rare).tolist(),
        "entropy": [
            float(found.cosine[place, entropy]) if found and place is not None and entropy is not None else None
            for place in places
        ],
    }


def _costs(atlas: Atlas) -> dict[str, list[object]]:
    base, costs = atlas.costs[ENTROPY], [atlas.costs[name] for name in atlas.names]
    return {
        "time": [cost.seconds / max(base.seconds, 1e-9) for cost in costs],
        "memory": [cost.peak_bytes / max(base.peak_bytes, 1) for cost in costs],
        "seconds": [cost.seconds for cost in costs],
        "bytes": [cost.peak_bytes for cost in costs],
    }


def _table_notes(atlas: Atlas) -> tuple[str, ...]:
    count, base = int(atlas.measured.sum()), atlas.costs[ENTROPY]
    on = (
        f"{thousands(count)} of {counted(atlas.run.images, 'image')}, evenly spaced"
        if count < atlas.run.images
        else "all images"
    )
    names = ", ".join(atlas.run.labels.names[place] for place in atlas.rare)
    few = f"the least labelled, at most {100 * RARE:g} % of the pixels together: {names}"
    rare = few if names else f"none, as the least labelled has over {100 * RARE:g} % of the pixels"
    return (
        f"Value: mean over the images where the loss is defined. {sampling_note(atlas.run.images)} ρ: Spearman's rank "
        f"correlation over images of minus the value with the image-level score (mIoU: over the classes that the image "
        f"labels); the number of classes present is a confounder.",
        f"Gradient at the logits, on {on}: share of its absolute mass within {WITHIN[NEAR]} pixels of a label boundary "
        f"and on rare classes ({rare}); means over images.",
        f"Time and memory of forward + backward on one image, relative to cross entropy ({1e3 * base.seconds:.1f} ms).",
    )
