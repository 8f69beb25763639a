"""Weights of a wider and deeper network that computes what the smaller one did.

A channel becomes several with the same values, whose weights further on are split at random, so
that they can part while training; a block that is new adds nothing at first. What a small network
learned in hours on a CPU is where a large one begins on a GPU.

Source: Chen et al., *Net2Net*, ICLR 2016.
Differs: where channels become pixels and back, copies lie as far apart as that needs.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace

import torch
from torch import Tensor

from moce_cli.network import MoCEIR, MoCEIRConfig

SPREAD = 0.25
"""Standard deviation of a copy's share, in even shares."""
_COUNTS = ("encoder_blocks", "latent_blocks", "decoder_blocks", "refinement_blocks")
_BLOCK = re.compile(r"(?:(encoder|decoder)\.(\d)|latent|refinement)\.(\d+)\.(.+)\.\w+")
_EXPERT = re.compile(r"(?<=^ffn)\.experts\.\d+")
_FROM_STREAM = ("attention.qkv", "ffn.expand", "to_shared", "to_mixture")
_TO_STREAM = ("attention.project", "ffn.project", "cross_attention.project")
_OF_STREAM = ("attention_norm", "ffn_norm", "norm")


def can_widen(source: MoCEIRConfig, target: MoCEIRConfig) -> bool:
    """Whether `widen` leads from one architecture to the other."""
    counts = {name: getattr(target, name) for name in _COUNTS}
    if replace(source, width=target.width, **counts) != target or target.width % source.width:
        return False
    if source.width % 2 and target.width != source.width:
        return False  # too few neighbours to be copied together, see `_runs`
    return all(
        before <= after
        for name in _COUNTS
        for before, after in zip(_each(source, name), _each(target, name), strict=True)
    )


def widen(
    state: Mapping[str, Tensor], source: MoCEIRConfig, target: MoCEIRConfig
) -> dict[str, Tensor]:
    """Weights of the larger architecture with the smaller one's answers, but for rounding.

    What is drawn comes from PyTorch's generator of the CPU.

    Args:
        state: of the source, float32.
        source: the smaller architecture.
        target: one that `can_widen` says yes to.
    """
    made: dict[str, Tensor] = {}
    for key, first in MoCEIR(target).state_dict().items():
        if key in state:
            made[key] = _wider(state[key], first.shape, *_runs(key))
        else:
            block = _BLOCK.fullmatch(key)
            silent = block is not None and _EXPERT.sub("", block[4]) in _TO_STREAM
            made[key] = torch.zeros_like(first) if silent else first
    return made


def _each(config: MoCEIRConfig, name: str) -> tuple[int, ...]:
    count = getattr(config, name)
    return count if isinstance(count, tuple) else (count,)


def _run_at(level: int) -> int:
    """Neighbours that are copied together in the features of a level: they were one pixel's."""
    return 4 if level else 1


def _runs(key: str) -> tuple[int, int]:
    """Neighbours that are copied together, among a weight's outputs and among its inputs."""
    module, *rest = key.split(".")
    number = int(rest[0]) if rest[0].isdigit() else 0
    if module == "down":  # four pixels of each output lie side by side after it
        return _run_at(number + 1) // 4, _run_at(number)
    if module == "up":  # and four neighbours become pixels
        return 4 * _run_at(2 - number), _run_at(3 - number)
    if module == "fuse":
        return _run_at(2 - number), _run_at(2 - number)
    if module == "scene" and rest[0] == "heads":
        return _run_at((0, 1, 2, 3, 2, 1, 0)[int(rest[1])]), 1
    if module == "frequency" and rest[0] == "high_pass":
        return _run_at(3), 1
    if module == "frequency" and rest[:2] == ["mlp", "0"]:
        return 1, _run_at(3)
    block = _BLOCK.fullmatch(key)
    if block is None:
        return 1, 1
    level = {"latent": 3, "refinement": 0, "encoder": number, "decoder": 2 - number}[module]
    part = _EXPERT.sub("", block[4])
    return (
        _run_at(level) if part in _TO_STREAM + _OF_STREAM else 1,
        _run_at(level) if part in _FROM_STREAM else 1,
    )


def _wider(value: Tensor, shape: torch.Size, run_out: int, run_in: int) -> Tensor:
    """A weight or bias whose first two axes, outputs and inputs, are to be as long as in shape."""
    if value.shape == shape:
        return value
    value = _copied(value, 0, shape[0] // len(value), run_out)
    if value.dim() < 2 or value.shape[1] == shape[1]:
        return value
    times, before = shape[1] // value.shape[1], value.shape[1]
    drawn = torch.randn(len(value), before // run_in, times, run_in) * SPREAD
    shares = (1 + drawn - drawn.mean(dim=2, keepdim=True)) / times
    shares = shares.reshape(len(value), shape[1], *[1] * (value.dim() - 2))
    return _copied(value, 1, times, run_in) * shares


def _copied(value: Tensor, axis: int, times: int, run: int) -> Tensor:
    """Every run of neighbours along an axis so many times."""
    runs = value.unflatten(axis, (-1, 1, run))
    sizes = [-1] * runs.dim()
    sizes[axis + 1] = times
    return runs.expand(sizes).flatten(axis, axis + 2)
