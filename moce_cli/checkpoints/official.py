"""Translate state dicts between our names and those of the authors' release."""

from __future__ import annotations

import re
from collections.abc import Mapping

import torch
from torch import Tensor

from moce_cli.checkpoints.architecture import (
    OFFICIAL_PREFIX,
    infer_config,
    infer_config_official,
)
from moce_cli.errors import WeightsError
from moce_cli.network import MoCEIRConfig
from moce_cli.network.cost import relative_complexity

_ENCODER_PARTS = {
    "attention_norm": "norms.0.body",
    "ffn_norm": "norms.1.body",
    "attention.temperature": "mixer.temperature",
    "attention.qkv_depthwise": "mixer.qkv_dwconv",
    "attention.qkv": "mixer.qkv",
    "attention.project": "mixer.project_out",
    "ffn.expand": "ffn.project_in",
    "ffn.depthwise": "ffn.dwconv",
    "ffn.project": "ffn.project_out",
}
_DECODER_PARTS = {
    "norm": "norms.0.body",
    "ffn_norm": "norms.1.body",
    "to_shared": "proj.0",
    "to_mixture": "proj.1",
    "shared.temperature": "shared.temperature",
    "shared.qkv_depthwise": "shared.qkv_dwconv",
    "shared.qkv": "shared.qkv",
    "shared.project": "shared.project_out",
    "cross_attention.temperature": "mixer.temperature",
    "cross_attention.query_depthwise": "mixer.q_dwconv",
    "cross_attention.query": "mixer.q",
    "cross_attention.key_value_depthwise": "mixer.kv_dwconv",
    "cross_attention.key_value": "mixer.kv",
    "cross_attention.project": "mixer.project_out",
    "ffn.expand": "ffn.project_in",
    "ffn.depthwise": "ffn.dwconv",
    "ffn.project": "ffn.project_out",
    "mixture.project": "adapter.proj_out",
    "mixture.router.gate": "adapter.routing.gate.2",
    "mixture.router.frequency_gate": "adapter.routing.freq_gate",
}
_EXPERT_PARTS = {
    "reduce": "proj.0",
    "reduce_shared": "proj.1",
    "expand": "proj.2",
    "attention.query_depthwise": "body.q_dwconv",
    "attention.query": "body.q",
    "attention.key_value_depthwise": "body.kv_dwconv",
    "attention.key_value": "body.kv",
    "attention.norm": "body.norm.body",
    "attention.project": "body.proj_out",
}
_WHOLE = {
    "embed": "patch_embed.proj",
    "frequency.high_pass": "freq_embed.high_conv.0.conv",
    "frequency.mlp.0": "freq_embed.mlp.0",
    "frequency.mlp.2": "freq_embed.mlp.2",
    "output": "output",
}
_FOUR_AXES = re.compile(  # matrices here that are 1x1 convolutions there
    r"(mixer|shared|ffn|adapter)\.(qkv|q|kv|project_in|project_out|proj_out)\.weight$"
    r"|body\.(q|kv|proj_out)\.weight$|\.proj\.[012]\.weight$|^dec\.\d\.1\.weight$"
)
_COMPLEXITY = re.compile(r"\.adapter\.routing\.complexity$")


def _names(config: MoCEIRConfig) -> dict[str, str]:
    """Every module prefix of ours with the official one."""
    names = dict(_WHOLE)

    def encoder_blocks(ours: str, official: str, count: int) -> None:
        for j in range(count):
            for a, b in _ENCODER_PARTS.items():
                names[f"{ours}.{j}.{a}"] = f"{official}.layers.{j}.{b}"

    for i, count in enumerate(config.encoder_blocks):
        encoder_blocks(f"encoder.{i}", f"enc.{i}.0", count)
        names[f"down.{i}.conv"] = f"enc.{i}.1.body.0"
    encoder_blocks("latent", "latent", config.latent_blocks)
    encoder_blocks("refinement", "refinement", config.refinement_blocks)
    for i, count in enumerate(config.decoder_blocks):
        names[f"up.{i}.conv"] = f"dec.{i}.0.body.0"
        names[f"fuse.{i}"] = f"dec.{i}.1"
        for j in range(count):
            ours, official = f"decoder.{i}.{j}", f"dec.{i}.2.layers.{j}"
            for a, b in _DECODER_PARTS.items():
                names[f"{ours}.{a}"] = f"{official}.{b}"
            for e in range(config.num_experts):
                for a, b in _EXPERT_PARTS.items():
                    names[f"{ours}.mixture.experts.{e}.{a}"] = (
                        f"{official}.adapter.experts.{e}.0.{b}"
                    )
    return names


def _rename(key: str, names: Mapping[str, str]) -> str | None:
    if key in names:
        return names[key]
    stem, _, kind = key.rpartition(".")
    return f"{names[stem]}.{kind}" if stem in names and kind in ("weight", "bias") else None


def _check_has_form(config: MoCEIRConfig) -> None:
    if ours := config.beyond_paper:
        raise WeightsError(f"the official form knows no {ours[0]}: it holds the paper's networks")


def to_official(
    state: Mapping[str, Tensor], config: MoCEIRConfig | None = None
) -> dict[str, Tensor]:
    """Our state dict under the official names and shapes, without prefix.

    Args:
        state: every parameter, under our names.
        config: the architecture; by default it is read off names and shapes.

    Raises:
        WeightsError: a key is unknown.
        ConfigError: no architecture was given and the state shows none.
    """
    config = config or infer_config(state)
    _check_has_form(config)
    names = _names(config)
    out: dict[str, Tensor] = {}
    for key, value in state.items():
        official = _rename(key, names)
        if official is None:
            raise WeightsError(f"{key!r} is no parameter of this architecture")
        out[official] = value[:, :, None, None] if _FOUR_AXES.search(official) else value
    for i, count in enumerate(config.decoder_blocks):
        for j in range(count):
            out[f"dec.{i}.2.layers.{j}.adapter.routing.complexity"] = torch.tensor(
                relative_complexity(config, 2 - i)
            )
    return out


def from_official(
    state: Mapping[str, Tensor], config: MoCEIRConfig | None = None
) -> dict[str, Tensor]:
    """An official state dict, with or without the `net.` prefix, under our names and shapes.

    The relative complexities are dropped: they follow from the architecture.

    Args:
        state: every parameter, under the official names.
        config: the architecture; by default it is read off names and shapes.

    Raises:
        WeightsError: a key is unknown.
        ConfigError: no architecture was given and the state shows none.
    """
    config = config or infer_config_official(state)
    names = {official: ours for ours, official in _names(config).items()}
    out: dict[str, Tensor] = {}
    for key, value in state.items():
        bare = key.removeprefix(OFFICIAL_PREFIX)
        if _COMPLEXITY.search(bare):
            continue
        ours = _rename(bare, names)
        if ours is None:
            raise WeightsError(f"{key!r} is no parameter of this architecture's official form")
        if _FOUR_AXES.search(bare):
            if value.ndim != 4:
                raise WeightsError(
                    f"{key!r} has shape {tuple(value.shape)}, a 1x1 kernel has four axes"
                )
            value = value[:, :, 0, 0]
        out[ours] = value
    return out
