"""The parts of a recipe that say how to train: stages, optimiser, loss, budget, validation."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import get_args

from moce_cli.degradations import SUITE
from moce_cli.network.mixture import RouterGradient
from moce_cli.training.checks import (
    RecipeError,
    check_choice,
    check_flag,
    check_list,
    check_number,
    check_whole,
)

ROUTER_GRADIENTS = get_args(RouterGradient)
SMALLEST_CROP = 32


@dataclass(frozen=True, slots=True)
class Stage:
    """A part of the run with one size of crop.

    Attributes:
        crop: side of the crops in pixels, a multiple of 8.
        batch: crops a step, over all processes together.
        share: of the run.
    """

    crop: int
    batch: int
    share: float = 1.0

    def __post_init__(self) -> None:
        check_whole("crop", self.crop, SMALLEST_CROP, 1024)
        if self.crop % 8:
            raise RecipeError(f"crop is {self.crop}, it needs a multiple of 8")
        check_whole("batch", self.batch, 1, 65536)
        check_number("share", self.share, 0, 1, above=True)


@dataclass(frozen=True, slots=True)
class Optimiser:
    """AdamW and its schedule: linear warm-up, then a cosine.

    Attributes:
        learning_rate: the highest, at the end of the warm-up.
        warmup_steps: from zero to the highest rate.
        final_rate: the last rate as a share of the highest.
        weight_decay: AdamW's.
        betas: AdamW's.
        clip: largest norm of the gradient; 0 leaves it alone.
        ema: decay of the averaged weights per step; 0 keeps no average.
    """

    learning_rate: float = 2e-4
    warmup_steps: int = 0
    final_rate: float = 0.01
    weight_decay: float = 1e-4
    betas: tuple[float, float] = (0.9, 0.999)
    clip: float = 1.0
    ema: float = 0.999

    def __post_init__(self) -> None:
        check_number("learning_rate", self.learning_rate, 0, 1, above=True)
        check_whole("warmup_steps", self.warmup_steps, 0)
        check_number("final_rate", self.final_rate, 0, 1)
        check_number("weight_decay", self.weight_decay, 0, 1)
        check_list("betas", self.betas, "two numbers", 2)
        for beta in self.betas:
            check_number("betas", beta, 0, 0.999999)
        check_number("clip", self.clip, 0)
        check_number("ema", self.ema, 0, 0.999999)


@dataclass(frozen=True, slots=True)
class Loss:
    """What is minimised, and how the router learns.

    Attributes:
        frequency_weight: of the L1 between spectra.
        knee: the loss of a damaged picture at which it counts half; 0 is none.
        balance_weight: of the auxiliary loss that spreads work over experts.
        complexity_bias: that loss favours cheap experts.
        cost_weight: of the expected cost of the routing.
        router_gradient: how the picture teaches the router: not at all, through the gates, or by
            comparing experts.
        degradation_weight: of telling the degradations from the router's input.
        expert_dropout: chance that an expert is left out of a choice.
    """

    frequency_weight: float = 0.1
    knee: float = 0.0
    balance_weight: float = 0.01
    complexity_bias: bool = True
    cost_weight: float = 0.0
    router_gradient: RouterGradient = "none"
    degradation_weight: float = 0.0
    expert_dropout: float = 0.0

    def __post_init__(self) -> None:
        weights = ("frequency_weight", "balance_weight", "cost_weight", "degradation_weight")
        for key in (*weights, "knee"):
            check_number(key, getattr(self, key), 0)
        check_flag("complexity_bias", self.complexity_bias)
        check_choice("router_gradient", self.router_gradient, ROUTER_GRADIENTS)
        check_number("expert_dropout", self.expert_dropout, 0, 0.9)


@dataclass(frozen=True, slots=True)
class Budget:
    """When to stop: after so many steps or minutes, whichever comes first."""

    steps: int | None = None
    minutes: float | None = None

    def __post_init__(self) -> None:
        if self.steps is None and self.minutes is None:
            raise RecipeError("needs steps, minutes, or both")
        if self.steps is not None:
            check_whole("steps", self.steps, 1)
        if self.minutes is not None:
            check_number("minutes", self.minutes, 0, above=True)


@dataclass(frozen=True, slots=True)
class Validation:
    """What is measured along the way, on pictures that are not trained on.

    Attributes:
        folders: of clean pictures; none of them is trained on, nor any that looks like one.
        rows: names in `degradations.SUITE`.
        pictures: how many, spread evenly over the folders in sorted order.
        crop: side of the middle that is taken of each, in pixels.
        every_steps: steps between two measurements; or
        every_seconds: seconds between two.
    """

    folders: tuple[Path, ...]
    rows: tuple[str, ...]
    pictures: int = 8
    crop: int = 192
    every_steps: int | None = None
    every_seconds: float | None = None

    def __post_init__(self) -> None:
        check_list("folders", self.folders, "folders")
        check_list("rows", self.rows, "names of the suite")
        for row in self.rows:
            check_choice("rows", row, SUITE)
        if len(set(self.rows)) != len(self.rows):
            raise RecipeError("rows names one row twice")
        check_whole("pictures", self.pictures, 1)
        check_whole("crop", self.crop, SMALLEST_CROP)
        if (self.every_steps is None) == (self.every_seconds is None):
            raise RecipeError("needs either every_steps or every_seconds")
        if self.every_steps is not None:
            check_whole("every_steps", self.every_steps, 1)
        if self.every_seconds is not None:
            check_number("every_seconds", self.every_seconds, 0, above=True)
