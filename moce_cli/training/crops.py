"""One sample at a time: which picture, which piece of it, and what is to happen to it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from moce_cli.degradations import KINDS, Plan, SensorNoise, Strength, mix, needs_codec
from moce_cli.training.checks import RecipeError
from moce_cli.training.data import Damage
from moce_cli.training.glints import with_glints
from moce_cli.training.jitter import draw_jitter
from moce_cli.training.layouts import FilePair, find_sets
from moce_cli.training.looks import RGB, Look
from moce_cli.training.recipe import Recipe
from moce_cli.training.scenes import Scene, Scenes
from moce_cli.training.sources import (
    LeftOut,
    Pictures,
    explain_empty,
    find_pictures,
    too_small,
)

MARGIN = 8
"""Pixels of true surroundings on each side of a crop that is to be damaged."""
TRUNCATION = 0.5
"""Chance that noise is truncated to 8 bits, as in the benchmarks; else it is rounded."""
_NUMBERS = {name: number for number, name in enumerate(KINDS)}

Refuse = Callable[[Look], str | None]
Labels = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Crop:
    """A piece of a picture.

    Attributes:
        wide: `(h, w, 3)` uint8, clean, with what surrounds the piece.
        top: of the piece within `wide`.
        left: likewise.
        plan: what is to happen to it.
        labels: `(K,)` severities by kind, in [0, 1].
        degraded: the piece `(c, c, 3)` as it was found damaged; or None.
        scene: what is told of the whole picture; None where the crop is its own, or nobody asks.
    """

    wide: RGB
    top: int
    left: int
    plan: Plan
    labels: Labels
    degraded: RGB | None = None
    scene: Scene | None = None


class Source(Protocol):
    """What crops are drawn from."""

    pictures: Pictures
    """What is drawn from."""
    left_out: list[LeftOut]
    """Pictures that are not drawn from: unreadable, too small, of a test set, or measured on."""

    def __len__(self) -> int:
        """Samples in an epoch."""
        ...

    def draw(self, number: int, share: float, side: int, rng: np.random.Generator) -> Crop:
        """A crop of one of the epoch's samples.

        Args:
            number: of the sample.
            share: in [0, 1), which of the recipe's mixtures of damage it gets.
            side: of the crop.
            rng: draws everything else.
        """
        ...


def source_of(recipe: Recipe, refuse: Refuse) -> Source:
    """The source that a recipe names.

    Args:
        recipe: its data and its largest crop.
        refuse: says why a picture is not to be trained on, or None.

    Raises:
        InputError: folders or sets are missing, or no picture is left.
    """
    return PairSource(recipe, refuse) if recipe.data.sets else CleanSource(recipe, refuse)


class CleanSource:
    """Clean pictures from folders, damaged on the fly; half of the noise is truncated."""

    def __init__(self, recipe: Recipe, refuse: Refuse) -> None:
        data = recipe.data
        smallest = recipe.largest_crop + 2 * MARGIN
        self.pictures = Pictures(find_pictures(data.clean), int(data.memory_gb * 2**30))
        self.pictures.check(
            lambda seen: too_small(seen.height, seen.width, smallest) or refuse(seen)
        )
        self.left_out = self.pictures.left_out
        if not len(self.pictures):
            raise explain_empty(" and ".join(str(folder) for folder in data.clean), self.left_out)
        self._scenes = Scenes() if recipe.network.scene else None
        self._jitter, self._glints = data.color_jitter, data.glints
        self._kernels = data.kernels
        self._damage = data.damage
        self._ends = np.cumsum([damage.share for damage in data.damage])

    def __len__(self) -> int:
        return len(self.pictures)

    def draw(self, number: int, share: float, side: int, rng: np.random.Generator) -> Crop:
        """See `Source`; each picture is in an epoch once."""
        picture = self.pictures[number]
        top, left = _place(picture, side + 2 * MARGIN, rng)
        wide = _turned(_cut(picture, top, left, side + 2 * MARGIN), int(rng.integers(8)))
        mixture = int(np.searchsorted(self._ends[:-1], share, side="right"))
        plan = self._plan(self._damage[mixture], rng)
        top = left = MARGIN
        if needs_codec(plan):  # its grid of blocks shall fall anywhere
            top, left = (int(n) for n in rng.integers(2 * MARGIN + 1, size=2))
        wide = with_glints(wide, self._glints, rng)
        jitter = draw_jitter(self._jitter, rng)
        wide = wide if jitter is None else jitter.bytes(wide)
        scene = self._scenes and self._scenes.draw(number, picture, plan, rng, jitter)
        return Crop(wide, top, left, plan, _labels(plan), scene=scene)

    def _plan(self, damage: Damage, rng: np.random.Generator) -> Plan:
        wanted: dict[str, Strength] = {
            strength.kind: (strength.low, strength.high)
            for strength in damage.kinds
            if rng.random() < strength.probability
        }
        if not wanted:
            return ()
        chance = max((s.after_gamma for s in damage.kinds if s.kind in wanted), default=0.0)
        return mix(
            wanted,
            rng,
            kernels=self._kernels,
            truncation=TRUNCATION,
            sensor_noise=SensorNoise(encoded=bool(chance) and rng.random() < chance),
        )


class PairSource:
    """The field's standard sets: pairs as they are, clean pictures with the field's noise."""

    def __init__(self, recipe: Recipe, refuse: Refuse) -> None:
        data = recipe.data
        if data.root is None:
            raise RecipeError("standard sets need a root")
        found = find_sets((use.name for use in data.sets), data.root)
        pairs = [pair for some in found.values() for pair in some]
        paths = dict.fromkeys(p for pair in pairs for p in (pair.clean, pair.degraded) if p)
        self.pictures = Pictures(paths, int(data.memory_gb * 2**30))
        smallest = recipe.largest_crop
        self.pictures.check(
            lambda seen: too_small(seen.height, seen.width, smallest) or refuse(seen)
        )
        self.left_out = self.pictures.left_out
        self._numbers = {path: number for number, path in enumerate(self.pictures.paths)}
        good = {name: self._usable(some) for name, some in found.items()}
        for name, some in good.items():
            if not some:
                raise explain_empty(f"the data set {name}", self.left_out)
        self._parts = [(good[use.name], use.sigma) for use in data.sets]
        counts = [len(good[use.name]) * use.repeat for use in data.sets]
        self._ends = np.cumsum(counts)

    def _usable(self, pairs: Sequence[FilePair]) -> list[FilePair]:
        """The pairs of which both are there and of one size."""
        usable: list[FilePair] = []
        for pair in pairs:
            both = [path for path in (pair.clean, pair.degraded) if path]
            if not all(path in self._numbers for path in both):
                continue
            sizes = {self.pictures.sizes[path] for path in both}
            if len(sizes) > 1:
                self.left_out.append(
                    LeftOut(both[1], f"its size is not that of its clean picture {pair.clean}")
                )
                continue
            usable.append(pair)
        return usable

    def __len__(self) -> int:
        return int(self._ends[-1])

    def draw(self, number: int, share: float, side: int, rng: np.random.Generator) -> Crop:
        """See `Source`; the sets bring their damage along, so `share` means nothing."""
        part = int(np.searchsorted(self._ends, number, side="right"))
        pairs, sigma = self._parts[part]
        pair = pairs[(number - int(self._ends[part])) % len(pairs)]
        clean = self.pictures[self._numbers[pair.clean]]
        top, left = _place(clean, side, rng)
        turn = int(rng.integers(8))
        piece = _turned(_cut(clean, top, left, side), turn)
        labels = np.zeros(len(KINDS), np.float32)
        for kind in pair.kinds:
            labels[_NUMBERS[kind]] = 1.0
        if pair.degraded is None:
            assert sigma is not None
            labels[_NUMBERS["noise"]] = KINDS["noise"].severity(sigma)
            return Crop(piece, 0, 0, (), labels, truncated_noise(piece, sigma, rng))
        degraded = self.pictures[self._numbers[pair.degraded]]
        return Crop(piece, 0, 0, (), labels, _turned(_cut(degraded, top, left, side), turn))


def truncated_noise(clean: RGB, sigma: float, rng: np.random.Generator) -> RGB:
    """White noise on 8-bit values, clipped and cut down to whole numbers, not rounded.

    Source: the field's benchmarks, which the paper follows; the result lies half a level low.
    """
    noise = rng.standard_normal(clean.shape, dtype=np.float32)
    return (clean + noise * np.float32(sigma)).clip(0, 255).astype(np.uint8)


def _place(picture: RGB, side: int, rng: np.random.Generator) -> tuple[int, int]:
    top, left = (int(rng.integers(length - side + 1)) for length in picture.shape[:2])
    return top, left


def _cut(picture: RGB, top: int, left: int, side: int) -> RGB:
    return picture[top : top + side, left : left + side]


def _turned(piece: RGB, turn: int) -> RGB:
    """One of the eight ways in which a square can lie; 0 is upright and unflipped."""
    turned = np.rot90(piece, turn % 4)
    return turned[:, ::-1] if turn >= 4 else turned


def _labels(plan: Plan) -> Labels:
    labels = np.zeros(len(KINDS), np.float32)
    for step in plan:
        labels[_NUMBERS[step.kind]] = KINDS[step.kind].severity(step.strength)
    return labels
