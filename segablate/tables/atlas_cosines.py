"""Tables of the cosines between the gradients of losses: the matrix, its clusters, and the two answers."""

from collections.abc import Iterator

import numpy as np

from segablate.ablation.gradients import WITHIN
from segablate.atlas.clusters import REPLICATES, Similarity
from segablate.atlas.results import ENTROPY, NEAR, Atlas
from segablate.errors import counted, thousands
from segablate.statistics.bootstrap import by_image, resample
from segablate.statistics.bounds import SHARE
from segablate.statistics.intervals import FEWEST, estimate
from segablate.statistics.scores import means
from segablate.tables import Column, Row, Table
from segablate.tables.ablation import interval_at

UNLIKE = 0.5
"""The cosine with cross entropy below which a loss counts as seeing something else."""


def cosine_tables(atlas: Atlas) -> Iterator[Table]:
    """Yield the tables of the cosines, where at least two losses have a gradient."""
    found = atlas.similarity
    if found is None:
        return
    yield matrix_table(found, int(atlas.measured.sum()))
    yield clusters_table(found, int(atlas.measured.sum()))
    yield same_table(found)
    if (entropy := found.place(ENTROPY)) is not None:
        yield unlike_table(atlas, found, entropy)


def matrix_table(found: Similarity, images: int) -> Table:
    """Return the mean cosine of every two losses, in the order of the tree."""
    names = [found.names[place] for place in found.order]
    keys = [f"with_{name}" for name in names]
    cosine = found.cosine[:, list(found.order)][list(found.order)].tolist()
    rows = tuple({"loss": name, **dict(zip(keys, row, strict=True))} for name, row in zip(names, cosine, strict=True))
    columns = (
        Column("loss", "loss", "text"),
        *(Column(key, name, "number", digits=2) for key, name in zip(keys, names, strict=True)),
    )
    note = (
        f"Cosine of the gradients at the logits of one image, mean over {counted(images, 'image')} (where both are "
        "defined); losses in the order of the tree of average linkage on 1 − cosine."
    )
    return Table("cosines", "Cosine between the gradients", columns, rows, (note,))


def clusters_table(found: Similarity, images: int) -> Table:
    """Return the clusters of losses, what is nearest to each, and how stable it is."""
    known = images >= FEWEST
    rows = [_cluster_row(found, place, known) for place in range(len(found.clusters))]
    columns = (
        Column("losses", "losses", "prose"),
        Column("average", "average cosine", "number", digits=2),
        Column("lowest", "lowest", "number", digits=2),
        Column("nearest", "nearest other", "text"),
        Column("to_nearest", "average cosine with it", "number", digits=2),
        Column("jaccard", "stability", "number", digits=2),
        Column("together", "least often together", "share", digits=0),
    )
    stable = found.stability
    missing = REPLICATES - stable.replicates
    without = f", {missing} of them left out as a loss was measured on none of their images" if missing else ""
    measured = (
        f"Stability: mean over {thousands(REPLICATES)} bootstrap replicates of the {counted(images, 'image')}{without} "
        f"of the largest Jaccard index with a cluster of the replicate (1: always the same members); least often "
        f"together: the smallest share of replicates in which two members are in one cluster. All clusters came back "
        f"in {100 * stable.same:.0f} % of the replicates."
    )
    few = f"Stability: not known, as it takes at least {FEWEST} images with gradients."
    note = f"Average linkage on 1 − cosine, cut at an average cosine of {found.bound:g}. {measured if known else few}"
    return Table("clusters", "Clusters", columns, tuple(rows), (note,))


def same_table(found: Similarity) -> Table:
    """Return the pairs whose cosine is at least the bound, by the lower end of its interval."""
    pairs = [
        (i, j) for i, j in zip(*np.triu_indices(len(found.names), 1), strict=True) if found.low[i, j] >= found.bound
    ]
    pairs.sort(key=lambda pair: -found.cosine[pair])
    rows = tuple(
        {
            "loss": found.names[i],
            "other": found.names[j],
            "cosine": float(found.cosine[i, j]),
            "interval": (float(found.low[i, j]), float(found.high[i, j])),
            "together": float(found.stability.together[i, j]),
        }
        for i, j in pairs
    )
    columns = (
        Column("loss", "loss", "text"),
        Column("other", "other", "text"),
        Column("cosine", "cosine", "number", digits=3),
        Column("interval", "95 % CI", "number_interval", digits=3),
        Column("together", "in one cluster", "share", digits=0),
    )
    none = "" if rows else _none(found.low[np.triu_indices(len(found.names), 1)])
    note = f"Pairs whose 95 % CI of the mean cosine is at or above {found.bound:g}.{none}"
    return Table("same", "The same under two names", columns, rows, (note,))


