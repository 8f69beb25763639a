"""An architecture read off the names and shapes of a state dict."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

from torch import Tensor

from moce_cli.errors import ConfigError
from moce_cli.network import MoCEIRConfig

OFFICIAL_PREFIX = "net."

_OURS = {
    "embed": "embed.weight",
    "encoder": "encoder.{}.",
    "latent": "latent.",
    "decoder": "decoder.{}.",
    "refinement": "refinement.",
    "temperature": "{}0.attention.temperature",
    "expert": "decoder.0.0.mixture.experts.",
    "expand": "latent.0.ffn.project.weight",
}
_OFFICIAL = {
    "embed": "patch_embed.proj.weight",
    "encoder": "enc.{}.0.layers.",
    "latent": "latent.layers.",
    "decoder": "dec.{}.2.layers.",
    "refinement": "refinement.layers.",
    "temperature": "{}0.mixer.temperature",
    "expert": "dec.0.2.layers.0.adapter.experts.",
    "expand": "latent.layers.0.ffn.project_out.weight",
}


def infer_config(state: Mapping[str, Tensor], *, top_k: int = 1) -> MoCEIRConfig:
    """The architecture of a state dict under our names.

    Args:
        state: every parameter; only names and shapes are looked at.
        top_k: how many experts run in a block: no tensor's shape tells.

    Raises:
        ConfigError: it is no MoCE-IR network's.
    """
    return _infer(state, _OURS, top_k)


def infer_config_official(state: Mapping[str, Tensor], *, top_k: int = 1) -> MoCEIRConfig:
    """The architecture of a state dict under the authors' names, with or without `net.`.

    Args:
        state: every parameter; only names and shapes are looked at.
        top_k: how many experts run in a block: no tensor's shape tells.

    Raises:
        ConfigError: it is no MoCE-IR network's.
    """
    bare = {key.removeprefix(OFFICIAL_PREFIX): value for key, value in state.items()}
    return _infer(bare, _OFFICIAL, top_k)


def _infer(state: Mapping[str, Tensor], names: Mapping[str, str], top_k: int) -> MoCEIRConfig:
    def shape(name: str, axes: int) -> tuple[int, ...]:
        if name not in state:
            raise ConfigError(f"this is no MoCE-IR network: it has no {name!r}")
        seen = tuple(state[name].shape)
        if len(seen) < axes:
            raise ConfigError(f"this is no MoCE-IR network: {name!r} has shape {seen}")
        return seen

    def triple(pattern: str) -> tuple[int, int, int]:
        a, b, c = (_count(state, names[pattern].format(i)) for i in range(3))
        return a, b, c

    levels = [*(names["encoder"].format(i) for i in range(3)), names["latent"]]
    h0, h1, h2, h3 = (shape(names["temperature"].format(level), 1)[0] for level in levels)
    width = shape(names["embed"], 1)[0]
    inner = shape(names["expand"], 2)[1]
    return MoCEIRConfig(
        width=width,
        encoder_blocks=triple("encoder"),
        latent_blocks=_count(state, names["latent"]),
        decoder_blocks=triple("decoder"),
        refinement_blocks=_count(state, names["refinement"]),
        heads=(h0, h1, h2, h3),
        num_experts=_count(state, names["expert"]),
        top_k=top_k,
        ffn_expansion=inner // (8 * width) if width else 0,
    )


def _count(names: Iterable[str], prefix: str) -> int:
    """How many different numbers follow the prefix."""
    number = re.compile(re.escape(prefix) + r"(\d+)\.")
    return len({match[1] for name in names if (match := number.match(name))})
