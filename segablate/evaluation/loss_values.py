"""Values of losses on the scores of one image."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from segablate.evaluation.measures import Measures
from segablate.labels import ignore_index
from segablate.runtime import labels_to_device, to_device
from segablate.samples import LossInputs, Output, Sample, labels_for, logits_for

if TYPE_CHECKING:
    from torch import Tensor

_SUM, _PIXELS, _VALUE = "loss ", "labelled", "value of "


def pixel_loss_sums(
    logits: "Tensor",
    labels: "Tensor",
    classes: int,
    one_channel: bool,
    measures: Measures,
    known: "Mapping[str, Tensor]",
) -> "dict[str, Tensor]":
    """Sum the losses that are means over labelled pixels over some rows, float64 by name; :func:`pixel_loss_values`.

    `logits`: K, h, W, the `classes` first; `labels`: h, W; `known`: sums that were computed already, by name.
    """
    import torch

    if not measures.pixel_losses:
        return {}
    scores = logits[None]
    target = labels_for(scores, labels[None], classes)
    pixels = (labels != ignore_index(classes)).sum(dtype=torch.float64)
    sums = {}
    for name, loss in measures.pixel_losses.items():
        if name in known:
            sums[_SUM + name] = known[name]
            continue
        with torch.no_grad():
            mean = loss(logits_for(loss.reads({}), scores, one_channel), target)
        sums[_SUM + name] = mean.double() * pixels
    return {**sums, _PIXELS: pixels}


def pixel_loss_values(sums: Mapping[str, Any]) -> dict[str, float]:
    """Return the values of losses from their sums over an image; nan without a labelled pixel."""
    pixels = sums.get(_PIXELS, 0)
    names = [name for name in sums if name.startswith(_SUM)]
    return {name.removeprefix(_SUM): float(sums[name] / pixels) if pixels else float("nan") for name in names}


def loss_inputs(
    sample: Sample, output: Output, logits: "Tensor", place: int, classes: int, measures: Measures
) -> LossInputs:
    """Return the inputs of losses for one image, whose `logits` are 1, K, H, W; `place`: its place in the batch."""
    inputs = dict(measures.inputs)
    image = sample.image_at_labels
    if image is not None and (measures.probe or any("image" in one.inputs for one in measures.losses.values())):
        inputs["image"] = to_device(image, logits.device)[..., :3].permute(2, 0, 1)[None].float()
    if output.features is not None:
        inputs["features"] = output.features[place : place + 1]
    if "edge_net" in inputs and logits.shape[1] > classes:
        inputs["edge_net"] = widened_edges(inputs["edge_net"], logits.shape[1] - classes)
    labels = labels_for(logits, labels_to_device(sample.labels, logits.device)[None], classes)
    one_channel = output.one_channel and logits.shape[1] == 2  # else both outputs are joined in one class
    return LossInputs(logits, labels, sample.labels, classes, inputs, one_channel, sample.index)


def widened_edges(edge_net: Any, surplus: int) -> Any:
    """Return the edge network with zero weights for the `surplus` outputs that have no class."""
    from torch.nn.functional import pad

    (weight, bias), *rest = edge_net
    return (pad(weight, (0, 0, 0, 0, 0, surplus)), bias), *rest


def loss_values(inputs: LossInputs, measures: Measures) -> "dict[str, Tensor]":
    """Return the values of the losses that need the whole map, 0-dim on their device; nan where one is undefined."""
    import torch

    values = {}
    for name, loss in measures.map_losses.items():
        further = {key: value for key, value in inputs.inputs.items() if key in loss.inputs}
        with torch.no_grad():
            parts = loss.parts_on_device(inputs.read_by(loss.reads({})), inputs.labels, **further)
        values[_VALUE + name] = _where_defined(parts.value.detach().double(), parts.defined)
    return values


def _where_defined(value: "Tensor", defined: "bool | Tensor") -> "Tensor":
    """Return the value, 0-dim, or nan, without reading what is on a GPU."""
    import torch

    if isinstance(defined, torch.Tensor) and defined.device == value.device:
        return value.where(defined.bool(), torch.nan)
    return value if defined else torch.full_like(value, torch.nan)


def map_loss_values(sums: Mapping[str, Any]) -> dict[str, float]:
    """Return the values of :func:`loss_values` on the host, by the names of losses."""
    return {name.removeprefix(_VALUE): float(value) for name, value in sums.items() if name.startswith(_VALUE)}