def unlike_table(atlas: Atlas, found: Similarity, entropy: int) -> Table:
    """Return the losses unlike cross entropy with more gradient at boundaries or rare classes than pixels there."""
    excess = {"near": _excess(atlas.at_boundaries, atlas.pixels[0]), "rare": _excess(atlas.on_rare, atlas.pixels[1])}
    rows = []
    for place in found.order:
        above = {key: ends[atlas.names.index(found.names[place])] for key, ends in excess.items()}
        if found.high[place, entropy] < UNLIKE and any(low > 0 for _, (low, _) in above.values()):
            rows.append(
                {
                    "loss": found.names[place],
                    "cosine": float(found.cosine[place, entropy]),
                    "interval": (float(found.low[place, entropy]), float(found.high[place, entropy])),
                    **{key: value for key, (value, _) in above.items()},
                    **{f"{key}_interval": ends for key, (_, ends) in above.items()},
                }
            )
    columns = (
        Column("loss", "loss", "text"),
        Column("cosine", "cosine with CE", "signed_number", digits=2),
        Column("interval", "95 % CI", "signed_number_interval", digits=2),
        Column("near", f"≤ {WITHIN[NEAR]}px − pixels", "signed_share", digits=0),
        Column("near_interval", "95 % CI", "signed_interval", digits=0),
        Column("rare", "rare − pixels", "signed_share", digits=1),
        Column("rare_interval", "95 % CI", "signed_interval", digits=1),
    )
    none = "" if rows else _none(np.delete(found.high[:, entropy], entropy))
    note = (
        f"Losses whose 95 % CI of the cosine with cross entropy is below {UNLIKE:g}, and whose gradient has a larger "
        f"share within {WITHIN[NEAR]} pixels of a boundary, or on rare classes, than the pixels there (95 % CI of the "
        f"difference above 0).{none}"
    )
    return Table("unlike", "What cross entropy does not see", columns, tuple(rows), (note,))


def _none(ends: np.ndarray) -> str:
    """Say that a table is empty, and where that is as cosines have no interval."""
    if np.isnan(ends).all():
        return f" Not known: fewer than {FEWEST} images with gradients give no interval."
    without = f" among those on at least {FEWEST} images; the others have no interval" if np.isnan(ends).any() else ""
    return f" There is none{without}."


def _cluster_row(found: Similarity, cluster: int, known: bool) -> Row:
    """Return the row of a cluster; without its stability where that is not known."""
    members = list(found.clusters[cluster])
    inside = found.cosine[np.ix_(members, members)][np.triu_indices(len(members), 1)]
    together = found.stability.together[np.ix_(members, members)]
    row = {
        "losses": ", ".join(found.names[place] for place in members),
        "average": float(inside.mean()) if inside.size else None,
        "lowest": float(inside.min()) if inside.size else None,
        "jaccard": found.stability.jaccard[cluster] if known else None,
        "together": float(together.min()) if known and inside.size else None,
    }
    others = [list(other) for other in found.clusters if other != found.clusters[cluster]]
    if not others:
        return row
    averages = [float(found.cosine[np.ix_(members, other)].mean()) for other in others]
    nearest = int(np.argmax(averages))
    return {**row, "nearest": found.names[others[nearest][0]], "to_nearest": averages[nearest]}


def _excess(shares: np.ndarray, pixels: np.ndarray) -> list[tuple[float, tuple[float, float]]]:
    """Return for each loss the mean of its shares (M, L) less those of the pixels (M,), with its 95 % CI."""
    excess = means(shares - pixels[:, None], bounds=SHARE - SHARE)
    change = estimate(resample([excess], by_image(len(shares), REPLICATES))[0]["mean"])
    return [(float(change.value[place]), interval_at(change, place)) for place in range(shares.shape[1])]
