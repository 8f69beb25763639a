"""What a tile can't see: how bright and how hazy the whole picture is, in a few numbers.

Ours, not the paper's: whether a dark tile is a dark thing or a dark exposure is told by the others.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from moce_cli.network.primitives import Linear

BLOCK = 8
"""Side in pixels of the squares whose means are counted, so that noise does not count."""
SHARES = (0.01, 0.1, 0.5, 0.9, 0.99)
"""Of the squares that are darker than the value which is told."""
SCENE_SIZE = 4 * len(SHARES)
"""For red, green, blue, and the least of the three."""
_HIDDEN = 64
_DARKEST = 1 / 64


def reduced(degraded: Tensor) -> Tensor:
    """`(B, 3, H, W)` to a picture of the means of its squares, `(B, 3, ~H/8, ~W/8)`."""
    kernel = min(BLOCK, degraded.shape[2]), min(BLOCK, degraded.shape[3])
    return F.avg_pool2d(degraded, kernel, ceil_mode=True, count_include_pad=False)


def block_means(degraded: Tensor) -> Tensor:
    """`(B, 3, H, W)` in [0, 1] to the means of its squares, `(B, N, 3)`."""
    return reduced(degraded).flatten(2).transpose(1, 2)


def scene_of(means: Tensor) -> Tensor:
    """What is told of a scene: `(B, N, 3)` means of squares to `(B, SCENE_SIZE)`, in [0, 1]."""
    values = torch.cat((means, means.amin(dim=2, keepdim=True)), dim=2).float()
    shares = values.new_tensor(SHARES)
    return values.quantile(shares, dim=1).permute(1, 2, 0).flatten(1)


class SceneEmbedding(nn.Module):
    """A scene as vectors that are added to the features; at first they are zero.

    Args:
        widths: channels of the features at each place where something is added.
    """

    def __init__(self, widths: Sequence[int]) -> None:
        super().__init__()
        self.trunk = Linear(2 * SCENE_SIZE, _HIDDEN)
        self.heads = nn.ModuleList(Linear(_HIDDEN, width, bias=False) for width in widths)
        for head in self.heads:
            nn.init.zeros_(head.get_parameter("weight"))

    def forward(self, scene: Tensor) -> list[Tensor]:
        """`(B, SCENE_SIZE)` to `(B, 1, 1, C)` for each place."""
        # twice as bright is the same step everywhere on the second scale
        stops = torch.log2(scene.clamp_min(0) + _DARKEST) / 6
        hidden = F.gelu(self.trunk(torch.cat((scene, stops), dim=1)))
        return [head(hidden)[:, None, None, :] for head in self.heads]


def scene_macs(widths: Sequence[int]) -> int:
    """Multiply-accumulates of the embedding, for each picture."""
    return _HIDDEN * (2 * SCENE_SIZE + sum(widths))
