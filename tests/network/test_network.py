"""Laws of the network."""

import copy
import subprocess
import sys
from dataclasses import replace

import pytest
import torch
from golden import TINY, golden_network
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.utils.flop_counter import FlopCounterMode

from moce_cli.bench import plain
from moce_cli.errors import ConfigError
from moce_cli.network import PRESETS, MoCEIR, MoCEIRConfig, force
from moce_cli.network.cost import forward_cost
from moce_cli.network.experts import windowed_circular_convolution
from moce_cli.network.layers import channel_attention_weights
from moce_cli.network.mixture import ExpertFeedForward
from moce_cli.network.router import Router, decide
from moce_cli.network.unet import pad_by_reflection

OURS = replace(TINY, unshuffle=2, embed_bias=True, expert_ffn=True)
EQUAL = replace(TINY, expert_ffn=True, rank_divisors=(2,) * 4, expert_windows=(16,) * 4)
SHAPES = [TINY, replace(TINY, top_k=2), replace(TINY, top_k=4), OURS, EQUAL]


@pytest.fixture(scope="module")
def tiny():
    return golden_network(TINY)


def ours_network(config):
    """Random weights whose routers are not of one mind."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        network = MoCEIR(config).eval()
        with torch.no_grad():
            for name, value in network.named_parameters():
                if "router" in name:
                    value.mul_(50)
    return network


def pinned(config, experts):
    """One expert per sample, the same in every block."""
    decision = decide(torch.eye(config.num_experts)[experts] * 5, 1)
    return [decision] * sum(config.decoder_blocks)


@torch.inference_mode()
def test_a_batch_equals_its_samples(tiny):
    degraded = torch.rand(3, 3, 72, 56, generator=torch.Generator().manual_seed(1))
    routing = pinned(TINY, [3, 0, 2])
    together = tiny.restore(degraded, routing).restored
    for i, expert in enumerate([3, 0, 2]):
        alone = tiny.restore(degraded[i : i + 1], pinned(TINY, [expert])).restored
        assert (together[i : i + 1] - alone).abs().max() < 1e-4 * alone.std()


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
        error = (together.restored[i] - alone.restored[0]).abs().max()
        assert error < 1e-4 * alone.restored.std()


@torch.inference_mode()
def test_two_experts_a_sample_and_different_ones_in_a_batch():
    config = replace(TINY, top_k=2)
    network = golden_network(config)
    degraded = torch.rand(2, 3, 40, 48, generator=torch.Generator().manual_seed(2))
    logits = torch.tensor([[3.0, 2.0, 0.0, 0.0], [0.0, 2.0, 0.0, 3.0]])
    together = network.restore(degraded, [decide(logits, 2)] * 3).restored
    for i in range(2):
        alone = network.restore(degraded[i : i + 1], [decide(logits[i : i + 1], 2)] * 3).restored
        assert (together[i : i + 1] - alone).abs().max() < 1e-4 * alone.std()


@torch.inference_mode()
@pytest.mark.parametrize("expert", range(4))
def test_an_expert_that_was_not_chosen_is_not_called(tiny, expert):
    called = set()
    hooks = [
        block.mixture.experts[e].register_forward_hook(lambda *_, e=e: called.add(e))
        for blocks in tiny.decoder
        for block in blocks
        for e in range(4)
    ]
    tiny.restore(torch.rand(1, 3, 32, 32), [force(expert, 4)] * 3)
    for hook in hooks:
        hook.remove()
    assert called == {expert}


@torch.inference_mode()
def test_a_feed_forward_whose_expert_was_not_chosen_is_not_called():
    network = ours_network(OURS)
    called = set()
    for blocks in network.decoder:
        for block in blocks:
            for e, ffn in enumerate(block.ffn.experts):
                ffn.register_forward_hook(lambda *_, e=e: called.add(e))
    network.restore(torch.rand(2, 3, 32, 32), [force(2, 4)] * 3)
    assert called == {2}


def router_gradients(config, gradient):
    """The largest gradient that a picture's loss leaves on routers and frequency embedding."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        network = MoCEIR(config).train()
    for module in network.modules():
        if isinstance(module, ExpertFeedForward):
            module.router_gradient = gradient
    torch.manual_seed(0)
    degraded = torch.rand(4, 3, 64, 64)
    (network(degraded) - 0.5).abs().mean().backward()
    grads = {n: p.grad for n, p in network.named_parameters()}
    routers = [g.abs().max() for n, g in grads.items() if "router" in n and g is not None]
    embedding = [
        g.abs().max() for n, g in grads.items() if n.startswith("frequency") and g is not None
    ]
    return float(max(routers, default=0)), float(max(embedding, default=0))


