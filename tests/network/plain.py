"""The network once more, as plainly as its description: channels first, one thing after another.

The reference for correctness and for what a forward pass costs.
"""

import torch
import torch.nn.functional as F


def conv(x, layer, groups=1):
    weight = layer.weight if layer.weight.ndim == 4 else layer.weight[:, :, None, None]
    return F.conv2d(x, weight, layer.bias, padding=weight.shape[-1] // 2, groups=groups)


def depthwise(x, layer):
    return conv(x, layer, groups=x.shape[1])


def norm(x, layer):
    mean = x.mean(1, keepdim=True)
    scale = (x.var(1, keepdim=True, correction=0) + 1e-5).rsqrt()
    return (x - mean) * scale * layer.weight[:, None, None] + layer.bias[:, None, None]


def attend(q, k, v, temperature):
    b, c, h, w = q.shape
    q, k, v = (t.reshape(b, temperature.shape[0], -1, h * w) for t in (q, k, v))
    q, k = F.normalize(q, dim=-1), F.normalize(k, dim=-1)
    return (((q @ k.transpose(-2, -1)) * temperature).softmax(-1) @ v).reshape(b, c, h, w)


def transposed_attention(x, a):
    q, k, v = depthwise(conv(x, a.qkv), a.qkv_depthwise).chunk(3, 1)
    return conv(attend(q, k, v, a.temperature), a.project)


def cross_attention(x, shared, a):
    q = depthwise(conv(x, a.query), a.query_depthwise)
    k, v = depthwise(conv(shared, a.key_value), a.key_value_depthwise).chunk(2, 1)
    return conv(attend(q, k, v, a.temperature), a.project)


def feed_forward(x, f):
    a, b = depthwise(conv(x, f.expand), f.depthwise).chunk(2, 1)
    return conv(F.gelu(a) * b, f.project)


def encoder_blocks(x, blocks):
    for block in blocks:
        x = x + transposed_attention(norm(x, block.attention_norm), block.attention)
        x = x + feed_forward(norm(x, block.ffn_norm), block.ffn)
    return x


def fft_attention(x, a):
    b, c, h, w = x.shape
    p = a.window
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


def expert(x, shared, e):
    mixed = fft_attention(conv(x, e.reduce), e.attention) * F.silu(conv(shared, e.reduce_shared))
    return x + conv(mixed, e.expand)


def moce_block(x, frequency, block):
    """One picture at a time, as the experts are its own."""
    n = norm(x, block.norm)
    shared = transposed_attention(conv(n, block.to_shared), block.shared)
    n = conv(n, block.to_mixture)
    mixture = block.mixture
    logits = F.linear(n.mean((2, 3)), mixture.router.gate.weight)
    logits = logits + F.linear(frequency, mixture.router.frequency_gate.weight)
    gates, ids = logits.softmax(-1).topk(mixture.router.top_k, -1)
    total = sum(
        expert(n, shared, mixture.experts[e]) * g
        for e, g in zip(ids[0].tolist(), gates[0], strict=True)
    )
    x = x + cross_attention(conv(total, mixture.project), shared, block.cross_attention)
    ffn = getattr(block.ffn, "experts", None)
    ffn = block.ffn if ffn is None else ffn[ids[0, 0].item()]
    return x + feed_forward(norm(x, block.ffn_norm), ffn), tuple(ids[0].tolist())


def forward(network, degraded):
    """`(1, 3, H, W)`, of whole multiples, to the restored picture and the experts that ran."""
    squares = network.config.unshuffle
    x = conv(F.pixel_unshuffle(degraded, squares), network.embed)
    skips = []
    for blocks, down in zip(network.encoder, network.down, strict=True):
        x = encoder_blocks(x, blocks)
        skips.append(x)
        x = F.pixel_unshuffle(conv(x, down.conv), 2)
    x = encoder_blocks(x, network.latent)
    frequency = F.gelu(depthwise(x, network.frequency.high_pass)).mean((2, 3))
    frequency = network.frequency.mlp(frequency)
    chosen = []
    for up, fuse, blocks in zip(network.up, network.fuse, network.decoder, strict=True):
        x = conv(torch.cat((F.pixel_shuffle(conv(x, up.conv), 2), skips.pop()), 1), fuse)
        for block in blocks:
            x, ids = moce_block(x, frequency, block)
            chosen.append(ids)
    x = conv(encoder_blocks(x, network.refinement), network.output)
    return F.pixel_shuffle(x, squares) + degraded, chosen
