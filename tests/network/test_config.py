"""Configurations."""

import subprocess
import sys
from dataclasses import replace

import pytest
from golden import TINY
from shapes import EQUAL, OURS

from moce_cli.errors import ConfigError
from moce_cli.network import PRESETS, MoCEIRConfig


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