@pytest.mark.parametrize("gradient", ["gate", "compare"])
def test_the_picture_teaches_the_router(gradient):
    ours = router_gradients(OURS, gradient)
    papers = router_gradients(TINY, gradient)
    assert min(ours) > 1e-5
    assert max(papers) < 1e-3 * min(ours)  # the paper's gate cancels in a unit length
    # only through the query's experts, as in the paper
    assert max(router_gradients(OURS, "none")) < 1e-3 * min(ours)


@pytest.mark.parametrize("gradient", ["none", "gate", "compare"])
def test_teaching_the_router_does_not_change_the_answer(gradient):
    ffn = ExpertFeedForward(OURS, 0).train()
    ffn.router_gradient = gradient
    x = torch.rand(5, 8, 8, OURS.level_width(0))
    routing = decide(torch.randn(5, 4), 1)
    expected = torch.stack(
        [ffn.experts[e](x[i : i + 1])[0] for i, (e,) in enumerate(routing.chosen)]
    )
    torch.testing.assert_close(ffn(x, routing), expected)


def test_a_comparison_tells_the_router_what_the_other_expert_would_change():
    """To first order: the logit's gradient is the loss's change when the experts are swapped."""
    config = replace(OURS, num_experts=2)
    ffn = ExpertFeedForward(config, 0).train()
    x = torch.rand(1, 8, 8, config.level_width(0))
    logits = torch.tensor([[0.3, 0.1]], requires_grad=True)
    weight = torch.randn(8, 8, config.level_width(0))
    (ffn(x, decide(logits, 1)) * weight).sum().backward()
    chosen, other = ((ffn.experts[e](x) * weight).sum() for e in (0, 1))
    p = logits.softmax(-1)[0, 0]
    torch.testing.assert_close(logits.grad[0, 0], (p * (1 - p) * (chosen - other)).detach())
    torch.testing.assert_close(logits.grad[0, 1], -logits.grad[0, 0])


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


def test_a_dropped_expert_is_never_chosen():
    router = Router(8, 64, 4, 1).train()
    router.expert_dropout = 1.0
    with torch.no_grad():
        router.gate.weight.zero_()
        router.gate.weight[2] = 5.0  # always the first choice
    torch.manual_seed(0)
    chosen = [e for (e,) in router(torch.ones(400, 2, 2, 8), torch.zeros(400, 64)).chosen]
    share = chosen.count(2) / len(chosen)
    assert 0.68 < share < 0.82  # it was dropped once in four
    router.eval()
    assert set(router(torch.ones(3, 2, 2, 8), torch.zeros(3, 64)).chosen) == {(2,)}


@torch.inference_mode()
def test_the_same_input_twice_is_the_same_output(tiny):
    degraded = torch.rand(2, 3, 40, 40)
    assert torch.equal(tiny(degraded), tiny(degraded))


def test_noise_only_while_training():
    network = golden_network(TINY)
    degraded = torch.rand(1, 3, 32, 32)
    with torch.no_grad():
        decision = network.train().restore(degraded).routing[0]
        assert not torch.equal(decision.logits, decision.noisy_logits)
        decision = network.eval().restore(degraded).routing[0]
    assert torch.equal(decision.logits, decision.noisy_logits)


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
    torch.testing.assert_close(tiny(degraded), tiny(padded)[..., :29, :44])


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


