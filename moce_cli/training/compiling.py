"""Compilation, where it pays."""

from __future__ import annotations

from typing import Any

import torch

from moce_cli.network import MoCEIR
from moce_cli.network.layers import (
    CrossAttention,
    EncoderBlock,
    GatedFeedForward,
    TransposedAttention,
)
from moce_cli.network.mixture import ExpertFeedForward

PAYS_AFTER_MINUTES = 15.0
"""Compiling takes one to three minutes."""


def pays(device: torch.device, minutes: float | None, steps: int | None) -> bool:
    """Whether a run is on CUDA and long enough to compile for.

    On a CPU a compiled step took as long as any other, after one to two minutes of compiling.

    Args:
        device: that trains.
        minutes: of the budget.
        steps: of the budget.
    """
    if device.type != "cuda":
        return False
    if minutes is not None:
        return minutes >= PAYS_AFTER_MINUTES
    return steps is not None and steps >= 2000


MOST_SHAPES = 64
"""Of one kind of block, over all levels of the network and all stages' crops; torch stops at 8."""


def compile_blocks(network: MoCEIR) -> None:
    """Compile the blocks that take most of the time, each for the shapes it meets.

    The whole is not compiled: who runs is known only when the data is there.
    """
    kinds = (EncoderBlock, CrossAttention, GatedFeedForward, TransposedAttention)
    # an expert meets another batch size in every step, and each would be compiled anew
    experts = {
        id(part)
        for module in network.modules()
        if isinstance(module, ExpertFeedForward)
        for part in module.modules()
    }
    limits: Any = torch._dynamo.config  # pyright: ignore[reportPrivateUsage] -- it has no other name
    limits.recompile_limit = max(limits.recompile_limit, MOST_SHAPES)
    for module in network.modules():
        if isinstance(module, kinds) and id(module) not in experts:
            module.compile(dynamic=False)
