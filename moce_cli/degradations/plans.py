"""From what a person asks for to steps with all their numbers."""

from __future__ import annotations

import math
import zlib
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from moce_cli.degradations import compression, haze, lens, rain, sensor
from moce_cli.degradations.kinds import KINDS, Kind
from moce_cli.degradations.sensor import SensorNoise
from moce_cli.degradations.step import ORDER, Plan, Step, Value, check_kind
from moce_cli.errors import UsageError

Strength = float | tuple[float, float] | None
"""A number, a range to draw from, or None for what is usual."""
SCENES = (256.0, 1200.0)
"""Longest sides of the scenes that a crop may be a piece of, in pixels."""
SUITE_SCENE = 512.0


def draw(
    kind: str,
    rng: np.random.Generator,
    strength: Strength = None,
    *,
    extent: float | None = None,
    kernels: Path | None = None,
    truncation: float = 0.0,
    sensor_noise: SensorNoise | None = None,
) -> Step:
    """Draw all that one degradation needs.

    Args:
        kind: a key of `KINDS`.
        rng: draws the strength, if it is a range, and everything else.
        strength: see `Strength`.
        extent: longest side in pixels of the scene in which haze, rain and snow are laid out;
            give a whole picture its own, else a size is drawn of which a crop is a piece.
        kernels: a folder of measured kernels, or one file; `kernel` needs it.
        truncation: chance that `noise` is truncated to 8 bits, as the field's is, not rounded.
        sensor_noise: which noise `sensor` makes; None draws a camera.

    Raises:
        UsageError: an unknown kind, a strength out of range, or no folder of kernels.
        InputError: no kernels in the folder, or one that can't be read.
    """
    check_kind(kind)
    chosen = _strength(KINDS[kind], rng, strength)
    if extent is None and kind in ("haze", "rain", "snow"):
        extent = _scene(rng)
    if kind == "noise":
        return Step(kind, {"strength": chosen, **sensor.draw_noise(truncation, rng)})
    if kind == "sensor":
        return Step(kind, {"strength": chosen, **sensor.draw_sensor(chosen, rng, sensor_noise)})
    return Step(kind, {"strength": chosen, **_others(kind, chosen, rng, extent or 0.0, kernels)})


def _scene(rng: np.random.Generator) -> float:
    smallest, largest = SCENES
    return math.exp(rng.uniform(math.log(smallest), math.log(largest)))


def _strength(kind: Kind, rng: np.random.Generator, wanted: Strength) -> float:
    if isinstance(wanted, int | float):
        return kind.check(wanted)
    low, high = (kind.check(end) for end in (kind.usual if wanted is None else wanted))
    if low > high:
        raise UsageError(
            f"a range of {kind.name} from {low:g} to {high:g} is empty", "smaller number first"
        )
    if kind.by_ratio:
        value = math.exp(rng.uniform(math.log(low), math.log(high)))
    else:
        value = rng.uniform(low, high)
    return kind.check(min(max(float(f"{value:.4g}"), low), high))


def _others(
    kind: str, strength: float, rng: np.random.Generator, extent: float, kernels: Path | None
) -> dict[str, Value]:
    match kind:
        case "haze":
            return haze.draw_haze(strength, rng, extent)
        case "rain":
            return rain.draw_rain(strength, rng, extent)
        case "snow":
            return rain.draw_snow(strength, rng, extent)
        case "blur":
            return lens.draw_blur(strength, rng)
        case "defocus":
            return lens.draw_defocus(strength, rng)
        case "shake":
            return lens.draw_shake(strength, rng)
        case "kernel":
            return lens.draw_kernel(rng, kernels)
        case "low":
            return sensor.draw_low(strength, rng)
        case "jpeg":
            return compression.draw_jpeg(strength, rng)
        case "webp":
            return compression.draw_webp(strength, rng)
        case _:
            return {}


def in_order(steps: Sequence[Step]) -> Plan:
    """The steps in physical order; steps of one kind stay in theirs."""
    return tuple(sorted(steps, key=lambda step: ORDER.index(step.kind)))


def mix(
    kinds: Sequence[str] | Mapping[str, Strength],
    rng: np.random.Generator,
    *,
    extent: float | None = None,
    kernels: Path | None = None,
    truncation: float = 0.0,
    sensor_noise: SensorNoise | None = None,
) -> Plan:
    """Draw a mixture, whatever order it is named in.

    Args:
        kinds: names, or names and their strengths.
        rng: as for `draw`.
        extent: as for `draw`; one scene for the mixture.
        kernels: as for `draw`.
        truncation: as for `draw`.
        sensor_noise: as for `draw`.

    Raises:
        UsageError: as `draw`; or a kind that is named twice.
        InputError: as `draw`.
    """
    wanted: Mapping[str, Strength] = kinds if isinstance(kinds, Mapping) else dict.fromkeys(kinds)
    if len(wanted) < len(kinds):
        raise UsageError(f"a mixture names a kind twice: {', '.join(kinds)}", "name each once")
    for kind in wanted:
        check_kind(kind)
    if extent is None:
        extent = _scene(rng)
    return tuple(
        draw(
            kind,
            rng,
            wanted[kind],
            extent=extent,
            kernels=kernels,
            truncation=truncation,
            sensor_noise=sensor_noise,
        )
        for kind in ORDER
        if kind in wanted
    )


def needs_codec(plan: Plan) -> bool:
    """Whether a plan runs an encoder, which a GPU can't do."""
    return any(KINDS[step.kind].codec for step in plan)


def _row(name: str) -> dict[str, float]:
    """A row's kinds and strengths from its name: "low 3+sensor 3200"."""
    if name == "undamaged":
        return {}
    words = (part.split() for part in name.split("+"))
    return {kind: float(number) for kind, number in words}


SUITE: dict[str, dict[str, float]] = {
    name: _row(name)
    for name in (
        "undamaged",
        "noise 15",
        "noise 25",
        "noise 50",
        "sensor 1600",
        "sensor 6400",
        "jpeg 20",
        "jpeg 40",
        "webp 30",
        "blur 1.5",
        "defocus 2.5",
        "shake 12",
        "haze 0.6",
        "rain 0.6",
        "snow 0.5",
        "low 3",
        "low 3+sensor 3200+jpeg 70",
        "haze 0.5+rain 0.5",
        "haze 0.4+snow 0.4",
        "blur 1+noise 15+jpeg 60",
        "rain 0.5+low 2+noise 10",
    )
}
"""Rows of fixed strengths for evaluation and validation: name, then kind and strength."""


KERNEL_ROW = "kernel 1"
"""One row more for who has a folder of measured kernels: blurred by one of them, as measured."""


def suite_plan(name: str, seed: int, kernels: Path | None = None) -> Plan:
    """The plan of a row for one picture; the seed is the picture's place in its folder.

    Args:
        name: a key of `SUITE`, or `KERNEL_ROW`.
        seed: decides what is drawn.
        kernels: for `KERNEL_ROW` as for `draw`; which of them is drawn depends on their order.

    Raises:
        UsageError: no such row, or no folder of kernels.
        InputError: as `draw`.
    """
    if name not in SUITE and name != KERNEL_ROW:
        raise UsageError(f"{name!r} is no row of the suite", f"these are: {', '.join(SUITE)}")
    rng = np.random.default_rng([zlib.crc32(name.encode()), seed])
    return mix(_row(name), rng, extent=SUITE_SCENE, kernels=kernels)
