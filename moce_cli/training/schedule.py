"""How far a run is, and what follows from it."""

from __future__ import annotations

import math
from dataclasses import replace

from moce_cli.training.recipe import Recipe
from moce_cli.training.settings import Budget, Optimiser


def progress(budget: Budget, steps: int, seconds: float) -> float:
    """How much of the budget is spent, from 0 to 1; the resource that ends first decides.

    Args:
        budget: steps, minutes or both.
        steps: that this run has taken, those before a warm start not among them.
        seconds: that it has spent.
    """
    spent = 0.0
    if budget.steps is not None:
        spent = steps / budget.steps
    if budget.minutes is not None:
        spent = max(spent, seconds / (60 * budget.minutes))
    return min(spent, 1.0)


WARMUP_SHARE = 1 / 8
"""Of the run, as in the paper (15 of 120 epochs): a warm-up is never longer."""


def learning_rate(
    optimiser: Optimiser, budget: Budget, spent: float, steps_since_start: int
) -> float:
    """Linear warm-up of at most an eighth of the run, then a cosine over the rest.

    The cosine begins where the warm-up ends; where time ends the run, nobody knows beforehand when
    that is, and it begins after an eighth.

    Args:
        optimiser: highest and last rate, length of the warm-up.
        budget: of the run.
        spent: share of it, 0 to 1.
        steps_since_start: steps since the optimiser's moments began; they begin anew at a warm
            start.
    """
    start = WARMUP_SHARE
    if budget.steps is not None and budget.minutes is None:
        start = min(start, optimiser.warmup_steps / budget.steps)
    if spent < start:
        by_steps = (steps_since_start + 1) / (optimiser.warmup_steps + 1)
        return optimiser.learning_rate * min(1.0, max(by_steps, spent / start))
    down = (1 + math.cos(math.pi * (spent - start) / (1 - start))) / 2
    last = optimiser.final_rate
    return optimiser.learning_rate * (last + (1 - last) * down)


def ema_decay(optimiser: Optimiser, steps_since_start: int) -> float:
    """Decay of the averaged weights: small at first, so that the beginning is forgotten."""
    return min(optimiser.ema, (steps_since_start + 1) / (steps_since_start + 10))


def limited(recipe: Recipe, *, steps: int | None, minutes: float | None) -> Recipe:
    """The same recipe with another budget.

    Raises:
        RecipeError: the budget is none.
    """
    if steps is None and minutes is None:
        return recipe
    return replace(recipe, budget=Budget(steps, minutes))