def test_a_lower_precision_leaves_the_sum_norms_routers_and_both_ends_alone():
    network = golden_network(TINY).compute_in(torch.bfloat16)
    kept = {n for n, p in network.named_parameters() if p.dtype == torch.float32}
    finest = ("up.2.", "fuse.2.")
    for name in kept:
        words = ("norm", "router", "embed", "output", "frequency", "temperature", *finest)
        added = name.startswith(("encoder.0.", "refinement.")) and ".project." in name
        assert added or any(word in name for word in words), name
    assert all(n in kept for n, _ in network.named_parameters() if n.startswith(finest))
    assert len(kept) < sum(1 for _ in network.parameters()) / 2


@torch.inference_mode()
def test_a_pinned_routing_of_one_serves_any_batch(tiny):
    degraded = torch.rand(3, 3, 32, 32)
    one = tiny.restore(degraded[:1]).routing
    together = tiny.restore(degraded, one)
    assert [b.chosen for b in together.routing] == [b.chosen for b in one]


@torch.inference_mode()
def test_its_own_routing_given_back_changes_nothing(tiny):
    degraded = torch.rand(2, 3, 48, 40)
    free = tiny.restore(degraded)
    again = tiny.restore(degraded, free.routing)
    torch.testing.assert_close(again.restored, free.restored)


@torch.inference_mode()
def test_batches_decide_together_from_the_mean_of_their_logits(tiny):
    degraded = torch.rand(3, 3, 32, 32)
    free = tiny.restore(degraded)
    together = tiny.restore_together(list(degraded.split((2, 1))))
    assert all(len(b.chosen) == 1 for b in together[0].routing)
    assert together[0].routing == together[1].routing
    # before the first block nothing depends on the choice: its logits are those of the samples
    first = free.routing[0].logits.mean(dim=0, keepdim=True)
    torch.testing.assert_close(together[0].routing[0].logits, first)
    # a decision from outside comes to the same
    pinned = tiny.restore(degraded, together[0].routing).restored
    torch.testing.assert_close(torch.cat([t.restored for t in together]), pinned)


@torch.inference_mode()
def test_together_does_not_depend_on_the_batches(tiny):
    degraded = torch.rand(4, 3, 32, 24)
    ways = [tiny.restore_together(degraded.split(n)) for n in (1, 2, 4)]
    found = [torch.cat([t.restored for t in way]) for way in ways]
    torch.testing.assert_close(found[0], found[1])
    torch.testing.assert_close(found[0], found[2])


@torch.no_grad()
def test_without_a_gradient_the_same_and_the_input_untouched(tiny):
    degraded = torch.rand(2, 3, 32, 24)
    given = degraded.clone()
    found = tiny(degraded)
    torch.testing.assert_close(degraded, given, rtol=0, atol=0)
    with torch.enable_grad():
        torch.testing.assert_close(tiny(degraded), found)


@pytest.mark.parametrize("shape", [(3, 8, 8), (1, 1, 8, 8), (1, 3, 0, 8), (0, 3, 8, 8)])
def test_other_shapes_are_refused(tiny, shape):
    with pytest.raises(ConfigError, match=r"takes \(B, 3, H, W\)"):
        tiny(torch.zeros(shape))


def test_a_routing_of_another_length_is_refused(tiny):
    with pytest.raises(ConfigError, match="routing has 2 blocks, the network 3"):
        tiny.restore(torch.rand(1, 3, 8, 8), [force(0, 4)] * 2)


@torch.inference_mode()
def test_a_routing_for_another_batch_is_refused(tiny):
    with pytest.raises(ConfigError, match="for a batch of 2, the input is one of 3"):
        tiny.restore(torch.rand(3, 3, 8, 8), pinned(TINY, [0, 1]))


