"""What a network with `scene` is told while it trains: of the whole picture, damaged like its crop.

The whole is damaged small, which is quick: a scene is counted in means of squares anyway, in which
noise, blur and compression hardly show.
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from moce_cli.degradations import Plan, Step, degrade
from moce_cli.network import SCENE_SIZE, block_means, scene_of
from moce_cli.network.scene import BLOCK, reduced
from moce_cli.training.jitter import Jitter
from moce_cli.training.looks import RGB

ITSELF = 0.25
"""Chance that a crop is a scene of its own, as a picture of one tile is."""
_SEEN_FROM_AFAR = ("haze", "rain", "snow", "low")

Scene = NDArray[np.float32]


def of(scene: Scene | None) -> Scene:
    """A scene; no numbers stand for that of a crop which is a scene of its own."""
    return np.full(SCENE_SIZE, np.nan, np.float32) if scene is None else scene


def filled(scene: Tensor, degraded: Tensor) -> Tensor:
    """Scenes `(B, SCENE_SIZE)`, those without numbers measured on the crops `(B, 3, c, c)`."""
    return torch.where(scene.isnan(), scene_of(block_means(degraded)), scene)


class Scenes:
    """Scenes of pictures; each is made small once."""

    def __init__(self) -> None:
        self._small: dict[int, Tensor] = {}

    def draw(
        self,
        number: int,
        picture: RGB,
        plan: Plan,
        rng: np.random.Generator,
        jitter: Jitter | None = None,
    ) -> Scene | None:
        """The scene of one picture; None where a crop is to be its own.

        Args:
            number: of the picture.
            picture: `(H, W, 3)` uint8, clean.
            plan: what is to happen to a crop of it.
            rng: draws whether the crop is a scene of its own, and the damage.
            jitter: how the tones of that crop were changed before.
        """
        own, seed = rng.random() < ITSELF, int(rng.integers(2**62))
        if own:
            return None
        if number not in self._small:
            whole = torch.tensor(picture).permute(2, 0, 1)[None].float()
            self._small[number] = reduced(whole).round_().byte()
        small = self._small[number].float().div_(255)
        if jitter is not None:
            small = torch.from_numpy(jitter(small.permute(0, 2, 3, 1).numpy())).permute(0, 3, 1, 2)
        steps = tuple(_from_afar(step) for step in plan if step.kind in _SEEN_FROM_AFAR)
        if steps:
            small = degrade(small, [steps], torch.Generator().manual_seed(seed))
        return scene_of(small.flatten(2).transpose(1, 2))[0].numpy()


def _from_afar(step: Step) -> Step:
    """The same where a square is a pixel."""
    parameters = dict(step.parameters)
    extent = parameters.get("extent")
    if isinstance(extent, float):
        parameters["extent"] = extent / BLOCK
    return Step(step.kind, parameters)
