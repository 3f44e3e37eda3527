"""From a request to a task: network, data and objective opened, and checked against each other."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from torch import nn

from segablate.checkpoints import is_new_network
from segablate.datasets.dataset import Dataset
from segablate.datasets.supervision import FULL
from segablate.errors import RecipeError, counted, shorten
from segablate.evaluation.inputs import with_inputs
from segablate.objective.weighted_sum import Objective, parse_objective
from segablate.runtime import team
from segablate.training.batches import Batches
from segablate.training.fitting import activation, fitted
from segablate.training.heads import can_keep_features, keep_features, with_features
from segablate.training.identity import described, identity_of
from segablate.training.objectives import local_terms, without_features
from segablate.training.projection import make_projection, projection_parameters, refuse_without_features
from segablate.training.recipe import Recipe, recipe_fields
from segablate.training.request import TrainingRequest
from segablate.training.starting import Start, open_start, require_classifier
from segablate.training.task import Task
from segablate.training.weights import class_weights, takes_weights


def begin(request: TrainingRequest, features: Path, progress: Callable[[int], None] = lambda images: None) -> Task:
    """Open network and data of a training. Raises a SegablateError for whatever does not fit.

    `features`: the folder in which what a classifier sees is kept, where it alone is trained.
    """
    recipe = _completed(request)
    objective, auxiliary = _objectives(recipe, request.dataset)
    start = open_start(
        request.network,
        request.dataset,
        recipe,
        request.loading,
        request.seed,
        encoder=request.encoder,
        new_classifier=request.part == "head" and not request.keep_head,
    )
    recipe = fitted(recipe, start.network.preprocessing)
    needs = objective.needs | (auxiliary.needs if auxiliary else frozenset())
    _refuse_needs(request, needs, objective, auxiliary, start)
    _, inputs, notes = with_inputs(start.network, needs, request.dataset, f"objective {objective}")
    network = replace(start.network, kind=activation(start.network.kind, objective))
    notes = (*start.notes, *notes, *_notes(request, recipe, objective, start))
    start = replace(start, network=network, notes=notes)
    start, projection = _projected(request, recipe, needs, start)
    batches = Batches(request.dataset, recipe, request.seed, team().rank, team().size)
    if request.part == "head":
        start, batches = _head_alone(start, batches, features, progress)
    identity = identity_of(request, recipe, objective, start.network.source)
    return Task(
        *(start, batches, recipe, objective, identity, needs, inputs, request.part),
        auxiliary=auxiliary,
        projection=projection,
        described=described(request, recipe, objective),
    )


def _objectives(recipe: Recipe, dataset: Dataset) -> tuple[Objective, Objective | None]:
    """The objective of the main output, and another of auxiliary ones where there is one, under class weights."""
    objective = class_weights(parse_objective(recipe.objective), recipe.class_weights, dataset)
    if recipe.auxiliary_objective is None:
        return objective, None
    auxiliary = parse_objective(recipe.auxiliary_objective)
    return objective, class_weights(auxiliary, recipe.class_weights if takes_weights(auxiliary) else "none", dataset)


def _refuse_needs(
    request: TrainingRequest, needs: frozenset[str], objective: Objective, auxiliary: Objective | None, start: Start
) -> None:
    """Raise RecipeError for features that are not there or alone are trained, and full labels behind scribbles."""
    if request.part == "head" and not without_features(objective):
        raise RecipeError(
            f"objective '{objective}' trains features alone, which are fixed where the classifier alone is trained; "
            f"train the full network (--part full)"
        )
    if "features" in needs:
        refuse_without_features(start, objective if "features" in objective.needs or auxiliary is None else auxiliary)
    if "edge_net" in needs and request.labels.kind != FULL:
        raise RecipeError(
            f"objective '{objective}' compares by an edge network, which is trained on full label maps; leave out "
            f"semeda, or train with --labels full"
        )


def _projected(
    request: TrainingRequest, recipe: Recipe, needs: frozenset[str], start: Start
) -> tuple[Start, nn.Module | None]:
    """The projection of features where the full network is trained under losses that need them, and a note of it.

    Its parameters are new in a network of which others are not.
    """
    if idle := _why_idle(request, recipe, needs):
        return replace(start, notes=(*start.notes, idle)), None
    if "features" not in needs or request.part == "head" or not recipe.projection:
        return start, None
    projection = make_projection(start, recipe.projection, request.seed)
    note = (
        f"losses saw the {counted(projection.in_channels, 'channel')} before {start.classifier!r} projected to "
        f"{projection.out_channels}; the projection was trained along and is not in the checkpoint"
    )
    start = replace(start, notes=(*start.notes, note))
    if not is_new_network(request.network) or request.encoder is not None:
        start = replace(start, new=start.new | {name for name, _ in projection_parameters(projection)})
    return start, projection


def _why_idle(request: TrainingRequest, recipe: Recipe, needs: frozenset[str]) -> str:
    """Say that a projection other than the default has no effect, and why; empty where it has one."""
    if recipe.projection == recipe_fields()["projection"].default:
        return ""
    if "features" not in needs:
        return f"projection={recipe.projection} had no effect: no loss of '{recipe.objective}' takes features"
    fixed = "the classifier alone was trained, from features that are fixed"
    return f"projection={recipe.projection} had no effect: {fixed}" if request.part == "head" else ""


def _head_alone(
    start: Start, batches: Batches, features: Path, progress: Callable[[int], None]
) -> tuple[Start, Batches]:
    """The start with nothing but its classifier to be trained, on batches of features where they can be kept."""
    require_classifier(start.classifier)
    for name, parameter in start.network.module.named_parameters():
        parameter.requires_grad_(name.startswith(f"{start.classifier}."))
    if can_keep_features(start, batches.dataset):
        return start, with_features(batches, keep_features(start, batches.dataset, features, progress))
    note = "the network goes on after its classifier: no features were kept, and steps run the whole network"
    return replace(start, notes=(*start.notes, note)), batches


def _completed(request: TrainingRequest) -> Recipe:
    """The recipe, with what the part that is trained settles: the classifier sees no augmentation but mirroring."""
    recipe = request.recipe
    if request.part == "head":
        plain = {
            "scale": (1.0, 1.0),
            "scale_step": 0.0,
            "shorter": None,
            "crop": None,
            "photometric": False,
            "blur": 0.0,
        }
        colours = dict.fromkeys(("brightness", "tint", "contrast", "saturation"), 0.0)
        recipe = replace(recipe, **plain, **colours)
    if recipe.keep == "best" and request.holdout is None:
        raise RecipeError("--keep best needs a hold-out of the train split; pass --holdout 0.1")
    return recipe


def _notes(request: TrainingRequest, recipe: Recipe, objective: Objective, start: Start) -> tuple[str, ...]:
    notes = [*request.labels.notes]
    if request.part == "head":
        notes.append(f"classifier {start.classifier!r} alone was trained")
        if len(without_features(objective)) < len(objective.terms):
            notes.append("feature_consistency trains features, fixed before the classifier: it changed nothing")
    if team().size > 1 and (names := local_terms(objective)):
        notes.append(f"{shorten(names, 6)}: means over the local batches of {team().size} processes")
    if team().size > 1 and recipe.norm == "train":
        notes.append(f"batch norm took its statistics over the local batches of {team().size} processes")
    return tuple(notes)
