"""What training minimises."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from moce_cli.network import BlockRouting, MoCEIRConfig, Routing
from moce_cli.network.cost import forward_cost, relative_complexity


def restoration_loss(
    restored: Tensor,
    clean: Tensor,
    frequency_weight: float = 0.1,
    *,
    degraded: Tensor | None = None,
    knee: float = 0.0,
) -> Tensor:
    """L1 of the pixels plus weighted L1 of the unnormalised spectra, the mean over pictures.

    Args:
        restored: `(B, 3, H, W)`.
        clean: as restored.
        frequency_weight: weight of the mean over all real and imaginary parts.
        degraded: as restored, what it was made from; needed with a knee.
        knee: a picture counts by `1 / (1 + d / knee)`, where `d` is the loss of its damaged self:
            half where that is the knee. Without one, darkness and haze outweigh compression and
            blur. What came of a picture does not matter: the worst result counts in full, above
            all that of a picture that was not damaged. 0 is none.

    Source: MoCE-IR, supplement.
    Differs: the authors' documented commands leave the second term off; the knee is ours.
    """
    each = _loss_of_each(restored - clean, frequency_weight)
    if knee:
        assert degraded is not None
        each = each / (1 + _loss_of_each(degraded - clean, frequency_weight) / knee)
    return each.mean()


def _loss_of_each(difference: Tensor, frequency_weight: float) -> Tensor:
    """`(B, 3, H, W)` to `(B,)`."""
    spectrum = torch.view_as_real(torch.fft.rfft2(difference))
    each = difference.abs().flatten(1).mean(dim=1)
    return each + frequency_weight * spectrum.abs().flatten(1).mean(dim=1)


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


def balance_loss(routing: Routing, complexities: Sequence[Tensor]) -> Tensor:
    """Mean over blocks of the auxiliary loss that spreads work and favours cheap experts.

    Args:
        routing: of a training forward pass.
        complexities: `(E,)` per block, relative to the largest expert; ones switch the bias off.

    Source: MoCE-IR, section 3.3.
    """
    if routing[0].logits.shape[-1] == 1:  # nothing to balance
        return routing[0].logits.new_zeros(())
    losses = [_block_balance(d, c) for d, c in zip(routing, complexities, strict=True)]
    return torch.stack(losses).mean()


def complexities(config: MoCEIRConfig, *, bias: bool) -> list[Tensor]:
    """Per MoCE block the experts' relative complexity, or ones without the bias."""
    values = [torch.tensor(relative_complexity(config, i)) for i in config.decoder_block_levels]
    return values if bias else [torch.ones_like(value) for value in values]


def relative_costs(config: MoCEIRConfig) -> Tensor:
    """`(blocks, E)`: each expert's multiply-accumulates over the most that all blocks can take."""
    costs = torch.tensor(forward_cost(config, 256, 256).experts, dtype=torch.float32)
    return costs / costs.max(dim=1).values.sum()


def cost_loss(routing: Routing, costs: Tensor) -> Tensor:
    """The share of the largest experts' cost that the routing is expected to take, 0 to 1.

    The restoration loss defends a dear expert where it helps, so this leaves the easy pictures to
    the cheap ones.

    Args:
        routing: of a training forward pass.
        costs: `relative_costs` of the architecture.
    """
    shares = torch.stack([decision.logits.softmax(dim=-1).mean(dim=0) for decision in routing])
    return (shares * costs).sum()


def degradation_loss(predicted: Tensor, severities: Tensor) -> Tensor:
    """How badly the damage was told from the frequency embedding.

    Args:
        predicted: `(B, K)` of any range.
        severities: `(B, K)` in [0, 1]; 0 is a kind of damage that is absent.
    """
    return F.binary_cross_entropy_with_logits(predicted, severities)
