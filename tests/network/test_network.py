"""Laws of the whole network."""

from dataclasses import replace

import pytest
import torch
from golden import TINY, golden_network
from hypothesis import given, settings
from hypothesis import strategies as st
from shapes import close, pinned, same_picture

from moce_cli.errors import ConfigError
from moce_cli.network import MoCEIR, MoCEIRConfig
from moce_cli.network.layers import channel_attention_weights
from moce_cli.network.padding import pad_by_reflection
from moce_cli.network.router import decide


@pytest.fixture(scope="module")
def tiny():
    return golden_network(TINY)


@torch.inference_mode()
def test_a_batch_equals_its_samples(tiny):
    degraded = torch.rand(3, 3, 72, 56, generator=torch.Generator().manual_seed(1))
    routing = pinned(TINY, [3, 0, 2])
    together = tiny.restore(degraded, routing).restored
    for i, expert in enumerate([3, 0, 2]):
        alone = tiny.restore(degraded[i : i + 1], pinned(TINY, [expert])).restored
        assert same_picture(together[i : i + 1], alone)


@torch.inference_mode()
def test_a_batch_whose_routers_differ_equals_its_samples():
    network = golden_network(TINY)
    g = torch.Generator().manual_seed(0)
    # flat, noisy and striped: the routers see different means and spectra
    degraded = torch.stack(
        [
            torch.full((3, 64, 64), 0.9),
            torch.rand(3, 64, 64, generator=g),
            (torch.arange(64) % 2).float().expand(3, 64, 64) * 0.3,
        ]
    )
    together = network.restore(degraded)
    chosen = {tuple(b.chosen[i] for b in together.routing) for i in range(3)}
    assert len(chosen) == 3, "the samples were meant to take different experts"
    for i in range(3):
        alone = network.restore(degraded[i : i + 1])
        assert [b.chosen[0] for b in alone.routing] == [b.chosen[i] for b in together.routing]
        assert same_picture(together.restored[i], alone.restored[0])


@torch.inference_mode()
def test_two_experts_a_sample_and_different_ones_in_a_batch():
    config = replace(TINY, top_k=2)
    network = golden_network(config)
    degraded = torch.rand(2, 3, 40, 48, generator=torch.Generator().manual_seed(2))
    logits = torch.tensor([[3.0, 2.0, 0.0, 0.0], [0.0, 2.0, 0.0, 3.0]])
    together = network.restore(degraded, [decide(logits, 2)] * 3).restored
    for i in range(2):
        alone = network.restore(degraded[i : i + 1], [decide(logits[i : i + 1], 2)] * 3).restored
        assert same_picture(together[i : i + 1], alone)


@torch.inference_mode()
def test_brightness_is_seen_only_with_a_bias():
    """Twice as bright is twice the answer where no bias lets the first norm see the difference."""

    def unlikeness(config):
        torch.manual_seed(0)
        network = MoCEIR(config).eval()
        if config.embed_bias:
            network.embed.bias.copy_(torch.linspace(-0.5, 0.5, 16))
        picture = torch.rand(1, 3, 64, 64) * 0.4 + 0.1
        dim, bright = (
            network.encoder[0][0].attention_norm(
                network.embed((picture * factor).permute(0, 2, 3, 1))
            )
            for factor in (1.0, 2.0)
        )
        return float((dim - bright).abs().mean())

    assert unlikeness(TINY) < 1e-2
    assert unlikeness(replace(TINY, embed_bias=True)) > 0.1


@torch.inference_mode()
def test_the_same_input_twice_is_the_same_output(tiny):
    degraded = torch.rand(2, 3, 40, 40)
    assert torch.equal(tiny(degraded), tiny(degraded))


@settings(max_examples=25, deadline=None)
@given(st.integers(1, 3), st.integers(1, 70), st.integers(1, 70))
def test_any_batch_height_and_width(batch, height, width):
    network = _SMALL
    degraded = torch.rand(batch, 3, height, width)
    with torch.inference_mode():
        restored = network(degraded)
    assert restored.shape == degraded.shape
    assert torch.isfinite(restored).all()


