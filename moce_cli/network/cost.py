"""What a forward pass costs, in multiply-accumulates.

Counted: convolutions and matrix products. Not counted: FFTs, norms and other element-wise work, as
in the tables of the field.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from moce_cli.network.config import DOWNSCALE, MoCEIRConfig
from moce_cli.network.scene import scene_macs


@dataclass(frozen=True, slots=True)
class Cost:
    """Multiply-accumulates of one forward pass."""

    shared: int
    """Everything that runs for every picture."""
    experts: tuple[tuple[int, ...], ...]
    """Per MoCE block, what each expert costs if it runs."""

    def run(self, chosen: Sequence[Sequence[int]]) -> int:
        """With these experts, a row of ids per block."""
        pairs = zip(self.experts, chosen, strict=True)
        return self.shared + sum(costs[e] for costs, ids in pairs for e in ids)

    @property
    def all_experts(self) -> int:
        """If every block ran all its experts."""
        return self.shared + sum(map(sum, self.experts))


def _attention(d: int, heads: int) -> int:
    return 3 * d * d + 9 * 3 * d + 2 * d * (d // heads) + d * d


def _cross_attention(d: int, heads: int) -> int:
    return d * d + 9 * d + 2 * d * d + 49 * 2 * d + 2 * d * (d // heads) + d * d


def _ffn(d: int, hidden: int) -> int:
    return 2 * d * hidden + 9 * 2 * hidden + hidden * d


def _expert(d: int, rank: int) -> int:
    return 3 * d * rank + 4 * rank * rank + 9 * rank + 49 * 2 * rank


def forward_cost(config: MoCEIRConfig, height: int, width: int) -> Cost:
    """The cost for one picture of any height and width from 1 on, as it is padded inside."""
    h, w = (-(-side // config.downscale) for side in (height, width))
    pixels = [h * w * (DOWNSCALE // 2**level) ** 2 for level in range(4)]
    d, heads = config.level_width, config.heads

    def encoder_block(level: int) -> int:
        hidden = config.ffn_expansion * d(level)
        per_pixel = _attention(d(level), heads[level]) + _ffn(d(level), hidden)
        return pixels[level] * per_pixel

    def decoder_block(level: int) -> int:
        e = config.num_experts
        per_pixel = (
            3 * d(level) ** 2  # two ways in, one out of the mixture
            + _attention(d(level), heads[level])
            + _cross_attention(d(level), heads[level])
            + (0 if config.expert_ffn else _ffn(d(level), config.ffn_expansion * d(level)))
        )
        return pixels[level] * per_pixel + e * (d(level) + d(3))

    total = 2 * pixels[0] * 27 * config.unshuffle**2 * d(0)  # embedding and output
    total += pixels[3] * 9 * d(3) + 4 * d(3) ** 2  # frequency embedding
    total += config.latent_blocks * encoder_block(3)
    total += config.refinement_blocks * encoder_block(0)
    for level in range(3):
        total += config.encoder_blocks[level] * encoder_block(level)
        total += config.decoder_blocks[2 - level] * decoder_block(level)
        total += pixels[level] * 9 * d(level) * (d(level) // 2)  # down
        total += pixels[level + 1] * 9 * d(level + 1) * 2 * d(level + 1)  # up
        total += pixels[level] * d(level + 1) * d(level)  # fusion

    if config.scene:
        total += scene_macs(config.scene_widths)

    def expert(level: int, expert_id: int) -> int:
        rank = config.expert_rank(level, expert_id)
        ffn = _ffn(d(level), config.ffn_expansion * rank) if config.expert_ffn else 0
        return pixels[level] * (_expert(d(level), rank) + ffn)

    experts = tuple(
        tuple(expert(level, e) for e in range(config.num_experts))
        for level in config.decoder_block_levels
    )
    return Cost(total, experts)


def relative_complexity(config: MoCEIRConfig, level: int) -> tuple[float, ...]:
    """Parameter count of a level's experts, each divided by the largest.

    Source: MoCE-IR, section 3.3; for the paper's presets the authors' files hold the same numbers.
    """
    counts: list[int] = []
    d = config.level_width(level)
    for e in range(config.num_experts):
        r = config.expert_rank(level, e)
        # reductions and expansion; q, k, v and output; depthwise 3x3 and 7x7; biases and norm
        count = 3 * d * r + 4 * r * r + (9 + 2 * 49) * r + (1 + 2 + 2 + 1) * r
        if config.expert_ffn:
            count += _ffn(d, config.ffn_expansion * r)
        counts.append(count)
    return tuple(count / max(counts) for count in counts)
