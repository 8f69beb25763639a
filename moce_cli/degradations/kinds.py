"""The kinds of degradation, in physical order."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import IntEnum

import torch
from torch import Tensor

from moce_cli.degradations import compression, haze, lens, rain, sensor
from moce_cli.degradations.step import ORDER, Step
from moce_cli.errors import UsageError

Apply = Callable[[Tensor, Sequence[Step], torch.Generator], Tensor]


class Stage(IntEnum):
    """Where on light's way something happens."""

    SCENE = 0
    LENS = 1
    SENSOR = 2
    FILE = 3


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of degradation.

    Attributes:
        name: one of `ORDER`.
        stage: where it happens.
        unit: what the strength is, for help texts.
        limits: what a person may ask for, the weaker end first for all but the codecs.
        usual: what is drawn by default.
        summary: its model in a line, for people.
        source: where that model comes from, likewise.
        apply: pictures `(B, 3, H, W)`, a step for each, a generator; gives the pictures.
        by_ratio: strengths are drawn evenly by their logarithm.
        descending: a smaller number is stronger, as with quality.
        whole: strengths are whole numbers.
    """

    name: str
    stage: Stage
    unit: str
    limits: tuple[float, float]
    usual: tuple[float, float]
    summary: str
    source: str
    apply: Apply
    by_ratio: bool = False
    descending: bool = False
    whole: bool = False

    @property
    def codec(self) -> bool:
        """It runs an encoder on the CPU, picture by picture."""
        return self.stage is Stage.FILE

    @property
    def words(self) -> tuple[str, str, str, str, str]:
        """A line of a table for people: name, strength, what is usual, model, source."""
        low, high = self.limits
        weak, strong = self.usual
        strength = f"{self.unit}, {low:g} to {high:g}"
        return self.name, strength, f"{weak:g} to {strong:g}", self.summary, self.source

    def check(self, strength: float) -> float:
        """The strength, if it may be asked for.

        Raises:
            UsageError: it is out of range.
        """
        low, high = self.limits
        if not low <= strength <= high:  # also false for NaN
            raise UsageError(
                f"{self.name} {strength:g} is out of range: {low:g} to {high:g} ({self.unit})"
            )
        return float(round(strength)) if self.whole else float(strength)

    def severity(self, strength: float) -> float:
        """How strong that is, from 0 to 1, which is the strong end of what is usual."""
        weak, strong = self.limits[0], self.usual[1]
        if self.descending:
            weak, strong = self.limits[1], self.usual[0]
        values = (strength, weak, strong)
        here, weak, strong = (math.log(v) for v in values) if self.by_ratio else values
        return min(1.0, max(0.0, (here - weak) / (strong - weak)))


_ALL = (
    Kind(
        "haze",
        Stage.SCENE,
        "share of light lost at the farthest point",
        (0.0, 1.0),
        (0.2, 0.85),
        "atmospheric scattering over a procedural depth",
        "Narasimhan and Nayar, IJCV 2002",
        haze.haze,
    ),
    Kind(
        "rain",
        Stage.SCENE,
        "0 none, 1 a downpour",
        (0.0, 1.0),
        (0.15, 1.0),
        "streaks of four depths and a veil",
        "Garg and Nayar, IJCV 2007",
        rain.rain,
    ),
    Kind(
        "snow",
        Stage.SCENE,
        "0 none, 1 a snowstorm",
        (0.0, 1.0),
        (0.15, 1.0),
        "soft flakes of four depths and a veil",
        "Liu et al., TIP 2018",
        rain.snow,
    ),
    Kind(
        "blur",
        Stage.LENS,
        "standard deviation in pixels",
        (0.0, 20.0),
        (0.4, 3.0),
        "a Gaussian, perhaps narrower in one direction",
        "Pentland, PAMI 1987: an optical system's point spread is nearly Gaussian",
        lens.spread,
    ),
    Kind(
        "defocus",
        Stage.LENS,
        "radius in pixels",
        (0.0, 40.0),
        (0.7, 5.0),
        "the disc of an open lens out of focus",
        "geometrical optics' circle of confusion: Potmesil and Chakravarty, SIGGRAPH 1981",
        lens.spread,
    ),
    Kind(
        "shake",
        Stage.LENS,
        "extent of the movement in pixels",
        (0.0, 100.0),
        (3.0, 24.0),
        "a hand's movement while the shutter is open",
        "Boracchi and Foi, TIP 2012",
        lens.spread,
    ),
    Kind(
        "kernel",
        Stage.LENS,
        "size of a measured kernel, 1 as measured",
        (0.0, 3.0),
        (0.5, 1.2),
        "a kernel read from a folder of .npy files",
        "the files; Levin et al., CVPR 2009, measured a camera's shake like that",
        lens.spread,
    ),
    Kind(
        "low",
        Stage.SENSOR,
        "stops darker",
        (0.0, 6.0),
        (0.7, 4.0),
        "too short an exposure, a turned tone curve and a colour cast; no noise: sensor adds it",
        "linear light by IEC 61966-2-1 (sRGB); short exposures as in LOL, Wei et al., BMVC 2018",
        sensor.low,
    ),
    Kind(
        "sensor",
        Stage.SENSOR,
        "ISO",
        (100.0, 25600.0),
        (400.0, 12800.0),
        "shot and read noise in linear light, through a demosaicing",
        "Foi et al., TIP 2008",
        sensor.sensor,
        by_ratio=True,
    ),
    Kind(
        "noise",
        Stage.SENSOR,
        "sigma of 255",
        (0.0, 100.0),
        (1.0, 55.0),
        "white Gaussian noise on encoded values",
        "the field's denoising benchmarks, as for DnCNN: Zhang et al., TIP 2017",
        sensor.noise,
    ),
    Kind(
        "jpeg",
        Stage.FILE,
        "quality",
        (1.0, 100.0),
        (15.0, 92.0),
        "a JPEG file of this quality",
        "ITU-T T.81 (JPEG), by Pillow's encoder",
        compression.compress,
        descending=True,
        whole=True,
    ),
    Kind(
        "webp",
        Stage.FILE,
        "quality",
        (1.0, 100.0),
        (10.0, 90.0),
        "a lossy WebP file of this quality",
        "RFC 6386 (VP8), by Pillow's encoder",
        compression.compress,
        descending=True,
        whole=True,
    ),
)
KINDS: dict[str, Kind] = {kind.name: kind for kind in _ALL}
"""In physical order."""

assert tuple(KINDS) == ORDER
