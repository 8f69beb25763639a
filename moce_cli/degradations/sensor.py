"""What a sensor does: too little light, shot and read noise, and the noise of the field's tests."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from moce_cli.degradations.demosaic import finished
from moce_cli.degradations.light import normal, to_encoded, to_linear
from moce_cli.degradations.step import Step, Value, columns, lists
from moce_cli.errors import UsageError

GREY = 0.18  # linear light of the middle grey, which gamma leaves where it is
_LUMA = (0.2126, 0.7152, 0.0722)  # Rec. 709


def draw_low(strength: float, rng: np.random.Generator) -> dict[str, Value]:
    """A colour cast and a gamma that grow with the darkness."""
    doubt = min(1.0, strength)
    cast = np.exp(rng.normal(0, (0.08, 0.03, 0.12)) * doubt)
    cast = cast / float(cast @ np.array(_LUMA))
    return {
        "cast": [round(float(v), 4) for v in cast],
        "gamma": round(float(np.exp(rng.normal(0, 0.08) * doubt)), 4),
    }


def low(pictures: Tensor, steps: Sequence[Step], generator: torch.Generator) -> Tensor:
    """Underexposed pictures `(B, 3, H, W)`: linear light halved for each stop.

    The gamma turns the tone curve about middle grey; the cast keeps the luminance of a grey.
    No noise is added: little light is noisy because a sensor counts it, which `sensor` does to the
    darkened picture where a mixture names both.

    Source: linear light as IEC 61966-2-1 (sRGB) has it. Wei et al., "Deep Retinex Decomposition for
    Low-Light Enhancement" (BMVC 2018), took LOL's dark pictures by shorter exposures.
    """
    stops, gamma = columns(steps, ("strength", "gamma"), pictures)
    (cast,) = lists(steps, ("cast",), pictures)
    light = to_linear(pictures)
    light = GREY * (light / GREY).pow(gamma)
    return to_encoded(light * cast * torch.exp2(-stops))


COLOURS = ("white", "coloured")


@dataclass(frozen=True, slots=True)
class SensorNoise:
    """Which noise a sensor is to make; by default cameras are drawn as they are.

    Attributes:
        colour: "white" is independent between pixels and channels; "coloured" goes through a
            mosaic and has grain that the channels share; None draws either, and what lies between.
        encoded: it lies on encoded values, after gamma, not on linear light.

    Raises:
        UsageError: no such colour.
    """

    colour: str | None = None
    encoded: bool = False

    def __post_init__(self) -> None:
        """Check the colour."""
        if self.colour not in (None, *COLOURS):
            raise UsageError(
                f"{self.colour!r} is no colour of noise", f"these are: {', '.join(COLOURS)}"
            )


def draw_sensor(
    strength: float, rng: np.random.Generator, wanted: SensorNoise | None = None
) -> dict[str, Value]:
    """A camera: how many electrons a pixel holds, what reading adds, and how colours are made."""
    wanted = wanted or SensorNoise()
    asked = {"encoded": True} if wanted.encoded else {}
    bayer = rng.random() < 0.65 if wanted.colour is None else wanted.colour == "coloured"
    gains = rng.uniform(1.2, 2.2, 2) if bayer else np.ones(2)
    least_shared = 0.3 if wanted.colour == "coloured" else -0.3
    shared, chroma = rng.uniform(least_shared, 1.2), rng.uniform(-1.0, 1.8)
    grain = rng.uniform(-0.4, 0.55)
    if wanted.colour == "white":
        chroma = grain = 0.0
    return {
        **asked,
        "full_well": round(float(np.exp(rng.uniform(math.log(10000), math.log(50000)))), 1),
        "read": round(float(rng.uniform(1.0, 3.0)), 4),
        "gains": [round(float(gains[0]), 4), 1.0, round(float(gains[1]), 4)],
        "pattern": "bayer" if bayer else "white",
        "phase": int(rng.integers(4)),
        "shared": round(float(np.clip(shared, 0.0, 1.0)), 4) if bayer else 0.0,
        "chroma": round(float(max(chroma, 0.0)), 4),
        "grain": round(float(max(grain, 0.0)), 4),
    }


def sensor(pictures: Tensor, steps: Sequence[Step], generator: torch.Generator) -> Tensor:
    """Pictures `(B, 3, H, W)` with the noise of a sensor at an ISO number.

    White is `full_well * 100 / ISO` electrons, over a channel's white-balance gain. Photons arrive
    one by one, so light of L electrons has variance L; reading adds a variance of `read` squared.
    One normal field makes noise with exactly that mean, to within 1 % that variance (0.8 % too much
    at 2 electrons read with a noise of 1, elsewhere less) and the skew of photons, by the
    Cornish-Fisher expansion.

    With the pattern "bayer" each channel is measured at its own sites, and its noise fills the
    rest as demosaicing does: each channel alone (`shared` 0), or the differences from green (1),
    which gives grain that the channels have in common; with "white" every pixel measures all three.
    Then the camera smooths the colours of the noise (`chroma`, a standard deviation in pixels), and
    whatever resampled the picture makes its grain coarser (`grain`, likewise) at equal variance.

    Source: Foi et al., "Practical Poissonian-Gaussian Noise Modeling" (TIP 2008); the correlations
    cover those measured in flat parts of really noisy pictures: 0 to 0.65 between neighbours,
    0 to 0.9 between channels.

    Where the parameter "encoded" is there and true, all this happens after gamma: encoded values
    stand for light, so that white has as many electrons as before, and middle grey half of them.
    That is the noise of pictures that were brightened, scanned or generated after their tone curve,
    strongest where they are bright; before gamma it is strongest in the dark.

    Source: Zhang et al., "Designing a Practical Degradation Model for Deep Blind Image
    Super-Resolution" (ICCV 2021), whose Poisson noise lies on encoded values.
    """
    iso, full_well, read = columns(steps, ("strength", "full_well", "read"), pictures)
    (gains,) = lists(steps, ("gains",), pictures)
    after = [bool(step.parameters.get("encoded")) for step in steps]
    rows = torch.tensor(after, device=pictures.device)[:, None, None, None]
    light = to_linear(pictures)
    if any(after):
        light = torch.where(rows, pictures, light)
    white = full_well * 100 / iso / gains
    arrived = light * white
    variance = arrived + read.square()
    noise = normal(tuple(pictures.shape), generator, pictures)
    skew = arrived / (6 * variance)
    noise = (variance.sqrt() * noise + skew * (noise.square() - 1)) / white
    noisy = light + finished(noise, steps)
    return torch.where(rows, noisy, to_encoded(noisy)) if any(after) else to_encoded(noisy)


ROUNDING = 2.0**-12
"""In levels: more than float32 loses of a whole one, so that truncating a level leaves it."""


def draw_noise(truncation: float, rng: np.random.Generator) -> dict[str, Value]:
    """Whether the noisy values are truncated, with that chance; without one nothing is drawn."""
    return {"truncate": True} if truncation and rng.random() < truncation else {}


def noise(pictures: Tensor, steps: Sequence[Step], generator: torch.Generator) -> Tensor:
    """Pictures `(B, 3, H, W)` with white Gaussian noise on encoded values, the field's.

    The parameter "truncate" may be left out. Where it is true, noisy values are cut down to whole
    levels of 8 bits, as the field's benchmarks do: half a level darker than rounded ones.
    """
    (sigma,) = columns(steps, ("strength",), pictures)
    noisy = pictures + sigma / 255 * normal(tuple(pictures.shape), generator, pictures)
    cut = [bool(step.parameters.get("truncate")) for step in steps]
    if not any(cut):
        return noisy
    levels = (noisy.clamp(0.0, 1.0) * 255 + ROUNDING).floor()
    rows = torch.tensor(cut, device=pictures.device)[:, None, None, None]
    return torch.where(rows, levels / 255, noisy)
