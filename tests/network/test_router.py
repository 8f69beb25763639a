"""Laws of routers and experts: who runs, who decides, who learns."""

from dataclasses import replace

import pytest
import torch
from golden import TINY, golden_network
from shapes import OURS, close, ours_network, pinned

from moce_cli.errors import ConfigError
from moce_cli.network import MoCEIR, force
from moce_cli.network.mixture import ExpertFeedForward
from moce_cli.network.router import Router, decide


@pytest.fixture(scope="module")
def tiny():
    return golden_network(TINY)


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
    close(ffn(x, routing), expected)


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


def test_noise_only_while_training():
    network = golden_network(TINY)
    degraded = torch.rand(1, 3, 32, 32)
    with torch.no_grad():
        decision = network.train().restore(degraded).routing[0]
        assert not torch.equal(decision.logits, decision.noisy_logits)
        decision = network.eval().restore(degraded).routing[0]
    assert torch.equal(decision.logits, decision.noisy_logits)


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
    close(again.restored, free.restored)


@torch.inference_mode()
def test_batches_decide_together_from_the_mean_of_their_logits(tiny):
    degraded = torch.rand(3, 3, 32, 32)
    free = tiny.restore(degraded)
    together = tiny.restore_together(list(degraded.split((2, 1))))
    assert all(len(b.chosen) == 1 for b in together[0].routing)
    assert together[0].routing == together[1].routing
    # before the first block nothing depends on the choice: its logits are those of the samples
    first = free.routing[0].logits.mean(dim=0, keepdim=True)
    close(together[0].routing[0].logits, first)
    # a decision from outside comes to the same
    pinned = tiny.restore(degraded, together[0].routing).restored
    close(torch.cat([t.restored for t in together]), pinned)


@torch.inference_mode()
def test_together_does_not_depend_on_the_batches(tiny):
    degraded = torch.rand(4, 3, 32, 24)
    ways = [tiny.restore_together(degraded.split(n)) for n in (1, 2, 4)]
    found = [torch.cat([t.restored for t in way]) for way in ways]
    close(found[0], found[1])
    close(found[0], found[2])


def test_a_routing_of_another_length_is_refused(tiny):
    with pytest.raises(ConfigError, match="routing has 2 blocks, the network 3"):
        tiny.restore(torch.rand(1, 3, 8, 8), [force(0, 4)] * 2)


@torch.inference_mode()
def test_a_routing_for_another_batch_is_refused(tiny):
    with pytest.raises(ConfigError, match="for a batch of 2, the input is one of 3"):
        tiny.restore(torch.rand(3, 3, 8, 8), pinned(TINY, [0, 1]))
