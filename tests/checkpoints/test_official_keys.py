"""Laws: every official key and shape has one of ours and the other way round; nothing gets lost."""

import json
import math
from pathlib import Path

import pytest
import torch

from moce_cli.checkpoints import from_official, infer_config, infer_config_official, to_official
from moce_cli.checkpoints.files import expected_shapes
from moce_cli.errors import ConfigError, WeightsError
from moce_cli.network import PRESETS, MoCEIR, MoCEIRConfig

GOLDEN = Path(__file__).parents[1] / "data" / "golden"
ODD = MoCEIRConfig(
    width=24,
    encoder_blocks=(1, 3, 2),
    latent_blocks=4,
    decoder_blocks=(2, 1, 3),
    refinement_blocks=5,
    heads=(2, 3, 6, 12),
    num_experts=3,
    top_k=2,
    ffn_expansion=3,
)


def official_state(preset):
    keys = json.loads((GOLDEN / f"keys_{preset}.json").read_text())
    # each tensor counts on from the one before, so that no two are alike
    start = 0
    state = {}
    for key, shape in keys.items():
        size = math.prod(shape)
        state[key] = (torch.arange(size) + start).reshape(shape)
        start += size
    return state


@pytest.fixture(scope="module", params=["moce_ir_s", "moce_ir"])
def preset(request):
    return request.param


@pytest.fixture(scope="module")
def official(preset):
    return official_state(preset)


def test_every_official_key_has_one_of_ours(preset, official):
    ours = from_official(official)
    assert {k: tuple(v.shape) for k, v in ours.items()} == dict(expected_shapes(PRESETS[preset]))


def test_there_and_back_is_the_same(official):
    back = to_official(from_official(official))
    assert set(back) == set(official)
    for key, value in official.items():
        assert back[key].shape == value.shape, key
        if not key.endswith("routing.complexity"):
            assert torch.equal(back[key], value), key


def test_the_prefix_makes_no_difference(official):
    bare = from_official(official)
    prefixed = from_official({f"net.{key}": value for key, value in official.items()})
    assert list(prefixed) == list(bare)
    assert all(torch.equal(prefixed[key], bare[key]) for key in bare)


def test_the_architecture_is_read_off_the_official_keys(preset, official):
    assert infer_config_official(official) == PRESETS[preset]
    prefixed = {f"net.{key}": value for key, value in official.items()}
    assert infer_config_official(prefixed, top_k=2).top_k == 2


@pytest.mark.parametrize("config", [*PRESETS.values(), ODD])
def test_the_architecture_is_read_off_our_keys(config):
    with torch.device("meta"):
        state = MoCEIR(config).state_dict()
    assert infer_config(state, top_k=config.top_k) == config
    assert infer_config_official(to_official(state), top_k=config.top_k) == config


@pytest.mark.parametrize("translate", [from_official, to_official])
@pytest.mark.parametrize("state", [{}, {"weight": torch.zeros(3)}])
def test_another_networks_state_is_refused(translate, state):
    with pytest.raises(ConfigError, match="no MoCE-IR network"):
        translate(state)


def test_an_unknown_key_is_named(official):
    with pytest.raises(WeightsError, match=r"'enc\.7\.weight'"):
        from_official(official | {"enc.7.weight": torch.zeros(1)})
    with pytest.raises(WeightsError, match=r"'encoder\.7\.weight'"):
        to_official(from_official(official) | {"encoder.7.weight": torch.zeros(1)})


def test_a_matrix_where_a_kernel_should_be_is_named(official):
    key = "latent.layers.0.mixer.qkv.weight"
    with pytest.raises(WeightsError, match="four axes"):
        from_official(official | {key: official[key][:, :, 0, 0]})