_SMALL = MoCEIR(
    MoCEIRConfig(
        width=8,
        encoder_blocks=(1, 1, 1),
        latent_blocks=1,
        decoder_blocks=(1, 1, 1),
        refinement_blocks=1,
    )
).eval()


@torch.inference_mode()
def test_a_network_that_adds_nothing_returns_its_input():
    network = MoCEIR(TINY).eval()
    network.output.weight.zero_()
    degraded = torch.rand(1, 3, 33, 47)
    assert torch.equal(network(degraded), degraded)


@torch.inference_mode()
def test_multiples_of_eight_are_not_padded_and_others_by_reflection(tiny):
    degraded = torch.rand(1, 3, 29, 44)
    padded = torch.nn.functional.pad(degraded, (0, 4, 0, 3), mode="reflect")
    close(tiny(degraded), tiny(padded)[..., :29, :44])


@pytest.mark.parametrize("size", [1, 2, 3, 7])
def test_small_sides_reflect_to_and_fro(size):
    padded = pad_by_reflection(torch.arange(size).float().view(1, 1, 1, size), 1, 8)
    period = list(range(size)) + list(range(size - 2, 0, -1))
    assert padded.flatten().tolist() == [period[i % len(period)] for i in range(8)]


@torch.inference_mode()
@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.bfloat16, 0.2), (torch.float16, 0.03)])
@pytest.mark.parametrize("throughout", [True, False])
def test_lower_precision_is_close_when_the_routing_is_pinned(tiny, dtype, tolerance, throughout):
    degraded = torch.rand(1, 3, 40, 72, generator=torch.Generator().manual_seed(0))
    for expert in range(4):
        routing = pinned(TINY, [expert])
        exact = tiny.restore(degraded, routing).restored
        network = golden_network(TINY)
        network = network.to(dtype) if throughout else network.compute_in(dtype)
        rounded = network.restore(degraded, routing).restored
        assert rounded.dtype == torch.float32
        error = (rounded - exact).std() / (exact - degraded).std()
        assert 0 < error < tolerance


def test_a_lower_precision_leaves_the_sum_norms_routers_refinement_and_both_ends_alone():
    network = golden_network(TINY).compute_in(torch.bfloat16)
    kept = {n for n, p in network.named_parameters() if p.dtype == torch.float32}
    finest = ("up.2.", "fuse.2.")
    words = ("norm", "router", "embed", "output", "frequency", "temperature", *finest)
    for name, _ in network.named_parameters():
        added = name.startswith(("encoder.0.", "decoder.2.", "refinement.")) and name.rpartition(
            "."
        )[0].endswith(("attention.project", "ffn.project"))
        experts = ".experts." in name and "norm" not in name
        refined = name.startswith("refinement.") and ".ffn" in name
        stays = not experts and (added or refined or any(word in name for word in words))
        assert (name in kept) == stays, name
    assert len(kept) < sum(1 for _ in network.parameters()) / 2


@torch.no_grad()
def test_without_a_gradient_the_same_and_the_input_untouched(tiny):
    degraded = torch.rand(2, 3, 32, 24)
    given = degraded.clone()
    found = tiny(degraded)
    torch.testing.assert_close(degraded, given, rtol=0, atol=0)
    with torch.enable_grad():
        close(tiny(degraded), found)


@pytest.mark.parametrize("shape", [(3, 8, 8), (1, 1, 8, 8), (1, 3, 0, 8), (0, 3, 8, 8)])
def test_other_shapes_are_refused(tiny, shape):
    with pytest.raises(ConfigError, match=r"takes \(B, 3, H, W\)"):
        tiny(torch.zeros(shape))


@torch.inference_mode()
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
def test_a_black_picture_is_no_trouble(dtype):
    network = golden_network(TINY).compute_in(dtype)
    assert torch.isfinite(network(torch.zeros(1, 3, 40, 40))).all()
    zeros = torch.zeros(1, 64, 16, dtype=dtype)
    weights = channel_attention_weights(zeros, zeros, torch.ones(2, 1, 1))
    torch.testing.assert_close(weights, torch.full((1, 2, 8, 8), 1 / 8))
