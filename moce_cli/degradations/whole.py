"""A picture as files hold it, degraded as a whole."""

from __future__ import annotations

import numpy as np
import torch

from moce_cli.degradations.degrading import degrade
from moce_cli.degradations.step import Plan, Step
from moce_cli.errors import DeviceError
from moce_cli.pictures import Picture
from moce_cli.pictures.picture import Pixels


def chances(seed: int, picture: int) -> tuple[np.random.Generator, torch.Generator]:
    """What draws the plan and the fields of one picture of a run.

    Args:
        seed: of the run.
        picture: its place in the run, from 0.
    """
    rng = np.random.default_rng((seed, picture))
    return rng, torch.Generator().manual_seed(int(rng.integers(2**62)))


def colourless(plan: Plan) -> Plan:
    """The plan as a grey picture can undergo it: darkness without a colour cast."""
    return tuple(
        Step(step.kind, {**step.parameters, "cast": [1.0, 1.0, 1.0]})
        if step.kind == "low"
        else step
        for step in plan
    )


def degrade_picture(clean: Picture, plan: Plan, generator: torch.Generator) -> Picture:
    """Degrade a picture of 1 or 3 channels and 8 or 16 bits; alpha and metadata stay.

    Sixteen bits stay sixteen, as far as the plan leaves them. A grey picture goes through as RGB
    and comes back as its green channel, which has a sensor's own grain; it gets no colour cast.

    Raises:
        UsageError, InputError: as `degrade`.
        DeviceError: there is not enough memory.
    """
    try:
        return clean.with_pixels(_degraded(clean, plan, generator))
    except (MemoryError, RuntimeError) as error:
        if isinstance(error, RuntimeError) and "allocate" not in str(error):
            raise
        raise DeviceError(
            f"a picture of {clean.width} x {clean.height} is too large to be degraded in memory",
            "cut it into pieces",
        ) from error


def _degraded(clean: Picture, plan: Plan, generator: torch.Generator) -> Pixels:
    full = 255.0 if clean.depth == 8 else 65535.0
    values = torch.from_numpy(clean.pixels.astype(np.float32)) / full
    colour = values.permute(2, 0, 1)[None].expand(1, 3, -1, -1)
    if clean.channels == 1:
        plan = colourless(plan)
    done = degrade(colour, [plan], generator, quantise=clean.depth == 8)[0]
    if clean.channels == 1:
        done = done[1:2]
    return (done * full).round().permute(1, 2, 0).numpy().astype(clean.pixels.dtype)
