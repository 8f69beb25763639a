"""Networks of several shapes, and how near two answers of theirs must be."""

from dataclasses import replace
from functools import partial

import torch
from golden import TINY

from moce_cli.network import MoCEIR
from moce_cli.network.router import decide

close = partial(torch.testing.assert_close, atol=1e-4, rtol=1e-4)
"""Two sums of the same terms in another order; processors differ in the last bits."""

OURS = replace(TINY, unshuffle=2, embed_bias=True, expert_ffn=True)
EQUAL = replace(TINY, expert_ffn=True, rank_divisors=(2,) * 4, expert_windows=(16,) * 4)
TOLD = replace(TINY, embed_bias=True, scene=True)
SHAPES = [TINY, replace(TINY, top_k=2), replace(TINY, top_k=4), OURS, EQUAL, TOLD]


def ours_network(config):
    """Random weights whose routers are not of one mind."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        network = MoCEIR(config).eval()
        with torch.no_grad():
            for name, value in network.named_parameters():
                if "router" in name:
                    value.mul_(50)
                elif name.startswith("scene.heads"):  # zero at first
                    value.normal_(0, 0.1)
    return network


def pinned(config, experts):
    """One expert per sample, the same in every block."""
    decision = decide(torch.eye(config.num_experts)[experts] * 5, 1)
    return [decision] * sum(config.decoder_blocks)


def same_picture(found, expected):
    """Whether two answers differ by no more than the order of their sums."""
    return bool((found - expected).abs().max() < 1e-4 * expected.std())
