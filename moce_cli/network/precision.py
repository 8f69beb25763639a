"""What of a network runs in a lower precision, and what may not."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import nn

from moce_cli.network.layers import (
    CrossAttention,
    EncoderBlock,
    GatedFeedForward,
    TransposedAttention,
)
from moce_cli.network.primitives import Norm
from moce_cli.network.router import Router

if TYPE_CHECKING:
    from moce_cli.network.unet import MoCEIR

_FINEST = ("encoder.0.", "decoder.2.", "refinement.")
"""Parts at full resolution."""


def lower(network: MoCEIR, dtype: torch.dtype) -> None:
    """Let the blocks' products and convolutions run in a lower precision, in place.

    The sum that runs through the blocks, the norms, the routers, both ends and the refinement's
    feed-forwards stay as they are, and so do, at full resolution, the layers that make that sum
    anew and those whose answers are added to it: on a nearly clean picture their rounding would
    show.

    Args:
        network: whose parameters are float32.
        dtype: float32 changes nothing.
    """
    whole = [network.embed, network.frequency, network.output, network.up[-1], network.fuse[-1]]
    whole += [network.scene] if network.scene else []
    for block in network.refinement.modules():
        if isinstance(block, EncoderBlock):
            whole += [block.ffn_norm, block.ffn]
    for name, module in network.named_modules():
        answers = isinstance(module, TransposedAttention | CrossAttention | GatedFeedForward)
        if isinstance(module, Router):
            whole.append(module)
        # of `shared`, which the mixture asks, nothing is added
        elif answers and name.startswith(_FINEST) and not name.endswith("shared"):
            whole.append(module.project)
    kept = {id(module) for part in whole for module in part.modules()}
    for module in network.modules():
        if id(module) in kept:
            continue
        if isinstance(module, Norm):
            module.compute_dtype = dtype
        elif isinstance(module, nn.Linear | nn.Conv2d):
            module.to(dtype)
