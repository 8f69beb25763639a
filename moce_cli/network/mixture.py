"""The decoder's block: a shared expert, and a mixture of which only the chosen experts run."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from moce_cli.network.config import MoCEIRConfig
from moce_cli.network.experts import ComplexityExpert
from moce_cli.network.layers import CrossAttention, GatedFeedForward, Norm, TransposedAttention
from moce_cli.network.router import BlockRouting, Router


class Mixture(nn.Module):
    """Experts and the sum of their gated outputs."""

    def __init__(self, config: MoCEIRConfig, level: int) -> None:
        super().__init__()
        channels = config.level_width(level)
        self.experts = nn.ModuleList(
            ComplexityExpert(channels, config.expert_rank(level, e), config.expert_window(e))
            for e in range(config.num_experts)
        )
        self.router = Router(channels, config.level_width(3), config.num_experts, config.top_k)
        self.project = nn.Linear(channels, channels, bias=False)

    def forward(self, x: Tensor, shared: Tensor, routing: BlockRouting) -> Tensor:
        """Run the chosen experts, each once, on the samples that chose it.

        Args:
            x: `(B, H, W, C)`.
            shared: as x, the shared expert's features.
            routing: for a batch of B, or of one for all.
        """
        gates = routing.gates.to(x.device, x.dtype)[:, :, None, None, None]  # (B or 1, k, 1, 1, 1)
        if len(routing.chosen) == 1 or len(set(routing.chosen)) == 1:
            total = None
            for rank, expert_id in enumerate(routing.chosen[0]):
                term = self.experts[expert_id](x, shared) * gates[:, rank]
                total = term if total is None else total + term
            assert total is not None
            return self.project(total)
        total = torch.zeros_like(x)
        slots = {
            expert_id: [
                (sample, row.index(expert_id))
                for sample, row in enumerate(routing.chosen)
                if expert_id in row
            ]
            for expert_id in {e for row in routing.chosen for e in row}
        }
        for expert_id, pairs in sorted(slots.items()):
            samples = torch.tensor([sample for sample, _ in pairs], device=x.device)
            ranks = torch.tensor([rank for _, rank in pairs], device=x.device)
            term = self.experts[expert_id](x[samples], shared[samples]) * gates[samples, ranks]
            total = total.index_add(0, samples, term)
        return self.project(total)


class MoCEBlock(nn.Module):
    """Decoder block: the mixture asks, the shared expert answers.

    Source: MoCE-IR, figure 2.
    """

    def __init__(self, config: MoCEIRConfig, level: int) -> None:
        super().__init__()
        channels, heads = config.level_width(level), config.heads[level]
        self.norm = Norm(channels)
        self.to_shared = nn.Linear(channels, channels)
        self.to_mixture = nn.Linear(channels, channels)
        self.shared = TransposedAttention(channels, heads, bias=False)
        self.mixture = Mixture(config, level)
        self.cross_attention = CrossAttention(channels, heads)
        self.ffn_norm = Norm(channels)
        self.ffn = GatedFeedForward(channels, config.ffn_expansion, bias=False)

    def forward(
        self, x: Tensor, frequency: Tensor, pinned: BlockRouting | None, *, pool: bool
    ) -> tuple[Tensor, BlockRouting]:
        """`(B, H, W, C)` to `(B, H, W, C)` and the decision that was taken."""
        n = self.norm(x)
        shared = self.shared(self.to_shared(n))
        n = self.to_mixture(n)
        routing = pinned or self.mixture.router(n, frequency, pool=pool)
        asked = self.mixture(n, shared, routing)
        x = x + self.cross_attention(asked, shared)
        return x + self.ffn(self.ffn_norm(x)), routing
