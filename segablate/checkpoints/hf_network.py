"""Building a network of transformers from its configuration, and loading its weights strictly."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import huggingface_hub.errors
import torch
import transformers
from torch import Tensor, nn
from transformers.models.auto import modeling_auto
from transformers.utils import logging

from segablate.checkpoints.hf_files import read_json
from segablate.checkpoints.mask_queries import MaskQueries
from segablate.errors import CheckpointError, at, shorten
from segablate.weights.fitting import misfits

ONE_SIZE = ("beit", "data2vec-vision", "dpt", "eomt", "eomt_dinov3")
"""Model types that take only squares, most of them only of their ``image_size``."""

MASK_QUERIES = ("maskformer", "mask2former", "oneformer", "eomt", "eomt_dinov3")
"""Model types that predict a set of masks and a class for each."""

MASKS_OF_MASK2FORMER = (384, 384)
"""The size at which the library joins the masks of Mask2Former, whatever the image."""

COMPUTED = ("num_batches_tracked", "relative_position_index", "position_ids", "criterion.empty_weight")
"""Counters, indices and weights of the loss, which some versions of the library save and others do not."""

TOKENIZERS = ("tokenizer.json", "vocab.json")
"""Files of a tokenizer, of which a folder holds at least one."""


_REFUSALS = (
    *(ValueError, OSError, TypeError, LookupError, AttributeError),
    getattr(huggingface_hub.errors, "StrictDataclassError", ValueError),
)
"""What transformers raises for configurations that are none."""


def read_config(folder: Path) -> Any:
    """Read the configuration in a folder. Raises CheckpointError unless it is of a network for segmentation."""
    path = folder / "config.json"
    with at(path):
        described = read_json(path)
        _refuse_kernels(described)
        kind = described.get("model_type")
        if not kind:
            hint = f"; for segmentation_models_pytorch, write smp:{folder}" if "_model_class" in described else ""
            raise CheckpointError(f"names no model_type, as configurations of transformers do{hint}")
        saved = described.get("architectures") or [kind]
        if not isinstance(saved, list) or not all(isinstance(name, str) for name in (kind, *saved)):
            raise CheckpointError("model_type must be a name and architectures a list of names; copy or write it again")
        if kind not in known_networks() or not ("Segmentation" in saved[0] or saved == [kind]):
            raise CheckpointError(
                f"is of {saved[0]}, which is no network for semantic segmentation in transformers "
                f"{transformers.__version__}; available: {shorten(sorted(known_networks()), 20)}"
            )
        try:
            with _offline():
                config = transformers.AutoConfig.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
        except _REFUSALS as error:
            raise CheckpointError(f"does not fit transformers {transformers.__version__}: {_line(error)}") from None
    for part in (config, getattr(config, "backbone_config", None)):
        if part is not None and getattr(part, "use_pretrained_backbone", False):
            part.use_pretrained_backbone = False  # or building the network would download weights
    return config


def _refuse_kernels(described: Any) -> None:
    """Raise CheckpointError for an implementation that is a repository of the hub: the library would run its code."""
    if not isinstance(described, dict):
        return
    for key, value in described.items():
        if key.endswith("_implementation") and "/" in str(value):
            raise CheckpointError(f"{key} {str(value)[:80]!r} is code on the hub, which is not run; remove the entry")
        _refuse_kernels(value)


def known_networks() -> dict[str, str]:
    """Map model types to the names of their classes in the installed transformers."""
    universal = modeling_auto.MODEL_FOR_UNIVERSAL_SEGMENTATION_MAPPING_NAMES
    queries = {kind: universal[kind] for kind in MASK_QUERIES if kind in universal}
    return {**modeling_auto.MODEL_FOR_SEMANTIC_SEGMENTATION_MAPPING_NAMES, **queries}


def build(config: Any, tensors: Mapping[str, Tensor], folder: Path) -> nn.Module:
    """Build the network with these weights, in float32.

    Raises CheckpointError that lists the missing, unexpected and mis-shaped keys: the library would initialise missing
    weights at random. Keys that its classes declare optional, and those it computes, may differ.
    """
    network = getattr(transformers, known_networks()[config.model_type])
    with _quiet(), _offline():
        try:
            module, found = network.from_pretrained(
                None, config=config, state_dict=dict(tensors), output_loading_info=True, ignore_mismatched_sizes=True
            )
        except (*_REFUSALS, RuntimeError, ImportError) as error:
            raise CheckpointError(f"{folder}: {network.__name__} cannot be built: {_line(error)}") from None
    missing, unexpected = (
        sorted(key for key in found[which] if not key.endswith(COMPUTED))
        for which in ("missing_keys", "unexpected_keys")
    )
    misshaped = {key: (tuple(saved), tuple(own)) for key, saved, own in sorted(found["mismatched_keys"])}
    if missing or unexpected or misshaped:
        raise CheckpointError(
            f"{folder}: {misfits(missing, unexpected, misshaped)}; config.json and the weights are of different "
            f"networks, take both from one save_pretrained"
        )
    return module.float()


def build_new(config: Any, classes: int) -> nn.Module:
    """Return the network of a configuration with random weights, in float32, for this many classes."""
    if config.num_labels != classes:
        config.num_labels = classes
    with _quiet(), _offline():
        return getattr(transformers, known_networks()[config.model_type])(config).float()


def gives_queries(config: Any) -> bool:
    """Return whether the network predicts masks and a class for each."""
    return config.model_type in MASK_QUERIES


def input_size(config: Any) -> tuple[int, int] | None:
    """Return the only height and width that the network takes, or None where it takes any."""
    if config.model_type not in ONE_SIZE:
        return None
    match config.image_size:
        case int(side) | [int(side)]:
            return side, side
        case [int(height), int(width)]:
            return height, width
    raise CheckpointError(f"config.json: image_size is {str(config.image_size)[:80]}, but must be one or two numbers")


def joined(module: nn.Module, config: Any, folder: Path) -> MaskQueries:
    """Wrap a network of mask queries so that it returns scores, as the library computes them."""
    size = MASKS_OF_MASK2FORMER if config.model_type == "mask2former" else input_size(config)
    return MaskQueries(module, size, _task(config, folder) if config.model_type == "oneformer" else {})


def _task(config: Any, folder: Path) -> dict[str, Tensor]:
    """Return the input that names OneFormer's task: the tokens of a sentence."""
    if not any((folder / name).is_file() for name in TOKENIZERS):
        raise CheckpointError(
            f"{folder} holds no {' or '.join(TOKENIZERS)}, which OneFormer needs; save its processor there too"
        )
    try:
        tokenizer = transformers.AutoTokenizer.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
        length = config.task_seq_len
        row = tokenizer(["the task is semantic"], padding="max_length", max_length=length, truncation=True)
    except Exception as error:  # the tokenizers' library, in Rust, has a class of its own
        raise CheckpointError(f"{folder}: its tokenizer cannot be used ({_line(error)}); save it again") from None
    return {"task_inputs": torch.tensor(row["input_ids"]) * torch.tensor(row["attention_mask"])}


@contextmanager
def _offline() -> Iterator[None]:
    """Keep the library from the hub, where a configuration may name a backbone of its own."""
    from huggingface_hub import constants

    before, constants.HF_HUB_OFFLINE = constants.HF_HUB_OFFLINE, True
    try:
        yield
    finally:
        constants.HF_HUB_OFFLINE = before


@contextmanager
def _quiet() -> Iterator[None]:
    """Silence the library's progress bars and load reports, which this module raises as errors."""
    level, bars = logging.get_verbosity(), logging.is_progress_bar_enabled()
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        logging.set_verbosity(level)
        if bars:
            logging.enable_progress_bar()


def _line(error: Exception) -> str:
    return " ".join(str(error).split())[:200] or type(error).__name__
