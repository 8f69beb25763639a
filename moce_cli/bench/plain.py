"""The network once more, as plainly as its description: channels first, one thing after another.

The reference for correctness and for what a forward pass costs. It computes in the weights' own
precision, on the whole picture at once, and takes the layers from a `MoCEIR`.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from moce_cli.network import BlockRouting, MoCEIR, Routing

Layer = Any
"""A module of the network, whose parts torch's types do not know."""


def conv(x: Tensor, layer: Layer, groups: int = 1) -> Tensor:
    """A convolution that keeps height and width; a linear layer is one of 1x1."""
    weight = layer.weight if layer.weight.ndim == 4 else layer.weight[:, :, None, None]
    return F.conv2d(x, weight, layer.bias, padding=weight.shape[-1] // 2, groups=groups)


def depthwise(x: Tensor, layer: Layer) -> Tensor:
    """Each channel on its own."""
    return conv(x, layer, groups=x.shape[1])


def norm(x: Tensor, layer: Layer) -> Tensor:
    """Layer norm over channels at each pixel."""
    mean = x.mean(1, keepdim=True)
    scale = (x.var(1, keepdim=True, correction=0) + 1e-5).rsqrt()
    return (x - mean) * scale * layer.weight[:, None, None] + layer.bias[:, None, None]


def attend(q: Tensor, k: Tensor, v: Tensor, temperature: Tensor) -> Tensor:
    """Attention between channels."""
    b, c, h, w = q.shape
    q, k, v = (t.reshape(b, temperature.shape[0], -1, h * w) for t in (q, k, v))
    q, k = F.normalize(q, dim=-1), F.normalize(k, dim=-1)
    return (((q @ k.transpose(-2, -1)) * temperature).softmax(-1) @ v).reshape(b, c, h, w)


def transposed_attention(x: Tensor, a: Layer) -> Tensor:
    """Restormer's attention."""
    q, k, v = depthwise(conv(x, a.qkv), a.qkv_depthwise).chunk(3, 1)
    return conv(attend(q, k, v, a.temperature), a.project)


def cross_attention(x: Tensor, shared: Tensor, a: Layer) -> Tensor:
    """The query from one source, key and value from another."""
    q = depthwise(conv(x, a.query), a.query_depthwise)
    k, v = depthwise(conv(shared, a.key_value), a.key_value_depthwise).chunk(2, 1)
    return conv(attend(q, k, v, a.temperature), a.project)


def feed_forward(x: Tensor, f: Layer) -> Tensor:
    """Restormer's gated feed-forward."""
    a, b = depthwise(conv(x, f.expand), f.depthwise).chunk(2, 1)
    return conv(F.gelu(a) * b, f.project)


def encoder_blocks(x: Tensor, blocks: Iterable[Layer]) -> Tensor:
    """Blocks of encoder, latent or refinement."""
    for block in blocks:
        x = x + transposed_attention(norm(x, block.attention_norm), block.attention)
        x = x + feed_forward(norm(x, block.ffn_norm), block.ffn)
    return x


def fft_attention(x: Tensor, a: Layer) -> Tensor:
    """Circular convolution of windows, a norm, a gate."""
    b, c, h, w = x.shape
    p: int = a.window
    q = depthwise(conv(x, a.query), a.query_depthwise)
    k, v = depthwise(conv(x, a.key_value), a.key_value_depthwise).chunk(2, 1)
    bottom, right = -h % p, -w % p
    rows, columns = (h + bottom) // p, (w + right) // p
    q, k = (
        F.pad(t, (0, right, 0, bottom)).reshape(b, c, rows, p, columns, p).transpose(3, 4)
        for t in (q, k)
    )
    mixed = torch.fft.irfft2(torch.fft.rfft2(q) * torch.fft.rfft2(k), s=(p, p))
    mixed = mixed.transpose(3, 4).reshape(b, c, h + bottom, w + right)[..., :h, :w]
    return conv(norm(mixed, a.norm) * v, a.project)


def expert(x: Tensor, shared: Tensor, e: Layer) -> Tensor:
    """One complexity expert."""
    mixed = fft_attention(conv(x, e.reduce), e.attention) * F.silu(conv(shared, e.reduce_shared))
    return x + conv(mixed, e.expand)


def moce_block(
    x: Tensor, frequency: Tensor, block: Layer, pinned: BlockRouting | None
) -> tuple[Tensor, tuple[int, ...]]:
    """One picture at a time, as the experts are its own."""
    n = norm(x, block.norm)
    shared = transposed_attention(conv(n, block.to_shared), block.shared)
    n = conv(n, block.to_mixture)
    mixture = block.mixture
    if pinned is None:
        logits = F.linear(n.mean((2, 3)), mixture.router.gate.weight)
        logits = logits + F.linear(frequency, mixture.router.frequency_gate.weight)
        gates, ids = logits.softmax(-1).topk(mixture.router.top_k, -1)
    else:
        gates, ids = pinned.gates, pinned.experts
    chosen: list[int] = ids[0].tolist()
    total = torch.zeros_like(n)
    for expert_id, gate in zip(chosen, gates[0], strict=True):
        total = total + expert(n, shared, mixture.experts[expert_id]) * gate
    x = x + cross_attention(conv(total, mixture.project), shared, block.cross_attention)
    ffn = getattr(block.ffn, "experts", None)
    ffn = block.ffn if ffn is None else ffn[chosen[0]]
    return x + feed_forward(norm(x, block.ffn_norm), ffn), tuple(chosen)


def scene_vectors(degraded: Tensor, s: Layer) -> list[Tensor]:
    """What the whole picture is like, for each place where it is added."""
    h, w = degraded.shape[-2:]
    squares = F.avg_pool2d(degraded, (min(8, h), min(8, w)), ceil_mode=True)[0].flatten(1)
    values = torch.cat((squares, squares.amin(0, keepdim=True))).sort(1).values
    scene: list[Tensor] = []
    for row in values:
        for share in (0.01, 0.1, 0.5, 0.9, 0.99):
            at = share * (len(row) - 1)
            low = int(at)
            high = min(low + 1, len(row) - 1)
            scene.append(row[low] + (row[high] - row[low]) * (at - low))
    told = torch.stack(scene)[None]
    told = torch.cat((told, torch.log2(told + 1 / 64) / 6), 1)
    hidden = F.gelu(F.linear(told, s.trunk.weight, s.trunk.bias))
    return [F.linear(hidden, head.weight)[:, :, None, None] for head in s.heads]


def forward(
    network: MoCEIR,
    degraded: Tensor,
    routing: Routing | None = None,
    whole: Tensor | None = None,
) -> tuple[Tensor, Sequence[tuple[int, ...]]]:
    """Restore one picture.

    Args:
        network: whose weights are used, in the precision they are in.
        degraded: `(1, 3, H, W)` in [0, 1], H and W multiples of the configuration's `downscale`.
        routing: decisions from outside, one per block, each for a batch of one.
        whole: `(1, 3, h, w)`, the picture that was padded; what is told of the scene is told of it.

    Returns:
        `(1, 3, H, W)`, not clamped, and the experts that ran, block by block.
    """
    of: Any = network
    squares = network.config.unshuffle
    seen = degraded if whole is None else whole
    told = None if of.scene is None else iter(scene_vectors(seen, of.scene))

    def with_scene(x: Tensor) -> Tensor:
        return x if told is None else x + next(told)

    x = with_scene(conv(F.pixel_unshuffle(degraded, squares), of.embed))
    skips: list[Tensor] = []
    for blocks, down in zip(of.encoder, of.down, strict=True):
        x = encoder_blocks(x, blocks)
        skips.append(x)
        x = with_scene(F.pixel_unshuffle(conv(x, down.conv), 2))
    x = encoder_blocks(x, of.latent)
    frequency = F.gelu(depthwise(x, of.frequency.high_pass)).mean((2, 3))
    frequency = of.frequency.mlp(frequency)
    chosen: list[tuple[int, ...]] = []
    for up, fuse, blocks in zip(of.up, of.fuse, of.decoder, strict=True):
        x = torch.cat((F.pixel_shuffle(conv(x, up.conv), 2), skips.pop()), 1)
        x = with_scene(conv(x, fuse))
        for block in blocks:
            pinned = None if routing is None else routing[len(chosen)]
            x, ids = moce_block(x, frequency, block, pinned)
            chosen.append(ids)
    x = conv(encoder_blocks(x, of.refinement), of.output)
    return F.pixel_shuffle(x, squares) + degraded, chosen