@torch.inference_mode()
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
def test_a_black_picture_is_no_trouble(dtype):
    network = golden_network(TINY).compute_in(dtype)
    assert torch.isfinite(network(torch.zeros(1, 3, 40, 40))).all()
    zeros = torch.zeros(1, 64, 16, dtype=dtype)
    weights = channel_attention_weights(zeros, zeros, torch.ones(2, 1, 1))
    torch.testing.assert_close(weights, torch.full((1, 2, 8, 8), 1 / 8))


@pytest.mark.parametrize("window", [4, 8, 16, 32])
@pytest.mark.parametrize(("height", "width"), [(32, 32), (20, 7)])
def test_circular_convolution_by_its_definition(window, height, width):
    g = torch.Generator().manual_seed(0)
    a, b = (torch.randn(1, height, width, 2, generator=g, dtype=torch.float32) for _ in range(2))
    seen = windowed_circular_convolution(a, b, window)
    rows, columns = -(-height // window), -(-width // window)
    full = [torch.zeros(rows * window, columns * window, 2, dtype=torch.float64) for _ in range(2)]
    for target, source in zip(full, (a, b), strict=True):
        target[:height, :width] = source[0]
    expected = torch.zeros_like(full[0])
    for top in range(0, rows * window, window):
        for left in range(0, columns * window, window):
            x, y = (f[top : top + window, left : left + window] for f in full)
            spot = expected[top : top + window, left : left + window]
            for i in range(window):
                for j in range(window):
                    spot += x[i, j] * torch.roll(y, (i, j), (0, 1))
    torch.testing.assert_close(seen[0].double(), expected[:height, :width], atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("name", [*PRESETS, "ours", "equal experts"])
@torch.inference_mode()
def test_cost_agrees_with_a_counter(name):
    config = {**PRESETS, "ours": OURS, "equal experts": EQUAL}[name]
    network = MoCEIR(config).eval()
    for height, width in ((64, 64), (32, 48)):
        with FlopCounterMode(display=False) as counter:
            _, chosen = plain.forward(network, torch.rand(1, 3, height, width))
        cost = forward_cost(config, height, width)
        assert cost.run(chosen) == counter.get_total_flops() // 2
        # what is padded inside is counted
        assert forward_cost(config, height - 7, width - 1) == cost


@settings(max_examples=20, deadline=None)
@given(st.integers(1, 3), st.integers(1, 8), st.integers(1, 8), st.sampled_from(SHAPES))
@torch.inference_mode()
def test_the_fast_network_is_the_plain_one(batch, rows, columns, config):
    network = ours_network(config) if config.beyond_paper else golden_network(config)
    g = torch.Generator().manual_seed(batch * 1000 + rows * 20 + columns)
    degraded = torch.rand(
        batch, 3, config.downscale * rows, config.downscale * columns, generator=g
    )
    fast = network.restore(degraded)
    for i in range(batch):
        restored, chosen = plain.forward(network, degraded[i : i + 1])
        assert [b.chosen[i] for b in fast.routing] == chosen
        assert (fast.restored[i] - restored[0]).abs().max() < 1e-4 * restored.std()


LARGEST_ERROR = {torch.float32: 1e-4, torch.bfloat16: 0.03, torch.float16: 0.01}


@settings(max_examples=30, deadline=None)
@given(st.data(), st.integers(1, 3), st.integers(1, 8), st.integers(1, 8))
@torch.inference_mode()
def test_the_fast_network_is_the_plain_one_with_any_experts_in_any_precision(
    data, batch, rows, columns
):
    """The plain network in float32 is the measure; what differs is the change to the picture."""
    config = data.draw(st.sampled_from(SHAPES))
    dtype = data.draw(st.sampled_from(list(LARGEST_ERROR)))
    together = data.draw(st.booleans())
    experts = st.integers(0, config.num_experts - 1)
    routing = [force(data.draw(experts), config.num_experts) for _ in config.decoder_block_levels]
    made = ours_network if config.beyond_paper else golden_network
    network = made(config)
    fast = copy.deepcopy(network).compute_in(dtype)
    g = torch.Generator().manual_seed(batch * 1000 + rows * 20 + columns)
    degraded = torch.rand(
        batch, 3, config.downscale * rows, config.downscale * columns, generator=g
    )
    if together:  # decisions that come about in lockstep
        routing = fast.restore_together(degraded.split(1))[0].routing
    found = fast.restore(degraded, routing).restored
    for i in range(batch):
        one = degraded[i : i + 1]
        wanted = plain.forward(network, one, routing)[0]
        error = (found[i : i + 1] - wanted).square().mean().sqrt()
        assert error < LARGEST_ERROR[dtype] * (wanted - one).square().mean().sqrt() + 1e-6


def test_cost_and_parameters_of_the_paper():
    def at(name, expert=None):
        cost = forward_cost(PRESETS[name], 224, 224)
        return cost.run([(expert,)] * len(cost.experts)) / 1e9

    assert round(at("moce_ir_s", 0), 1) == 32.5
    assert round(at("moce_ir_s", 3), 1) == 36.6
    assert 4 < at("moce_ir_xs", 0) < 6
    count = {n: sum(p.numel() for p in MoCEIR(c).parameters()) for n, c in PRESETS.items()}
    assert count["moce_ir_s"] == 11_477_752
    assert count["moce_ir"] == 25_353_796


@pytest.mark.parametrize(
    ("changed", "sentence"),
    [
        ({"width": 12}, "width is 12, it needs a multiple of 8"),
        ({"top_k": 5}, "only 4 experts"),
        ({"encoder_blocks": (1, 1)}, "encoder_blocks has 2 entries, it needs 3"),
        ({"heads": (3, 2, 4, 8)}, "3 heads do not divide the 16 channels of level 0"),
        ({"latent_blocks": 0}, "latent_blocks holds 0"),
        ({"latent_blocks": True}, "latent_blocks holds True"),
        ({"width": 16.0}, "width holds 16.0"),
        ({"unshuffle": 3}, r"unshuffle is 3, it needs one of \(1, 2, 4\)"),
        ({"embed_bias": 0}, "embed_bias holds 0, it needs true or false"),
        ({"expert_ffn": 1}, "expert_ffn holds 1, it needs true or false"),
        ({"expert_ffn": True, "top_k": 2}, "expert_ffn needs a top_k of 1"),
        ({"rank_divisors": (2, 2)}, "rank_divisors has 2 entries, it needs 4"),
        ({"rank_divisors": (3, 3, 3, 3)}, "do not all divide a width of 16"),
        ({"expert_windows": (0, 4, 8, 16)}, "expert_windows holds 0"),
    ],
)
def test_a_bad_configuration_says_why(changed, sentence):
    with pytest.raises(ConfigError, match=sentence):
        replace(TINY, **changed)


def test_a_configuration_survives_json():
    for config in (*PRESETS.values(), OURS, EQUAL):
        assert MoCEIRConfig.from_dict(config.to_dict()) == config
    with pytest.raises(ConfigError, match="unknown architecture key 'depth'"):
        MoCEIRConfig.from_dict({**TINY.to_dict(), "depth": 3})
    with pytest.raises(ConfigError, match="lacks 'width'"):
        MoCEIRConfig.from_dict({k: v for k, v in TINY.to_dict().items() if k != "width"})


def test_the_network_imports_nothing_but_torch():
    code = (
        "import sys, torch; before = set(sys.modules); import moce_cli.network;"
        "print({m.split('.')[0] for m in set(sys.modules) - before if not m.startswith('torch')}"
        " - set(sys.stdlib_module_names))"
    )
    seen = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert seen.stdout.strip() == "{'moce_cli'}"
