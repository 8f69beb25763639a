"""A network with what it is trained for, as one module: that is what several processes share."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from moce_cli.network import MoCEIR
from moce_cli.network.mixture import ExpertFeedForward
from moce_cli.network.router import Router
from moce_cli.runtime import Precision, torch_dtype
from moce_cli.training.losses import (
    balance_loss,
    complexities,
    cost_loss,
    degradation_loss,
    relative_costs,
    restoration_loss,
)
from moce_cli.training.settings import Loss


@dataclass(frozen=True, slots=True)
class Losses:
    """One step's losses, means over its crops."""

    total: Tensor
    """What is minimised."""
    restoration: Tensor
    balance: Tensor
    cost: Tensor
    degradation: Tensor
    """Zero where it was not asked for."""
    shares: Tensor
    """`(E,)`: how often each expert ran, over blocks and crops."""


class Objective(nn.Module):
    """The network, and a linear map that tells the damage from its frequency embedding.

    Args:
        network: trained in place.
        loss: what counts how much.
        num_kinds: of degradation, columns of the labels.
        precision: of the forward pass; parameters stay float32.
    """

    def __init__(
        self, network: MoCEIR, loss: Loss, num_kinds: int, precision: Precision = "fp32"
    ) -> None:
        super().__init__()
        self.network = network
        self.settings = loss
        self.precision: Precision = precision
        self.degradation_head = nn.Linear(network.config.level_width(3), num_kinds)
        config = network.config
        values = torch.stack(complexities(config, bias=loss.complexity_bias))
        self.register_buffer("complexities", values, persistent=False)
        self.register_buffer("costs", relative_costs(config), persistent=False)
        for module in network.modules():
            if isinstance(module, ExpertFeedForward):
                module.router_gradient = loss.router_gradient
            elif isinstance(module, Router):
                module.expert_dropout = loss.expert_dropout

    def forward(
        self, degraded: Tensor, clean: Tensor, severities: Tensor, scene: Tensor | None = None
    ) -> Losses:
        """Restore a batch and judge it.

        Args:
            degraded: `(B, 3, H, W)` in [0, 1].
            clean: as degraded.
            severities: `(B, K)` in [0, 1], of each kind of damage.
            scene: `(B, SCENE_SIZE)`, of the pictures that they are crops of; see `MoCEIR.restore`.
        """
        settings = self.settings
        lower = self.precision != "fp32"
        with torch.autocast(degraded.device.type, torch_dtype(self.precision), enabled=lower):
            result = self.network.restore(degraded, scene=scene)
        restoration = restoration_loss(
            result.restored.float(),
            clean,
            settings.frequency_weight,
            degraded=degraded,
            knee=settings.knee,
        )
        balance = balance_loss(result.routing, list(self.get_buffer("complexities")))
        cost = cost_loss(result.routing, self.get_buffer("costs"))
        total = restoration + settings.balance_weight * balance + settings.cost_weight * cost
        degradation = restoration.new_zeros(())
        if settings.degradation_weight:
            degradation = degradation_loss(
                self.degradation_head(result.frequency.float()), severities
            )
            total = total + settings.degradation_weight * degradation
        with torch.no_grad():
            ran = torch.stack([decision.experts for decision in result.routing])
            shares = torch.bincount(ran.flatten(), minlength=self.network.config.num_experts)
        return Losses(
            total,
            restoration.detach(),
            balance.detach(),
            cost.detach(),
            degradation.detach(),
            shares / shares.sum(),
        )
