"""A batch of clean pictures and a plan for each, made into degraded ones."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import torch
from torch import Tensor

from moce_cli.degradations.kinds import KINDS
from moce_cli.degradations.step import Plan, Step
from moce_cli.errors import UsageError

CACHED_PIXELS = 4 * 128 * 128
"""Four crops of 128 px went twice as fast through rain, haze and blur as 32 at once."""


@torch.no_grad()
def degrade(
    clean: Tensor, plans: Sequence[Plan], generator: torch.Generator, *, quantise: bool = True
) -> Tensor:
    """Degrade each picture of a batch by its plan.

    Samples that share a kind go through it together, on the pictures' device; codecs run on the
    CPU. The same pictures, plans and generator state give the same result on one device; the
    fields drawn for a sample depend on the batch it is in.

    Args:
        clean: (B, 3, H, W) float in [0, 1], RGB, sRGB-encoded, on any device.
        plans: one for each picture; steps are taken in physical order.
        generator: of noise fields and places; its device does the drawing.
        quantise: round the result to 8 bits, as files are.

    Returns:
        (B, 3, H, W) float32 in [0, 1].

    Raises:
        UsageError: pictures of another shape, or not one plan for each; a strength out of range, a
            step without a parameter that it needs, a picture too large for a codec.
        InputError: a kernel's file can't be read.
    """
    if clean.ndim != 4 or clean.shape[1] != 3 or min(clean.shape) < 1:
        raise UsageError(f"pictures of shape {tuple(clean.shape)} are none: (B, 3, H, W) are")
    if not clean.is_floating_point():
        raise UsageError(f"pictures of {clean.dtype} can't be degraded: floats in [0, 1] can")
    if len(plans) != len(clean):
        raise UsageError(f"{len(plans)} plans do not fit {len(clean)} pictures: one each")
    pictures = clean.float().clamp(0.0, 1.0)
    for rows, steps in _rounds(plans):
        kind = KINDS[steps[0].kind]
        for step in steps:
            kind.check(step.strength)
        at_once = _at_once(pictures)
        done: list[Tensor] = []
        for first in range(0, len(rows), at_once):
            some = slice(first, first + at_once)
            part = pictures[torch.tensor(rows[some], device=pictures.device)]
            done.append(kind.apply(part, steps[some], generator).clamp(0.0, 1.0))
        places = torch.tensor(rows, device=pictures.device)
        pictures = pictures.index_copy(0, places, torch.cat(done))
    return (pictures * 255).round() / 255 if quantise else pictures


def _at_once(pictures: Tensor) -> int:
    """Samples that go through a kind together: on a CPU as many as its cache holds."""
    if pictures.device.type != "cpu":
        return len(pictures)
    height, width = pictures.shape[-2:]
    return max(1, CACHED_PIXELS // (height * width))


def _rounds(plans: Sequence[Plan]) -> Iterator[tuple[list[int], list[Step]]]:
    """Rows and their steps of one kind, in physical order; a kind's second time comes after."""
    for kind in KINDS:
        time = 0
        while True:
            found = [
                (row, steps[time])
                for row, plan in enumerate(plans)
                if len(steps := [step for step in plan if step.kind == kind]) > time
            ]
            if not found:
                break
            yield [row for row, _ in found], [step for _, step in found]
            time += 1
