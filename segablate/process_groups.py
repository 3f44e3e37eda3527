"""The process group of a user's training loop, which this program did not open."""

from typing import Any, TypeVar

Item = TypeVar("Item")


def gather_objects(value: Item) -> list[Item]:
    """Return the values of all processes of torch's process group, by rank, in each; alone, the value itself.

    The group is the user's own, as of a training loop; every process must call. `value` must be picklable.
    """
    import torch.distributed as dist

    if not (dist.is_available() and dist.is_initialized()) or dist.get_world_size() == 1:
        return [value]
    values: list[Any] = [None] * dist.get_world_size()
    dist.all_gather_object(values, value)
    return values


def group_rank() -> int:
    """Return the rank of this process in torch's process group, the user's own; 0 without one."""
    import torch.distributed as dist

    return dist.get_rank() if dist.is_available() and dist.is_initialized() else 0
