"""The physics of damage: what light, lens, sensor and file do to a picture.

Convention: pictures are (B, 3, H, W) floats in [0, 1], RGB, sRGB-encoded, on any device; angles
are in degrees, lengths in pixels.
"""

from __future__ import annotations

from moce_cli.degradations.degrading import degrade
from moce_cli.degradations.kinds import KINDS, Kind, Stage
from moce_cli.degradations.plans import (
    KERNEL_ROW,
    SUITE,
    Strength,
    draw,
    mix,
    needs_codec,
    suite_plan,
)
from moce_cli.degradations.sensor import SensorNoise
from moce_cli.degradations.step import Plan, Step
from moce_cli.degradations.whole import chances, colourless, degrade_picture

__all__ = [
    "KERNEL_ROW",
    "KINDS",
    "SUITE",
    "Kind",
    "Plan",
    "SensorNoise",
    "Stage",
    "Step",
    "Strength",
    "chances",
    "colourless",
    "degrade",
    "degrade_picture",
    "draw",
    "mix",
    "needs_codec",
    "suite_plan",
]
