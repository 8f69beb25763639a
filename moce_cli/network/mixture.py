"""The decoder's block: a shared expert, and a mixture of which only the chosen experts run."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

import torch
from torch import Tensor, nn

from moce_cli.network.config import MoCEIRConfig
from moce_cli.network.experts import ComplexityExpert
from moce_cli.network.layers import CrossAttention, GatedFeedForward, TransposedAttention
from moce_cli.network.primitives import Linear, Norm, add
from moce_cli.network.router import BlockRouting, Router

RouterGradient = Literal["none", "gate", "compare"]
"""How the picture's loss reaches the router of a network whose experts bring the feed-forward:
not at all; by the gate of the chosen expert; or by comparing it with another expert."""


def run_chosen(
    routing: BlockRouting,
    gates: Tensor | None,
    run: Callable[[int, Tensor | None], Tensor],
    like: Tensor,
) -> Tensor:
    """Run each chosen expert once, on the samples that chose it, and sum what they answer.

    Args:
        routing: for a batch of B, or of one for all.
        gates: `(B or 1, k)`, factors of the answers; None is one.
        run: takes an expert and the samples it is for (None is all) and answers `(b, H, W, C)`.
        like: `(B, H, W, C)`, of the result's shape.
    """
    if gates is not None:
        gates = gates.to(like.device, like.dtype)[:, :, None, None, None]  # (B or 1, k, 1, 1, 1)
    if len(routing.chosen) == 1 or len(set(routing.chosen)) == 1:
        total = None
        for rank, expert_id in enumerate(routing.chosen[0]):
            term = run(expert_id, None)
            term = term if gates is None else term * gates[:, rank]
            total = term if total is None else total + term
        assert total is not None
        return total
    total = None
    for expert_id in sorted({e for row in routing.chosen for e in row}):
        pairs = [
            (sample, row.index(expert_id))
            for sample, row in enumerate(routing.chosen)
            if expert_id in row
        ]
        samples = torch.tensor([sample for sample, _ in pairs], device=like.device)
        term = run(expert_id, samples)
        total = term.new_zeros(like.shape) if total is None else total
        if gates is not None:
            ranks = torch.tensor([rank for _, rank in pairs], device=like.device)
            term = term * gates[samples, ranks]
        total = total.index_add(0, samples, term)
    assert total is not None
    return total


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
        self.project = Linear(channels, channels, bias=False)

    def forward(self, x: Tensor, shared: Tensor, routing: BlockRouting) -> Tensor:
        """Run the chosen experts, each once, on the samples that chose it.

        Args:
            x: `(B, H, W, C)`.
            shared: as x, the shared expert's features.
            routing: for a batch of B, or of one for all.
        """

        def run(expert_id: int, samples: Tensor | None) -> Tensor:
            if samples is None:
                return self.experts[expert_id](x, shared)
            return self.experts[expert_id](x[samples], shared[samples])

        return self.project(run_chosen(routing, routing.gates, run, x))


class ExpertFeedForward(nn.Module):
    """A feed-forward per expert, of which each sample runs its own.

    Its answer is added to the picture's features, so that what an expert computes at a pixel
    reaches that pixel. The answer does not depend on the gate. While training, the loss may reach
    the router all the same: through a factor that is one (`gate`), or through the difference that
    another expert would have made (`compare`), to first order.

    Source: ours; the paper's experts reach the picture through an attention matrix alone.
    """

    def __init__(self, config: MoCEIRConfig, level: int) -> None:
        super().__init__()
        self.router_gradient: RouterGradient = "compare"
        channels = config.level_width(level)
        self.experts = nn.ModuleList(
            GatedFeedForward(
                channels, config.ffn_expansion * config.expert_rank(level, e), bias=False
            )
            for e in range(config.num_experts)
        )

    def forward(self, x: Tensor, routing: BlockRouting) -> Tensor:
        """`(B, H, W, C)` to `(B, H, W, C)`."""

        def run(expert_id: int, samples: Tensor | None) -> Tensor:
            return self.experts[expert_id](x if samples is None else x[samples])

        out = run_chosen(routing, None, run, x)
        if not self.training or self.router_gradient == "none" or len(self.experts) == 1:
            return out
        # of weight one and gradient not zero
        if self.router_gradient == "gate":
            gates = routing.gates.to(out.dtype)[:, :, None, None]
            return out * (1 + gates - gates.detach())
        others = _others(routing)
        with torch.no_grad():
            answer = run_chosen(others, None, run, x)
        scores = routing.noisy_logits
        pair = torch.cat((scores.gather(1, routing.experts), scores.gather(1, others.experts)), 1)
        weight = pair.softmax(dim=1)[:, :1, None, None].to(out.dtype)
        return out + (weight - weight.detach()) * (out.detach() - answer)


def _others(routing: BlockRouting) -> BlockRouting:
    """For each sample another expert than its own, drawn evenly."""
    num_experts = routing.logits.shape[-1]
    step = torch.randint(1, num_experts, routing.experts.shape, device=routing.experts.device)
    experts = (routing.experts + step) % num_experts
    chosen = tuple(tuple(row) for row in experts.tolist())
    return BlockRouting(routing.logits, routing.noisy_logits, experts, routing.gates, chosen)


class MoCEBlock(nn.Module):
    """Decoder block: the mixture asks, the shared expert answers.

    Source: MoCE-IR, figure 2.
    Differs: with `expert_ffn` the feed-forward is the chosen expert's too.
    """

    def __init__(self, config: MoCEIRConfig, level: int) -> None:
        super().__init__()
        channels, heads = config.level_width(level), config.heads[level]
        self.norm = Norm(channels)
        self.to_shared = Linear(channels, channels)
        self.to_mixture = Linear(channels, channels)
        self.shared = TransposedAttention(channels, heads, bias=False)
        self.mixture = Mixture(config, level)
        self.cross_attention = CrossAttention(channels, heads)
        self.ffn_norm = Norm(channels)
        self.ffn: GatedFeedForward | ExpertFeedForward
        if config.expert_ffn:
            self.ffn = ExpertFeedForward(config, level)
        else:
            self.ffn = GatedFeedForward(channels, config.ffn_expansion * channels, bias=False)

    def ask(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """What comes before the decision: the mixture's and the shared features, as x."""
        n = self.norm(x)
        shared = self.shared(self.to_shared(n))  # the larger work first, with less in memory
        return self.to_mixture(n), shared

    def answer(self, x: Tensor, n: Tensor, shared: Tensor, routing: BlockRouting) -> Tensor:
        """What comes after it: `(B, H, W, C)`, as x; `n` and `shared` are what `ask` gave."""
        x = add(x, self.cross_attention(self.mixture(n, shared, routing), shared))
        n = self.ffn_norm(x)
        if isinstance(self.ffn, ExpertFeedForward):
            return add(x, self.ffn(n, routing))
        return add(x, self.ffn(n))
