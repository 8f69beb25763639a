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


WARMUP_SHARE = 0.1
"""Of the run: a warm-up is never longer."""


def learning_rate(optimiser: Optimiser, spent: float, steps_since_start: int) -> float:
    """Linear warm-up of at most a tenth of the run, then a cosine over the run.

    Args:
        optimiser: highest and last rate, length of the warm-up.
        spent: share of the run, 0 to 1.
        steps_since_start: steps since the optimiser's moments began; they begin anew at a warm
            start.
    """
    by_steps = (steps_since_start + 1) / (optimiser.warmup_steps + 1)
    warm = min(1.0, max(by_steps, spent / WARMUP_SHARE))
    last = optimiser.final_rate
    return (
        optimiser.learning_rate * warm * (last + (1 - last) * (1 + math.cos(math.pi * spent)) / 2)
    )


def ema_decay(optimiser: Optimiser, steps_since_start: int) -> float:
    """Decay of the averaged weights: small at first, so that the beginning is forgotten."""
    return min(optimiser.ema, (steps_since_start + 1) / (steps_since_start + 10))


def limited(recipe: Recipe, *, steps: int | None, minutes: float | None) -> Recipe:
    """The same recipe with another budget; the warm-up is at most a tenth of its steps.

    Raises:
        RecipeError: the budget is none.
    """
    if steps is None and minutes is None:
        return recipe
    warmup = recipe.optimiser.warmup_steps
    if steps is not None:
        warmup = min(warmup, max(1, steps // 10))
    optimiser = replace(recipe.optimiser, warmup_steps=warmup)
    return replace(recipe, budget=Budget(steps, minutes), optimiser=optimiser)
