"""What a network and its losses are given in a step, from a batch as it was read."""

from typing import Any

import numpy as np
import torch
from torch import Tensor

from segablate.evaluation.loss_values import widened_edges
from segablate.samples import labels_for
from segablate.training.batches import TrainingBatch
from segablate.training.forward import Scores, forward, forward_head
from segablate.training.task import Task


def scores_of(task: Task, batch: TrainingBatch) -> tuple[Scores, Tensor, dict[str, Any]]:
    """Return the scores for a batch, its labels N H W int64, and what losses take beside them, by name."""
    device, wanted = task.start.network.device, _wanted(task)
    given = _moved(batch.labels, device)
    images = _moved(batch.images, device)
    if batch.features is not None:
        scores = forward_head(task.start, _moved(batch.features, device), (given.shape[1], given.shape[2]))
    else:
        auxiliary = task.recipe.auxiliary > 0
        scores = forward(task.start, images, auxiliary=auxiliary, features="features" in task.needs)
    inputs = dict(task.inputs)
    if "image" in wanted:
        inputs["image"] = images.permute(0, 3, 1, 2).float()  # N 3 H W
    if "features" in task.needs and scores.features is not None:
        project = task.projection
        inputs["features"] = scores.features if project is None else project(scores.features)  # N D h w
    if "roi" in wanted and batch.inside is not None:
        inputs["roi"] = _moved(batch.inside, device).to(scores.logits.dtype)  # N H W
    labels = labels_for(scores.logits, given, task.start.alignment.classes)
    surplus = scores.logits.shape[1] - task.start.alignment.classes
    if "edge_net" in inputs and surplus:
        inputs["edge_net"] = widened_edges(inputs["edge_net"], surplus)
    return scores, labels, inputs


def _wanted(task: Task) -> frozenset[str]:
    """The inputs that some loss takes, needed or not."""
    terms = (*task.objective.terms, *(task.auxiliary.terms if task.auxiliary else ()))
    return frozenset().union(*(term.loss.inputs for term in terms))


def _moved(array: np.ndarray, device: torch.device) -> Tensor:
    tensor = torch.from_numpy(array)
    return tensor.pin_memory().to(device, non_blocking=True) if device.type == "cuda" else tensor
