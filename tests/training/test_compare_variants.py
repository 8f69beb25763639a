"""What the examples compare_experts, compare_one_expert and compare_shapes compare is as said."""

import runpy
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from moce_cli.checkpoints import build, load
from moce_cli.network import PRESETS, MoCEIR, force
from moce_cli.network.cost import forward_cost

SCRIPT = runpy.run_path(str(Path(__file__).parents[2] / "examples" / "compare_experts.py"))
VARIANTS = SCRIPT["variants"](PRESETS["moce_ir_xs"])


def expert_costs(name):
    return forward_cost(VARIANTS[name].network, 128, 128).experts[0]


@pytest.mark.parametrize("name", VARIANTS)
def test_every_variant_can_be_built(name):
    MoCEIR(VARIANTS[name].network)


def test_spread_experts_differ_more_at_nearly_the_same_mean_cost():
    spread, usual = expert_costs("spread"), expert_costs("compare")
    assert max(spread) / min(spread) > 1.5 * max(usual) / min(usual)
    assert sum(spread) == pytest.approx(sum(usual), rel=0.05)


def first_weights(tmp_path, name, seed, *, whole=False):
    path = tmp_path / f"{name}-{seed}.safetensors"
    SCRIPT["begin"](None, VARIANTS[name].network, path, seed)
    return load(path) if whole else load(path).state


def test_without_weights_to_start_from_the_seed_draws_them(tmp_path):
    first, again = (first_weights(tmp_path, "compare", 0) for n in range(2))
    other = first_weights(tmp_path, "compare", 1)
    assert all(torch.equal(value, again[key]) for key, value in first.items())
    assert not all(torch.equal(value, other[key]) for key, value in first.items())


@pytest.mark.parametrize("name", ["paper", "spread", "single"])
def test_from_other_weights_all_but_the_decoder_is_kept(tmp_path, name):
    source = first_weights(tmp_path, "compare", 0, whole=True)
    path = tmp_path / "warm.safetensors"
    SCRIPT["begin"](source, VARIANTS[name].network, path, 1)
    warm, drawn = load(path).state, first_weights(tmp_path, name, 1)
    for key, value in warm.items():
        origin = drawn if key.startswith("decoder.") else source.state
        assert torch.equal(value, origin[key]), key


def test_variants_are_named_between_commas():
    assert SCRIPT["names"]("compare, no bias,spread") == ["compare", "no bias", "spread"]


ONE = runpy.run_path(str(Path(__file__).parents[2] / "examples" / "compare_one_expert.py"))


@pytest.mark.parametrize("expert", range(4))
@pytest.mark.parametrize("name", ["compare", "spread"])
def test_an_expert_alone_answers_as_it_does_where_it_is_forced(tmp_path, name, expert):
    source = first_weights(tmp_path, name, 0, whole=True)
    picture = torch.rand(1, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    everywhere = [force(expert, 4)] * sum(source.config.decoder_blocks)
    with torch.no_grad():
        forced = build(source).restore(picture, everywhere).restored
        single = build(ONE["alone"](source, expert)).restore(picture).restored
    assert torch.equal(forced, single)


SHAPES = runpy.run_path(str(Path(__file__).parents[2] / "examples" / "compare_shapes.py"))


@pytest.mark.parametrize("name", SHAPES["shapes"]())
def test_every_shape_can_be_built_and_takes_as_many_pixels_a_step(name):
    shape = SHAPES["shapes"]()[name]
    MoCEIR(shape.network)
    pixels = shape.batch * shape.crop**2
    assert pixels == (1 if name == "half batch" else 2) * 4 * 64**2


def test_costs_are_measured_for_each_network():
    tiny = replace(PRESETS["moce_ir_xs"], width=8)
    assert SHAPES["costs"]({"tiny": MoCEIR(tiny).eval()})["tiny"] > 0
