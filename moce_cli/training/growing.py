"""From weights of a simpler architecture to those of one that can do more, and as much at first."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace

import torch
from torch import Tensor

from moce_cli.network import MoCEIRConfig
from moce_cli.network.scene import SceneEmbedding
from moce_cli.training.widening import can_widen, widen

_SHARED = re.compile(r"(decoder\.\d+\.\d+\.ffn)\.(expand|depthwise|project)\.weight")


_GROWN = ("expert_ffn", "embed_bias", "scene")
"""What may be switched on."""


def can_grow(source: MoCEIRConfig, target: MoCEIRConfig) -> bool:
    """Whether `grow` leads from one architecture to the other, which is not the same."""
    pairs = [(getattr(source, name), getattr(target, name)) for name in _GROWN]
    allowed = all(before <= after for before, after in pairs)
    return source != target and allowed and can_widen(_switched(source, target), target)


def grow(
    state: Mapping[str, Tensor], source: MoCEIRConfig, target: MoCEIRConfig
) -> dict[str, Tensor]:
    """Switch on what is new, then make the network as wide and deep as the target; see `widen`.

    Args:
        state: of the source, float32.
        source: an architecture.
        target: one that `can_grow` says yes to.
    """
    switched = _switched(source, target)
    if switched != source:
        state = _switch_on(state, switched)
    return dict(state) if switched == target else widen(state, switched, target)


def _switched(source: MoCEIRConfig, target: MoCEIRConfig) -> MoCEIRConfig:
    """The source with what the target has on."""
    return replace(source, **{name: getattr(target, name) for name in _GROWN})


def _switch_on(state: Mapping[str, Tensor], target: MoCEIRConfig) -> dict[str, Tensor]:
    """Give each expert the shared feed-forward's most important hidden channels.

    The largest expert gets all of them, each other as many as its rank allows; a channel counts
    by the size of the weights on its way through. A bias that is new is zero, and a scene adds
    zero.

    Args:
        state: of the same architecture without `expert_ffn`, `embed_bias`, `scene` or some of them.
        target: the architecture with them.
    """
    grown: dict[str, Tensor] = {}
    if target.embed_bias:
        grown["embed.bias"] = torch.zeros(target.width)
    if target.scene:
        first = SceneEmbedding(target.scene_widths).state_dict()
        grown |= {f"scene.{name}": value for name, value in first.items()}
    for key, value in state.items():
        match = _SHARED.fullmatch(key)
        if match is None or not target.expert_ffn:
            grown[key] = value
            continue
        prefix, part = match[1], match[2]
        order = _importance(state, prefix).argsort(descending=True)
        hidden = len(order)
        level = 2 - int(key.split(".")[1])
        for expert_id in range(target.num_experts):
            rank = target.expert_rank(level, expert_id)
            kept = order[: target.ffn_expansion * rank].sort().values
            both = torch.cat((kept, kept + hidden))  # two halves, whose product is hidden
            grown[f"{prefix}.experts.{expert_id}.{part}.weight"] = (
                value[:, kept] if part == "project" else value[both]
            ).clone()
    return grown


def _importance(state: Mapping[str, Tensor], prefix: str) -> Tensor:
    """`(hidden,)`: the product of the norms on each channel's way."""
    project = state[f"{prefix}.project.weight"].float()
    hidden = project.shape[1]
    size = project.norm(dim=0)
    for part in ("expand", "depthwise"):
        rows = state[f"{prefix}.{part}.weight"].float().flatten(1).norm(dim=1)
        size = size * rows[:hidden] * rows[hidden:]
    return size
