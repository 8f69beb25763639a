"""What is measured along the way: fixed pictures, fixed damage, fixed seeds."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from moce_cli.degradations import degrade, suite_plan
from moce_cli.network import MoCEIR
from moce_cli.psnr import batch_psnr
from moce_cli.training.settings import Validation
from moce_cli.training.sources import middles

CLEAN_AS_CAN_BE = 60.0
"""What a picture counts at most, in dB: closer than that is undamaged to any eye."""


@dataclass(frozen=True, slots=True)
class FixedSet:
    """Degraded and clean middles, row by row."""

    clean: Tensor
    """`(N, 3, H, W)` in [0, 1]."""
    degraded: dict[str, Tensor]
    """By row, each as `clean`."""

    @torch.no_grad()
    def measure(self, network: MoCEIR) -> dict[str, float]:
        """Mean PSNR in dB by row, of the output clipped to [0, 1]; 60 at most each."""
        was_training = network.training
        network.eval()
        device = next(network.parameters()).device
        scores: dict[str, float] = {}
        for row, degraded in self.degraded.items():
            # one by one: a middle is to be restored as it would be alone
            restored = torch.cat(
                [network(x.to(device)).clamp(0, 1).cpu() for x in degraded.split(1)]
            )
            scores[row] = float(batch_psnr(restored, self.clean).clip(max=CLEAN_AS_CAN_BE).mean())
        network.train(was_training)
        return scores


def fixed_set(validation: Validation) -> FixedSet:
    """Damage the first pictures of the folders, each row with its own seeds.

    Raises:
        InputError: the folders hold no readable picture that is large enough.
    """
    found = middles(validation.folders, validation.pictures, validation.crop)
    crops = [torch.from_numpy(rgb).permute(2, 0, 1).float() / 255 for _, rgb in found]
    clean = torch.stack(crops)
    degraded: dict[str, Tensor] = {}
    for row in validation.rows:
        rows = [
            degrade(crop, [suite_plan(row, seed)], torch.Generator().manual_seed(seed))
            for seed, crop in enumerate(clean.split(1))
        ]
        degraded[row] = torch.cat(rows)
    return FixedSet(clean, degraded)
