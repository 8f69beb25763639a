"""What training minimises."""

from __future__ import annotations

import torch
from torch import Tensor

from moce_cli.network import BlockRouting, Routing


def restoration_loss(restored: Tensor, clean: Tensor, frequency_weight: float = 0.1) -> Tensor:
    """L1 of the pixels plus weighted L1 of the unnormalised spectra.

    Args:
        restored: `(B, 3, H, W)`.
        clean: as restored.
        frequency_weight: weight of the mean over all real and imaginary parts.

    Source: MoCE-IR, supplement.
    Differs: the authors' documented commands leave the second term off.
    """
    difference = restored - clean
    spectrum = torch.view_as_real(torch.fft.rfft2(difference))
    return difference.abs().mean() + frequency_weight * spectrum.abs().mean()


def _squared_variation(values: Tensor) -> Tensor:
    """`(std / mean)^2` over experts, `(E,)` to a scalar."""
    return (values.std() / (values.mean() + 1e-8)) ** 2


def _block_balance(decision: BlockRouting, complexity: Tensor) -> Tensor:
    """One block's loss: even importance, weighted by complexity, and even load."""
    num_experts = decision.logits.shape[-1]
    importance = decision.logits.softmax(dim=-1).sum(dim=0) * complexity
    top_k = decision.experts.shape[-1]
    threshold = decision.noisy_logits.topk(top_k, dim=-1).values[:, -1:]
    passes = torch.special.ndtr((decision.logits - threshold) * num_experts)  # noise std is 1/E
    return 0.5 * _squared_variation(importance) + 0.5 * _squared_variation(passes.mean(dim=0))


def balance_loss(routing: Routing, complexities: list[Tensor]) -> Tensor:
    """Mean over blocks of the auxiliary loss that spreads work and favours cheap experts.

    Args:
        routing: of a training forward pass.
        complexities: `(E,)` per block, relative to the largest expert; ones switch the bias off.

    Source: MoCE-IR, section 3.3.
    """
    losses = [_block_balance(d, c) for d, c in zip(routing, complexities, strict=True)]
    return torch.stack(losses).mean()
