"""Who runs: the router's decision for one block, and the record of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from moce_cli.network.primitives import Linear

_NEVER = 1e4
"""Taken from a logit, it leaves no chance."""


@dataclass(frozen=True, slots=True)
class BlockRouting:
    """What one MoCE block decided.

    A batch of one stands for every sample of any batch: that is what a pinned routing is.
    """

    logits: Tensor
    """`(B, E)`, float32, without noise."""
    noisy_logits: Tensor
    """`(B, E)`: what decided; differs from `logits` only while training."""
    experts: Tensor
    """`(B, k)`, int64, in descending order of the gate."""
    gates: Tensor
    """`(B, k)`, float32: softmax over all experts, not renormalised over the k."""
    chosen: tuple[tuple[int, ...], ...]
    """`experts` as plain numbers, so that dispatch does not wait for a device."""


Routing = Sequence[BlockRouting]
"""One `BlockRouting` per MoCE block, in the order in which they run."""


def decide(logits: Tensor, top_k: int, noise: Tensor | None = None) -> BlockRouting:
    """Choose experts from logits.

    Args:
        logits: `(B, E)`.
        top_k: how many experts run.
        noise: `(B, E)`, added for the choice and the gates.
    """
    noisy = logits if noise is None else logits + noise
    gates, experts = noisy.softmax(dim=-1).topk(top_k, dim=-1)
    chosen = tuple(tuple(row) for row in experts.tolist())
    return BlockRouting(logits, noisy, experts, gates, chosen)


def force(expert_id: int, num_experts: int) -> BlockRouting:
    """A pinned decision for one expert, with a gate of one."""
    logits = torch.zeros(1, num_experts)
    experts = torch.full((1, 1), expert_id)
    return BlockRouting(logits, logits, experts, torch.ones(1, 1), ((expert_id,),))


class Router(nn.Module):
    """Scores every expert from the features' mean and the picture's frequency embedding.

    Source: MoCE-IR, section 3.3. Differs: noise only while training.
    """

    def __init__(self, channels: int, embedding: int, num_experts: int, top_k: int) -> None:
        super().__init__()
        self.num_experts = num_experts
        self.top_k = top_k
        self.expert_dropout = 0.0
        """How often one expert, drawn evenly, may not be chosen while training."""
        self.gate = Linear(channels, num_experts, bias=False)
        self.frequency_gate = Linear(embedding, num_experts, bias=False)

    def logits(self, x: Tensor, frequency: Tensor) -> Tensor:
        """`(B, H, W, C)` and `(B, 8C)` to `(B, E)`; always computed in float32."""
        with torch.autocast(x.device.type, enabled=False):
            mean = x.mean(dim=(1, 2), dtype=torch.float32)
            return F.linear(mean, self.gate.weight.float()) + F.linear(
                frequency.float(), self.frequency_gate.weight.float()
            )

    def forward(self, x: Tensor, frequency: Tensor) -> BlockRouting:
        """Decide for each sample."""
        logits = self.logits(x, frequency)
        if not self.training:
            return decide(logits, self.top_k)
        noise = torch.randn_like(logits) / self.num_experts
        if self.expert_dropout and self.num_experts > self.top_k:
            dropped = torch.randint(self.num_experts, (len(logits), 1), device=logits.device)
            drops = torch.rand(len(logits), 1, device=logits.device) < self.expert_dropout
            noise = noise.scatter_add(1, dropped, drops * -_NEVER)
        return decide(logits, self.top_k, noise)
