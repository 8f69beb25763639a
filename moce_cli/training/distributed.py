"""Several processes that train one network, as `torchrun` starts them."""

from __future__ import annotations

import os
import warnings
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from moce_cli.errors import UsageError

_HINT = "start several processes with torchrun"


@dataclass(frozen=True, slots=True)
class Place:
    """This process among the others."""

    rank: int = 0
    world_size: int = 1
    local_rank: int = 0

    @property
    def is_first(self) -> bool:
        """The one process that writes and speaks."""
        return self.rank == 0

    @property
    def is_alone(self) -> bool:
        """Whether there are no others."""
        return self.world_size == 1


@contextmanager
def joined(device_type: str) -> Generator[Place]:
    """Meet the other processes that `torchrun` started; alone where there are none.

    Args:
        device_type: `cuda` meets over NCCL, anything else over gloo.

    Raises:
        UsageError: the environment names no proper place.
    """
    if "WORLD_SIZE" not in os.environ:
        yield Place()
        return
    size = _from_environment("WORLD_SIZE", 1)
    rank = _from_environment("RANK", 0, size - 1, alone=size == 1)
    place = Place(rank, size, _from_environment("LOCAL_RANK", 0, alone=True))
    if place.is_alone:
        yield place
        return
    if device_type == "cuda":
        torch.cuda.set_device(place.local_rank)
    dist.init_process_group("nccl" if device_type == "cuda" else "gloo")
    try:
        yield place
    finally:
        dist.destroy_process_group()


def _from_environment(
    name: str, least: int, most: int | None = None, *, alone: bool = False
) -> int:
    """A whole number that `torchrun` sets; 0 where it is not set and the process may be `alone`."""
    seen = os.environ.get(name, "0" if alone else None)
    if seen is None:
        raise UsageError(
            f"WORLD_SIZE is {os.environ['WORLD_SIZE']!r}, but {name} is not set", _HINT
        )
    try:
        number = int(seen)
    except ValueError:
        number = least - 1
    if number < least or (most is not None and number > most):
        span = f"from {least} on" if most is None else f"from {least} to {most}"
        raise UsageError(f"{name} is {seen!r}, it needs a whole number {span}", _HINT)
    return number


def share_gradients(module: nn.Module, place: Place, device: torch.device) -> nn.Module:
    """The module with its gradients averaged over all processes; itself when alone."""
    if place.is_alone:
        return module
    ids = [device.index] if device.type == "cuda" else None
    # a depthwise kernel has one input channel, whose stride says nothing, and is warned of
    warnings.filterwarnings("ignore", "Grad strides do not match bucket view strides")
    # an expert that no crop chose has no gradient in this step
    return DistributedDataParallel(module, device_ids=ids, find_unused_parameters=True)


def agree(value: float, place: Place, device: torch.device) -> float:
    """The first process's value, in all of them: clocks differ, and all must stop together."""
    if place.is_alone:
        return value
    shared = torch.tensor([value], dtype=torch.float64, device=device)
    dist.broadcast(shared, src=0)
    return float(shared.item())


def all_agree(yes: Tensor, place: Place) -> bool:
    """Whether something holds in every process, `()` bool: what one skips, all must skip."""
    if place.is_alone:
        return bool(yes)
    shared = yes.to(torch.int32)
    dist.all_reduce(shared, op=dist.ReduceOp.MIN)
    return bool(shared)


def mean_over_processes(values: Tensor, place: Place) -> Tensor:
    """The mean of a tensor over all processes."""
    if place.is_alone:
        return values
    total = values.clone()
    dist.all_reduce(total)
    return total / place.world_size
