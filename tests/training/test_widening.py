"""A wider, deeper network begins with the smaller one's answers, and can learn more."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from golden import TINY

from moce_cli.checkpoints import ModelCard, catalogue, load, save
from moce_cli.errors import WeightsError
from moce_cli.network import PRESETS, MoCEIR
from moce_cli.training.growing import can_grow, grow
from moce_cli.training.recipe import load_recipe
from moce_cli.training.weights import begin_from
from moce_cli.training.widening import can_widen, widen

RECIPES = Path(__file__).parents[2] / "examples" / "recipes"
OURS = replace(TINY, expert_ffn=True, embed_bias=True, scene=True)
DEEP = {
    "encoder_blocks": (2, 1, 3),
    "latent_blocks": 3,
    "decoder_blocks": (2, 1, 2),
    "refinement_blocks": 2,
}


def drawn(config, seed=0):
    """Weights of which none is zero or one by rule, so that a wrong place shows."""
    torch.manual_seed(seed)
    network = MoCEIR(config).eval()
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
    return network


def of(config, state):
    network = MoCEIR(config).eval()
    network.load_state_dict(state)
    return network


def picture(height=40, width=56):
    return torch.rand(2, 3, height, width, generator=torch.Generator().manual_seed(0))


def answers(network):
    with torch.inference_mode():
        return network.restore(picture())


def assert_same_picture(after, before):
    change = float((before.restored - picture()).abs().mean())
    assert change > 0.01, "a network that does nothing would prove nothing"
    torch.testing.assert_close(after.restored, before.restored, rtol=0, atol=1e-4 * change)


@pytest.mark.parametrize("times", [1, 2, 3])
@pytest.mark.parametrize("deeper", [False, True])
@pytest.mark.parametrize(
    "config",
    [TINY, OURS, replace(OURS, unshuffle=2), replace(TINY, num_experts=1, rank_divisors=(4,))],
    ids=["paper", "ours", "unshuffled", "single"],
)
def test_it_computes_what_the_smaller_one_did(config, times, deeper):
    if config.num_experts == 1:
        config = replace(config, expert_windows=(4,))
    target = replace(config, width=times * config.width, **(DEEP if deeper else {}))
    source = drawn(config)
    before = answers(source)
    after = answers(of(target, widen(source.state_dict(), config, target)))
    assert_same_picture(after, before)
    if not deeper:
        for old, new in zip(before.routing, after.routing, strict=True):
            torch.testing.assert_close(new.logits, old.logits, rtol=1e-3, atol=1e-5)


def test_copies_part_when_it_learns():
    target = replace(OURS, width=2 * OURS.width)
    network = of(target, widen(drawn(OURS).state_dict(), OURS, target)).train()
    network.restore(picture()).restored.square().mean().backward()
    for name in ("embed.weight", "encoder.0.0.ffn.expand.weight", "decoder.2.0.to_mixture.weight"):
        gradient = dict(network.named_parameters())[name].grad
        assert gradient is not None
        one, other = gradient[0::2], gradient[1::2]  # copies lie side by side on the finest level
        assert (one - other).norm() > 0.05 * gradient.norm(), name


def test_new_blocks_learn():
    target = replace(OURS, **DEEP)
    network = of(target, widen(drawn(OURS).state_dict(), OURS, target)).train()
    network.restore(picture()).restored.square().mean().backward()
    gradients = dict(network.named_parameters())
    for name in ("encoder.2.2.attention.project.weight", "latent.2.ffn.project.weight"):
        assert gradients[name].grad.abs().max() > 0, name


def test_what_can_not_be_widened():
    assert can_widen(OURS, OURS)
    assert can_grow(TINY, replace(OURS, width=2 * OURS.width))
    assert not can_grow(OURS, OURS)
    for target in (
        replace(OURS, width=OURS.width * 3 // 2, rank_divisors=(4, 4, 2, 1)),
        replace(OURS, heads=(1, 1, 1, 1)),
        replace(OURS, ffn_expansion=3),
        replace(OURS, expert_ffn=False, top_k=2),
    ):
        assert not can_widen(OURS, target)
    odd = replace(OURS, width=15, num_experts=1, heads=(1, 1, 1, 1))
    assert can_widen(odd, replace(odd, **DEEP))
    assert not can_widen(odd, replace(odd, width=30))
    assert not can_grow(replace(OURS, width=2 * OURS.width), OURS)
    assert not can_grow(replace(OURS, **DEEP), OURS)


def test_the_shipped_weights_grow_to_the_larger_recipes_network():
    source = load(catalogue.shipped_folder() / "photo-xs.safetensors")
    target = load_recipe(RECIPES / "photo-s.toml").network
    assert replace(target, width=16) == replace(
        source.config, **{name: getattr(target, name) for name in DEEP}
    )
    assert target.width == PRESETS["moce_ir_s"].width
    assert can_grow(source.config, target)
    state = {name: value.float() for name, value in source.state.items()}
    before = answers(of(source.config, state))
    torch.manual_seed(0)
    after = answers(of(target, grow(state, source.config, target)))
    torch.testing.assert_close(after.restored, before.restored, rtol=0, atol=2e-3)


def test_a_run_begins_from_a_smaller_networks_file(tmp_path):
    card = ModelCard("small", "7", "a test's", ("noise",), "none", "Apache-2.0", {"steps": 7})
    small = drawn(OURS)
    save(tmp_path / "small.safetensors", small.state_dict(), OURS, card)
    large = MoCEIR(replace(OURS, width=2 * OURS.width, **DEEP)).eval()
    assert begin_from(tmp_path / "small.safetensors", large).step == 7
    assert_same_picture(answers(large), answers(small))
    narrow = MoCEIR(replace(OURS, heads=(1, 1, 1, 1)))
    with pytest.raises(WeightsError, match="heads"):
        begin_from(tmp_path / "small.safetensors", narrow)
